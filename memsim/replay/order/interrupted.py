"""Operations that an interrupt came into: what of them was done before it, what after.

A free goes to its list after its event: an interrupt right behind the event comes first. A request
had its page before its event: what it does afterwards, zeroing above all, takes most of its time,
so when little time is left after an interrupt, the page was taken before it. Only times are used.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import inf

from memsim.replay.rows.inputs import OF_PAGES, SLAB_KINDS, Kind, Rows
from memsim.replay.rows.interrupts import Interrupt, interrupts_in
from memsim.words.mmzone import HPAGE_PMD_ORDER, PAGE_ALLOC_COSTLY_ORDER

#: What a place has above the row in front of it, that is right before the next.
BEFORE = 0.25
_SECOND = 1_000_000
#: What two times less than a microsecond short make together.
_ROUNDED = 2
#: Orders of blocks that go to a pcp list, if its lock is free.
_PCP_ORDERS = frozenset({*range(PAGE_ALLOC_COSTLY_ORDER + 1), HPAGE_PMD_ORDER})
_TAKES = frozenset({Kind.mm_page_alloc_zone_locked, Kind.mm_page_alloc_extfrag})
#: Requests, of which it is known how long they took.
_MEASURED = frozenset({Kind.mm_page_alloc, Kind.bulk, Kind.bulk_ret})
_TO_PCP = frozenset({Kind.mm_page_free, Kind.mm_page_free_batched})


def order_interrupted(rows: Rows, when: array[float], drained: bytearray) -> None:
    """Move what was done before an interrupt in front of it, and what was done after behind it.

    when: by row, its place in the order. drained: by row, 1 for those under zone->lock of CPUs
    whose lists others drained then.
    """
    if not rows.interrupts:
        return
    shows_all = _shows_all(rows)
    needs, went_direct = _Needs(rows), _WentDirect(rows, drained)
    behind = 0.01
    for interrupt in interrupts_in(rows.interrupts):
        before, until = interrupt.before, interrupt.until
        direct = went_direct.during(interrupt)
        if until >= 0 and interrupt.left <= needs.time(interrupt, direct):
            # and so was all that its context did before
            when[until] = min(when[until], interrupt.first - 1 + BEFORE)
        elif before >= 0 and rows.kind[before] == Kind.mm_page_free and shows_all:
            if not direct and _is_committed_later(interrupt):
                # an interrupt that came into an interrupt is met first, and is done first
                behind += 1e-9
                when[before] = max(when[before], interrupt.last + behind)


def _is_committed_later(interrupt: Interrupt) -> bool:
    """Is the block of the mm_page_free right before it on no list yet when the interrupt comes?

    It is on its list if pcp->lock was found taken; if the context was logging its next event, which
    then has the time of the interrupt's last; if it had left pcp->lock just now: then one level
    of preempt_disable() is left, as there is in softirqs that local_bh_enable() runs.
    """
    return interrupt.left > 0 and interrupt.depth != 1


def _shows_all(rows: Rows) -> bool:
    """Has the trace more than page events? Else what a context went on with may be unseen."""
    return rows.facts.events > len(rows) - sum(rows.kind.count(kind) for kind in SLAB_KINDS)


class _WentDirect:
    """Interrupts that freed past a pcp list: its lock was taken by whom they came into.

    Or by another CPU, which drained it: then they may have freed to it before and after that.
    """

    def __init__(self, rows: Rows, drained: bytearray) -> None:
        self._cpu = rows.cpu
        #: By CPU: rows of blocks that interrupts freed straight to the buddy: for certain not
        #: because of another CPU, and all.
        self._certain: dict[int, array[int]] = {}
        self._direct: dict[int, array[int]] = {}
        #: By CPU: rows of what they freed to pcp lists.
        self._to_pcp: dict[int, array[int]] = {}
        for row in rows.of_kinds({Kind.direct, *_TO_PCP}):
            if rows.context[row] == rows.task[row]:
                continue
            if rows.kind[row] in _TO_PCP:
                self._to_pcp.setdefault(rows.cpu[row], array("i")).append(row)
            elif rows.argument(row, 2) in _PCP_ORDERS:
                self._direct.setdefault(rows.cpu[row], array("i")).append(row)
                if not drained[row]:
                    self._certain.setdefault(rows.cpu[row], array("i")).append(row)

    def during(self, interrupt: Interrupt) -> bool:
        """Did it?"""
        cpu = self._cpu[interrupt.first]
        none: array[int] = array("i")
        return _has_one(interrupt, self._certain.get(cpu, none)) or (
            _has_one(interrupt, self._direct.get(cpu, none))
            and not _has_one(interrupt, self._to_pcp.get(cpu, none))
        )


def _has_one(interrupt: Interrupt, rows: array[int]) -> bool:
    """Is one of these rows, which are in their order, in the interrupt?"""
    index = bisect_left(rows, interrupt.first)
    return index < len(rows) and rows[index] <= interrupt.last


class _Needs:
    """The least time, in microseconds, that requests of this recording took."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        #: By order, from the last page of its refill.
        self._by_order: dict[int, float] = {}
        #: A page, of those that ask for several.
        self._by_page = inf
        last: dict[int, int] = {}
        bulk: dict[int, int] = {}
        for row in rows.of_kinds(OF_PAGES):
            kind, who = rows.kind[row], rows.context[row]
            if kind in _MEASURED:
                if kind == Kind.mm_page_alloc and rows.argument(row, 0) >= 0:
                    self._request(row, last.get(who, -1))
                elif kind == Kind.bulk:
                    bulk[who] = row
                elif kind == Kind.bulk_ret and who in bulk:
                    took = self._microseconds(bulk.pop(who), row)
                    self._by_page = min(self._by_page, took / max(1, rows.argument(row, 1)))
            last[who] = row

    def _microseconds(self, first: int, last: int) -> float:
        took = (self._rows.time[last] - self._rows.time[first]) * _SECOND
        return float(round(took)) if took < _SECOND else inf

    def _request(self, row: int, before: int) -> None:
        if before >= 0 and self._rows.kind[before] in _TAKES:
            order = self._rows[row][1]
            took = self._microseconds(before, row)
            self._by_order[order] = min(took, self._by_order.get(order, inf))

    def time(self, interrupt: Interrupt, direct: bool) -> float:
        """Of the request that ends behind the interrupt; below 0 if none does.

        direct: the interrupt found pcp->lock taken. A bulk request that refilled its list before
        the interrupt had pcp->lock from there to the end: it found it taken, or came later.
        """
        before, until = interrupt.before, interrupt.until
        kind = self._rows.kind[until]
        if kind == Kind.mm_page_alloc:
            least = self._by_order.get(self._rows[until][1])
            return -1.0 if least is None else least + self._rows.facts.way_back + _ROUNDED
        if kind != Kind.bulk_ret or direct:
            return -1.0
        if before >= 0 and self._rows.kind[before] == Kind.mm_page_alloc_zone_locked:
            return inf
        # it is over at once, or still takes all its pages: halfway between the two
        return self._by_page * self._rows[until][1] / 2 + self._rows.facts.way_back
