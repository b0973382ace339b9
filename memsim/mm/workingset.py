"""Refaults: how long ago a folio was evicted, told by the shadow that it left in its mapping.

nonresident_age counts evictions and activations of a node: the difference between a refault and
its eviction is how much larger the inactive list would have to have been.
NOT MODELLED: the shrinker of nodes that hold nothing but shadows (shadow_lru_isolate()).

Kernel: mm/workingset.c
"""

from __future__ import annotations

from memsim.lib.bits import fls
from memsim.mm.folio import (
    Lruvec,
    folio_lruvec,
    folio_nr_pages,
    folio_pgdat,
    folio_set_flags,
    lru_gen_enabled,
    lruvec_page_state,
    mem_cgroup_lruvec,
    mod_lruvec_state,
    parent_lruvec,
    set_lruvec_field,
    xa_mk_value,
    xa_to_value,
)
from memsim.mm.lru_cost import lru_note_cost
from memsim.mm.lru_gen.workingset import lru_gen_eviction, lru_gen_refault, lru_gen_test_recent
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.memcontrol.swap import mem_cgroup_get_nr_swap_pages
from memsim.mm.mm_inline import folio_is_file_lru
from memsim.mm.mmzone import Vm
from memsim.words.memcontrol import ROOT_MEMCG_ID
from memsim.words.page_flags import (
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    WORKINGSET_ACTIVATE_BASE,
    WORKINGSET_REFAULT_BASE,
    WORKINGSET_RESTORE_BASE,
    PG_active,
    PG_workingset,
)

_BITS_PER_LONG = 64
_BITS_PER_XA_VALUE = 63
_WORKINGSET_SHIFT = 1
#: Of Debian's configuration.
_NODES_SHIFT = 10
_MEM_CGROUP_ID_SHIFT = 16
_SHADOW_BITS = _WORKINGSET_SHIFT + _NODES_SHIFT + _MEM_CGROUP_ID_SHIFT
EVICTION_SHIFT = _BITS_PER_LONG - _BITS_PER_XA_VALUE + _SHADOW_BITS
EVICTION_MASK = (1 << _BITS_PER_LONG - EVICTION_SHIFT) - 1


def bucket_order(vm: Vm) -> int:
    """Bits of an age that a shadow has no room for: none below 2**36 pages.

    Kernel: mm/workingset.c workingset_init()
    """
    totalram = sum(zone.managed_pages for zone in vm.zones)
    return max(0, fls(totalram - 1) - (_BITS_PER_LONG - EVICTION_SHIFT))


def pack_shadow(memcgid: int, nid: int, eviction: int, workingset: bool) -> int:
    """The shadow, as an entry of i_pages. Kernel: mm/workingset.c pack_shadow()."""
    packed = (eviction & EVICTION_MASK) << _MEM_CGROUP_ID_SHIFT | memcgid
    return xa_mk_value((packed << _NODES_SHIFT | nid) << _WORKINGSET_SHIFT | workingset)


def unpack_shadow(shadow: int) -> tuple[int, int, int, bool]:
    """(memcgid, nid, eviction, workingset) of a shadow. Kernel: mm/workingset.c unpack_shadow()."""
    entry = xa_to_value(shadow)
    nid = entry >> _WORKINGSET_SHIFT & (1 << _NODES_SHIFT) - 1
    memcgid = entry >> _WORKINGSET_SHIFT + _NODES_SHIFT & (1 << _MEM_CGROUP_ID_SHIFT) - 1
    return memcgid, nid, entry >> _SHADOW_BITS, (entry & 1) != 0


def workingset_age_nonresident(vm: Vm, lruvec: Lruvec, nr_pages: int) -> None:
    """The lists moved on by nr_pages. Kernel: mm/workingset.c workingset_age_nonresident()."""
    for aged in (lruvec, parent_lruvec(lruvec)):
        if aged is not None:
            set_lruvec_field(vm, aged, "nonresident_age", aged.nonresident_age + nr_pages)


