"""A range is added, and neighbours that are alike become one region.

What both arrays are made with: RAM is added to one, what is taken into use to the other.
Kernel: mm/memblock.c memblock_add_range(), memblock_merge_regions(), memblock_double_array()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE, align_up
from memsim.mm.memblock.find import memblock_find_in_range
from memsim.mm.memblock.region import (
    Memblock,
    MemblockRegion,
    MemblockType,
    memblock_cap_size,
    memblock_insert_region,
)
from memsim.words.errno import ENOMEM
from memsim.words.memblock import MAX_NUMNODES, MEMBLOCK_NONE, SIZEOF_MEMBLOCK_REGION


def memblock_add_node(memblock: Memblock, base: int, size: int, nid: int, flags: int) -> int:
    """RAM of a node: 0, or -ENOMEM. Kernel: mm/memblock.c memblock_add_node()."""
    return memblock_add_range(memblock, memblock.memory, base, size, nid, flags)


def memblock_add(memblock: Memblock, base: int, size: int) -> int:
    """RAM of a node that is not known yet: 0, or -ENOMEM. Kernel: mm/memblock.c memblock_add()."""
    return memblock_add_range(memblock, memblock.memory, base, size, MAX_NUMNODES, MEMBLOCK_NONE)


def memblock_reserve(memblock: Memblock, base: int, size: int) -> int:
    """Take a range into use: 0, or -ENOMEM. Kernel: mm/memblock.c memblock_reserve()."""
    return memblock_add_range(memblock, memblock.reserved, base, size, MAX_NUMNODES, MEMBLOCK_NONE)


def memblock_add_range(
    memblock: Memblock, type_: MemblockType, base: int, size: int, nid: int, flags: int
) -> int:
    """Add what of [base, base + size) is not there yet; what is there stays as it is.

    Returns 0, or -ENOMEM where there is no room for more regions.
    Cost: O(regions). Kernel: mm/memblock.c memblock_add_range()
    """
    size = memblock_cap_size(base, size)
    if not size:
        return 0
    parts = _missing(memblock, type_, base, base + size, nid, flags)
    # where room may not suffice the kernel counts first, and looks (and warns) once more to insert
    if parts and 2 * len(type_.regions) + 1 > type_.max:
        while len(type_.regions) + len(parts) > type_.max:
            if memblock_double_array(memblock, type_, base, size) < 0:
                return -ENOMEM
        parts = _missing(memblock, type_, base, base + size, nid, flags)
    for idx, start, end in parts:
        memblock_insert_region(type_, idx, start, end - start, nid, flags)
    if parts:
        memblock_merge_regions(type_, parts[0][0], parts[-1][0] + 1)
    return 0


def _missing(
    memblock: Memblock, type_: MemblockType, base: int, end: int, nid: int, flags: int
) -> list[tuple[int, int, int]]:
    """What of [base, end) no region has, lowest first: the number it gets, start and end."""
    parts: list[tuple[int, int, int]] = []
    idx = 0
    for region in type_.regions:
        if region.base >= end:
            break
        idx += 1
        if region.end <= base:
            continue
        if region.base > base:
            _warn_unlike(memblock, type_, region, nid, flags)
            parts.append((idx - 1 + len(parts), base, region.base))
        base = min(region.end, end)
    if base < end:
        parts.append((idx + len(parts), base, end))
    return parts


def _warn_unlike(
    memblock: Memblock, type_: MemblockType, region: MemblockRegion, nid: int, flags: int
) -> None:
    """The kernel's WARN_ON() for a range that runs into one of another node, or with other flags.

    The kernel itself prints where it is, not which region.
    """
    place = f"{type_.name} [{region.base:#018x}-{region.end - 1:#018x}]"
    for other, what in ((region.nid != nid, "node"), (region.flags != flags, "flags")):
        if other:
            told = f"WARNING: mm/memblock.c memblock_add_range(): {place}: another {what}"
            memblock.log.append(told)


def memblock_merge_regions(type_: MemblockType, start_rgn: int, end_rgn: int) -> None:
    """Make one of neighbours that touch and are of one node and alike, from start_rgn - 1 on.

    The last that is looked at is end_rgn: who calls has changed those before it, no others.
    Kernel: mm/memblock.c memblock_merge_regions()
    """
    regions = type_.regions
    i, end = max(start_rgn - 1, 0), min(end_rgn, len(regions) - 1)
    while i < end:
        this, following = regions[i], regions[i + 1]
        if this.end == following.base and _is_alike(this, following):
            this.size += following.size
            del regions[i + 1]
            end -= 1
        else:
            i += 1


def _is_alike(one: MemblockRegion, other: MemblockRegion) -> bool:
    return (one.nid, one.flags) == (other.nid, other.flags)


def memblock_double_array(
    memblock: Memblock, type_: MemblockType, new_area_start: int, new_area_size: int
) -> int:
    """Room for twice as many regions, in memory that memblock itself has: 0, or -1.

    The array of what is in use must not lie in what is just being taken into use.
    NOT MODELLED: arrays that slab has, once there is one.
    Kernel: mm/memblock.c memblock_double_array()
    """
    if not memblock.can_resize:
        memblock.panic = memblock.panic or f"memblock: cannot resize {type_.name} array"
        return -1
    old_size = align_up(type_.max * SIZEOF_MEMBLOCK_REGION, PAGE_SIZE)
    new_size = align_up(2 * type_.max * SIZEOF_MEMBLOCK_REGION, PAGE_SIZE)
    if type_ is not memblock.reserved:
        new_area_start = new_area_size = 0
    behind = new_area_start + new_area_size
    limit = memblock.current_limit
    addr = memblock_find_in_range(memblock, behind, limit, new_size, PAGE_SIZE)
    if not addr and new_area_size:
        below = min(new_area_start, limit)
        addr = memblock_find_in_range(memblock, 0, below, new_size, PAGE_SIZE)
    if not addr:
        sizes = f"from {type_.max} to {2 * type_.max} entries !"
        memblock.log.append(f"memblock: Failed to double {type_.name} array {sizes}")
        return -1
    _move_array(memblock, type_, addr, old_size)
    memblock_reserve(memblock, addr, new_size)
    return 0


def _move_array(memblock: Memblock, type_: MemblockType, addr: int, old_size: int) -> None:
    """The array has moved; the one before it, if memblock had it, is free again."""
    # here, as a range is taken out by what stands on this file
    from memsim.mm.memblock.remove import memblock_phys_free

    old_array, type_.array = type_.array, addr
    type_.max *= 2
    if old_array:
        memblock_phys_free(memblock, old_array, old_size)
