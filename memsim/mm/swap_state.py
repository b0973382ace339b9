"""The swap cache: folios that have a slot too, from when reclaim gives them one until they go.

NOT MODELLED: readahead of slots: a device that writes at once is read without the swap cache.

Kernel: mm/swap_state.c
"""

from __future__ import annotations

from memsim.mm.folio import (
    folio_get,
    folio_set_flags,
    mod_folio_node_state,
    mod_folio_state,
    set_entry,
    set_word,
)
from memsim.mm.mmzone import Vm
from memsim.mm.swapfile import folio_alloc_swap
from memsim.trace.folio_steps import WORD_PRIVATE
from memsim.words.mmzone import NULL
from memsim.words.page_flags import NR_FILE_PAGES, NR_SWAPCACHE, PG_dirty, PG_swapcache


def add_to_swap(vm: Vm, folio: int) -> bool:
    """Give an anonymous folio a slot; False when there is none. It is dirty then.

    Kernel: mm/swap_state.c add_to_swap(), add_to_swap_cache()
    """
    slot = folio_alloc_swap(vm, folio)
    if slot == NULL:
        return False
    folio_get(vm.folios, folio)
    folio_set_flags(vm.folios, folio, PG_swapcache | PG_dirty)
    set_word(vm.folios, WORD_PRIVATE, folio, slot)
    set_entry(vm, vm.folios.swapper_space, slot, folio)
    mod_folio_node_state(vm, folio, NR_FILE_PAGES, 1)
    mod_folio_state(vm, folio, NR_SWAPCACHE, 1)
    return True


def swap_cache_get_folio(vm: Vm, slot: int) -> int:
    """The folio that the swap cache has for a slot, or NULL. Kernel: swap_cache_get_folio()."""
    entry = vm.folios.swapper_space.i_pages.get(slot, NULL)
    return entry if entry >= 0 else NULL


def get_shadow_from_swap_cache(vm: Vm, slot: int) -> int:
    """The shadow that the slot's folio left, or NULL. Kernel: get_shadow_from_swap_cache()."""
    entry = vm.folios.swapper_space.i_pages.get(slot, NULL)
    return entry if entry < NULL else NULL
