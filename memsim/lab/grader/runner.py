"""One submission, one exercise: its cells run in a child, which is asked case by case.

What comes back is data, and that it is the student's answer is all that is known of it. A child
that is late, ends, or says what is no answer is ended; the next case has a new one.
"""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from memsim.lab.failures import TOO_LONG
from memsim.lab.grader.frames import BadFrame, Inbox, packed, unpacked
from memsim.lab.grader.walls import Limits, NoStart, Walls, end
from memsim.lab.plain import NotPlain, plain
from memsim.lab.script import Script, in_words
from memsim.lab.verdict import Answer
from memsim.lib.text import one_line

RAN, FAILED, TIME_LIMIT, CRASHED = "ran", "grader failed", "time limit", "crashed"
NOT_PLAIN, NOT_DEFINED = "not plain data", "not defined"
#: Worst first: what befell one case is what is said of all.
OUTCOMES = (FAILED, TIME_LIMIT, CRASHED, "memory", NOT_PLAIN, NOT_DEFINED, RAN)
_FAILURE = 400
_CHUNK = 64 << 10
#: With so many cases that take too long the others are not tried.
_LATE = 2
#: Cells that failed, of which is told, and how long a text of each.
_MOST_RAISED, _RAISED = 3, 300
_MOST_CELLS = 10_000


@dataclass(frozen=True)
class Ran:
    """What came of it: an answer for each script, in order. `problem`: why the grader failed.

    `raised`: which cells failed, and at what, before anything was asked.
    """

    answers: list[Answer]
    outcome: str
    #: What was printed by the cells and the visible cases: the student's text.
    printed: str
    seconds: float
    problem: str = ""
    raised: tuple[str, ...] = ()


class _Over(Exception):
    """The child can be asked no more; `kind` is an outcome, the text is for the student."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def run(
    walls: Walls,
    cells: Sequence[str],
    given: Any,
    scripts: Sequence[Script],
    seconds_per_case: float,
    limits: Limits | None = None,
    visible: int = 0,
) -> Ran:
    """The answers of a submission. `visible`: how many of the first scripts are no secret.

    Nothing that a child says after those is printed. It never raises for what a student wrote.
    """
    work = _Work(walls, limits or Limits(), seconds_per_case, visible)
    try:
        work.do(cells, given, scripts)
    except (NoStart, OSError) as error:
        problem = one_line(error, 300)
        return Ran([], FAILED, work.text(), work.seconds(), problem)
    return Ran(work.answers, work.outcome(), work.text(), work.seconds(), raised=tuple(work.raised))


class _Work:
    """A submission while it is run, perhaps in several children one after another."""

    def __init__(self, walls: Walls, limits: Limits, seconds: float, visible: int) -> None:
        self.answers: list[Answer] = []
        self.raised: list[str] = []
        self._walls, self._limits, self._seconds = walls, limits, seconds
        self._visible = visible
        self._printed = bytearray()
        self._kinds = {RAN}
        self._late = 0
        self._began = time.monotonic()

    def do(self, cells: Sequence[str], given: Any, scripts: Sequence[Script]) -> None:
        """Asks all of the scripts; a case that breaks its child costs its own answer alone."""
        cells_frame = {"cells": list(cells), "given": given}
        while len(self.answers) < len(scripts):
            child = _Child(self._walls, self._limits, self._printed)
            try:
                if not self._define(child, cells_frame, scripts):
                    return
                self._ask_all(child, scripts)
            finally:
                child.end()

    def _define(self, child: _Child, cells: dict[str, Any], scripts: Sequence[Script]) -> bool:
        """Runs the cells; what goes wrong with them goes wrong with every case left."""
        child.keeps = not self.answers
        try:
            told = child.ask(cells, self._left(self._limits.cells_seconds), self._limits)
            if child.keeps:  # a later child's cells may know what was asked of the one before
                self.raised = _raised(told.get("raised"))
        except _Over as over:
            self._kinds.add(over.kind)
            failure = f"the notebook's cells: {over}"
            self.answers += [Answer([], failure)] * (len(scripts) - len(self.answers))
            return False
        return True

    def _ask_all(self, child: _Child, scripts: Sequence[Script]) -> None:
        while len(self.answers) < len(scripts):
            child.drain()
            child.keeps = len(self.answers) < self._visible
            try:
                self.answers.append(self._ask(child, scripts[len(self.answers)]))
            except _Over as over:
                self._kinds.add(over.kind)
                self.answers.append(Answer([], str(over)))
                self._late += over.kind == TIME_LIMIT
                if self._late == _LATE:
                    left = len(scripts) - len(self.answers)
                    self.answers += [Answer([], f"was not run: {_LATE} cases took too long")] * left
                return

    def _ask(self, child: _Child, script: Script) -> Answer:
        told = child.ask({"script": script}, self._left(self._seconds), self._limits)
        answers, failure, kind = _checked(told, len(script))
        self._kinds.add(kind)
        if kind == NOT_DEFINED and self.raised:
            what = failure.partition(":")[0]
            failure = one_line(f"{what}: {'; '.join(self.raised)}", _FAILURE)
        if failure and len(script) > 1 and len(answers) < len(script):
            failure = f"call {len(answers) + 1}, {in_words(script[len(answers)])}: {failure}"
        return Answer(answers, failure)

    def _left(self, seconds: float) -> float:
        """So many seconds, or what is left of the exercise's. _Over: nothing is."""
        left = self._limits.exercise_seconds - self.seconds()
        if left <= 0:
            whole = self._limits.exercise_seconds
            raise _Over(TIME_LIMIT, f"was not run: the {whole:g} s of the exercise were over")
        return min(seconds, left)

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def outcome(self) -> str:
        """The worst that happened."""
        return next(kind for kind in OUTCOMES if kind in self._kinds)

    def text(self) -> str:
        """What was printed, as text: any."""
        return self._printed.decode(errors="replace")


