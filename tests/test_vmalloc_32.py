"""vmalloc with 32 bits: 104 MiB of addresses behind lowmem, and page tables of two levels."""

from __future__ import annotations

import pytest
from vmalloc_states import state_of

from memsim import GFP_KERNEL, Machine
from memsim.lib.bits import PAGE_SIZE
from memsim.proc.vmallocinfo import parse_vmallocinfo, vmallocinfo_of, write_vmallocinfo
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import __GFP_HIGHMEM
from memsim.words.vmalloc import vmap_bbmap_bits

_MIB = 1 << 20


def booted(ram: str = "1 GiB", cpus: int = 1) -> Machine:
    return Machine(ram, arch="x86-32", cpus=cpus, vmalloc=True)


@pytest.mark.parametrize(
    ("ram", "start"), [("64 MiB", 0xC480_0000), ("1 GiB", 0xF880_0000), ("3 GiB", 0xF880_0000)]
)
def test_addresses_begin_8_mib_behind_lowmem(ram: str, start: int) -> None:
    """Kernel: VMALLOC_START is high_memory + VMALLOC_OFFSET; lowmem ends at 896 MiB."""
    machine = booted(ram)
    assert machine.vmalloc(1) == start
    assert machine.vm.vmalloc.layout.VMALLOC_END == 0xFEFF_E000
    areas = machine.vmap_areas()
    assert (areas[0].va_start, areas[-1].va_end) == (1, 0xFFFF_FFFF)


def test_two_levels_lead_to_a_page_and_an_entry_has_32_bits() -> None:
    machine = booted()
    address = machine.vmalloc(5 * PAGE_SIZE)
    top, pte = machine.walk(address + 4 * PAGE_SIZE)
    assert (top.number, pte.number) == (address >> 22, (address >> 12 & 1023) + 4)
    assert (top.table_pfn, pte.table_pfn) == (-1, top.pfn)
    assert machine.vmalloc_to_pfn(address + 4 * PAGE_SIZE + 9) == pte.pfn
    assert max(top.value, pte.value) < 1 << 32
    assert machine.vm.vmalloc.init_mm.pgd.level == 1


def test_pages_come_from_highmem_and_tables_do_not() -> None:
    machine = booted()
    address = machine.vmalloc(PAGE_SIZE)
    high = machine.zone("HighMem")
    assert machine.vmalloc_to_pfn(address) >= high.zone_start_pfn
    assert machine.walk(address)[0].pfn < high.zone_start_pfn


def test_a_table_spans_4_mib() -> None:
    machine = booted()
    before = len(machine.vm.vmalloc.init_mm.tables)
    machine.vmalloc(6 * _MIB)
    assert len(machine.vm.vmalloc.init_mm.tables) == before + 2, "6 MiB from 0xf8800000 on"


def test_no_entry_of_the_topmost_table_maps_memory() -> None:
    """Kernel: CONFIG_HAVE_ARCH_HUGE_VMAP needs X86_64 or X86_PAE."""
    machine = booted()
    assert machine.walk(machine.vmalloc_huge(8 * _MIB))[-1].level == 0
    address = machine.ioremap(0x8000_0000, 8 * _MIB)
    assert address % (4 * _MIB) == 0, "IOREMAP_MAX_ORDER is 22"
    assert machine.walk(address)[-1].level == 0


def test_blocks_of_vm_map_ram_take_32_pages_at_most() -> None:
    assert vmap_bbmap_bits(32, 8) == vmap_bbmap_bits(64, 8192) == 256
    assert (vmap_bbmap_bits(32, 64), vmap_bbmap_bits(32, 1)) == (64, 1024)
    machine = booted()
    pfns = machine.alloc_pages_bulk(GFP_KERNEL | __GFP_HIGHMEM, 33)
    machine.vm_map_ram(pfns[:32])
    assert len(machine.vm.vmalloc.vmap_blocks) == 1
    machine.vm_map_ram(pfns)
    assert len(machine.vm.vmalloc.vmap_blocks) == 1
    machine.validate_vmalloc()


def test_there_is_one_vmap_node_whatever_cpus_there_are() -> None:
    """Kernel: vmap_init_nodes() makes more with 64 bits only: no pools, either."""
    machine = booted(cpus=4)
    assert machine.vm.vmalloc.nr_vmap_nodes == 1
    machine.vfree(machine.vmalloc(1, cpu=3), cpu=3)
    machine.purge_vmap_area_lazy()
    assert not any(machine.vm.vmalloc.vmap_nodes[0].pool)


def test_addresses_run_out_long_before_memory_does() -> None:
    machine = booted("3 GiB")
    for _ in range(6):
        machine.vmalloc(16 * _MIB)
    with pytest.raises(PageAllocationFailure) as failure:
        machine.vmalloc(16 * _MIB)
    lines = failure.value.report.splitlines()
    assert lines[0] == (
        "vmalloc_node_range for size 16781312 failed: Address range restricted to "
        "0xf8800000 - 0xfeffe000"
    )
    assert "vmalloc error: size 16777216, vm_struct allocation failed" in lines[1]
    machine.validate_vmalloc()


def test_pointers_have_4_bytes() -> None:
    """1024 of them fill a page, from kmalloc(); one more, and the array is vmalloc()'s."""
    machine = booted()
    machine.vmalloc(1024 * PAGE_SIZE)
    assert machine.vm.vmalloc.nr_vmalloc_pages == 1024
    machine.vmalloc(1025 * PAGE_SIZE)
    assert machine.vm.vmalloc.nr_vmalloc_pages == 1024 + 1025 + 2


def test_steps_lead_back_and_forth() -> None:
    machine = booted()
    first = state_of(machine)
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 40)
    areas = machine.vmalloc(70_000), machine.vmap(pfns), machine.ioremap(0xFEC0_0000, 5000)
    machine.vm_unmap_ram(machine.vm_map_ram(pfns[:5]), 5)
    machine.vfree(areas[0])
    machine.vunmap(areas[1])
    machine.iounmap(areas[2])
    machine.vm_unmap_aliases()
    machine.validate()
    machine.validate_vmalloc()
    last, count = state_of(machine), len(machine.history)
    while machine.history:
        machine.undo()
    assert state_of(machine) == first
    for _ in range(count):
        machine.redo()
    assert state_of(machine) == last


def test_vmallocinfo_has_8_digits() -> None:
    machine = booted()
    machine.ioremap(0xFEC0_0000, PAGE_SIZE)
    machine.vmalloc(PAGE_SIZE)
    rows = vmallocinfo_of(machine.vm)
    text = write_vmallocinfo(rows, digits=8)
    assert text == (
        "0xf8800000-0xf8802000    8192 ioremap phys=0xfec00000 ioremap\n"
        "0xf8802000-0xf8804000    8192 vmalloc pages=1 vmalloc N0=1\n"
    )
    assert parse_vmallocinfo(text) == rows


def test_addresses_are_32_bits_and_texts_have_8_digits() -> None:
    machine = booted()
    with pytest.raises(BadRequest, match=r"0 to 2\*\*32 - 1"):
        machine.vfree(1 << 32)
    with pytest.raises(BadRequest, match="size=4294967296: should be 1 byte to 4294967295"):
        machine.vmalloc(1 << 32)
    with pytest.raises(BadRequest, match=r"^ioremap on RAM at 0x10000000 - 0x10000fff$"):
        machine.ioremap(0x1000_0000, PAGE_SIZE)
    with pytest.raises(BadRequest, match=r"^ioremap: invalid physical address 100000000$"):
        machine.ioremap(1 << 32, PAGE_SIZE)
