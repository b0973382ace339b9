"""The few places, besides the trees, that change what vmalloc keeps; each says so as a step."""

from __future__ import annotations

from memsim.lib.bits import signed
from memsim.mm.slub.kmem_cache import kmem_cache_free
from memsim.mm.vmalloc.area import VmapArea, VmStruct
from memsim.mm.vmalloc.state import VmallocState, VmapBlock, VmapNode
from memsim.mm.vmalloc.tree import AreaTree
from memsim.trace.events import TP_STEPS
from memsim.trace.vmalloc_steps import (
    BLOCK_FIELD,
    BLOCK_FIELDS,
    BLOCK_GONE,
    BLOCK_NEW,
    BLOCK_QUEUE,
    BLOCK_USED,
    FIELDS,
    VM_STRUCT,
    VMAP_CLIP,
    VMAP_FIELD,
    VMAP_FLAGS,
    VMAP_GONE,
    VMAP_NEW,
    VMAP_POOL_ADD,
    VMAP_POOL_DEL,
    VMAP_PRELOAD,
    VMAP_TAKE_ALL,
)
from memsim.words.mmzone import NULL


def free_struct(state: VmallocState, object: int) -> None:
    """Free a struct vmap_area, where there is a cache of them."""
    if state.vmap_area_cachep is not None and object:
        site = state.trace.number_of("vmap_area")
        kmem_cache_free(state.vmap_area_cachep, object, site)


def new_area(
    state: VmallocState, va_start: int, va_end: int, flags: int = 0, object: int = 0
) -> VmapArea:
    """A struct vmap_area, which lies at object, for these addresses; in no tree."""
    va = VmapArea(va_start, va_end, flags, object)
    if state.trace.mask & TP_STEPS:
        state.trace.step(VMAP_NEW, signed(va_start), signed(va_end), flags, signed(object))
    state.areas[va_start] = va
    return va


def forget_area(state: VmallocState, va: VmapArea) -> None:
    """The area is in no tree, and its struct is freed."""
    if state.trace.mask & TP_STEPS:
        numbers = signed(va.va_start), signed(va.va_end), va.flags, signed(va.object)
        state.trace.step(VMAP_GONE, *numbers)
    del state.areas[va.va_start]
    free_struct(state, va.object)


def clip_area(state: VmallocState, va: VmapArea, va_start: int, va_end: int) -> None:
    """Change an area's first or last address."""
    if state.trace.mask & TP_STEPS:
        old = signed(va.va_start), signed(va.va_end)
        state.trace.step(VMAP_CLIP, *old, signed(va_start), signed(va_end))
    del state.areas[va.va_start]
    va.va_start, va.va_end = va_start, va_end
    state.areas[va_start] = va


def set_area_flags(state: VmallocState, va: VmapArea, flags: int) -> None:
    """Change an area's flags."""
    if va.flags != flags and state.trace.mask & TP_STEPS:
        state.trace.step(VMAP_FLAGS, signed(va.va_start), va.flags, flags)
    va.flags = flags


def pool_add(state: VmallocState, vn: VmapNode, index: int, va: VmapArea, tail: bool) -> None:
    """Put an area into a pool, to be handed out next, or last."""
    if state.trace.mask & TP_STEPS:
        state.trace.step(VMAP_POOL_ADD, vn.id, index, signed(va.va_start), tail)
    if tail:
        vn.pool[index].append(va)
    else:
        vn.pool[index].appendleft(va)


def pool_del(state: VmallocState, vn: VmapNode, index: int) -> VmapArea:
    """Take the area out of a pool that is next to be handed out."""
    va = vn.pool[index].popleft()
    if state.trace.mask & TP_STEPS:
        state.trace.step(VMAP_POOL_DEL, vn.id, index, signed(va.va_start))
    return va


def take_all(source: AreaTree, target: AreaTree) -> None:
    """Move all areas of a tree to an empty one."""
    if source.trace.mask & TP_STEPS:
        source.trace.step(VMAP_TAKE_ALL, source.code, target.code)
    target.rb_node, source.rb_node = source.rb_node, None


