"""What callers may ask of vmalloc: vmap(), ioremap(), vm_map_ram(), kvmalloc(), and what not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from vmalloc_states import state_of

from memsim import GFP_KERNEL, Machine
from memsim.lib.bits import PAGE_SIZE
from memsim.mm.pgtable import PMD, PMD_SIZE, PTE, PUD
from memsim.mm.vmalloc.vm_area import find_vm_area
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import __GFP_NOWARN, __GFP_ZERO, GFP_ATOMIC
from memsim.words.slab import PAGE_OFFSET
from memsim.words.vmalloc import (
    INT_MAX,
    MODULES_END,
    MODULES_VADDR,
    ULONG_MAX,
    VM_MAP,
    VM_NO_GUARD,
    VM_USERMAP,
    VMALLOC_END,
    VMALLOC_START,
    VMAP_BLOCK_SIZE,
)

KINDS = [{}, {"slab": True}, {"slab": True, "cpus": 2}]
_GIB = 1 << 30


def booted(**description: Any) -> Machine:
    return Machine("64 MiB", vmalloc=True, **description)


def check(machine: Machine) -> None:
    machine.validate()
    machine.validate_vmalloc()


def goes_back(machine: Machine, first: object) -> None:
    """Undone to the start, everything is as it was; and done again, as it became."""
    last, count = state_of(machine), len(machine.history)
    while machine.history:
        machine.undo()
    assert state_of(machine) == first
    for _ in range(count):
        machine.redo()
    assert state_of(machine) == last
    check(machine)


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_to_ask_goes_back_and_forth(kind: dict[str, object]) -> None:
    machine = booted(**kind)
    first = state_of(machine)
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 70)
    areas = [machine.vmalloc_user(5000), machine.vzalloc(9000), machine.vmalloc_huge(PMD_SIZE)]
    maps = [machine.vmap(pfns), machine.vmap(pfns[:1])]
    devices = [machine.ioremap(0xFEC0_0000, 4096), machine.ioremap(0x1_0000_0000, 3 << 20)]
    small, large = machine.vm_map_ram(pfns[:3]), machine.vm_map_ram(pfns)
    check(machine)
    for address in areas:
        machine.vfree(address)
    for address in maps:
        machine.vunmap(address)
    for address in devices:
        machine.iounmap(address)
    machine.vm_unmap_ram(small, 3)
    machine.vm_unmap_ram(large, 70)
    machine.vm_unmap_aliases()
    machine.purge_vmap_area_lazy()
    check(machine)
    goes_back(machine, first)


def test_vmalloc_user_is_zeroed_and_may_be_mapped_by_processes() -> None:
    machine = booted()
    area = find_vm_area(machine.vm, machine.vmalloc_user(100))
    assert area is not None
    assert area.flags & VM_USERMAP
    name = machine.history[-1].name
    assert name == "vmalloc_user(100, GFP_KERNEL|__GFP_ZERO)"
    machine.vzalloc(100)
    assert machine.history[-1].name == "vzalloc(100, GFP_KERNEL|__GFP_ZERO)"
    assert GFP_KERNEL | __GFP_ZERO == 0xDC0


def test_vmap_maps_the_callers_pages_in_its_order_and_leaves_them_to_it() -> None:
    machine = booted()
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 600)[::-1]
    address = machine.vmap(pfns)
    area = find_vm_area(machine.vm, address)
    assert area is not None
    assert (area.flags, area.nr_pages, area.size) == (VM_MAP, 0, 601 * PAGE_SIZE)
    assert [machine.vmalloc_to_pfn(address + i * PAGE_SIZE) for i in range(600)] == pfns
    machine.vunmap(address)
    for pfn in pfns:
        machine.free_pages(pfn)
    check(machine)


def test_pages_put_into_vmap_are_freed_by_vfree() -> None:
    machine = booted()
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 3)
    counted = machine.vm.vmalloc.nr_vmalloc_pages
    machine.vfree(machine.vmap(pfns, put_pages=True))
    assert machine.vm.vmalloc.nr_vmalloc_pages == counted, "they were never vmalloc's"
    for pfn in pfns:
        with pytest.raises(BadFree):
            machine.free_pages(pfn)


def test_vfree_takes_a_mapping_away_and_no_pages() -> None:
    machine = booted()
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 3)
    machine.vfree(machine.vmap(pfns))
    for pfn in pfns:
        machine.free_pages(pfn)


def test_vunmap_of_what_vmalloc_gave_loses_the_pages() -> None:
    """Kernel: vunmap() looks at no flag, and frees nothing but the vm_struct."""
    machine = booted()
    address = machine.vmalloc(3 * PAGE_SIZE)
    pfns = [machine.vmalloc_to_pfn(address + i * PAGE_SIZE) for i in range(3)]
    machine.vunmap(address)
    assert machine.vm.vmalloc.nr_vmalloc_pages == 3
    for pfn in pfns:
        machine.free_pages(pfn)
    check(machine)


def test_ioremap_keeps_the_offset_in_the_page_and_aligns_by_size() -> None:
    machine = booted()
    address = machine.ioremap(0xFED0_0123, 0x5000)
    assert (address % PAGE_SIZE, (address - 0x123) % 0x8000) == (0x123, 0), "six pages, so eight"
    assert machine.vmalloc_to_pfn(address) == 0xFED00
    assert machine.vmalloc_to_pfn(address + 0x5000) == 0xFED05
    entry = machine.walk(address)[-1]
    assert entry.value & 1 << 4, "uncached"
    machine.iounmap(address + 0x10)
    with pytest.raises(BadRequest, match="is not mapped"):
        machine.vmalloc_to_pfn(address)


@pytest.mark.parametrize(
    ("phys_addr", "size", "levels"),
    [
        (4 * _GIB, 2 * _GIB, {PUD}),
        (4 * _GIB, _GIB + PMD_SIZE + PAGE_SIZE, {PUD, PMD, PTE}),
        (4 * _GIB + PMD_SIZE, 2 * PMD_SIZE, {PMD}),
        (4 * _GIB + PAGE_SIZE, 2 * PMD_SIZE, {PTE}),
    ],
)
def test_ioremap_uses_entries_as_large_as_both_addresses_allow(
    phys_addr: int, size: int, levels: set[int]
) -> None:
    machine = booted()
    first = state_of(machine)
    address = machine.ioremap(phys_addr, size)
    ends = {machine.walk(address + offset)[-1].level for offset in range(0, size, PAGE_SIZE * 64)}
    ends.add(machine.walk(address + size - 1)[-1].level)
    assert ends == levels
    assert machine.vmalloc_to_pfn(address + size - 1) == phys_addr + size - 1 >> 12
    check(machine)
    machine.iounmap(address)
    check(machine)
    goes_back(machine, first)


@pytest.mark.parametrize("shift", [21, 30])
def test_tables_make_way_for_a_large_entry_and_all_cpus_forget_them(shift: int) -> None:
    """Kernel: pmd_free_pte_page(), pud_free_pmd_page(): a flush, and the pages go back."""
    machine = booted()
    first = state_of(machine)
    machine.vfree(machine.vmalloc(1))
    machine.purge_vmap_area_lazy()
    tables, flushes = len(machine.vm.vmalloc.init_mm.tables), machine.vm.vmalloc.nr_tlb_flushes
    address = machine.ioremap(4 * _GIB, 1 << shift)
    assert address == VMALLOC_START
    assert machine.walk(address)[-1].level == (PMD if shift == 21 else PUD)
    assert len(machine.vm.vmalloc.init_mm.tables) == tables - (1 if shift == 21 else 2)
    assert machine.vm.vmalloc.nr_tlb_flushes == flushes + 1
    check(machine)
    goes_back(machine, first)


def test_areas_of_early_boot_lie_where_a_recorded_kernel_had_them() -> None:
    """The first rows of net_loopback's /proc/vmallocinfo."""
    machine = Machine("512 MiB", vmalloc=True, slab=True)
    pages = machine.alloc_pages_bulk(GFP_KERNEL, 4)
    assert machine.vmap(pages) == 0xFFFF_C900_0000_0000
    assert machine.ioremap(0x3FFE_2000, 4096) == 0xFFFF_C900_0000_5000
    assert machine.ioremap(0x3FFE_0000, 0x3000) == 0xFFFF_C900_0000_8000
    assert machine.ioremap(0xFED0_0000, 1024) == 0xFFFF_C900_0000_C000
    assert machine.vmalloc(8) == 0xFFFF_C900_0000_E000


