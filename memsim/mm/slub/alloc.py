"""Objects out of a cache: the lockless list, and every step of the slow path.

Kernel: mm/slub.c get_any_partial(), get_partial(), ___slab_alloc() to slab_alloc_node()
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from memsim.mm.mempolicy import mempolicy_slab_node
from memsim.mm.mmzone import numa_node_id
from memsim.mm.page_alloc.zone_walk import node_zonelist
from memsim.mm.slub.debug_requests import alloc_single_from_new_slab, get_partial_node_debug
from memsim.mm.slub.debug_track import TRACK_ALLOC, set_track, slub_debug_orig_size
from memsim.mm.slub.freelist import freeze_slab, get_freelist, get_freepointer
from memsim.mm.slub.memory import memset, obj_offset
from memsim.mm.slub.pages import new_slab
from memsim.mm.slub.partial import _put_partials, flush_slab, get_partial_node
from memsim.mm.slub.slab import KmemCache, KmemCacheCpu, KmemCacheNode, Slab, kmem_cache_debug
from memsim.mm.slub.stats import slab_out_of_memory
from memsim.mm.slub.update import (
    chain,
    count_slab,
    draw_cycles,
    set_percpu_partial,
    update_cpu_freelist,
)
from memsim.words.gfp import __GFP_THISNODE, __GFP_ZERO, GFP_NOWAIT, gfp_zone
from memsim.words.mmzone import NULL
from memsim.words.slab import NUMA_NO_NODE, SLAB_STORE_USER

#: An object: its slab, and its index there.
Object = tuple[Slab, int]

_T = TypeVar("_T")
#: Takes what it wants from a node's partial list. Kernel: mm/slub.c struct partial_context
Take = Callable[[KmemCache, KmemCacheNode | None], _T | None]


def chain_of(slab: Slab, first: int) -> list[int]:
    """The free objects from first on, each by the free pointer of the one before."""
    objects: list[int] = []
    while first != NULL and len(objects) <= slab.objects:
        objects.append(first)
        first = get_freepointer(slab, first)
    return objects


def free_objects_of(slab: Slab) -> set[int]:
    """Objects on the slab's freelist, and on the lockless list of the CPU that has it."""
    objects = chain_of(slab, slab.freelist)
    for c in slab.slab_cache.cpu_slab:
        if c.slab is slab:
            objects += chain_of(slab, c.freelist)
    return set(objects)


def node_match(slab: Slab, node: int) -> bool:
    """Is the slab where the request wants it? Kernel: mm/slub.c node_match()."""
    return node in (NUMA_NO_NODE, slab.nid)


def node_with_slabs(s: KmemCache, node: int) -> int:
    """The node that a request is for; a node without memory counts as none.

    Kernel: mm/slub.c ___slab_alloc(), slab_nodes
    """
    return NUMA_NO_NODE if node != NUMA_NO_NODE and s.node[node] is None else node


def slab_alloc_node(s: KmemCache, gfpflags: int, node: int, orig_size: int = 0) -> Object | None:
    """An object of the cache, from the CPU's lockless list if it has one; None if none is left.

    node: a node's number, or NUMA_NO_NODE. orig_size: the bytes that kmalloc() was asked for, or 0
    for the whole object; caches that debug keep it. NOT MODELLED: KFENCE, memcg's charge.
    Kernel: mm/slub.c slab_alloc_node(), __slab_alloc_node()
    """
    c = s.cpu_slab[s.vm.cpu]
    slab, obj = c.slab, c.freelist
    if slab is None or obj == NULL or not node_match(slab, node):
        if kmem_cache_debug(s):
            return _slab_alloc_debug(s, gfpflags, node, orig_size or s.object_size)
        return _slab_alloc(s, gfpflags, node)
    update_cpu_freelist(s, c, slab, get_freepointer(slab, obj))
    return slab, obj


def _slab_alloc(s: KmemCache, gfpflags: int, node: int) -> Object | None:
    """The slow path: the CPU's slab again, the CPU's partial slabs, a node's, a new slab.

    Kernel: mm/slub.c ___slab_alloc()
    """
    node = node_with_slabs(s, node)
    got = alloc_from_cpu(s, node)
    if got is not None:
        return got
    for flags in masks(gfpflags, node):
        got = alloc_from_node(s, flags, node)
        if got is not None:
            return got
        slab = new_slab(s, flags, node)
        if slab is not None:
            return alloc_from_new(s, slab)
    s.vm.slab.log += slab_out_of_memory(s, gfpflags, node)
    return None


def alloc_from_cpu(s: KmemCache, node: int) -> Object | None:
    """An object of the CPU's slab, or of one of its partial slabs, which becomes its slab.

    Kernel: mm/slub.c ___slab_alloc(), from reread_slab to new_objects
    """
    c = s.cpu_slab[s.vm.cpu]
    node = node_with_slabs(s, node)
    if c.slab is not None:
        if node_match(c.slab, node):
            freelist = refill(s, c)
            if freelist != NULL:
                return load_freelist(s, c, c.slab, freelist)
        else:
            flush_slab(s, c)
    slab = _from_cpu_partial(s, c, node)
    return None if slab is None else load_freelist(s, c, slab, get_freelist(slab))


