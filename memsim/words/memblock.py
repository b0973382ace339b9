"""Constants of memblock, the allocator of early boot.

Kernel: include/linux/memblock.h
"""

from __future__ import annotations

PHYS_ADDR_MAX = (1 << 64) - 1
MEMBLOCK_ALLOC_ANYWHERE = PHYS_ADDR_MAX
MEMBLOCK_ALLOC_ACCESSIBLE = 0
MEMBLOCK_ALLOC_NOLEAKTRACE = 1
ARCH_LOW_ADDRESS_LIMIT = 0xFFFFFFFF

MEMBLOCK_NONE = 0x0
MEMBLOCK_HOTPLUG = 0x1
MEMBLOCK_MIRROR = 0x2
MEMBLOCK_NOMAP = 0x4
MEMBLOCK_DRIVER_MANAGED = 0x8
MEMBLOCK_RSRV_NOINIT = 0x10

#: Regions that the arrays have room for before the first is doubled.
INIT_MEMBLOCK_REGIONS = 128
#: Bytes of a struct memblock_region: base, size, flags and node.
SIZEOF_MEMBLOCK_REGION = 24
SMP_CACHE_BYTES = 64

#: Of a region: no node yet. Kernel: include/linux/numa.h, with Debian's CONFIG_NODES_SHIFT
MAX_NUMNODES = 1 << 10