def test_modules_get_addresses_of_their_own_range() -> None:
    machine = booted()
    address = machine.vmalloc_node_range(5000, PAGE_SIZE, MODULES_VADDR, MODULES_END)
    assert address == MODULES_VADDR
    assert machine.walk(address)[0].number == 511
    check(machine)
    machine.vfree(address)
    check(machine)


def test_without_a_guard_page_areas_touch() -> None:
    machine = booted()
    limits = VMALLOC_START, VMALLOC_END
    first = machine.vmalloc_node_range(PAGE_SIZE, 1, *limits, vm_flags=VM_NO_GUARD)
    assert machine.vmalloc(1) == first + PAGE_SIZE


def test_kvmalloc_goes_on_with_vmalloc_and_kvfree_knows_which() -> None:
    machine = booted(slab=True)
    kept = state_of(machine)
    small, large = machine.kvmalloc(100), machine.kvmalloc(5 << 20)
    assert small >= PAGE_OFFSET
    assert small < VMALLOC_START <= large < VMALLOC_END
    assert large % PMD_SIZE == 0, "VM_ALLOW_HUGE_VMAP"
    machine.kvfree(large)
    machine.kvfree(small)
    machine.kvfree(0)
    check(machine)
    goes_back(machine, kept)


def test_kvmalloc_of_who_may_not_wait_or_asks_too_much_is_kmalloc_alone() -> None:
    machine = booted(slab=True)
    areas = len(machine.vmap_areas())
    for size, gfp_mask in ((5 << 20, GFP_ATOMIC), (INT_MAX + 1, GFP_KERNEL)):
        with pytest.raises(PageAllocationFailure) as failure:
            machine.kvmalloc(size, gfp_mask)
        assert failure.value.report == ""
    with pytest.raises(PageAllocationFailure) as failure:
        machine.kvmalloc(INT_MAX)
    assert "vmalloc error: size 2147483647, exceeds total pages" in failure.value.report
    assert len(machine.vmap_areas()) == areas


