"""What nobody may ask of vmalloc; where the kernel has words for it, they are used."""

from __future__ import annotations

from collections.abc import Iterable

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, align_down, get_order
from memsim.machine.checks import check_free, listed, whole
from memsim.mm.mmzone import Vm, page_zone
from memsim.mm.pgtable import vmalloc_to_pfn
from memsim.mm.vmalloc.alloc import find_vmap_area
from memsim.mm.vmalloc.area import VmStruct, va_size
from memsim.mm.vmalloc.vm_area import find_vm_area
from memsim.words.errors import BadFree, BadRequest
from memsim.words.vmalloc import VMAP_BLOCK, VMAP_RAM

MAX_PAGES = 1 << 20


def check_address(vm: Vm, address: int, name: str = "address") -> None:
    """BadRequest for a number that is no address of this machine."""
    whole(name, address)
    if not 0 <= address <= vm.vmalloc.layout.ULONG_MAX:
        bits = vm.vmalloc.layout.bits_per_long
        raise BadRequest(f"{name}={address}: should be an address, 0 to 2**{bits} - 1")


def check_range(vm: Vm, start: int, end: int) -> None:
    """BadRequest for a range whose addresses vmalloc's page tables are not for."""
    check_address(vm, start, "start")
    check_address(vm, end, "end")
    lowest = vm.vmalloc.layout.VMALLOC_START
    if start < lowest or start % PAGE_SIZE:
        raise BadRequest(f"start={start:#x}: should be a page's address from {lowest:#x} on")


def shown(vm: Vm, address: int) -> str:
    """An address as %px prints it."""
    return f"{address:0{2 * vm.vmalloc.layout.sizeof_pointer}x}"


def pfns_of(vm: Vm, pages: Iterable[int]) -> list[int]:
    """The pfns in pages. BadRequest if one is no page of this machine, or there is none."""
    pfns = listed("pages", pages, "pfns", MAX_PAGES)
    if not pfns:
        raise BadRequest(f"pages: should be 1 to {MAX_PAGES} pfns")
    for pfn in pfns:
        whole("pages", pfn)
        if page_zone(vm, pfn) is None:
            raise BadRequest(f"pages: pfn {pfn} is in no zone")
    return pfns


def check_put_pages(vm: Vm, pfns: list[int]) -> None:
    """BadFree unless each page is allocated by itself, and is freed once."""
    if len(set(pfns)) != len(pfns):
        raise BadFree("a page is in the area twice, and would be freed twice")
    for pfn in pfns:
        check_free(vm, pfn, 0)


def check_vfree(vm: Vm, address: int, name: str) -> VmStruct:
    """The area at address. BadFree, in the kernel's words, when there is none."""
    if address % PAGE_SIZE:
        raise BadFree(f"Trying to vfree() bad address ({shown(vm, address)})")
    area = find_vm_area(vm, address)
    if area is None:
        raise BadFree(f"Trying to {name}() nonexistent vm area ({shown(vm, address)})")
    if name == "vfree":
        check_put_pages(vm, area.pages[: area.nr_pages])
    return area


def check_unmap_ram(vm: Vm, address: int, count: int) -> None:
    """BadFree unless vm_map_ram() mapped just these pages."""
    layout = vm.vmalloc.layout
    what = f"vm_unmap_ram({shown(vm, address)}, {count})"
    if address % PAGE_SIZE or not layout.VMALLOC_START <= address <= layout.VMALLOC_END:
        raise BadFree(f"{what}: bad address")
    if count < 1:
        raise BadFree(f"{what}: should be 1 page or more")
    found = find_vmap_area(vm, address)
    va = found[1] if found is not None else None
    if va is None or not va.flags & VMAP_RAM:
        raise BadFree(f"{what}: vm_map_ram() gave no such address")
    small = count <= layout.VMAP_MAX_ALLOC
    if small != bool(va.flags & VMAP_BLOCK):
        raise BadFree(f"{what}: another number of pages was mapped there")
    if small:
        _check_in_block(vm, address, count, what)
    elif (va.va_start, va_size(va) >> PAGE_SHIFT) != (address, count):
        raise BadFree(f"{what}: {va_size(va) >> PAGE_SHIFT} pages are mapped at {va.va_start:#x}")


def _check_in_block(vm: Vm, address: int, count: int, what: str) -> None:
    """A block does not know what was mapped together; pages that are not in use it knows."""
    start = align_down(address, vm.vmalloc.layout.VMAP_BLOCK_SIZE)
    vb = vm.vmalloc.vmap_blocks.get(start)
    first, taken = (address - start) >> PAGE_SHIFT, 1 << get_order(count * PAGE_SIZE)
    bits = (1 << taken) - 1 << first
    if vb is None or vb.used_map & bits != bits:
        raise BadFree(f"{what}: not all of these pages are in use")
    mapped = [vmalloc_to_pfn(vm, address + i * PAGE_SIZE) >= 0 for i in range(taken)]
    if mapped != [i < count for i in range(taken)]:
        raise BadFree(f"{what}: another number of pages was mapped there")


def check_ioremap(vm: Vm, phys_addr: int, size: int) -> None:
    """BadRequest for what is no memory of a device: in the kernel's words where it has some."""
    whole("phys_addr", phys_addr)
    whole("size", size)
    last_addr = phys_addr + size - 1
    if phys_addr < 0 or size < 1 or last_addr >> 64:
        raise BadRequest(f"ioremap({phys_addr:#x}, {size}): no bytes, or none below 2**64")
    if phys_addr >> vm.vmalloc.layout.phys_bits:
        raise BadRequest(f"ioremap: invalid physical address {phys_addr:x}")
    if ram_within(vm, phys_addr, last_addr):
        digits = 2 + 2 * vm.vmalloc.layout.sizeof_pointer
        where = f"{phys_addr:#0{digits}x} - {last_addr:#0{digits}x}"
        raise BadRequest(f"ioremap on RAM at {where}")
    step = next((s for s in (30, 21) if phys_addr % (1 << s) == 0 and vm.vmalloc.layout.huge), 12)
    if size >> step > MAX_PAGES:
        raise BadRequest(f"size={size}: takes over {MAX_PAGES} entries of page tables")


def ram_within(vm: Vm, phys_addr: int, last_addr: int) -> bool:
    """Is a whole page of the range RAM that the kernel uses? Kernel: __ioremap_check_ram()."""
    first, end = -(-phys_addr // PAGE_SIZE), (last_addr + 1) // PAGE_SIZE
    return any(max(first, start) < min(end, stop) for start, stop in vm.system_ram)
