"""Objects out of a cache: the lockless list, and every step of the slow path.

Kernel: mm/slub.c get_any_partial(), get_partial(), ___slab_alloc() to slab_alloc_node(),
__kmem_cache_alloc_bulk()
"""

from __future__ import annotations

from memsim.mm.mmzone import numa_node_id
from memsim.mm.page_alloc.freelist import node_zonelist
from memsim.mm.slub.freelist import freeze_slab, get_freelist, get_freepointer, next_tid
from memsim.mm.slub.pages import inc_slabs_node, new_slab
from memsim.mm.slub.partial import _put_partials, flush_slab, get_partial_node
from memsim.mm.slub.slab import KmemCache, KmemCacheCpu, Slab
from memsim.words.gfp import __GFP_THISNODE, GFP_NOWAIT, gfp_zone
from memsim.words.mmzone import NULL
from memsim.words.slab import NUMA_NO_NODE

#: An object: its slab, and its index there.
Object = tuple[Slab, int]


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
    c.freelist = get_freepointer(slab, obj)
    next_tid(c)
    return slab, obj


def _slab_alloc(s: KmemCache, gfpflags: int, node: int, c: KmemCacheCpu) -> Object | None:
    """The slow path: the CPU's slab again, the CPU's partial slabs, a node's, a new slab.

    Kernel: mm/slub.c ___slab_alloc()
    """
    if node != NUMA_NO_NODE and s.node[node] is None:
        node = NUMA_NO_NODE
    if c.slab is not None:
        if node_match(c.slab, node):
            freelist = _refill(c)
            if freelist != NULL:
                return load_freelist(c, freelist)
        else:
            flush_slab(s, c)
    freelist = _from_cpu_partial(s, c, node)
    if freelist == NULL:
        freelist = _new_objects(s, gfpflags, node, c)
    return None if freelist == NULL else load_freelist(c, freelist)


def load_freelist(c: KmemCacheCpu, freelist: int) -> Object:
    """The first object for the caller, the others for the lockless list of c->slab."""
    assert c.slab is not None
    c.freelist = get_freepointer(c.slab, freelist)
    next_tid(c)
    return c.slab, freelist


def _refill(c: KmemCacheCpu) -> int:
    """The lockless list, or what others freed to the CPU's slab; if NULL, the slab is let go."""
    assert c.slab is not None
    freelist = c.freelist
    if freelist == NULL:
        freelist = get_freelist(c.slab)
    if freelist == NULL:
        c.slab = None
        next_tid(c)
    return freelist


def _from_cpu_partial(s: KmemCache, c: KmemCacheCpu, node: int) -> int:
    """Freeze the first slab of the CPU's partial list; those of other nodes go to their nodes."""
    while c.partial is not None:
        slab = c.partial
        c.partial = slab.next
        slab.next = None
        if node_match(slab, node):
            c.slab = slab
            return get_freelist(slab)
        _put_partials(s, slab)
    return NULL


def _new_objects(s: KmemCache, gfpflags: int, node: int, c: KmemCacheCpu) -> int:
    """A slab from a node's partial list, or a new one; c->slab is it, its freelist returned.

    A request for a node first tries that node alone, without waiting for memory.
    """
    masks = [gfpflags]
    if node != NUMA_NO_NODE and not gfpflags & __GFP_THISNODE:
        masks = [GFP_NOWAIT | __GFP_THISNODE, gfpflags]
    for flags in masks:
        slab = get_partial(s, node, flags)
        if slab is not None:
            freelist = freeze_slab(slab)
        else:
            slab = new_slab(s, flags, node)
            if slab is None:
                continue
            freelist = freeze_slab(slab)
            inc_slabs_node(s, slab)
        while c.slab is not None:
            flush_slab(s, c)
        c.slab = slab
        return freelist
    return NULL


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
    if not ratio or s.vm.slab.random.get_cycles() % 1024 > ratio:
        return None
    highest_zoneidx = gfp_zone(flags, s.vm.arch)
    for zone in node_zonelist(s.vm, numa_node_id(s.vm), flags):
        n = s.node[zone.node]
        if zone.idx <= highest_zoneidx and n is not None and n.nr_partial > s.min_partial:
            slab = get_partial_node(s, n)
            if slab is not None:
                return slab
    return None
