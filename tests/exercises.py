"""The exercises of the course, and what of a notebook runs without Jupyter."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from memsim.lab.cases import Case, Puzzle
from memsim.lab.places import CASES, SOLUTIONS, Found
from memsim.lab.script import names_used, run_script
from memsim.lab.verdict import Answer, Verdict, judge

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / SOLUTIONS).glob("*.ipynb"))


def folder_of(name: str) -> Path:
    """Where the exercise's author has it."""
    return ROOT / SOLUTIONS / CASES / name


def notebook_of(folder: str, name: str) -> Any:
    return nbformat.read(ROOT / folder / f"{name}.ipynb", 4)


def run_notebook(folder: str, name: str) -> dict[str, Any]:
    """What the names of the notebook stand for after all its cells have run, in its folder."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(ROOT / folder), contextlib.redirect_stdout(io.StringIO()):
        for cell in notebook_of(folder, name).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, f"<{name}>", "exec"), names)
    return names


def verdicts(found: Found, puzzle: Puzzle, names: Mapping[str, Any]) -> list[Verdict]:
    """All cases of a puzzle, hidden ones too, with these functions and classes."""
    return [_verdict(found, case, names) for case in puzzle.cases]


def _verdict(found: Found, case: Case, names: Mapping[str, Any]) -> Verdict:
    try:
        answer = Answer(run_script(names, case.script, []))
    except Exception as error:
        answer = Answer([], repr(error))
    return judge(found.spec, case, answer, found.own)


def standing_for(puzzle: Puzzle, thing: Any) -> dict[str, Any]:
    """Names of a notebook in which that function or class stands for the student's."""
    return {name: thing for case in puzzle.cases for name in names_used(case.script)}
