"""Who wrote a step: the functions of the model that were running, and the line each had reached."""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from memsim.trace.steps import Journal

#: Functions that were running, the innermost first: a code object, and a line of its file.
Emitter = tuple[tuple[CodeType, int], ...]

_ROOMS = ("memsim.mm.", "memsim.lib.")
#: What only says that something changed did not change it.
_REPORTERS = ("step_", "_step")


class EmitterJournal(Journal):
    """A journal that keeps who wrote each step. It goes on with the records of another."""

    __slots__ = ("_emitters",)

    def __init__(self, journal: Journal) -> None:
        self._ints = journal._ints
        self._emitters: dict[int, Emitter] = {}

    def write(self, seq: int, kind: int, *arguments: int) -> None:
        """Append one record, and who wrote it. Cost: O(depth of the call)."""
        self._emitters[len(self)] = _running(sys._getframe(1))
        Journal.write(self, seq, kind, *arguments)

    def emitters(self, start: int, stop: int) -> list[Emitter]:
        """Of steps start to stop; () where it is not known."""
        return [self._emitters.get(number, ()) for number in range(start, stop)]


def _running(frame: FrameType | None) -> Emitter:
    """The model's functions from this frame outwards; Trace.step() is passed over."""
    found = []
    while frame is not None:
        inside = str(frame.f_globals.get("__name__")).startswith(_ROOMS)
        if inside and not frame.f_code.co_name.startswith(_REPORTERS):
            found.append((frame.f_code, frame.f_lineno))
        elif found and not inside:
            break
        frame = frame.f_back
    return tuple(found)
