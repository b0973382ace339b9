"""Areas with a struct vm_struct, which says what they are for: what all callers of vmalloc get.

Kernel: mm/vmalloc.c __get_vm_area_node(), find_vm_area(), remove_vm_area(), free_vm_area()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, align_up, clamp
from memsim.mm.kmalloc import kfree, kmalloc
from memsim.mm.mmzone import Vm
from memsim.mm.vmalloc.alloc import alloc_vmap_area, find_unlink_vmap_area, find_vmap_area
from memsim.mm.vmalloc.area import VmStruct
from memsim.mm.vmalloc.lazy import free_vmap_area_noflush
from memsim.mm.vmalloc.map import vunmap_range_noflush
from memsim.mm.vmalloc.update import set_vm_struct
from memsim.words.gfp import __GFP_ZERO, GFP_KERNEL, GFP_RECLAIM_MASK
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE
from memsim.words.vmalloc import VM_IOREMAP, VM_NO_GUARD

SIZEOF_VM_STRUCT = 64


def get_vm_area_node(
    vm: Vm, size: int, align: int, shift: int, flags: int, start: int, end: int,
    node: int = NUMA_NO_NODE, gfp_mask: int = GFP_KERNEL, caller: str = "",
) -> VmStruct | None:  # fmt: skip
    """An area of size bytes, rounded up to 2**shift, and a guard page; None when there is none.

    Kernel: mm/vmalloc.c __get_vm_area_node()
    """
    requested_size = size
    size = align_up(size, 1 << shift)
    if not size:
        return None
    if flags & VM_IOREMAP:
        align = 1 << clamp((size - 1).bit_length(), PAGE_SHIFT, vm.vmalloc.layout.IOREMAP_MAX_ORDER)
    area = _new_vm_struct(vm, flags, caller, requested_size, gfp_mask, node)
    if area is None:
        return None
    if not flags & VM_NO_GUARD:
        size += PAGE_SIZE
    va = alloc_vmap_area(vm, size, align, start, end, gfp_mask, node)
    if isinstance(va, int):
        _free_struct(vm, area.object)
        return None
    area.addr, area.size = va.va_start, size
    set_vm_struct(vm.vmalloc, va, area)
    return area


def _new_vm_struct(
    vm: Vm, flags: int, caller: str, requested_size: int, gfp_mask: int, node: int
) -> VmStruct | None:
    state = vm.vmalloc
    area = VmStruct(len(state.vm_structs), flags, caller, requested_size)
    if state.vmap_area_cachep is not None:
        gfp = gfp_mask & GFP_RECLAIM_MASK | __GFP_ZERO
        area.object = kmalloc(vm, SIZEOF_VM_STRUCT, gfp, node)
        if area.object == NULL_PTR:
            return None
    state.vm_structs.append(area)
    return area


def _free_struct(vm: Vm, object: int) -> None:
    if object:
        kfree(vm, object)


def get_vm_area_size(area: VmStruct) -> int:
    """Bytes without the guard page. Kernel: include/linux/vmalloc.h get_vm_area_size()."""
    return area.size if area.flags & VM_NO_GUARD else area.size - PAGE_SIZE


def find_vm_area(vm: Vm, addr: int) -> VmStruct | None:
    """What the area that holds addr is for. Kernel: mm/vmalloc.c find_vm_area()."""
    found = find_vmap_area(vm, addr)
    return None if found is None else found[1].vm


def remove_vm_area(vm: Vm, addr: int) -> VmStruct | None:
    """Unmap the area that holds addr, and free its addresses lazily.

    None for an address that is not a page's, or in no such area.
    NOT MODELLED: with debug_pagealloc all CPUs forget the addresses at once.
    Kernel: remove_vm_area(), free_unmap_vmap_area()
    """
    if addr % PAGE_SIZE:
        return None
    va = find_unlink_vmap_area(vm, addr)
    if va is None or va.vm is None:
        return None
    area = va.vm
    vunmap_range_noflush(vm, va.va_start, va.va_end)
    free_vmap_area_noflush(vm, va)
    return area


def free_vm_struct(vm: Vm, area: VmStruct) -> None:
    """Free the struct of an area that is removed."""
    _free_struct(vm, area.object)


def free_vm_area(vm: Vm, area: VmStruct) -> None:
    """Remove an area, and free its struct. Kernel: mm/vmalloc.c free_vm_area()."""
    removed = remove_vm_area(vm, area.addr)
    assert removed is area
    free_vm_struct(vm, area)
