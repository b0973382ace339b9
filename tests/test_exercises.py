"""Exercises are solvable, cut from solutions, worth nothing untouched, and know their mistakes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from exercises import NAMES, ROOT, folder_of, notebook_of
from memsim.lab.cut import cut_course, write_exercises
from memsim.lab.places import EXERCISES, SOLUTIONS, Found, of_author
from memsim.lab.prove import faults, run_cells, standing_for, verdicts
from memsim.lab.spec import read_spec
from memsim.lab.variants import PUBLIC
from memsim.lab.verdict import Verdict, recognised

#: How many variants of each exercise; all 200 are for test-long.
VARIANTS = 50
#: Each variant of these runs machines that are short of memory.
FEWER = {"46_no_stalls": 10, "49_settle_a_driver": 10}
#: A solution has so many lines at most in a cell; what is longer belongs into a package.
CELL_LINES = 45
#: What exercise 44 asks for.
REPORT = ("runs", "stalls", "pages", "longest", "who", "order")

#: So many puzzles each wrong answer is tried on.
PUZZLES = 8
#: Solutions with a part replaced, and the mistake that is named: "" where it is none of the known.
SPOILT = [
    ("43_find_top_down", "base, start, 1", "base, 1", "no_start"),
    ("43_find_top_down", "min(top, end) - size", "min(top - size, end - 1)", "past_end"),
    ("43_find_top_down", "min(top, end)", "top", "no_end"),
    ("44_who_reclaimed", 'max(order, int(values["order"]))', 'int(values["order"])', "last_order"),
    ("45_another_round", "loops > 16", "loops >= 16", "early_limit"),
    ("45_another_round", "loops > 16", "loops > 17", "late_limit"),
    ("46_no_stalls", "], factor]", "], 3000]", "far_too_much"),
    ("46_no_stalls", '["late"] + 8', '["late"] + 4', "no_lag"),
    ("46_no_stalls", "-(-distance * 10_000 // given[", "(distance * 10_000 // given[", "no_lag"),
    ("48_who_is_killed", ' or p["pid"] == 1', "", "kills_init"),
    ("48_who_is_killed", "points >= most", "points > most", "first_of_equals"),
]
#: A plan of exercise 49 for which nobody is killed, and the mistake that its end shows.
PLANS = [
    ("GFP_KERNEL", ["block"], "sleeps"),
    ("GFP_ATOMIC", ["block"], "blocks_for_all"),
    ("GFP_ATOMIC", ["block", "kvmalloc"], ""),
]
#: Answers that have nothing to do with what is asked.
BLIND: list[tuple[str, Callable[..., Any]]] = [
    ("43_find_top_down", lambda *asked: 0),
    ("44_who_reclaimed", lambda given: dict.fromkeys(REPORT, 0)),
    ("45_another_round", lambda request, zones: [True, 0]),
    ("45_another_round", lambda request, zones: [False, request["loops"] + 1]),
    ("48_who_is_killed", lambda *asked: 0),
]

each = pytest.mark.parametrize("name", NAMES)


def test_exercises_are_what_solutions_are_cut_to(tmp_path: Path) -> None:
    write_exercises(cut_course(ROOT), tmp_path, lambda name: PUBLIC)
    cut = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    here = {
        p.relative_to(ROOT / EXERCISES): p.read_bytes()
        for p in (ROOT / EXERCISES).rglob("*")
        if p.is_file() and p.suffix in {".ipynb", ".json", ".py"} and p.name[0] != "."
        and ".ipynb_checkpoints" not in p.parts and "__pycache__" not in p.parts
    }  # fmt: skip
    differ = sorted(str(p) for p in cut.keys() | here.keys() if cut.get(p) != here.get(p))
    assert not differ, f"run `make exercises`: {differ}"


@each
@pytest.mark.alone
def test_an_exercise_is_fit_for_students(name: str) -> None:
    """Solvable in every variant, worth nothing untouched, its mistakes recognised and costly."""
    assert list(faults(ROOT, name, FEWER.get(name, VARIANTS))) == []


@pytest.mark.long
@each
def test_an_exercise_is_fit_in_every_variant(name: str) -> None:
    assert list(faults(ROOT, name, 200)) == []


def seen(name: str, number: int, names: Mapping[str, Any]) -> tuple[list[Verdict], str]:
    """All verdicts on these functions, and the mistake that a student is told."""
    found = _puzzle(name, number)
    got = verdicts(found, found.puzzle, names)
    return got, recognised([verdict for verdict in got if verdict.case.visible])


@cache
def _puzzle(name: str, number: int) -> Found:
    return of_author(folder_of(name), number)


def spoilt(name: str, part: str, instead: str) -> dict[str, Any]:
    """The functions of a solution in which that part is replaced."""
    (cell,) = [c for c in notebook_of(SOLUTIONS, name).cells if "BEGIN SOLUTION" in c.source]
    assert cell.source.count(part) == 1
    names: dict[str, Any] = {}
    exec(cell.source.replace(part, instead), names)
    return names


@pytest.mark.parametrize(("name", "part", "instead", "mistake"), SPOILT)
def test_a_solution_with_one_mistake_loses_points_and_is_told_which(
    name: str, part: str, instead: str, mistake: str
) -> None:
    for number in range(PUZZLES):
        got, told = seen(name, number, spoilt(name, part, instead))
        assert not all(verdict.is_right for verdict in got), number
        assert told == mistake, number


@pytest.mark.parametrize(("mask", "ways", "mistake"), PLANS)
def test_a_plan_is_told_what_became_of_it(mask: str, ways: list[str], mistake: str) -> None:
    """Not that somebody is killed where nobody was, though the mask might have done it."""
    name = "49_settle_a_driver"
    for number in range(PUZZLES):
        plan = {"settle": lambda given: [[at, mask, ways] for at in range(len(given["wants"]))]}
        got, told = seen(name, number, plan)
        assert not any(verdict.is_right or "killed" in verdict.note for verdict in got), number
        assert told == mistake, number


@pytest.mark.parametrize(("name", "answer"), BLIND)
def test_an_answer_to_nothing_is_told_no_mistake(name: str, answer: Callable[..., Any]) -> None:
    for number in range(PUZZLES):
        got, told = seen(name, number, standing_for(_puzzle(name, number).puzzle, answer))
        assert not all(verdict.is_right for verdict in got), number
        assert told == "", number


@each
def test_an_untouched_exercise_says_what_to_do_and_tells_nothing(name: str) -> None:
    path = ROOT / EXERCISES / f"{name}.ipynb"
    checked = run_cells(path.read_bytes(), path)["checked"]
    assert not any(verdict.score for verdict in checked.verdicts)
    assert "is not written yet" in str(checked)
    untold = checked._repr_html_().count("<td></td>")
    assert untold == sum(bool(v.failure) for v in checked.verdicts), "it tells"


@each
def test_an_exercise_says_what_it_teaches_and_where_the_kernel_does_it(name: str) -> None:
    spec = read_spec(folder_of(name) / "exercise.json", name)
    cells = notebook_of(SOLUTIONS, name).cells
    assert (ROOT / "notebooks" / f"{spec.lesson}.ipynb").is_file()
    text = "\n".join(cell.source for cell in cells)
    assert f"../notebooks/{spec.lesson}.ipynb" in text
    assert "What the kernel really does" in text
    for where in spec.kernel:
        assert re.fullmatch(r"[\w/.-]+\.[chS] \w+(\(\))?|Documentation/\S+", where), where
    for cell in cells:
        assert len(cell.source.splitlines()) <= CELL_LINES or cell.cell_type != "code"
        assert not cell.get("outputs")


@each
def test_links_of_an_exercise_lead_somewhere(name: str) -> None:
    text = "\n".join(c.source for c in notebook_of(SOLUTIONS, name).cells)
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text):
        assert target.startswith("https://") or (ROOT / EXERCISES / target).is_file(), target


@each
def test_its_lesson_names_it_with_its_minutes(name: str) -> None:
    spec = read_spec(folder_of(name) / "exercise.json", name)
    row = f"| [{name[:2]} {spec.title}](../exercises/{name}.ipynb) | "
    lines = "\n".join(cell.source for cell in notebook_of("notebooks", spec.lesson).cells)
    (line,) = [line for line in lines.splitlines() if line.startswith(row)]
    assert line.endswith(f" | {spec.minutes} |")


def test_levels_topics_and_lessons_are_covered() -> None:
    specs = [read_spec(folder_of(name) / "exercise.json", name) for name in NAMES]
    levels = Counter(spec.level for spec in specs)
    assert levels["read"] >= 12
    assert levels["write"] >= 13
    assert levels["design"] >= 9
    lessons = Counter(spec.lesson for spec in specs)
    taught = {p.stem for p in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert {lesson for lesson in taught if lessons[lesson] < 2} == set()


def test_what_is_handed_out_has_no_hidden_case_and_no_secret() -> None:
    for name in NAMES:
        text = (ROOT / EXERCISES / "cases" / f"{name}.json").read_text()
        told: Any = json.loads(text)
        assert all(case.get("visible", True) for case in told["puzzle"]["cases"])
        assert told["puzzle"]["hidden"] > 0
        assert "BEGIN HIDDEN" not in text
