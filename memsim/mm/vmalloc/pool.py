"""Pools: areas that were freed, of one size each, handed out again without a search.

Kernel: mm/vmalloc.c size_to_va_pool(), node_pool_add_va(), node_pool_del_va(), node_alloc(),
decay_va_pool_node()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE
from memsim.lib.rbtree import rb_nodes
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.merge import merge_or_add_vmap_area, merge_or_add_vmap_area_augment
from memsim.mm.vmalloc.state import VmallocState, VmapNode
from memsim.mm.vmalloc.update import pool_add, pool_del
from memsim.words.vmalloc import MAX_VA_SIZE_PAGES


def size_to_va_pool(size: int) -> int:
    """Number of the pool for areas of size bytes; above the last one there is none.

    Kernel: mm/vmalloc.c size_to_va_pool()
    """
    return (size - 1) // PAGE_SIZE


def node_pool_add_va(state: VmallocState, vn: VmapNode, va: VmapArea) -> bool:
    """Keep an area in its vmap_node's pool, if there is one of its size.

    Kernel: mm/vmalloc.c node_pool_add_va()
    """
    index = size_to_va_pool(va_size(va))
    if index >= MAX_VA_SIZE_PAGES:
        return False
    pool_add(state, vn, index, va, tail=False)
    return True


def node_pool_del_va(
    state: VmallocState, vn: VmapNode, size: int, align: int, vstart: int, vend: int
) -> VmapArea | None:
    """An area of just this size; one that is not aligned goes to the end of its pool.

    Kernel: mm/vmalloc.c node_pool_del_va()
    """
    index = size_to_va_pool(size)
    if index >= MAX_VA_SIZE_PAGES or not vn.pool[index]:
        return None
    first = vn.pool[index][0]
    if first.va_start & align - 1:
        pool_add(state, vn, index, pool_del(state, vn, index), tail=True)
        return None
    if first.va_start < vstart or first.va_end > vend:
        return None
    return pool_del(state, vn, index)


def decay_va_pool_node(state: VmallocState, vn: VmapNode, full_decay: bool) -> None:
    """Give a quarter of each pool back to the free areas, or, in full decay, all of it.

    Kernel: mm/vmalloc.c decay_va_pool_node()
    """
    decay_pools(state, vn, full_decay)
    reclaim_list_global(state, decayed(vn))


def decay_pools(state: VmallocState, vn: VmapNode, full_decay: bool) -> None:
    """Take areas out of the pools, and merge them with one another in vn.decay."""
    for index, pool in enumerate(vn.pool):
        # a quarter of less than 4 is 0, which counts down past 0: the whole pool goes
        n_decay = len(pool) if full_decay or len(pool) < 4 else len(pool) >> 2
        for _ in range(n_decay):
            merge_or_add_vmap_area(state, pool_del(state, vn, index), vn.decay)


def decayed(vn: VmapNode) -> list[VmapArea]:
    """The areas that left the pools, in address order; they are in no tree any more."""
    areas = list(rb_nodes(vn.decay))
    for va in areas:
        vn.decay.unlink(va)
    return areas


def reclaim_list_global(state: VmallocState, areas: list[VmapArea]) -> None:
    """Give areas back to the free ones, in this order. Kernel: reclaim_list_global()."""
    for va in areas:
        merge_or_add_vmap_area_augment(state, va, state.free_vmap_area_root)
