"""Page faults.

NOT MODELLED: the zero page (a read of new memory takes a folio too), huge pages, copy on write.

Kernel: mm/memory.c
"""

from __future__ import annotations

from memsim.mm.filemap import filemap_fault, folio_alloc, hold_new
from memsim.mm.folio import (
    AddressSpace,
    folio_get,
    folio_set_flags,
    set_entry,
    set_word,
    xa_is_value,
    xa_to_value,
)
from memsim.mm.memcontrol.charge import mem_cgroup_charge, mem_cgroup_swapin_charge_folio
from memsim.mm.memcontrol.state import MemCgroup, count_memcg_events
from memsim.mm.memcontrol.swap import mem_cgroup_swap_full
from memsim.mm.mempolicy import alloc_pages_mpol
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.task import owner_of_region
from memsim.mm.rmap import access, add_anon_folio, folio_add_anon_rmap, folio_remove_rmap
from memsim.mm.swap import folio_add_lru, folio_put
from memsim.mm.swap_state import get_shadow_from_swap_cache, swap_cache_get_folio
from memsim.mm.swapfile import folio_free_swap, swap_free
from memsim.mm.workingset import workingset_refault
from memsim.trace.folio_steps import WORD_INDEX, WORD_MAPPING
from memsim.words.gfp import GFP_KERNEL
from memsim.words.memcontrol import PGFAULT, PGMAJFAULT
from memsim.words.mmzone import NULL
from memsim.words.page_flags import PG_anon_exclusive, PG_swapbacked, PG_swapcache, PG_uptodate
from memsim.words.slab import NUMA_NO_NODE


def handle_mm_fault(
    vm: Vm, region: AddressSpace, index: int, write: bool, gfp_mask: int, nid: int
) -> int:
    """Use a page of a region: the folio mapped there, an old one from swap, or a new one.

    Of a file that is mapped it is the one in the page cache. NULL without memory for it, -ENOMEM
    where the memcg of the region's process is full.

    NOT MODELLED: vma_has_recency(), which is always true here.
    Kernel: mm/memory.c handle_mm_fault()
    """
    vm.current.in_lru_fault = True
    folio = _handle_mm_fault(vm, region, index, write, gfp_mask, nid)
    vm.current.in_lru_fault = False
    return folio


def _handle_mm_fault(
    vm: Vm, region: AddressSpace, index: int, write: bool, gfp_mask: int, nid: int
) -> int:
    """Kernel: mm/memory.c __handle_mm_fault(), do_anonymous_page(), do_read_fault()."""
    if not region.is_anon:
        return filemap_fault(vm, region, index, write, gfp_mask, nid)
    entry = region.i_pages.get(index, NULL)
    if entry >= 0:
        access(vm, entry, write)
        return entry
    memcg = get_mem_cgroup_from_mm(vm, region)
    count_memcg_events(vm, memcg, PGFAULT, 1)
    if xa_is_value(entry):
        return do_swap_page(vm, region, index, write, gfp_mask, nid)
    folio = vma_alloc_folio(vm, gfp_mask, index, nid)
    if folio == NULL:
        return NULL
    ret = mem_cgroup_charge(vm, folio, memcg, GFP_KERNEL)
    if ret:
        folio_put(vm, folio)
        return ret
    add_anon_folio(vm, region, folio, index)
    return folio


def vma_alloc_folio(vm: Vm, gfp_mask: int, index: int, nid: int) -> int:
    """A folio for a page of a region, or NULL; for no node it is the task's policy that chooses.

    Interleaving goes by the page's address: whoever touches it first, its node is the same.
    NOT MODELLED: where a region begins; here page 0 is as if it lay at address 0.
    Kernel: mm/mempolicy.c vma_alloc_folio_noprof(), get_vma_policy()
    """
    if nid == NUMA_NO_NODE:
        return hold_new(vm, alloc_pages_mpol(vm, gfp_mask, 0, index))
    return folio_alloc(vm, gfp_mask, nid)


def get_mem_cgroup_from_mm(vm: Vm, region: AddressSpace) -> MemCgroup | None:
    """The memcg of the process that has a region; None is the root, as for nobody's.

    Kernel: mm/memcontrol.c get_mem_cgroup_from_mm()
    """
    owner = owner_of_region(vm.oom, region.id)
    return None if owner is None else owner.memcg


def do_swap_page(
    vm: Vm, region: AddressSpace, index: int, write: bool, gfp_mask: int, nid: int
) -> int:
    """Bring a page back from its slot: from the swap cache, or read into a new folio.

    Kernel: mm/memory.c do_swap_page()
    """
    slot = xa_to_value(region.i_pages[index])
    folio = swap_cache_get_folio(vm, slot)
    if folio != NULL:
        folio_get(vm.folios, folio)
    else:
        folio = _read_slot(vm, region, index, slot, gfp_mask, nid)
        if folio < 0:
            return folio
        count_memcg_events(vm, get_mem_cgroup_from_mm(vm, region), PGMAJFAULT, 1)
    swap_free(vm, slot)
    if _should_try_to_free_swap(vm, folio, write) and folio_free_swap(vm, folio):
        folio_put(vm, folio)
    folio_add_anon_rmap(vm, folio)
    folio_set_flags(vm.folios, folio, PG_anon_exclusive)
    set_entry(vm, region, index, folio)
    return folio


def _read_slot(vm: Vm, region: AddressSpace, index: int, slot: int, gfp_mask: int, nid: int) -> int:
    """A new folio for a slot of a device that is read at once, past the swap cache; or an error."""
    folio = vma_alloc_folio(vm, gfp_mask, index, nid)
    if folio == NULL:
        return NULL
    memcg = get_mem_cgroup_from_mm(vm, region)
    ret = mem_cgroup_swapin_charge_folio(vm, folio, memcg, GFP_KERNEL, slot)
    if ret:
        folio_put(vm, folio)
        return ret
    folio_set_flags(vm.folios, folio, PG_swapbacked)
    set_word(vm.folios, WORD_MAPPING, folio, region.id)
    set_word(vm.folios, WORD_INDEX, folio, index)
    shadow = get_shadow_from_swap_cache(vm, slot)
    if shadow != NULL:
        workingset_refault(vm, folio, shadow)
    folio_add_lru(vm, folio)
    folio_set_flags(vm.folios, folio, PG_uptodate)
    return folio


def _should_try_to_free_swap(vm: Vm, folio: int, write: bool) -> bool:
    """Kernel: mm/memory.c should_try_to_free_swap()."""
    folios = vm.folios
    if not folios.flags[folio] & PG_swapcache:
        return False
    return mem_cgroup_swap_full(vm, folio) or (write and folios.refcount[folio] == 2)


def zap_pte(vm: Vm, region: AddressSpace, index: int) -> None:
    """Unmap what lies at an index of a region, and let go of it, or of its slot.

    Kernel: mm/memory.c zap_pte_range(), mm/swapfile.c free_swap_and_cache_nr()
    """
    entry = set_entry(vm, region, index, NULL)
    if entry >= 0:
        folio_remove_rmap(vm, entry)
        folio_put(vm, entry)
    elif xa_is_value(entry):
        slot = xa_to_value(entry)
        folio = swap_cache_get_folio(vm, slot)
        swap_free(vm, slot)
        if folio != NULL and folio_free_swap(vm, folio):
            folio_put(vm, folio)