def take_all(call: Callable[[], int]) -> int:
    """Ask until there is no more: how often it was given."""
    for count in itertools.count():
        try:
            call()
        except PageAllocationFailure:
            return count
    raise AssertionError


def refused(
    machine: Machine, call: Callable[..., object], message: str, *arguments: object
) -> None:
    """It is refused with this text, and nothing has changed."""
    before, operations = state_of(machine), len(machine.history)
    with pytest.raises((BadFree, BadRequest), match=message) as refusal:
        call(*arguments)
    assert "\n" not in str(refusal.value)
    assert (state_of(machine), len(machine.history)) == (before, operations)


@pytest.mark.parametrize("kind", [{}, {"slab": True, "cpus": 2}])
def test_what_is_wrong_to_give_back_is_refused_and_changes_nothing(kind: dict[str, object]) -> None:
    machine = booted(**kind)
    address, gone = machine.vmalloc(5000), machine.vmalloc(5000)
    machine.vfree(gone)
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 70)
    small, large = machine.vm_map_ram(pfns[:3]), machine.vm_map_ram(pfns)
    hexed = f"{gone:016x}"
    for name in ("vfree", "vunmap"):
        call = getattr(machine, name)
        refused(machine, call, r"Trying to vfree\(\) bad address \(ffff", address + 1)
        text = rf"Trying to {name}\(\) nonexistent vm area"
        refused(machine, call, rf"{text} \({hexed}\)", gone)
        for foreign in (small, large, PAGE_OFFSET, VMALLOC_START - PAGE_SIZE, PAGE_SIZE):
            refused(machine, call, text, foreign)
        refused(machine, call, "should be an address", -PAGE_SIZE)
        refused(machine, call, "should be a whole number", "x")
    refused(machine, lambda: machine.iounmap(gone + 5), f"iounmap: bad address {hexed}")
    refused(machine, lambda: machine.iounmap(0), "no address that ioremap")
    unmap = machine.vm_unmap_ram
    refused(machine, lambda: unmap(small, 4), "another number of pages")
    refused(machine, lambda: unmap(small, 65), "another number of pages")
    refused(machine, lambda: unmap(small + 8 * PAGE_SIZE, 1), "not all of these pages are in use")
    refused(machine, lambda: unmap(large, 69), "70 pages are mapped")
    refused(machine, lambda: unmap(large + PAGE_SIZE, 70), "70 pages are mapped")
    refused(machine, lambda: unmap(address, 2), "gave no such address")
    refused(machine, lambda: unmap(small + 1, 3), "bad address")
    refused(machine, lambda: unmap(small, 0), "1 page or more")
    refused(machine, lambda: unmap(0, 1), "bad address")
    unmap(small, 3)
    refused(machine, lambda: unmap(small, 3), "not all of these pages are in use")


