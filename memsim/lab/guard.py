"""Runs a student's code so that whatever it does, the notebook stays usable.

It runs in the reader's own kernel: this is for practice, and no wall against anybody.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from memsim.lab.plain import NotPlain
from memsim.lab.script import Missing

#: Characters that a student's code may print before it is stopped.
MAX_PRINTED = 64 << 10
#: Seconds between two attempts to stop code that catches everything.
_AGAIN = 0.05


class _Stop(BaseException):
    """The time is up, or too much was printed."""


@dataclass(frozen=True)
class Ran:
    """What came of it: a value, or in words why there is none."""

    value: Any = None
    failure: str = ""


def run_guarded(function: Callable[[], Any], seconds: float) -> Ran:
    """Call it, for at most so many seconds; NOT MODELLED: a stop of time.sleep() and the like."""
    screen = _Screen()
    try:
        with _printing_to(screen), _alarm(seconds):
            return Ran(_call(function))
    except _Stop:
        if screen.is_full:
            return Ran(failure=f"prints without end: stopped after {MAX_PRINTED} characters")
        return Ran(failure=f"takes longer than {seconds:g} s: is there a loop without an end?")
    except BaseException as error:
        return Ran(failure=_in_words(error))


@contextlib.contextmanager
def _printing_to(screen: _Screen) -> Iterator[None]:
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
        yield


def _in_words(error: BaseException) -> str:
    if isinstance(error, Missing):
        return str(error)
    if isinstance(error, NotPlain):
        return f"returns something else than expected: {error}"
    if isinstance(error, NotImplementedError):
        return f"is not written yet: {error}".rstrip(": ")
    if isinstance(error, RecursionError):
        return "calls itself too deeply: is there a case where it stops?"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if isinstance(error, SystemExit):
        return "ends Python: exit() has no place here"
    if isinstance(error, KeyboardInterrupt):
        return "was interrupted"
    return _raised(error)


def _raised(error: BaseException) -> str:
    what = f"raises {type(error).__name__}"
    with contextlib.suppress(Exception):
        what += f": {str(error)[:200]}" if str(error) else ""
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if _is_cell(f)]
        what += f" (line {lines[-1]} of its cell)" if lines else ""
    return what


def _is_cell(frame: traceback.FrameSummary) -> bool:
    return "ipykernel_" in frame.filename or frame.filename.startswith("<ipython")


class _Screen(io.TextIOBase):
    """Takes what is printed and drops it; stops who prints too much."""

    def __init__(self) -> None:
        self._left = MAX_PRINTED

    @property
    def is_full(self) -> bool:
        return self._left < 0

    def write(self, text: str) -> int:
        self._left -= len(text)
        if self.is_full:
            raise _Stop
        return len(text)


def _call(function: Callable[[], Any]) -> Any:
    """The frame by which the alarm knows that the student's code still runs."""
    return function()


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises _Stop in _call() of this thread when the time is up, until _call() is left."""
    thread, over = threading.get_ident(), threading.Event()

    def ring() -> None:
        wait = seconds
        while not over.wait(wait):
            # nothing else runs between the look and the raise: this thread has the GIL
            if _is_in_call(thread):
                _stop(thread)
            wait = _AGAIN

    with contextlib.suppress(RuntimeError):  # a browser has no threads, and no alarm
        threading.Thread(target=ring, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _is_in_call(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_code is not _call.__code__:
        frame = frame.f_back
    return frame is not None


def _stop(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Stop))
