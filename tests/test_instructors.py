"""What the guide for instructors says of lessons and exercises is so: minutes, titles, cells."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.lessons import LESSONS, NOTEBOOKS, notebook_of

GUIDE = (NOTEBOOKS / "INSTRUCTORS.md").read_text(encoding="utf-8")
ROOT = NOTEBOOKS.parent
PLANS = ("Four weeks", "Two days", "Ninety minutes")
LESSON = {name[:2]: name for name in LESSONS}
#: What no lesson or exercise is: it may take any time.
BETWEEN = ("break", "lunch", "questions")
#: A cell with things to do, each with its minutes.
ACTIVITIES = re.compile(r" \(\d+\)$")
#: Minutes of a lesson that is read alone, the most it says of itself.
ALONE = 25


def rows_of(section: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    text = GUIDE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[1:]]


def parts_of(cell: str) -> list[tuple[str, int]]:
    """`lesson 00 (49); break (11)`, one by one."""
    found = [re.fullmatch(r"(.+) \((\d+)\)", part) for part in cell.split("; ") if part]
    assert all(found), cell
    return [(match[1], int(match[2])) for match in found if match]


@cache
def exercises() -> dict[str, dict[str, Any]]:
    cases = sorted((ROOT / "solutions" / "cases").glob("*/exercise.json"))
    return {path.parent.name[:2]: json.loads(path.read_text(encoding="utf-8")) for path in cases}


def cells_of(number: str) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = notebook_of(LESSON[number])["cells"]
    return cells


def said(cell: dict[str, Any], what: str) -> Any:
    return cell["metadata"].get("memsim", {}).get(what, "")


def title(cell: dict[str, Any]) -> str:
    """The heading of the slide that a cell begins; "" if it begins none."""
    if cell["metadata"].get("slideshow", {}).get("slide_type") != "slide":
        return ""
    return str(said(cell, "slide") or "".join(cell["source"])).splitlines()[0].lstrip("# ")


def lecture(number: str) -> int:
    """Minutes of all slides of a lesson."""
    return sum(said(cell, "minutes") or 0 for cell in cells_of(number))


def slides(number: str) -> dict[str, int]:
    """Minutes of each slide of a lesson, by title."""
    return {title(cell): said(cell, "minutes") for cell in cells_of(number) if title(cell)}


def prose(number: str) -> str:
    return "\n".join("".join(c["source"]) for c in cells_of(number) if c["cell_type"] == "markdown")


def activities(plan: str) -> Iterator[tuple[str, int]]:
    """What a plan names in the room and at home, with its minutes."""
    for row in rows_of(plan)[:-1]:
        for cell in row:
            if ACTIVITIES.search(cell):
                yield from parts_of(cell)


@pytest.mark.parametrize("number", LESSON)
def test_the_outcomes_of_a_lesson_have_its_minutes(number: str) -> None:
    (row,) = [row for row in rows_of("Outcomes") if row[0] == f"[{number}]({LESSON[number]}.ipynb)"]
    assert int(row[3]) == lecture(number)
    alone = {"Ten": "10"}
    told = re.search(r"^(Ten|\d+(?: to \d+)?) minutes", prose(number), re.M)
    assert told
    assert row[4] == alone.get(told[1], told[1])
    own = {key: one for key, one in exercises().items() if one["lesson"] == LESSON[number]}
    assert row[5].split(", ") == list(own)
    assert int(row[6]) == sum(one["minutes"] for one in own.values())


@pytest.mark.parametrize("number", LESSON)
def test_the_outcomes_name_what_the_lesson_says_comes_first(number: str) -> None:
    (row,) = [row for row in rows_of("Outcomes") if row[0].startswith(f"[{number}]")]
    told = re.search(r"((?:\[\d\d\]\(\w+\.ipynb\)(?:,\s| and )?)+) comes? first", prose(number))
    assert row[2].split(", ") == (re.findall(r"\[(\d\d)\]", told[1]) if told else [""])


def test_the_last_row_of_the_outcomes_is_their_sum() -> None:
    *rows, last = rows_of("Outcomes")
    assert int(last[3]) == sum(int(row[3]) for row in rows)
    assert int(last[5]) == len(exercises())
    assert int(last[6]) == sum(int(row[6]) for row in rows)


@pytest.mark.parametrize("plan", PLANS[:2])
def test_a_plan_names_lessons_and_exercises_as_they_are(plan: str) -> None:
    for what, minutes in activities(plan):
        if lesson := re.fullmatch(r"lesson (\d\d)", what):
            assert minutes in (lecture(lesson[1]), ALONE), what
        elif what not in BETWEEN:
            number, _, name = what.partition(" ")
            assert (name, minutes) == (exercises()[number]["title"], exercises()[number]["minutes"])


def test_four_weeks_have_each_lesson_and_each_exercise_once() -> None:
    named = [what for what, _ in activities("Four weeks")]
    assert sorted(what for what in named if what.startswith("lesson")) == [
        f"lesson {number}" for number in LESSON
    ]
    assert sorted(what[:2] for what in named if what[:2].isdigit()) == list(exercises())


@pytest.mark.parametrize("plan", PLANS[:2])
def test_no_exercise_comes_before_its_lesson_and_no_lesson_before_what_it_needs(plan: str) -> None:
    needs = {row[0][1:3]: row[2].split(", ") for row in rows_of("Outcomes")[:-1]}
    taught = {""}
    for what, _ in activities(plan):
        number = what.removeprefix("lesson ")[:2]
        if what.startswith("lesson"):
            assert set(needs[number]) <= taught, what
            taught.add(number)
        elif what not in BETWEEN:
            assert exercises()[number]["lesson"][:2] in taught, what


def test_ninety_minutes_names_slides_as_they_are_and_in_the_order_of_their_deck() -> None:
    for _, deck, what, _ in rows_of("Ninety minutes")[:-1]:
        if deck:
            parts = parts_of(what)
            assert parts == [(name, slides(deck).get(name)) for name, _ in parts]
            order = list(slides(deck))
            at = [order.index(name) for name, _ in parts]
            assert at == sorted(at)
    players = re.search(r"Players: (.+); no notebook", GUIDE)
    assert players
    shown = {name for name, _ in activities("Ninety minutes")}
    every = {title(c): c for number in LESSON for c in cells_of(number) if title(c)}
    for name in re.findall(r"\*(.+?)\*", players[1]):
        assert name in shown
        assert "Player(" in "".join(every[name]["source"])


@pytest.mark.parametrize("plan", PLANS)
def test_the_rows_of_a_plan_add_up_and_follow_each_other(plan: str) -> None:
    *rows, last = rows_of(plan)
    sums: Counter[int] = Counter()
    until: dict[tuple[str, ...], int] = {}
    for row in rows:
        columns = [at for at, cell in enumerate(row) if ACTIVITIES.search(cell)]
        for at in columns:
            assert int(row[at + 1]) == sum(minutes for _, minutes in parts_of(row[at])), row
            sums[at + 1] += int(row[at + 1])
        clock = next(at for at, cell in enumerate(row) if re.match(r"\d\d:\d\d|alone", cell))
        if row[clock] != "alone":
            begin, end = (int(h) * 60 + int(m) for h, m in re.findall(r"(\d+):(\d+)", row[clock]))
            assert end - begin == int(row[columns[0] + 1]), row
            assert begin == until.setdefault(tuple(row[:clock]), begin), row
            until[tuple(row[:clock])] = end
    assert {at: int(cell) for at, cell in enumerate(last) if cell.isdigit()} == sums


BELIEFS = rows_of("What students believe")


def test_each_lesson_has_something_that_students_believe() -> None:
    assert len(BELIEFS) >= 15
    assert {row[2][1:3] for row in BELIEFS} == set(LESSON)


@pytest.mark.parametrize("row", BELIEFS, ids=lambda row: row[0])
def test_what_students_believe_is_in_the_notes_and_ends_at_a_slide(row: list[str]) -> None:
    ends = re.fullmatch(r"\[(\d\d), (.+)\]\((\w+)\.ipynb#(.+)\): \*(.+)\*, `(.+)`", row[2])
    assert ends
    number, section, name, anchor, heading, cell_id = ends.groups()
    cells = cells_of(number)
    at = [cell["id"] for cell in cells].index(cell_id)
    assert title(cells[at]) == heading
    assert (name, anchor) == (LESSON[number], section.replace(" ", "-"))
    before = ["".join(c["source"]) for c in cells[: at + 1] if c["cell_type"] == "markdown"]
    assert section in re.findall(r"^## (.+)$", "\n".join(before), re.M)[-2:]
    quoted = re.findall(r'"(.+?)"', row[0])
    notes = "\n".join(str(said(cell, "notes")) for cell in cells)
    assert quoted
    assert [words for words in quoted if words not in notes] == []


def test_slides_and_sections_that_the_guide_links_are_there() -> None:
    assert "#/lesson02-23" in GUIDE
    assert title(next(c for c in cells_of("02") if c["id"] == "lesson02-23"))
    headings = re.findall(r"^## (.+)$", GUIDE, re.M)
    known = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert [link for link in re.findall(r"\]\(#(.+?)\)", GUIDE) if link not in known] == []
    files = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", GUIDE)
    assert [file for file in files if not Path(NOTEBOOKS, file).exists()] == []


def test_what_the_text_around_a_plan_names_is_there() -> None:
    text = "\n".join(GUIDE.split(f"\n## {plan}\n")[1].split("\n## ")[0] for plan in PLANS)
    prose_lines = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    titles = {name for number in LESSON for name in slides(number)}
    named = re.findall(r"\*(.+?)\*", prose_lines)
    assert named
    assert [name for name in named if name not in titles] == []
    afterwards = re.search(r"To try alone afterwards:\s(.+)\.", prose_lines)
    assert afterwards
    for one in afterwards[1].split(", "):
        assert one[3:] == exercises()[one[:2]]["title"]
