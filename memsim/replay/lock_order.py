"""On several CPUs, the order in which operations held zone->lock: not the order of the log.

A request is logged when it ends and a free when it begins, but what they do to a zone is done while
they hold its lock. There the zone fires mm_page_alloc_zone_locked or mm_page_pcpu_drain: the first
such event of an operation says when it had the lock. Only the time is taken from it.
"""

from __future__ import annotations

from array import array

from memsim.replay.inputs import Kind, Rows

_ENDS = frozenset({Kind.mm_page_alloc, Kind.bulk_ret})
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
        elif kind in _ENDS:
            when[row] = refilled.pop(who, row + 0.5) - 0.5
            begun.pop(who, None)
        elif kind in _BEGINS:
            begun[who] = row
            if kind == Kind.gpf:
                refilled.pop(who, None)
    return sorted(range(len(rows)), key=when.__getitem__)
