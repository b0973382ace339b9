"""Operations that take zone->lock more than once: how much each did before others came between.

Bulk requests refill their pcp list as often as they must; decay and drains give pages back batch by
batch. Events under the lock, counted up to where another context comes in, say how far one got.
"""

from __future__ import annotations

from array import array

from memsim.replay.rows.inputs import OF_PAGES, Kind, Rows
from memsim.words.mmzone import MAX_PAGE_ORDER

#: Events of who has zone->lock.
_LOCKED = frozenset(
    {
        Kind.mm_page_alloc_zone_locked, Kind.mm_page_pcpu_drain, Kind.mm_page_alloc_extfrag,
        Kind.direct, Kind.isolate, Kind.putback, Kind.movepb,
    }
)  # fmt: skip
_DRAINS = frozenset({Kind.decay, Kind.drain_pages})
_BULK_BEGINS = frozenset({Kind.bulk})
_BULK_ENDS = frozenset({Kind.bulk_ret, Kind.mm_page_alloc})
#: What a context that drained goes on with, and whose drains are not in batches.
_GOES_ON = frozenset(
    {
        Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct,
        Kind.mm_page_free_batched, Kind.drain_zone, Kind.gpf, Kind.mm_page_alloc, Kind.bulk,
    }
)  # fmt: skip


class _Runs:
    """Events under the lock, in runs that no other context cuts."""

    def __init__(self, nr_rows: int) -> None:
        self.pages = array("i", bytes(4 * nr_rows))
        self._start: dict[int, int] = {}

    def cut(self, context: int) -> None:
        """This context's next event begins a run."""
        self._start.pop(context, None)

    def add(self, row: int, context: int, pages: int) -> None:
        """One more event of a run."""
        start = self._start.setdefault(context, row)
        self.pages[start] += pages


def runs_of_holds(rows: Rows) -> array[int]:
    """By row: pages of the run that begins there, 0 where none does.

    A run is of a bulk request's refills, or, if it begins with mm_page_pcpu_drain, of a drain.
    """
    runs = _Runs(len(rows))
    bulk: set[int] = set()
    draining: set[int] = set()
    holder = -1
    on_cpu: dict[int, int] = {}
    last: dict[int, int] = {}
    for row in rows.of_kinds(OF_PAGES):
        kind, who, cpu = rows.kind[row], rows.context[row], rows.cpu[row]
        if on_cpu.setdefault(cpu, who) != who:
            runs.cut(on_cpu[cpu])
            on_cpu[cpu] = who
        if kind in _LOCKED:
            if holder != who:
                runs.cut(holder)
                holder = who
            if who in bulk and takes_page(rows, row, last.get(who, -1)):
                runs.add(row, who, 1)
            elif kind == Kind.mm_page_pcpu_drain and who in draining:
                runs.add(row, who, 1 << max(0, min(rows.argument(row, 1), MAX_PAGE_ORDER)))
        elif kind in _DRAINS:
            draining.add(who)
            runs.cut(who)
        elif kind in _GOES_ON:
            draining.discard(who)
        if kind in _BULK_BEGINS:
            bulk.add(who)
            runs.cut(who)
        elif kind in _BULK_ENDS:
            bulk.discard(who)
        last[who] = row
    return runs.pages


def takes_page(rows: Rows, row: int, before: int) -> bool:
    """Is this the event of a page taken under zone->lock? before: the context's row before.

    A page from a fallback list has two when free pages of its pageblock were moved, else one.
    """
    if rows.kind[row] == Kind.mm_page_alloc_extfrag:
        moved = before >= 0 and rows.kind[before] == Kind.mm_page_alloc_zone_locked
        return not moved or rows[before][0] != rows[row][0]
    return rows.kind[row] == Kind.mm_page_alloc_zone_locked
