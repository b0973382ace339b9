"""Exercises are solvable, cut from solutions, worth nothing untouched, and know their mistakes."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from exercises import NAMES, ROOT, folder_of, notebook_of, run_notebook, standing_for, verdicts
from memsim.lab.cut import cut_course, write_exercises
from memsim.lab.places import EXERCISES, SOLUTIONS, WORKED, of_author
from memsim.lab.spec import read_spec
from memsim.lab.variants import PUBLIC, draw, mistakes_in
from memsim.lab.verdict import points, recognised

VARIANTS = 200
#: How many puzzles of so many are different, at least.
DIFFERENT = 50
#: A solution has so many lines at most in a cell; what is longer belongs into a package.
CELL_LINES = 45

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
def test_a_solution_gets_full_marks_hidden_cases_and_all(name: str) -> None:
    names = run_notebook(SOLUTIONS, name)
    assert names["checked"].ok, names["checked"]
    assert names["checked"].hidden == 0
    assert any(not case.visible for case in of_author(folder_of(name), PUBLIC).puzzle.cases)


@each
def test_an_untouched_exercise_gets_nothing_and_says_what_to_do(name: str) -> None:
    names = run_notebook(EXERCISES, name)
    assert not any(verdict.score for verdict in names["checked"].verdicts)
    assert "is not written yet" in str(names["checked"])
    untold = names["checked"]._repr_html_().count("<td></td>")
    assert untold == sum(bool(v.failure) for v in names["checked"].verdicts), "it tells"
    found = of_author(folder_of(name), PUBLIC)
    assert points(found.spec, verdicts(found, found.puzzle, names)) == 0


@each
def test_a_stub_says_plainly_what_to_do(name: str) -> None:
    stubs = [c.source for c in notebook_of(EXERCISES, name).cells if "YOUR CODE HERE" in c.source]
    assert stubs
    for stub in stubs:
        for node in ast.parse(stub).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                assert ast.get_docstring(node), f"{node.name}: says nothing"


@each
def test_every_known_mistake_is_recognised_and_costs_points(name: str) -> None:
    found, mistakes = of_author(folder_of(name), PUBLIC), mistakes_in(folder_of(name))
    assert found.spec.mistakes.keys() == mistakes.keys()
    assert mistakes
    for key, thing in mistakes.items():
        names = standing_for(found.puzzle, thing)
        seen = [v for v in verdicts(found, found.puzzle, names) if v.case.visible]
        assert recognised(seen) == key, [(v.case.name, v.got, v.failure) for v in seen]
        assert points(found.spec, verdicts(found, found.puzzle, names)) < found.spec.points


@each
def test_every_variant_is_solvable_and_the_same_seed_is_the_same_puzzle(name: str) -> None:
    solved, found = run_notebook(SOLUTIONS, name), of_author(folder_of(name), PUBLIC)
    puzzles = [draw(folder_of(name), number) for number in range(VARIANTS)]
    assert puzzles[:5] == [draw(folder_of(name), number) for number in range(5)]
    assert len({repr(puzzle.given) + repr(puzzle.cases) for puzzle in puzzles}) >= DIFFERENT
    for puzzle in puzzles:
        got = verdicts(found, puzzle, solved)
        assert all(v.is_right for v in got), [(puzzle.number, v) for v in got if not v.is_right][:1]


@each
def test_no_mistake_gets_full_marks_in_any_variant(name: str) -> None:
    found, mistakes = of_author(folder_of(name), PUBLIC), mistakes_in(folder_of(name))
    for number in range(VARIANTS // 4):
        puzzle = draw(folder_of(name), number)
        for key, thing in mistakes.items():
            got = verdicts(found, puzzle, standing_for(puzzle, thing))
            assert not all(verdict.is_right for verdict in got), (number, key)


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
    assert [cell for cell in cells if WORKED in cell.metadata.get("tags", [])]
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
