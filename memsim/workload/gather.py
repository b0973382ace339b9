"""What an unmapped range held, gathered so that the TLB is flushed before it is freed."""

from __future__ import annotations

from memsim.words.gfp import __GFP_NOWARN, GFP_NOWAIT
from memsim.workload.folio import Folio, folios_put
from memsim.workload.request import Path
from memsim.workload.requester import Requester

#: Kernel: include/asm-generic/tlb.h MMU_GATHER_BUNDLE, MAX_GATHER_BATCH, MAX_GATHER_BATCH_COUNT
#: One place of each list stays free: a large folio takes two.
MMU_GATHER_BUNDLE = 8
MAX_GATHER_BATCH = 510
MAX_GATHER_BATCH_COUNT = 10000 // MAX_GATHER_BATCH
GFP_BATCH = GFP_NOWAIT | __GFP_NOWARN

GATHER_BATCH = Path(
    "process", "list of pages to unmap",
    "mm/mmu_gather.c __tlb_remove_page_size() -> tlb_next_batch() -> __get_free_page()",
    "frees what it has gathered, and goes on",
)  # fmt: skip


class MmuGather:
    """struct mmu_gather: folios, and page tables, that nobody maps any more.

    Kernel: mm/mmu_gather.c tlb_gather_mmu(), tlb_finish_mmu(); include/asm-generic/tlb.h
    tlb_remove_page()
    NOT MODELLED: the second place that several pages of a large folio take in a list.
    """

    def __init__(self, requester: Requester) -> None:
        self.requester = requester
        #: The list in the struct itself, then one for each page of `_batches`.
        self._lists: list[list[Folio]] = [[]]
        self._batches: list[int] = []
        self._active = 0
        self._room = MMU_GATHER_BUNDLE - 1

    def tlb_remove_folio(self, folio: Folio) -> None:
        """Take over one holder's reference."""
        self._lists[self._active].append(folio)
        self._room -= 1
        if not self._room and not self._tlb_next_batch():
            self.tlb_flush_mmu()

    def tlb_remove_table(self, pfn: int) -> None:
        """A page table goes the same way. Kernel: arch/x86/mm/pgtable.c ___pte_free_tlb()."""
        self.tlb_remove_folio(Folio(pfn, 0, anon=False))

    def tlb_flush_mmu(self) -> None:
        """Free what is gathered. Kernel: mm/swap_state.c free_pages_and_swap_cache()."""
        for held in self._lists:
            folios_put(self.requester, held)
            held.clear()
        self._active = 0
        self._room = MMU_GATHER_BUNDLE - 1

    def tlb_finish_mmu(self) -> None:
        """Flush, and free the lists themselves."""
        self.tlb_flush_mmu()
        for pfn in self._batches:
            self.requester.free_pages(pfn)
        self._batches = []
        self._lists = [[]]

    def _tlb_next_batch(self) -> bool:
        if self._active == len(self._batches) and not self._new_batch():
            return False
        self._active += 1
        self._room = MAX_GATHER_BATCH - 1
        return True

    def _new_batch(self) -> bool:
        if len(self._batches) == MAX_GATHER_BATCH_COUNT:
            return False
        pfn = self.requester.alloc_pages(GATHER_BATCH, GFP_BATCH)
        if pfn is None:
            return False
        self._batches.append(pfn)
        self._lists.append([])
        return True
