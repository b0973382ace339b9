"""The audit log: who was given which grade, when, of what. Lines are added, and never changed.

Each line is a JSON object with the hash of the line before it and its own, so that a line that was
changed, taken out or put in breaks the chain. The end of the chain is the head: kept elsewhere, it
shows that nothing was cut off at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from memsim.lab.grader.results import Result
from memsim.lab.spec import Json
from memsim.words.errors import BadInput

#: What stands before the first line.
START = "0" * 64
_MAX_LINE = 1 << 20


@dataclass(frozen=True)
class Verified:
    """What verify() found: whole lines, the hash of the last, and what is wrong; "": nothing."""

    lines: int
    head: str
    problem: str = ""
    #: How many of the lines are grades.
    graded: int = 0
    #: With the journal beside it, see verified.
    is_compared: bool = False


class AuditLog:
    """A log that is added to. BadInput where what is there is no whole chain's end.

    One process writes it; another that wants to is refused meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115  (closed by close())
            _lock(self._file)
            torn = _torn(self._file)
            self._size = os.fstat(self._file.fileno()).st_size - torn
            if torn:
                self._file.truncate(self._size)
            self.head = _last_hash(self._file, self._size)
        except BlockingIOError:
            raise BadInput(f"{path}: another grader is writing it; wait until it is done") from None
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadInput(f"{path}: its last line is none of an audit log") from None
        if torn:
            self.add({"event": "torn", "bytes": torn})

    def add(self, told: Json) -> str:
        """Add a line, with the time; returns its hash, the new head."""
        line = {"at": _now(), **told, "previous": self.head}
        line["hash"] = _hash_of(line)
        content = json.dumps(line).encode() + b"\n"
        if len(content) > _MAX_LINE:
            raise BadInput(f"{self.path}: a line of {len(content)} bytes is too long for the log")
        self._write(content)
        self.head = line["hash"]
        return self.head

    def add_result(self, result: Result, submission: str, who: str = "") -> str:
        """Add a line for a grade. `submission`: the hash of the file; `who` had it graded."""
        return self.add(
            {
                "event": "graded",
                "who": who,
                "student": result.student,
                "exercise": result.exercise,
                "submission": submission,
                "key": result.key,
                "mode": result.mode,
                "outcome": result.outcome,
                "score": result.score,
                "max": result.max,
            }
        )

    def close(self) -> None:
        """Nothing can be added any more."""
        self._file.close()

    def _write(self, content: bytes) -> None:
        """All of it or nothing: a line that the disk has no room for is taken back."""
        try:
            written = self._file.write(content)
            if written != len(content):
                raise OSError(None, "No space left on device")
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(self._size)
            raise BadInput(f"{self.path}: {error.strerror}") from None
        self._size += len(content)


def verify(path: Path, *heads: str) -> Verified:
    """Whether the chain is whole; with heads of before, whether it goes on from there.

    BadInput where there is no such file.
    """
    lines, last, graded = 0, START, 0
    gone = dict.fromkeys(filter(None, heads))
    try:
        with path.open("rb") as file:
            for content in _lines(file):
                problem = _problem(content, last)
                if problem:
                    return Verified(lines, last, f"line {lines + 1}: {problem}")
                told = json.loads(content)
                lines, last = lines + 1, str(told["hash"])
                graded += told.get("event") == "graded"
                gone.pop(last, None)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    said = "".join(f"the line with the hash {head[:64]} is gone" for head in list(gone)[:1])
    return Verified(lines, last, said, graded)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while content := file.readline(_MAX_LINE + 1):
        yield content


def _problem(content: bytes, previous: str) -> str:
    """What is wrong with a line; "": nothing."""
    if not content.endswith(b"\n"):
        return "is not whole"
    try:
        told = json.loads(content)
        claimed = told.pop("hash")
        before = told["previous"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "is none of an audit log"
    if before != previous:
        return "does not follow the line before: one was taken out, put in or changed"
    return "" if claimed == _hash_of(told) else "was changed"


def _hash_of(line: Json) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()


def _lock(file: BinaryIO) -> None:
    """Until it is closed. BlockingIOError: another process has it."""
    import fcntl  # here, as Windows has none, and there nobody is graded

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _tail(file: BinaryIO, end: int) -> bytes:
    start = max(0, end - 2 * _MAX_LINE)
    file.seek(start)
    return file.read(end - start)


def _torn(file: BinaryIO) -> int:
    """How many bytes there are after the last whole line."""
    tail = _tail(file, os.fstat(file.fileno()).st_size)
    return len(tail) - tail.rfind(b"\n") - 1


def _last_hash(file: BinaryIO, size: int) -> str:
    lines = _tail(file, size).splitlines()
    if not lines:
        return START
    told = json.loads(lines[-1])
    claimed = str(told.pop("hash"))
    if claimed != _hash_of(told):
        raise ValueError
    return claimed


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
