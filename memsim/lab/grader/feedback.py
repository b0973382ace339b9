"""What a student is told: a page with the visible cases, and of the hidden ones how many are right.

Of a hidden case nothing is shown that a student's code said while it ran: it knew the arguments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from memsim.files import write_whole
from memsim.lab.grader.pages import (
    folded,
    items,
    page,
    paragraph,
    points_of,
    prose,
    table,
    text,
    value_of,
)
from memsim.lab.grader.results import (
    GRADER_FAILED,
    MAX_PRINTED,
    MISSING,
    NOT_DEFINED,
    RAN,
    UNREADABLE,
    Result,
)
from memsim.lab.spec import Json, Spec
from memsim.words.errors import BadInput

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_OUTCOMES = {
    "time limit": "The time was up before your code had answered.",
    "memory": "Your code needed more memory than it is given.",
    "crashed": "Python itself ended while your code ran.",
    NOT_DEFINED: "What the exercise asks for is not defined in your notebook.",
    "not plain data": "What your code returned is no plain data: numbers, texts, lists, dicts.",
    MISSING: "There was nothing to run.",
    UNREADABLE: "Your file could not be read, so there is no grade; ask your instructor.",
    GRADER_FAILED: "The grader failed, not you: there is no grade yet.",
}


def feedback(student: str, results: Iterable[Result], specs: Mapping[str, Spec]) -> str:
    """The page of a student: all exercises that are in `results`, by name."""
    own = sorted((r for r in results if r.student == student), key=lambda r: r.exercise)
    graded = [result for result in own if result.score is not None]
    total = sum(result.score or 0 for result in graded)
    of = sum(result.max for result in graded)
    parts = [paragraph(f"{points_of(total, of)} in all; exercises graded: {len(graded)}")]
    for result in own:
        parts += _exercise(result, specs.get(result.exercise))
    return page(f"Feedback for {student}", parts)


def write_feedback(
    folder: Path, results: Iterable[Result], specs: Mapping[str, Spec]
) -> dict[str, Path]:
    """A page for each student in the folder, which is made; returns where. BadInput: no room.

    The results come student by student, as from the journal; those of one are kept at a time.
    """
    places: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for student, own in groupby(results, key=lambda result: result.student):
            if student in places:
                raise ValueError(f"results of {student} are not in one row")
            places[student] = folder / file_name(student)
            write_whole(places[student], feedback(student, own, specs).encode())
    except OSError as error:
        raise BadInput(f"{error.filename or folder}: {error.strerror}") from None
    return places


def file_name(student: str) -> str:
    """A name for a student's page that is a file's name everywhere, and nobody else's."""
    if _PLAIN.fullmatch(student):
        return f"{student}.html"
    plain = re.sub(r"[^A-Za-z0-9]+", "_", student)[:40].strip("_")
    return f"{plain or 'student'}-{_digest(student)}.html"


def _digest(student: str) -> str:
    return hashlib.sha256(student.encode(errors="surrogatepass")).hexdigest()[:12]


def _exercise(result: Result, spec: Spec | None) -> Iterator[str]:
    title = f"{result.exercise[:2]} {spec.title}" if spec else result.exercise
    yield f"<section><h2>{text(title)}: {text(points_of(result.score, result.max))}</h2>"
    if result.reason:
        yield paragraph(result.reason, "said")
    if result.outcome not in (RAN, NOT_DEFINED if result.reason else RAN):
        yield paragraph(_OUTCOMES.get(result.outcome, result.outcome), "said")
    if result.flags and result.outcome != GRADER_FAILED:  # why it failed may tell what is hidden
        yield items(result.flags)
    if spec and result.mistake in spec.mistakes:
        yield paragraph(spec.mistakes[result.mistake], "said", prose)
    if result.cases:
        right = sum(case["score"] == 1 for case in result.cases)
        yield paragraph(f"{right} of {len(result.cases)} cases are right; each is worth the same.")
    yield from _visible([case for case in result.cases if case["visible"]])
    yield from _hidden([case for case in result.cases if not case["visible"]])
    if result.printed.strip():
        yield folded("What your code printed", f"<pre>{text(result.printed, MAX_PRINTED)}</pre>")
    yield "</section>"


def _visible(cases: Sequence[Json]) -> Iterator[str]:
    if cases:
        heads = ("case", "", "expected", "yours")
        yield table("Visible cases", heads, [_visible_row(case) for case in cases])


def _visible_row(case: Json) -> tuple[str, str, str, str]:
    score = case["score"]
    word = '<span class="right">right</span>'
    if score < 1:
        word = f'<span class="wrong">{f"{int(score * 100)}%" if score else "wrong"}</span>'
    said = "".join(paragraph(case[key]) for key in ("failure", "note") if case[key])
    got = "" if case["failure"] and case["got"] is None else value_of(case["got"])
    return prose(case["name"]), word, value_of(case["expected"]), got + said


def _hidden(cases: Sequence[Json]) -> Iterator[str]:
    groups: dict[str, list[Json]] = {}
    for case in cases:
        groups.setdefault(case["group"] or "more cases", []).append(case)
    if groups:
        yield "<h3>Cases that are not shown</h3>"
        rows = [_group_row(name, inner) for name, inner in groups.items()]
        yield table("Cases that are not shown", ("group", "right", "hint"), rows)


def _group_row(name: str, cases: Sequence[Json]) -> tuple[str, str, str]:
    wrong = [case for case in cases if case["score"] < 1]
    hints = dict.fromkeys(case["hint"] for case in wrong if case["hint"])
    parts = sum(case["score"] > 0 for case in wrong)
    right = f"{len(cases) - len(wrong)} of {len(cases)}"
    return (
        prose(name),
        right + (f", {parts} in part" if parts else ""),
        "<br>".join(map(prose, hints)),
    )
