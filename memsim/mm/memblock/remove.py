"""A range is cut out of regions: to be freed, removed, marked, or given to a node.

Kernel: mm/memblock.c memblock_isolate_range(), memblock_remove_range(), memblock_setclr_flag()
"""

from __future__ import annotations

from memsim.lib.bits import align_down, align_up
from memsim.mm.memblock.add import memblock_double_array, memblock_merge_regions
from memsim.mm.memblock.region import Memblock, MemblockRegion, MemblockType, memblock_cap_size
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
) -> list[MemblockRegion] | None:
    """Split regions at both ends of the range; returns those within. None: no room for more.

    Kernel: mm/memblock.c memblock_isolate_range()
    """
    size = memblock_cap_size(base, size)
    if not size:
        return []
    while len(type_.regions) + 2 > type_.max:
        if memblock_double_array(memblock, type_, base, size) < 0:
            return None
    for border in (base, base + size):
        _split_at(type_, border)
    return [r for r in type_.regions if base <= r.base and r.end <= base + size]


def _split_at(type_: MemblockType, border: int) -> None:
    """Make two of the region that has this address within."""
    for index, region in enumerate(type_.regions):
        if region.base < border < region.end:
            upper = MemblockRegion(border, region.end - border, region.nid, region.flags)
            region.size = border - region.base
            type_.regions.insert(index + 1, upper)
            return


def memblock_remove_range(memblock: Memblock, type_: MemblockType, base: int, size: int) -> int:
    """Take a range out: 0, or -ENOMEM. Kernel: mm/memblock.c memblock_remove_range()."""
    within = memblock_isolate_range(memblock, type_, base, size)
    if within is None:
        return -ENOMEM
    type_.regions = [region for region in type_.regions if region not in within]
    return 0


def memblock_remove(memblock: Memblock, base: int, size: int) -> int:
    """It is no RAM, or none to be used. Kernel: mm/memblock.c memblock_remove()."""
    return memblock_remove_range(memblock, memblock.memory, base, size)


def memblock_phys_free(memblock: Memblock, base: int, size: int) -> int:
    """It is not in use any more. Kernel: mm/memblock.c memblock_phys_free()."""
    return memblock_remove_range(memblock, memblock.reserved, base, size)


def _memblock_setclr_flag(
    memblock: Memblock, type_: MemblockType, base: int, size: int, set_: bool, flag: int
) -> int:
    """Set or clear a flag of a range: 0, or -ENOMEM. Kernel: memblock_setclr_flag()."""
    within = memblock_isolate_range(memblock, type_, base, size)
    if within is None:
        return -ENOMEM
    for region in within:
        region.flags = region.flags | flag if set_ else region.flags & ~flag
    _merge_around(type_, within)
    return 0


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
    within = memblock_isolate_range(memblock, type_, base, size)
    if within is None:
        return -ENOMEM
    for region in within:
        region.nid = nid
    _merge_around(type_, within)
    return 0


def _merge_around(type_: MemblockType, within: list[MemblockRegion]) -> None:
    """They were changed: they may be like their neighbours now."""
    if within:
        start_rgn = type_.regions.index(within[0])
        memblock_merge_regions(type_, start_rgn, start_rgn + len(within))


def memblock_enforce_memory_limit(memblock: Memblock, limit: int) -> None:
    """Keep so many bytes of RAM, the lowest: the boot option mem=.

    Kernel: mm/memblock.c memblock_enforce_memory_limit(), __find_max_addr()
    """
    max_addr = _find_max_addr(memblock, limit)
    if limit and max_addr != PHYS_ADDR_MAX:
        for type_ in (memblock.memory, memblock.reserved):
            memblock_remove_range(memblock, type_, max_addr, PHYS_ADDR_MAX)


def _find_max_addr(memblock: Memblock, limit: int) -> int:
    """Where the first `limit` bytes of RAM end; PHYS_ADDR_MAX: there are not so many."""
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
    if not memblock.memory.regions:
        memblock.log.append("memblock_cap_memory_range: No memory registered yet")
        return
    within = memblock_isolate_range(memblock, memblock.memory, base, size)
    if within is not None:
        regions = memblock.memory.regions
        memblock.memory.regions = [r for r in regions if r in within or r.flags & MEMBLOCK_NOMAP]
        memblock_remove_range(memblock, memblock.reserved, 0, base)
        memblock_remove_range(memblock, memblock.reserved, base + size, PHYS_ADDR_MAX)


def memblock_trim_memory(memblock: Memblock, align: int) -> None:
    """Let every region of RAM begin and end at a multiple; what is too small goes.

    Kernel: mm/memblock.c memblock_trim_memory()
    """
    kept = []
    for region in memblock.memory.regions:
        start, end = align_up(region.base, align), align_down(region.end, align)
        if start < end:
            kept.append(MemblockRegion(start, end - start, region.nid, region.flags))
    memblock.memory.regions = kept