def _checked(told: Any, calls: int) -> tuple[list[Any], str, str]:
    """Answers, failure and kind of a reply that anybody may have written."""
    answers, failure, kind = told.get("answers"), told.get("failure", ""), told.get("kind", RAN)
    if not isinstance(answers, list) or not isinstance(failure, str) or kind not in OUTCOMES[3:]:
        raise _Over(CRASHED, "says what is no answer")
    if len(answers) != calls and not failure:
        raise _Over(CRASHED, f"gives {len(answers)} answers to {calls} calls")
    try:
        return [plain(answer) for answer in answers], one_line(failure, _FAILURE), kind
    except NotPlain as error:
        return [], f"returns something else than expected: {error}", NOT_PLAIN


def _raised(told: Any) -> list[str]:
    """Cells that failed, in words, of a reply that anybody may have written."""
    pairs = told[:_MOST_RAISED] if isinstance(told, list) else []
    return [_in_words(*pair) for pair in pairs if _is_raised(pair)]


def _is_raised(told: Any) -> bool:
    is_pair = isinstance(told, list) and [type(one) for one in told] == [int, str]
    return is_pair and 0 < told[0] < _MOST_CELLS


def _in_words(number: int, said: str) -> str:
    past = f"raised {said.removeprefix('raises ')}" if said.startswith("raises ") else said
    return f"cell {number} {one_line(past, _RAISED)}"


class _Child:
    """A child and the channel to it."""

    def __init__(self, walls: Walls, limits: Limits, printed: bytearray) -> None:
        self._process: subprocess.Popen[bytes] = walls.start(limits)
        self._room, self._printed = limits.printed, printed
        self.keeps, self._screen_ended = True, False
        process = self._process
        pipes = [pipe for pipe in (process.stdin, process.stdout, process.stderr) if pipe]
        self._to, self._from, self._screen = (pipe.fileno() for pipe in pipes)
        for handle in (self._to, self._from, self._screen):
            os.set_blocking(handle, False)

    def ask(self, asked: dict[str, Any], seconds: float, limits: Limits) -> dict[str, Any]:
        """The reply. _Over: there is none in time, or what came is no reply to this."""
        number = secrets.token_hex(8)
        inbox, until = Inbox(limits.answer + 64), time.monotonic() + seconds
        rest = packed({"id": number, **asked})
        while (body := self._body(inbox)) is None:
            rest = self._exchange(rest, inbox, until, seconds)
        told = self._reply(body)
        if not isinstance(told, dict) or told.get("id") != number or rest:
            raise _Over(CRASHED, "says what is no answer")
        return told

    def _exchange(self, rest: bytes, inbox: Inbox, until: float, seconds: float) -> bytes:
        """Sends some, reads some; returns what is still to be sent."""
        with selectors.DefaultSelector() as waits:
            waits.register(self._from, selectors.EVENT_READ)
            if not self._screen_ended:
                waits.register(self._screen, selectors.EVENT_READ)
            if rest:
                waits.register(self._to, selectors.EVENT_WRITE)
            left = until - time.monotonic()
            ready = {key.fd for key, _ in waits.select(max(left, 0))} if left > 0 else set()
        if left <= 0:
            raise _Over(TIME_LIMIT, TOO_LONG.format(round(seconds, 1)))
        if self._screen in ready:
            self._read_screen()
        if self._from in ready:
            self._hear(inbox)
        return self._say(rest) if self._to in ready else rest

    def _hear(self, inbox: Inbox) -> None:
        try:
            more = os.read(self._from, _CHUNK)
        except BlockingIOError:
            return
        if not more:
            raise self._ended()
        inbox.add(more)

    def _say(self, rest: bytes) -> bytes:
        try:
            return rest[os.write(self._to, rest[:_CHUNK]) :]
        except BrokenPipeError:
            raise self._ended() from None
        except BlockingIOError:
            return rest

    @staticmethod
    def _body(inbox: Inbox) -> bytes | None:
        try:
            return inbox.take()
        except BadFrame:
            raise _Over(NOT_PLAIN, "returns too much") from None

    @staticmethod
    def _reply(body: bytes) -> Any:
        try:
            return unpacked(body)
        except BadFrame:
            raise _Over(NOT_PLAIN, "returns what is no plain data") from None

    def _read_screen(self) -> bool:
        """Takes what was printed, as far as there is room; is there more?"""
        try:
            more = os.read(self._screen, _CHUNK)
        except BlockingIOError:
            return False
        self._screen_ended = not more
        if self.keeps:
            self._printed += more[: max(self._room - len(self._printed), 0)]
        return bool(more)

    def drain(self) -> None:
        """Takes all that is printed so far, so that what is printed later can be told from it."""
        for _ in range(1 + self._room // _CHUNK):
            if not self._read_screen():
                return

    def _ended(self) -> _Over:
        """It closed the channel: it ended, or will be."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self.drain()
        status = end(self._process)
        number = -status if status < 0 else status - 128
        if number == signal.SIGXCPU:
            return _Over(TIME_LIMIT, "takes all the time there is")
        return _Over(CRASHED, f"ends Python{_by_signal(number)}")

    def end(self) -> None:
        """It is not needed any more."""
        self.drain_last()
        end(self._process)

    def drain_last(self) -> None:
        """What was printed at last, if it may be kept."""
        with suppress(OSError, ValueError):
            self.drain()


def _by_signal(number: int) -> str:
    with suppress(ValueError):
        return f": {signal.strsignal(signal.Signals(number).value)}"
    return ""
