"""The journal of results: SQLite, one transaction for each, so that no kill takes more than one.

A row is never changed. To grade again is a new run, whose rows are added; of a student and an
exercise the newest row counts, and where the grader failed at that, the newest that is a result.
A run that was killed goes on when the journal is opened again.

Beside the results it knows which secret drew the puzzles, by its fingerprint, and the last line of
the audit log. A journal of before has neither until it is graded into again.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from memsim.lab.grader.results import GRADER_FAILED, NOT_HANDED_IN, Result, as_json, of_json
from memsim.words.errors import BadInput

#: What it is called, in the folder of all that is found.
JOURNAL = "journal.sqlite"
#: Goes up when the same submission may get other points.
GRADER = 1
#: "mems": what tells a journal from other databases of SQLite.
_APPLICATION = 0x6D656D73
_LAYOUT = 1
_SECONDS_TO_WAIT = 30
_TABLES = """
    create table run (id integer primary key, begun text not null, ended text);
    create table result (
        id integer primary key, run integer not null references run (id), at text not null,
        student text not null, exercise text not null, key text not null,
        outcome text not null, score real, result text not null
    );
    create index whose on result (student, exercise, run);
    """

#: What a journal knows of itself; made where it is not there, as in journals of before.
_ABOUT = "create table if not exists about (name text primary key, value text not null)"
_SECRET, _HEAD = "secret", "head"

#: The newest row of each student and exercise in a run.
_NEWEST = """
    from result where run = ? and id = (select max(id) from result as other where
    other.run = result.run and other.student = result.student and other.exercise = result.exercise)
"""

#: Of each student and exercise the row that counts, and whether the grader failed after it.
_COUNTS = """
    select kept.result, kept.id < last from result as kept join (
        select max(id) as last, max(iif(outcome = ?, 0, id)) as good from result
        group by student, exercise
    ) on kept.id = iif(good, good, last) order by student, exercise
