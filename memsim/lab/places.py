"""Where an exercise lies: beside its notebook, as handed out, or as its author has it."""

from __future__ import annotations

import os
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from memsim.lab.cases import Puzzle, as_json, puzzle_of
from memsim.lab.compare import Comparator
from memsim.lab.spec import Json, Spec, checked, read_json, read_spec, spec_of
from memsim.lab.variants import PUBLIC, author_s, draw
from memsim.words.errors import BadInput

#: The folder of cases, beside the notebooks.
CASES = "cases"
SOLUTIONS = "solutions"
#: The tag of cells that are not handed out.
WORKED = "worked"
#: The environment variable that names the folder of a course, for nbgrader.
COURSE = "MEMSIM_COURSE"
EXERCISES = "exercises"


@dataclass(frozen=True)
class Found:
    """An exercise and one of its puzzles, with the comparators of its own."""

    spec: Spec
    puzzle: Puzzle
    own: Mapping[str, Comparator]


def find(name: str, number: int | None, beside: Path) -> Found:
    """The exercise of that name, for a notebook in that folder; None: the puzzle handed out.

    BadInput if there is no such exercise, or no such puzzle of it.
    """
    handed, author = beside / CASES / f"{name}.json", _author(name, beside)
    if handed.is_file() and (number is None or not author):
        return _handed(handed, name) if number is None else _practice(handed, name, number)
    if author:
        return of_author(author, PUBLIC if number is None else number)
    raise BadInput(f"{name}: no such exercise in {beside / CASES}; open the notebook in its folder")


def find_all(name: str, number: int, beside: Path) -> Found:
    """The same with the hidden cases. BadInput where they are not."""
    author = _author(name, beside)
    if not author:
        raise BadInput(
            f"{name}: its hidden cases are not here; set {COURSE} to the course's folder"
        )
    return of_author(author, number)


def _author(name: str, beside: Path) -> Path | None:
    """Where the exercise's author has it, if that can be seen from here."""
    courses = [beside.parent, *map(Path, filter(None, [os.environ.get(COURSE)]))]
    folders = [beside / CASES / name, *(course / SOLUTIONS / CASES / name for course in courses)]
    return next((folder for folder in folders if (folder / "exercise.json").is_file()), None)


def of_author(folder: Path, number: int) -> Found:
    """A puzzle of the exercise in its author's folder, hidden cases and all."""
    spec = read_spec(folder / "exercise.json", folder.name)
    return Found(spec, draw(folder, number), own_comparators(folder / "judge.py"))


def handed_json(found: Found, practice: list[Puzzle]) -> Json:
    """What a student is handed: no hidden case, nothing that tells another student's puzzle."""
    return {
        "exercise": found.spec.raw,
        "puzzle": as_json(found.puzzle, hidden=False),
        "practice": [as_json(puzzle, hidden=False) for puzzle in practice],
    }


def own_comparators(path: Path) -> Mapping[str, Comparator]:
    """The functions of a judge.py by name; none where there is no such file."""
    return _functions(path, path.stat().st_mtime_ns) if path.is_file() else {}


@cache
def _functions(path: Path, changed: int) -> Mapping[str, Comparator]:
    with author_s(path):
        return {k: f for k, f in runpy.run_path(str(path)).items() if callable(f) and k[0] != "_"}


def _handed(path: Path, name: str) -> Found:
    told = checked(read_json(path), dict, str(path))
    return _found(path, name, told, told.get("puzzle"))


def _practice(path: Path, name: str, number: int | None) -> Found:
    told = checked(read_json(path), dict, str(path))
    puzzles = {p["number"]: p for p in told.get("practice", []) if isinstance(p, dict)}
    if number not in puzzles:
        others = f"are {', '.join(map(str, puzzles))}" if puzzles else "are in the course's folder"
        raise BadInput(f"{name}: no puzzle {number}; those to practise with {others}")
    return _found(path, name, told, puzzles[number])


def _found(path: Path, name: str, told: Json, puzzle: Any) -> Found:
    number = puzzle.get("number", PUBLIC) if isinstance(puzzle, dict) else PUBLIC
    spec = spec_of(told.get("exercise"), name, f"{path}: exercise")
    made = puzzle_of(puzzle, number, f"{path}: puzzle")
    return Found(spec, made, own_comparators(path.with_name(f"{name}_judge.py")))
