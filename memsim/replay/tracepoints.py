"""The tracepoints on the way: what memsim fired against what the recording shows, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from memsim.replay.inputs import Kind
from memsim.trace.events import (
    MM_PAGE_ALLOC_EXTFRAG,
    MM_PAGE_ALLOC_ZONE_LOCKED,
    MM_PAGE_PCPU_DRAIN,
)
from memsim.trace.trace import Trace

#: Compared kinds: the number of the event in memsim's ring, and how many of its fields.
COMPARED = {
    Kind.mm_page_alloc_zone_locked: (MM_PAGE_ALLOC_ZONE_LOCKED, 4),
    Kind.mm_page_alloc_extfrag: (MM_PAGE_ALLOC_EXTFRAG, 6),
    Kind.mm_page_pcpu_drain: (MM_PAGE_PCPU_DRAIN, 3),
}
_KIND_OF = {event: (kind, nr) for kind, (event, nr) in COMPARED.items()}


#: One side this far ahead of the other: the two are out of step, and no more is compared.
MAX_AHEAD = 1 << 16


@dataclass
class Stream:
    """One kind of event: how many were recorded, and how many memsim fired alike, in order."""

    total: int = 0
    equal: int = 0
    out_of_step: bool = False
    recorded: deque[tuple[int, ...]] = field(default_factory=deque)
    fired: deque[tuple[int, ...]] = field(default_factory=deque)

    def append(self, fields: tuple[int, ...]) -> None:
        """memsim fired this event."""
        self.fired.append(fields)
        if len(self.fired) > MAX_AHEAD:
            self.match()

    def match(self) -> None:
        """Compare what has come from both sides so far."""
        while self.recorded and self.fired:
            self.equal += self.recorded.popleft() == self.fired.popleft()
        if self.out_of_step or max(len(self.recorded), len(self.fired)) > MAX_AHEAD:
            self.out_of_step = True
            self.recorded.clear()
            self.fired.clear()


class Tracepoints:
    """A stream for each compared kind."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._seen = trace.ring.written
        self.streams = {kind: Stream() for kind in COMPARED}

    def recorded(self, kind: Kind, fields: tuple[int, ...]) -> None:
        """The recording shows this event."""
        stream = self.streams[kind]
        stream.total += 1
        stream.recorded.append(fields[: COMPARED[kind][1]])

    def collect(self) -> None:
        """Take what memsim fired since the last time out of its ring."""
        ring = self._trace.ring
        if ring.written == self._seen:
            return
        for record in ring.read(self._seen):
            kind_nr = _KIND_OF.get(record[1] & 0xFF)
            if kind_nr is not None:
                kind, nr_fields = kind_nr
                self.streams[kind].append(tuple(record[2 : 2 + nr_fields]))
        self._seen = ring.written

    def match(self) -> None:
        """Compare what has come from both sides."""
        for stream in self.streams.values():
            stream.match()
