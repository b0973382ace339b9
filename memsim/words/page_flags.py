"""Flags of a folio, and the counters of a node that count folios.

PG_lru stands in a page's state byte (mm/mmzone.py PG_LRU): fallbacks look at it, folio or not.

Kernel: include/linux/page-flags.h enum pageflags, include/linux/mmzone.h enum lru_list,
enum node_stat_item
"""

from __future__ import annotations

PG_locked = 1 << 0
PG_writeback = 1 << 1
PG_referenced = 1 << 2
PG_uptodate = 1 << 3
PG_dirty = 1 << 4
PG_active = 1 << 8
PG_workingset = 1 << 9
PG_swapcache = 1 << 10
PG_mappedtodisk = 1 << 11
PG_anon_exclusive = PG_mappedtodisk
PG_private = 1 << 14
PG_reclaim = 1 << 16
PG_readahead = PG_reclaim
PG_isolated = PG_reclaim
PG_swapbacked = 1 << 17
PG_unevictable = 1 << 18
PG_mlocked = 1 << 19

LRU_ACTIVE = 1
LRU_FILE = 2
LRU_NAMES = (
    "LRU_INACTIVE_ANON", "LRU_ACTIVE_ANON", "LRU_INACTIVE_FILE", "LRU_ACTIVE_FILE",
    "LRU_UNEVICTABLE",
)  # fmt: skip
(
    LRU_INACTIVE_ANON, LRU_ACTIVE_ANON, LRU_INACTIVE_FILE, LRU_ACTIVE_FILE, LRU_UNEVICTABLE,
) = range(5)  # fmt: skip
NR_LRU_LISTS = len(LRU_NAMES)
#: Those that reclaim looks at. Kernel: for_each_evictable_lru()
EVICTABLE_LRUS = range(LRU_UNEVICTABLE)

#: Folios that reclaim takes at once. Kernel: include/linux/swap.h
SWAP_CLUSTER_MAX = 32

#: enum node_stat_item of the reference kernel's configuration.
NODE_STAT_ITEMS = (
    "NR_INACTIVE_ANON", "NR_ACTIVE_ANON", "NR_INACTIVE_FILE", "NR_ACTIVE_FILE", "NR_UNEVICTABLE",
    "NR_SLAB_RECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE_B", "NR_ISOLATED_ANON", "NR_ISOLATED_FILE",
    "WORKINGSET_NODES", "WORKINGSET_REFAULT_ANON", "WORKINGSET_REFAULT_FILE",
    "WORKINGSET_ACTIVATE_ANON", "WORKINGSET_ACTIVATE_FILE", "WORKINGSET_RESTORE_ANON",
    "WORKINGSET_RESTORE_FILE", "WORKINGSET_NODERECLAIM", "NR_ANON_MAPPED", "NR_FILE_MAPPED",
    "NR_FILE_PAGES", "NR_FILE_DIRTY", "NR_WRITEBACK", "NR_WRITEBACK_TEMP", "NR_SHMEM",
    "NR_SHMEM_THPS", "NR_SHMEM_PMDMAPPED", "NR_FILE_THPS", "NR_FILE_PMDMAPPED", "NR_ANON_THPS",
    "NR_VMSCAN_WRITE", "NR_VMSCAN_IMMEDIATE", "NR_DIRTIED", "NR_WRITTEN", "NR_THROTTLED_WRITTEN",
    "NR_KERNEL_MISC_RECLAIMABLE", "NR_FOLL_PIN_ACQUIRED", "NR_FOLL_PIN_RELEASED",
    "NR_KERNEL_STACK_KB", "NR_PAGETABLE", "NR_SECONDARY_PAGETABLE", "NR_IOMMU_PAGES",
    "NR_SWAPCACHE", "PGPROMOTE_SUCCESS", "PGPROMOTE_CANDIDATE", "PGDEMOTE_KSWAPD",
    "PGDEMOTE_DIRECT", "PGDEMOTE_KHUGEPAGED",
)  # fmt: skip
NR_VM_NODE_STAT_ITEMS = len(NODE_STAT_ITEMS)
NR_LRU_BASE = 0
NR_ISOLATED_ANON = NODE_STAT_ITEMS.index("NR_ISOLATED_ANON")
NR_ISOLATED_FILE = NODE_STAT_ITEMS.index("NR_ISOLATED_FILE")
WORKINGSET_NODES = NODE_STAT_ITEMS.index("WORKINGSET_NODES")
WORKINGSET_REFAULT_BASE = NODE_STAT_ITEMS.index("WORKINGSET_REFAULT_ANON")
WORKINGSET_ACTIVATE_BASE = NODE_STAT_ITEMS.index("WORKINGSET_ACTIVATE_ANON")
WORKINGSET_RESTORE_BASE = NODE_STAT_ITEMS.index("WORKINGSET_RESTORE_ANON")
NR_ANON_MAPPED = NODE_STAT_ITEMS.index("NR_ANON_MAPPED")
NR_FILE_MAPPED = NODE_STAT_ITEMS.index("NR_FILE_MAPPED")
NR_FILE_PAGES = NODE_STAT_ITEMS.index("NR_FILE_PAGES")
NR_FILE_DIRTY = NODE_STAT_ITEMS.index("NR_FILE_DIRTY")
NR_WRITEBACK = NODE_STAT_ITEMS.index("NR_WRITEBACK")
NR_SHMEM = NODE_STAT_ITEMS.index("NR_SHMEM")
NR_VMSCAN_WRITE = NODE_STAT_ITEMS.index("NR_VMSCAN_WRITE")
NR_VMSCAN_IMMEDIATE = NODE_STAT_ITEMS.index("NR_VMSCAN_IMMEDIATE")
NR_DIRTIED = NODE_STAT_ITEMS.index("NR_DIRTIED")
NR_WRITTEN = NODE_STAT_ITEMS.index("NR_WRITTEN")
NR_SWAPCACHE = NODE_STAT_ITEMS.index("NR_SWAPCACHE")

#: Bits of Lruvec.flags: enum lruvec_flags, and besides it two of enum pgdat_flags.
LRUVEC_CGROUP_CONGESTED = 1 << 0
LRUVEC_NODE_CONGESTED = 1 << 1
LRUVEC_PGDAT_DIRTY = 1 << 2
LRUVEC_PGDAT_WRITEBACK = 1 << 3
#: memsim's own: reclaim found a whole batch dirty, so wakeup_flusher_threads() was called.
LRUVEC_WAKE_FLUSHERS = 1 << 4
