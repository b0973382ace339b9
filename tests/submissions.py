"""What students hand in: notebooks of 01_double, honest ones and others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memsim.lab.skeleton import new_exercise

NAME = "01_double"
RIGHT = "def answers(given):\n    return [2 * n for n in given['numbers']]"
CHECK = "checked = exercise.check()\nchecked"
SETUP = f'from memsim.lab import Exercise\n\nexercise = Exercise("{NAME}")\nexercise'

Cell = dict[str, Any]


def course(folder: Path, *names: str) -> Path:
    """A course of these exercises; else of 01_double."""
    for name in names or (NAME,):
        new_exercise(folder, name)
    return folder


def code(source: Any, grade_id: str = "", kind: str = "code") -> Cell:
    mark = {"nbgrader": {"grade_id": grade_id, "points": 1000}} if grade_id else {}
    return {"cell_type": kind, "metadata": mark, "source": source, "outputs": []}


def answer(source: Any = RIGHT, kind: str = "code") -> Cell:
    return code(source, "answer", kind)


def notebook(*cells: Any, **more: Any) -> bytes:
    """A notebook of these cells; without any, an honest one."""
    honest = [code(SETUP), code("exercise.predict()"), answer(), code(CHECK, "check")]
    told = {"cells": list(cells) or honest, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps({**told, **more}).encode()


def hand_in(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files, by their paths in it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
