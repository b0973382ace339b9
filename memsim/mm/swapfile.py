"""A swap device: which of its slots are in use, and by how many.

One device, which writes at once, as zram does (SWP_SYNCHRONOUS_IO).
NOT MODELLED: several devices and priorities; clusters of slots, and the slots that a CPU keeps
(scan_swap_map_slots(), mm/swap_slots.c): the next free slot is taken.

Kernel: mm/swapfile.c
"""

from __future__ import annotations

from memsim.mm.folio import (
    folio_clear_flags,
    folio_set_flags,
    mod_folio_node_state,
    mod_folio_state,
    set_entry,
    set_word,
)
from memsim.mm.memcontrol.swap import mem_cgroup_try_charge_swap, mem_cgroup_uncharge_swap
from memsim.mm.mmzone import Vm
from memsim.mm.swap_info import SWAP_HAS_CACHE, SwapInfo
from memsim.trace.events import TP_STEPS
from memsim.trace.folio_steps import SWAP_FIELD, SWAP_FIELDS, SWAP_SLOT, WORD_PRIVATE
from memsim.words.mmzone import NULL
from memsim.words.page_flags import NR_FILE_PAGES, NR_SWAPCACHE, PG_dirty, PG_swapcache


def swapon(vm: Vm, slots: int) -> None:
    """Use a device of so many slots, of which the first holds its header; before all else.

    Kernel: mm/swapfile.c SYSCALL_DEFINE2(swapon)
    """
    vm.folios.swap = SwapInfo(slots)


def _set_swap_field(vm: Vm, name: str, value: int) -> None:
    swap = vm.folios.swap
    old = getattr(swap, name)
    if old != value and vm.trace.mask & TP_STEPS:
        vm.trace.step(SWAP_FIELD, SWAP_FIELDS.index(name), old, value)
    setattr(swap, name, value)


def _set_swap_map(vm: Vm, slot: int, value: int) -> None:
    swap_map = vm.folios.swap.swap_map
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(SWAP_SLOT, slot, swap_map[slot], value)
    swap_map[slot] = value


def folio_alloc_swap(vm: Vm, folio: int) -> int:
    """A slot for a folio that joins the swap cache, or NULL: none is free, or its memcg has enough.

    Kernel: mm/swap_slots.c folio_alloc_swap()
    """
    slot = _get_swap_page(vm)
    if mem_cgroup_try_charge_swap(vm, folio, slot):
        return slot
    put_swap_folio(vm, slot)
    return NULL


def _get_swap_page(vm: Vm) -> int:
    """The next free slot, or NULL. Kernel: mm/swapfile.c get_swap_pages()."""
    swap = vm.folios.swap
    if swap.nr_swap_pages <= 0:
        return NULL
    size = len(swap.swap_map)
    slot = swap.cluster_next
    while swap.swap_map[slot]:
        slot = slot + 1 if slot + 1 < size else 1
    _set_swap_map(vm, slot, SWAP_HAS_CACHE)
    _set_swap_field(vm, "cluster_next", slot + 1 if slot + 1 < size else 1)
    _set_swap_field(vm, "nr_swap_pages", swap.nr_swap_pages - 1)
    return slot


def swap_duplicate(vm: Vm, slot: int) -> None:
    """One pte more names the slot. Kernel: mm/swapfile.c swap_duplicate()."""
    _set_swap_map(vm, slot, vm.folios.swap.swap_map[slot] + 1)


def swap_free(vm: Vm, slot: int) -> None:
    """One pte less names the slot. Kernel: mm/swapfile.c swap_free_nr()."""
    _put_slot(vm, slot, vm.folios.swap.swap_map[slot] - 1)


def put_swap_folio(vm: Vm, slot: int) -> None:
    """The slot's folio left the swap cache. Kernel: mm/swapfile.c put_swap_folio()."""
    _put_slot(vm, slot, vm.folios.swap.swap_map[slot] & ~SWAP_HAS_CACHE)


def _put_slot(vm: Vm, slot: int, usage: int) -> None:
    """A slot that nobody uses is free, and its shadow goes. Kernel: swap_entry_range_free()."""
    _set_swap_map(vm, slot, usage)
    if not usage:
        mem_cgroup_uncharge_swap(vm, slot)
        _set_swap_field(vm, "nr_swap_pages", vm.folios.swap.nr_swap_pages + 1)
        set_entry(vm, vm.folios.swapper_space, slot, NULL)


def delete_from_swap_cache(vm: Vm, folio: int, shadow: int = NULL) -> int:
    """Take a folio out of the swap cache, where a shadow may stay: its slot, yet to be put.

    Kernel: mm/swap_state.c __delete_from_swap_cache()
    """
    folios = vm.folios
    slot = folios.private[folio]
    set_entry(vm, folios.swapper_space, slot, shadow)
    set_word(folios, WORD_PRIVATE, folio, 0)
    folio_clear_flags(folios, folio, PG_swapcache)
    mod_folio_node_state(vm, folio, NR_FILE_PAGES, -1)
    mod_folio_state(vm, folio, NR_SWAPCACHE, -1)
    return slot


def folio_free_swap(vm: Vm, folio: int) -> bool:
    """Drop the slot of a folio in the swap cache that no pte names; was it dropped?

    The cache's reference is the caller's to put. Kernel: mm/swapfile.c folio_free_swap()
    """
    folios = vm.folios
    if not folios.flags[folio] & PG_swapcache:
        return False
    if folios.swap.swap_map[folios.private[folio]] & ~SWAP_HAS_CACHE:
        return False
    put_swap_folio(vm, delete_from_swap_cache(vm, folio))
    folio_set_flags(folios, folio, PG_dirty)
    return True
