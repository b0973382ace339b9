"""A range is cut out of regions: to be freed, removed, marked, or given to a node.

Kernel: mm/memblock.c memblock_isolate_range(), memblock_remove_range(), memblock_setclr_flag()
"""

from __future__ import annotations

from memsim.lib.bits import align_down, align_up
from memsim.mm.memblock.add import memblock_double_array, memblock_merge_regions
from memsim.mm.memblock.region import (
    Memblock,
    MemblockType,
    memblock_cap_size,
    memblock_insert_region,
    memblock_remove_region,
    memblock_search,
)
from memsim.words.errno import ENOMEM
from memsim.words.memblock import (
    MEMBLOCK_HOTPLUG,
    MEMBLOCK_MIRROR,
    MEMBLOCK_NOMAP,
    MEMBLOCK_RSRV_NOINIT,
    PHYS_ADDR_MAX,
)


def memblock_isolate_range(
    memblock: Memblock, type_: MemblockType, base: int, size: int
) -> tuple[int, int, int]:
    """Split regions at both ends of a range.

    Returns 0 (or -ENOMEM: no room for more), the number of the first region within, and the one
    behind the last's; both are 0 where none is within.
    Kernel: mm/memblock.c memblock_isolate_range()
    """
    size = memblock_cap_size(base, size)
    if not size:
        return 0, 0, 0
    while len(type_.regions) + 2 > type_.max:
        if memblock_double_array(memblock, type_, base, size) < 0:
            return -ENOMEM, 0, 0
    _split_at(type_, base)
    _split_at(type_, base + size)
    within = [i for i, r in enumerate(type_.regions) if base <= r.base and r.end <= base + size]
    return (0, within[0], within[-1] + 1) if within else (0, 0, 0)


def _split_at(type_: MemblockType, border: int) -> None:
    """Make two of the region that has this address within."""
    idx = memblock_search(type_, border)
    if idx < 0 or type_.regions[idx].base == border:
        return
    region = type_.regions[idx]
    upper = region.end - border
    region.size -= upper
    type_.total_size -= upper
    memblock_insert_region(type_, idx + 1, border, upper, region.nid, region.flags)


def memblock_remove_range(memblock: Memblock, type_: MemblockType, base: int, size: int) -> int:
    """Take a range out: 0, or -ENOMEM. Kernel: mm/memblock.c memblock_remove_range()."""
    err, start_rgn, end_rgn = memblock_isolate_range(memblock, type_, base, size)
    for i in reversed(range(start_rgn, end_rgn)):
        memblock_remove_region(type_, i)
    return err


def memblock_remove(memblock: Memblock, base: int, size: int) -> int:
    """It is no RAM, or none to be used. Kernel: mm/memblock.c memblock_remove()."""
    return memblock_remove_range(memblock, memblock.memory, base, size)


def memblock_phys_free(memblock: Memblock, base: int, size: int) -> int:
    """It is not in use any more. Kernel: mm/memblock.c memblock_phys_free()."""
    return memblock_remove_range(memblock, memblock.reserved, base, size)


def memblock_free(memblock: Memblock, ptr: int, size: int) -> None:
    """The same; 0, which is no memory, is taken too. Kernel: mm/memblock.c memblock_free()."""
    if ptr:
        memblock_phys_free(memblock, ptr, size)


def _memblock_setclr_flag(
    memblock: Memblock, type_: MemblockType, base: int, size: int, set_: bool, flag: int
) -> int:
    """Set or clear a flag of a range: 0, or -ENOMEM. Kernel: memblock_setclr_flag()."""
    err, start_rgn, end_rgn = memblock_isolate_range(memblock, type_, base, size)
    for region in type_.regions[start_rgn:end_rgn]:
        region.flags = region.flags | flag if set_ else region.flags & ~flag
    if not err:
        memblock_merge_regions(type_, start_rgn, end_rgn)
    return err


def memblock_mark_hotplug(memblock: Memblock, base: int, size: int) -> int:
    """It can be pulled out: with movable_node, boot takes none of it."""
    return _memblock_setclr_flag(memblock, memblock.memory, base, size, True, MEMBLOCK_HOTPLUG)


def memblock_clear_hotplug(memblock: Memblock, base: int, size: int) -> int:
    """It cannot, or that does not matter any more."""
    return _memblock_setclr_flag(memblock, memblock.memory, base, size, False, MEMBLOCK_HOTPLUG)


