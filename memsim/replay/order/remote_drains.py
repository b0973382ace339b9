"""Other CPUs' drains of a CPU's pcp lists, and its own requests just before them and meanwhile.

drain_pages() empties the lists zone by zone, while it holds pcp->lock. A request of that CPU which
is logged behind a drain, yet refilled nothing, had its pages before it. One that took a page under
zone->lock meanwhile found pcp->lock taken, if it took only one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from math import ceil

from memsim.replay.order.interrupted import BEFORE
from memsim.replay.rows.inputs import Kind, Rows

#: Events after which a context's drain is over.
_OVER = frozenset(
    {
        Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct, Kind.decay,
        Kind.mm_page_free_batched, Kind.drain_zone, Kind.drain_pages, Kind.gpf, Kind.mm_page_alloc,
        Kind.bulk,
    }
)  # fmt: skip
#: Events with which a request begins: it has not got at pcp->lock yet.
_BEGINS = frozenset({Kind.apn, Kind.bulk, Kind.gpf})
_ENDS = frozenset({Kind.mm_page_alloc, Kind.bulk_ret})
_LOCKED = frozenset({Kind.mm_page_alloc_zone_locked, Kind.mm_page_alloc_extfrag})
_MAY_BE_LOCKED_OUT = _LOCKED | {Kind.direct}
_FREES = frozenset({Kind.mm_page_free, Kind.mm_page_free_batched})


def rows_inside_remote_drains(rows: Rows) -> bytearray:
    """By row: 1 for those under zone->lock of CPUs whose lists others drained at that time."""
    drains = _RemoteDrains(rows)
    if _has_some(rows):
        for row, kind in enumerate(rows.kind):
            drains.row(row, kind)
    return drains.inside


def order_before_remote_drains(rows: Rows, when: array[float]) -> None:
    """Move requests that had their pages before a drain in front of it.

    when: by row, its place in the order. Requests that were moved in front of an interrupt,
    which may free, are looked at there.
    """
    if not _has_some(rows):
        return
    moved: dict[int, list[int]] = {}
    for row, kind in enumerate(rows.kind):
        if kind in _ENDS and when[row] % 1 == BEFORE:
            moved.setdefault(ceil(when[row]), []).append(row)
    drains = _RemoteDrains(rows)
    for row, kind in enumerate(rows.kind):
        for request in moved.get(row, ()):
            when[request] = drains.place(request, when[request])
        if kind in _ENDS and when[row] == row:
            when[row] = drains.place(row, row)
        drains.row(row, kind)


def _has_some(rows: Rows) -> bool:
    """Does a CPU drain another's lists?"""
    return any(rows.argument(row, 0) != rows.cpu[row] for row in rows.of_kinds({Kind.drain_pages}))


class _Drained:
    """A CPU whose lists others drain."""

    __slots__ = ("drainers", "firsts", "is_quiet")

    def __init__(self) -> None:
        #: Contexts that drain it now.
        self.drainers: set[int] = set()
        #: First events of drains, since the lists had pages.
        self.firsts: list[int] = []
        #: It has done nothing since the last event of a drain.
        self.is_quiet = False


class _RemoteDrains:
    """Drains, row by row, and what the drained CPUs do."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._drained: dict[int, _Drained] = {}
        #: By context: the CPU that it drains; those of which no event was seen yet.
        self._target: dict[int, int] = {}
        self._begun: set[int] = set()
        #: By context: its last row.
        self._last: dict[int, int] = {}
        #: By row: 1 where a CPU had zone->lock while another drained it.
        self.inside = bytearray(len(rows))

    def place(self, row: int, place: float) -> float:
        """The place of a request that refilled nothing, if it is before a drain; or as it was."""
        drained = self._drained.get(self._rows.cpu[row])
        if drained is not None:
            last = self._last.get(self._rows.context[row], -1)
            index = bisect_right(drained.firsts, last)
            if index < len(drained.firsts):
                return drained.firsts[index] - 1 + BEFORE
            # it began after the drains and found pages: those were of another zone
            drained.firsts.clear()
        return place

    def row(self, row: int, kind: int) -> None:
        """The next row."""
        who, cpu = self._rows.context[row], self._rows.cpu[row]
        if cpu in self._drained:
            self._of_drained(row, kind, self._drained[cpu])
        if kind == Kind.mm_page_pcpu_drain and who in self._target:
            self._drain(row, who)
        elif kind in _OVER and who in self._target:
            self._drained[self._target.pop(who)].drainers.discard(who)
        if kind == Kind.drain_pages and self._rows[row][0] != cpu:
            target = self._target[who] = self._rows[row][0]
            self._drained.setdefault(target, _Drained()).drainers.add(who)
            self._begun.add(who)
        self._last[who] = row

    def _of_drained(self, row: int, kind: int, drained: _Drained) -> None:
        """A row of a CPU whose lists others drain."""
        if kind in _MAY_BE_LOCKED_OUT and (drained.is_quiet or drained.drainers):
            self.inside[row] = 1
        if kind in _LOCKED or kind in _FREES:
            drained.firsts.clear()
        if kind not in _BEGINS:
            drained.is_quiet = False

    def _drain(self, row: int, who: int) -> None:
        """Pages that another CPU gives back."""
        drained = self._drained[self._target[who]]
        if who in self._begun:
            self._begun.discard(who)
            drained.firsts.append(row)
        drained.is_quiet = True
