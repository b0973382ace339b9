"""Folios: where they wait, which LRU list they join, and that every step can be taken back."""

from __future__ import annotations

import contextlib

import pytest
from folio_states import listed, small, state_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memsim import GFP_KERNEL, BadFree, BadRequest, Machine, PageAllocationFailure
from memsim.machine.pages import Pages
from memsim.mm import swap
from memsim.mm.filemap import folio_alloc
from memsim.mm.folio import folio_get
from memsim.mm.mm_inline import folio_isolate_lru
from memsim.mm.rmap import replace_folio
from memsim.words.errors import ValidationError
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE
from memsim.words.mmzone import NULL
from memsim.words.page_flags import (
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    NR_FILE_PAGES,
    PG_active,
    PG_dirty,
    PG_referenced,
)


def test_a_folio_waits_until_its_batch_of_31_is_full() -> None:
    machine = small()
    file = machine.open("data", "1 MiB")
    pfns = [machine.read(file, index) for index in range(30)]
    assert not listed(machine, LRU_INACTIVE_FILE)
    assert machine.vm.nodes[0].vm_stat[NR_FILE_PAGES] == 30
    pfns.append(machine.read(file, 30))
    # the first of the batch is the first to join at the head
    assert listed(machine, LRU_INACTIVE_FILE) == pfns[::-1]


def test_the_second_read_activates_a_folio_in_the_batch_or_on_the_list() -> None:
    machine = small()
    file = machine.open("data", "1 MiB")
    waiting = machine.read(file, 0)
    assert machine.vm.folios.flags[waiting] & PG_referenced
    machine.read(file, 0)
    flags = machine.vm.folios.flags[waiting]
    assert flags & PG_active
    assert not flags & PG_referenced
    listed_one = machine.read(file, 1)
    machine.lru_add_drain_all()
    assert listed(machine, LRU_ACTIVE_FILE) == [waiting]
    assert listed(machine, LRU_INACTIVE_FILE) == [listed_one]
    machine.read(file, 1)
    assert listed(machine, LRU_INACTIVE_FILE) == [listed_one]
    machine.lru_add_drain_all()
    assert listed(machine, LRU_ACTIVE_FILE) == [listed_one, waiting]


def test_another_cpus_batch_is_not_searched() -> None:
    machine = small(cpus=2)
    file = machine.open("data", "1 MiB")
    pfn = machine.read(file, 0, cpu=1)
    machine.read(file, 0, cpu=0)
    assert not machine.vm.folios.flags[pfn] & PG_active


def test_anonymous_folios_start_inactive() -> None:
    machine = small()
    region = machine.mmap("heap", "1 MiB")
    pfn = machine.touch(region, 0)
    machine.lru_add_drain_all()
    assert listed(machine, LRU_INACTIVE_ANON) == [pfn]
    assert machine.touch(region, 0, write=False) == pfn


def test_a_folio_moves_with_all_that_belongs_to_it() -> None:
    machine = small()
    file = machine.open("data", "1 MiB")
    vm, old = machine.vm, machine.write(file, 3)
    machine.lru_add_drain_all()
    new = folio_alloc(vm, GFP_HIGHUSER_MOVABLE, 0)
    assert folio_isolate_lru(vm, old)
    replace_folio(vm, old, new)
    assert vm.folios.flags[new] & PG_dirty
    swap.folio_putback_lru(vm, new)
    swap.folio_put(vm, old)
    machine.lru_add_drain_all()
    assert machine.read(file, 3) == new
    assert vm.folios.refcount[new] == 1
    assert vm.folios.refcount[old] == 0
    assert vm.page_state[old] == 0
    machine.validate()


def test_a_held_folio_outlives_its_file() -> None:
    machine = small()
    file = machine.open("data", "1 MiB")
    pfn = machine.read(file, 0)
    machine.lru_add_drain_all()
    folio_get(machine.vm.folios, pfn)
    machine.close(file)
    assert machine.vm.folios.refcount[pfn] == 1
    assert machine.vm.page_state[pfn]
    machine.validate()
    swap.folio_put(machine.vm, pfn)
    assert not machine.vm.page_state[pfn]
    machine.validate()


def test_validate_sees_a_folio_on_the_wrong_list_and_a_wrong_counter() -> None:
    machine = small()
    file = machine.open("data", "1 MiB")
    pfn = machine.read(file, 0)
    machine.lru_add_drain_all()
    machine.validate()
    machine.vm.folios.flags[pfn] |= PG_active
    with pytest.raises(ValidationError, match="belongs there"):
        machine.validate()
    machine.vm.folios.flags[pfn] &= ~PG_active
    machine.vm.nodes[0].vm_stat[NR_FILE_PAGES] += 1
    with pytest.raises(ValidationError, match="NR_FILE_PAGES 2, there are 1"):
        machine.validate()


