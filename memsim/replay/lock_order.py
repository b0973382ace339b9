"""On several CPUs, the order in which operations held zone->lock: not the order of the log.

A request is logged when it ends and a free when it begins, but what they do to a zone is done while
they hold its lock. There the zone fires mm_page_alloc_zone_locked or mm_page_pcpu_drain: the first
such event of an operation says when it had the lock. Only the time is taken from it.
"""

from __future__ import annotations

from array import array

from memsim.replay.inputs import Kind, Rows

_LOCKED = frozenset({Kind.mm_page_alloc_zone_locked, Kind.mm_page_pcpu_drain})
_BEGINS = frozenset(
    {
        Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct,
        Kind.mm_page_free_batched, Kind.direct, Kind.decay, Kind.drain_pages, Kind.drain_zone,
        Kind.gpf,
    }
)  # fmt: skip


def zone_lock_order(rows: Rows) -> list[int]:
    """Row numbers in the order in which their operations are to be done."""
    when = array("d", range(len(rows)))
    refilled: dict[tuple[int, int], int] = {}
    begun: dict[tuple[int, int], int] = {}
    for row, kind in enumerate(rows.kind):
        who = (rows.cpu[row], rows.context[row])
        if kind == Kind.mm_page_alloc_zone_locked:
            refilled.setdefault(who, row)
            if rows.kind[begun.get(who, row)] == Kind.gpf:
                when[begun.pop(who)] = row - 0.5
        elif kind == Kind.mm_page_pcpu_drain:
            if who in begun and rows.kind[begun[who]] != Kind.gpf:
                when[begun.pop(who)] = row - 0.5
        elif kind == Kind.mm_page_alloc:
            when[row] = refilled.pop(who, row + 0.5) - 0.5
            begun.pop(who, None)
        elif kind in _BEGINS:
            begun[who] = row
            if kind == Kind.gpf:
                refilled.pop(who, None)
        elif kind == Kind.bulk_ret:
            refilled.pop(who, None)
    return sorted(range(len(rows)), key=when.__getitem__)


def bulk_refills(rows: Rows) -> dict[int, int]:
    """Refills of bulk requests: first row of each hold of zone->lock -> pages refilled in it."""
    bulk: set[tuple[int, int]] = set()
    holder: tuple[int, int] = (-1, -1)
    start = 0
    pages: dict[int, int] = {}
    for row, kind in enumerate(rows.kind):
        who = (rows.cpu[row], rows.context[row])
        if kind == Kind.bulk:
            bulk.add(who)
            holder = (-1, -1)
        elif kind in (Kind.bulk_ret, Kind.mm_page_alloc):
            bulk.discard(who)
        elif kind in _LOCKED:
            if kind == Kind.mm_page_alloc_zone_locked and who in bulk:
                start = row if holder != who else start
                pages[start] = pages.get(start, 0) + 1
            holder = who
    return pages
