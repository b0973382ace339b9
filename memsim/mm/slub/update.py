"""The few places that change what a slab, a CPU or a node holds; each says so as a step.

Kernel: mm/slub.c set_freepointer(), slab_update_freelist(), __update_cpu_freelist_fast(),
slub_set_percpu_partial(), __add_partial(), remove_partial(), inc_slabs_node()
"""

from __future__ import annotations

from memsim.lib.list import list_del, list_insert_after
from memsim.mm.slub.slab import KmemCache, KmemCacheCpu, KmemCacheNode, Slab, get_node
from memsim.trace.events import TP_STEPS
from memsim.trace.steps import (
    CACHE,
    CACHE_FIELD_NAMES,
    CPU_FREELIST,
    CPU_PARTIAL,
    FREEPOINTER,
    FULL_ADD,
    FULL_DEL,
    RANDOM,
    SLAB_ADD,
    SLAB_CHAIN,
    SLAB_DEL,
    SLAB_FREELIST,
    SLABS_NODE,
)
from memsim.words.mmzone import NULL
from memsim.words.slab import SLAB_STORE_USER, TID_STEP


def pfn_of(slab: Slab | None) -> int:
    """The slab's first pfn; NULL for none."""
    return NULL if slab is None else slab.pfn


def set_freepointer(slab: Slab, obj: int, fp: int) -> None:
    """Let fp follow obj on its list. Kernel: mm/slub.c set_freepointer()."""
    trace = slab.slab_cache.vm.trace
    if trace.mask & TP_STEPS:
        trace.step(FREEPOINTER, slab.pfn, obj, slab.next_object[obj], fp)
    slab.next_object[obj] = fp


def slab_update_freelist(slab: Slab, freelist: int, inuse: int, frozen: bool) -> None:
    """Change the slab's freelist and its counters, which the kernel does in one instruction.

    Kernel: mm/slub.c slab_update_freelist()
    """
    trace = slab.slab_cache.vm.trace
    if trace.mask & TP_STEPS:
        old = slab.inuse << 1 | slab.frozen
        trace.step(SLAB_FREELIST, slab.pfn, slab.freelist, freelist, old, inuse << 1 | frozen)
    slab.freelist = freelist
    slab.inuse = inuse
    slab.frozen = frozen


def update_cpu_freelist(s: KmemCache, c: KmemCacheCpu, slab: Slab | None, freelist: int) -> None:
    """Change the slab a CPU allocates from, and its lockless list; that is one operation more.

    Kernel: mm/slub.c __update_cpu_freelist_fast(), next_tid()
    """
    trace = s.vm.trace
    if trace.mask & TP_STEPS:
        slabs = (pfn_of(c.slab), pfn_of(slab))
        trace.step(CPU_FREELIST, s.id, c.cpu, *slabs, c.freelist, freelist)
    c.slab = slab
    c.freelist = freelist
    c.tid += TID_STEP


def set_percpu_partial(s: KmemCache, c: KmemCacheCpu, slab: Slab | None) -> None:
    """Change the first slab of a CPU's partial list. Kernel: slub_set_percpu_partial()."""
    trace = s.vm.trace
    if trace.mask & TP_STEPS:
        trace.step(CPU_PARTIAL, s.id, c.cpu, pfn_of(c.partial), pfn_of(slab))
    c.partial = slab


def chain(slab: Slab, following: Slab | None, slabs: int) -> None:
    """Change which slab follows on a CPU's partial list, and how many there are from here on."""
    trace = slab.slab_cache.vm.trace
    if trace.mask & TP_STEPS:
        changed = (pfn_of(slab.next), pfn_of(following), slab.slabs, slabs)
        trace.step(SLAB_CHAIN, slab.pfn, *changed)
    slab.next = following
    slab.slabs = slabs


def add_partial(s: KmemCache, n: KmemCacheNode, slab: Slab, tail: bool) -> None:
    """Put a slab on the node's partial list. Kernel: mm/slub.c add_partial()."""
    state = s.vm.slab
    n.nr_partial += 1
    after = state.prev[n.partial] if tail else n.partial
    list_insert_after(state.next, state.prev, slab.id, after)
    slab.on_node_partial = True
    _step_list(s, n, SLAB_ADD, slab)


