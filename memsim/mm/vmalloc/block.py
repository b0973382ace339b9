"""vm_map_ram(): short mappings of few pages, cut out of blocks, each CPU from its own.

A block is an area of VMAP_BBMAP_BITS pages. Its pages are handed out once, from the first to the
last; when all were given back, the block is freed.

Kernel: mm/vmalloc.c, "Per cpu kva allocator"
"""

from __future__ import annotations

from collections.abc import Sequence

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, get_order
from memsim.mm.mmzone import Vm, numa_node_id
from memsim.mm.vmalloc.alloc import alloc_vmap_area, find_unlink_vmap_area
from memsim.mm.vmalloc.block_purge import free_vmap_block, purge_fragmented_block
from memsim.mm.vmalloc.lazy import free_vmap_area_noflush, purge_vmap_area_lazy
from memsim.mm.vmalloc.map import vmap_pages_range, vunmap_range_noflush
from memsim.mm.vmalloc.state import VmapBlock
from memsim.mm.vmalloc.update import (
    new_block,
    queue_block,
    set_block_number,
    set_number,
    unqueue_block,
    use_pages,
)
from memsim.words.errno import EINVAL
from memsim.words.gfp import GFP_KERNEL
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE
from memsim.words.vmalloc import (
    VMALLOC_END,
    VMALLOC_START,
    VMAP_BBMAP_BITS,
    VMAP_BLOCK,
    VMAP_BLOCK_SIZE,
    VMAP_MAX_ALLOC,
    VMAP_RAM,
)


def vm_map_ram(vm: Vm, pages: Sequence[int], node: int = NUMA_NO_NODE) -> int:
    """Map pages, which are pfns, for a short while: the address, or NULL_PTR.

    Kernel: mm/vmalloc.c vm_map_ram()
    """
    if len(pages) <= VMAP_MAX_ALLOC:
        addr = vb_alloc(vm, len(pages))
    else:
        size, limits = len(pages) * PAGE_SIZE, (VMALLOC_START, VMALLOC_END)
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
    if count <= VMAP_MAX_ALLOC:
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
        pages_off = VMAP_BBMAP_BITS - vb.free
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
    va = alloc_vmap_area(
        vm, VMAP_BLOCK_SIZE, VMAP_BLOCK_SIZE, VMALLOC_START, VMALLOC_END, GFP_KERNEL,
        numa_node_id(vm), VMAP_RAM | VMAP_BLOCK,
    )  # fmt: skip
    if isinstance(va, int):
        return va
    state = vm.vmalloc
    vb = new_block(state, va, vm.cpu)
    set_block_number(state, vb, "free", VMAP_BBMAP_BITS - pages)
    use_pages(state, vb, 0, pages, used=True)
    queue_block(state, vb)
    return va.va_start


def vb_free(vm: Vm, addr: int, count: int) -> bool:
    """Give pages of a block back; the last ones free it. Kernel: mm/vmalloc.c vb_free()."""
    state = vm.vmalloc
    vb = state.vmap_blocks.get(addr // VMAP_BLOCK_SIZE * VMAP_BLOCK_SIZE)
    if vb is None:
        return False
    pages = 1 << get_order(count * PAGE_SIZE)
    offset = (addr & VMAP_BLOCK_SIZE - 1) >> PAGE_SHIFT
    use_pages(state, vb, offset, pages, used=False)
    vunmap_range_noflush(vm, addr, addr + count * PAGE_SIZE)
    set_block_number(state, vb, "dirty_min", min(vb.dirty_min, offset))
    set_block_number(state, vb, "dirty_max", max(vb.dirty_max, offset + pages))
    set_block_number(state, vb, "dirty", vb.dirty + pages)
    if vb.dirty == VMAP_BBMAP_BITS:
        free_vmap_block(vm, vb)
    return True


def vm_unmap_aliases(vm: Vm) -> None:
    """Let no CPU remember an address that was unmapped: purge, and flush what blocks gave back.

    Kernel: mm/vmalloc.c vm_unmap_aliases(), _vm_unmap_aliases()
    """
    state, purge_list, flush = vm.vmalloc, list[VmapBlock](), False
    for start in sorted(state.vmap_blocks):
        vb = state.vmap_blocks[start]
        if purge_fragmented_block(state, vb, purge_list, force_purge=False):
            continue
        if vb.dirty_max and vb.dirty != VMAP_BBMAP_BITS:
            set_block_number(state, vb, "dirty_min", VMAP_BBMAP_BITS)
            set_block_number(state, vb, "dirty_max", 0)
            flush = True
    for vb in purge_list:
        free_vmap_block(vm, vb)
    if not purge_vmap_area_lazy(vm, full_pool_decay=False) and flush:
        set_number(state, "nr_tlb_flushes", state.nr_tlb_flushes + 1)