def alloc_from_node(s: KmemCache, flags: int, node: int) -> Object | None:
    """An object of a node's partial slab, which becomes the CPU's slab.

    Kernel: mm/slub.c ___slab_alloc(), new_objects
    """
    slab = get_partial(s, node, flags, get_partial_node)
    return None if slab is None else _load_slab(s, slab)


def alloc_from_new(s: KmemCache, slab: Slab) -> Object:
    """An object of a new slab, which becomes the CPU's slab."""
    count_slab(s, slab, 1)
    return _load_slab(s, slab)


def _load_slab(s: KmemCache, slab: Slab) -> Object:
    """Allocate from a slab that is on no list; what the CPU has by now is flushed.

    Kernel: mm/slub.c ___slab_alloc(), retry_load_slab
    """
    c = s.cpu_slab[s.vm.cpu]
    freelist = freeze_slab(slab)
    while c.slab is not None:
        flush_slab(s, c)
    return load_freelist(s, c, slab, freelist)


def _slab_alloc_debug(s: KmemCache, gfpflags: int, node: int, orig_size: int) -> Object | None:
    """One object of a node's slab or of a new one, checked; CPUs keep nothing of such caches.

    NOT MODELLED: CONFIG_INIT_ON_ALLOC: only __GFP_ZERO makes the object zero.
    Kernel: mm/slub.c ___slab_alloc(), slab_post_alloc_hook()
    """
    got = _new_debug_object(s, gfpflags, node, orig_size)
    if got is None:
        return None
    slab, obj = got
    if s.flags & SLAB_STORE_USER:
        set_track(slab, obj, TRACK_ALLOC)
    if gfpflags & __GFP_ZERO:
        zero_size = orig_size if slub_debug_orig_size(s) else s.object_size
        memset(slab, obj_offset(slab, obj), 0, zero_size)
    return got


def _new_debug_object(s: KmemCache, gfpflags: int, node: int, orig_size: int) -> Object | None:
    node = node_with_slabs(s, node)
    take = partial(get_partial_node_debug, orig_size=orig_size)
    for flags in masks(gfpflags, node):
        while True:
            got = get_partial(s, node, flags, take)
            if got is not None or s.vm.slab.debug.oops:
                return got
            slab = new_slab(s, flags, node)
            if slab is None:
                break
            obj = alloc_single_from_new_slab(s, slab, orig_size)
            if obj != NULL:
                return slab, obj
    s.vm.slab.log += slab_out_of_memory(s, gfpflags, node)
    return None


def load_freelist(s: KmemCache, c: KmemCacheCpu, slab: Slab, freelist: int) -> Object:
    """The first object for the caller, the others for the CPU's lockless list.

    Kernel: mm/slub.c ___slab_alloc(), load_freelist
    """
    update_cpu_freelist(s, c, slab, get_freepointer(slab, freelist))
    return slab, freelist


def refill(s: KmemCache, c: KmemCacheCpu) -> int:
    """The lockless list, or what others freed to the CPU's slab; if NULL, the slab is let go."""
    assert c.slab is not None
    freelist = c.freelist
    if freelist == NULL:
        freelist = get_freelist(c.slab)
    if freelist == NULL:
        update_cpu_freelist(s, c, None, NULL)
    return freelist


def _from_cpu_partial(s: KmemCache, c: KmemCacheCpu, node: int) -> Slab | None:
    """The first slab of the CPU's partial list; those of other nodes go to their nodes' lists."""
    while c.partial is not None:
        slab = c.partial
        set_percpu_partial(s, c, slab.next)
        chain(slab, None, 0)
        if node_match(slab, node):
            return slab
        _put_partials(s, slab)
    return None


def masks(gfpflags: int, node: int) -> list[int]:
    """The masks that a slab is looked for with, one after the other.

    A request for a node first tries that node alone, without waiting for memory.
    Kernel: mm/slub.c ___slab_alloc(), try_thisnode
    """
    if node != NUMA_NO_NODE and not gfpflags & __GFP_THISNODE:
        return [GFP_NOWAIT | __GFP_THISNODE, gfpflags]
    return [gfpflags]


def get_partial(s: KmemCache, node: int, flags: int, take: Take[_T]) -> _T | None:
    """A partial slab of the wanted node, or of any other: what take finds there.

    Kernel: mm/slub.c get_partial()
    """
    searchnode = numa_node_id(s.vm) if node == NUMA_NO_NODE else node
    got = take(s, s.node[searchnode])
    if got is not None or (node != NUMA_NO_NODE and flags & __GFP_THISNODE):
        return got
    return get_any_partial(s, flags, take)


def get_any_partial(s: KmemCache, flags: int, take: Take[_T]) -> _T | None:
    """A partial slab of a node that has more than it must keep, the nearest first, by chance.

    NOT MODELLED: cpusets.
    Kernel: mm/slub.c get_any_partial()
    """
    ratio = s.remote_node_defrag_ratio
    if not ratio or draw_cycles(s) % 1024 > ratio:
        return None
    highest_zoneidx = gfp_zone(flags, s.vm.arch)
    for zone in node_zonelist(s.vm, mempolicy_slab_node(s.vm), flags, highest_zoneidx):
        n = s.node[zone.node]
        if n is not None and n.nr_partial > s.min_partial:
            got = take(s, n)
            if got is not None:
                return got
    return None
