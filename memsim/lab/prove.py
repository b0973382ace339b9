"""Is an exercise fit for students? What its author wrote is run: solution, stub, mistakes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memsim.lab.cases import Case, Puzzle
from memsim.lab.cut import cut_notebook
from memsim.lab.places import CASES, SOLUTIONS, Found, of_author
from memsim.lab.script import names_used, run_script
from memsim.lab.variants import PUBLIC, draw, mistakes_in
from memsim.lab.verdict import Answer, Verdict, judge, points, recognised
from memsim.words.errors import BadInput

Names = dict[str, Any]


def faults(course: Path, name: str, puzzles: int) -> Iterator[str]:
    """Everything that is wrong with it in so many puzzles, one line each; nothing if it is fit."""
    path, folder = course / SOLUTIONS / f"{name}.ipynb", course / SOLUTIONS / CASES / name
    try:
        found = of_author(folder, PUBLIC)
        drawn = [draw(folder, number) for number in range(puzzles)]
        yield from _solution_faults(path, found, drawn)
        yield from _stub_faults(path, found)
        yield from _mistake_faults(found, mistakes_in(folder), drawn[: -(-puzzles // 4)])
        yield from _draw_faults(folder, drawn)
    except BadInput as error:
        yield str(error)


def _solution_faults(path: Path, found: Found, drawn: list[Puzzle]) -> Iterator[str]:
    """The solution gets full marks in every puzzle, hidden cases too."""
    names = run_cells(path.read_bytes(), path)
    for puzzle in drawn:
        for verdict in verdicts(found, puzzle, names):
            if not verdict.is_right:
                where = f"puzzle {puzzle.number}: {verdict.case.name}"
                yield f"{where}: the solution is wrong: {_told(verdict)}"
                return


def _stub_faults(path: Path, found: Found) -> Iterator[str]:
    """Untouched, it gets nothing, and says that it is not written yet."""
    got = verdicts(found, found.puzzle, run_cells(cut_notebook(path), path))
    if points(found.spec, got):
        yield f"an untouched exercise gets {points(found.spec, got)} points"
    if not any("NotImplementedError" in verdict.failure for verdict in got):
        yield "an untouched exercise does not say that it is not written yet"


def _mistake_faults(
    found: Found, mistakes: Mapping[str, Any], drawn: list[Puzzle]
) -> Iterator[str]:
    """Each mistake of exercise.json is one of cases.py, recognised, and never worth full marks."""
    for key in sorted(found.spec.mistakes.keys() ^ mistakes.keys()):
        yield f"mistakes: {key}: is in one of exercise.json and MISTAKES only"
    for key in sorted(found.spec.mistakes.keys() & mistakes.keys()):
        names = standing_for(found.puzzle, mistakes[key])
        seen = [v for v in verdicts(found, found.puzzle, names) if v.case.visible]
        if recognised(seen) != key:
            yield f"mistakes: {key}: is not recognised in the visible cases"
        for puzzle in drawn:
            got = verdicts(found, puzzle, standing_for(puzzle, mistakes[key]))
            if all(verdict.is_right for verdict in got):
                yield f"mistakes: {key}: gets full marks in puzzle {puzzle.number}"
                break


def _draw_faults(folder: Path, drawn: list[Puzzle]) -> Iterator[str]:
    """The same number is the same puzzle, and other numbers are other puzzles."""
    if not (folder / "cases.py").is_file():
        return
    if drawn[:5] != [draw(folder, puzzle.number) for puzzle in drawn[:5]]:
        yield "the same number gives another puzzle: draw from rng alone"
    different = len({repr((puzzle.given, puzzle.cases)) for puzzle in drawn})
    if different < len(drawn) // 4:
        yield f"only {different} of {len(drawn)} puzzles are different"


def run_cells(notebook: bytes, path: Path) -> Names:
    """What names stand for when all code cells have run, in the notebook's folder.

    BadInput where one of them fails. The author's notebook is trusted: it runs as it is.
    """
    import nbformat

    names: Names = {"__name__": "__main__"}
    cells = nbformat.reads(notebook.decode(), 4).cells  # type: ignore[no-untyped-call]
    with contextlib.chdir(path.parent), contextlib.redirect_stdout(io.StringIO()):
        for cell in cells:
            if cell.cell_type == "code":
                _run(cell, names, path)
    return names


def _run(cell: Any, names: Names, path: Path) -> None:
    try:
        exec(compile(cell.source, f"<{cell.get('id')}>", "exec"), names)
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise BadInput(f"{path}: cell {cell.get('id')}: {said}") from error


def verdicts(found: Found, puzzle: Puzzle, names: Mapping[str, Any]) -> list[Verdict]:
    """All cases of a puzzle, hidden ones too, with these functions and classes."""
    return [judge(found.spec, case, _answer(case, names), found.own) for case in puzzle.cases]


def _answer(case: Case, names: Mapping[str, Any]) -> Answer:
    answers: list[Any] = []
    try:
        return Answer(run_script(names, case.script, answers))
    except Exception as error:
        return Answer(answers, repr(error))


def standing_for(puzzle: Puzzle, thing: Any) -> Names:
    """Names of a notebook in which that function or class stands for the student's."""
    return {name: thing for case in puzzle.cases for name in names_used(case.script)}


def _told(verdict: Verdict) -> str:
    return verdict.failure or verdict.note or f"it answers {verdict.got!r:.200}"
