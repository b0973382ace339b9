"""Random lives of a Machine under pressure: every invariant after each step, and all undone."""

from __future__ import annotations

import contextlib
import random

import pytest
from folio_states import state_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memsim import GFP_ATOMIC, GFP_KERNEL, Machine, PageAllocationFailure
from memsim.machine.pages import Pages
from memsim.mm.filemap import filemap_get_folio
from memsim.mm.folio import folio_get
from memsim.words.gfp import __GFP_NOWARN

pytestmark = pytest.mark.alone

MASKS = (GFP_KERNEL | __GFP_NOWARN, GFP_ATOMIC | __GFP_NOWARN)
cpus = st.integers(0, 1)
starts = st.integers(0, 3071)
lengths = st.one_of(st.integers(1, 40), st.integers(1, 2500))


class Pressure(RuleBasedStateMachine):
    """More files and memory than there is RAM, and somebody who holds some of it."""

    swap: int | str = "3 MiB"
    swappiness = 60
    lru_gen = False

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(
            "16 MiB", cpus=2, reclaim=True, swap=self.swap, swappiness=self.swappiness,
            min_free_kbytes=512, lru_gen=self.lru_gen,
        )  # fmt: skip
        self.first = state_of(self.machine)
        self.file = self.machine.open("file", "12 MiB")
        self.region = self.machine.mmap("region", "12 MiB")
        self.blocks: list[int] = []

    def _use(self, pages: Pages, start: int, nr: int, cpu: int, call: str) -> None:
        for index in range(start, min(start + nr, pages.nr_pages)):
            with contextlib.suppress(PageAllocationFailure):
                getattr(self.machine, call)(pages, index, cpu=cpu)

    @rule(start=starts, nr=lengths, cpu=cpus)
    def read(self, start: int, nr: int, cpu: int) -> None:
        """From the page cache, or from disk."""
        self._use(self.file, start, nr, cpu, "read")

    @rule(start=starts, nr=st.integers(1, 300), cpu=cpus)
    def write(self, start: int, nr: int, cpu: int) -> None:
        """Dirty from then on."""
        self._use(self.file, start, nr, cpu, "write")

    @rule(start=starts, nr=lengths, cpu=cpus)
    def touch(self, start: int, nr: int, cpu: int) -> None:
        """New, there, or in swap."""
        self._use(self.region, start, nr, cpu, "touch")

    @rule(start=starts, nr=st.integers(1, 600), cpu=cpus)
    def touch_file(self, start: int, nr: int, cpu: int) -> None:
        """Through a pte."""
        self._use(self.file, start, nr, cpu, "touch")

    @rule(start=starts, nr=st.integers(1, 300), cpu=cpus, anon=st.booleans())
    def drop(self, start: int, nr: int, cpu: int, anon: bool) -> None:
        """Truncated, or unmapped."""
        self._use(self.region if anon else self.file, start, nr, cpu, "drop")

    @rule(
        start=starts, nr=st.integers(1, 300), cpu=cpus,
        advice=st.sampled_from(("MADV_COLD", "MADV_FREE", "POSIX_FADV_DONTNEED")),
    )  # fmt: skip
    def madvise(self, start: int, nr: int, cpu: int, advice: str) -> None:
        """Not needed."""
        pages = self.file if advice == "POSIX_FADV_DONTNEED" else self.region
        for index in range(start, min(start + nr, pages.nr_pages)):
            self.machine.madvise(pages, index, advice, cpu=cpu)

    @rule(mask=st.sampled_from(MASKS), order=st.integers(0, 4), nr=st.integers(1, 60), cpu=cpus)
    def alloc_pages(self, mask: int, order: int, nr: int, cpu: int) -> None:
        """Pages that nobody can take back."""
        for _ in range(nr):
            with contextlib.suppress(PageAllocationFailure):
                self.blocks.append(self.machine.alloc_pages(mask, order, cpu=cpu))

    @rule(nr=st.integers(1, 60), cpu=cpus)
    def free_pages(self, nr: int, cpu: int) -> None:
        """Some of them."""
        for _ in range(min(nr, len(self.blocks))):
            self.machine.free_pages(self.blocks.pop(), cpu=cpu)

    @rule(which=st.sampled_from(("kswapd", "write_back", "lru_add_drain_all", "drain_all_pages")))
    def daemon(self, which: str) -> None:
        """Woken for nothing."""
        getattr(self.machine, which)()

    @rule(enabled=st.sampled_from((True, True, False)))
    def change_lru(self, enabled: bool) -> None:
        """To generations, or to the classic lists."""
        self.machine.lru_gen(enabled)

    @rule(nr=st.integers(1, 200))
    def back_and_forth(self, nr: int) -> None:
        """Operations undone and done again leave the same state."""
        before = state_of(self.machine)
        undone = min(nr, len(self.machine.history) - 2)
        for _ in range(undone):
            self.machine.undo()
        self.machine.validate()
        for _ in range(undone):
            self.machine.redo()
        assert state_of(self.machine) == before

    @invariant()
    def valid(self) -> None:
        """Every sentence of mm/validate.py and mm/folio_validate.py."""
        self.machine.validate()

    def teardown(self) -> None:
        """Nothing is left of it all."""
        while self.machine.history:
            self.machine.undo()
        assert state_of(self.machine) == self.first