"""
_OLDER = "graded again since, and the grader failed at it: this is the result before"

#: A student, an exercise, and a key.
Task = tuple[str, str, str]


def key_of(submission: str, cases: str) -> str:
    """What a grade depends on, as one hash: submission, cases, grader and Python.

    `submission`: Intake.sha256. `cases`: of the exercise's files, and the puzzle's number.
    """
    return _hash([submission, cases, grader_version(), platform.python_version()])


def grader_version() -> str:
    """Of memsim and of the grader in it."""
    try:
        return f"{version('memsim')} grader {GRADER}"
    except PackageNotFoundError:
        return f"grader {GRADER}"


def _hash(told: object) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Journal:
    """A journal, opened; made if it is not there. BadInput where it is none, or has no room.

    One process writes; others may read meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._in_words():
            self._db = sqlite3.connect(path, timeout=_SECONDS_TO_WAIT, isolation_level=None)
            self._prepare()

    def _prepare(self) -> None:
        if self._has_tables():
            self._check_layout()  # before anything is changed: it may be somebody else's
        self._use_wal()
        self._db.execute("pragma synchronous = full")
        with self._transaction():
            if not self._has_tables():
                self._make_tables()
            self._check_layout()
            self._db.execute(_ABOUT)

    def _use_wal(self) -> None:
        """Asked again here: SQLite does not wait for another that is changing over just now."""
        end = monotonic() + _SECONDS_TO_WAIT
        while True:
            try:
                self._db.execute("pragma journal_mode = wal")
                return
            except sqlite3.OperationalError:
                if monotonic() > end:
                    raise
            sleep(0.01)

    def _has_tables(self) -> bool:
        return bool(self._number("select count(*) from sqlite_schema"))

    def _make_tables(self) -> None:
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        self._db.execute(f"pragma application_id = {_APPLICATION}")
        self._db.execute(f"pragma user_version = {_LAYOUT}")

    def _check_layout(self) -> None:
        layout = self._number("pragma application_id"), self._number("pragma user_version")
        if layout != (_APPLICATION, _LAYOUT):
            raise BadInput(f"{self.path}: is no journal of this grader")

    def hold_to(self, fingerprint: str) -> None:
        """From here on the puzzles are those of that secret, see variants.fingerprint_of().

        BadInput where they were another's. A journal of before that has none is given this one.
        """
        with self._in_words(), self._transaction():
            self._db.execute("insert or ignore into about values (?, ?)", (_SECRET, fingerprint))
            before = self._about(_SECRET)
        if before != fingerprint:
            raise BadInput(
                f"{self.path}: was graded {_with(before)}, and this is {_with(fingerprint)}, which "
                "draws other puzzles; give the --secret of before, or another folder with --out"
            )

    @property
    def head(self) -> str:
        """The hash of the audit log's last line when it was last written; "": not known."""
        with self._in_words():
            return self._about(_HEAD)

    def _keep_head(self, head: str) -> None:
        if head:
            self._db.execute("insert or replace into about values (?, ?)", (_HEAD, head))

    def _about(self, name: str) -> str:
        found = self._db.execute("select value from about where name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def begin(self, *, regrade: bool = False) -> int:
        """The run that results belong to from here on; returns its number.

        One that did not end goes on. Else `regrade` begins another; without it the last goes on.
        """
        with self._in_words(), self._transaction():
            last = self._number("select coalesce(max(id), 0) from run")
            is_open = self._number("select count(*) from run where id = ? and ended is null", last)
            if last and (is_open or not regrade):
                self._db.execute("update run set ended = null where id = ?", (last,))
                return last
            self._db.execute("insert into run (begun) values (?)", (_now(),))
            return last + 1

    def end(self, run: int, head: str = "") -> None:
        """Everything of the run is graded. `head`: of the audit log."""
        with self._in_words(), self._transaction():
            self._keep_head(head)
            self._db.execute("update run set ended = ? where id = ?", (_now(), run))

    def done(self, run: int) -> set[Task]:
        """What is graded in the run: the newest of each. What the grader failed at is not."""
        rows = self._rows(f"select student, exercise, key {_NEWEST} and outcome != ?",
                          run, GRADER_FAILED)  # fmt: skip
        return {(student, exercise, key) for student, exercise, key in rows}

    def handed_in(self) -> set[tuple[str, str]]:
        """Students and exercises of which something was handed in, in any run."""
        flags = [f'"flags": ["{problem}"' for problem in NOT_HANDED_IN]
        others = " and ".join(["instr(result, ?) = 0"] * len(flags))
        query = f"select distinct student, exercise from result where {others}"
        rows = self._rows(query, *flags)
        return {(student, exercise) for student, exercise in rows}

    def add(self, run: int, result: Result, head: str = "") -> bool:
        """Add a result, for good when this returns; False: the run has it already.

        `head`: of the audit log, which has the result already.
        """
        with self._in_words(), self._transaction():
            self._keep_head(head)
            if self._has(run, result):
                return False
            self._db.execute(
                "insert into result (run, at, student, exercise, key, outcome, score, result) "
                "values (?, ?, ?, ?, ?, ?, ?, ?)",
                (run, _now(), result.student, result.exercise, result.key, result.outcome,
                 result.score, json.dumps(as_json(result))),
            )  # fmt: skip
        return True

    def _has(self, run: int, result: Result) -> bool:
        query = f"select count(*) {_NEWEST} and outcome != ? and student = ? and exercise = ? "
        values = run, GRADER_FAILED, result.student, result.exercise, result.key
        return bool(self._number(f"{query} and key = ?", *values))

    def results(self) -> Iterator[Result]:
        """The results that count, by student and exercise, one by one; an older one is flagged."""
        for told, is_older in self._rows(_COUNTS, GRADER_FAILED):
            result = self._result(told)
            yield replace(result, flags=(_OLDER, *result.flags)) if is_older else result

    def history(self, student: str, exercise: str) -> list[Result]:
        """All that a student ever got for an exercise, oldest first."""
        query = "select result from result where student = ? and exercise = ? order by id"
        return [self._result(told) for (told,) in self._rows(query, student, exercise)]

    def _result(self, told: str) -> Result:
        try:
            return of_json(json.loads(told), str(self.path))
        except (ValueError, TypeError, RecursionError):
            raise BadInput(f"{self.path}: a result in it cannot be read") from None

    def __len__(self) -> int:
        with self._in_words():
            return self._number("select count(*) from result")

    def close(self) -> None:
        """Nothing can be added any more."""
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _number(self, query: str, *values: object) -> int:
        (number,) = self._db.execute(query, values).fetchone()
        return int(number)

    def _rows(self, query: str, *values: object) -> Iterator[Sequence[str]]:
        with self._in_words():
            found = self._db.execute(query, values)
            yield from iter(found.fetchone, None)  # who stops in the middle closes no cursor late

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """What SQLite says, in one line: a full disk, no right to write, or no database."""
        try:
            yield
        except sqlite3.Error as error:
            raise BadInput(
                f"{self.path}: {error}; what was added before is kept, and goes on from there"
            ) from None


def _with(fingerprint: str) -> str:
    return f"with the secret {fingerprint}" if fingerprint else "without a secret"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
