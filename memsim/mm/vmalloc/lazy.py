"""Areas are freed lazily: addresses are used again only when all CPUs forgot what was there.

Kernel: mm/vmalloc.c lazy_max_pages() to free_vmap_area_noflush()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT, signed
from memsim.lib.rbtree import rb_first, rb_last, rb_nodes
from memsim.mm.mmzone import Vm
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.pool import decay_va_pool_node, node_pool_add_va, reclaim_list_global
from memsim.mm.vmalloc.state import (
    VmapNode,
    addr_to_node,
    decode_vn_id,
    lazy_max_pages,
)
from memsim.mm.vmalloc.tree import insert_vmap_area
from memsim.mm.vmalloc.update import flush_tlb_kernel_range, set_number, take_all
from memsim.trace.events import (
    FREE_VMAP_AREA_NOFLUSH,
    PURGE_VMAP_AREA_LAZY,
    TP_FREE_VMAP_AREA_NOFLUSH,
    TP_PURGE_VMAP_AREA_LAZY,
)
from memsim.words.vmalloc import ULONG_MAX


def free_vmap_area_noflush(vm: Vm, va: VmapArea) -> None:
    """Free an area that is unmapped and in no tree. Schedules a purge when there are too many.

    Kernel: mm/vmalloc.c free_vmap_area_noflush()
    """
    state, trace = vm.vmalloc, vm.trace
    set_number(state, "vmap_lazy_nr", state.vmap_lazy_nr + (va_size(va) >> PAGE_SHIFT))
    vn = decode_vn_id(state, va.flags) or addr_to_node(state, va.va_start)
    insert_vmap_area(va, vn.lazy)
    nr_lazy_max = lazy_max_pages(vm.nr_cpus)
    if trace.mask & TP_FREE_VMAP_AREA_NOFLUSH:
        numbers = state.vmap_lazy_nr, nr_lazy_max
        trace.emit(FREE_VMAP_AREA_NOFLUSH, signed(va.va_start), *numbers)
    if state.vmap_lazy_nr > nr_lazy_max:
        set_number(state, "drain_vmap_work", True)


def purge_vmap_area_lazy(
    vm: Vm, full_pool_decay: bool, start: int = ULONG_MAX, end: int = 0
) -> bool:
    """Give all lazily freed areas back: to pools, else to the free ones. Were there any?

    start, end: what else all CPUs should forget, if they must forget anything.
    NOT MODELLED: helpers on other CPUs, which purge nodes at the same time; KASAN's shadow.

    Kernel: mm/vmalloc.c __purge_vmap_area_lazy()
    """
    state, trace = vm.vmalloc, vm.trace
    start = min(start, state.layout.ULONG_MAX)
    purge_nodes = []
    for vn in state.vmap_nodes:
        vn.skip_populate = full_pool_decay
        decay_va_pool_node(state, vn, full_pool_decay)
        lowest, highest = take_lazy(vn)
        start, end = min(start, lowest), max(end, highest)
        if highest:
            purge_nodes.append(vn)
    if purge_nodes:
        flush_tlb_kernel_range(state)
    nr_purged_areas = sum(purge_vmap_node(vm, vn) for vn in purge_nodes)
    if trace.mask & TP_PURGE_VMAP_AREA_LAZY:
        trace.emit(PURGE_VMAP_AREA_LAZY, signed(start), signed(end), nr_purged_areas)
    return nr_purged_areas > 0


def take_lazy(vn: VmapNode) -> tuple[int, int]:
    """Let a purge have the lazily freed areas of a vmap_node.

    Gives the first one's begin and the last one's end, or ULONG_MAX and 0.
    """
    first, last = rb_first(vn.lazy), rb_last(vn.lazy)
    if first is None or last is None:
        return ULONG_MAX, 0
    take_all(vn.lazy, vn.purge_list)
    return first.va_start, last.va_end


def purge_vmap_node(vm: Vm, vn: VmapNode) -> int:
    """Give back what a purge took from this vmap_node; how many areas that were.

    Kernel: mm/vmalloc.c purge_vmap_node()
    """
    state, local = vm.vmalloc, []
    areas = list(rb_nodes(vn.purge_list))
    nr_purged_pages = sum(va_size(va) for va in areas) >> PAGE_SHIFT
    for va in areas:
        vn.purge_list.unlink(va)
        has_pool = decode_vn_id(state, va.flags) is not None and not vn.skip_populate
        if not has_pool or not node_pool_add_va(state, vn, va):
            local.append(va)
    set_number(state, "vmap_lazy_nr", state.vmap_lazy_nr - nr_purged_pages)
    # each joins the list at its head
    reclaim_list_global(state, local[::-1])
    return len(areas)


def drain_vmap_area_work(vm: Vm) -> None:
    """The work that free_vmap_area_noflush() schedules. Kernel: drain_vmap_area_work()."""
    set_number(vm.vmalloc, "drain_vmap_work", False)
    purge_vmap_area_lazy(vm, full_pool_decay=False)
