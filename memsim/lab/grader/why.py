"""Why a student got so many points: every case, hidden ones too, for the instructor alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from memsim.lab.grader.journal import JOURNAL, Journal
from memsim.lab.grader.pages import points_of
from memsim.lab.grader.results import Result, flags_of
from memsim.lab.spec import Json
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

_WIDTH = 200


def why(folder: Path, student: str, exercises: Sequence[str]) -> list[str]:
    """Lines on what a student got for these exercises. BadInput where nothing is known."""
    path = folder / JOURNAL
    if not path.is_file():
        raise BadInput(f"{path}: No such file or directory; --out says where you graded")
    with Journal(path) as journal:
        told = [journal.history(student, exercise) for exercise in exercises]
    lines = [line for results in told if results for line in _exercise(results)]
    if not lines:
        raise BadInput(f"{path}: has no result of {one_line(student, 60)} for these exercises")
    return lines


def _exercise(results: Sequence[Result]) -> Iterator[str]:
    *older, result = results
    before = ", ".join(points_of(one.score, one.max) for one in older)
    yield (
        f"{result.student} {result.exercise}: {points_of(result.score, result.max)}, "
        f"{result.outcome}{f'; before: {before}' if before else ''}"
    )
    for flag in flags_of(result):
        yield f"  flag: {one_line(flag, _WIDTH)}"
    if result.mistake:
        yield f"  known mistake: {result.mistake}"
    yield from map(_case, result.cases)
    if result.printed.strip():
        yield f"  printed: {one_line(result.printed.strip(), _WIDTH)}"


def _case(case: Json) -> str:
    seen = "visible" if case["visible"] else "hidden"
    word = "right" if case["score"] == 1 else f"{case['score']:.0%}" if case["score"] else "wrong"
    line = f"  {word:5} {seen:7} {one_line(case['name'], 80)}"
    if case["score"] == 1:
        return line
    got = case["failure"] or one_line(case["got"], _WIDTH)
    note = f"; {one_line(case['note'], _WIDTH)}" if case["note"] else ""
    return f"{line}\n        expected {one_line(case['expected'], _WIDTH)}\n        got {got}{note}"
