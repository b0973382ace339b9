"""Where there is a gap: the lowest or the highest that is large enough.

Kernel: mm/memblock.c memblock_find_in_range_node(), memblock_find_in_range()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE, align_down, align_up, clamp
from memsim.mm.memblock.iterate import for_each_free_mem_range, for_each_free_mem_range_reverse
from memsim.mm.memblock.region import Memblock
from memsim.words.memblock import (
    MEMBLOCK_ALLOC_ACCESSIBLE,
    MEMBLOCK_ALLOC_NOLEAKTRACE,
    MEMBLOCK_MIRROR,
    MEMBLOCK_NONE,
)
from memsim.words.slab import NUMA_NO_NODE


def _memblock_find_range_bottom_up(
    memblock: Memblock, start: int, end: int, size: int, align: int, nid: int, flags: int
) -> int:
    """The lowest aligned address with size free bytes; 0: none.

    Kernel: mm/memblock.c __memblock_find_range_bottom_up()
    """
    for first, last, _ in for_each_free_mem_range(memblock, nid, flags):
        this_end = clamp(last, start, end)
        candidate = align_up(clamp(first, start, end), align)
        if candidate < this_end and this_end - candidate >= size:
            return candidate
    return 0


def _memblock_find_range_top_down(
    memblock: Memblock, start: int, end: int, size: int, align: int, nid: int, flags: int
) -> int:
    """The highest one; 0: none. Kernel: mm/memblock.c __memblock_find_range_top_down()."""
    for first, last, _ in for_each_free_mem_range_reverse(memblock, nid, flags):
        this_end = clamp(last, start, end)
        if this_end < size:
            continue
        candidate = align_down(this_end - size, align)
        if candidate >= clamp(first, start, end):
            return candidate
    return 0


def memblock_find_in_range_node(
    memblock: Memblock, size: int, align: int, start: int, end: int, nid: int, flags: int
) -> int:
    """An address for size bytes within [start, end); never on the first page. 0: there is none.

    end may be MEMBLOCK_ALLOC_ACCESSIBLE: up to current_limit. Nothing is changed.
    Kernel: mm/memblock.c memblock_find_in_range_node()
    """
    if end in (MEMBLOCK_ALLOC_ACCESSIBLE, MEMBLOCK_ALLOC_NOLEAKTRACE):
        end = memblock.current_limit
    start = max(start, PAGE_SIZE)
    end = max(start, end)
    if memblock.bottom_up:
        return _memblock_find_range_bottom_up(memblock, start, end, size, align, nid, flags)
    return _memblock_find_range_top_down(memblock, start, end, size, align, nid, flags)


def choose_memblock_flags(memblock: Memblock) -> int:
    """Mirrored memory first, where there is some."""
    return MEMBLOCK_MIRROR if memblock.system_has_some_mirror else MEMBLOCK_NONE


def memblock_find_in_range(memblock: Memblock, start: int, end: int, size: int, align: int) -> int:
    """The same on any node, mirrored if possible. Kernel: memblock_find_in_range()."""
    flags = choose_memblock_flags(memblock)
    found = memblock_find_in_range_node(memblock, size, align, start, end, NUMA_NO_NODE, flags)
    if not found and flags & MEMBLOCK_MIRROR:
        warn_no_mirror(memblock, size)
        flags &= ~MEMBLOCK_MIRROR
        found = memblock_find_in_range_node(memblock, size, align, start, end, NUMA_NO_NODE, flags)
    return found


def warn_no_mirror(memblock: Memblock, size: int) -> None:
    """What the kernel says when it takes other memory than mirrored."""
    memblock.log.append(f"Could not allocate {size:#018x} bytes of mirrored memory")
