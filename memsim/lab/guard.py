"""Runs a student's code so that whatever it does, the notebook stays usable.

It runs in the reader's own kernel: this is for practice, and no wall against anybody.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import io
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from memsim.lab.failures import TOO_LONG, in_words

#: Characters that a student's code may print before it is stopped.
MAX_PRINTED = 64 << 10
#: How many of them are kept.
_SEEN = 2000
#: Seconds that threads take turns in while code that catches everything is stopped: one of the
#: attempts then comes while it handles the one before.
_TURN = 1e-6
_USUAL_TURN = sys.getswitchinterval()


#: Said before a check where there are no threads, so nothing is stopped: in a browser.
NO_ALARM = "Nothing stops code without an end here: if no result comes, Kernel, Restart Kernel."


def has_alarm() -> bool:
    """Can what takes too long be stopped here?"""
    return sys.platform != "emscripten"


class _Stop(BaseException):
    """The time is up, or too much was printed."""


@dataclass(frozen=True)
class Ran:
    """What came of it: a value, or in words why there is none."""

    value: Any = None
    failure: str = ""
    #: The beginning of what it printed.
    printed: str = ""
    is_over_time: bool = False


def run_guarded(function: Callable[[], Any], seconds: float) -> Ran:
    """Call it, for at most so many seconds; NOT MODELLED: a stop of time.sleep() and the like."""
    screen, alarm = _Screen(), _Alarm(seconds)
    try:
        return _ran(function, screen, alarm)
    except _Stop:
        alarm.join()  # one that came too late to find its call; now there is no other
        return Ran(None, TOO_LONG.format(seconds), screen.seen, True)


def _ran(function: Callable[[], Any], screen: _Screen, alarm: _Alarm) -> Ran:
    try:
        with _printing_to(screen):
            alarm.start()
            return Ran(_call(function), "", screen.seen)
    except _Stop:
        if screen.is_full:
            said = f"prints without end: stopped after {MAX_PRINTED} characters"
            return Ran(None, said, screen.seen)
        return Ran(None, TOO_LONG.format(alarm.seconds), screen.seen, True)
    except BaseException as error:
        return Ran(None, in_words(error), screen.seen)
    finally:
        alarm.join()


def _call(function: Callable[[], Any]) -> Any:
    """The frame by which the alarm knows that the student's code still runs."""
    return function()


@contextlib.contextmanager
def _printing_to(screen: _Screen) -> Iterator[None]:
    asks = builtins.input
    builtins.input = _no_input
    try:
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            yield
    finally:
        builtins.input = asks


def _no_input(*prompt: object) -> str:
    raise RuntimeError("input() has no place here: the check gives the arguments")


class _Screen(io.TextIOBase):
    """Takes what is printed, keeps its beginning; stops who prints too much."""

    def __init__(self) -> None:
        self._left = MAX_PRINTED
        self.seen = ""

    @property
    def is_full(self) -> bool:
        return self._left < 0

    def write(self, text: str) -> int:
        self._left -= len(text)
        self.seen += text[: _SEEN - len(self.seen)]
        if self.is_full:
            raise _Stop
        return len(text)


class _Alarm:
    """Raises _Stop in _call() of the thread that made it, when the time is up, until it is left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._for = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ring, daemon=True)

    def start(self) -> None:
        """From here on the time counts. A browser has no threads, and no alarm."""
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def join(self) -> None:
        """No _Stop comes after this."""
        self._over.set()
        with contextlib.suppress(RuntimeError):
            self._thread.join()

    def _ring(self) -> None:
        self._over.wait(self.seconds)
        while not self._over.is_set() and self._is_in_call():
            sys.setswitchinterval(_TURN)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._for), ctypes.py_object(_Stop)
            )
            self._over.wait(_TURN)
        sys.setswitchinterval(_USUAL_TURN)

    def _is_in_call(self) -> bool:
        frame = sys._current_frames().get(self._for)
        while frame is not None and frame.f_code is not _call.__code__:
            frame = frame.f_back
        return frame is not None
