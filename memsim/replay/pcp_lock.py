"""Requests that found pcp->lock taken: by whom an interrupt came into, or by another CPU's drain.

They take one page under zone->lock, where one that refills the list takes several. A free that
finds the lock taken tells so itself: probe `direct`. Where a CPU's list is drained by another CPU,
a request that is logged behind the drain yet refilled nothing had its page before it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

from memsim.replay.inputs import Kind, Rows
from memsim.replay.interrupts import interrupts_in
from memsim.words.mmzone import PAGE_ALLOC_COSTLY_ORDER

#: Events of operations that hold pcp->lock, or are about to, or just did.
_HOLDS = frozenset(
    {
        Kind.mm_page_alloc_zone_locked, Kind.mm_page_pcpu_drain, Kind.mm_page_free,
        Kind.mm_page_free_batched, Kind.bulk, Kind.apn, Kind.gpf, Kind.decay, Kind.drain_pages,
        Kind.drain_zone,
    }
)  # fmt: skip
#: Events after which a context's remote drain is over.
_OVER = frozenset(
    {
        Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct, Kind.decay,
        Kind.mm_page_free_batched, Kind.drain_zone, Kind.gpf, Kind.mm_page_alloc, Kind.bulk,
    }
)  # fmt: skip
_FREES = frozenset({Kind.mm_page_free, Kind.mm_page_free_batched})
_REQUESTS = frozenset({Kind.mm_page_alloc, Kind.bulk, Kind.bulk_ret, Kind.gpf})


def find_locked_out(rows: Rows, when: array[float]) -> set[int]:
    """Rows of requests that found pcp->lock taken. Moves others in front of remote drains.

    when: by row, its place in the order.
    """
    inside = _order_around_remote_drains(rows, when) if Kind.drain_pages in rows.kind else set()
    interrupts = _into_holders(rows)
    if not inside and not interrupts:
        return set()
    alone = _alone_under_lock(rows)
    return {
        row
        for row, locked in alone.items()
        if locked in inside or _is_in_one(row, interrupts.get(rows.cpu[row], []))
    }


def _into_holders(rows: Rows) -> dict[int, list[tuple[int, int]]]:
    """By CPU: (first row, last row) of interrupts into what takes pcp->lock; none overlap."""
    into = [
        (interrupt.first, -interrupt.last)
        for interrupt in interrupts_in(rows.interrupts)
        if interrupt.before >= 0 and rows.kind[interrupt.before] in _HOLDS
    ]
    found: dict[int, list[tuple[int, int]]] = {}
    for first, minus_last in sorted(into):
        spans = found.setdefault(rows.cpu[first], [])
        if not spans or first > spans[-1][1]:
            spans.append((first, -minus_last))
    return found


def _is_in_one(row: int, spans: list[tuple[int, int]]) -> bool:
    index = bisect_right(spans, row, key=lambda span: span[0]) - 1
    return index >= 0 and row <= spans[index][1]


def _alone_under_lock(rows: Rows) -> dict[int, int]:
    """Requests that could use a pcp list, yet took one block under zone->lock: row -> its row."""
    locked: dict[int, list[int]] = {}
    alone: dict[int, int] = {}
    for row, kind in enumerate(rows.kind):
        if kind == Kind.mm_page_alloc_zone_locked:
            locked.setdefault(rows.context[row], []).append(row)
        elif kind in _REQUESTS:
            taken = locked.pop(rows.context[row], [])
            if kind == Kind.mm_page_alloc and rows[row][1] <= PAGE_ALLOC_COSTLY_ORDER:
                if len(taken) == 1:
                    alone[row] = taken[0]
    return alone


def _order_around_remote_drains(rows: Rows, when: array[float]) -> set[int]:
    """Rows under zone->lock while another CPU drained. Moves requests that came before."""
    drains = _RemoteDrains(rows)
    for row, kind in enumerate(rows.kind):
        place = drains.row(row, kind)
        if place >= 0 and when[row] == row:
            when[row] = place
    return drains.inside


class _RemoteDrains:
    """Drains of other CPUs' pcp lists, row by row, and the requests that they concern."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        #: By context: the CPU that it drains. By CPU: the context that drains it.
        self._target: dict[int, int] = {}
        self._drainer: dict[int, int] = {}
        #: By CPU: the row with which its lists began to be emptied, until it has pages again.
        self._emptied: dict[int, int] = {}
        #: By CPU: rows under zone->lock since its drainer's last.
        self._meanwhile: dict[int, list[int]] = {}
        #: Rows under zone->lock while another CPU drained.
        self.inside: set[int] = set()

    def row(self, row: int, kind: int) -> float:
        """The next row. For a request that refilled nothing: its place, if it is another; or -1."""
        rows = self._rows
        who, cpu = rows.context[row], rows.cpu[row]
        if kind == Kind.mm_page_alloc and cpu in self._emptied:
            return self._emptied[cpu] - 0.75
        if kind == Kind.mm_page_pcpu_drain and who in self._target:
            target = self._target[who]
            self._emptied.setdefault(target, row)
            self.inside.update(self._meanwhile.pop(target, ()))
        elif kind == Kind.mm_page_alloc_zone_locked:
            self._emptied.pop(cpu, None)
            if cpu in self._drainer:
                self._meanwhile.setdefault(cpu, []).append(row)
        elif kind in _FREES:
            self._emptied.pop(cpu, None)
        if kind in _OVER or kind == Kind.drain_pages:
            self._end(who)
        if kind == Kind.drain_pages and rows[row][0] != cpu:
            self._target[who] = rows[row][0]
            self._drainer[rows[row][0]] = who
        return -1

    def _end(self, who: int) -> None:
        """The context does something else."""
        target = self._target.pop(who, -1)
        if self._drainer.get(target) == who:
            del self._drainer[target]
            self._meanwhile.pop(target, None)
