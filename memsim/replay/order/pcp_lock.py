"""Requests that found pcp->lock taken: by whom an interrupt came into, or by another CPU's drain.

They take one page under zone->lock, where one that refills the list takes several. A free that
finds the lock taken tells so itself: probe `direct`.
"""

from __future__ import annotations

from memsim.replay.order.holds import takes_page
from memsim.replay.rows.inputs import Kind, Rows
from memsim.words.mmzone import PAGE_ALLOC_COSTLY_ORDER

_LOCKED = frozenset({Kind.mm_page_alloc_zone_locked, Kind.mm_page_alloc_extfrag})
_REQUESTS = frozenset({Kind.mm_page_alloc, Kind.bulk, Kind.bulk_ret, Kind.gpf})


def find_locked_out(rows: Rows, inside: bytearray) -> bytearray:
    """By row: 1 for requests that found pcp->lock taken, and the last attempts of such.

    inside: by row, 1 for those under zone->lock of CPUs whose lists others drained then.
    """
    out = bytearray(len(rows))
    if not rows.interrupts and 1 not in inside:
        return out
    #: By context: pages taken since the last request, the row of the last; the last attempt.
    taken: dict[int, tuple[int, int]] = {}
    attempts: dict[int, int] = {}
    for row in rows.of_kinds(_LOCKED | _REQUESTS):
        kind, who = rows.kind[row], rows.context[row]
        if kind in _LOCKED:
            nr_pages, last = taken.get(who, (0, -1))
            if takes_page(rows, row, last):
                taken[who] = nr_pages + 1, row
        else:
            nr_pages, last = taken.pop(who, (0, -1))
            attempt = attempts.pop(who, row)
            if kind == Kind.gpf:
                attempts[who] = row
            elif kind == Kind.mm_page_alloc and nr_pages == 1 and _uses_pcp(rows, row):
                if inside[last] or who != rows.task[row]:
                    out[row] = out[attempt] = 1
    return out


def _uses_pcp(rows: Rows, row: int) -> bool:
    """Is the request one for which a pcp list is refilled with several blocks?"""
    return rows.argument(row, 1) <= PAGE_ALLOC_COSTLY_ORDER
