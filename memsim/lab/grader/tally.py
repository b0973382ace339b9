"""A class in numbers: result by result it is counted, so that the results need not be kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean, quantiles

from memsim.lab.grader.results import MISSING, RAN, Result, to_look_at
from memsim.lab.spec import Json


@dataclass
class CaseTally:
    """One case, which each student may have with other numbers: how many have it right."""

    #: What it was called; with puzzles of their own students may have several names for it.
    names: Counter[str] = field(default_factory=Counter)
    group: str = ""
    visible: bool = True
    count: int = 0
    right: int = 0

    @property
    def share(self) -> float:
        """Who has it right, from 0 to 1."""
        return self.right / self.count

    @property
    def name(self) -> str:
        """Its name if it has one only; else the group's, or that of one puzzle."""
        first = next(iter(self.names))
        if len(self.names) == 1:
            return first
        return self.group or f"{first} (and the like)"

    def add(self, case: Json) -> None:
        """Count a student's case."""
        self.names[case["name"] if len(self.names) < 2 else next(iter(self.names))] += 1
        self.group, self.visible = case["group"], case["visible"]
        self.count += 1
        self.right += case["score"] == 1


@dataclass
class Tally:
    """One exercise: the scores, the cases, the mistakes and what became of the submissions."""

    exercise: str
    max: int = 0
    scores: list[float] = field(default_factory=list)
    cases: list[CaseTally] = field(default_factory=list)
    mistakes: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def handed_in(self) -> int:
        """Submissions; not those that are missing."""
        return self.outcomes.total() - self.outcomes[MISSING]

    @property
    def share(self) -> float:
        """The mean of the points, from 0 to 1; of nobody 0."""
        return fmean(self.scores) / self.max if self.scores else 0.0

    @property
    def quartiles(self) -> tuple[float, float, float, float, float]:
        """Least, lower quartile, median, upper quartile, most, of those who have a grade."""
        scores = self.scores or [0.0]
        low, middle, high = quantiles(scores * 2, method="inclusive")
        return min(scores), low, middle, high, max(scores)

    def add(self, result: Result) -> None:
        """Count a student's result."""
        self.max = result.max
        self.outcomes[result.outcome] += 1
        if result.score is not None and result.outcome != MISSING:
            self.scores.append(result.score)
        if result.mistake:
            self.mistakes[result.mistake] += 1
        if result.outcome == RAN or result.cases:
            while len(self.cases) < len(result.cases):
                self.cases.append(CaseTally())
            for tally, case in zip(self.cases, result.cases, strict=False):
                tally.add(case)


@dataclass
class ClassTally:
    """A whole class, exercise by exercise, and the students whose results have flags."""

    exercises: dict[str, Tally] = field(default_factory=dict)
    students: set[str] = field(default_factory=set)
    flagged: list[tuple[str, str, str]] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        """Count a result."""
        self.exercises.setdefault(result.exercise, Tally(result.exercise)).add(result)
        self.students.add(result.student)
        self.modes[result.mode] += bool(result.mode)
        for flag in to_look_at(result):
            self.flagged.append((result.student, result.exercise, flag))


def tally(results: Iterable[Result]) -> ClassTally:
    """The class of these results, each of which counts."""
    whole = ClassTally()
    for result in results:
        whole.add(result)
    whole.exercises = dict(sorted(whole.exercises.items()))
    return whole
