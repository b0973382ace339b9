"""How far it is and how long it will take, on one line of a terminal."""

from __future__ import annotations

import time
from typing import TextIO

from memsim.lab.grader.results import Result


class Eta:
    """Called with each result."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._began, self._first = time.monotonic(), 0

    def __call__(self, done: int, total: int, result: Result) -> None:
        """One line, written over the one before."""
        self._first = self._first or done - 1
        seconds = (time.monotonic() - self._began) / (done - self._first)
        left = max(total - done, 0) * seconds
        told = f"{done} of {total}, {left // 60:.0f} min {left % 60:02.0f} s left"
        print(f"\r\033[K{told}: {result.student} {result.exercise}", end="",
              file=self._terminal, flush=True)  # fmt: skip
