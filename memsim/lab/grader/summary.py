"""What `memsim grade` prints: for people, and for programs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from memsim.lab.grader.course_run import Graded
from memsim.lab.grader.results import Result, flags_of, to_look_at
from memsim.lib.text import one_line

_LINES = 40


def as_text(graded: Graded) -> str:
    """Points by student, what is to be looked at, and where everything is."""
    by_student: dict[str, list[Result]] = {}
    for result in graded.results:
        by_student.setdefault(result.student, []).append(result)
    lines = [_student(name, results) for name, results in sorted(by_student.items())]
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... and {len(lines) - _LINES} students more"]
    lines += [f"look at: {line}" for line in _to_look_at(graded)]
    outcomes = Counter(result.outcome for result in graded.results)
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    lines.append(f"{len(graded.results)} results ({told}), {graded.newly} of them new")
    lines.append(f"sandbox: {graded.mode}")
    lines.append(
        f"{graded.folder}: grades-*.csv, feedback/, class.html, journal.sqlite, audit.jsonl"
    )
    return "\n".join(lines)


def _student(name: str, results: list[Result]) -> str:
    graded = [result for result in results if result.score is not None]
    total = f"{sum(r.score or 0 for r in graded):g} of {sum(r.max for r in graded)}"
    left = len(results) - len(graded)
    return f"{name}: {total}{f', {left} without a grade' if left else ''}"


def _to_look_at(graded: Graded) -> list[str]:
    """Flags, then files that are left aside: neither hides the other."""
    flags = [
        f"{result.student} {result.exercise}: {one_line('; '.join(flags), 300)}"
        for result in graded.results
        if (flags := to_look_at(result))
    ]
    return [*_most(flags), *_most([one_line(note, 300) for note in graded.notes])]


def _most(told: list[str]) -> list[str]:
    more = f"and {len(told) - _LINES} more: --json prints all"
    return told if len(told) <= _LINES else [*told[:_LINES], more]


def as_json(graded: Graded) -> dict[str, Any]:
    """Each result: score (null: no grade), max, outcome, flags; and where the files are."""
    return {
        "mode": graded.mode,
        "folder": str(graded.folder),
        "new": graded.newly,
        "notes": list(graded.notes),
        "results": [
            {
                "student": result.student, "exercise": result.exercise, "score": result.score,
                "max": result.max, "outcome": result.outcome, "flags": list(flags_of(result)),
            }
            for result in graded.results
        ],
    }  # fmt: skip
