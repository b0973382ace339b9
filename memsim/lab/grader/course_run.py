"""A class graded: from what was handed in to grades, feedback and a report; it can be interrupted.

All that is found goes into a folder:

    journal.sqlite    every result there ever was; a run that was killed goes on from it
    audit.jsonl       who graded what when and how, chained by hashes
    grades-*.csv      for nbgrader, Canvas and Moodle
    feedback/         a page for each student
    class.html        points, cases and mistakes of the class
"""

from __future__ import annotations

import getpass
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from memsim.lab.cut import chosen, names_in
from memsim.lab.grader.audit import AuditLog
from memsim.lab.grader.class_report import write_class_report
from memsim.lab.grader.exports import write_exports
from memsim.lab.grader.feedback import write_feedback
from memsim.lab.grader.grade_one import Job, grade, is_late
from memsim.lab.grader.intake import intakes, sort_files
from memsim.lab.grader.journal import JOURNAL, Journal, Task, key_of
from memsim.lab.grader.notebook import form_of
from memsim.lab.grader.probe import prove
from memsim.lab.grader.results import GRADER_FAILED, NOT_HANDED_IN, Intake, Result
from memsim.lab.grader.walls import choose, end_with_parent
from memsim.lab.places import CASES, SOLUTIONS
from memsim.lab.roster import Student
from memsim.lab.spec import Spec, read_spec
from memsim.lab.variants import PUBLIC, fingerprint_of, seed_of
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: Called with how many results are there, of how many, and the newest.
Progress = Callable[[int, int, Result], None]
#: So many jobs wait at most: what is handed in is read as it is needed.
_AHEAD = 64
#: With so many failures of the grader and nothing else, it is no use to go on.
_HOPELESS = 8


@dataclass(frozen=True)
class Class:
    """A course and who takes it. `secret` None: everybody has the public puzzle.

    A folder that was graded into once is graded into with that secret, or that None, only.
    """

    course: Path
    roster: Mapping[str, Student] = field(default_factory=dict)
    secret: bytes | None = None
    #: The exercises of an assignment, see cut.chosen(); "": those that somebody handed in.
    only: str = ""

    def number(self, student: str, exercise: str) -> int:
        """Which puzzle a student has."""
        return seed_of(self.secret, student, exercise) if self.secret else PUBLIC

    def author(self, exercise: str) -> Path:
        """The folder of an exercise."""
        return self.course / SOLUTIONS / CASES / exercise

    def specs(self, exercises: Iterable[str]) -> dict[str, Spec]:
        """The exercises of these names."""
        return {e: read_spec(self.author(e) / "exercise.json", e) for e in exercises}


@dataclass(frozen=True)
class Graded:
    """What became of it: the results that count, what was nobody's work, and how it was run."""

    #: Without their cases, which are in the journal.
    results: list[Result]
    notes: tuple[str, ...]
    mode: str
    folder: Path
    newly: int
    #: Files are there, and nobody knows whose.
    has_strays: bool = False


def grade_class(
    about: Class,
    handed_in: Path,
    folder: Path,
    *,
    trust: bool = False,
    regrade: bool = False,
    executor: Executor | None = None,
    jobs: int = 0,
    progress: Progress = lambda done, total, result: None,
) -> Graded:
    """Grade what was handed in, and write what is known then into the folder.

    BadInput, in one line, where nobody can be graded: no sandbox, a contradiction in the course.
    """
    names = names_in(about.course)
    sorted_ = sort_files(handed_in, names, about.roster)
    assigned = chosen(names, about.only) if about.only else sorted_.exercises
    forms = {name: form_of(about.course, name) for name in assigned}
    walls = choose(trust)
    prove(walls, [about.course, handed_in])
    _make(folder)
    students = {student for student, _ in sorted_.claims} | set(about.roster)
    total = len(students) * len(forms) if about.roster else len(sorted_.claims)
    log = closing(AuditLog(folder / "audit.jsonl"))
    with log as audit, Journal(folder / JOURNAL) as journal:
        journal.hold_to(fingerprint_of(about.secret))
        run = journal.begin(regrade=regrade)
        done = journal.done(run)
        work = _jobs(about, intakes(sorted_, forms, about.roster), walls.mode)
        sink = _Sink(journal, run, audit, total, progress)
        todo = _todo(work, done, journal.handed_in(), sink)
        sink.begin(walls.mode, handed_in)
        with _executor(executor, jobs) as pool:
            _grade_all(todo, pool, sink)
        journal.end(run, audit.head)
        specs = about.specs(names)  # of earlier assignments too
        write_exports(folder, journal.results(), about.roster)
        write_feedback(folder / "feedback", journal.results(), specs)
        write_class_report(folder / "class.html", journal.results(), specs)
        results = [replace(result, cases=[]) for result in journal.results()]  # cases are large
    return Graded(results, sorted_.notes, walls.mode, folder, sink.newly, "" in sorted_.others)


