"""Many objects of a cache at once.

Kernel: mm/slub.c __kmem_cache_alloc_bulk(), kmem_cache_alloc_bulk_noprof()
"""

from __future__ import annotations

from memsim.mm.slub.alloc import Object, slab_alloc_node
from memsim.mm.slub.debug_track import called_from
from memsim.mm.slub.free import _kmem_cache_free_bulk
from memsim.mm.slub.freelist import get_freepointer
from memsim.mm.slub.slab import KmemCache
from memsim.mm.slub.update import update_cpu_freelist
from memsim.words.mmzone import NULL
from memsim.words.slab import NUMA_NO_NODE


def kmem_cache_alloc_bulk(s: KmemCache, flags: int, size: int, call_site: int = 0) -> list[Object]:
    """size objects, or none when memory is short. No event is fired.

    What lies on the lockless list is taken in one operation, and so counts once in the tid.
    Kernel: mm/slub.c __kmem_cache_alloc_bulk()
    """
    objects: list[Object] = []
    if size < 1:
        return objects
    called_from(s, call_site)
    while True:
        if take_lockless(s, objects, size):
            return objects
        obj = slab_alloc_node(s, flags, NUMA_NO_NODE)
        if obj is None:
            _kmem_cache_free_bulk(objects)
            return []
        objects.append(obj)


def take_lockless(s: KmemCache, objects: list[Object], size: int) -> bool:
    """Take from the CPU's lockless list until there are `size` objects; False if there are not."""
    c = s.cpu_slab[s.vm.cpu]
    slab, freelist = c.slab, c.freelist
    while slab is not None and freelist != NULL and len(objects) < size:
        objects.append((slab, freelist))
        freelist = get_freepointer(slab, freelist)
    update_cpu_freelist(s, c, slab, freelist)
    return len(objects) == size
