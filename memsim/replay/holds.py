"""Operations that take zone->lock more than once: how much each did before others came between.

Bulk requests refill their pcp list as often as they must; decay and drains give pages back batch by
batch. Events under the lock, counted up to where another context comes in, say how far one got.
"""

from __future__ import annotations

from memsim.replay.inputs import Kind, Rows
from memsim.replay.slab_fields import is_slab

_LOCKED = frozenset({Kind.mm_page_alloc_zone_locked, Kind.mm_page_pcpu_drain})
_DRAINS = frozenset({Kind.decay, Kind.drain_pages})
#: What a context that drained goes on with, and whose drains are not in batches.
_GOES_ON = frozenset(
    {
        Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct,
        Kind.mm_page_free_batched, Kind.drain_zone, Kind.gpf, Kind.mm_page_alloc, Kind.bulk,
    }
)  # fmt: skip


class _Runs:
    """Events under the lock, in runs that no other context cuts: first row -> pages."""

    def __init__(self) -> None:
        self.pages: dict[int, int] = {}
        self._start: dict[int, int] = {}

    def cut(self, context: int) -> None:
        """This context's next event begins a run."""
        self._start.pop(context, None)

    def add(self, row: int, context: int, pages: int) -> None:
        """One more event of a run."""
        start = self._start.setdefault(context, row)
        self.pages[start] = self.pages.get(start, 0) + pages


def runs_of_holds(rows: Rows) -> tuple[dict[int, int], dict[int, int]]:
    """(refills of bulk requests, drains in batches): first row of each run -> pages of the run."""
    refills, drains = _Runs(), _Runs()
    bulk: set[int] = set()
    draining: set[int] = set()
    holder = -1
    on_cpu: dict[int, int] = {}
    for row, kind in enumerate(rows.kind):
        if is_slab(kind):
            continue
        who, cpu = rows.context[row], rows.cpu[row]
        if on_cpu.setdefault(cpu, who) != who:
            refills.cut(on_cpu[cpu])
            drains.cut(on_cpu[cpu])
            on_cpu[cpu] = who
        if kind in _LOCKED:
            if holder != who:
                refills.cut(holder)
                drains.cut(holder)
                holder = who
            if kind == Kind.mm_page_alloc_zone_locked and who in bulk:
                refills.add(row, who, 1)
            elif kind == Kind.mm_page_pcpu_drain and who in draining:
                drains.add(row, who, 1 << rows[row][1])
        elif kind in _DRAINS:
            draining.add(who)
            drains.cut(who)
        elif kind in _GOES_ON:
            draining.discard(who)
        if kind == Kind.bulk:
            bulk.add(who)
            refills.cut(who)
        elif kind in (Kind.bulk_ret, Kind.mm_page_alloc):
            bulk.discard(who)
    return refills.pages, drains.pages
