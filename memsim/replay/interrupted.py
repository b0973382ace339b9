"""Operations that an interrupt came into: what of them was done before it, what after.

A free goes to its list after its event: an interrupt right behind the event comes first. A request
had its page before its event: what it does afterwards, zeroing above all, takes most of its time,
so when little time is left after an interrupt, the page was taken before it. Only times are used.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import inf

from memsim.replay.inputs import Kind, Rows
from memsim.replay.interrupts import Interrupt, interrupts_in
from memsim.replay.slab_fields import is_slab

_SECOND = 1_000_000
#: Events after which a context begins a request, or with which it begins one.
_BEFORE_A_REQUEST = frozenset(
    {
        Kind.apn, Kind.mm_page_alloc, Kind.mm_page_free, Kind.mm_page_free_batched,
        Kind.mm_lru_insertion,
    }
)  # fmt: skip


def order_interrupted(rows: Rows, when: array[float]) -> None:
    """Move what was done before an interrupt in front of it, and what was done after behind it.

    when: by row, its place in the order.
    """
    if not rows.interrupts:
        return
    needs, went_direct = _Needs(rows), _WentDirect(rows)
    behind = 0.01
    for interrupt in interrupts_in(rows.interrupts):
        before, until = interrupt.before, interrupt.until
        direct = went_direct.during(interrupt)
        if before >= 0 and rows.kind[before] == Kind.mm_page_free:
            if not direct and _is_committed_later(rows, interrupt):
                # an interrupt that came into an interrupt is met first, and is done first
                behind += 1e-9
                when[before] = max(when[before], interrupt.last + behind)
        if until >= 0 and interrupt.left < needs.time(interrupt, direct):
            when[until] = min(when[until], interrupt.first - 0.75)


def _is_committed_later(rows: Rows, interrupt: Interrupt) -> bool:
    """Is the block of the mm_page_free right before it on no list yet when the interrupt comes?

    It is on its list if pcp->lock was found taken; if the context was logging its next event, which
    then has the time of the interrupt's last; if it had left pcp->lock just now: then one level
    of preempt_disable() is left, as there is in softirqs that local_bh_enable() runs. Nothing is
    known when all events of the trace are rows: the context may have gone on unseen.
    """
    sees_others = rows.facts.events > len(rows)
    return sees_others and interrupt.left > 0 and interrupt.depth != 1


class _WentDirect:
    """Interrupts that freed past the pcp list: its lock was taken by whom they came into."""

    def __init__(self, rows: Rows) -> None:
        self._cpu = rows.cpu
        #: By CPU: rows of blocks that went straight to the buddy.
        self._rows: dict[int, list[int]] = {}
        for row, kind in enumerate(rows.kind):
            if kind == Kind.direct:
                self._rows.setdefault(rows.cpu[row], []).append(row)

    def during(self, interrupt: Interrupt) -> bool:
        """Did it?"""
        rows = self._rows.get(self._cpu[interrupt.first], [])
        index = bisect_left(rows, interrupt.first)
        return index < len(rows) and rows[index] <= interrupt.last


class _Needs:
    """The least time, in microseconds, that requests of this recording took."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        #: By order, from the same context's event before.
        self._by_order: dict[int, float] = {}
        #: A page, of those that ask for several.
        self._by_page = inf
        last: dict[int, int] = {}
        bulk: dict[int, int] = {}
        for row, kind in enumerate(rows.kind):
            if is_slab(kind):
                continue
            who = rows.context[row]
            if kind == Kind.mm_page_alloc and rows[row][0] >= 0:
                self._request(row, last.get(who, -1))
            elif kind == Kind.bulk:
                bulk[who] = row
            elif kind == Kind.bulk_ret and who in bulk:
                took = self._microseconds(bulk.pop(who), row)
                self._by_page = min(self._by_page, took / max(1, rows[row][1]))
            last[who] = row

    def _microseconds(self, first: int, last: int) -> float:
        return (self._rows.time[last] - self._rows.time[first]) * _SECOND

    def _request(self, row: int, before: int) -> None:
        if before >= 0 and self._rows.kind[before] in _BEFORE_A_REQUEST:
            order = self._rows[row][1]
            took = self._microseconds(before, row)
            self._by_order[order] = min(took, self._by_order.get(order, inf))

    def time(self, interrupt: Interrupt, direct: bool) -> float:
        """Of the request that ends behind the interrupt; 0 if none does.

        direct: the interrupt found pcp->lock taken. A bulk request that refilled its list before
        the interrupt had pcp->lock from there to the end: it found it taken, or came later.
        """
        before, until = interrupt.before, interrupt.until
        kind = self._rows.kind[until]
        if kind == Kind.mm_page_alloc:
            return self._by_order.get(self._rows[until][1], 0.0)
        if kind != Kind.bulk_ret or direct:
            return 0.0
        if before >= 0 and self._rows.kind[before] == Kind.mm_page_alloc_zone_locked:
            return inf
        return self._by_page * self._rows[until][1]
