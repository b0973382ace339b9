"""Steps of SLUB's slow paths that no recording takes, each on a case worked by hand.

What is expected follows from mm/slub.c; each test names the function. Slabs are numbered as they
come, and a slab's objects are handed out as 0, 1, 2, 3, as without CONFIG_SLAB_FREELIST_RANDOM.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from memsim import GFP_KERNEL, Machine, PageAllocationFailure
from memsim.mm.slab_common import KmemCacheArgs, kmem_cache_create, kmem_cache_destroy
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.free import kmem_cache_free_bulk, slab_free
from memsim.mm.slub.partial import flush_slab, partial_slabs, put_partials
from memsim.mm.slub.shrink import flush_all, kmem_cache_shrink
from memsim.mm.slub.slab import Random, Slab, get_node
from memsim.mm.slub.snapshot import cpu_partial_slabs_of, freelist_of
from memsim.mm.slub.validate import validate_caches
from memsim.words.gfp import __GFP_MEMALLOC, __GFP_NOWARN, __GFP_THISNODE
from memsim.words.slab import NUMA_NO_NODE, SLAB_NO_MERGE, TID_STEP

#: An object: the number of its slab, and its place there.
Named = tuple[int, int]


class Cycles(Random):
    """A cycle counter that says what it is told; asked more often, it fails."""

    def __init__(self, *cycles: int) -> None:
        super().__init__(0)
        self.cycles = list(cycles)

    def get_cycles(self) -> int:
        """The next of the numbers."""
        return self.cycles.pop(0)


class Worked:
    """A cache whose objects lie in order; of 8 KiB, there are four in a slab."""

    def __init__(self, nodes: int = 1, cpus: int = 1, size: int = 8192) -> None:
        self.machine = Machine(["64 MiB"] * nodes, cpus=cpus, slab=True, steps=False)
        self.vm = self.machine.vm
        s, _ = kmem_cache_create(self.vm, "worked", size, SLAB_NO_MERGE, KmemCacheArgs())
        assert s is not None
        s.random_seq = []
        self.s = s
        self.slabs: list[Slab] = []

    def alloc(self, cpu: int = 0, node: int = NUMA_NO_NODE, gfp: int = GFP_KERNEL) -> Named:
        """One object."""
        self.vm.set_cpu(cpu)
        got = slab_alloc_node(self.s, gfp, node)
        assert got is not None
        if got[0] not in self.slabs:
            self.slabs.append(got[0])
        return self.slabs.index(got[0]), got[1]

    def take(self, nr: int, cpu: int = 0) -> list[Named]:
        """So many objects."""
        return [self.alloc(cpu) for _ in range(nr)]

    def free(self, objects: Iterable[Named], cpu: int = 0) -> None:
        """Objects back, one by one."""
        self.vm.set_cpu(cpu)
        for number, obj in objects:
            slab_free(self.s, self.slabs[number], obj)

    def partials(self, nr: int, cpu: int = 0) -> None:
        """So many slabs on the node's list, of each of which object 0 is free."""
        objects = self.take(4 * nr, cpu)
        flush_slab(self.s, self.s.cpu_slab[cpu])
        self.free([obj for obj in objects if obj[1] == 0], cpu)
        put_partials(self.s, self.s.cpu_slab[cpu])

    def cpu(self, cpu: int = 0) -> tuple[int | None, list[int], list[int]]:
        """(the slab, the lockless list, the partial slabs) of a CPU."""
        validate_caches(self.vm)
        c = self.s.cpu_slab[cpu]
        partial = [self.slabs.index(slab) for slab in cpu_partial_slabs_of(c)]
        if c.slab is None:
            return None, [], partial
        return self.slabs.index(c.slab), freelist_of(c.slab, c.freelist), partial

    def node(self, nid: int = 0) -> list[int]:
        """The slabs on a node's partial list."""
        return [self.slabs.index(slab) for slab in partial_slabs(self.s, get_node(self.s, nid))]

    def slab(self, number: int) -> tuple[int, bool, list[int]]:
        """(inuse, frozen, freelist)."""
        slab = self.slabs[number]
        return slab.inuse, slab.frozen, freelist_of(slab, slab.freelist)

    def given_back(self, since: int) -> list[int]:
        """The slabs whose pages were freed since then, in that order."""
        pfns = {slab.pfn: number for number, slab in enumerate(self.slabs)}
        freed = [t.event for t in self.machine.events(since) if t.event.NAME == "mm_page_free"]
        return [pfns[event.pfn] for event in freed]

    def asked(self, since: int) -> list[str]:
        """Orders and flags of requests to the page allocator since then."""
        asked = [t.event for t in self.machine.events(since) if t.event.NAME == "mm_page_alloc"]
        return [event.text().partition(" order=")[2] for event in asked]

    @property
    def now(self) -> int:
        """The number of the next event."""
        return self.vm.trace.ring.written


