"""Random lives of a Machine's slab allocator: every invariant after each step, and all undone."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from slab_states import state_of

from memsim import GFP_ATOMIC, GFP_KERNEL, BadFree, KernelBug, Machine, PageAllocationFailure
from memsim.mm.apply import apply_to_snapshot
from memsim.mm.slub.slab import KmemCache
from memsim.mm.slub.validate import slabs_of
from memsim.words.gfp import __GFP_ACCOUNT, __GFP_DMA, __GFP_RECLAIMABLE, __GFP_THISNODE, __GFP_ZERO
from memsim.words.slab import (
    SLAB_ACCOUNT,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_HWCACHE_ALIGN,
    SLAB_NO_MERGE,
    SLAB_POISON,
    SLAB_RECLAIM_ACCOUNT,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLAB_TYPESAFE_BY_RCU,
    ZERO_SIZE_PTR,
)

cpus = st.integers(0, 2)
nids = st.integers(-1, 1)
masks = st.sampled_from(
    (
        GFP_KERNEL,
        GFP_ATOMIC,
        GFP_KERNEL | __GFP_ZERO,
        GFP_KERNEL | __GFP_ACCOUNT,
        GFP_KERNEL | __GFP_RECLAIMABLE,
        GFP_KERNEL | __GFP_DMA,
        GFP_KERNEL | __GFP_THISNODE,
    )
)
flags = st.sampled_from(
    (
        0,
        SLAB_NO_MERGE,
        SLAB_HWCACHE_ALIGN | SLAB_ACCOUNT,
        SLAB_RECLAIM_ACCOUNT,
        SLAB_TYPESAFE_BY_RCU,
        SLAB_POISON,
        SLAB_RED_ZONE | SLAB_STORE_USER,
        SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER,
    )
)


class SlabAllocator(RuleBasedStateMachine):
    """Caches made and taken away, objects out and back on any CPU, undone and done again."""

    caches: Bundle[KmemCache] = Bundle("caches")
    objects: Bundle[int] = Bundle("objects")
    memory: Bundle[int] = Bundle("memory")

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(["24 MiB", "24 MiB"], cpus=3, slab=True)
        self.live: dict[int, KmemCache] = {}
        self.sizes: dict[int, int] = {}
        self.first = (self.machine.snapshot(), state_of(self.machine))

    def here(self, cache: KmemCache) -> bool:
        """Is the cache still there?"""
        return cache in self.machine.caches()

    @rule(
        target=caches,
        size=st.integers(1, 5000),
        align=st.sampled_from((0, 8, 64)),
        flags=flags,
        ctor=st.booleans(),
    )
    def kmem_cache_create(self, size: int, align: int, flags: int, ctor: bool) -> object:
        """A cache of its own, or a share of one."""
        name = f"cache-{len(self.machine.vm.slab.caches)}-{len(self.machine.history)}"
        try:
            return self.machine.kmem_cache_create(name, size, align=align, flags=flags, ctor=ctor)
        except PageAllocationFailure:
            return multiple()

    @rule(cache=consumes(caches))
    def kmem_cache_destroy(self, cache: KmemCache) -> None:
        """The last to let go takes it away; with objects in use, their slabs stay."""
        if not self.here(cache):
            return
        last = cache.refcount == 1
        used = [address for address, s in self.live.items() if s is cache]
        assert self.machine.kmem_cache_destroy(cache) == (not (last and used))
        assert self.here(cache) == (not last)
        assert not last or bool(slabs_of(cache)) == bool(used)
        for address in used if last else ():
            del self.live[address]

    @rule(target=objects, cache=caches, cpu=cpus, nid=nids, gfp=masks, nr=st.integers(1, 40))
    def kmem_cache_alloc(self, cache: KmemCache, cpu: int, nid: int, gfp: int, nr: int) -> object:
        """Objects, no one of which is in use."""
        got = []
        for _ in range(nr if self.here(cache) else 0):
            try:
                got.append(self.machine.kmem_cache_alloc(cache, gfp, cpu=cpu, nid=nid))
            except PageAllocationFailure:
                break
            assert got[-1] not in self.live
            assert got[-1] % max(cache.align, 8) == 0
            self.live[got[-1]] = cache
        return multiple(*got)

    @rule(target=objects, cache=caches, cpu=cpus, nr=st.integers(0, 70))
    def kmem_cache_alloc_bulk(self, cache: KmemCache, cpu: int, nr: int) -> object:
        """So many, or none."""
        if not self.here(cache):
            return multiple()
        got = self.machine.kmem_cache_alloc_bulk(cache, nr, cpu=cpu)
        assert len(got) in (0, nr)
        assert len(set(got)) == len(got)
        assert not self.live.keys() & set(got)
        self.live.update(dict.fromkeys(got, cache))
        return multiple(*got)

    @rule(address=consumes(objects), cpu=cpus)
    def kmem_cache_free(self, address: int, cpu: int) -> None:
        """An object back; a second time it is refused, and nothing changes."""
        if address not in self.live:
            return
        cache = self.live.pop(address)
        self.machine.kmem_cache_free(cache, address, cpu=cpu)
        before = state_of(self.machine)
        if cache.flags & SLAB_CONSISTENCY_CHECKS:
            if self.machine.slab_at(address) is not None:
                self.machine.kmem_cache_free(cache, address, cpu=cpu)
        elif not cache.flags & (SLAB_POISON | SLAB_RED_ZONE):
            with pytest.raises((BadFree, KernelBug)):
                self.machine.kfree(address, cpu=cpu)
            assert state_of(self.machine) == before

    @rule(addresses=st.lists(consumes(objects), max_size=12, unique=True), cpu=cpus)
    def kmem_cache_free_bulk(self, addresses: list[int], cpu: int) -> None:
        """Objects of several caches back at once."""
        batch = [address for address in addresses if self.live.pop(address, None)]
        self.machine.kmem_cache_free_bulk(batch, cpu=cpu)

    @rule(cache=caches, cpu=cpus)
    def kmem_cache_shrink(self, cache: KmemCache, cpu: int) -> None:
        """Without objects in use no slab is left, and no CPU keeps one."""
        if self.here(cache):
            left = self.machine.kmem_cache_shrink(cache, cpu=cpu)
            assert left == any(s is cache for s in self.live.values())
            assert all(c.slab is None and c.partial is None for c in cache.cpu_slab)

    @rule(
        cache=caches,
        file=st.sampled_from(("remote_node_defrag_ratio", "min_partial", "cpu_partial")),
        number=st.integers(0, 100),
    )
    def store(self, cache: KmemCache, file: str, number: int) -> None:
        """What root may tune."""
        if self.here(cache) and not (cache.cpu_partial == 0 and file == "cpu_partial"):
            self.machine.store(cache, file, f"{number}\n")
            assert cache.attributes()[file] == str(number)

    @rule(cache=caches)
    def validate_slab_cache(self, cache: KmemCache) -> None:
        """The kernel's own checks find nothing wrong."""
        if self.here(cache):
            assert self.machine.validate_slab_cache(cache) == []

    @rule(target=memory, size=st.integers(0, 70_000), gfp=masks, cpu=cpus, nid=nids)
    def kmalloc(self, size: int, gfp: int, cpu: int, nid: int) -> object:
        """Memory by size: of a cache, or pages."""
        try:
            address = self.machine.kmalloc(size, gfp, cpu=cpu, nid=nid)
        except PageAllocationFailure:
            return multiple()
        if address == ZERO_SIZE_PTR:
            return multiple()
        assert address not in self.sizes
        assert address not in self.live
        self.sizes[address] = size
        return address

    @rule(target=memory, address=consumes(memory), size=st.integers(0, 70_000), cpu=cpus)
    def krealloc(self, address: int, size: int, cpu: int) -> object:
        """Larger or smaller memory: the same if it fits."""
        if self.sizes.pop(address, None) is None:
            return multiple()
        fits = self.machine.ksize(address) >= size
        try:
            got = self.machine.krealloc(address, size, cpu=cpu)
        except PageAllocationFailure:
            self.sizes[address] = size
            return address
        if got == ZERO_SIZE_PTR:
            return multiple()
        assert (got == address) == fits
        assert got not in self.sizes
        self.sizes[got] = size
        return got

    @rule(address=consumes(memory), cpu=cpus, sensitive=st.booleans())
    def kfree(self, address: int, cpu: int, sensitive: bool) -> None:
        """Memory back."""
        if self.sizes.pop(address, None) is not None:
            free = self.machine.kfree_sensitive if sensitive else self.machine.kfree
            free(address, cpu=cpu)

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
        """mm/validate.py and mm/slub/validate.py find nothing; no report was made."""
        self.machine.validate_caches()
        self.machine.validate()
        assert not self.machine.vm.slab.debug.oops

    def teardown(self) -> None:
        """Everything can be taken back; what concerns pages, in a snapshot too."""
        last, steps = self.machine.snapshot(), self.machine.steps()
        assert apply_to_snapshot(self.first[0], steps, backwards=False) == last
        assert apply_to_snapshot(last, steps, backwards=True) == self.first[0]
        while self.machine.history:
            self.machine.undo()
        assert (self.machine.snapshot(), state_of(self.machine)) == self.first


TestSlabAllocator = SlabAllocator.TestCase
TestSlabAllocator.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@pytest.mark.long
def test_long_lives() -> None:
    """The same, 200 lives of a hundred steps."""
    long = settings(max_examples=200, stateful_step_count=100, deadline=None)
    run_state_machine_as_test(SlabAllocator, settings=long)
