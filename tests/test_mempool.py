"""Memory pools: where an element comes from, where it goes, and what is refused.

Worked out by hand from mm/mempool.c.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memsim import (
    GFP_ATOMIC,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    BadFree,
    BadRequest,
    KernelBug,
    Machine,
    PageAllocationFailure,
    ValidationError,
)
from memsim.mm.mempool import Mempool
from memsim.words.errors import MemsimError
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_IO,
    __GFP_NOMEMALLOC,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_ZERO,
)

NO_LOOP = __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN


def fill(machine: Machine) -> list[int]:
    """Take every page that GFP_ATOMIC can still have: nothing is left for a pool."""
    taken: list[int] = []
    for gfp_mask in (GFP_HIGHUSER_MOVABLE, GFP_ATOMIC):
        for order in (9, 5, 0):
            while True:
                try:
                    taken.append(machine.alloc_pages(gfp_mask | __GFP_NOWARN, order))
                except PageAllocationFailure:
                    break
    return taken


def masks_tried(machine: Machine, since: int) -> list[int]:
    """The gfp masks of mm_page_alloc events."""
    events = [traced.event for traced in machine.events(since)]
    return [event.gfp_flags for event in events if event.NAME == "mm_page_alloc"]  # type: ignore[union-attr]


def test_the_reserve_is_there_from_the_beginning() -> None:
    """min_nr elements, with GFP_KERNEL."""
    machine = Machine("32 MiB")
    since = machine.vm.trace.ring.written
    pool = machine.mempool_create(5, order=2)
    assert (pool.min_nr, pool.curr_nr) == (5, 5)
    assert masks_tried(machine, since) == [GFP_KERNEL] * 5
    assert all(pfn % 4 == 0 for pfn in pool.elements)
    machine.validate()


def test_an_element_is_the_allocators_while_it_has_one() -> None:
    """The first try does not wait: no __GFP_DIRECT_RECLAIM, no __GFP_IO."""
    machine = Machine("32 MiB")
    pool = machine.mempool_create(2, order=0)
    since = machine.vm.trace.ring.written
    pfn = machine.mempool_alloc(pool)
    assert pfn not in pool.elements
    assert pool.curr_nr == 2
    expected = (GFP_KERNEL | NO_LOOP) & ~(__GFP_DIRECT_RECLAIM | __GFP_IO)
    assert masks_tried(machine, since) == [expected]
    machine.mempool_free(pfn, pool)
    assert pool.curr_nr == 2, "the reserve is full: the page goes back to the allocator"
    assert pfn not in pool.elements


def test_then_it_is_the_reserves_the_last_first() -> None:
    """One failed try without waiting, then remove_element(); the mask's own try is not made."""
    machine = Machine("32 MiB")
    pool = machine.mempool_create(3, order=0)
    fill(machine)
    reserve = list(pool.elements)
    since = machine.vm.trace.ring.written
    assert [machine.mempool_alloc(pool) for _ in range(3)] == reserve[::-1]
    assert len(masks_tried(machine, since)) == 3
    machine.validate()


def test_with_an_empty_reserve_it_tries_with_the_whole_mask_and_then_sleeps() -> None:
    """gfp_temp != gfp_mask: repeat_alloc at once; then io_schedule_timeout(), told in words."""
    machine = Machine("32 MiB")
    pool = machine.mempool_create(1, order=0)
    fill(machine)
    pfn = machine.mempool_alloc(pool)
    since = machine.vm.trace.ring.written
    with pytest.raises(PageAllocationFailure, match="the task sleeps: the reserve is empty"):
        machine.mempool_alloc(pool)
    first = (GFP_KERNEL | NO_LOOP) & ~(__GFP_DIRECT_RECLAIM | __GFP_IO)
    assert masks_tried(machine, since) == [first, GFP_KERNEL | NO_LOOP]
    machine.mempool_free(pfn, pool)
    assert pool.elements == [pfn], "what is freed fills the reserve first"
    assert machine.mempool_alloc(pool) == pfn