def test_the_numbers_that_the_cases_stand_on() -> None:
    """32 KiB hold 4 objects; 6 objects a CPU, of slabs half full, are 3 slabs; log2(8192) / 2 is 6.

    Kernel: mm/slub.c calculate_order(), slub_set_cpu_partial(), do_kmem_cache_create()
    """
    s = Worked().s
    assert (s.oo, s.min) == ((3, 4), (1, 1))
    assert (s.cpu_partial, s.cpu_partial_slabs, s.min_partial) == (6, 3, 6)


def test_a_new_slab_is_the_cpu_s_until_it_is_full() -> None:
    """Its first object is given, the others lie on the lockless list; then nobody lists it.

    Kernel: mm/slub.c ___slab_alloc(), get_freelist()
    """
    w = Worked()
    assert w.alloc() == (0, 0)
    assert w.cpu() == (0, [1, 2, 3], [])
    assert w.slab(0) == (4, True, [])
    assert w.take(4) == [(0, 1), (0, 2), (0, 3), (1, 0)]
    assert w.slab(0) == (4, False, [])
    assert w.node() == []


def test_what_others_free_to_the_cpu_s_slab_is_its_second_list() -> None:
    """Kernel: mm/slub.c __slab_free() FREE_FROZEN, ___slab_alloc() ALLOC_REFILL."""
    w = Worked(cpus=2)
    w.take(2)
    w.free([(0, 0), (0, 1)], cpu=1)
    assert w.slab(0) == (2, True, [1, 0])
    assert w.cpu(1) == (None, [], [])
    assert w.take(3) == [(0, 2), (0, 3), (0, 1)]
    assert w.cpu() == (0, [0], [])
    assert w.slab(0) == (4, True, [])


def test_a_fourth_slab_drains_a_cpu_s_list_of_three() -> None:
    """The three go to the node's tail in their order, the fourth stays alone.

    Kernel: mm/slub.c put_cpu_partial(), __put_partials()
    """
    w = Worked()
    w.take(20)
    w.free([(0, 0), (1, 0), (2, 0)])
    assert w.cpu() == (4, [], [2, 1, 0])
    assert [w.slabs[number].slabs for number in (2, 1, 0)] == [3, 2, 1]
    w.free([(3, 0)])
    assert w.cpu() == (4, [], [3])
    assert w.slabs[3].slabs == 1
    assert w.node() == [2, 1, 0]


# Nodes


def test_a_request_for_another_node_flushes_the_cpu() -> None:
    """Its slab goes to the head of its node's list, its partial slab to the tail.

    The new slab is first asked of that node alone, and without waiting: GFP_NOWAIT and THISNODE.
    Kernel: mm/slub.c ___slab_alloc() ALLOC_NODE_MISMATCH, try_thisnode
    """
    w = Worked(nodes=2, cpus=2)
    w.take(6)
    w.free([(0, 0)])
    assert w.cpu() == (1, [2, 3], [0])
    since = w.now
    assert w.alloc(node=1) == (2, 0)
    assert w.slabs[2].nid == 1
    assert w.node(0) == [1, 0]
    assert w.slab(1) == (2, False, [2, 3])
    assert w.cpu() == (2, [1, 2, 3], [])
    (asked,) = w.asked(since)
    assert asked == ("3 migratetype=0 gfp_flags=GFP_NOWAIT|__GFP_NORETRY|__GFP_COMP|__GFP_THISNODE")
    assert w.alloc() == (2, 1)
    assert w.alloc(node=0) == (1, 2)
    assert w.node(1) == [2]
    assert w.cpu() == (1, [3], [0])


