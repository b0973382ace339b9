"""Areas of addresses: the four fits, pools, lazy frees and purges, as a state machine."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memsim.lib.bits import PAGE_SIZE
from memsim.lib.rbtree import rb_nodes
from memsim.mm.mmzone import Vm
from memsim.mm.restore import Field
from memsim.mm.vmalloc.alloc import alloc_vmap_area, find_unlink_vmap_area, free_vmap_area
from memsim.mm.vmalloc.apply import apply_vmalloc_step
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.clip import FitType, classify_va_fit_type
from memsim.mm.vmalloc.init import vmap_init_free_space, vmap_init_nodes
from memsim.mm.vmalloc.lazy import free_vmap_area_noflush, purge_vmap_area_lazy
from memsim.mm.vmalloc.restore import restore_vmalloc
from memsim.mm.vmalloc.snapshot import vmalloc_lists
from memsim.mm.vmalloc.validate import validate_vmalloc
from memsim.trace.events import TP_STEPS
from memsim.trace.trace import Trace
from memsim.words.errno import EBUSY, EINVAL
from memsim.words.errors import BadInput
from memsim.words.vmalloc import MODULES_END, MODULES_VADDR, VMALLOC_END, VMALLOC_START


def booted(nr_cpus: int = 1) -> Vm:
    """A Vm with all addresses free, and steps on; it has no memory."""
    vm = Vm(1024, nr_cpus, 1, Trace(mask=TP_STEPS))
    vmap_init_nodes(vm)
    vmap_init_free_space(vm)
    return vm


def asked(vm: Vm, pages: int, align: int = 1) -> VmapArea:
    """So many pages of addresses in the usual range."""
    va = alloc_vmap_area(vm, pages * PAGE_SIZE, align, VMALLOC_START, VMALLOC_END)
    assert isinstance(va, VmapArea)
    return va


def freed(vm: Vm, addr: int) -> None:
    """Free the area at addr, lazily."""
    va = find_unlink_vmap_area(vm, addr)
    assert va is not None
    free_vmap_area_noflush(vm, va)


@pytest.mark.parametrize(
    ("start", "size", "fit"),
    [
        (0x1000, 0x4000, FitType.FL_FIT_TYPE),
        (0x1000, 0x1000, FitType.LE_FIT_TYPE),
        (0x4000, 0x1000, FitType.RE_FIT_TYPE),
        (0x2000, 0x1000, FitType.NE_FIT_TYPE),
        (0x0000, 0x2000, FitType.NOTHING_FIT),
        (0x4000, 0x2000, FitType.NOTHING_FIT),
    ],
)
def test_classify_va_fit_type(start: int, size: int, fit: FitType) -> None:
    assert classify_va_fit_type(VmapArea(0x1000, 0x5000), start, size) == fit


def test_the_lowest_addresses_are_taken() -> None:
    vm = booted()
    first, second = asked(vm, 2), asked(vm, 1)
    assert (first.va_start, second.va_start) == (VMALLOC_START, VMALLOC_START + 2 * PAGE_SIZE)
    modules = alloc_vmap_area(vm, PAGE_SIZE, 1, MODULES_VADDR, MODULES_END)
    assert isinstance(modules, VmapArea)
    assert modules.va_start == MODULES_VADDR
    validate_vmalloc(vm)


def test_freed_addresses_come_back_only_after_a_purge() -> None:
    vm = booted()
    start = asked(vm, 3).va_start
    freed(vm, start)
    assert vm.vmalloc.vmap_lazy_nr == 3
    assert asked(vm, 3).va_start != start
    assert purge_vmap_area_lazy(vm, full_pool_decay=False)
    assert vm.vmalloc.vmap_lazy_nr == 0
    assert vm.vmalloc.nr_tlb_flushes == 1
    assert asked(vm, 3).va_start == start


def test_with_several_cpus_an_area_goes_back_to_the_pool_it_was_asked_from() -> None:
    vm = booted(nr_cpus=2)
    vm.set_cpu(1)
    start = asked(vm, 5).va_start
    vm.set_cpu(0)
    freed(vm, start)
    purge_vmap_area_lazy(vm, full_pool_decay=False)
    assert [va.va_start for va in vm.vmalloc.vmap_nodes[1].pool[4]] == [start]
    assert asked(vm, 5).va_start != start
    vm.set_cpu(1)
    assert asked(vm, 5).va_start == start


@pytest.mark.parametrize(("areas", "left"), [(3, 0), (4, 3), (8, 6), (9, 7)])
def test_a_pool_decays_by_a_quarter_and_one_of_less_than_four_wholly(areas: int, left: int) -> None:
    """Kernel: decay_va_pool_node(): n_decay = len >> 2, and `if (!--n_decay) break`."""
    vm = booted(nr_cpus=2)
    starts = [asked(vm, 2).va_start for _ in range(areas)]
    for start in starts:
        freed(vm, start)
    purge_vmap_area_lazy(vm, full_pool_decay=False)
    assert len(vm.vmalloc.vmap_nodes[0].pool[1]) == areas
    purge_vmap_area_lazy(vm, full_pool_decay=False)
    assert len(vm.vmalloc.vmap_nodes[0].pool[1]) == left
    purge_vmap_area_lazy(vm, full_pool_decay=True)
    assert not vm.vmalloc.vmap_nodes[0].pool[1]
    validate_vmalloc(vm)


def test_a_full_range_is_purged_before_it_is_refused() -> None:
    vm = booted()
    vstart, vend = VMALLOC_START, VMALLOC_START + 4 * PAGE_SIZE
    for _ in range(2):
        assert isinstance(alloc_vmap_area(vm, 2 * PAGE_SIZE, 1, vstart, vend), VmapArea)
    before = vmalloc_lists(vm.vmalloc)
    assert alloc_vmap_area(vm, PAGE_SIZE, 1, vstart, vend) == -EBUSY
    assert vmalloc_lists(vm.vmalloc) == before
    freed(vm, vstart)
    assert isinstance(alloc_vmap_area(vm, PAGE_SIZE, 1, vstart, vend), VmapArea)


@pytest.mark.parametrize(
    ("size", "align"), [(0, 1), (1, 1), (PAGE_SIZE + 1, 1), (PAGE_SIZE, 0), (PAGE_SIZE, 3)]
)
def test_what_the_kernel_refuses_changes_nothing(size: int, align: int) -> None:
    vm = booted()
    before = vmalloc_lists(vm.vmalloc)
    assert alloc_vmap_area(vm, size, align, VMALLOC_START, VMALLOC_END) == -EINVAL
    assert vmalloc_lists(vm.vmalloc) == before
    assert len(vm.trace.journal) == _boot_steps()


def _boot_steps() -> int:
    return len(booted().trace.journal)


@pytest.mark.parametrize("place", ["free", "nodes"])
def test_areas_that_overlap_are_refused(place: str) -> None:
    vm = booted()
    asked(vm, 4)
    told = vmalloc_lists(vm.vmalloc)
    area = told["free"][1] if place == "free" else told["nodes"][0]["busy"][0]
    area[1] = hex(int(area[1], 16) + (PAGE_SIZE if place == "nodes" else 0))
    area[0] = hex(int(area[0], 16) - (PAGE_SIZE if place == "free" else 0))
    with pytest.raises(BadInput, match="vmalloc: the area at 0x"):
        restore_vmalloc(Vm(1024, 1, 1, Trace()), Field(told, "vmalloc"), 0)


class Areas(RuleBasedStateMachine):
    """Any CPU asks, frees and purges; every invariant holds, and steps lead back to boot."""

    @initialize(nr_cpus=st.integers(1, 3))
    def boot(self, nr_cpus: int) -> None:
        self.vm = booted(nr_cpus)
        self.at_boot = vmalloc_lists(self.vm.vmalloc)
        self.first_step = len(self.vm.trace.journal)
        self.live: list[int] = []

    @rule(cpu=st.integers(0, 2), pages=st.integers(1, 6), align=st.sampled_from([1, 1, 4, 16]))
    def alloc(self, cpu: int, pages: int, align: int) -> None:
        self.vm.set_cpu(cpu % self.vm.nr_cpus)
        va = asked(self.vm, pages, align * PAGE_SIZE)
        assert va.va_start % (align * PAGE_SIZE) == 0
        assert va.va_end - va.va_start == pages * PAGE_SIZE
        self.live.append(va.va_start)

    @rule(cpu=st.integers(0, 2), which=st.integers(0, 1 << 16), lazily=st.booleans())
    def free(self, cpu: int, which: int, lazily: bool) -> None:
        if not self.live:
            return
        self.vm.set_cpu(cpu % self.vm.nr_cpus)
        addr = self.live.pop(which % len(self.live))
        if lazily:
            freed(self.vm, addr)
            return
        va = next(va for va in self.vm.vmalloc.areas.values() if va.va_start == addr)
        free_vmap_area(self.vm, va)

    @rule(full=st.booleans())
    def purge(self, full: bool) -> None:
        there = any(vn.lazy.rb_node for vn in self.vm.vmalloc.vmap_nodes)
        assert purge_vmap_area_lazy(self.vm, full) == there

    @invariant()
    def sound(self) -> None:
        if hasattr(self, "vm"):
            validate_vmalloc(self.vm)
            busy = [va.va_start for vn in self.vm.vmalloc.vmap_nodes for va in rb_nodes(vn.busy)]
            assert sorted(busy) == sorted(self.live)

    def teardown(self) -> None:
        """Back to boot and forth again by steps alone; and a copy from the snapshot is alike."""
        if not hasattr(self, "vm"):
            return
        state, at_end = self.vm.vmalloc, vmalloc_lists(self.vm.vmalloc)
        copy = Vm(1024, self.vm.nr_cpus, 1, Trace())
        restore_vmalloc(copy, Field(at_end, "vmalloc"), state.vmap_lazy_nr)
        validate_vmalloc(copy)
        assert vmalloc_lists(copy.vmalloc) == at_end
        steps = list(self.vm.trace.journal.read(self.first_step))
        for step in reversed(steps):
            apply_vmalloc_step(self.vm, step, backwards=True)  # type: ignore[arg-type]
        assert vmalloc_lists(state) == self.at_boot
        validate_vmalloc(self.vm)
        for step in steps:
            apply_vmalloc_step(self.vm, step, backwards=False)  # type: ignore[arg-type]
        assert vmalloc_lists(state) == at_end
        validate_vmalloc(self.vm)


TestAreas = Areas.TestCase
TestAreas.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
