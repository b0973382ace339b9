"""How right an answer is, which known mistake it shows, and how many points that makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memsim.lab.cases import Case
from memsim.lab.compare import COMPARATORS, INVARIANTS, Comparator, Judged, equal
from memsim.lab.spec import Spec
from memsim.words.errors import BadInput, MemsimError


@dataclass(frozen=True)
class Answer:
    """What came of a case's script: all its answers, or in words why there are none."""

    answers: list[Any]
    failure: str = ""


@dataclass(frozen=True)
class Verdict:
    """A case, and what became of it; `score` is from 0 to 1."""

    case: Case
    score: float
    got: Any = None
    failure: str = ""
    #: What a judge says of it, and the known mistake that a judge sees in it.
    note: str = ""
    mistake: str = ""

    @property
    def is_right(self) -> bool:
        """Nothing is left to be mended."""
        return self.score == 1


def judge(
    spec: Spec, case: Case, answer: Answer, own: Mapping[str, Comparator] | None = None
) -> Verdict:
    """The verdict on one case. `own`: comparators of the exercise's judge.py."""
    if answer.failure:
        return Verdict(case, 0.0, failure=answer.failure)
    try:
        got = case.got(answer.answers)
    except LookupError as error:
        return Verdict(case, 0.0, failure=f"the answer has no entry {error}")
    broken = [name for name in case.invariants if not _holds(name, got)]
    if broken:
        return Verdict(case, 0.0, got, f"{broken[0].replace('_', ' ')}: does not hold")
    return _compared(case, comparator(case.compare or spec.compare, own), got)


def _compared(case: Case, compare: Comparator, got: Any) -> Verdict:
    try:
        judged = compare(case.expected, got)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, MemsimError):
        return Verdict(case, 0.0, got, "is not of the form that was asked for")
    told = judged if isinstance(judged, Judged) else Judged(judged)
    score = min(max(0.0, float(told.score)), 1.0)  # in this order NaN is 0
    return Verdict(case, score, got, "", told.note, told.mistake)


def comparator(name: str, own: Mapping[str, Comparator] | None = None) -> Comparator:
    """By its name; the exercise's own first."""
    found = (own or {}).get(name) or COMPARATORS.get(name)
    if found is None:
        raise BadInput(f"compare: {name!r}: should be of {', '.join(COMPARATORS)}")
    return found


def _holds(name: str, got: Any) -> bool:
    if name not in INVARIANTS:
        raise BadInput(f"invariants: {name!r}: should be of {', '.join(INVARIANTS)}")
    try:
        return INVARIANTS[name](got)
    except (TypeError, ValueError, LookupError):
        return False


def recognised(verdicts: Sequence[Verdict]) -> str:
    """The mistake that explains most of the wrong answers; "": none of the known explains half.

    Of two that explain as many, the one that would have got fewer of the right ones wrong.
    """
    wrong = [verdict for verdict in verdicts if not verdict.is_right and not verdict.failure]
    seen = [key for verdict in wrong for key in _mistakes_in(verdict)]
    best = max(seen, key=lambda key: (seen.count(key), -_spared(key, verdicts)), default="")
    # Half, not all: who made two mistakes is told of one. `return 0` has less in common with any.
    return best if 2 * seen.count(best) >= len(wrong) else ""


def _spared(key: str, verdicts: Sequence[Verdict]) -> int:
    """Right answers that this mistake would have got wrong."""
    return sum(verdict.is_right and key in verdict.case.mistakes for verdict in verdicts)


def _mistakes_in(verdict: Verdict) -> list[str]:
    if verdict.mistake:
        return [verdict.mistake]
    return [key for key, value in verdict.case.mistakes.items() if equal(value, verdict.got)]


def points(spec: Spec, verdicts: Sequence[Verdict]) -> float:
    """Points of the exercise: each case is worth the same."""
    return round(spec.points * sum(v.score for v in verdicts) / len(verdicts), 2)