def set_preloaded(state: VmallocState, cpu: int, object: int) -> None:
    """Change a CPU's ne_fit_preload_node."""
    if state.trace.mask & TP_STEPS:
        old = signed(state.ne_fit_preload_node[cpu])
        state.trace.step(VMAP_PRELOAD, cpu, old, signed(object))
    state.ne_fit_preload_node[cpu] = object


def set_vm_struct(state: VmallocState, va: VmapArea, area: VmStruct | None) -> None:
    """Say what an area is for."""
    if va.vm is area:
        return
    if state.trace.mask & TP_STEPS:
        old, new = (NULL if vm is None else vm.id for vm in (va.vm, area))
        state.trace.step(VM_STRUCT, signed(va.va_start), old, new)
    va.vm = area


def set_number(state: VmallocState, field: str, value: int) -> None:
    """Change one of FIELDS."""
    if state.trace.mask & TP_STEPS:
        state.trace.step(VMAP_FIELD, FIELDS.index(field), int(getattr(state, field)), int(value))
    setattr(state, field, value)


def flush_tlb_kernel_range(state: VmallocState) -> None:
    """All CPUs forget a range of addresses; counted alone. Kernel: flush_tlb_kernel_range()."""
    set_number(state, "nr_tlb_flushes", state.nr_tlb_flushes + 1)


def new_block(state: VmallocState, va: VmapArea, cpu: int) -> VmapBlock:
    """A block of an area that a CPU asked for; on no queue yet."""
    if state.trace.mask & TP_STEPS:
        state.trace.step(BLOCK_NEW, signed(va.va_start), cpu)
    vb = VmapBlock(va, cpu, state.layout.VMAP_BBMAP_BITS)
    state.vmap_blocks[va.va_start] = vb
    return vb


def forget_block(state: VmallocState, vb: VmapBlock) -> None:
    """A block that is on no queue is an area again; going back, it gets back what it held."""
    blank = VmapBlock(vb.va, vb.cpu, state.layout.VMAP_BBMAP_BITS)
    for field in BLOCK_FIELDS:
        set_block_number(state, vb, field, getattr(blank, field))
    if state.trace.mask & TP_STEPS:
        state.trace.step(BLOCK_GONE, signed(vb.va.va_start), vb.cpu)
    del state.vmap_blocks[vb.va.va_start]


def set_block_number(state: VmallocState, vb: VmapBlock, field: str, value: int) -> None:
    """Change one of BLOCK_FIELDS."""
    old = getattr(vb, field)
    if old != value and state.trace.mask & TP_STEPS:
        number = BLOCK_FIELDS.index(field)
        state.trace.step(BLOCK_FIELD, signed(vb.va.va_start), number, old, value)
    setattr(vb, field, value)


def use_pages(state: VmallocState, vb: VmapBlock, offset: int, pages: int, used: bool) -> None:
    """Set, or clear, the bits of pages in a block's map."""
    if state.trace.mask & TP_STEPS:
        state.trace.step(BLOCK_USED, signed(vb.va.va_start), offset, pages, used)
    mark_pages(vb, offset, pages, used)


def mark_pages(vb: VmapBlock, offset: int, pages: int, used: bool) -> None:
    """The change alone."""
    bits = (1 << pages) - 1 << offset
    vb.used_map = vb.used_map | bits if used else vb.used_map & ~bits


def queue_block(state: VmallocState, vb: VmapBlock) -> None:
    """Put a block last on its CPU's queue."""
    queue = state.vmap_block_queue[vb.cpu]
    if state.trace.mask & TP_STEPS:
        state.trace.step(BLOCK_QUEUE, signed(vb.va.va_start), len(queue), True)
    queue.append(vb)


def unqueue_block(state: VmallocState, vb: VmapBlock) -> None:
    """Take a block off its CPU's queue."""
    queue = state.vmap_block_queue[vb.cpu]
    place = queue.index(vb)
    if state.trace.mask & TP_STEPS:
        state.trace.step(BLOCK_QUEUE, signed(vb.va.va_start), place, False)
    del queue[place]