def pairs(w: Worked, gfp: int, nid: int) -> list[int]:
    """Takes every pair of pages that there is, and tells their first pfns."""
    taken = []
    try:
        while True:
            pfn = w.machine.alloc_pages(gfp | __GFP_NOWARN | __GFP_MEMALLOC, order=1, nid=nid)
            taken.append(pfn)
    except PageAllocationFailure:
        return taken


def test_a_node_without_room_is_let_be_unless_it_alone_will_do() -> None:
    """Kernel: mm/slub.c ___slab_alloc(): new_objects once more, with the caller's own flags."""
    w = Worked(nodes=2, cpus=2)
    alone = GFP_KERNEL | __GFP_THISNODE
    pairs(w, alone, nid=1)
    w.vm.set_cpu(0)
    assert slab_alloc_node(w.s, alone, 1) is None
    assert w.alloc(node=1) == (0, 0)
    assert w.slabs[0].nid == 0


@pytest.mark.parametrize("has_slab", [False, True])
def test_a_node_without_memory_is_no_wish(has_slab: bool) -> None:
    """The CPU's slab is good, lockless list and all; a new slab is not asked of that node.

    Kernel: mm/slub.c ___slab_alloc(): node_isset(node, slab_nodes)
    """
    w = Worked(nodes=2, cpus=2)
    w.s.node[1] = None
    if has_slab:
        w.take(1)
    since = w.now
    assert w.alloc(node=1) == (0, int(has_slab))
    assert w.cpu() == (0, [2, 3] if has_slab else [1, 2, 3], [])
    assert w.slabs[0].nid == 0
    assert not any("THISNODE" in flags for flags in w.asked(since))


def remote(nr: int, *cycles: int) -> Worked:
    """Node 1 has nr partial slabs; CPU 0, which is of node 0, has nothing."""
    w = Worked(nodes=2, cpus=2)
    assert [w.vm.cpu_to_node[cpu] for cpu in (0, 1)] == [0, 1]
    w.partials(nr, cpu=1)
    w.vm.slab.random = Cycles(*cycles)
    return w


def test_a_remote_node_gives_slabs_beyond_those_it_keeps() -> None:
    """Seven are one more than min_partial: CPU 0 allocates from the first, and keeps two more.

    Two, since it stops when those pass the half of cpu_partial_slabs, 3 / 2 = 1.
    Kernel: mm/slub.c get_any_partial(), get_partial_node()
    """
    w = remote(7, 1000)
    assert w.node(1) == [2, 1, 0, 5, 4, 3, 6]
    assert w.alloc() == (2, 0)
    assert w.cpu() == (2, [], [0, 1])
    assert w.node(1) == [5, 4, 3, 6]


@pytest.mark.parametrize(
    ("nr", "ratio", "cycles"),
    [(6, 1000, [1000]), (7, 1000, [1001]), (7, 1000, [1023 + 1024 * 5]), (7, 0, [])],
)
def test_a_remote_node_gives_nothing(nr: int, ratio: int, cycles: list[int]) -> None:
    """No more than min_partial are there; the cycle counter is against it; the ratio is 0.

    Kernel: mm/slub.c get_any_partial()
    """
    w = remote(nr, *cycles)
    w.s.remote_node_defrag_ratio = ratio
    assert w.alloc() == (nr, 0)
    assert w.slabs[nr].nid == 0
    assert len(w.node(1)) == nr
    assert w.vm.slab.random.cycles == []  # type: ignore[attr-defined]


def test_a_cache_without_cpu_partial_takes_one_slab_only() -> None:
    """0 was written to its file cpu_partial. Kernel: mm/slub.c get_partial_node()."""
    w = Worked()
    w.partials(3)
    w.s.cpu_partial_slabs = 0
    assert w.alloc() == (2, 0)
    assert w.cpu() == (2, [], [])
    assert w.node() == [1, 0]


