"""A cache as /sys/kernel/slab/NAME/ shows it: a text for each file, without its line end.

Kernel: mm/slub.c show_slab_objects(), slab_attrs[]
"""

from __future__ import annotations

from collections.abc import Callable

from memsim.mm.slub.partial import partial_slabs
from memsim.mm.slub.shrink import nodes_of
from memsim.mm.slub.slab import KmemCache, KmemCacheNode, Slab
from memsim.words.slab import (
    SLAB_CACHE_DMA,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_HWCACHE_ALIGN,
    SLAB_POISON,
    SLAB_RECLAIM_ACCOUNT,
    SLAB_RED_ZONE,
    SLAB_SKIP_KFENCE,
    SLAB_STORE_USER,
    SLAB_TRACE,
    SLAB_TYPESAFE_BY_RCU,
)

#: Files that tell whether a flag is set.
_FLAG_FILES = {
    "hwcache_align": SLAB_HWCACHE_ALIGN,
    "reclaim_account": SLAB_RECLAIM_ACCOUNT,
    "destroy_by_rcu": SLAB_TYPESAFE_BY_RCU,
    "sanity_checks": SLAB_CONSISTENCY_CHECKS,
    "trace": SLAB_TRACE,
    "red_zone": SLAB_RED_ZONE,
    "poison": SLAB_POISON,
    "store_user": SLAB_STORE_USER,
    "cache_dma": SLAB_CACHE_DMA,
    "skip_kfence": SLAB_SKIP_KFENCE,
}


def attributes(s: KmemCache) -> dict[str, str]:
    """{file: its text}. Counts of slabs and objects tell those of each node behind the sum.

    `shrink` and `validate` are there to be written to: they read empty, as does `ctor` where there
    is none. NOT MODELLED: the constructor's name ("ctor" stands for it), CONFIG_SLUB_STATS.
    Kernel: mm/slub.c slab_size_show() to skip_kfence_show()
    """
    numbers = {
        "slab_size": s.size,
        "object_size": s.object_size,
        "objs_per_slab": s.oo[1],
        "order": s.oo[0],
        "min_partial": s.min_partial,
        "cpu_partial": s.cpu_partial,
        "aliases": max(s.refcount - 1, 0),
        "align": s.align,
        "remote_node_defrag_ratio": s.remote_node_defrag_ratio // 10,
        "usersize": s.usersize,
    }
    flags = {name: int((s.flags & flag) != 0) for name, flag in _FLAG_FILES.items()}
    counts = {
        "partial": _by_node(s, lambda n: n.nr_partial),
        "objects_partial": _by_node(s, lambda n: _count_partial(s, n, lambda slab: slab.inuse)),
        "slabs": _by_node(s, lambda n: n.nr_slabs),
        "total_objects": _by_node(s, lambda n: n.total_objects),
        "objects": _by_node(s, lambda n: n.total_objects - _count_partial(s, n, _free)),
        "cpu_slabs": _cpu_slabs(s),
    }
    texts = {name: str(number) for name, number in (numbers | flags).items()}
    texts |= {name: _sum_and_nodes(nodes) for name, nodes in counts.items()}
    texts["slabs_cpu_partial"] = _slabs_cpu_partial(s)
    return texts | {"ctor": "ctor" if s.ctor else "", "shrink": "", "validate": ""}


def _free(slab: Slab) -> int:
    return slab.objects - slab.inuse


def _count_partial(s: KmemCache, n: KmemCacheNode, count: Callable[[Slab], int]) -> int:
    """Kernel: mm/slub.c count_partial()."""
    return sum(count(slab) for slab in partial_slabs(s, n))


def _by_node(s: KmemCache, count: Callable[[KmemCacheNode], int]) -> list[int]:
    nodes = [0] * len(s.vm.nodes)
    for n in nodes_of(s):
        nodes[n.nid] = count(n)
    return nodes


def _cpu_slabs(s: KmemCache) -> list[int]:
    """Slabs that CPUs allocate from, and, of CPUs that have one, those on their partial lists.

    A partial list counts for the node of its first slab.
    """
    nodes = [0] * len(s.vm.nodes)
    for c in s.cpu_slab:
        if c.slab is None:
            continue
        nodes[c.slab.nid] += 1
        if c.partial is not None:
            nodes[c.partial.nid] += c.partial.slabs
    return nodes


def _sum_and_nodes(nodes: list[int]) -> str:
    """`12 N0=7 N1=5`; nodes with nothing are not named. Kernel: mm/slub.c show_slab_objects()."""
    words = [f"N{nid}={count}" for nid, count in enumerate(nodes) if count]
    return " ".join([str(sum(nodes)), *words])


def _slabs_cpu_partial(s: KmemCache) -> str:
    """`26(2) C0=26(2)`: objects, if half of each slab is free, and slabs; then of each CPU.

    Kernel: mm/slub.c slabs_cpu_partial_show()
    """
    slabs = {c.cpu: c.partial.slabs for c in s.cpu_slab if c.partial is not None}
    words = [f"C{cpu}={_objects_and_slabs(s, nr)}" for cpu, nr in slabs.items()]
    return " ".join([_objects_and_slabs(s, sum(slabs.values())), *words])


def _objects_and_slabs(s: KmemCache, slabs: int) -> str:
    return f"{slabs * s.oo[1] // 2}({slabs})"
