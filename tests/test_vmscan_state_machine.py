"""Random lives of a Machine under pressure: every invariant after each step, and all undone."""

from __future__ import annotations

import contextlib

import pytest
from folio_states import state_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memsim import GFP_ATOMIC, GFP_KERNEL, Machine, PageAllocationFailure
from memsim.machine.pages import Pages
from memsim.mm.filemap import filemap_get_folio
from memsim.mm.folio import set_word
from memsim.trace.folio_steps import WORD_REFCOUNT
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

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(
            "16 MiB", cpus=2, reclaim=True, swap=self.swap, swappiness=self.swappiness,
            min_free_kbytes=512,
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


_settings = settings(max_examples=6, stateful_step_count=15, deadline=None)
TestPressure = Pressure.TestCase
TestPressure.settings = _settings
TestNoSwap = NoSwap.TestCase
TestNoSwap.settings = _settings
TestSwappy = Swappy.TestCase
TestSwappy.settings = _settings


def test_a_folio_that_somebody_holds_is_not_freed() -> None:
    machine = Machine("16 MiB", reclaim=True, min_free_kbytes=512)
    file = machine.open("file", "32 MiB")
    pfn = machine.read(file, 0)
    set_word(machine.vm.folios, WORD_REFCOUNT, pfn, 2)
    for index in range(1, file.nr_pages):
        machine.read(file, index)
    mapping = machine.vm.folios.mappings[file.id]
    assert filemap_get_folio(mapping, 0) == pfn
    assert filemap_get_folio(mapping, 1) == -1
    machine.validate()
