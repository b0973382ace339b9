"""Blocks of vm_map_ram() are given back; and a purge of everything, when addresses run out.

Kernel: mm/vmalloc.c free_vmap_block(), purge_fragmented_block(), reclaim_and_purge_vmap_areas()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.vmalloc.lazy import free_vmap_area_noflush, purge_vmap_area_lazy
from memsim.mm.vmalloc.state import VmallocState, VmapBlock, addr_to_node
from memsim.mm.vmalloc.tree import unlink_va
from memsim.mm.vmalloc.update import forget_block, set_block_number, unqueue_block
from memsim.words.vmalloc import VMAP_BBMAP_BITS, VMAP_PURGE_THRESHOLD


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
    if vb.free + vb.dirty != VMAP_BBMAP_BITS or vb.dirty == VMAP_BBMAP_BITS:
        return False
    if not force_purge and vb.free >= VMAP_PURGE_THRESHOLD:
        return False
    if vb.free:
        unqueue_block(state, vb)
    for field, value in (("free", 0), ("dirty", VMAP_BBMAP_BITS), ("dirty_min", 0)):
        set_block_number(state, vb, field, value)
    set_block_number(state, vb, "dirty_max", VMAP_BBMAP_BITS)
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
