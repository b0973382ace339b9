"""The tracepoints on the way: what memsim fired against what the recording shows, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from memsim.mm.mmzone import Vm, page_zone
from memsim.replay.inputs import Kind
from memsim.trace.events import (
    MM_PAGE_ALLOC_EXTFRAG,
    MM_PAGE_ALLOC_ZONE_LOCKED,
    MM_PAGE_PCPU_DRAIN,
)

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
    """One kind of event: how many were recorded, how many memsim fired, how many alike in order."""

    total: int = 0
    equal: int = 0
    fired: int = 0


@dataclass
class Lane:
    """Events of one kind in one zone, of both sides: zone->lock puts them in one order."""

    stream: Stream
    out_of_step: bool = False
    recorded: deque[tuple[int, ...]] = field(default_factory=deque)
    fired: deque[tuple[int, ...]] = field(default_factory=deque)

    def match(self) -> None:
        """Compare what has come from both sides so far."""
        while self.recorded and self.fired:
            self.stream.equal += self.recorded.popleft() == self.fired.popleft()
        if self.out_of_step or max(len(self.recorded), len(self.fired)) > MAX_AHEAD:
            self.out_of_step = True
            self.recorded.clear()
            self.fired.clear()


class Tracepoints:
    """A stream for each compared kind."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._seen = vm.trace.ring.written
        self.streams = {kind: Stream() for kind in COMPARED}
        self._lanes: dict[tuple[Kind, int], Lane] = {}

    def _lane(self, kind: Kind, pfn: int) -> Lane:
        zone = page_zone(self._vm, pfn)
        key = (kind, -1 if zone is None else zone.id)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self.streams[kind])
        return lane

    def recorded(self, kind: Kind, fields: tuple[int, ...]) -> None:
        """The recording shows this event."""
        self.streams[kind].total += 1
        self._lane(kind, fields[0]).recorded.append(fields[: COMPARED[kind][1]])

    def collect(self) -> None:
        """Take what memsim fired since the last time out of its ring."""
        ring = self._vm.trace.ring
        if ring.written == self._seen:
            return
        for record in ring.read(self._seen):
            kind_nr = _KIND_OF.get(record[1] & 0xFF)
            if kind_nr is not None:
                kind, nr_fields = kind_nr
                lane = self._lane(kind, record[2])
                lane.fired.append(tuple(record[2 : 2 + nr_fields]))
                lane.stream.fired += 1
                if len(lane.fired) > MAX_AHEAD:
                    lane.match()
        self._seen = ring.written

    def match(self) -> None:
        """Compare what has come from both sides."""
        for lane in self._lanes.values():
            lane.match()
