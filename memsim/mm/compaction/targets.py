"""Pages to migrate to, out of the free blocks that were isolated.

Kernel: mm/compaction.c compaction_alloc_noprof(), compaction_free()
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.free_scanner import isolate_freepages
from memsim.mm.folio import clear_words, set_word
from memsim.mm.journal import set_page_state
from memsim.mm.migrate import Targets, folio_order
from memsim.mm.mmzone import PG_INUSE
from memsim.mm.page_alloc.free import free_pages_prepare
from memsim.trace.folio_steps import WORD_REFCOUNT
from memsim.words.mmzone import NR_PAGE_ORDERS, NULL


class CompactionTargets(Targets):
    """Targets out of a compact_control's free pages."""

    def __init__(self, cc: CompactControl) -> None:
        self.cc = cc

    def get_new_folio(self, src: int) -> int:
        """A target as large as src."""
        return compaction_alloc(self.cc, folio_order(self.cc.zone.vm, src))

    def put_new_folio(self, dst: int) -> None:
        """It goes back to cc's free pages."""
        compaction_free(self.cc, dst, folio_order(self.cc.zone.vm, dst))


def compaction_alloc(cc: CompactControl, order: int) -> int:
    """A page, or a block of this order, to migrate to; NULL when no more can be isolated.

    The first block that is large enough is halved, the upper halves first on their lists.
    Kernel: mm/compaction.c compaction_alloc_noprof()
    """
    start_order = _lowest_order(cc, order)
    if start_order == NR_PAGE_ORDERS:
        isolate_freepages(cc)
        start_order = _lowest_order(cc, order)
        if start_order == NR_PAGE_ORDERS:
            return NULL
    page = cc.freepages[start_order].pop(0)
    while start_order > order:
        start_order -= 1
        cc.freepages[start_order].insert(0, page + (1 << start_order))
    set_page_state(cc.zone, page, 1, PG_INUSE | order)
    set_word(cc.zone.vm.folios, WORD_REFCOUNT, page, 1)
    cc.nr_freepages -= 1 << order
    cc.nr_migratepages -= 1 << order
    return page


def _lowest_order(cc: CompactControl, order: int) -> int:
    """The lowest order from this one on with a block isolated; NR_PAGE_ORDERS for none."""
    for start_order in range(order, NR_PAGE_ORDERS):
        if cc.freepages[start_order]:
            return start_order
    return NR_PAGE_ORDERS


def compaction_free(cc: CompactControl, page: int, order: int) -> None:
    """A target that was not used: it waits for the next. It fires mm_page_free, and is not freed.

    Kernel: mm/compaction.c compaction_free()
    """
    clear_words(cc.zone.vm.folios, page)
    free_pages_prepare(cc.zone, page, order)
    cc.freepages[order].insert(0, page)
    cc.nr_freepages += 1 << order
    cc.nr_migratepages += 1 << order