# Deactivation


def deactivated(used: int, freed: list[Named]) -> Worked:
    """CPU 0's slab 1, of which `used` were taken and CPU 1 freed some, is flushed.

    The node's list has slab 0 by then.
    """
    w = Worked(cpus=2)
    w.take(4 + used)
    w.free([(0, 0)], cpu=1)
    put_partials(w.s, w.s.cpu_slab[1])
    assert w.node() == [0]
    w.free(freed, cpu=1)
    flush_slab(w.s, w.s.cpu_slab[0])
    assert w.cpu() == (None, [], [])
    return w


@pytest.mark.parametrize(
    ("used", "freed", "node", "slab"),
    [
        (2, [], [1, 0], (2, False, [2, 3])),
        (2, [(1, 0)], [0, 1], (1, False, [2, 3, 0])),
        (4, [(1, 3), (1, 1)], [0, 1], (2, False, [1, 3])),
        (4, [], [0], (4, False, [])),
    ],
    ids=["lockless list: head", "both: tail", "freed by others: tail", "full: nowhere"],
)
def test_where_a_flushed_slab_goes(
    used: int, freed: list[Named], node: list[int], slab: tuple[int, bool, list[int]]
) -> None:
    """The lockless list lies before what others freed. Kernel: mm/slub.c deactivate_slab()."""
    w = deactivated(used, freed)
    assert w.node() == node
    assert w.slab(1) == slab


@pytest.mark.parametrize(("nr", "stays"), [(5, True), (6, False)])
def test_a_flushed_slab_that_is_empty_stays_while_its_node_has_few(nr: int, stays: bool) -> None:
    """min_partial is 6. Kernel: mm/slub.c deactivate_slab() DEACTIVATE_EMPTY."""
    w = Worked(cpus=2)
    w.take(1)
    w.partials(nr, cpu=1)
    w.free([(0, 0)])
    assert w.cpu() == (0, [0, 1, 2, 3], [])
    since, listed = w.now, w.node()
    flush_slab(w.s, w.s.cpu_slab[0])
    assert w.node() == ([0, *listed] if stays else listed)
    assert w.given_back(since) == ([] if stays else [0])
    assert get_node(w.s, 0).nr_slabs == nr + stays


def test_a_cpu_without_a_slab_has_nothing_to_flush() -> None:
    """Its partial slabs go to the node all the same; flush_slab() itself is one operation more.

    Kernel: mm/slub.c flush_cpu_slab(), flush_slab()
    """
    w = Worked(cpus=2)
    w.take(4)
    w.free([(0, 2)], cpu=1)
    c = w.s.cpu_slab[1]
    tid = c.tid
    flush_all(w.s)
    assert w.node() == [0]
    assert c.tid == tid
    flush_slab(w.s, c)
    assert w.node() == [0]
    assert c.tid == tid + TID_STEP


# Shrinking, and the end


def test_shrinking_sorts_slabs_by_their_free_objects_and_gives_empty_ones_back() -> None:
    """On the list are 2 1 0 3, with 4, 3, 1 and 1 objects free.

    Slab 2 goes. Those with one free object come first, each put before the one before: 3 0.
    Kernel: mm/slub.c __kmem_cache_do_shrink()
    """
    w = Worked()
    w.take(20)
    w.free([(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3), (3, 0)])
    since = w.now
    assert kmem_cache_shrink(w.s)
    assert w.node() == [3, 0, 1]
    assert w.given_back(since) == [2]
    assert w.cpu() == (None, [], [])
    assert w.slab(4) == (4, False, [])
    assert get_node(w.s, 0).nr_slabs == 4


def test_shrinking_gives_back_the_last_of_the_list_first() -> None:
    """On the list are 2 1 0, all empty: each is put before the one before.

    Kernel: mm/slub.c __kmem_cache_do_shrink(), list_move()
    """
    w = Worked()
    w.free(w.take(12))
    since = w.now
    assert not kmem_cache_shrink(w.s)
    assert w.given_back(since) == [0, 1, 2]


