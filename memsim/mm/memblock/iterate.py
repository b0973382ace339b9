"""What of RAM is not in use, range by range, from the bottom up or from the top down.

Kernel: mm/memblock.c __next_mem_range(), __next_mem_range_rev(), should_skip_region()
"""

from __future__ import annotations

from collections.abc import Iterator

from memsim.lib.bits import PAGE_SHIFT, nr_pages_of
from memsim.mm.memblock.region import Memblock, MemblockRegion, memblock_phys_mem_size
from memsim.words.memblock import (
    MAX_NUMNODES,
    MEMBLOCK_DRIVER_MANAGED,
    MEMBLOCK_HOTPLUG,
    MEMBLOCK_MIRROR,
    MEMBLOCK_NOMAP,
    PHYS_ADDR_MAX,
)

#: First and last byte (the last is not in it) and the node.
MemRange = tuple[int, int, int]


def numa_valid_node(nid: int) -> bool:
    """Is it a node's number?"""
    return 0 <= nid < MAX_NUMNODES


def _should_skip_region(memblock: Memblock, region: MemblockRegion, nid: int, flags: int) -> bool:
    """Is this RAM not what was asked for?"""
    if numa_valid_node(nid) and nid != region.nid:
        return True
    hotplug = region.flags & MEMBLOCK_HOTPLUG
    if memblock.movable_node and hotplug and not flags & MEMBLOCK_HOTPLUG:
        return True
    if flags & MEMBLOCK_MIRROR and not region.flags & MEMBLOCK_MIRROR:
        return True
    unasked = region.flags & ~flags
    return bool(unasked & (MEMBLOCK_NOMAP | MEMBLOCK_DRIVER_MANAGED))


def _gaps(memblock: Memblock) -> list[tuple[int, int]]:
    """What lies between regions in use, below the first and above the last."""
    regions = memblock.reserved.regions
    starts = [0, *(region.end for region in regions)]
    ends = [*(region.base for region in regions), PHYS_ADDR_MAX]
    return list(zip(starts, ends, strict=True))


def for_each_free_mem_range(memblock: Memblock, nid: int, flags: int) -> Iterator[MemRange]:
    """RAM of the node (NUMA_NO_NODE: of any) that is not in use, lowest first.

    Regions are as they are when it begins. Cost: O(regions), as both arrays are sorted.
    """
    gaps, b = _gaps(memblock), 0
    for region in list(memblock.memory.regions):
        if _should_skip_region(memblock, region, nid, flags):
            continue
        while b < len(gaps) and gaps[b][0] < region.end:
            if region.base < gaps[b][1]:
                yield max(region.base, gaps[b][0]), min(region.end, gaps[b][1]), region.nid
            if region.end <= gaps[b][1]:
                break  # this gap may hold of the next region too
            b += 1


def for_each_free_mem_range_reverse(memblock: Memblock, nid: int, flags: int) -> Iterator[MemRange]:
    """The same, highest first."""
    gaps = _gaps(memblock)
    b = len(gaps) - 1
    for region in reversed(memblock.memory.regions):
        if _should_skip_region(memblock, region, nid, flags):
            continue
        while b >= 0 and gaps[b][1] > region.base:
            if region.end > gaps[b][0]:
                yield max(region.base, gaps[b][0]), min(region.end, gaps[b][1]), region.nid
            if region.base >= gaps[b][0]:
                break
            b -= 1


def for_each_mem_pfn_range(memblock: Memblock, nid: int) -> Iterator[MemRange]:
    """Whole pages of RAM of the node: first pfn, the one behind the last, node."""
    for region in memblock.memory.regions:
        start, end = nr_pages_of(region.base), region.end >> PAGE_SHIFT
        if start < end and (not numa_valid_node(nid) or nid == region.nid):
            yield start, end, region.nid


def memblock_validate_numa_coverage(memblock: Memblock, threshold_bytes: int) -> bool:
    """Is there no more RAM without a node than this? Where there is more, SRAT is not believed.

    Kernel: mm/memblock.c memblock_validate_numa_coverage()
    """
    ranges = for_each_mem_pfn_range(memblock, MAX_NUMNODES)
    missing = sum(end - start for start, end, nid in ranges if not numa_valid_node(nid))
    if missing << PAGE_SHIFT <= threshold_bytes:
        return True
    sizes = f"{missing << PAGE_SHIFT >> 20}MB of {memblock_phys_mem_size(memblock) >> 20}MB RAM"
    memblock.log.append(f"NUMA: no nodes coverage for {sizes}")
    return False