def memblock_mark_mirror(memblock: Memblock, base: int, size: int) -> int:
    """It is there twice; without kernelcore=mirror that is not looked at."""
    if not memblock.mirrored_kernelcore:
        return 0
    memblock.system_has_some_mirror = True
    return _memblock_setclr_flag(memblock, memblock.memory, base, size, True, MEMBLOCK_MIRROR)


def memblock_mark_nomap(memblock: Memblock, base: int, size: int) -> int:
    """The kernel is not to have it in its own mapping."""
    return _memblock_setclr_flag(memblock, memblock.memory, base, size, True, MEMBLOCK_NOMAP)


def memblock_clear_nomap(memblock: Memblock, base: int, size: int) -> int:
    """It may."""
    return _memblock_setclr_flag(memblock, memblock.memory, base, size, False, MEMBLOCK_NOMAP)


def memblock_reserved_mark_noinit(memblock: Memblock, base: int, size: int) -> int:
    """Its struct pages are not to be written."""
    type_ = memblock.reserved
    return _memblock_setclr_flag(memblock, type_, base, size, True, MEMBLOCK_RSRV_NOINIT)


def memblock_set_node(
    memblock: Memblock, base: int, size: int, type_: MemblockType, nid: int
) -> int:
    """Say of which node a range is: 0, or -ENOMEM. Kernel: mm/memblock.c memblock_set_node()."""
    err, start_rgn, end_rgn = memblock_isolate_range(memblock, type_, base, size)
    for region in type_.regions[start_rgn:end_rgn]:
        region.nid = nid
    if not err:
        memblock_merge_regions(type_, start_rgn, end_rgn)
    return err


def memblock_enforce_memory_limit(memblock: Memblock, limit: int) -> None:
    """Keep so many bytes of RAM, the lowest: the boot option mem=. 0: all.

    Kernel: mm/memblock.c memblock_enforce_memory_limit()
    """
    max_addr = _find_max_addr(memblock, limit)
    if limit and max_addr != PHYS_ADDR_MAX:
        for type_ in (memblock.memory, memblock.reserved):
            memblock_remove_range(memblock, type_, max_addr, PHYS_ADDR_MAX)


def memblock_mem_limit_remove_map(memblock: Memblock, limit: int) -> None:
    """The same, but what is not mapped stays: it is a device's, or the firmware's.

    Kernel: mm/memblock.c memblock_mem_limit_remove_map()
    """
    max_addr = _find_max_addr(memblock, limit)
    if limit and max_addr != PHYS_ADDR_MAX:
        memblock_cap_memory_range(memblock, 0, max_addr)


def _find_max_addr(memblock: Memblock, limit: int) -> int:
    """Where the first `limit` bytes of RAM end; PHYS_ADDR_MAX: there are not so many.

    Kernel: mm/memblock.c __find_max_addr()
    """
    for region in memblock.memory.regions:
        if limit <= region.size:
            return region.base + limit
        limit -= region.size
    return PHYS_ADDR_MAX


def memblock_cap_memory_range(memblock: Memblock, base: int, size: int) -> None:
    """Keep no RAM but this range, and what is not mapped: a crash kernel's.

    Kernel: mm/memblock.c memblock_cap_memory_range()
    """
    if not size:
        return
    memory = memblock.memory
    if not memory.total_size:
        memblock.log.append("memblock_cap_memory_range: No memory registered yet")
        return
    err, start_rgn, end_rgn = memblock_isolate_range(memblock, memory, base, size)
    if err:
        return
    for i in reversed(range(len(memory.regions))):
        if not start_rgn <= i < end_rgn and not memory.regions[i].flags & MEMBLOCK_NOMAP:
            memblock_remove_region(memory, i)
    memblock_remove_range(memblock, memblock.reserved, 0, base)
    memblock_remove_range(memblock, memblock.reserved, base + size, PHYS_ADDR_MAX)


def memblock_trim_memory(memblock: Memblock, align: int) -> None:
    """Let every region of RAM begin and end at a multiple; what is too small goes.

    What is cut off stays in total_size, in the kernel too.
    Kernel: mm/memblock.c memblock_trim_memory()
    """
    memory = memblock.memory
    for i in reversed(range(len(memory.regions))):
        region = memory.regions[i]
        start, end = align_up(region.base, align), align_down(region.end, align)
        if start < end:
            region.base, region.size = start, end - start
        else:
            memblock_remove_region(memory, i)
