"""Refaults: a shadow says of which generation a folio was when it went, and of which tier.

Kernel: mm/workingset.c lru_gen_eviction(), lru_gen_test_recent(), lru_gen_refault()
"""

from __future__ import annotations

from memsim.mm.folio import (
    Lruvec,
    folio_lruvec,
    folio_nr_pages,
    folio_set_flags,
    mod_node_page_state,
    set_lrugen,
)
from memsim.mm.lru_gen.flags import folio_lru_refs, lru_tier_from_refs
from memsim.mm.lru_gen.state import EVICTED, REFAULTED
from memsim.mm.mm_inline import folio_is_file_lru
from memsim.mm.mmzone import Vm
from memsim.words.lru_gen import LRU_REFS_MASK, LRU_REFS_WIDTH, MAX_NR_TIERS
from memsim.words.page_flags import (
    WORKINGSET_ACTIVATE_BASE,
    WORKINGSET_REFAULT_BASE,
    WORKINGSET_RESTORE_BASE,
    PG_workingset,
)

_MAX_REFS = (1 << LRU_REFS_WIDTH) - 1


def _count(vm: Vm, lruvec: Lruvec, array: int, type: int, refs: int, nr_pages: int) -> None:
    place = array + type * MAX_NR_TIERS + lru_tier_from_refs(refs)
    set_lrugen(vm, lruvec, place, lruvec.lrugen.numbers[place] + nr_pages)


def lru_gen_eviction(vm: Vm, folio: int) -> tuple[int, bool]:
    """(the token, workingset) for the shadow of a folio that goes; it counts as evicted.

    Kernel: mm/workingset.c lru_gen_eviction()
    """
    lruvec, type = folio_lruvec(vm, folio), int(folio_is_file_lru(vm, folio))
    refs = folio_lru_refs(vm.folios, folio)
    _count(vm, lruvec, EVICTED, type, refs, folio_nr_pages(vm, folio))
    return lruvec.lrugen.min_seq(type) << LRU_REFS_WIDTH | max(refs - 1, 0), refs > 0


def lru_gen_test_recent(lruvec: Lruvec, token: int, type: int, mask: int) -> bool:
    """Is the generation that it went from still the oldest? mask: what a token has room for.

    Kernel: mm/workingset.c lru_gen_test_recent()
    """
    return token >> LRU_REFS_WIDTH == lruvec.lrugen.min_seq(type) & mask >> LRU_REFS_WIDTH


def lru_gen_refault(vm: Vm, folio: int, token: int, workingset: bool, recent: bool) -> None:
    """A folio of this node came back. One in a fault, or of the last tier, is marked as such.

    Kernel: mm/workingset.c lru_gen_refault()
    """
    lruvec, type = folio_lruvec(vm, folio), int(folio_is_file_lru(vm, folio))
    nr_pages = folio_nr_pages(vm, folio)
    mod_node_page_state(vm, lruvec.pgdat, WORKINGSET_REFAULT_BASE + type, nr_pages)
    if not recent:
        return
    refs = (token & _MAX_REFS) + workingset
    _count(vm, lruvec, REFAULTED, type, refs, nr_pages)
    mod_node_page_state(vm, lruvec.pgdat, WORKINGSET_ACTIVATE_BASE + type, nr_pages)
    if vm.current.in_lru_fault or refs >= _MAX_REFS:
        folio_set_flags(vm.folios, folio, LRU_REFS_MASK | PG_workingset)
        mod_node_page_state(vm, lruvec.pgdat, WORKINGSET_RESTORE_BASE + type, nr_pages)
