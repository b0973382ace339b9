"""Objects of the slab allocator that hold vmalloc's structs. Without one, they cost nothing.

Kernel: mm/vmalloc.c preload_this_cpu_lock(), ne_fit_preload_node
"""

from __future__ import annotations

from memsim.mm.slub.kmem_cache import address_of, kmem_cache_alloc
from memsim.mm.vmalloc.state import VmallocState
from memsim.mm.vmalloc.update import set_preloaded
from memsim.words.errno import ENOMEM
from memsim.words.gfp import GFP_NOWAIT
from memsim.words.slab import NUMA_NO_NODE


def alloc_vmap_struct(state: VmallocState, gfp_mask: int, node: int) -> int:
    """The address of a new struct vmap_area, 0 without a slab allocator, or -ENOMEM."""
    if state.vmap_area_cachep is None:
        return 0
    site = state.trace.number_of("alloc_vmap_area")
    obj = kmem_cache_alloc(state.vmap_area_cachep, gfp_mask, node, site)
    return -ENOMEM if obj is None else address_of(obj)


def preload_this_cpu(state: VmallocState, gfp_mask: int, node: int) -> None:
    """Have a struct ready for a search that leaves two remainders of a free area.

    Kernel: mm/vmalloc.c preload_this_cpu_lock()
    """
    cpu = state.trace.cpu
    if state.vmap_area_cachep is None or state.ne_fit_preload_node[cpu]:
        return
    object = alloc_vmap_struct(state, gfp_mask, node)
    if object > 0:
        set_preloaded(state, cpu, object)


def take_preloaded(state: VmallocState) -> int:
    """The struct that was made ready, else a new one; -ENOMEM if there is no memory for it.

    Kernel: mm/vmalloc.c va_clip()
    """
    cpu = state.trace.cpu
    object = state.ne_fit_preload_node[cpu]
    if object:
        set_preloaded(state, cpu, 0)
        return object
    return alloc_vmap_struct(state, GFP_NOWAIT, NUMA_NO_NODE)
