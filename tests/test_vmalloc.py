"""vmalloc(), vfree(), vm_map_ram(), page tables: addresses to pages and back."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from memsim import Machine
from memsim.lib.bits import PAGE_SIZE
from memsim.mm.pgtable import PMD, PMD_SIZE, PTE
from memsim.mm.vmalloc import block
from memsim.mm.vmalloc.snapshot import vmalloc_lists
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_KERNEL
from memsim.words.vmalloc import (
    VMALLOC_END,
    VMALLOC_START,
    VMAP_BBMAP_BITS,
    VMAP_BLOCK_SIZE,
    VMAP_MAX_ALLOC,
)

KINDS = [{}, {"slab": True}, {"slab": True, "cpus": 2}]


def booted(**description: object) -> Machine:
    return Machine("64 MiB", vmalloc=True, **description)  # type: ignore[arg-type]


def free_pages(machine: Machine) -> int:
    """Free pages of all zones, none of them on a pcp list."""
    machine.drain_all_pages()
    names = ("DMA", "DMA32")
    return sum(nr << order for name in names for order, nr in enumerate(machine.nr_free(name)))


@pytest.mark.parametrize("kind", KINDS)
def test_each_page_of_an_area_is_another_and_the_guard_is_none(kind: dict[str, object]) -> None:
    machine = booted(**kind)
    address = machine.vmalloc(5 * PAGE_SIZE + 1)
    pfns = [machine.vmalloc_to_pfn(address + i * PAGE_SIZE) for i in range(6)]
    assert len(set(pfns)) == 6
    with pytest.raises(BadRequest, match="is not mapped"):
        machine.vmalloc_to_pfn(address + 6 * PAGE_SIZE)
    assert machine.vmalloc(1) == address + 7 * PAGE_SIZE
    machine.vfree(address)
    with pytest.raises(BadRequest, match="is not mapped"):
        machine.vmalloc_to_pfn(address)


def test_a_walk_ends_where_the_page_is() -> None:
    machine = booted()
    address = machine.vmalloc(PAGE_SIZE)
    entries = machine.walk(address)
    assert [entry.level for entry in entries] == [3, 2, 1, 0]
    for above, below in pairwise(entries):
        assert above.pfn == below.table_pfn
    assert [entry.number for entry in entries] == [
        address >> shift & 511 for shift in (39, 30, 21, 12)
    ]
    assert len(machine.walk(VMALLOC_END - PMD_SIZE)) == 2


def test_huge_pages_are_mapped_by_one_entry_and_freed_page_by_page() -> None:
    machine = booted()
    before = free_pages(machine)
    address = machine.vmalloc_huge(2 * PMD_SIZE)
    assert address % PMD_SIZE == 0
    last = machine.walk(address + PMD_SIZE + 3 * PAGE_SIZE)[-1]
    assert last.level == PMD
    assert machine.vmalloc_to_pfn(address + PMD_SIZE + 3 * PAGE_SIZE) == last.pfn + 3
    machine.vfree(address)
    assert free_pages(machine) == before - 2, "a table of pmds stays, and one of ptes"
    machine.validate()


def test_without_blocks_of_2_mib_huge_falls_back_to_single_pages() -> None:
    machine = booted()
    while True:
        try:
            pfn = machine.alloc_pages(GFP_KERNEL, order=9)
        except PageAllocationFailure:
            break
    machine.split_page(pfn)
    for page in range(pfn, pfn + 512):
        machine.free_pages(page)
    held = machine.alloc_pages(GFP_KERNEL)
    for order in (8, 7, 6, 5):
        machine.alloc_pages(GFP_KERNEL, order=order)
    with pytest.raises(PageAllocationFailure) as failure:
        machine.vmalloc_huge(PMD_SIZE)
    assert "failed to allocate pages" in failure.value.report
    machine.free_pages(held)
    machine.validate()
    machine.validate_vmalloc()


@pytest.mark.parametrize("kind", KINDS)
def test_steps_lead_back_and_forth(kind: dict[str, object]) -> None:
    machine = booted(**kind)
    chance = random.Random(3)
    first = machine.snapshot(), vmalloc_lists(machine.vm.vmalloc)
    live: list[int] = []
    for _ in range(60):
        cpu = chance.randrange(machine.vm.nr_cpus)
        if live and chance.random() < 0.45:
            machine.vfree(live.pop(chance.randrange(len(live))), cpu=cpu)
        elif chance.random() < 0.1:
            machine.purge_vmap_area_lazy(cpu=cpu)
        else:
            live.append(machine.vmalloc(chance.randrange(1, 40) * 1000, cpu=cpu))
        machine.validate_vmalloc()
    last = machine.snapshot(), vmalloc_lists(machine.vm.vmalloc)
    count = len(machine.history)
    while machine.history:
        machine.undo()
    assert (machine.snapshot(), vmalloc_lists(machine.vm.vmalloc)) == first
    for _ in range(count):
        machine.redo()
    assert (machine.snapshot(), vmalloc_lists(machine.vm.vmalloc)) == last
    machine.validate_vmalloc()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (VMALLOC_START + 8, r"Trying to vfree\(\) bad address \(ffffc90000000008\)"),
        (VMALLOC_START, r"Trying to vfree\(\) nonexistent vm area \(ffffc90000000000\)"),
    ],
)
def test_a_wrong_vfree_is_refused_in_the_kernels_words(address: int, message: str) -> None:
    machine = booted()
    before = machine.snapshot()
    with pytest.raises(BadFree, match=message):
        machine.vfree(address)
    assert machine.snapshot() == before


def test_what_cannot_be_had_says_why_as_the_kernel_logs_it() -> None:
    machine = booted()
    with pytest.raises(PageAllocationFailure) as failure:
        machine.vmalloc(1 << 30)
    assert failure.value.report.startswith(
        "memsim: vmalloc error: size 1073741824, exceeds total pages, mode:0xcc0(GFP_KERNEL), "
        "nodemask=(null),cpuset=/,mems_allowed=0\nMem-Info:\n"
    )
    before = vmalloc_lists(machine.vm.vmalloc)
    with pytest.raises(PageAllocationFailure) as failure:
        machine.vmalloc(54 << 20)
    assert "vmalloc error: size " in failure.value.report
    assert (
        ", failed to allocate pages, mode:0xcc2(GFP_KERNEL|__GFP_HIGHMEM)" in failure.value.report
    )
    machine.purge_vmap_area_lazy()
    assert vmalloc_lists(machine.vm.vmalloc)["free"] == before["free"]
    machine.validate()


@pytest.mark.parametrize("size", [0, -1, 1 << 64])
def test_sizes_that_cannot_be_are_refused(size: int) -> None:
    with pytest.raises(BadRequest, match="size"):
        booted().vmalloc(size)


def test_a_machine_without_vmalloc_says_so() -> None:
    with pytest.raises(BadRequest, match="boot it with vmalloc=True"):
        Machine("64 MiB").vmalloc(1)


def test_vm_map_ram_hands_a_block_out_page_by_page() -> None:
    machine = booted()
    vm, pfn = machine.vm, machine.alloc_pages(GFP_KERNEL, order=6)
    pages = range(pfn, pfn + 64)
    first = block.vm_map_ram(vm, pages[:3])
    assert first % VMAP_BLOCK_SIZE == 0
    assert block.vm_map_ram(vm, pages[:1]) == first + 4 * PAGE_SIZE, "sizes are powers of two"
    assert machine.vmalloc_to_pfn(first + 2 * PAGE_SIZE) == pfn + 2
    assert block.vm_unmap_ram(vm, first, 3)
    assert len(machine.walk(first)) - 1 == PMD - PTE + 2
    with pytest.raises(BadRequest, match="is not mapped"):
        machine.vmalloc_to_pfn(first)
    later = [block.vm_map_ram(vm, pages) for _ in range(VMAP_BBMAP_BITS // VMAP_MAX_ALLOC)]
    assert later[-1] // VMAP_BLOCK_SIZE == first // VMAP_BLOCK_SIZE + 1


def test_a_block_is_freed_when_all_its_pages_came_back() -> None:
    machine = booted()
    vm, pfn = machine.vm, machine.alloc_pages(GFP_KERNEL, order=6)
    pages = range(pfn, pfn + 64)
    mapped = [block.vm_map_ram(vm, pages) for _ in range(VMAP_BBMAP_BITS // VMAP_MAX_ALLOC)]
    for address in mapped[1:]:
        assert block.vm_unmap_ram(vm, address, len(pages))
    assert len(vm.vmalloc.vmap_blocks) == 1
    assert block.vm_unmap_ram(vm, mapped[0], len(pages))
    assert not vm.vmalloc.vmap_blocks
    assert vm.vmalloc.vmap_lazy_nr == VMAP_BBMAP_BITS
    machine.validate_vmalloc()


def test_vm_unmap_aliases_frees_blocks_that_are_mostly_used_up() -> None:
    """Kernel: purge_fragmented_block(): only below a quarter of free pages, unless forced."""
    machine = booted()
    vm, pfn = machine.vm, machine.alloc_pages(GFP_KERNEL, order=6)
    pages = range(pfn, pfn + 64)
    block.vm_unmap_ram(vm, block.vm_map_ram(vm, pages), 64)
    flushes = vm.vmalloc.nr_tlb_flushes
    block.vm_unmap_aliases(vm)
    assert (len(vm.vmalloc.vmap_blocks), vm.vmalloc.nr_tlb_flushes) == (1, flushes + 1)
    for count in (64, 64, 1):
        block.vm_unmap_ram(vm, block.vm_map_ram(vm, pages[:count]), count)
    block.vm_unmap_aliases(vm)
    assert not vm.vmalloc.vmap_blocks
    assert not vm.vmalloc.vmap_lazy_nr
    machine.validate_vmalloc()


def test_an_exhausted_range_gives_up_its_blocks() -> None:
    machine = booted()
    vm, pfn = machine.vm, machine.alloc_pages(GFP_KERNEL)
    block.vm_unmap_ram(vm, block.vm_map_ram(vm, [pfn]), 1)
    from memsim.mm.vmalloc.block_purge import reclaim_and_purge_vmap_areas

    reclaim_and_purge_vmap_areas(vm)
    assert not vm.vmalloc.vmap_blocks
    machine.validate_vmalloc()
