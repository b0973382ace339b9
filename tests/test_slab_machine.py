"""A Machine with a slab allocator: its face, its history, and random lives of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from memsim import BadFree, BadRequest, Machine, PageAllocationFailure
from memsim.mm.slub.slab import KmemCache
from memsim.mm.slub.validate import slabs_of

cpus = st.integers(0, 2)
nids = st.integers(-1, 1)


def state_of(machine: Machine) -> Any:
    """Everything the slab allocator knows, as plain data."""
    state = machine.vm.slab
    caches = [(s.id, s.refcount, s.object_size, s.inuse, _of_cache(s)) for s in state.slab_caches]
    slabs = [
        (slab.pfn, slab.inuse, slab.frozen, slab.freelist, tuple(slab.next_object), slab.slabs)
        for s in state.slab_caches
        for slab in slabs_of(s)
    ]
    return caches, slabs, state.random.count


def _of_cache(s: KmemCache) -> Any:
    per_cpu = [
        (c.slab and c.slab.pfn, c.freelist, c.tid, c.partial and c.partial.pfn) for c in s.cpu_slab
    ]
    return per_cpu, [n and (n.nr_partial, n.nr_slabs, n.total_objects) for n in s.node]


class SlabAllocator(RuleBasedStateMachine):
    """Caches made and taken away, objects out and back on any CPU, undone and done again."""

    caches: Bundle[KmemCache] = Bundle("caches")
    objects: Bundle[int] = Bundle("objects")

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(["24 MiB", "24 MiB"], cpus=3, slab=True)
        self.live: dict[int, KmemCache] = {}
        self.first = (self.machine.snapshot(), state_of(self.machine))

    @rule(target=caches, size=st.integers(1, 5000), align=st.sampled_from((0, 8, 64)))
    def kmem_cache_create(self, size: int, align: int) -> object:
        """A cache of its own, or a share of one."""
        name = f"cache-{len(self.machine.vm.slab.caches)}-{len(self.machine.history)}"
        return self.machine.kmem_cache_create(name, size, align=align)

    @rule(target=objects, cache=caches, cpu=cpus, nid=nids, nr=st.integers(1, 40))
    def kmem_cache_alloc(self, cache: KmemCache, cpu: int, nid: int, nr: int) -> object:
        """Objects, no one of which is in use."""
        got = []
        for _ in range(nr if cache in self.machine.caches() else 0):
            try:
                address = self.machine.kmem_cache_alloc(cache, cpu=cpu, nid=nid)
            except PageAllocationFailure:
                break
            assert address not in self.live
            self.live[address] = cache
            got.append(address)
        return multiple(*got)

    @rule(address=consumes(objects), cpu=cpus)
    def kmem_cache_free(self, address: int, cpu: int) -> None:
        """An object back; a second time it is refused, and nothing changes."""
        if address not in self.live:
            return
        cache = self.live.pop(address)
        self.machine.kmem_cache_free(cache, address, cpu=cpu)
        before = state_of(self.machine)
        with pytest.raises(BadFree):
            self.machine.kmem_cache_free(cache, address, cpu=cpu)
        assert state_of(self.machine) == before

    @rule(addresses=st.lists(consumes(objects), max_size=12, unique=True), cpu=cpus)
    def kmem_cache_free_bulk(self, addresses: list[int], cpu: int) -> None:
        """Objects of several caches back at once."""
        batch = [address for address in addresses if self.live.pop(address, None)]
        self.machine.kmem_cache_free_bulk(batch, cpu=cpu)

    @rule(cache=caches)
    def kmem_cache_shrink(self, cache: KmemCache) -> None:
        """Without objects in use no slab is left."""
        if cache in self.machine.caches():
            left = self.machine.kmem_cache_shrink(cache)
            assert left == any(s is cache for s in self.live.values())

    @rule(nr=st.integers(1, 8))
    def undo_and_redo(self, nr: int) -> None:
        """Operations are taken back, and done again, to the same state."""
        before = (self.machine.snapshot(), state_of(self.machine))
        nr = min(nr, len(self.machine.history))
        for _ in range(nr):
            self.machine.undo()
        self.machine.validate_caches()
        for _ in range(nr):
            self.machine.redo()
        assert (self.machine.snapshot(), state_of(self.machine)) == before

    @invariant()
    def every_invariant_holds(self) -> None:
        """mm/validate.py and mm/slub/validate.py find nothing."""
        self.machine.validate_caches()
        self.machine.validate()

    def teardown(self) -> None:
        """Everything can be taken back."""
        while self.machine.history:
            self.machine.undo()
        assert (self.machine.snapshot(), state_of(self.machine)) == self.first


TestSlabAllocator = SlabAllocator.TestCase
TestSlabAllocator.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@pytest.fixture
def machine() -> Machine:
    return Machine("32 MiB", slab=True)


@pytest.mark.parametrize(
    ("name", "size", "more", "text"),
    [
        ("", 8, {}, "name='': should be 1 to 63"),
        ("a b", 8, {}, "name='a b': taken, or with a blank"),
        ("kmalloc-64", 8, {}, "name='kmalloc-64': taken"),
        ("x" * 70, 8, {}, "name='xxxx"),
        ("x", 0, {}, "object_size=0: should be 1 byte or more"),
        ("x", (4 << 20) + 1, {}, "kmem_cache_create('x') failed with error -22"),
        ("x", 2.5, {}, "object_size='2.5': should be a whole number"),
        ("x", 8, {"align": 24}, "align=24: should be a power of two"),
        ("x", 8, {"flags": 1 << 30}, "kmem_cache_create('x') failed with error -22"),
        ("x", 64, {"freeptr_offset": 8}, "kmem_cache_create('x') failed with error -22"),
    ],
)
def test_a_cache_that_cannot_be(
    machine: Machine, name: str, size: Any, more: dict[str, int], text: str
) -> None:
    before = state_of(machine)
    with pytest.raises(BadRequest) as refused:
        machine.kmem_cache_create(name, size, **more)
    assert str(refused.value).startswith(text)
    assert state_of(machine) == before


def test_what_is_no_object_is_refused(machine: Machine) -> None:
    cache, other = (machine.kmem_cache_create(n, s) for n, s in (("a", 100), ("b", 3000)))
    address = machine.kmem_cache_alloc(cache)
    for bad in (0, 1, address + 1, address - 1, address + (1 << 40), -1):
        with pytest.raises(BadFree):
            machine.kmem_cache_free(cache, bad)
    with pytest.raises(BadFree, match="is an object of cache a, not b"):
        machine.kmem_cache_free(other, address)
    with pytest.raises(BadRequest, match="this machine has CPUs 0 to 0"):
        machine.kmem_cache_free(cache, address, cpu=1)
    machine.kmem_cache_free(cache, address)


def test_without_slab_there_is_none() -> None:
    with pytest.raises(BadRequest, match="boot it with slab=True"):
        Machine("32 MiB").kmem_cache_create("a", 100)


def test_a_cache_that_is_gone_is_refused(machine: Machine) -> None:
    cache = machine.kmem_cache_create("a", 100)
    assert machine.kmem_cache_destroy(cache)
    with pytest.raises(BadRequest, match="that was not taken away"):
        machine.kmem_cache_alloc(cache)
    machine.undo()
    assert machine.kmem_cache_alloc(cache)
