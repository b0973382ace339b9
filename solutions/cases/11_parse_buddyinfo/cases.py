"""Texts of /proc/buddyinfo, whole and spoiled. What is right comes from memsim's own parser."""

from memsim.proc.buddyinfo import parse_buddyinfo
from memsim.words.errors import BadInput


def RIGHT(text):
    try:
        return [[row.node, row.zone, list(row.nr_free)] for row in parse_buddyinfo(text)]
    except BadInput:
        return None


def fixed_columns(text):
    """Cuts lines where they are cut on one's own machine: one digit, eleven orders."""
    if RIGHT(text) is None:
        return None
    rows = []
    for line in filter(str.strip, text.splitlines()):
        words = line.split()
        rows.append([int(line[5]), words[3], [int(word) for word in words[4:15]]])
    return rows


def never_refuses(text):
    rows = []
    for line in text.splitlines():
        words = line.replace(",", " ").split()
        if words[:1] == ["Node"] and len(words) > 3:
            numbers = [int(word) for word in words[4:] if word.isdigit()]
            rows.append([int(words[1]), words[3], numbers])
    return rows


def believes_the_end(text):
    """Takes a last line without its end for a whole one."""
    return RIGHT(f"{text}\n")


MISTAKES = {
    "fixed_columns": fixed_columns,
    "believes_the_end": believes_the_end,
    "never_refuses": never_refuses,
}


def draw(rng):
    small = _text(rng, [(0, "DMA"), (0, "DMA32"), (0, "Normal")])
    large = _text(rng, [(n, "Normal") for n in range(8, 12)])
    arm = _text(rng, [(0, "DMA"), (0, "Normal"), (0, "Movable")], orders=14)
    lines = small.splitlines(keepends=True)
    number = rng.choice(lines[1].split()[4:])
    texts = [
        ("three zones", small, ""),
        ("three zones, then four nodes", large, ""),
        ("three zones, then the end is missing", small[: -rng.randrange(2, 4)], ""),
        ("three zones, then letters among the numbers", _spoiled(rng, lines, "x"), ""),
        ("14 orders, as on arm64", arm, "other machines"),
        ("blank lines between", "\n" + "\n   \n".join(lines), "other machines"),
        ("four nodes, cut off", large[: -rng.randrange(2, 4)], "spoiled texts"),
        ("a line twice", small + rng.choice(lines), "spoiled texts"),
        ("one line is shorter", _shorter(rng, lines), "spoiled texts"),
        ("no zone at all", rng.choice(["", "\n", "  \n\n"]), "spoiled texts"),
        ("a number below zero", small.replace(f" {number} ", f" -{number} ", 1), "spoiled texts"),
        ("what is no row", small + "Node 0, zone\n", "spoiled texts"),
    ]
    spoiled = [small + rng.choice(lines), _shorter(rng, lines), "\n", f"{small}Node 0, zone\n"]
    spoiled += [small.replace(f" {number} ", f" -{number} ", 1)]
    shown = f"{_SHOWN}\nThe text of three zones:\n{small}The text of four nodes:\n{large}"
    cases = [_case(small, *told) for told in texts]
    cases.insert(4, {**_case(small, "spoiled", "", ""), "name": _NAME})
    cases[4]["script"] = [["call", "parse", [text]] for text in spoiled]
    return {"shown": shown, "cases": cases}


_NAME = "a line twice; a shorter line; one newline; what is no row; a number below zero"
_SHOWN = """\
Case 5 asks about five spoiled texts, one after the other: three zones and one line twice; one of
the lines without its last two numbers; one newline alone; three zones and a line "Node 0, zone";
and a minus before one of the numbers.
"""


def _case(whole, name, text, group):
    """A whole text, then the other one."""
    hints = {
        "other machines": "Count nothing beforehand: neither orders nor digits.",
        "spoiled texts": "None if anything about the text is not as the kernel prints it.",
    }
    texts = [text] if text == whole else [whole, text]
    calls = [["call", "parse", [text]] for text in texts]
    case = {"name": name, "script": calls, "every": True, "visible": not group}
    return case | ({"group": group, "hint": hints[group]} if group else {})


def _text(rng, zones, orders=11):
    """Rows as the kernel prints them."""
    text = ""
    for node, zone in zones:
        row = [rng.randrange(0, 20000 >> order * 2 // 3) for order in range(orders)]
        row[-1] += 100
        text += f"Node {node}, zone {zone:>8} " + "".join(f"{n:6d} " for n in row) + "\n"
    return text


def _spoiled(rng, lines, by):
    """One number has a letter in it."""
    at = rng.randrange(len(lines))
    words = lines[at].split()
    words[rng.randrange(5, len(words))] += by
    return "".join([*lines[:at], " ".join(words) + "\n", *lines[at + 1 :]])


def _shorter(rng, lines):
    """The last two numbers of a line got lost."""
    at = rng.randrange(len(lines))
    words = lines[at].split()[:-2]
    return "".join([*lines[:at], " ".join(words) + "\n", *lines[at + 1 :]])
