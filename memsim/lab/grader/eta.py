"""How far it is and how long it will take: one line of a terminal, or a line a minute elsewhere."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from memsim.lab.grader.results import Result
from memsim.lib.text import one_line

_SECONDS = 60


class Eta:
    """Called with each result."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._is_terminal = out, out.isatty()
        self._began = self._told = time.monotonic()

    def __call__(self, done: int, total: int, result: Result) -> None:
        """On a terminal written over the line before, and no wider than it."""
        now = time.monotonic()
        left = (total - done) * (now - self._began) / done
        told = f"{done} of {total}, {_in_words(left)} left: {result.student} {result.exercise}"
        if self._is_terminal:
            width = max(shutil.get_terminal_size().columns - 1, 20)
            print(f"\r\033[K{one_line(told, width)}", end="", file=self._out, flush=True)
        elif now - self._told >= _SECONDS:
            self._told = now
            print(f"memsim: {one_line(told)}", file=self._out, flush=True)

    def __enter__(self) -> Eta:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing of it is left on a terminal."""
        if self._is_terminal:
            print("\r\033[K", end="", file=self._out, flush=True)


def _in_words(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
