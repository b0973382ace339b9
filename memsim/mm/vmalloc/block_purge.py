"""Blocks of vm_map_ram() are given back; and a purge of everything, when addresses run out.

Kernel: mm/vmalloc.c free_vmap_block(), purge_fragmented_block(), reclaim_and_purge_vmap_areas()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.vmalloc.lazy import free_vmap_area_noflush, purge_vmap_area_lazy
from memsim.mm.vmalloc.state import VmallocState, VmapBlock, addr_to_node
from memsim.mm.vmalloc.tree import unlink_va
from memsim.mm.vmalloc.update import forget_block, set_block_number, unqueue_block


def free_vmap_block(vm: Vm, vb: VmapBlock) -> None:
    """Free a block, lazily. Kernel: mm/vmalloc.c free_vmap_block()."""
    state = vm.vmalloc
    forget_block(state, vb)
    unlink_va(vb.va, addr_to_node(state, vb.va.va_start).busy)
    free_vmap_area_noflush(vm, vb.va)


def purge_fragmented_block(
    state: VmallocState, vb: VmapBlock, purge_list: list[VmapBlock], force_purge: bool
) -> bool:
    """Give a block up all of whose pages were handed back, though some were never handed out.

    Kernel: mm/vmalloc.c purge_fragmented_block()
    """
    nr_pages = state.layout.VMAP_BBMAP_BITS
    if vb.free + vb.dirty != nr_pages or vb.dirty == nr_pages:
        return False
    if not force_purge and vb.free >= state.layout.VMAP_PURGE_THRESHOLD:
        return False
    unqueue_block(state, vb)
    gone = {"free": 0, "dirty": nr_pages, "dirty_min": 0, "dirty_max": nr_pages}
    for field, value in gone.items():
        set_block_number(state, vb, field, value)
    purge_list.append(vb)
    return True


def purge_fragmented_blocks_allcpus(vm: Vm) -> None:
    """Free every block without a mapping in it. Kernel: purge_fragmented_blocks_allcpus()."""
    for queue in vm.vmalloc.vmap_block_queue:
        purge_list: list[VmapBlock] = []
        for vb in list(queue):
            purge_fragmented_block(vm.vmalloc, vb, purge_list, force_purge=True)
        for vb in purge_list:
            free_vmap_block(vm, vb)


def reclaim_and_purge_vmap_areas(vm: Vm) -> None:
    """Purge, and empty the pools too: a request found no addresses.

    Kernel: mm/vmalloc.c reclaim_and_purge_vmap_areas()
    """
    purge_fragmented_blocks_allcpus(vm)
    purge_vmap_area_lazy(vm, full_pool_decay=True)