def test_what_nobody_may_ask_is_refused_in_one_line() -> None:
    machine = small()
    file, region = machine.open("data", 4096), machine.mmap("heap", 4096)
    pfn = machine.read(file, 0)
    before = state_of(machine)
    with pytest.raises(BadFree, match="is a folio of a file or region"):
        machine.free_pages(pfn)
    for refused in (
        lambda: machine.read(file, 1), lambda: machine.touch(file, 1),
        lambda: machine.read(region, 0), lambda: machine.read(file, "0"),  # type: ignore[arg-type]
        lambda: machine.open("", 1), lambda: machine.open("a", "much"),
        lambda: machine.open("a", 0), lambda: machine.read(7, 0),  # type: ignore[arg-type]
        lambda: machine.read(Pages(99, "gone", 1), 0), lambda: machine.read(file, 0, nid=4),
        lambda: Machine("16 MiB").open("data", 1),
    ):  # fmt: skip
        with pytest.raises(BadRequest) as refusal:
            refused()
        assert "\n" not in str(refusal.value)
    assert state_of(machine) == before


indexes = st.integers(0, 63)
cpus = st.integers(0, 1)


class FolioLife(RuleBasedStateMachine):
    """Files read and written, regions touched, dropped, closed, on two CPUs and two nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(("16 MiB", "16 MiB"), cpus=2, reclaim=True)
        self.first = state_of(self.machine)
        self.pages: list[tuple[bool, Pages]] = []
        self.opened = 0

    def _some(self, which: int, anon: bool) -> Pages:
        have = [pages for is_anon, pages in self.pages if is_anon == anon]
        if not have:
            self.opened += 1
            make = self.machine.mmap if anon else self.machine.open
            have = [make(f"number {self.opened}", "256 KiB")]
            self.pages.append((anon, have[0]))
        return have[which % len(have)]

    @rule(which=indexes, index=indexes, nr=st.integers(1, 40), cpu=cpus, write=st.booleans())
    def use_file(self, which: int, index: int, nr: int, cpu: int, write: bool) -> None:
        """Pages one behind the other."""
        file = self._some(which, False)
        call = self.machine.write if write else self.machine.read
        for at in range(index, min(index + nr, 64)):
            call(file, at, cpu=cpu)

    @rule(which=indexes, index=indexes, nr=st.integers(1, 40), cpu=cpus)
    def touch(self, which: int, index: int, nr: int, cpu: int) -> None:
        """Pages one behind the other."""
        region = self._some(which, True)
        for at in range(index, min(index + nr, 64)):
            self.machine.touch(region, at, cpu=cpu)

    @rule(which=indexes, index=indexes, anon=st.booleans(), cpu=cpus)
    def drop(self, which: int, index: int, anon: bool, cpu: int) -> None:
        """There, or not."""
        self.machine.drop(self._some(which, anon), index, cpu=cpu)

    @rule(which=indexes, anon=st.booleans(), cpu=cpus)
    def close(self, which: int, anon: bool, cpu: int) -> None:
        """All at once."""
        pages = self._some(which, anon)
        self.machine.close(pages, cpu=cpu)
        self.pages.remove((anon, pages))

    @rule()
    def drain(self) -> None:
        """All batches."""
        self.machine.lru_add_drain_all()

    @rule(order=st.integers(0, 4))
    def alloc_pages(self, order: int) -> None:
        """Somebody else's."""
        with contextlib.suppress(PageAllocationFailure):
            self.machine.alloc_pages(GFP_KERNEL, order)

    @rule()
    def back_and_forth(self) -> None:
        """An operation undone and done again leaves the same state."""
        if self.machine.history:
            before = state_of(self.machine)
            self.machine.undo()
            self.machine.validate()
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


TestFolioLife = pytest.mark.alone(FolioLife.TestCase)
TestFolioLife.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)


def test_null_is_no_folio() -> None:
    machine = Machine("16 MiB", reclaim=True, min_free_kbytes=256)
    region = machine.mmap("heap", "64 MiB")
    touched = 0
    with contextlib.suppress(PageAllocationFailure):
        while touched < region.nr_pages:
            machine.touch(region, touched)
            touched += 1
    assert touched < region.nr_pages
    assert machine.vm.folios.mappings[region.id].i_pages.get(touched, NULL) == NULL
    machine.validate()
