"""Each invariant of a cache is broken by hand, and found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memsim import Machine
from memsim.lib.list import list_del
from memsim.mm.mmzone import PG_INUSE
from memsim.mm.slub.slab import KmemCache, KmemCacheNode, Slab
from memsim.mm.slub.validate import INVARIANTS, validate_cache
from memsim.words.errors import ValidationError
from memsim.words.mmzone import NULL
from memsim.words.slab import SLAB_NO_MERGE, SLAB_STORE_USER


def caches() -> tuple[KmemCache, KmemCache]:
    """A cache with a CPU's slab, a CPU's partial slab and a node's; one that tracks users."""
    machine = Machine("64 MiB", cpus=2, slab=True, steps=False)
    plain = machine.kmem_cache_create("plain", 512, flags=SLAB_NO_MERGE)
    got = [machine.kmem_cache_alloc(plain) for _ in range(plain.oo[1] * 4)]
    machine.kmem_cache_free(plain, got[0])
    machine.kmem_cache_shrink(plain)
    machine.kmem_cache_alloc(plain, cpu=0)
    machine.kmem_cache_alloc(plain, cpu=0)
    machine.kmem_cache_free(plain, got[2 * plain.oo[1]], cpu=1)
    tracked = machine.kmem_cache_create("tracked", 512, flags=SLAB_STORE_USER)
    for _ in range(tracked.oo[1] + 1):
        machine.kmem_cache_alloc(tracked)
    validate_cache(plain)
    validate_cache(tracked)
    return plain, tracked


def node(s: KmemCache) -> KmemCacheNode:
    n = s.node[0]
    assert n is not None
    return n


def cpu_slab(s: KmemCache) -> Slab:
    slab = next(c.slab for c in s.cpu_slab if c.freelist != NULL)
    assert slab is not None
    return slab


def partial(s: KmemCache) -> Slab:
    slab = next(c.partial for c in s.cpu_slab if c.partial is not None)
    assert slab is not None
    return slab


def too_much_in_use(s: KmemCache) -> None:
    cpu_slab(s).inuse -= 1


def twice_free(s: KmemCache) -> None:
    slab = cpu_slab(s)
    slab.freelist = next(c.freelist for c in s.cpu_slab if c.slab is slab)
    slab.inuse = slab.objects - sum(1 for _ in chain(slab, slab.freelist))


def chain(slab: Slab, obj: int) -> list[int]:
    found = []
    while obj >= 0:
        found.append(obj)
        obj = slab.next_object[obj]
    return found


def thawed(s: KmemCache) -> None:
    cpu_slab(s).frozen = False


def lost(s: KmemCache) -> None:
    c = next(c for c in s.cpu_slab if c.partial is not None)
    c.partial = None


def miscounted(s: KmemCache) -> None:
    node(s).nr_slabs += 1


def misplaced(s: KmemCache) -> None:
    partial(s).slabs += 1


def without_slab(s: KmemCache) -> None:
    c = next(c for c in s.cpu_slab if c.freelist != NULL)
    assert c.slab is not None
    c.slab.frozen, c.slab = False, None


def not_full(s: KmemCache) -> None:
    state = s.vm.slab
    list_del(state.next, state.prev, state.next[node(s).full])


def freed_page(s: KmemCache) -> None:
    s.vm.page_state[cpu_slab(s).pfn] = PG_INUSE | 9


BREAKS: dict[str, Callable[[KmemCache], None]] = {
    "_counters": too_much_in_use,
    "_once": twice_free,
    "_frozen": thawed,
    "_places": lost,
    "_node_counts": miscounted,
    "_cpu_partial_counts": misplaced,
    "_lockless": without_slab,
    "_full": not_full,
    "_pages": freed_page,
}


def test_every_invariant_has_its_break() -> None:
    assert [check.__name__ for check in INVARIANTS] == list(BREAKS)


@pytest.mark.parametrize("check", INVARIANTS, ids=lambda check: check.__name__)
def test_a_broken_invariant_is_found(check: Callable[[KmemCache], object]) -> None:
    plain, tracked = caches()
    s = tracked if check.__name__ == "_full" else plain
    BREAKS[check.__name__](s)
    assert list(check(s))  # type: ignore[call-overload]
    with pytest.raises(ValidationError, match=rf"^{s.name}: "):
        validate_cache(s)
