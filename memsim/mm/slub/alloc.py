"""Objects out of a cache: the lockless list, and every step of the slow path.

Kernel: mm/slub.c get_any_partial(), get_partial(), ___slab_alloc() to slab_alloc_node(),
__kmem_cache_alloc_bulk()
"""

from __future__ import annotations

from memsim.mm.mmzone import numa_node_id
from memsim.mm.page_alloc.freelist import node_zonelist
from memsim.mm.slub.freelist import freeze_slab, get_freelist, get_freepointer
from memsim.mm.slub.pages import new_slab
from memsim.mm.slub.partial import _put_partials, flush_slab, get_partial_node
from memsim.mm.slub.slab import KmemCache, KmemCacheCpu, Slab
from memsim.mm.slub.update import (
    chain,
    count_slab,
    draw_cycles,
    set_percpu_partial,
    update_cpu_freelist,
)
from memsim.words.gfp import __GFP_THISNODE, GFP_NOWAIT, gfp_zone
from memsim.words.mmzone import NULL
from memsim.words.slab import NUMA_NO_NODE

#: An object: its slab, and its index there.
Object = tuple[Slab, int]


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


def slab_alloc_node(s: KmemCache, gfpflags: int, node: int) -> Object | None:
    """An object of the cache, from the CPU's lockless list if it has one; None if none is left.

    node: a node's number, or NUMA_NO_NODE. NOT MODELLED: KFENCE, memcg's charge.
    Kernel: mm/slub.c slab_alloc_node(), __slab_alloc_node()
    """
    c = s.cpu_slab[s.vm.cpu]
    slab, obj = c.slab, c.freelist
    if slab is None or obj == NULL or not node_match(slab, node):
        return _slab_alloc(s, gfpflags, node, c)
    update_cpu_freelist(s, c, slab, get_freepointer(slab, obj))
    return slab, obj


def _slab_alloc(s: KmemCache, gfpflags: int, node: int, c: KmemCacheCpu) -> Object | None:
    """The slow path: the CPU's slab again, the CPU's partial slabs, a node's, a new slab.

    Kernel: mm/slub.c ___slab_alloc()
    """
    if node != NUMA_NO_NODE and s.node[node] is None:
        node = NUMA_NO_NODE
    if c.slab is not None:
        if node_match(c.slab, node):
            freelist = _refill(s, c)
            if freelist != NULL:
                return load_freelist(s, c, c.slab, freelist)
        else:
            flush_slab(s, c)
    slab = _from_cpu_partial(s, c, node)
    if slab is not None:
        return load_freelist(s, c, slab, get_freelist(slab))
    slab = _new_objects(s, gfpflags, node, c)
    return None if slab is None else load_freelist(s, c, slab, freeze_slab(slab))


def load_freelist(s: KmemCache, c: KmemCacheCpu, slab: Slab, freelist: int) -> Object:
    """The first object for the caller, the others for the CPU's lockless list."""
    update_cpu_freelist(s, c, slab, get_freepointer(slab, freelist))
    return slab, freelist


def _refill(s: KmemCache, c: KmemCacheCpu) -> int:
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


def _new_objects(s: KmemCache, gfpflags: int, node: int, c: KmemCacheCpu) -> Slab | None:
    """A slab from a node's partial list, or a new one; the CPU has none any more.

    A request for a node first tries that node alone, without waiting for memory.
    """
    masks = [gfpflags]
    if node != NUMA_NO_NODE and not gfpflags & __GFP_THISNODE:
        masks = [GFP_NOWAIT | __GFP_THISNODE, gfpflags]
    for flags in masks:
        slab = get_partial(s, node, flags)
        if slab is None:
            slab = new_slab(s, flags, node)
            if slab is None:
                continue
            count_slab(s, slab, 1)
        while c.slab is not None:
            flush_slab(s, c)
        return slab
    return None


def get_partial(s: KmemCache, node: int, flags: int) -> Slab | None:
    """A partial slab of the wanted node, or of any other. Kernel: mm/slub.c get_partial()."""
    searchnode = numa_node_id(s.vm) if node == NUMA_NO_NODE else node
    slab = get_partial_node(s, s.node[searchnode])
    if slab is not None or (node != NUMA_NO_NODE and flags & __GFP_THISNODE):
        return slab
    return get_any_partial(s, flags)


def get_any_partial(s: KmemCache, flags: int) -> Slab | None:
    """A partial slab of a node that has more than it must keep, the nearest first, by chance.

    NOT MODELLED: cpusets, memory policies.
    Kernel: mm/slub.c get_any_partial()
    """
    ratio = s.remote_node_defrag_ratio
    if not ratio or draw_cycles(s) % 1024 > ratio:
        return None
    highest_zoneidx = gfp_zone(flags, s.vm.arch)
    for zone in node_zonelist(s.vm, numa_node_id(s.vm), flags):
        n = s.node[zone.node]
        if zone.idx <= highest_zoneidx and n is not None and n.nr_partial > s.min_partial:
            slab = get_partial_node(s, n)
            if slab is not None:
                return slab
    return None