def test_what_is_wrong_to_ask_is_refused_and_changes_nothing() -> None:
    machine = booted(slab=True)
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 2)
    block = machine.alloc_pages(GFP_KERNEL, order=1)
    in_range = VMALLOC_START, VMALLOC_END
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: machine.vmap([]), "should be 1 to"),
        (lambda: machine.vmap(5), "should be a list of pfns"),  # type: ignore[arg-type]
        (lambda: machine.vmap([1 << 40]), "is in no zone"),
        (lambda: machine.vmap(["a"]), "should be a whole number"),  # type: ignore[list-item]
        (lambda: machine.vmap([pfns[0]] * 2, put_pages=True), "is in the area twice"),
        (lambda: machine.vmap([block], put_pages=True), "allocated with order 1"),
        (lambda: machine.vm_map_ram([]), "should be 1 to"),
        (lambda: machine.vm_map_ram(pfns, nid=3), "nid=3"),
        (lambda: machine.ioremap(0x200_0000, 4096), "^ioremap on RAM at 0x0000000002000000 - 0x"),
        (lambda: machine.ioremap(0xFFF, 0x200_0000), "^ioremap on RAM at"),
        (lambda: machine.ioremap(1 << 46, 1), "^ioremap: invalid physical address 400000000000$"),
        (lambda: machine.ioremap(0xFEC0_0000, 0), "no bytes"),
        (lambda: machine.ioremap(-1, 5), "no bytes"),
        (lambda: machine.ioremap(ULONG_MAX, 2), "none below"),
        (lambda: machine.ioremap(_GIB + 4096, 1 << 40), "entries of page tables"),
        (lambda: machine.vmalloc_node_range(1, 1, 5, VMALLOC_END), "should be a page's address"),
        (lambda: machine.vmalloc_node_range(1, 1, VMALLOC_START + 1, VMALLOC_END), "start="),
        (lambda: machine.vmalloc_node_range(1, -1, *in_range), "align=-1"),
        (lambda: machine.vmalloc_node_range(1, 1, *in_range, vm_flags=VM_MAP), "vm_flags"),
        (lambda: machine.vmalloc_node_range(-1, 1, *in_range), "size=-1"),
        (lambda: machine.vmalloc(1, 7), "exclude each other"),
        (lambda: machine.vzalloc(0), "size=0"),
        (lambda: machine.vmalloc_user(1, cpu=1), "cpu=1"),
        (lambda: machine.kvmalloc(-1), "size=-1"),
        (lambda: machine.kvfree(5), "address 0x5"),
    ]
    for call, message in wrong:
        refused(machine, call, message)


def test_pages_that_something_lies_on_are_not_freed_under_it() -> None:
    machine = booted()
    address = machine.vmalloc(2 * PAGE_SIZE)
    table = machine.walk(address)[-1].table_pfn
    refused(machine, lambda: machine.free_pages(table), "is a page table of the kernel")
    machine.free_pages(machine.vmalloc_to_pfn(address))
    refused(machine, lambda: machine.vfree(address), "is not the first page of an allocated block")


@pytest.mark.parametrize(
    ("size", "align", "start", "end", "lines"),
    [
        (ULONG_MAX, 1, VMALLOC_START, VMALLOC_END, [f"size {ULONG_MAX}, exceeds total pages"]),
        (4096, 3, VMALLOC_START, VMALLOC_END, ["size 4096, vm_struct allocation failed"]),
        (4096, 0, VMALLOC_START, VMALLOC_END, ["size 4096, vm_struct allocation failed"]),
        (
            4096, 1, VMALLOC_START + 4096, VMALLOC_START,
            [
                "vmalloc_node_range for size 8192 failed: Address range restricted to "
                "0xffffc90000001000 - 0xffffc90000000000",
                "size 4096, vm_struct allocation failed",
            ],
        ),
        (
            4096, 1, VMALLOC_START, VMALLOC_START + 4096,
            ["Address range restricted to 0xffffc90000000000 - 0xffffc90000001000", "size 4096"],
        ),
    ],
)  # fmt: skip
def test_ranges_that_give_nothing_say_it_as_the_kernel_does(
    size: int, align: int, start: int, end: int, lines: list[str]
) -> None:
    machine = booted(slab=True)
    machine.vmalloc_node_range(1, 1, VMALLOC_START, VMALLOC_END)
    free = [(va.va_start, va.va_end) for va in machine.vmap_areas()]
    with pytest.raises(PageAllocationFailure) as failure:
        machine.vmalloc_node_range(size, align, start, end)
    places = [failure.value.report.index(line) for line in lines]
    assert places == sorted(places)
    assert [(va.va_start, va.va_end) for va in machine.vmap_areas()] == free
    with pytest.raises(PageAllocationFailure) as failure:
        machine.vmalloc_node_range(size, align, start, end, GFP_KERNEL | __GFP_NOWARN)
    assert failure.value.report == ""
    check(machine)


