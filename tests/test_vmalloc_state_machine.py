"""Random lives of a Machine's vmalloc: every invariant after each step, and all undone."""

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
from vmalloc_states import state_of

from memsim import GFP_KERNEL, Machine, PageAllocationFailure
from memsim.lib.bits import PAGE_SIZE
from memsim.words.errors import BadFree
from memsim.words.gfp import __GFP_NOWARN, GFP_ATOMIC

GFP = GFP_KERNEL | __GFP_NOWARN
ATOMIC = GFP_ATOMIC | __GFP_NOWARN
cpus = st.integers(0, 3)
sizes = st.one_of(st.integers(1, 20), st.integers(1, 600)).map(lambda pages: pages * PAGE_SIZE - 7)
counts = st.one_of(st.integers(1, 5), st.integers(1, 80))
#: From nowhere near RAM, at a page's begin and within.
devices = st.sampled_from((0xFEC0_0000, 0x1_0000_0000, 0x1_0020_1000, 0x1_4000_0123))


class Vmalloc(RuleBasedStateMachine):
    """Areas of each kind, asked for and given back on any CPU; undone and done again."""

    areas: Bundle[int] = Bundle("areas")
    maps: Bundle[int] = Bundle("maps")
    device_maps: Bundle[int] = Bundle("device_maps")
    short_maps: Bundle[tuple[int, int]] = Bundle("short_maps")
    memory: Bundle[int] = Bundle("memory")
    nr_cpus = 1
    arch = "x86-64"

    def __init__(self) -> None:
        super().__init__()
        slab = self.arch == "x86-64"
        description = {"cpus": self.nr_cpus, "arch": self.arch, "slab": slab}
        self.machine = Machine("24 MiB", vmalloc=True, **description)  # type: ignore[arg-type]
        self.pages = self.machine.alloc_pages_bulk(GFP_KERNEL, 80)
        self.first = state_of(self.machine)
        self.begins = len(self.machine.history)

    def cpu(self, cpu: int) -> int:
        """A CPU of this machine."""
        return cpu % self.nr_cpus

    @rule(target=areas, size=sizes, kind=st.integers(0, 3), cpu=cpus)
    def vmalloc(self, size: int, kind: int, cpu: int) -> object:
        """Pages and addresses of one's own."""
        machine, cpu = self.machine, self.cpu(cpu)
        try:
            if kind == 0:
                return machine.vmalloc_user(size, cpu=cpu)
            if kind == 1:
                return machine.vmalloc_huge(size, GFP, cpu=cpu)
            return machine.vmalloc(size, GFP, cpu=cpu)
        except PageAllocationFailure:
            return multiple()

    @rule(area=consumes(areas), cpu=cpus, again=st.booleans())
    def vfree(self, area: int, cpu: int, again: bool) -> None:
        """Freed once."""
        self.machine.vfree(area, cpu=self.cpu(cpu))
        if again:
            with pytest.raises(BadFree, match="Trying to vfree"):
                self.machine.vfree(area)

    @rule(target=maps, count=counts, put=st.booleans(), cpu=cpus)
    def vmap(self, count: int, put: bool, cpu: int) -> object:
        """Pages that are there, or given away."""
        machine, cpu = self.machine, self.cpu(cpu)
        pfns = machine.alloc_pages_bulk(GFP, count, cpu=cpu) if put else self.pages[:count]
        if not pfns:
            return multiple()
        try:
            address = machine.vmap(pfns, put_pages=put, cpu=cpu)
        except PageAllocationFailure:
            return multiple()
        assert [machine.vmalloc_to_pfn(address + i * PAGE_SIZE) for i in range(len(pfns))] == pfns
        return address

    @rule(address=consumes(maps), cpu=cpus, pages_too=st.booleans())
    def vunmap(self, address: int, cpu: int, pages_too: bool) -> None:
        """Taken away; pages that were put there go, or are lost."""
        call = self.machine.vfree if pages_too else self.machine.vunmap
        call(address, cpu=self.cpu(cpu))

    @rule(target=device_maps, phys_addr=devices, size=sizes, cpu=cpus)
    def ioremap(self, phys_addr: int, size: int, cpu: int) -> object:
        """Memory of a device."""
        if self.arch != "x86-64":
            phys_addr = 0xFEC0_0123
        try:
            address = self.machine.ioremap(phys_addr, size, cpu=self.cpu(cpu))
        except PageAllocationFailure:
            return multiple()
        last = phys_addr + size - 1
        assert self.machine.vmalloc_to_pfn(address + size - 1) == last // PAGE_SIZE
        return address

    @rule(address=consumes(device_maps), cpu=cpus)
    def iounmap(self, address: int, cpu: int) -> None:
        """Given back."""
        self.machine.iounmap(address, cpu=self.cpu(cpu))

    @rule(target=short_maps, count=counts, cpu=cpus)
    def vm_map_ram(self, count: int, cpu: int) -> object:
        """From a CPU's block, or an area of its own."""
        try:
            address = self.machine.vm_map_ram(self.pages[:count], cpu=self.cpu(cpu))
        except PageAllocationFailure:
            return multiple()
        return address, count

    @rule(mapped=consumes(short_maps), cpu=cpus)
    def vm_unmap_ram(self, mapped: tuple[int, int], cpu: int) -> None:
        """On any CPU."""
        self.machine.vm_unmap_ram(*mapped, cpu=self.cpu(cpu))

    @rule(target=memory, size=st.integers(1, 6 << 20), may_wait=st.booleans(), cpu=cpus)
    def kvmalloc(self, size: int, may_wait: bool, cpu: int) -> object:
        """Memory of either kind."""
        if self.arch != "x86-64":
            return multiple()
        gfp_mask = GFP if may_wait else ATOMIC
        try:
            return self.machine.kvmalloc(size, gfp_mask, cpu=self.cpu(cpu))
        except PageAllocationFailure:
            return multiple()

    @rule(address=consumes(memory), cpu=cpus)
    def kvfree(self, address: int, cpu: int) -> None:
        """Whose it is, its address tells."""
        self.machine.kvfree(address, cpu=self.cpu(cpu))

    @rule(cpu=cpus, aliases=st.booleans())
    def purge(self, cpu: int, aliases: bool) -> None:
        """All that was freed lazily is free."""
        machine = self.machine
        call = machine.vm_unmap_aliases if aliases else machine.purge_vmap_area_lazy
        call(cpu=self.cpu(cpu))
        assert machine.vm.vmalloc.vmap_lazy_nr == 0

    @rule(steps=st.integers(1, 10))
    def undo_and_redo(self, steps: int) -> None:
        """Back some operations and forth again: nothing has changed."""
        before = state_of(self.machine)
        steps = min(steps, len(self.machine.history) - self.begins)
        for _ in range(steps):
            self.machine.undo()
        for _ in range(steps):
            self.machine.redo()
        assert state_of(self.machine) == before

    @invariant()
    def all_holds(self) -> None:
        """The invariants of all allocators."""
        self.machine.validate_vmalloc()
        self.machine.validate()
        if self.arch == "x86-64":
            self.machine.validate_caches()

    def teardown(self) -> None:
        """Undone to the start, the first state is back."""
        while len(self.machine.history) > self.begins:
            self.machine.undo()
        assert state_of(self.machine) == self.first


@pytest.mark.alone
@pytest.mark.parametrize(
    ("nr_cpus", "arch"), [(1, "x86-64"), (2, "x86-64"), (4, "x86-64"), (2, "x86-32")]
)
def test_random_lives_keep_every_invariant(nr_cpus: int, arch: str) -> None:
    kind = type("Vmalloc", (Vmalloc,), {"nr_cpus": nr_cpus, "arch": arch})
    limits = settings(max_examples=12, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(kind, settings=limits)


@pytest.mark.long
@pytest.mark.parametrize(("nr_cpus", "arch"), [(1, "x86-64"), (3, "x86-64"), (1, "x86-32")])
def test_long_lives(nr_cpus: int, arch: str) -> None:
    """The same, 100 lives of a hundred steps."""
    kind = type("Vmalloc", (Vmalloc,), {"nr_cpus": nr_cpus, "arch": arch})
    long = settings(max_examples=100, stateful_step_count=100, deadline=None)
    run_state_machine_as_test(kind, settings=long)
