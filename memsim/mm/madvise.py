"""What processes say of their pages beforehand: not needed soon, or not at all.

NOT MODELLED: MADV_PAGEOUT; that POSIX_FADV_DONTNEED writes dirty pages first.

Kernel: mm/madvise.c, mm/fadvise.c, mm/truncate.c
"""

from __future__ import annotations

from memsim.mm.filemap import filemap_get_folio
from memsim.mm.folio import (
    AddressSpace,
    folio_clear_flags,
    folio_get,
    folio_nr_pages,
    folio_set_flags,
    set_entry,
    set_word,
    xa_is_value,
)
from memsim.mm.memory import zap_pte
from memsim.mm.mmzone import Vm
from memsim.mm.swap import (
    deactivate_file_folio,
    folio_deactivate,
    folio_mark_lazyfree,
    folio_put,
    lru_add_drain,
    lru_add_drain_all,
)
from memsim.mm.swapfile import folio_free_swap
from memsim.mm.vmscan.shrink_folio_list import _remove_mapping
from memsim.trace.folio_steps import WORD_REFCOUNT, WORD_YOUNG
from memsim.words.mmzone import NULL
from memsim.words.page_flags import (
    PG_active,
    PG_dirty,
    PG_referenced,
    PG_swapcache,
    PG_workingset,
    PG_writeback,
)


def madvise_free(vm: Vm, region: AddressSpace, index: int) -> None:
    """MADV_FREE: the page may be dropped when memory is short, unless it is written to again.

    Kernel: mm/madvise.c madvise_free_pte_range()
    """
    folios = vm.folios
    folio = region.i_pages.get(index, NULL)
    if xa_is_value(folio):
        zap_pte(vm, region, index)
    if folio < 0:
        return
    if folios.flags[folio] & PG_swapcache:
        if not folio_free_swap(vm, folio):
            return
        folio_put(vm, folio)
    folio_clear_flags(folios, folio, PG_dirty)
    set_word(folios, WORD_YOUNG, folio, 0)
    folio_mark_lazyfree(vm, folio)


def madvise_cold(vm: Vm, region: AddressSpace, index: int) -> None:
    """MADV_COLD: the page goes to the inactive list.

    Kernel: mm/madvise.c madvise_cold_or_pageout_pte_range()
    """
    folios = vm.folios
    folio = region.i_pages.get(index, NULL)
    if folio < 0:
        return
    set_word(folios, WORD_YOUNG, folio, 0)
    folio_clear_flags(folios, folio, PG_referenced)
    if folios.flags[folio] & PG_active:
        folio_set_flags(folios, folio, PG_workingset)
    folio_deactivate(vm, folio)


def fadvise_dontneed(vm: Vm, file: AddressSpace, index: int) -> None:
    """POSIX_FADV_DONTNEED: the page leaves the cache, with its shadow; a busy one is deactivated.

    Kernel: mm/fadvise.c generic_fadvise()
    """
    lru_add_drain(vm)
    if not invalidate_mapping_page(vm, file, index):
        lru_add_drain_all(vm)
        invalidate_mapping_page(vm, file, index)


def invalidate_mapping_page(vm: Vm, file: AddressSpace, index: int) -> bool:
    """Is nothing of this page left? Kernel: mm/truncate.c mapping_try_invalidate()."""
    folio = filemap_get_folio(file, index)
    if folio == NULL:
        set_entry(vm, file, index, NULL)
        return True
    folio_get(vm.folios, folio)
    evicted = mapping_evict_folio(vm, folio)
    if not evicted:
        deactivate_file_folio(vm, folio)
    lru_add_drain(vm)
    folio_put(vm, folio)
    return evicted


def mapping_evict_folio(vm: Vm, folio: int) -> bool:
    """Take a clean folio that its caller alone holds out of the cache; was it taken?

    Kernel: mm/truncate.c mapping_evict_folio(), mm/vmscan.c remove_mapping()
    """
    folios = vm.folios
    if folios.flags[folio] & (PG_dirty | PG_writeback):
        return False
    if folios.refcount[folio] > folio_nr_pages(vm, folio) + 1:
        return False
    if not _remove_mapping(vm, folio, reclaimed=False):
        return False
    set_word(folios, WORD_REFCOUNT, folio, 1)
    return True
