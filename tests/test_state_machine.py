"""Random lives of a Machine: every invariant holds after each step, and each can be undone."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from memsim import (
    GFP_ATOMIC,
    GFP_DMA,
    GFP_DMA32,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    BadRequest,
    Machine,
    PageAllocationFailure,
)
from memsim.mm.apply import apply_to_snapshot
from memsim.mm.layout import NodeRange
from memsim.mm.mm_init import Memory, boot
from memsim.mm.mmzone import Vm
from memsim.mm.snapshot import take_snapshot
from memsim.trace.trace import Trace
from memsim.words.arch import X86_32
from memsim.words.gfp import __GFP_MEMALLOC, __GFP_RECLAIMABLE, __GFP_THISNODE
from memsim.words.mmzone import MAX_PAGE_ORDER

pytestmark = pytest.mark.alone

MASKS = (
    GFP_KERNEL,
    GFP_KERNEL | __GFP_RECLAIMABLE,
    GFP_HIGHUSER_MOVABLE,
    GFP_ATOMIC,
    GFP_KERNEL | __GFP_MEMALLOC,
    GFP_HIGHUSER_MOVABLE | __GFP_THISNODE,
    GFP_DMA | GFP_KERNEL,
    GFP_DMA32 | GFP_KERNEL,
)
masks = st.sampled_from(MASKS)
#: Small orders are what fragments; all are asked for.
cpus = st.integers(0, 3)
nids = st.integers(0, 2)
orders = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, MAX_PAGE_ORDER))


class PageAllocator(RuleBasedStateMachine):
    """Alloc, free, drain, isolate, undo, on any CPU, for any node, of a small machine."""

    blocks: Bundle[int] = Bundle("blocks")

    def boot(self) -> Machine:
        """Zones DMA and DMA32, one CPU, a CMA area."""
        return Machine("24 MiB", min_free_kbytes=1024, cma="2 MiB")

    def __init__(self) -> None:
        super().__init__()
        self.machine = self.boot()
        self.nr_cpus, self.nr_nodes = self.machine.vm.nr_cpus, len(self.machine.vm.nodes)
        self.first = self.machine.snapshot()
        self.live: set[int] = set()

    @rule(target=blocks, gfp_mask=masks, order=orders, cpu=cpus, nid=nids)
    def alloc_pages(self, gfp_mask: int, order: int, cpu: int, nid: int) -> object:
        """A request, granted or refused."""
        cpu, nid = cpu % self.nr_cpus, nid % self.nr_nodes
        try:
            pfn = self.machine.alloc_pages(gfp_mask, order, cpu=cpu, nid=nid)
        except PageAllocationFailure:
            return multiple()
        assert pfn % (1 << order) == 0
        assert pfn not in self.live
        self.live.add(pfn)
        return pfn

    @rule(target=blocks, gfp_mask=masks, nr_pages=st.integers(1, 60), cpu=cpus, nid=nids)
    def alloc_pages_bulk(self, gfp_mask: int, nr_pages: int, cpu: int, nid: int) -> object:
        """Single pages, many at once."""
        cpu, nid = cpu % self.nr_cpus, nid % self.nr_nodes
        pfns = self.machine.alloc_pages_bulk(gfp_mask, nr_pages, cpu=cpu, nid=nid)
        assert len(set(pfns)) == len(pfns) <= nr_pages
        self.live.update(pfns)
        return multiple(*pfns)

    @rule(pfn=consumes(blocks), cpu=cpus)
    def free_pages(self, pfn: int, cpu: int) -> None:
        """A block goes back, by any CPU."""
        if pfn in self.live:
            self.live.discard(pfn)
            self.machine.free_pages(pfn, cpu=cpu % self.nr_cpus)

    @rule(pfns=st.lists(consumes(blocks), max_size=15, unique=True), cpu=cpus)
    def free_folios(self, pfns: list[int], cpu: int) -> None:
        """Blocks go back as a batch."""
        batch = [pfn for pfn in pfns if pfn in self.live]
        self.live.difference_update(batch)
        self.machine.free_folios(batch, cpu=cpu % self.nr_cpus)

    @rule(size=st.integers(1, 9 << 12), gfp_mask=masks)
    def alloc_pages_exact(self, size: int, gfp_mask: int) -> None:
        """An exact number of pages, there and back."""
        try:
            pfn = self.machine.alloc_pages_exact(size, gfp_mask)
        except PageAllocationFailure:
            return
        self.machine.free_pages_exact(pfn, size)

    @rule(pfn=blocks)
    def lru_add(self, pfn: int) -> None:
        """A block counts as movable from here on."""
        if pfn in self.live:
            self.machine.lru_add(pfn)

    @rule()
    def drain_all_pages(self) -> None:
        """The pcp lists go back."""
        self.machine.drain_all_pages()

    @rule(cpu=cpus)
    def vmstat_update(self, cpu: int) -> None:
        """Counters are folded, pcp lists decay, those of other nodes expire."""
        self.machine.vmstat_update(cpu=cpu % self.nr_cpus)

    @rule(place=st.floats(0, 1, exclude_max=True), migratetype=st.integers(0, 2))
    def isolate_and_back(self, place: float, migratetype: int) -> None:
        """A pageblock is set apart, and comes back as another type (CMA blocks are left alone)."""
        pfn = int(place * self.machine.vm.max_pfn)
        if self.machine.vm.pageblock[pfn >> self.machine.vm.pageblock_order] >= 3:
            return
        try:
            self.machine.isolate_pageblock(pfn)
        except BadRequest:
            return
        self.machine.validate()
        self.machine.unisolate_pageblock(pfn, migratetype)

    @rule(nr=st.integers(1, 5))
    def undo_and_redo(self, nr: int) -> None:
        """Operations are taken back, and done again, to the same state."""
        before = self.machine.snapshot()
        nr = min(nr, len(self.machine.history))
        for _ in range(nr):
            self.machine.undo()
        self.machine.validate()
        for _ in range(nr):
            self.machine.redo()
        assert self.machine.snapshot() == before

    @invariant()
    def every_invariant_holds(self) -> None:
        """mm/validate.py finds nothing."""
        self.machine.validate()

    def teardown(self) -> None:
        """The steps lead from the first snapshot to the last, and back."""
        last = self.machine.snapshot()
        steps = self.machine.steps()
        assert apply_to_snapshot(self.first, steps, backwards=False) == last
        assert apply_to_snapshot(last, steps, backwards=True) == self.first


class SeveralNodes(PageAllocator):
    """The same on three nodes with four CPUs; two nodes have a ZONE_MOVABLE."""

    def boot(self) -> Machine:
        """The first node is full soon; ZONE_MOVABLE takes half of the others."""
        return Machine(
            ["16 MiB", "24 MiB", "24 MiB"], cpus=4, min_free_kbytes=1024, movablecore="24 MiB"
        )


class Highmem(PageAllocator):
    """The same on 32 bits: DMA, NORMAL, HIGHMEM, and pageblocks of the largest order."""

    def boot(self) -> Machine:
        """The borders are pulled down to 8 and 24 MiB, so that all zones are small."""
        small = X86_32._replace(max_zone_pfns=(0x800, 0x1800, 0x100000))
        vm = Vm(0x2000, 2, 1, Trace(mask=0), arch=small)
        boot(vm, Memory([NodeRange(0, 1, 0x2000)], [(0x100, 0x2000)], {}), False)
        return Machine.from_snapshot(take_snapshot(vm))


TestPageAllocator = PageAllocator.TestCase
TestSeveralNodes = SeveralNodes.TestCase
TestHighmem = Highmem.TestCase
TestPageAllocator.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestSeveralNodes.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
TestHighmem.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)


def live_at_random(machine: Machine, nr_steps: int, every: int, seed: int) -> int:
    """nr_steps seeded operations, validated every so many. Returns the requests refused."""
    chance = random.Random(seed)
    nr_cpus, nr_nodes = machine.vm.nr_cpus, len(machine.vm.nodes)
    live: list[int] = []
    refused = 0
    for step in range(nr_steps):
        cpu, nid = step % nr_cpus, step // 7 % nr_nodes
        if not live or chance.random() < 0.5 + 0.3 * (len(live) < 3000):
            order = min(int(chance.expovariate(0.9)), MAX_PAGE_ORDER)
            try:
                gfp_mask = chance.choice(MASKS)
                live.append(machine.alloc_pages(gfp_mask, order, cpu=cpu, nid=nid))
            except PageAllocationFailure:
                refused += 1
                for pfn in live[: len(live) // 4]:
                    machine.free_pages(pfn, cpu=cpu)
                del live[: len(live) // 4]
        elif chance.random() < 0.002:
            machine.drain_all_pages()
        elif chance.random() < 0.005:
            machine.vmstat_update(cpu=cpu)
        else:
            place = chance.randrange(len(live))
            live[place], live[-1] = live[-1], live[place]
            machine.free_pages(live.pop(), cpu=cpu)
        if step % every == every - 1:
            machine.validate()
    return refused


@pytest.mark.parametrize("seed", range(3))
def test_twenty_thousand_random_steps(seed: int) -> None:
    """A seeded life, validated every 500 steps; memory runs out now and then."""
    assert live_at_random(Machine("48 MiB", steps=False), 20_000, 500, seed) > 0


def test_twenty_thousand_random_steps_on_two_nodes() -> None:
    """The same with four CPUs, and ZONE_MOVABLE on both nodes."""
    machine = Machine(["32 MiB", "32 MiB"], cpus=4, movablecore="32 MiB", steps=False)
    assert live_at_random(machine, 20_000, 500, 11) > 0


@pytest.mark.long
def test_a_million_random_steps() -> None:
    """The same, a million steps, validated every 1,000."""
    refused = live_at_random(Machine("64 MiB", steps=False), 1_000_000, 1_000, 7)
    print(f"requests refused: {refused}")


@pytest.mark.long
def test_a_million_random_steps_on_three_nodes() -> None:
    """The same, with four CPUs."""
    machine = Machine(["24 MiB"] * 3, cpus=4, movablecore="24 MiB", steps=False)
    print(f"requests refused: {live_at_random(machine, 1_000_000, 1_000, 8)}")
