"""The tracepoints on the way: what memsim fired against what the recording shows, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from memsim.mm.mmzone import Vm, page_zone
from memsim.replay.rows.inputs import Kind
from memsim.trace.events import (
    MM_PAGE_ALLOC_EXTFRAG,
    MM_PAGE_ALLOC_ZONE_LOCKED,
    MM_PAGE_PCPU_DRAIN,
)
from memsim.trace.ring import Record, Ring

#: Compared kinds: the number of the event in memsim's ring, and how many of its fields.
COMPARED = {
    Kind.mm_page_alloc_zone_locked: (MM_PAGE_ALLOC_ZONE_LOCKED, 4),
    Kind.mm_page_alloc_extfrag: (MM_PAGE_ALLOC_EXTFRAG, 6),
    Kind.mm_page_pcpu_drain: (MM_PAGE_PCPU_DRAIN, 3),
}
_KIND_OF = {event: int(kind) for kind, (event, _) in COMPARED.items()}
_NR_FIELDS = {int(kind): nr for kind, (_, nr) in COMPARED.items()}

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


class _Fired(Ring):
    """In the place of the ring: what memsim fires is compared, and not kept."""

    def __init__(self, take: Callable[[Record], None]) -> None:
        super().__init__(1)
        self._take = take

    def write(self, record: Record) -> None:
        """Hand it on."""
        self._take(record)


class Tracepoints:
    """A stream for each compared kind."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self.streams = {kind: Stream() for kind in COMPARED}
        #: By kind and zone, the last for pages of none.
        self._lanes = {
            int(kind): [Lane(stream) for _ in (*vm.zones, None)]
            for kind, stream in self.streams.items()
        }
        vm.trace.ring = _Fired(self._fired)

    def _lane(self, kind: int, pfn: int) -> Lane:
        zone = page_zone(self._vm, pfn)
        return self._lanes[kind][-1 if zone is None else zone.id]

    def recorded(self, kind: int, fields: tuple[int, ...]) -> None:
        """The recording shows this event."""
        lane = self._lane(kind, fields[0])
        lane.stream.total += 1
        lane.recorded.append(fields[: _NR_FIELDS[kind]])

    def _fired(self, record: Record) -> None:
        kind = _KIND_OF.get(record[1] & 0xFF)
        if kind is not None:
            lane = self._lane(kind, record[2])
            lane.stream.fired += 1
            lane.fired.append(record[2 : 2 + _NR_FIELDS[kind]])
            if len(lane.fired) > MAX_AHEAD:
                lane.match()

    def match(self) -> None:
        """Compare what has come from both sides."""
        for lanes in self._lanes.values():
            for lane in lanes:
                lane.match()
