"""Regions of memory and the two arrays of them.

Kernel: include/linux/memblock.h
"""

from __future__ import annotations

from memsim.words.memblock import (
    INIT_MEMBLOCK_REGIONS,
    MAX_NUMNODES,
    MEMBLOCK_ALLOC_ANYWHERE,
    PHYS_ADDR_MAX,
)


class MemblockRegion:
    """Bytes [base, base + size), with flags; nid is MAX_NUMNODES where no node is known yet.

    Kernel: struct memblock_region
    """

    __slots__ = ("base", "flags", "nid", "size")

    def __init__(self, base: int, size: int, nid: int = MAX_NUMNODES, flags: int = 0) -> None:
        self.base, self.size, self.nid, self.flags = base, size, nid, flags

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.base + self.size


class MemblockType:
    """An array of regions, sorted, none overlapping; `max` is what it has room for.

    `array` is where the array itself lies; 0: in the kernel's image. Kernel: struct memblock_type
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.regions: list[MemblockRegion] = []
        self.max = INIT_MEMBLOCK_REGIONS
        self.array = 0

    @property
    def total_size(self) -> int:
        """Bytes of all regions."""
        return sum(region.size for region in self.regions)


class Memblock:
    """What is RAM and what of it is in use, and how gaps are looked for.

    `log` has what the kernel says of it; `panic`, if it is not empty, why it does not go on.
    NOT MODELLED: `physmem`, arrays that slab has.
    Kernel: struct memblock, mm/memblock.c
    """

    def __init__(self) -> None:
        self.memory, self.reserved = MemblockType("memory"), MemblockType("reserved")
        self.bottom_up = False
        self.current_limit = MEMBLOCK_ALLOC_ANYWHERE
        self.can_resize = False
        #: The boot option kernelcore=mirror.
        self.mirrored_kernelcore = False
        self.system_has_some_mirror = False
        #: The boot option movable_node.
        self.movable_node = False
        self.log: list[str] = []
        self.panic = ""


def memblock_cap_size(base: int, size: int) -> int:
    """The size, or less, so that nothing lies behind the last address."""
    return min(size, PHYS_ADDR_MAX - base)


def memblock_addrs_overlap(base1: int, size1: int, base2: int, size2: int) -> bool:
    """Have the two ranges a byte in common?"""
    return base1 < base2 + size2 and base2 < base1 + size1


def memblock_overlaps_region(type_: MemblockType, base: int, size: int) -> bool:
    """Has any region a byte of this range?"""
    size = memblock_cap_size(base, size)
    return any(memblock_addrs_overlap(base, size, r.base, r.size) for r in type_.regions)


def memblock_search(type_: MemblockType, addr: int) -> int:
    """The number of the region that has this address; -1: none. Cost: a binary search."""
    left, right = 0, len(type_.regions)
    while left < right:
        mid = (left + right) // 2
        region = type_.regions[mid]
        if addr < region.base:
            right = mid
        elif addr >= region.end:
            left = mid + 1
        else:
            return mid
    return -1


def memblock_is_memory(memblock: Memblock, addr: int) -> bool:
    """Is it RAM?"""
    return memblock_search(memblock.memory, addr) >= 0


def memblock_is_reserved(memblock: Memblock, addr: int) -> bool:
    """Is it in use?"""
    return memblock_search(memblock.reserved, addr) >= 0


def memblock_is_region_memory(memblock: Memblock, base: int, size: int) -> bool:
    """Does one region of RAM have all of it?"""
    found = memblock_search(memblock.memory, base)
    end = base + memblock_cap_size(base, size)
    return found >= 0 and memblock.memory.regions[found].end >= end


def memblock_is_region_reserved(memblock: Memblock, base: int, size: int) -> bool:
    """Is a byte of it in use?"""
    return memblock_overlaps_region(memblock.reserved, base, size)
