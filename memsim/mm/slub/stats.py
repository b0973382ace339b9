"""How many slabs and objects a cache has, counted the way the kernel counts them for /proc.

Kernel: mm/slub.c count_partial_free_approx(), get_slabinfo(), slab_out_of_memory()
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.lib.bits import get_order
from memsim.mm.slub.partial import partial_slabs
from memsim.mm.slub.shrink import nodes_of
from memsim.mm.slub.slab import KmemCache, KmemCacheNode
from memsim.words.gfp import __GFP_NOWARN, show_gfp_flags

#: A longer partial list is looked at from both its ends. Kernel: mm/slub.c
MAX_PARTIAL_TO_SCAN = 10000


class Slabinfo(NamedTuple):
    """What SLUB fills in of struct slabinfo, in objects and slabs; cache_order as `oo` has it."""

    active_objs: int
    num_objs: int
    active_slabs: int
    num_slabs: int
    objects_per_slab: int
    cache_order: int


def count_partial_free_approx(s: KmemCache, n: KmemCacheNode) -> int:
    """Free objects in the node's partial slabs; estimated if the list is very long.

    Kernel: mm/slub.c count_partial_free_approx()
    """
    slabs = partial_slabs(s, n)
    if len(slabs) <= MAX_PARTIAL_TO_SCAN:
        return sum(slab.objects - slab.inuse for slab in slabs)
    half = MAX_PARTIAL_TO_SCAN // 2
    ends = slabs[:half] + slabs[-half:]
    scanned = sum(slab.objects - slab.inuse for slab in ends)
    return min(scanned * n.nr_partial // MAX_PARTIAL_TO_SCAN, n.total_objects)


def get_slabinfo(s: KmemCache) -> Slabinfo:
    """The numbers of a cache: what CPUs keep counts as in use. Kernel: mm/slub.c get_slabinfo()."""
    nodes = nodes_of(s)
    nr_slabs = sum(n.nr_slabs for n in nodes)
    nr_objs = sum(n.total_objects for n in nodes)
    nr_free = sum(count_partial_free_approx(s, n) for n in nodes)
    return Slabinfo(nr_objs - nr_free, nr_objs, nr_slabs, nr_slabs, s.oo[1], s.oo[0])


def slab_out_of_memory(s: KmemCache, gfpflags: int, nid: int) -> list[str]:
    """What the kernel logs when there is no page for a slab; nothing with __GFP_NOWARN.

    NOT MODELLED: that it says so ten times in five seconds at most.
    Kernel: mm/slub.c slab_out_of_memory()
    """
    if gfpflags & __GFP_NOWARN:
        return []
    cpu, shown = s.vm.cpu, f"{gfpflags:#x}({show_gfp_flags(gfpflags)})"
    lines = [
        f"SLUB: Unable to allocate memory on CPU {cpu} (of node {s.vm.cpu_to_node[cpu]}) "
        f"on node {nid}, gfp={shown}",
        f"  cache: {s.name}, object size: {s.object_size}, buffer size: {s.size}, "
        f"default order: {s.oo[0]}, min order: {s.min[0]}",
    ]
    if s.min[0] > get_order(s.object_size):
        lines.append(f"  {s.name} debugging increased min order, use slab_debug=O to disable.")
    for n in nodes_of(s):
        free = count_partial_free_approx(s, n)
        lines.append(f"  node {n.nid}: slabs: {n.nr_slabs}, objs: {n.total_objects}, free: {free}")
    return lines