def remove_partial(s: KmemCache, n: KmemCacheNode, slab: Slab) -> None:
    """Take a slab off the node's partial list. Kernel: mm/slub.c remove_partial()."""
    _step_list(s, n, SLAB_DEL, slab)
    list_del(s.vm.slab.next, s.vm.slab.prev, slab.id)
    slab.on_node_partial = False
    n.nr_partial -= 1


def add_full(s: KmemCache, n: KmemCacheNode, slab: Slab) -> None:
    """Put a slab on the node's full list, if users are tracked. Kernel: mm/slub.c add_full()."""
    if s.flags & SLAB_STORE_USER:
        list_insert_after(s.vm.slab.next, s.vm.slab.prev, slab.id, n.full)
        _step_list(s, n, FULL_ADD, slab)


def remove_full(s: KmemCache, n: KmemCacheNode, slab: Slab) -> None:
    """Take a slab off the node's full list. Kernel: mm/slub.c remove_full()."""
    if s.flags & SLAB_STORE_USER:
        _step_list(s, n, FULL_DEL, slab)
        list_del(s.vm.slab.next, s.vm.slab.prev, slab.id)


def clear_slab(slab: Slab) -> None:
    """Let a slab that goes hold what a new one holds; going back, it gets back what it held."""
    if slab.slab_cache.vm.trace.mask & TP_STEPS:
        for obj in range(slab.objects):
            if slab.next_object[obj] != NULL:
                set_freepointer(slab, obj, NULL)
        slab_update_freelist(slab, NULL, 0, False)


def _step_list(s: KmemCache, n: KmemCacheNode, kind: int, slab: Slab) -> None:
    """SLAB_ADD, SLAB_DEL, FULL_ADD or FULL_DEL; the slab must be on the list at this moment."""
    if s.vm.trace.mask & TP_STEPS:
        before = s.vm.slab.by_id.get(s.vm.slab.prev[slab.id])
        s.vm.trace.step(kind, s.id, n.nid, slab.pfn, pfn_of(before))


def place_cache(s: KmemCache, place: int) -> None:
    """Put a cache at this place among all caches, 0 is the first; -1 takes it away."""
    caches = s.vm.slab.slab_caches
    old = caches.index(s) if s in caches else NULL
    if s.vm.trace.mask & TP_STEPS:
        s.vm.trace.step(CACHE, s.id, CACHE_FIELD_NAMES.index("place"), old, place)
    if old != NULL:
        caches.remove(s)
    if place != NULL:
        caches.insert(place, s)


def set_cache_field(s: KmemCache, field: str, value: int) -> None:
    """Change a number of a cache that a step can tell of: one of CACHE_FIELD_NAMES."""
    if s.vm.trace.mask & TP_STEPS:
        number = CACHE_FIELD_NAMES.index(field)
        s.vm.trace.step(CACHE, s.id, number, getattr(s, field), value)
    setattr(s, field, value)


def draw_below(s: KmemCache, ceil: int) -> int:
    """A random number from 0 to ceil - 1. Kernel: get_random_u32_below()."""
    random = s.vm.slab.random
    before = random.count
    drawn = random.get_random_u32_below(ceil)
    _step_random(s, before)
    return drawn


def draw_cycles(s: KmemCache) -> int:
    """What the processor's cycle counter says. Kernel: get_cycles()."""
    before = s.vm.slab.random.count
    cycles = s.vm.slab.random.get_cycles()
    _step_random(s, before)
    return cycles


def draw_long(s: KmemCache) -> int:
    """64 random bits. Kernel: get_random_long()."""
    before = s.vm.slab.random.count
    drawn = s.vm.slab.random.get_random_long()
    _step_random(s, before)
    return drawn


def _step_random(s: KmemCache, before: int) -> None:
    if s.vm.trace.mask & TP_STEPS:
        s.vm.trace.step(RANDOM, before, s.vm.slab.random.count)


def count_slab(s: KmemCache, slab: Slab, sign: int) -> None:
    """A slab more, or less, in its node. Kernel: mm/slub.c inc_slabs_node(), dec_slabs_node()."""
    n = get_node(s, slab.nid)
    if s.vm.trace.mask & TP_STEPS:
        s.vm.trace.step(SLABS_NODE, s.id, n.nid, sign, sign * slab.objects)
    n.nr_slabs += sign
    n.total_objects += sign * slab.objects
