"""Constants of zones, pageblocks and page lists.

Kernel: include/linux/mmzone.h, mm/internal.h
"""

from __future__ import annotations

from enum import IntEnum

from memsim.lib.bits import PAGE_SHIFT as PAGE_SHIFT
from memsim.lib.bits import PAGE_SIZE as PAGE_SIZE

#: The largest order, inclusive. MAX_ORDER was 11 and exclusive: commit 23baf831a32c
#: ("mm, treewide: redefine MAX_ORDER sanely") (in v6.4); renamed by commit 5e0a760b4441
#: ("mm, treewide: rename MAX_ORDER to MAX_PAGE_ORDER") (in v6.8).
MAX_PAGE_ORDER = 10
NR_PAGE_ORDERS = MAX_PAGE_ORDER + 1
PAGE_ALLOC_COSTLY_ORDER = 3
#: Kernel: mm/internal.h
MAX_RECLAIM_RETRIES = 16
HPAGE_PMD_ORDER = 9
PAGEBLOCK_ORDER = 9
#: Kernel: arch/x86/include/asm/sparsemem.h SECTION_SIZE_BITS
PAGES_PER_SECTION = 1 << 27 - PAGE_SHIFT

#: No page. pfns are never negative.
NULL = -1

MIGRATE_UNMOVABLE = 0
MIGRATE_MOVABLE = 1
MIGRATE_RECLAIMABLE = 2
MIGRATE_PCPTYPES = 3
MIGRATE_HIGHATOMIC = 3
#: With CONFIG_CMA, MIGRATE_CMA is 4 and MIGRATE_ISOLATE 5; without it, as Debian's cloud
#: kernel is built, MIGRATE_ISOLATE is 4. `Vm.MIGRATE_CMA` and `Vm.MIGRATE_ISOLATE` say which.
MIGRATE_CMA_IF_CONFIGURED = 4

#: Names as /proc/pagetypeinfo prints them. Kernel: mm/page_alloc.c migratetype_names[]
MIGRATETYPE_NAMES = ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "CMA", "Isolate")

#: Where a request goes when its own type has nothing left, in this order.
#: Kernel: mm/page_alloc.c fallbacks[]
FALLBACKS = (
    (MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE),
    (MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE),
    (MIGRATE_UNMOVABLE, MIGRATE_MOVABLE),
)

#: Lists of a per_cpu_pages: three types for each order 0 to 3, then two of order 9 for THP.
NR_LOWORDER_PCP_LISTS = MIGRATE_PCPTYPES * (PAGE_ALLOC_COSTLY_ORDER + 1)
NR_PCP_THP = 2
NR_PCP_LISTS = NR_LOWORDER_PCP_LISTS + NR_PCP_THP

#: A pcp takes, or gives back, at most batch << this under one hold of zone->lock.
CONFIG_PCP_BATCH_SCALE_MAX = 5
MIN_PERCPU_PAGELIST_HIGH_FRACTION = 8

PCPF_PREV_FREE_HIGH_ORDER = 1
PCPF_FREE_HIGH_BATCH = 2

WMARK_MIN = 0
WMARK_LOW = 1
WMARK_HIGH = 2
WMARK_PROMO = 3
WMARK_NAMES = ("min", "low", "high", "promo")

ZONE_BOOSTED_WATERMARK = 1 << 0
ZONE_RECLAIM_ACTIVE = 1 << 1
ZONE_BELOW_HIGH = 1 << 2

FPI_NONE = 0
FPI_SKIP_REPORT_NOTIFY = 1 << 0
FPI_TO_TAIL = 1 << 1

ZONELIST_FALLBACK = 0
ZONELIST_NOFALLBACK = 1


class ZoneType(IntEnum):
    """enum zone_type of x86-64 (no HIGHMEM there); words/arch.py has what else there is."""

    DMA = 0
    DMA32 = 1
    NORMAL = 2
    MOVABLE = 3
    DEVICE = 4


ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_MOVABLE, ZONE_DEVICE = (int(z) for z in ZoneType)

#: enum zone_stat_item of the reference kernel's configuration.
ZONE_STAT_ITEMS = (
    "NR_FREE_PAGES", "NR_ZONE_INACTIVE_ANON", "NR_ZONE_ACTIVE_ANON", "NR_ZONE_INACTIVE_FILE",
    "NR_ZONE_ACTIVE_FILE", "NR_ZONE_UNEVICTABLE", "NR_ZONE_WRITE_PENDING", "NR_MLOCK",
    "NR_BOUNCE", "NR_ZSPAGES", "NR_FREE_CMA_PAGES", "NR_UNACCEPTED",
)  # fmt: skip
NR_VM_ZONE_STAT_ITEMS = len(ZONE_STAT_ITEMS)
NR_FREE_PAGES = ZONE_STAT_ITEMS.index("NR_FREE_PAGES")
NR_ZONE_LRU_BASE = ZONE_STAT_ITEMS.index("NR_ZONE_INACTIVE_ANON")
NR_ZONE_WRITE_PENDING = ZONE_STAT_ITEMS.index("NR_ZONE_WRITE_PENDING")
NR_FREE_CMA_PAGES = ZONE_STAT_ITEMS.index("NR_FREE_CMA_PAGES")

#: enum numa_stat_item, and its names as /proc/zoneinfo prints them.
#: Kernel: include/linux/mmzone.h, mm/vmstat.c vmstat_text[]
NUMA_STAT_ITEMS = (
    "NUMA_HIT", "NUMA_MISS", "NUMA_FOREIGN", "NUMA_INTERLEAVE_HIT", "NUMA_LOCAL", "NUMA_OTHER",
)  # fmt: skip
NR_VM_NUMA_EVENT_ITEMS = len(NUMA_STAT_ITEMS)
NUMA_HIT, NUMA_MISS, NUMA_FOREIGN, NUMA_INTERLEAVE_HIT, NUMA_LOCAL, NUMA_OTHER = range(6)

#: struct page of the reference kernel, and where the array of them starts (no KASLR).
SIZEOF_STRUCT_PAGE = 64
VMEMMAP_START = 0xFFFFEA0000000000
