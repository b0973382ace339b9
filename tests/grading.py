"""A class to be graded: its course, its students, two of them hostile, and what is due to each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from memsim.lab.grader.course_run import Class
from memsim.lab.grader.journal import Journal
from memsim.lab.grader.walls import why_not
from memsim.lab.release import release_class
from memsim.lab.roster import read_roster
from memsim.lab.skeleton import new_exercise

NO_WALLS = bool(why_not("bwrap") and why_not("landlock"))

NAME = "01_double"
SECRET = b"a secret of the course"
RIGHT = "def answers(given):\n    return [2 * number for number in given['numbers']]\n"
HALF = "def answers(given):\n    return [2 * number for number in given['numbers'][:2]]\n"
SQUARED = "def answers(given):\n    return [number * number for number in given['numbers']]\n"
HOSTILE = (
    "import os\nopen('/etc/passwd').read()\n" + RIGHT,
    "class Any(int):\n    def __eq__(self, other): return True\n"
    "def answers(given):\n    return [Any(0)] * 4\n",
)


def class_of(tmp_path: Path, students: int) -> tuple[Class, Path]:
    """A course, its roster, and what its students handed in."""
    course, handed_in = tmp_path / "course", tmp_path / "handed in"
    new_exercise(course, NAME)
    roster = tmp_path / "roster.csv"
    roster.write_text("id\n" + "".join(f"s{n:02}\n" for n in range(students)))
    about = Class(course, read_roster(roster), SECRET)
    release_class(course, handed_in, about.roster, SECRET)
    for number, student in enumerate(about.roster):
        source = HOSTILE[number] if number < 2 else (RIGHT, HALF, SQUARED)[number % 3]
        write(handed_in / student / f"{NAME}.ipynb", source)
    return about, handed_in


def write(path: Path, source: str) -> None:
    notebook: Any = nbformat.read(path, 4)
    (answer,) = [cell for cell in notebook.cells if "YOUR CODE HERE" in cell.source]
    answer.source = source
    nbformat.write(notebook, path)


def scores(folder: Path) -> dict[str, float | None]:
    with Journal(folder / "journal.sqlite") as journal:
        return {result.student: result.score for result in journal.results()}


def expected(students: int) -> dict[str, float]:
    """By number: the first reads what is not there, the second lies; then right, half, squared."""
    of_kind = {0: 4.0, 1: 2.0, 2: 0.0}
    told = {f"s{n:02}": of_kind[n % 3] for n in range(students)}
    return told | {"s00": 0.0, "s01": 0.0}
