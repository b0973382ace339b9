"""Regions of memory, the two arrays of them, and what one may ask of an array.

Kernel: include/linux/memblock.h, mm/memblock.c
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT
from memsim.words.memblock import (
    INIT_MEMBLOCK_REGIONS,
    MAX_NUMNODES,
    MEMBLOCK_ALLOC_ANYWHERE,
    MEMBLOCK_NOMAP,
    PHYS_ADDR_MAX,
)
from memsim.words.slab import NUMA_NO_NODE


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

    total_size: bytes of all regions, but see memblock_trim_memory().
    `array` is where the array itself lies; 0: in the kernel's image. Kernel: struct memblock_type
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.regions: list[MemblockRegion] = []
        self.max = INIT_MEMBLOCK_REGIONS
        self.total_size = 0
        self.array = 0


class Memblock:
    """What is RAM and what of it is in use, and how gaps are looked for.

    `log` has what the kernel says of it; `panic`, if it is not empty, why it does not go on.
    NOT MODELLED: `physmem`, arrays that slab has.
    Kernel: struct memblock, mm/memblock.c
    """

    def __init__(self) -> None:
        self.memory, self.reserved = MemblockType("memory"), MemblockType("reserved")
        #: Who allocates gets the lowest gap, not the highest. Kernel: memblock_set_bottom_up()
        self.bottom_up = False
        #: Kernel: memblock_set_current_limit()
        self.current_limit = MEMBLOCK_ALLOC_ANYWHERE
        #: Kernel: memblock_allow_resize()
        self.can_resize = False
        #: The boot option kernelcore=mirror.
        self.mirrored_kernelcore = False
        #: Kernel: memblock_has_mirror()
        self.system_has_some_mirror = False
        #: The boot option movable_node.
        self.movable_node = False
        self.log: list[str] = []
        self.panic = ""


def memblock_cap_size(base: int, size: int) -> int:
    """The size, or less, so that nothing lies behind the last address."""
    return min(size, PHYS_ADDR_MAX - base)


def memblock_insert_region(
    type_: MemblockType, idx: int, base: int, size: int, nid: int, flags: int
) -> None:
    """A region becomes number idx. Kernel: mm/memblock.c memblock_insert_region()."""
    type_.regions.insert(idx, MemblockRegion(base, size, nid, flags))
    type_.total_size += size


def memblock_remove_region(type_: MemblockType, r: int) -> None:
    """Region number r goes. Kernel: mm/memblock.c memblock_remove_region()."""
    type_.total_size -= type_.regions.pop(r).size


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


def memblock_is_map_memory(memblock: Memblock, addr: int) -> bool:
    """Is it RAM that the kernel has in its own mapping?"""
    found = memblock_search(memblock.memory, addr)
    return found >= 0 and not memblock.memory.regions[found].flags & MEMBLOCK_NOMAP


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


def memblock_search_pfn_nid(memblock: Memblock, pfn: int) -> tuple[int, int, int]:
    """The node of a pfn (NUMA_NO_NODE: it is no RAM), and its region's first pfn and end."""
    found = memblock_search(memblock.memory, pfn << PAGE_SHIFT)
    if found < 0:
        return NUMA_NO_NODE, 0, 0
    region = memblock.memory.regions[found]
    return region.nid, region.base >> PAGE_SHIFT, region.end >> PAGE_SHIFT


def memblock_start_of_DRAM(memblock: Memblock) -> int:
    """The lowest byte of RAM; there must be some."""
    return memblock.memory.regions[0].base


def memblock_end_of_DRAM(memblock: Memblock) -> int:
    """The first byte behind all RAM; there must be some."""
    return memblock.memory.regions[-1].end


def memblock_phys_mem_size(memblock: Memblock) -> int:
    """Bytes of RAM."""
    return memblock.memory.total_size


def memblock_reserved_size(memblock: Memblock) -> int:
    """Bytes in use."""
    return memblock.reserved.total_size


def memblock_estimated_nr_free_pages(memblock: Memblock) -> int:
    """RAM less what is in use, in pages: too few where what is in use is no RAM (in v6.12)."""
    free = memblock_phys_mem_size(memblock) - memblock_reserved_size(memblock)
    return free >> PAGE_SHIFT
