"""Pages that the caller has, mapped: vmap() and vunmap(); memory of devices: ioremap().

Kernel: mm/vmalloc.c vmap(), vunmap(), ioremap_page_range(), arch/x86/mm/ioremap.c
"""

from __future__ import annotations

from collections.abc import Sequence

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, align_down, align_up
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import PAGE_KERNEL_IO, PUD_SHIFT
from memsim.mm.vmalloc.area import VmStruct
from memsim.mm.vmalloc.map import vmap_page_range, vmap_pages_range
from memsim.mm.vmalloc.vm_area import (
    free_vm_area,
    free_vm_struct,
    get_vm_area_node,
    get_vm_area_size,
    remove_vm_area,
)
from memsim.mm.vmalloc.vmalloc import totalram_pages
from memsim.words.slab import NULL_PTR
from memsim.words.vmalloc import VM_IOREMAP, VM_MAP_PUT_PAGES


def get_vm_area(vm: Vm, size: int, flags: int, caller: str) -> VmStruct | None:
    """Addresses alone. Kernel: mm/vmalloc.c get_vm_area_caller()."""
    layout = vm.vmalloc.layout
    limits = layout.VMALLOC_START, layout.VMALLOC_END
    return get_vm_area_node(vm, size, 1, PAGE_SHIFT, flags, *limits, caller=caller)


def vmap(vm: Vm, pages: Sequence[int], flags: int, array: int = NULL_PTR) -> int:
    """Map pages, which are pfns, one behind the other: the address, or NULL_PTR.

    With VM_MAP_PUT_PAGES vfree() frees the pages, and array, which holds their pointers.
    Kernel: mm/vmalloc.c vmap()
    """
    if len(pages) > totalram_pages(vm):
        return NULL_PTR
    area = get_vm_area(vm, len(pages) * PAGE_SIZE, flags, "vmap")
    if area is None:
        return NULL_PTR
    if vmap_pages_range(vm, area.addr, pages, PAGE_SHIFT):
        vunmap(vm, area.addr)
        return NULL_PTR
    if flags & VM_MAP_PUT_PAGES:
        area.pages, area.nr_pages, area.array = list(pages), len(pages), array
    return area.addr


def vunmap(vm: Vm, addr: int) -> bool:
    """Take a mapping away, whose pages stay; NULL_PTR is nothing. False: there is no such area.

    An area of vmalloc() is taken too, and its pages are lost. Kernel: mm/vmalloc.c vunmap()
    """
    if addr == NULL_PTR:
        return True
    area = remove_vm_area(vm, addr)
    if area is None:
        return False
    free_vm_struct(vm, area)
    return True


def ioremap(vm: Vm, phys_addr: int, size: int) -> int:
    """Map memory of a device, which need not begin at a page: its address, or NULL_PTR.

    NOT MODELLED: which kinds of caching the range has already (memtype_reserve()); whether it is
    that of one device (iomem_map_sanity_check()); encrypted memory.
    Kernel: arch/x86/mm/ioremap.c __ioremap_caller(), mm/vmalloc.c ioremap_page_range()
    """
    offset = phys_addr % PAGE_SIZE
    first = phys_addr - offset
    area = get_vm_area(vm, align_up(phys_addr + size, PAGE_SIZE) - first, VM_IOREMAP, "ioremap")
    if area is None:
        return NULL_PTR
    area.phys_addr = first
    end = area.addr + get_vm_area_size(area)
    shift = PUD_SHIFT if vm.vmalloc.layout.huge else PAGE_SHIFT
    if vmap_page_range(vm, area.addr, end, first >> PAGE_SHIFT, shift, PAGE_KERNEL_IO):
        free_vm_area(vm, area)
        return NULL_PTR
    return area.addr + offset


def iounmap(vm: Vm, addr: int) -> bool:
    """Take back what ioremap() gave. False: there is no such area. Kernel: iounmap()."""
    return vunmap(vm, align_down(addr, PAGE_SIZE))
