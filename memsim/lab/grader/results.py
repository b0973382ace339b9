"""What the parts of the grader hand to each other: one submission, one result."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from memsim.lab.spec import Json, checked
from memsim.lab.verdict import Verdict
from memsim.words.errors import BadInput

RAN = "ran"
TIME_LIMIT = "time limit"
MEMORY = "memory"
CRASHED = "crashed"
NOT_DEFINED = "not defined"
NOT_PLAIN = "not plain data"
#: There is nothing to run: 0 points, flagged.
MISSING = "missing"
#: Nobody can tell what is in it: no grade, flagged.
UNREADABLE = "unreadable"
#: The grader's own fault: no grade, and the next run tries again.
GRADER_FAILED = "grader failed"

OUTCOMES = (
    RAN, TIME_LIMIT, MEMORY, CRASHED, NOT_DEFINED, NOT_PLAIN, MISSING, UNREADABLE, GRADER_FAILED,
)  # fmt: skip
_NO_GRADE = (UNREADABLE, GRADER_FAILED)
#: Of those who did nothing, which is not worth a word.
NOTHING = "nothing was handed in"
#: Of namesakes: there are files, and nobody knows whose.
UNSURE = "files of somebody with the same name are there"
#: Of those who handed in files, of which none can be read as a notebook of that exercise.
ASIDE = "what was handed in is no notebook that can be read; ask for the .ipynb"
#: Nothing is there to be run, and what was graded before goes on counting.
NOT_HANDED_IN = (NOTHING, UNSURE, ASIDE)
#: Of a text that a student wrote no more is shown.
MAX_SHOWN = 2048
#: An answer whose text is longer is kept as the beginning of it: a journal has room for all.
_MAX_KEPT = 16 << 10
MAX_PRINTED = 8 << 10


@dataclass(frozen=True)
class Intake:
    """What a student handed in for an exercise. `cells`: the code to run, in order."""

    student: str
    exercise: str
    cells: tuple[str, ...]
    flags: tuple[str, ...]
    #: Of the file's bytes, or of what is said of other files; "" where there are none.
    sha256: str
    #: Why there is nothing to run; "": there is something.
    problem: str = ""
    #: Where there is a problem: MISSING or UNREADABLE.
    outcome: str = ""


@dataclass(frozen=True)
class Result:
    """What became of it. `score` None: no grade. `cases`: as case_of() has them, in order."""

    student: str
    exercise: str
    score: float | None
    max: int
    outcome: str
    flags: tuple[str, ...]
    cases: list[Json]
    #: The known mistake that is recognised; "": none.
    mistake: str
    #: What the result depends on, see journal.key_of().
    key: str
    #: How the student's code was shut in.
    mode: str
    seconds: float
    #: What the cells and the visible cases printed, cut.
    printed: str = ""
    #: Which cells failed and at what, where that may have cost points; "": none.
    reason: str = ""


def case_of(verdict: Verdict) -> Json:
    """A verdict as plain data, as results keep it."""
    case = verdict.case
    return {
        "name": case.name,
        "visible": case.visible,
        "group": case.group,
        "hint": case.hint,
        "score": verdict.score,
        "got": _kept(verdict.got),
        "expected": case.expected,
        "failure": verdict.failure,
        "note": verdict.note,
    }


def _kept(got: Any) -> Any:
    text = repr(got)
    return got if len(text) <= _MAX_KEPT else f"{text[:MAX_SHOWN]} …"


def not_run(intake: Intake, points: int, key: str) -> Result:
    """The result of a submission that has a problem: nothing of it is run."""
    score = None if intake.outcome in _NO_GRADE else 0.0
    flags = (intake.problem, *intake.flags)
    return Result(
        intake.student, intake.exercise, score, points, intake.outcome, flags, [], "", key, "", 0.0
    )


def grader_failed(intake: Intake, points: int, key: str, why: str, mode: str = "") -> Result:
    """No grade, for the grader is to blame."""
    flags = (why, *intake.flags)
    return Result(
        intake.student, intake.exercise, None, points, GRADER_FAILED, flags, [], "", key, mode, 0.0
    )


def as_json(result: Result) -> Json:
    """Plain data of it."""
    return asdict(result)


#: What results in journals of before do not have.
_OF_BEFORE = {"printed": "", "reason": ""}


def of_json(told: Any, where: str) -> Result:
    """The result that plain data describes. BadInput where it does not."""
    told = {**_OF_BEFORE, **checked(told, dict, where)}
    if not _is_result(told):
        raise BadInput(f"{where}: is no result of this grader")
    return Result(**{**told, "flags": tuple(told["flags"])})


def _is_result(told: Json) -> bool:
    if told.keys() != Result.__dataclass_fields__.keys() or told["outcome"] not in OUTCOMES:
        return False
    texts = [
        told[key] for key in ("student", "exercise", "mistake", "key", "mode", "printed", "reason")
    ]
    return (
        all(isinstance(text, str) for text in [*texts, *told["flags"]])
        and type(told["score"]) in (int, float, type(None))
        and type(told["max"]) is int
        and all(isinstance(case, dict) for case in told["cases"])
    )


def newest(results: Sequence[Result]) -> dict[tuple[str, str], Result]:
    """By student and exercise the last of the results, which counts."""
    return {(result.student, result.exercise): result for result in results}


def flags_of(result: Result) -> tuple[str, ...]:
    """All flags of a result; where cells failed, that first."""
    return (result.reason, *result.flags) if result.reason else result.flags


def to_look_at(result: Result) -> tuple[str, ...]:
    """What an instructor should know of a result; that nothing was handed in is no news."""
    flags = flags_of(result)
    return () if flags == (NOTHING,) else flags


def shown(value: object, limit: int = MAX_SHOWN) -> str:
    r"""A text that may come from anybody, without control characters, cut to so many bytes.

    New lines and tabs stay; what turns the direction of writing goes.

    >>> shown("a\x1b[0m\u202eb", 100)
    'a[0mb'
    """
    text = str(value)
    kept = (c for c in text[:limit] if c in "\n\t" or unicodedata.category(c)[0] != "C")
    clean = "".join(kept)
    cut = clean.encode()[:limit].decode(errors="ignore")
    return cut if cut == clean and len(text) <= limit else f"{cut} …"