def workingset_eviction(vm: Vm, folio: int, target: MemCgroup | None) -> int:
    """The shadow that a folio leaves which the reclaim of a memcg, or of all, evicted.

    Kernel: mm/workingset.c workingset_eviction()
    """
    pgdat = folio_pgdat(vm, folio)
    if lru_gen_enabled(vm):
        token, was_used = lru_gen_eviction(vm, folio)
        return pack_shadow(ROOT_MEMCG_ID, pgdat.nid, token, was_used)
    lruvec = mem_cgroup_lruvec(target, pgdat)
    eviction = lruvec.nonresident_age >> bucket_order(vm)
    workingset_age_nonresident(vm, lruvec, folio_nr_pages(vm, folio))
    workingset = (vm.folios.flags[folio] & PG_workingset) != 0
    return pack_shadow(lruvec.memcg or ROOT_MEMCG_ID, pgdat.nid, eviction, workingset)


def workingset_test_recent(vm: Vm, shadow: int, file: bool) -> tuple[bool, bool]:
    """(would it still be there, had all memory been the working set's?, was it active before?).

    Kernel: mm/workingset.c workingset_test_recent()
    """
    memcgid, nid, eviction, workingset = unpack_shadow(shadow)
    memcg = vm.folios.memcgs.groups.get(memcgid)
    lruvec = mem_cgroup_lruvec(memcg, vm.nodes[nid])
    if lru_gen_enabled(vm):
        return lru_gen_test_recent(lruvec, eviction, file, EVICTION_MASK), workingset
    order = bucket_order(vm)
    refault_distance = (lruvec.nonresident_age - (eviction << order)) & EVICTION_MASK
    lrus = [LRU_ACTIVE_FILE] if file else [LRU_ACTIVE_FILE, LRU_INACTIVE_FILE]
    if mem_cgroup_get_nr_swap_pages(vm, memcg) > 0:
        lrus += [LRU_ACTIVE_ANON, LRU_INACTIVE_ANON] if file else [LRU_ACTIVE_ANON]
    size = sum(lruvec_page_state(lruvec, lru) for lru in lrus)
    return refault_distance <= size, workingset


def workingset_refault(vm: Vm, folio: int, shadow: int) -> None:
    """A folio came back that left this shadow: it is activated if it was evicted recently.

    Kernel: mm/workingset.c workingset_refault()
    """
    file, nr_pages = folio_is_file_lru(vm, folio), folio_nr_pages(vm, folio)
    lruvec = folio_lruvec(vm, folio)
    if lru_gen_enabled(vm):
        _, nid, token, _ = unpack_shadow(shadow)
        if vm.nodes[nid].lruvec is lruvec:
            lru_gen_refault(vm, folio, token, *workingset_test_recent(vm, shadow, file)[::-1])
        return
    mod_lruvec_state(vm, lruvec, WORKINGSET_REFAULT_BASE + file, nr_pages)
    recent, workingset = workingset_test_recent(vm, shadow, file)
    if not recent:
        return
    folio_set_flags(vm.folios, folio, PG_active)
    workingset_age_nonresident(vm, lruvec, nr_pages)
    mod_lruvec_state(vm, lruvec, WORKINGSET_ACTIVATE_BASE + file, nr_pages)
    if workingset:
        folio_set_flags(vm.folios, folio, PG_workingset)
        lru_note_cost(vm, lruvec, file, nr_pages, 0)
        mod_lruvec_state(vm, lruvec, WORKINGSET_RESTORE_BASE + file, nr_pages)


def workingset_activation(vm: Vm, folio: int) -> None:
    """A folio was activated: one place less below it. Kernel: workingset_activation()."""
    workingset_age_nonresident(vm, folio_lruvec(vm, folio), folio_nr_pages(vm, folio))
