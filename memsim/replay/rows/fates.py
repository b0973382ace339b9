"""What became of each traced free: a mm_page_free does not say where the block goes.

A block is committed at once to a pcp list, unless a later event of the same pfn says that its
batch was committed (mm_page_free_batched) or that it went straight to the buddy (probe `direct`).
Compaction that keeps a migration target fires mm_page_free and frees nothing.
"""

from __future__ import annotations

from array import array

from memsim.lib.flat import Ints, zeroed_ints
from memsim.replay.rows.inputs import ARGUMENTS, OF_PAGES, Kind, Rows
from memsim.words.mmzone import MAX_PAGE_ORDER

#: What else a task does that frees page after page.
_CLEANING = frozenset({Kind.direct, Kind.pcpfree, Kind.mm_page_pcpu_drain})
_FREES = frozenset({Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct})


class _Compaction:
    """A compact_zone() under way: frees of pages that it isolated, since it last went on."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.freed: list[int] = []

    def goes_on(self, rows: Rows) -> None:
        """The frees so far were none: the clean-up comes last."""
        for row in self.freed:
            rows.kind[row] = Kind.free_of_nothing
        self.freed.clear()


def settle_frees(rows: Rows, max_pfn: int) -> None:
    """Turn each mm_page_free row into the kind that says what became of it. Cost: two passes.

    Pfns from max_pfn on are left alone: the replay refuses them.
    """
    _follow_frees(rows, max_pfn)
    _find_frees_of_nothing(rows, max_pfn)


def _follow_frees(rows: Rows, max_pfn: int) -> None:
    """Look, for each free, at the next event of the same pfn."""
    #: By pfn: the row of its last free, plus 1.
    pending = zeroed_ints(max_pfn)
    followed: dict[int, tuple[int, Kind | None]] = {
        Kind.mm_page_free: (0, None),
        Kind.mm_page_alloc: (0, None),
        Kind.mm_page_free_batched: (0, Kind.free_then_batched),
        Kind.direct: (1, Kind.free_then_direct),
    }
    frees = int(Kind.mm_page_free)
    for row in rows.of_kinds(followed):
        kind = rows.kind[row]
        argument, becomes = followed[kind]
        pfn = rows.arguments[row * ARGUMENTS + argument]
        if 0 <= pfn < max_pfn:
            if becomes is not None and pending[pfn]:
                rows.kind[pending[pfn] - 1] = becomes
            pending[pfn] = row + 1 if kind == frees else 0


def _find_frees_of_nothing(rows: Rows, max_pfn: int) -> None:
    """Frees by a compacting task, of pages that it isolated, before its last clean-up.

    compaction_free() puts a target whose migration failed back on cc->freepages, by way of
    free_pages_prepare(), which fires mm_page_free. release_free_list() frees what is left just
    before mm_compaction_end: those are real.
    Kernel: mm/compaction.c compaction_free(), compact_zone()
    """
    if Kind.mm_compaction_begin not in rows.kind:
        return
    #: By pfn: the number of the compaction that isolated it last.
    isolated = zeroed_ints(max_pfn)
    last_number = 0
    running: dict[int, _Compaction] = {}
    begins = int(Kind.mm_compaction_begin)
    for row in rows.of_kinds(OF_PAGES):
        kind = rows.kind[row]
        compaction = running.get(rows.context[row])
        if kind == begins:
            last_number += 1
            running[rows.context[row]] = _Compaction(last_number)
        elif compaction is None:
            continue
        elif kind == Kind.isolate:
            _mark(isolated, rows[row][0], rows[row][1], compaction.number)
            compaction.goes_on(rows)
        elif kind == Kind.mm_compaction_end:
            del running[rows.context[row]]
        elif kind in _FREES:
            pfn = rows.argument(row, 0)
            if 0 <= pfn < max_pfn and isolated[pfn] == compaction.number:
                compaction.freed.append(row)
        elif kind not in _CLEANING:
            compaction.goes_on(rows)


def _mark(pages: Ints, pfn: int, order: int, number: int) -> None:
    """Give the pages of a block this number, as far as they exist."""
    if 0 <= pfn < len(pages) and 0 <= order <= MAX_PAGE_ORDER:
        nr_pages = min(1 << order, len(pages) - pfn)
        pages[pfn : pfn + nr_pages] = array("i", (number,)) * nr_pages