def test_shrinking_leaves_slabs_with_more_than_32_free_objects_where_they_are() -> None:
    """Of 64 objects of 64 bytes slab 0 has 33 free, 1 has 32, 2 has 34, and the CPU's, 3, has 63.

    The flush puts 3 at the head; then 1 comes before it, and all others stay: 1 3 0 2.
    Kernel: mm/slub.c SHRINK_PROMOTE_MAX
    """
    w = Worked(size=64)
    w.take(3 * 64 + 1)
    for number, nr in ((2, 34), (1, 32), (0, 33)):
        w.free([(number, obj) for obj in range(nr)])
    put_partials(w.s, w.s.cpu_slab[0])
    assert w.node() == [0, 1, 2]
    assert kmem_cache_shrink(w.s)
    assert w.node() == [1, 3, 0, 2]


def test_a_cache_that_goes_gives_its_slabs_back_the_last_first() -> None:
    """On the list are 2 1 0, all empty. Kernel: mm/slub.c free_partial()."""
    w = Worked()
    w.free(w.take(12))
    since = w.now
    assert kmem_cache_destroy(w.s)
    assert w.given_back(since)[:3] == [0, 1, 2]


def test_a_cache_that_cannot_go_keeps_what_is_in_use_only() -> None:
    """Of slabs 2, 1 and 0 on the list only 1 is in use, and 3 is full.

    Kernel: mm/slub.c __kmem_cache_shutdown(), free_partial()
    """
    w = Worked()
    objects = w.take(16)
    w.free(obj for obj in objects[:12] if obj != (1, 1))
    since = w.now
    assert not kmem_cache_destroy(w.s)
    assert w.given_back(since) == [0, 2]
    assert w.node() == [1]
    assert get_node(w.s, 0).nr_slabs == 2
    log = "\n".join(w.vm.slab.log)
    assert "Objects remaining on __kmem_cache_shutdown()" in log
    assert log.count("Object 0x") == 1


# Pages


def test_a_slab_of_the_smallest_order_when_pages_are_short() -> None:
    """Single pages and pairs are left: order 3 is asked for in vain, order 1 holds one object.

    The first try may not reclaim, since there is a smaller one. A slab of one object is full at
    once, and is not shuffled. Kernel: mm/slub.c allocate_slab()
    """
    w = Worked()
    for pfn in pairs(w, GFP_KERNEL, nid=0):
        if pfn & 2:
            w.machine.free_pages(pfn)
    w.machine.drain_all_pages()
    since = w.now
    assert w.alloc() == (0, 0)
    slab = w.slabs[0]
    assert (slab.order, slab.objects) == (1, 1)
    assert w.cpu() == (0, [], [])
    assert w.slab(0) == (1, True, [])
    first, second = w.asked(since)
    assert first == (
        "3 migratetype=0 gfp_flags=__GFP_IO|__GFP_FS|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP"
        "|__GFP_NOMEMALLOC"
    )
    assert second == "1 migratetype=0 gfp_flags=GFP_KERNEL|__GFP_COMP"
    w.free([(0, 0)])
    since = w.now
    assert not kmem_cache_shrink(w.s)
    assert w.given_back(since) == [0]


# A free object freed again: the kernel dies of it, BUG_ON(object == fp) in set_freepointer()


def test_a_second_free_of_the_first_object_of_a_list_is_the_end() -> None:
    """Of the lockless list, of a slab's own list, and twice in a row in one bulk.

    Nothing is changed. Kernel: mm/slub.c do_slab_free(), __slab_free(), build_detached_freelist()
    """
    w = Worked(cpus=2)
    w.take(8)
    w.free([(1, 2), (0, 1)])
    debug = w.vm.slab.debug
    before = (w.cpu(), w.slab(0), w.slab(1))
    for again in ((1, 2), (0, 1)):
        w.free([again])
        assert debug.oops.startswith("kernel BUG at mm/slub.c:")
        debug.oops = ""
        assert (w.cpu(), w.slab(0), w.slab(1)) == before
    kmem_cache_free_bulk([(w.slabs[0], 3), (w.slabs[0], 3)])
    assert debug.oops.startswith("kernel BUG at mm/slub.c:")
    assert w.slab(0)[0] == before[1][0]