class NoSwap(Pressure):
    """All anonymous memory has to stay."""

    swap = 0


class Swappy(Pressure):
    """Anonymous memory goes first."""

    swap, swappiness = "16 MiB", 200


class Generations(Pressure):
    """The multi-gen LRU from the beginning."""

    lru_gen = True


class SwappyGenerations(Swappy):
    """Anonymous memory goes first, by generations."""

    lru_gen = True


_settings = settings(max_examples=6, stateful_step_count=15, deadline=None)
TestPressure = Pressure.TestCase
TestPressure.settings = _settings
TestNoSwap = NoSwap.TestCase
TestNoSwap.settings = _settings
TestSwappy = Swappy.TestCase
TestSwappy.settings = _settings
TestGenerations = Generations.TestCase
TestGenerations.settings = _settings
TestSwappyGenerations = SwappyGenerations.TestCase
TestSwappyGenerations.settings = _settings


def test_a_folio_that_somebody_holds_is_not_freed() -> None:
    machine = Machine("16 MiB", reclaim=True, min_free_kbytes=512)
    file = machine.open("file", "32 MiB")
    pfn = machine.read(file, 0)
    folio_get(machine.vm.folios, pfn)
    for index in range(1, file.nr_pages):
        machine.read(file, index)
    mapping = machine.vm.folios.mappings[file.id]
    assert filemap_get_folio(mapping, 0) == pfn
    assert filemap_get_folio(mapping, 1) == -1
    machine.validate()


@pytest.mark.long
@pytest.mark.parametrize("lru_gen", [False, True])
@pytest.mark.parametrize("swappiness", [0, 60, 200])
def test_100_000_requests_under_pressure_hold_every_invariant_and_are_undone(
    swappiness: int, lru_gen: bool
) -> None:
    chance = random.Random(swappiness)
    machine = Machine(
        "16 MiB", cpus=2, reclaim=True, swap="6 MiB", swappiness=swappiness, min_free_kbytes=512,
        lru_gen=lru_gen,
    )  # fmt: skip
    first = state_of(machine)
    file, region = machine.open("file", "12 MiB"), machine.mmap("region", "12 MiB")
    blocks: list[int] = []
    for request in range(100_000):
        start, cpu = chance.randrange(3072), chance.randrange(2)
        # a third of all indexes is used twice as often
        index = start // 3 if chance.random() < 0.5 else start
        with contextlib.suppress(PageAllocationFailure):
            match chance.randrange(16):
                case 0:
                    machine.write(file, index, cpu=cpu)
                case 1 | 2:
                    machine.touch(file, index, write=False, cpu=cpu)
                case 3 | 4 | 5 | 6 | 7:
                    machine.read(file, index, cpu=cpu)
                case 8 if blocks:
                    machine.free_pages(blocks.pop(chance.randrange(len(blocks))), cpu=cpu)
                case 9 if len(blocks) < 200:
                    order = chance.randrange(4)
                    blocks.append(machine.alloc_pages(chance.choice(MASKS), order, cpu=cpu))
                case 10:
                    machine.drop(chance.choice((file, region)), index, cpu=cpu)
                case _:
                    machine.touch(region, index, cpu=cpu)
        if request % 1000 == 0:
            machine.validate()
    machine.validate()
    while machine.history:
        machine.undo()
    assert state_of(machine) == first