def test_an_exhausted_range_is_purged_and_then_used_again() -> None:
    machine = booted(slab=True)
    limits = VMALLOC_START + _GIB, VMALLOC_START + _GIB + 4 * PAGE_SIZE
    first, second = (machine.vmalloc_node_range(1, 1, *limits) for _ in range(2))
    before = machine.vm.vmalloc.nr_tlb_flushes
    with pytest.raises(PageAllocationFailure):
        machine.vmalloc_node_range(1, 1, *limits)
    assert machine.vm.vmalloc.nr_tlb_flushes == before, "nothing was freed lazily"
    machine.vfree(first)
    assert machine.vmalloc_node_range(1, 1, *limits) == first
    assert machine.vm.vmalloc.nr_tlb_flushes == before + 1
    assert second == first + 2 * PAGE_SIZE


def test_memory_that_the_kernel_keeps_for_itself_may_be_remapped() -> None:
    """Kernel: __ioremap_check_ram() lets pages be that are PageReserved, and parts of pages."""
    machine = booted()
    assert machine.vmalloc_to_pfn(machine.ioremap(0x100_0000, PAGE_SIZE)) == 0x1000
    assert machine.vmalloc_to_pfn(machine.ioremap(0xA_0000, 0x2_0000)) == 0xA0
    assert machine.vmalloc_to_pfn(machine.ioremap(0x200_0001, PAGE_SIZE - 1)) == 0x2000


def test_more_pages_than_there_are_are_not_mapped() -> None:
    """Kernel: vmap() returns NULL, and says nothing."""
    machine = booted()
    pfn = machine.alloc_pages(GFP_KERNEL)
    before = state_of(machine)
    with pytest.raises(PageAllocationFailure) as failure:
        machine.vmap([pfn] * 20_000)
    assert (failure.value.report, state_of(machine)) == ("", before)


def test_memory_that_runs_out_while_mapping_is_all_given_back() -> None:
    machine = booted()
    held = machine.alloc_pages_bulk(GFP_KERNEL, 12_000)
    take_all(lambda: machine.alloc_pages(GFP_KERNEL))
    with pytest.raises(PageAllocationFailure):
        machine.ioremap(64 * _GIB + PAGE_SIZE, 64 << 20)
    with pytest.raises(PageAllocationFailure):
        machine.vm_map_ram(held[:1])
    check(machine)
    assert machine.vm.vmalloc.nr_tlb_flushes == 1, "so large an area is purged at once"
    (block,) = machine.vm.vmalloc.vmap_blocks.values()
    assert (block.dirty, block.used_map) == (1, 0)


def test_flushes_are_counted_where_the_kernel_makes_them() -> None:
    """Kernel: __purge_vmap_area_lazy(), _vm_unmap_aliases(); unmapping alone flushes nothing."""
    machine = booted()
    state = machine.vm.vmalloc
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 4)
    machine.vfree(machine.vmalloc(1))
    machine.vunmap(machine.vmap(pfns))
    machine.vm_unmap_ram(machine.vm_map_ram(pfns), 4)
    assert state.nr_tlb_flushes == 0
    machine.purge_vmap_area_lazy()
    assert state.nr_tlb_flushes == 1
    machine.purge_vmap_area_lazy()
    assert state.nr_tlb_flushes == 1, "there was nothing to purge"
    machine.vm_unmap_aliases()
    assert state.nr_tlb_flushes == 2, "four pages of a block"
    machine.vm_unmap_aliases()
    assert state.nr_tlb_flushes == 2
    machine.vfree(machine.vmalloc(1))
    machine.vm_unmap_ram(machine.vm_map_ram(pfns[:1]), 1)
    machine.vm_unmap_aliases()
    assert state.nr_tlb_flushes == 3, "one flush does for both"
    event = machine.events()[-1].event
    assert event.NAME == "purge_vmap_area_lazy"
    assert event.end - event.start > VMAP_BLOCK_SIZE - 8 * PAGE_SIZE, "from the area to the block"
