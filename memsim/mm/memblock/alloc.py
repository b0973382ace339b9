"""Memory for early boot: a gap is found, and noted as in use.

What the kernel returns as a pointer is a physical address here; 0 is no memory.
NOT MODELLED: contents (so no memblock_alloc_raw() and memblock_alloc_try_nid_raw()); the panic of
callers who need it; requests after slab is there.
Kernel: mm/memblock.c memblock_alloc_range_nid() and what stands on it
"""

from __future__ import annotations

from memsim.mm.memblock.add import memblock_reserve
from memsim.mm.memblock.find import (
    choose_memblock_flags,
    memblock_find_in_range_node,
    warn_no_mirror,
)
from memsim.mm.memblock.iterate import numa_valid_node
from memsim.mm.memblock.region import Memblock
from memsim.words.memblock import (
    ARCH_LOW_ADDRESS_LIMIT,
    MEMBLOCK_ALLOC_ACCESSIBLE,
    MEMBLOCK_MIRROR,
    SMP_CACHE_BYTES,
)
from memsim.words.slab import NUMA_NO_NODE


def memblock_alloc_range_nid(
    memblock: Memblock, size: int, align: int, start: int, end: int, nid: int, exact_nid: bool
) -> int:
    """Size bytes within [start, end), of the node if possible; with exact_nid of no other.

    Mirrored memory is tried first where there is some.
    Kernel: mm/memblock.c memblock_alloc_range_nid()
    """
    align = align or SMP_CACHE_BYTES
    flags = choose_memblock_flags(memblock)
    nodes = [nid] if exact_nid or not numa_valid_node(nid) else [nid, NUMA_NO_NODE]
    while True:
        for node in nodes:
            found = memblock_find_in_range_node(memblock, size, align, start, end, node, flags)
            if found and memblock_reserve(memblock, found, size) == 0:
                return found
        if not flags & MEMBLOCK_MIRROR:
            return 0
        flags &= ~MEMBLOCK_MIRROR
        warn_no_mirror(memblock, size)


def memblock_phys_alloc_range(
    memblock: Memblock, size: int, align: int, start: int, end: int
) -> int:
    """Within a range, of any node. Kernel: mm/memblock.c memblock_phys_alloc_range()."""
    return memblock_alloc_range_nid(memblock, size, align, start, end, NUMA_NO_NODE, False)


def memblock_phys_alloc(memblock: Memblock, size: int, align: int) -> int:
    """Anywhere. Kernel: include/linux/memblock.h memblock_phys_alloc()."""
    return memblock_phys_alloc_range(memblock, size, align, 0, MEMBLOCK_ALLOC_ACCESSIBLE)


def memblock_phys_alloc_try_nid(memblock: Memblock, size: int, align: int, nid: int) -> int:
    """Of the node if possible. Kernel: mm/memblock.c memblock_phys_alloc_try_nid()."""
    end = MEMBLOCK_ALLOC_ACCESSIBLE
    return memblock_alloc_range_nid(memblock, size, align, 0, end, nid, False)


def _memblock_alloc_internal(
    memblock: Memblock, size: int, align: int, min_addr: int, max_addr: int, nid: int, exact: bool
) -> int:
    """The same, and below min_addr when there is nothing above it.

    Kernel: mm/memblock.c memblock_alloc_internal()
    """
    max_addr = min(max_addr, memblock.current_limit)
    found = memblock_alloc_range_nid(memblock, size, align, min_addr, max_addr, nid, exact)
    if not found and min_addr:
        found = memblock_alloc_range_nid(memblock, size, align, 0, max_addr, nid, exact)
    return found


def memblock_alloc_try_nid(
    memblock: Memblock, size: int, align: int, min_addr: int, max_addr: int, nid: int
) -> int:
    """Of the node if possible, between the addresses. Kernel: memblock_alloc_try_nid()."""
    return _memblock_alloc_internal(memblock, size, align, min_addr, max_addr, nid, False)


def memblock_alloc_exact_nid_raw(
    memblock: Memblock, size: int, align: int, min_addr: int, max_addr: int, nid: int
) -> int:
    """Of the node, or none. Kernel: memblock_alloc_exact_nid_raw()."""
    return _memblock_alloc_internal(memblock, size, align, min_addr, max_addr, nid, True)


def memblock_alloc(memblock: Memblock, size: int, align: int) -> int:
    """Anywhere. Kernel: include/linux/memblock.h memblock_alloc()."""
    end = MEMBLOCK_ALLOC_ACCESSIBLE
    return memblock_alloc_try_nid(memblock, size, align, 0, end, NUMA_NO_NODE)


def memblock_alloc_from(memblock: Memblock, size: int, align: int, min_addr: int) -> int:
    """From an address on, if possible. Kernel: include/linux/memblock.h memblock_alloc_from()."""
    end = MEMBLOCK_ALLOC_ACCESSIBLE
    return memblock_alloc_try_nid(memblock, size, align, min_addr, end, NUMA_NO_NODE)


def memblock_alloc_low(memblock: Memblock, size: int, align: int) -> int:
    """Below 4 GiB. Kernel: include/linux/memblock.h memblock_alloc_low()."""
    return memblock_alloc_try_nid(memblock, size, align, 0, ARCH_LOW_ADDRESS_LIMIT, NUMA_NO_NODE)


def memblock_alloc_node(memblock: Memblock, size: int, align: int, nid: int) -> int:
    """Of the node if possible. Kernel: include/linux/memblock.h memblock_alloc_node()."""
    return memblock_alloc_try_nid(memblock, size, align, 0, MEMBLOCK_ALLOC_ACCESSIBLE, nid)