def test_who_may_not_sleep_tries_once_and_fails() -> None:
    """GFP_ATOMIC has neither bit, so gfp_temp is its mask already."""
    machine = Machine("32 MiB")
    pool = machine.mempool_create(1, order=0)
    fill(machine)
    machine.mempool_alloc(pool, GFP_ATOMIC)
    since = machine.vm.trace.ring.written
    with pytest.raises(PageAllocationFailure, match="the reserve is empty, and the mask may not"):
        machine.mempool_alloc(pool, GFP_ATOMIC)
    assert masks_tried(machine, since) == [GFP_ATOMIC | NO_LOOP]


def test_preallocated_asks_nobody() -> None:
    """mempool_alloc_preallocated() takes of the reserve, though there is memory."""
    machine = Machine("32 MiB")
    pool = machine.mempool_create(1, order=0)
    (reserved,) = pool.elements
    since = machine.vm.trace.ring.written
    assert machine.mempool_alloc_preallocated(pool) == reserved
    with pytest.raises(PageAllocationFailure, match="the reserve is empty"):
        machine.mempool_alloc_preallocated(pool)
    assert masks_tried(machine, since) == []


def test_resize_gives_back_or_takes_more() -> None:
    """Down: the last ones go; up: with GFP_KERNEL."""
    machine = Machine("32 MiB")
    pool = machine.mempool_create(4, order=0)
    first = list(pool.elements)
    machine.mempool_resize(pool, 2)
    assert (pool.min_nr, pool.elements) == (2, first[:2])
    machine.mempool_resize(pool, 6)
    assert (pool.min_nr, pool.curr_nr) == (6, 6)
    assert pool.elements[:2] == first[:2]
    taken = [machine.mempool_alloc_preallocated(pool) for _ in range(3)]
    machine.mempool_resize(pool, 4)
    assert (pool.min_nr, pool.curr_nr) == (4, 3), "there is nothing to give back"
    for pfn in taken:
        machine.mempool_free(pfn, pool)
    assert pool.curr_nr == 4
    machine.validate()


def test_resize_without_memory_leaves_the_rest_to_frees() -> None:
    """It returns 0 all the same; the next frees fill the reserve up."""
    machine = Machine("32 MiB")
    pool = machine.mempool_create(1, order=0)
    taken = fill(machine)
    machine.mempool_resize(pool, 3)
    assert (pool.min_nr, pool.curr_nr) == (3, 1)
    singles = [pfn for pfn in taken if machine.vm.page_state[pfn] == 0x20]
    machine.mempool_free(singles[0], pool)
    assert pool.curr_nr == 2


def test_create_without_memory_leaves_nothing_behind() -> None:
    """mempool_exit() gives back what it had got."""
    machine = Machine("32 MiB")
    free = machine.nr_free()
    with pytest.raises(PageAllocationFailure, match="no memory for all elements"):
        machine.mempool_create(20, order=10)
    machine.drain_all_pages()
    assert machine.nr_free() == free
    machine.validate()


def test_pools_of_objects_and_of_kmalloc_have_their_structs_in_slab() -> None:
    """sizeof(mempool_t) is 72: kmalloc-96; five pointers: kmalloc-64 holds 40 bytes."""
    machine = Machine("32 MiB", slab=True)
    cache = machine.kmem_cache_create("request", 256)
    pool = machine.mempool_create(5, cache=cache)
    named = []
    for address in (pool.address, pool.elements_address, pool.elements[0]):
        slab = machine.slab_at(address)
        assert slab is not None
        named.append(slab.slab_cache.name)
    assert named == ["kmalloc-96", "kmalloc-64", "request"]
    by_size = machine.mempool_create(2, size=600)
    slab = machine.slab_at(by_size.elements[0])
    assert slab is not None
    assert slab.slab_cache.name == "kmalloc-1k"
    large = machine.mempool_create(2, size=20_000)
    assert machine.slab_at(large.elements[0]) is None
    for made in (pool, by_size, large):
        element = machine.mempool_alloc(made)
        machine.mempool_free(element, made)
        machine.mempool_destroy(made)
    assert machine.kmem_cache_destroy(cache), "no object is left"
    machine.validate_caches()


