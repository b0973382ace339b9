"""Giving slabs back: flushing CPUs, shrinking a cache, and its end.

Kernel: mm/slub.c flush_all(), __kmem_cache_do_shrink(), free_partial(), __kmem_cache_shutdown()
"""

from __future__ import annotations

from memsim.mm.slub.debug_freelist import list_slab_objects
from memsim.mm.slub.pages import discard_slab
from memsim.mm.slub.partial import flush_slab, partial_slabs, put_partials
from memsim.mm.slub.slab import KmemCache, KmemCacheNode, Slab
from memsim.mm.slub.update import add_partial, remove_partial

#: Slabs with up to this many free objects are sorted, the fullest first. Kernel: mm/slub.c
SHRINK_PROMOTE_MAX = 32


def flush_all(s: KmemCache) -> None:
    """Take every CPU's slab and partial slabs away from it; each CPU does its own.

    So the pages of empty slabs go to that CPU's pcp lists.
    Kernel: mm/slub.c flush_all(), flush_cpu_slab()
    """
    vm = s.vm
    asking = vm.cpu
    for c in s.cpu_slab:
        vm.set_cpu(c.cpu)
        if c.slab is not None:
            flush_slab(s, c)
        if c.partial is not None:
            put_partials(s, c)
    vm.set_cpu(asking)


def nodes_of(s: KmemCache) -> list[KmemCacheNode]:
    """What nodes keep of the cache. Kernel: mm/slub.c for_each_kmem_cache_node()."""
    return [n for n in s.node if n is not None]


def kmem_cache_shrink(s: KmemCache) -> bool:
    """Give back all empty slabs; the fullest come to the front of each node's list. Any left?

    Kernel: mm/slab_common.c kmem_cache_shrink(), mm/slub.c __kmem_cache_do_shrink()
    """
    flush_all(s)
    for n in nodes_of(s):
        empty = _promote(s, n)
        for slab in empty:
            discard_slab(s, slab)
    return any(n.nr_slabs for n in nodes_of(s))


def _promote(s: KmemCache, n: KmemCacheNode) -> list[Slab]:
    """Take empty slabs off the list, and sort those with few free objects; the empty ones."""
    empty: list[Slab] = []
    promote: list[list[Slab]] = [[] for _ in range(SHRINK_PROMOTE_MAX)]
    for slab in partial_slabs(s, n):
        free = slab.objects - slab.inuse
        if free == slab.objects:
            remove_partial(s, n, slab)
            empty.insert(0, slab)
        elif free <= SHRINK_PROMOTE_MAX:
            promote[free - 1].insert(0, slab)
    for slabs in reversed(promote):
        for slab in reversed(slabs):
            remove_partial(s, n, slab)
            add_partial(s, n, slab, tail=False)
    return empty


def _kmem_cache_shutdown(s: KmemCache) -> bool:
    """Give back everything of a cache that is to go; False if objects are still in use.

    Objects in use are listed, but not those of full slabs.
    Kernel: mm/slub.c __kmem_cache_shutdown(), free_partial()
    """
    flush_all(s)
    for n in nodes_of(s):
        empty = []
        for slab in partial_slabs(s, n):
            if slab.inuse:
                list_slab_objects(s, slab)
                continue
            remove_partial(s, n, slab)
            empty.append(slab)
        for slab in reversed(empty):
            discard_slab(s, slab)
        if n.nr_slabs:
            return False
    return True
