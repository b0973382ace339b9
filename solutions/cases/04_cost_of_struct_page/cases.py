"""Machines with pages of 4, 16 and 64 KiB: sections, and what their struct pages take."""

from memsim.words.mmzone import SIZEOF_STRUCT_PAGE

#: Architecture, KiB of a page, MiB of a section.
KINDS = (
    ("x86-64", 4, 128), ("arm64", 16, 128), ("arm64", 64, 512), ("s390", 4, 256),
    ("arm64", 4, 128), ("x86-64", 4, 128), ("arm64", 64, 512), ("arm64", 16, 128),
)  # fmt: skip


def RIGHT(given):
    return [_cost(*row[1:]) for row in given["rows"]]


def _cost(ram, page, section, covered=None):
    """Of RAM in MiB, a page in KiB and a section in MiB; `covered`: MiB that have struct pages."""
    sections = -(-ram // section)
    in_section = (section << 10) // page
    pages = ((sections * section if covered is None else covered) << 10) // page
    memmap = pages * SIZEOF_STRUCT_PAGE >> 10
    return [sections, in_section, memmap, memmap * 10000 // (ram << 10)]


def ram_only(given):
    return [_cost(ram, page, section, ram) for _, ram, page, section in given["rows"]]


def always_4k(given):
    return [_cost(ram, 4, section) for _, ram, _, section in given["rows"]]


def section_too_few(given):
    found = []
    for _, ram, page, section in given["rows"]:
        whole = ram // section
        found.append([whole, *_cost(ram, page, section, whole * section)[1:]])
    return found


MISTAKES = {"ram_only": ram_only, "always_4k": always_4k, "section_too_few": section_too_few}


def draw(rng):
    rows = [[*_machine(rng, *kind)] for kind in KINDS]
    cases = [
        {"name": f"row {row + 1}, {arch}, {ram} MiB, pages of {page} KiB", "pick": row,
         "visible": row < 3, "group": "machines",
         "hint": "Round up to whole sections; mind the size of a page."}
        for row, (arch, ram, page, _) in enumerate(rows)
    ]  # fmt: skip
    lines = [f"   {'machine':8} {'RAM, MiB':>9} {'page, KiB':>10} {'section, MiB':>13}"]
    lines += [
        f"{n}. {arch:8} {ram:9} {page:10} {section:13}"
        for n, (arch, ram, page, section) in enumerate(rows, 1)
    ]
    return {"shown": "\n".join(lines), "given": {"rows": rows}, "cases": cases}


def _machine(rng, arch, page, section):
    """RAM that ends within its last section."""
    sections = rng.randrange(3, 60)
    return arch, sections * section + rng.randrange(1, section // 16) * 16, page, section
