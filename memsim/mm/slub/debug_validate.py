"""Checking a whole cache, as a write to /sys/kernel/slab/CACHE/validate does.

Kernel: mm/slub.c validate_slab() to validate_slab_cache()
"""

from __future__ import annotations

from memsim.mm.slub.debug_check import check_object, check_slab
from memsim.mm.slub.debug_freelist import _fill_map, on_freelist
from memsim.mm.slub.debug_report import pr_err
from memsim.mm.slub.partial import slabs_on
from memsim.mm.slub.shrink import flush_all, nodes_of
from memsim.mm.slub.slab import KmemCache, KmemCacheNode, Slab
from memsim.words.mmzone import NULL
from memsim.words.slab import SLAB_STORE_USER, SLUB_RED_ACTIVE, SLUB_RED_INACTIVE


def validate_slab_cache(s: KmemCache) -> int:
    """Check every slab that is on a list, report and repair; how many they are.

    Kernel: mm/slub.c validate_slab_cache()
    """
    flush_all(s)
    return sum(validate_slab_node(s, n) for n in nodes_of(s))


def validate_slab(s: KmemCache, slab: Slab) -> None:
    """Check a slab and its objects, up to the first that is wrong. Kernel: validate_slab()."""
    if not check_slab(s, slab) or not on_freelist(s, slab, NULL):
        return
    free = _fill_map(slab)
    for obj in range(slab.objects):
        val = SLUB_RED_INACTIVE if obj in free else SLUB_RED_ACTIVE
        if slab.memory is not None and not check_object(s, slab, obj, val):
            break


def validate_slab_node(s: KmemCache, n: KmemCacheNode) -> int:
    """Check a node's slabs: the partial ones and, where they are known, the full ones.

    Returns how many they are. Kernel: mm/slub.c validate_slab_node()
    """
    slabs = slabs_on(s, n.partial)
    for slab in slabs:
        validate_slab(s, slab)
    if len(slabs) != n.nr_partial:
        text = f"SLUB {s.name}: {len(slabs)} partial slabs counted but counter={n.nr_partial}"
        _count_err(s, text)
    if s.flags & SLAB_STORE_USER:
        full = slabs_on(s, n.full)
        for slab in full:
            validate_slab(s, slab)
        slabs += full
        if len(slabs) != n.nr_slabs:
            _count_err(s, f"SLUB: {s.name} {len(slabs)} slabs counted but counter={n.nr_slabs}")
    return len(slabs)


def _count_err(s: KmemCache, text: str) -> None:
    pr_err(s, text)
    s.vm.slab.debug.slab_add_kunit_errors()