def _jobs(about: Class, handed_in: Iterable[Intake], mode: str) -> Iterator[Job]:
    hashes: dict[str, str] = {}
    for intake in handed_in:
        author = about.author(intake.exercise)
        number = about.number(intake.student, intake.exercise)
        cases = hashes.setdefault(intake.exercise, _hash_of(author))
        yield Job(intake, str(author), number, mode, key_of(intake.sha256, f"{cases} {number}"))


def _todo(
    work: Iterable[Job], done: set[Task], handed_in: set[tuple[str, str]], sink: _Sink
) -> Iterator[Job]:
    """The jobs that are to be done. Who handed in once keeps that, whatever is handed in later."""
    for job in work:
        intake = job.intake
        is_kept = intake.problem in NOT_HANDED_IN
        if (intake.student, intake.exercise, job.key) in done or (
            is_kept and (intake.student, intake.exercise) in handed_in
        ):
            sink.pass_over()
        else:
            yield job


def _hash_of(author: Path) -> str:
    """Of all that an exercise's cases come from, but for the number of the puzzle."""
    digest = hashlib.sha256()
    for path in sorted(path for path in author.iterdir() if path.is_file()):
        digest.update(f"{path.name} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


class _Sink:
    """Where results go: into the journal, then into the log, then to whoever watches."""

    def __init__(
        self, journal: Journal, run: int, log: AuditLog, total: int, progress: Progress
    ) -> None:
        self._journal, self._run, self._log = journal, run, log
        self._total, self._progress, self._done = total, progress, 0
        self._failed = 0
        self.newly = 0

    def begin(self, mode: str, handed_in: Path) -> None:
        self._log.add({"event": "began", "who": _who(), "mode": mode, "from": str(handed_in)})

    def pass_over(self) -> None:
        """One of them needs nothing; nobody is told."""
        self._total -= 1

    def take(self, job: Job, result: Result) -> None:
        """BadInput when the grader fails at everything: nobody is to be graded by such a one."""
        head = self._log.add_result(result, job.intake.sha256, _who())
        self._journal.add(self._run, result, head)  # killed before, it is graded again
        self.newly += 1
        self._done += 1
        self._progress(self._done, self._total, result)
        self._failed += result.outcome == GRADER_FAILED
        if self.newly == self._failed == _HOPELESS:
            raise BadInput(f"the grader failed {_HOPELESS} times of {_HOPELESS}: {result.flags[0]}")


def _grade_all(todo: Iterator[Job], pool: Executor, sink: _Sink) -> None:
    running: dict[Future[Result], Job] = {}
    late: list[Job] = []
    try:
        for job in todo:
            running[pool.submit(grade, job)] = job
            if len(running) >= _AHEAD:
                late += _take(running, sink, all_of_them=False)
        late += _take(running, sink, all_of_them=True)
        for job in late:
            sink.take(job, pool.submit(grade, job.with_patience()).result())
    except BrokenExecutor as error:
        raise BadInput(
            f"{one_line(error)} What is graded is kept; the same command goes on"
        ) from None
    finally:
        for future in running:  # after an error: else it would be told of when all have run
            future.cancel()


def _take(running: dict[Future[Result], Job], sink: _Sink, *, all_of_them: bool) -> list[Job]:
    """Results that are there; returns the jobs that ran out of time, to be tried again alone."""
    late = []
    while running:
        ready, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ready:
            job, result = running.pop(future), future.result()
            if is_late(result):
                late.append(job)
            else:
                sink.take(job, result)
        if not all_of_them:
            break
    return late


def _executor(executor: Executor | None, jobs: int) -> AbstractContextManager[Executor]:
    """The given one, which is left open; else processes of our own."""
    if executor:
        return nullcontext(executor)
    # here, as the rest of the command does without: a browser has no processes
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(jobs or os.cpu_count() or 1, initializer=end_with_parent)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: {error.strerror}") from None


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