def test_a_pool_of_objects_serves_from_its_reserve_when_there_is_no_page_for_a_slab() -> None:
    """An object that is free in a slab comes first, though: it is the allocator's."""
    machine = Machine("32 MiB", slab=True)
    cache = machine.kmem_cache_create("block", 4096)
    pool = machine.mempool_create(2, cache=cache)
    fill(machine)
    reserve = set(pool.elements)
    got = []
    while pool.curr_nr:
        got.append(machine.mempool_alloc(pool))
    assert set(got[-2:]) == reserve
    with pytest.raises(PageAllocationFailure, match="the task sleeps"):
        machine.mempool_alloc(pool)


def test_all_of_it_goes_back_and_forth() -> None:
    """Create, alloc, resize, free, destroy: undone to the first snapshot, and done again."""
    machine = Machine("32 MiB", slab=True)
    before = machine.snapshot()
    pool = machine.mempool_create(3, size=200)
    element = machine.mempool_alloc_preallocated(pool)
    machine.mempool_resize(pool, 5)
    machine.mempool_free(element, pool)
    machine.mempool_destroy(pool)
    after, done = machine.snapshot(), len(machine.history)
    assert (pool.exists, pool.elements, pool.address) == (0, [], 0)
    for _ in range(done):
        machine.undo()
        machine.validate()
    assert machine.snapshot() == before
    assert (pool.exists, pool.min_nr, pool.elements) == (0, 0, [])
    for _ in range(done - 1):
        machine.redo()
    assert (pool.exists, pool.min_nr, pool.curr_nr) == (1, 5, 5)
    machine.redo()
    assert machine.snapshot() == after
    machine.validate_caches()


