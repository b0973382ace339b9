"""Every invariant of a cache, as one sentence and one check.

Kernel: mm/slub.c validate_slab_cache() checks some of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from memsim.mm.mmzone import PG_INUSE, Vm
from memsim.mm.slub.alloc import chain_of, free_objects_of
from memsim.mm.slub.partial import partial_slabs, slabs_on
from memsim.mm.slub.shrink import nodes_of
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.mm.slub.snapshot import cpu_partial_slabs_of
from memsim.words.errors import ValidationError
from memsim.words.mmzone import NULL
from memsim.words.slab import SLAB_STORE_USER


def slabs_of(s: KmemCache) -> list[Slab]:
    """Every slab of the cache, by pfn."""
    found = {slab.pfn: slab for slab in s.vm.slab.by_id.values() if slab.slab_cache is s}
    return [found[pfn] for pfn in sorted(found)]


def _counters(s: KmemCache) -> Iterator[str]:
    """inuse is what is not on the slab's freelist."""
    for slab in slabs_of(s):
        on_list = len(chain_of(slab, slab.freelist))
        if slab.inuse != slab.objects - on_list:
            yield f"{slab.pfn:#x}: inuse {slab.inuse}, of {slab.objects} {on_list} on the freelist"


def _once(s: KmemCache) -> Iterator[str]:
    """A free object is on one list, once."""
    for slab in slabs_of(s):
        lists = chain_of(slab, slab.freelist)
        for c in s.cpu_slab:
            lists += chain_of(slab, c.freelist) if c.slab is slab else []
        if len(set(lists)) != len(lists):
            yield f"{slab.pfn:#x}: {lists}"


def _frozen(s: KmemCache) -> Iterator[str]:
    """A slab is frozen while it is a CPU's slab, and only then; or debugging gave it up."""
    frozen = [c.slab for c in s.cpu_slab if c.slab is not None]
    for slab in slabs_of(s):
        given_up = slab.frozen and slab.memory is not None
        if slab.frozen != (slab in frozen) and not given_up:
            yield f"{slab.pfn:#x}: frozen {slab.frozen}"


def _places(s: KmemCache) -> Iterator[str]:
    """A slab is in one place: a CPU's slab, a CPU's partial list, a node's list, or full."""
    places = [c.slab.pfn for c in s.cpu_slab if c.slab is not None]
    for c in s.cpu_slab:
        places += [slab.pfn for slab in cpu_partial_slabs_of(c)]
    for n in nodes_of(s):
        places += [slab.pfn for slab in partial_slabs(s, n)]
    for pfn in {pfn for pfn in places if places.count(pfn) > 1}:
        yield f"{pfn:#x} is in {places.count(pfn)} places"
    for slab in slabs_of(s):
        if slab.pfn not in places and slab.freelist != NULL:
            yield f"{slab.pfn:#x} has free objects and is nowhere"


def _node_counts(s: KmemCache) -> Iterator[str]:
    """A node's counters are what its lists and slabs say."""
    for n in nodes_of(s):
        own = [slab for slab in slabs_of(s) if slab.nid == n.nid]
        counted = (len(own), sum(slab.objects for slab in own), len(partial_slabs(s, n)))
        told = (n.nr_slabs, n.total_objects, n.nr_partial)
        if counted != told:
            yield f"node {n.nid}: counted {counted}, told {told}"


def _cpu_partial_counts(s: KmemCache) -> Iterator[str]:
    """Each slab of a CPU's partial list knows how many there are from it on."""
    for c in s.cpu_slab:
        told = [slab.slabs for slab in cpu_partial_slabs_of(c)]
        if told != list(range(len(told), 0, -1)):
            yield f"CPU {c.cpu}: {told}"


def _lockless(s: KmemCache) -> Iterator[str]:
    """A CPU without a slab has no lockless list, and every free object has an index."""
    for c in s.cpu_slab:
        if c.slab is None and c.freelist != NULL:
            yield f"CPU {c.cpu}: freelist {c.freelist} without a slab"
    for slab in slabs_of(s):
        if not all(0 <= obj < slab.objects for obj in free_objects_of(slab)):
            yield f"{slab.pfn:#x}"


def _full(s: KmemCache) -> Iterator[str]:
    """While users are tracked, a slab is on its node's full list if it has nothing free."""
    tracked = s.flags & SLAB_STORE_USER
    for n in nodes_of(s):
        listed = {slab.pfn for slab in slabs_on(s, n.full)}
        own = [slab for slab in slabs_of(s) if slab.nid == n.nid and not slab.frozen]
        full = {slab.pfn for slab in own if tracked and slab.freelist == NULL}
        for pfn in listed ^ full:
            yield f"{pfn:#x}: on the full list {pfn in listed}"


def _pages(s: KmemCache) -> Iterator[str]:
    """A slab's pages are one block in use, and each is told to be the slab's."""
    vm = s.vm
    for slab in slabs_of(s):
        pages = range(slab.pfn, slab.pfn + (1 << slab.order))
        if vm.page_state[slab.pfn] != (PG_INUSE | slab.order):
            yield f"{slab.pfn:#x}: page state {vm.page_state[slab.pfn]:#x}, order {slab.order}"
        elif any(vm.slab.page_slab.get(page) is not slab for page in pages):
            yield f"{slab.pfn:#x}: a page is another slab's"


#: Every invariant of a cache; its sentence is the docstring.
INVARIANTS: tuple[Callable[[KmemCache], Iterator[str]], ...] = (
    _counters, _once, _frozen, _places, _node_counts, _cpu_partial_counts, _lockless, _full, _pages,
)  # fmt: skip


def validate_caches(vm: Vm) -> None:
    """validate_cache() of each. Cost: O(objects)."""
    for s in vm.slab.slab_caches:
        validate_cache(s)


def validate_cache(s: KmemCache) -> None:
    """Raise ValidationError with the first broken invariant. Cost: O(objects)."""
    for check in INVARIANTS:
        for where in check(s):
            raise ValidationError(f"{s.name}: {check.__doc__} {where}")
