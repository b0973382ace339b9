"""The slab allocator's state as plain data, in the form of a recorded kernel's snapshot."""

from __future__ import annotations

from typing import Any

from memsim.mm.slub.freelist import get_freepointer
from memsim.mm.slub.partial import partial_slabs, slabs_on
from memsim.mm.slub.slab import KmemCache, KmemCacheCpu, KmemCacheNode, Slab
from memsim.mm.slub.update import pfn_of
from memsim.words.mmzone import NULL


def freelist_of(slab: Slab, head: int) -> list[int]:
    """The free objects chained from head on."""
    objects = []
    while head != NULL:
        objects.append(head)
        head = get_freepointer(slab, head)
    return objects


def cpu_partial_slabs_of(c: KmemCacheCpu) -> list[Slab]:
    """A CPU's partial slabs, first to last."""
    slabs = []
    slab = c.partial
    while slab is not None:
        slabs.append(slab)
        slab = slab.next
    return slabs


def cache_lists(s: KmemCache) -> dict[str, Any]:
    """What changes about a cache: `cpu` and `node`, as a snapshot has them.

    tid counts operations; freelists hold objects' indices, head first.
    """
    return {
        "cpu": [_cpu(c) for c in s.cpu_slab],
        "node": [None if n is None else _node(s, n) for n in s.node],
    }


def whole_cache(s: KmemCache) -> dict[str, Any]:
    """All of a cache that steps can change, with slabs that are on no list and stale pointers.

    More than a recorded kernel's snapshot tells: from it, steps can be undone.
    """
    slabs = [slab for slab in s.vm.slab.by_id.values() if slab.slab_cache is s]
    return {
        "id": s.id,
        "name": s.name,
        "oo": list(s.oo),
        "min": list(s.min),
        "cpus": [[pfn_of(c.slab), c.freelist, pfn_of(c.partial)] for c in s.cpu_slab],
        "partial": [_pfns_on(s, n.partial) if n else [] for n in s.node],
        "full": [_pfns_on(s, n.full) if n else [] for n in s.node],
        "slabs": [
            {
                "pfn": slab.pfn,
                "order": slab.order,
                "inuse": slab.inuse,
                "frozen": slab.frozen,
                "freelist": slab.freelist,
                "next_object": [slab.next_object[obj] for obj in range(slab.objects)],
                "next": pfn_of(slab.next),
            }
            for slab in slabs
        ],
    }


def _pfns_on(s: KmemCache, head: int) -> list[int]:
    return [slab.pfn for slab in slabs_on(s, head)]


def _slab(slab: Slab) -> dict[str, Any]:
    return {
        "pfn": slab.pfn,
        "inuse": slab.inuse,
        "objects": slab.objects,
        "frozen": int(slab.frozen),
        "freelist": freelist_of(slab, slab.freelist),
    }


def _cpu(c: KmemCacheCpu) -> dict[str, Any]:
    return {
        "slab": None if c.slab is None else _slab(c.slab),
        "freelist": [] if c.slab is None else freelist_of(c.slab, c.freelist),
        "tid": c.tid,
        "partial": [{**_slab(slab), "slabs": slab.slabs} for slab in cpu_partial_slabs_of(c)],
    }


def _node(s: KmemCache, n: KmemCacheNode) -> dict[str, Any]:
    return {
        "nid": n.nid,
        "nr_partial": n.nr_partial,
        "nr_slabs": n.nr_slabs,
        "total_objects": n.total_objects,
        "partial": [_slab(slab) for slab in partial_slabs(s, n)],
    }
