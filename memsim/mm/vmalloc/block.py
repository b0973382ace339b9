"""vm_map_ram(): short mappings of few pages, cut out of blocks, each CPU from its own.

A block is an area of VMAP_BBMAP_BITS pages. Its pages are handed out once, from the first to the
last; when all were given back, the block is freed.

Kernel: mm/vmalloc.c, "Per cpu kva allocator"
"""

from __future__ import annotations

from collections.abc import Sequence

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, align_down, get_order
from memsim.mm.mmzone import Vm, numa_node_id
from memsim.mm.vmalloc.alloc import alloc_vmap_area, find_unlink_vmap_area
from memsim.mm.vmalloc.block_purge import free_vmap_block, purge_fragmented_block
from memsim.mm.vmalloc.lazy import free_vmap_area_noflush, purge_vmap_area_lazy
from memsim.mm.vmalloc.map import vmap_pages_range, vunmap_range_noflush
from memsim.mm.vmalloc.state import VmapBlock
from memsim.mm.vmalloc.update import (
    flush_tlb_kernel_range,
    new_block,
    queue_block,
    set_block_number,
    unqueue_block,
    use_pages,
)
from memsim.words.errno import EINVAL
from memsim.words.gfp import GFP_KERNEL
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE
from memsim.words.vmalloc import ULONG_MAX, VMAP_BLOCK, VMAP_RAM


def vm_map_ram(vm: Vm, pages: Sequence[int], node: int = NUMA_NO_NODE) -> int:
    """Map pages, which are pfns, for a short while: the address, or NULL_PTR.

    Kernel: mm/vmalloc.c vm_map_ram()
    """
    layout = vm.vmalloc.layout
    if len(pages) <= layout.VMAP_MAX_ALLOC:
        addr = vb_alloc(vm, len(pages))
    else:
        size, limits = len(pages) * PAGE_SIZE, (layout.VMALLOC_START, layout.VMALLOC_END)
        va = alloc_vmap_area(vm, size, PAGE_SIZE, *limits, GFP_KERNEL, node, VMAP_RAM)
        addr = va if isinstance(va, int) else va.va_start
    if addr < 0:
        return NULL_PTR
    if vmap_pages_range(vm, addr, pages, PAGE_SHIFT):
        vm_unmap_ram(vm, addr, len(pages))
        return NULL_PTR
    return addr


def vm_unmap_ram(vm: Vm, addr: int, count: int) -> bool:
    """Unmap what vm_map_ram() mapped, all of its pages. False: there is no such area.

    Kernel: mm/vmalloc.c vm_unmap_ram()
    """
    if count <= vm.vmalloc.layout.VMAP_MAX_ALLOC:
        return vb_free(vm, addr, count)
    va = find_unlink_vmap_area(vm, addr)
    if va is None:
        return False
    vunmap_range_noflush(vm, va.va_start, va.va_end)
    free_vmap_area_noflush(vm, va)
    return True


def vb_alloc(vm: Vm, count: int) -> int:
    """Addresses of 2**order pages from a block of this CPU, else from a new one; or an error.

    Kernel: mm/vmalloc.c vb_alloc()
    """
    if not count:
        return -EINVAL
    pages = 1 << get_order(count * PAGE_SIZE)
    for vb in vm.vmalloc.vmap_block_queue[vm.cpu]:
        if vb.free < pages:
            continue
        pages_off = vm.vmalloc.layout.VMAP_BBMAP_BITS - vb.free
        set_block_number(vm.vmalloc, vb, "free", vb.free - pages)
        use_pages(vm.vmalloc, vb, pages_off, pages, used=True)
        if not vb.free:
            unqueue_block(vm.vmalloc, vb)
        return vb.va.va_start + (pages_off << PAGE_SHIFT)
    return new_vmap_block(vm, pages)


def new_vmap_block(vm: Vm, pages: int) -> int:
    """A new block whose first pages are taken: its address, or an error.

    NOT MODELLED: the memory of its struct. Kernel: mm/vmalloc.c new_vmap_block()
    """
    state, layout = vm.vmalloc, vm.vmalloc.layout
    size, limits = layout.VMAP_BLOCK_SIZE, (layout.VMALLOC_START, layout.VMALLOC_END)
    node, flags = numa_node_id(vm), VMAP_RAM | VMAP_BLOCK
    va = alloc_vmap_area(vm, size, size, *limits, GFP_KERNEL, node, flags)
    if isinstance(va, int):
        return va
    vb = new_block(state, va, vm.cpu)
    set_block_number(state, vb, "free", layout.VMAP_BBMAP_BITS - pages)
    use_pages(state, vb, 0, pages, used=True)
    queue_block(state, vb)
    return va.va_start


def vb_free(vm: Vm, addr: int, count: int) -> bool:
    """Give pages of a block back; the last ones free it. Kernel: mm/vmalloc.c vb_free()."""
    state, layout = vm.vmalloc, vm.vmalloc.layout
    vb = state.vmap_blocks.get(align_down(addr, layout.VMAP_BLOCK_SIZE))
    if vb is None:
        return False
    pages = 1 << get_order(count * PAGE_SIZE)
    offset = (addr & layout.VMAP_BLOCK_SIZE - 1) >> PAGE_SHIFT
    use_pages(state, vb, offset, pages, used=False)
    vunmap_range_noflush(vm, addr, addr + count * PAGE_SIZE)
    set_block_number(state, vb, "dirty_min", min(vb.dirty_min, offset))
    set_block_number(state, vb, "dirty_max", max(vb.dirty_max, offset + pages))
    set_block_number(state, vb, "dirty", vb.dirty + pages)
    if vb.dirty == layout.VMAP_BBMAP_BITS:
        free_vmap_block(vm, vb)
    return True


def vm_unmap_aliases(vm: Vm) -> None:
    """Let no CPU remember an address that was unmapped: purge, and flush what blocks gave back.

    NOT MODELLED: addresses of the direct map, which vm_reset_perms() adds (VM_FLUSH_RESET_PERMS).
    Kernel: mm/vmalloc.c vm_unmap_aliases(), _vm_unmap_aliases()
    """
    state, purge_list = vm.vmalloc, list[VmapBlock]()
    start, end = ULONG_MAX, 0
    for vb in _blocks_by_cpu(vm):
        if purge_fragmented_block(state, vb, purge_list, force_purge=False):
            continue
        if vb.dirty_max and vb.dirty != state.layout.VMAP_BBMAP_BITS:
            start = min(start, vb.va.va_start + (vb.dirty_min << PAGE_SHIFT))
            end = max(end, vb.va.va_start + (vb.dirty_max << PAGE_SHIFT))
            set_block_number(state, vb, "dirty_min", state.layout.VMAP_BBMAP_BITS)
            set_block_number(state, vb, "dirty_max", 0)
    flush = end > 0
    for vb in purge_list:
        free_vmap_block(vm, vb)
    if not purge_vmap_area_lazy(vm, False, start, end) and flush:
        flush_tlb_kernel_range(state)


def _blocks_by_cpu(vm: Vm) -> list[VmapBlock]:
    """All blocks, as the CPUs' arrays have them; a block's address says in which one it is.

    Kernel: mm/vmalloc.c addr_to_vb_xa()
    """
    blocks, size = vm.vmalloc.vmap_blocks, vm.vmalloc.layout.VMAP_BLOCK_SIZE
    order = sorted(blocks, key=lambda start: (start // size % vm.nr_cpus, start))
    return [blocks[start] for start in order]
