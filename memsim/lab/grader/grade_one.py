"""One submission graded: its code runs behind the walls, and what comes back is judged here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memsim.lab.cases import Case
from memsim.lab.grader.judged import judged
from memsim.lab.grader.results import (
    GRADER_FAILED,
    MAX_PRINTED,
    TIME_LIMIT,
    Intake,
    Result,
    case_of,
    grader_failed,
    not_run,
    shown,
)
from memsim.lab.grader.runner import Ran, run
from memsim.lab.grader.walls import Limits, Walls
from memsim.lab.places import Found, of_author
from memsim.lab.verdict import points, recognised
from memsim.lib.text import one_line
from memsim.words.errors import MemsimError

#: How much longer a second try may take.
PATIENCE = 3


@dataclass(frozen=True)
class Job:
    """What is to be graded: plain data, so that it can go to another process or machine."""

    intake: Intake
    #: The folder of the exercise, as its author has it.
    author: str
    #: Which puzzle the student has.
    number: int
    mode: str
    key: str

    def with_patience(self) -> Job:
        """The same, for a second try alone."""
        return Patient(self.intake, self.author, self.number, self.mode, self.key)


class Patient(Job):
    """A job that ran out of time once."""


def grade(job: Job) -> Result:
    """The result; it never raises for what a student wrote, nor for what the grader failed at."""
    intake = job.intake
    try:
        found = of_author(Path(job.author), job.number)
        if intake.outcome:
            return not_run(intake, found.spec.points, job.key)
        return _graded(job, found)
    except (MemsimError, OSError) as error:
        return grader_failed(intake, 0, job.key, one_line(error, 300), job.mode)
    except Exception as error:  # whatever it is, it costs no other student a grade
        why = f"{type(error).__name__}: {one_line(error, 300)}"
        return grader_failed(intake, 0, job.key, f"{job.author}: {why}", job.mode)


def _graded(job: Job, found: Found) -> Result:
    # visible cases first: nothing that is printed behind them is shown to anybody
    cases = sorted(found.puzzle.cases, key=lambda case: not case.visible)
    ran = _run(job, found, cases)
    if ran.outcome == GRADER_FAILED:
        return grader_failed(job.intake, found.spec.points, job.key, ran.problem, job.mode)
    verdicts = judged(found, zip(cases, ran.answers, strict=True))
    score = points(found.spec, verdicts)
    return Result(
        student=job.intake.student,
        exercise=job.intake.exercise,
        score=score,
        max=found.spec.points,
        outcome=ran.outcome,
        flags=job.intake.flags,
        cases=[case_of(verdict) for verdict in verdicts],
        mistake=recognised([verdict for verdict in verdicts if verdict.case.visible]),
        key=job.key,
        mode=job.mode,
        seconds=round(ran.seconds, 3),
        printed=shown(ran.printed, MAX_PRINTED),
        reason="; ".join(ran.raised) if score < found.spec.points else "",
    )


def _run(job: Job, found: Found, cases: list[Case]) -> Ran:
    patience = PATIENCE if isinstance(job, Patient) else 1
    return run(
        Walls(job.mode),
        job.intake.cells,
        found.puzzle.given,
        [case.script for case in cases],
        found.spec.seconds * patience,
        Limits().times(patience),
        sum(case.visible for case in cases),
    )


def is_late(result: Result) -> bool:
    """It ran out of time: a busy machine may be to blame, so it is tried again, alone."""
    return result.outcome == TIME_LIMIT
