"""Grades as CSV: as `nbgrader export` writes them, for Canvas, and for Moodle.

Where there is no grade the cell is empty, never 0. What a student could have written is made
harmless for spreadsheets, which take a text that begins with = for a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from memsim.files import write_whole
from memsim.lab.grader.results import Result, newest
from memsim.lab.roster import Student
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: What formulas begin with; the wide forms, as some spreadsheets take them for the same.
_FORMULA = tuple("=+-@\t\r\n|%＝＋－＠")
_NBGRADER = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
    "raw_score", "late_submission_penalty", "score", "max_score",
)  # fmt: skip
_CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_MOODLE = ("ID number", "First name", "Last name", "Email address")

#: The roster by student; an empty one: everybody who handed in.
Roster = Mapping[str, Student]
Cell = str | float | None


def as_nbgrader(results: Sequence[Result], roster: Roster) -> str:
    """A row for each student and exercise, in the columns of `nbgrader export`."""
    rows: list[list[Cell]] = [list(_NBGRADER)]
    table = newest(results)
    for name, points in _points(results).items():
        for student, about in _students(results, roster).items():
            score = _score(table, student, name)
            last, first, email = _names(about)
            penalty = None if score is None else 0
            rows.append([name, "", "", student, last, first, email, score, penalty, score, points])
    return _csv(rows)


def as_canvas(results: Sequence[Result], roster: Roster) -> str:
    """A gradebook of Canvas: a column for each exercise, the points possible in the second row.

    Of the roster the columns name, canvas_id, sis_id, login and section are used.
    """
    points = _points(results)
    rows: list[list[Cell]] = [
        [*_CANVAS, *points],
        ["    Points Possible", "", "", "", "", *points.values()],
    ]
    table = newest(results)
    for student, about in _students(results, roster).items():
        who = _full_name(about) or student
        ids = about.get("canvas_id", ""), about.get("sis_id") or student
        more = about.get("login") or student, about.get("section", "")
        rows.append([who, *ids, *more, *(_score(table, student, name) for name in points)])
    return _csv(rows)


def as_moodle(results: Sequence[Result], roster: Roster) -> str:
    """For Moodle's import of grades, mapped by "ID number": a column for each exercise."""
    points = _points(results)
    rows: list[list[Cell]] = [[*_MOODLE, *points]]
    table = newest(results)
    for student, about in _students(results, roster).items():
        last, first, email = _names(about)
        scores = (_score(table, student, name) for name in points)
        rows.append([student, first, last, email, *scores])
    return _csv(rows)


def not_on_roster(results: Iterable[Result], roster: Roster) -> list[str]:
    """Students who are graded and in no export, for the roster does not have them."""
    return sorted({r.student for r in results} - roster.keys()) if roster else []


def write_exports(folder: Path, results: Iterable[Result], roster: Roster) -> list[Path]:
    """Write grades-nbgrader.csv, grades-canvas.csv and grades-moodle.csv. BadInput: no room."""
    scores = [replace(result, cases=[]) for result in results]  # cases are large
    made = {"nbgrader": as_nbgrader, "canvas": as_canvas, "moodle": as_moodle}
    paths = []
    for name, make in made.items():
        path = folder / f"grades-{name}.csv"
        try:
            write_whole(path, make(scores, roster).encode())
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        paths.append(path)
    return paths


def harmless(text: str) -> str:
    """The text on one line; where a spreadsheet would take it for a formula, behind a '."""
    line = one_line(text, 1000)
    return f"'{line}" if text.lstrip(" ").startswith(_FORMULA) else line


def _points(results: Iterable[Result]) -> dict[str, int]:
    """The exercises and what each is worth, by name."""
    return dict(sorted((result.exercise, result.max) for result in results))


def _students(results: Iterable[Result], roster: Roster) -> dict[str, Student]:
    return dict(roster) or {student: {} for student in sorted({r.student for r in results})}


def _names(about: Student) -> tuple[str, str, str]:
    """Last name, first name, mail; a name in one column is the first name."""
    first = about.get("first_name") or about.get("name", "")
    return about.get("last_name", ""), first, about.get("email", "")


def _full_name(about: Student) -> str:
    return (
        about.get("name") or f"{about.get('first_name', '')} {about.get('last_name', '')}".strip()
    )


def _score(table: Mapping[tuple[str, str], Result], student: str, name: str) -> float | None:
    result = table.get((student, name))
    return None if result is None else result.score


def _csv(rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(c) for c in row] for row in rows)
    return text.getvalue()


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return harmless(value)
    return str(int(value)) if value == int(value) else str(round(value, 2))
