"""alloc_vmap_area(): addresses from a pool, from the free areas, or after a purge.

Kernel: mm/vmalloc.c node_alloc(), alloc_vmap_area(), find_vmap_area(), free_vmap_area()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE, signed
from memsim.mm.mmzone import Vm
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.block_purge import reclaim_and_purge_vmap_areas
from memsim.mm.vmalloc.clip import take_free_area
from memsim.mm.vmalloc.merge import merge_or_add_vmap_area_augment
from memsim.mm.vmalloc.pool import node_pool_del_va
from memsim.mm.vmalloc.state import VmapNode, addr_to_node, encode_vn_id
from memsim.mm.vmalloc.structs import alloc_vmap_struct, preload_this_cpu
from memsim.mm.vmalloc.tree import find_in_tree, insert_vmap_area, unlink_va
from memsim.mm.vmalloc.update import free_struct, new_area, set_area_flags, set_vm_struct
from memsim.trace.events import ALLOC_VMAP_AREA, TP_ALLOC_VMAP_AREA
from memsim.words.errno import EBUSY, EINVAL
from memsim.words.gfp import __GFP_NOWARN, GFP_KERNEL, GFP_RECLAIM_MASK
from memsim.words.slab import NUMA_NO_NODE


def node_alloc(
    vm: Vm, size: int, align: int, vstart: int, vend: int
) -> tuple[VmapArea | None, int]:
    """An area from this CPU's pool, if there is one; and which vmap_node it goes back to.

    Kernel: mm/vmalloc.c node_alloc()
    """
    state = vm.vmalloc
    limits = state.layout.VMALLOC_START, state.layout.VMALLOC_END
    if (vstart, vend) != limits or state.nr_vmap_nodes == 1:
        return None, 0
    vn = state.vmap_nodes[vm.cpu % state.nr_vmap_nodes]
    return node_pool_del_va(state, vn, size, align, vstart, vend), encode_vn_id(vn.id)


def alloc_vmap_area(
    vm: Vm, size: int, align: int, vstart: int, vend: int, gfp_mask: int = GFP_KERNEL,
    node: int = NUMA_NO_NODE, va_flags: int = 0,
) -> VmapArea | int:  # fmt: skip
    """A busy area of size bytes between vstart and vend, or -EINVAL, -ENOMEM, -EBUSY.

    node: where its struct should lie.
    NOT MODELLED: vmap_notify_list, whose callers may give addresses back; KASAN's shadow; no
    message is held back by printk_ratelimit().
    Kernel: mm/vmalloc.c alloc_vmap_area()
    """
    if not size or size % PAGE_SIZE or align <= 0 or align & align - 1:
        return -EINVAL
    va, vn_id = node_alloc(vm, size, align, vstart, vend)
    if va is not None:
        told(vm, va.va_start, size, align, vstart, vend)
    else:
        gfp_mask &= GFP_RECLAIM_MASK
        object = alloc_vmap_struct(vm.vmalloc, gfp_mask, node)
        if object < 0:
            return object
        addr = _search(vm, size, align, vstart, vend, gfp_mask, node)
        if addr == vend:
            _warn_restricted(vm, size, vstart, vend, gfp_mask)
            free_struct(vm.vmalloc, object)
            return -EBUSY
        va = new_area(vm.vmalloc, addr, addr + size, object=object)
    insert_busy(vm, va, va_flags | vn_id)
    return va


def _warn_restricted(vm: Vm, size: int, vstart: int, vend: int, gfp_mask: int) -> None:
    if not gfp_mask & __GFP_NOWARN:
        limits = f"Address range restricted to {vstart:#x} - {vend:#x}"
        vm.vmalloc.log.append(f"vmalloc_node_range for size {size} failed: {limits}\n")


def insert_busy(vm: Vm, va: VmapArea, flags: int) -> None:
    """The area is in use from here on."""
    set_area_flags(vm.vmalloc, va, flags)
    set_vm_struct(vm.vmalloc, va, None)
    insert_vmap_area(va, addr_to_node(vm.vmalloc, va.va_start).busy)


def _search(vm: Vm, size: int, align: int, vstart: int, vend: int, gfp_mask: int, node: int) -> int:
    """Addresses from the free areas; when there are none, once more after a purge."""
    for last in (False, True):
        preload_this_cpu(vm.vmalloc, gfp_mask, node)
        addr = take_free_area(vm.vmalloc, size, align, vstart, vend)
        told(vm, addr, size, align, vstart, vend)
        if addr != vend or last:
            break
        reclaim_and_purge_vmap_areas(vm)
    return addr


def told(vm: Vm, addr: int, size: int, align: int, vstart: int, vend: int) -> None:
    """Fire alloc_vmap_area: addr is vend when there are no such addresses."""
    if vm.trace.mask & TP_ALLOC_VMAP_AREA:
        limits = signed(vstart), signed(vend)
        vm.trace.emit(ALLOC_VMAP_AREA, signed(addr), size, signed(align), *limits, addr == vend)


def find_vmap_area(vm: Vm, addr: int) -> tuple[VmapNode, VmapArea] | None:
    """The busy area that holds addr, and the vmap_node that keeps it.

    Kernel: mm/vmalloc.c find_vmap_area()
    """
    state = vm.vmalloc
    first = addr_to_node(state, addr).id
    for i in range(state.nr_vmap_nodes):
        vn = state.vmap_nodes[(first + i) % state.nr_vmap_nodes]
        va = find_in_tree(addr, vn.busy)
        if va is not None:
            return vn, va
    return None


def find_unlink_vmap_area(vm: Vm, addr: int) -> VmapArea | None:
    """Take the area that holds addr out of its tree. Kernel: find_unlink_vmap_area()."""
    found = find_vmap_area(vm, addr)
    if found is None:
        return None
    vn, va = found
    unlink_va(va, vn.busy)
    return va


def free_vmap_area(vm: Vm, va: VmapArea) -> None:
    """Give an area back at once, nothing having been mapped. Kernel: free_vmap_area()."""
    state = vm.vmalloc
    unlink_va(va, addr_to_node(state, va.va_start).busy)
    merge_or_add_vmap_area_augment(state, va, state.free_vmap_area_root)
