"""All that the slab allocator of a Machine knows, as plain data that can be compared."""

from __future__ import annotations

from typing import Any

from memsim import Machine
from memsim.lib.list import list_for_each
from memsim.mm.slub.alloc import chain_of
from memsim.mm.slub.slab import KmemCache, Slab, SlabState
from memsim.mm.slub.snapshot import cpu_partial_slabs_of

_FIELDS = (
    "id", "name", "flags", "size", "object_size", "inuse", "offset", "align", "red_left_pad", "oo",
    "min", "allocflags", "min_partial", "cpu_partial", "cpu_partial_slabs", "refcount", "ctor",
    "useroffset", "usersize", "random", "random_seq", "remote_node_defrag_ratio",
)  # fmt: skip


def state_of(machine: Machine) -> Any:
    """Caches in their order with all lists in theirs, slabs with all bytes, and chance.

    Slabs of caches that were taken away with objects in use are among the slabs.
    """
    state = machine.vm.slab
    slabs = sorted(state.by_id.values(), key=lambda slab: slab.pfn)
    caches = [_of_cache(s) for s in state.slab_caches]
    return caches, [_of_slab(slab) for slab in slabs], state.random.count


def _of_cache(s: KmemCache) -> Any:
    state = s.vm.slab
    per_cpu = [
        (
            c.slab and c.slab.pfn,
            [] if c.slab is None else chain_of(c.slab, c.freelist),
            c.tid,
            [(slab.pfn, slab.slabs) for slab in cpu_partial_slabs_of(c)],
        )
        for c in s.cpu_slab
    ]
    nodes = [
        n and (
            n.nr_partial, n.nr_slabs, n.total_objects,
            _pfns(state, n.partial), _pfns(state, n.full),
        )
        for n in s.node
    ]  # fmt: skip
    return [getattr(s, field) for field in _FIELDS], per_cpu, nodes


def _pfns(state: SlabState, head: int) -> list[int]:
    return [state.by_id[entry].pfn for entry in list_for_each(state.next, head)]


def _of_slab(slab: Slab) -> Any:
    held = list(slab.next_object) if slab.memory is None else bytes(slab.memory)
    return (
        slab.slab_cache.id, slab.pfn, slab.order, slab.nid, slab.objects, slab.inuse, slab.frozen,
        slab.freelist, slab.on_node_partial, slab.slabs, slab.next and slab.next.pfn, held,
    )  # fmt: skip