Ask = Callable[[Machine, Mempool], object]
REFUSED: list[tuple[Ask, type[MemsimError], str]] = [
    (lambda m, _: m.mempool_create(1), BadRequest, "should have one of order=, cache= and size="),
    (lambda m, _: m.mempool_create(1, order=0, size=8), BadRequest, "should have one of"),
    (lambda m, _: m.mempool_create(-1, order=0), BadRequest, "min_nr=-1: should be 0 to 65536"),
    (lambda m, _: m.mempool_create(1, order=11), BadRequest, "order=11: should be 0 to 10"),
    (lambda m, _: m.mempool_create(1, size=0), BadRequest, "size=0: should be 1 byte to"),
    (lambda m, _: m.mempool_create(1, cache="x"), BadRequest, "cache: should be a cache"),  # type: ignore[arg-type]
    (lambda m, p: m.mempool_resize(p, 0), KernelBug, "kernel BUG at mm/mempool.c:334!"),
    (lambda m, p: m.mempool_resize(p, 1 << 20), BadRequest, "new_min_nr=1048576: should be"),
    (lambda m, p: m.mempool_alloc(p, GFP_KERNEL | __GFP_ZERO), BadRequest, "does not support"),
    (lambda m, p: m.mempool_alloc(p, cpu=9), BadRequest, "cpu=9: this machine has"),
    (lambda m, _: m.mempool_alloc(None), BadRequest, "pool: should be a pool of this machine"),  # type: ignore[arg-type]
    (lambda m, p: Machine("32 MiB").mempool_alloc(p), BadRequest, "pool: should be a pool of"),
    (lambda m, p: m.mempool_free(p.elements[0], p), BadFree, "is in the reserve of mempool 0"),
    (lambda m, p: m.free_pages(p.elements[0]), BadFree, "is in the reserve of mempool 0"),
    (lambda m, p: m.mempool_free(1 << 40, p), BadFree, "is in no zone"),
    (lambda m, p: m.mempool_free(m.mempools_other, p), BadFree, "was allocated with order 1, not"),  # type: ignore[attr-defined]
    (lambda m, p: m.mempool_free("1", p), BadRequest, "pfn='1': should be a whole number"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("ask", "error", "told"), REFUSED)
def test_a_refusal_is_one_clear_line_and_changes_nothing(
    ask: Ask, error: type[MemsimError], told: str
) -> None:
    """Neither the pool nor the pages."""
    machine = Machine("32 MiB", slab=True)
    pool = machine.mempool_create(2, order=0)
    machine.mempools_other = machine.alloc_pages(GFP_KERNEL, 1)  # type: ignore[attr-defined]
    before = machine.snapshot(), list(pool.elements), pool.min_nr, len(machine.history)
    with pytest.raises(error) as refusal:
        ask(machine, pool)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
    after = machine.snapshot(), list(pool.elements), pool.min_nr, len(machine.history)
    assert after == before


def test_elements_of_slab_are_refused_to_others_and_from_others() -> None:
    """A reserve's object cannot be freed by kfree(); an object of another cache is no element."""
    machine = Machine("32 MiB", slab=True)
    cache, other = machine.kmem_cache_create("mine", 300), machine.kmem_cache_create("other", 3000)
    pool = machine.mempool_create(1, cache=cache)
    foreign = machine.kmem_cache_alloc(other)
    small = machine.mempool_create(1, size=500)
    for ask in (
        lambda: machine.kfree(pool.elements[0]),
        lambda: machine.kmem_cache_free(cache, pool.elements[0]),
        lambda: machine.mempool_free(foreign, pool),
        lambda: machine.mempool_free(machine.kmalloc(100), small),
        lambda: machine.mempool_free(pool.elements[0], pool),
    ):
        with pytest.raises(BadFree):
            ask()
    machine.mempool_destroy(pool)
    with pytest.raises(BadRequest, match="was not destroyed"):
        machine.mempool_alloc(pool)


def test_a_reserve_that_lost_a_page_is_noticed() -> None:
    """validate() is shown what it must refuse."""
    machine = Machine("32 MiB")
    pool = machine.mempool_create(2, order=0)
    machine.vm.page_state[pool.elements[0]] = 0
    with pytest.raises(ValidationError):
        machine.validate()
    broken = Machine("32 MiB")
    reserve = broken.mempool_create(2, order=0)
    reserve.min_nr = 1
    with pytest.raises(ValidationError, match="mempool 0: 2 elements, min_nr is 1"):
        broken.validate()


def test_each_step_of_a_pool_has_words() -> None:
    """What the player says of them."""
    machine = Machine.of_pages(64)
    pool = machine.mempool_create(1, order=0)
    pfn = machine.mempool_alloc_preallocated(pool)
    told = [step.text() for step in machine.steps() if "mempool" in step.NAME]  # type: ignore[union-attr,call-arg]
    assert told == [
        "exists of mempool 0: 0x0 becomes 0x1",
        "min_nr of mempool 0: 0x0 becomes 0x1",
        f"add_element(): mempool 0 keeps pfn {pfn}",
        f"remove_element(): mempool 0 gives pfn {pfn} away",
    ]


class Pools(RuleBasedStateMachine):
    """A pool on a small machine whose memory comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine.of_pages(256)
        self.first = self.machine.snapshot()
        self.pool = self.machine.mempool_create(4, order=1)
        self.used: list[int] = []
        self.taken: list[int] = []

    @rule(gfp_mask=st.sampled_from((GFP_KERNEL, GFP_ATOMIC)))
    def mempool_alloc(self, gfp_mask: int) -> None:
        """It fails only with an empty reserve."""
        try:
            self.used.append(self.machine.mempool_alloc(self.pool, gfp_mask))
        except PageAllocationFailure:
            assert self.pool.curr_nr == 0

    @rule(at=st.integers(0, 99))
    def mempool_free(self, at: int) -> None:
        """The reserve is filled up before anything goes back."""
        if self.used:
            before = self.pool.curr_nr
            self.machine.mempool_free(self.used.pop(at % len(self.used)), self.pool)
            assert self.pool.curr_nr == max(before, min(before + 1, self.pool.min_nr))

    @rule(new_min_nr=st.integers(1, 8))
    def mempool_resize(self, new_min_nr: int) -> None:
        """More or fewer."""
        self.machine.mempool_resize(self.pool, new_min_nr)
        assert self.pool.min_nr == new_min_nr

    @rule()
    def take_all(self) -> None:
        """Others want memory too."""
        self.taken += fill(self.machine)

    @rule()
    def give_back(self) -> None:
        """And give it back."""
        for pfn in self.taken:
            self.machine.free_pages(pfn)
        self.taken = []

    @invariant()
    def valid(self) -> None:
        """Nobody has what is in the reserve."""
        self.machine.validate()
        assert not set(self.pool.elements) & set(self.used + self.taken)
        assert len(set(self.used)) == len(self.used)

    def teardown(self) -> None:
        """All of it can be undone."""
        while self.machine.history:
            self.machine.undo()
        assert self.machine.snapshot() == self.first
        assert self.pool.elements == []


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
