"""The order in which operations took effect: not the order of the log.

A request is logged when it ends and a free when it begins, but what they do to a zone is done while
they hold its lock. There the zone fires mm_page_alloc_zone_locked or mm_page_pcpu_drain: the first
such event of an operation says when it had the lock. Only the time is taken from it. Interrupts
come in between on one CPU too, and other CPUs may drain a CPU's pcp lists: see interrupted.py,
remote_drains.py and pcp_lock.py.
"""

from __future__ import annotations

from array import array
from itertools import compress
from math import ceil, floor

from memsim.replay.order.interrupted import BEFORE, order_interrupted
from memsim.replay.order.pcp_lock import find_locked_out
from memsim.replay.order.remote_drains import order_before_remote_drains, rows_inside_remote_drains
from memsim.replay.order.slab_halfway import order_halfway
from memsim.replay.order.slab_order import order_slab
from memsim.replay.rows.inputs import Kind, Rows

_BEGINS = frozenset(
    {
        Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct,
        Kind.mm_page_free_batched, Kind.direct, Kind.decay, Kind.drain_pages, Kind.drain_zone,
        Kind.gpf,
    }
)  # fmt: skip
_ATTEMPTS = frozenset({Kind.gpf})
_OTHERS = frozenset(
    {
        Kind.mm_page_pcpu_drain, Kind.mm_page_alloc, Kind.bulk_ret, Kind.isolate_ret,
        Kind.mm_compaction_fast_isolate_freepages,
    }
)  # fmt: skip
#: Events of a page taken under the lock; the second is alone when a whole pageblock is claimed.
_TAKES = frozenset({Kind.mm_page_alloc_zone_locked, Kind.mm_page_alloc_extfrag})


def operation_order(rows: Rows) -> tuple[array[int], bytearray]:
    """Row numbers in the order of their operations; by row, 1 where pcp->lock was found taken."""
    when = array("d", range(len(rows)))
    _order_by_zone_lock(rows, when)
    inside = rows_inside_remote_drains(rows)
    order_interrupted(rows, when, inside)
    order_before_remote_drains(rows, when)
    order_slab(rows, when)
    order_halfway(rows, when)
    return rows_by_place(when), find_locked_out(rows, inside)


def rows_by_place(when: array[float]) -> array[int]:
    """Row numbers by their places; of those in one place, the first in the log comes first.

    Most rows stayed where they were: only the others are sorted, which saves memory.
    """
    moved = [row for row, place in enumerate(when) if place != row]
    moved.sort(key=when.__getitem__)
    stayed = bytearray(b"\1") * len(when)
    for row in moved:
        stayed[row] = 0
    order = array("i")
    done = 0
    for row in moved:
        place = when[row]
        end = max(done, ceil(place) if row < place else floor(place) + 1)
        order.extend(compress(range(done, end), stayed[done:end]))
        order.append(row)
        done = end
    order.extend(compress(range(done, len(when)), stayed[done:]))
    return order


def _order_by_zone_lock(rows: Rows, when: array[float]) -> None:
    """An operation counts from its first event under zone->lock."""
    refilled: dict[int, int] = {}
    begun: dict[int, int] = {}
    isolated: dict[int, int] = {}
    for row in rows.of_kinds(_TAKES | _BEGINS | _OTHERS):
        kind, who = rows.kind[row], rows.context[row]
        if kind in _TAKES:
            refilled.setdefault(who, row)
            if rows.kind[begun.get(who, row)] in _ATTEMPTS:
                when[begun.pop(who)] = row - 0.5
        elif kind in _BEGINS:
            begun[who] = row
            if kind in _ATTEMPTS:
                refilled.pop(who, None)
        elif kind == Kind.mm_page_pcpu_drain:
            if who in begun and rows.kind[begun[who]] not in _ATTEMPTS:
                when[begun.pop(who)] = row - 0.5
        elif kind == Kind.mm_page_alloc:
            when[row] = refilled.pop(who, row + 0.5) - 0.5
            begun.pop(who, None)
        elif kind == Kind.bulk_ret:
            refilled.pop(who, None)
        elif kind == Kind.isolate_ret:
            if rows[row][0]:  # by a fast search
                isolated[who] = row
        else:
            # mm_compaction_fast_isolate_freepages, logged once the lock is free again
            when[row] = isolated.pop(who, row) + BEFORE
