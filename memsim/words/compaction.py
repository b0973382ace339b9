"""Constants of compaction and migration, and the names that tracepoints print for them.

Kernel: include/linux/compaction.h, include/linux/migrate_mode.h, include/trace/events/mmflags.h
"""

from __future__ import annotations

#: enum compact_result, worst first: what several zones gave is the highest of them.
COMPACT_NOT_SUITABLE_ZONE = 0
COMPACT_SKIPPED = 1
COMPACT_DEFERRED = 2
COMPACT_NO_SUITABLE_PAGE = 3
COMPACT_CONTINUE = 4
COMPACT_COMPLETE = 5
COMPACT_PARTIAL_SKIPPED = 6
COMPACT_CONTENDED = 7
COMPACT_SUCCESS = 8
COMPACTION_STATUS = (
    "not_suitable_zone", "skipped", "deferred", "no_suitable_page", "continue", "complete",
    "partial_skipped", "contended", "success",
)  # fmt: skip

#: enum compact_priority: the lower, the harder compaction tries.
COMPACT_PRIO_SYNC_FULL = 0
COMPACT_PRIO_SYNC_LIGHT = 1
COMPACT_PRIO_ASYNC = 2
MIN_COMPACT_PRIORITY = COMPACT_PRIO_SYNC_FULL
MIN_COMPACT_COSTLY_PRIORITY = DEF_COMPACT_PRIORITY = COMPACT_PRIO_SYNC_LIGHT
INIT_COMPACT_PRIORITY = COMPACT_PRIO_ASYNC

#: Kernel: include/trace/events/mmflags.h COMPACTION_PRIORITY
COMPACTION_PRIORITY = ("COMPACT_PRIO_SYNC_FULL", "COMPACT_PRIO_SYNC_LIGHT", "COMPACT_PRIO_ASYNC")

COMPACTION_FAILED = 1
COMPACTION_WITHDRAWN = 2
COMPACTION_PROGRESS = 3
#: As tracepoints print them, from 1 on. Kernel: include/trace/events/mmflags.h COMPACTION_FEEDBACK
COMPACTION_FEEDBACK = ("failed", "withdrawn", "progress")

#: Pages isolated at a time. Kernel: SWAP_CLUSTER_MAX
COMPACT_CLUSTER_MAX = 32
#: Compaction is skipped up to 1 << this times.
COMPACT_MAX_DEFER_SHIFT = 6
#: The order whose fragmentation proactive compaction looks at.
COMPACTION_HPAGE_ORDER = 9

#: enum migrate_mode.
MIGRATE_ASYNC = 0
MIGRATE_SYNC_LIGHT = 1
MIGRATE_SYNC = 2
MIGRATE_MODE = ("MIGRATE_ASYNC", "MIGRATE_SYNC_LIGHT", "MIGRATE_SYNC")

#: enum migrate_reason.
MR_COMPACTION = 0
MR_CONTIG_RANGE = 6
MIGRATE_REASON = (
    "compaction", "memory_failure", "memory_hotplug", "syscall_or_cpuset", "mempolicy_mbind",
    "numa_misplaced", "contig_range", "longterm_pin", "demotion", "damon",
)  # fmt: skip

#: What migrate_pages() does with a folio whose pages are no longer mapped: move it.
MIGRATEPAGE_SUCCESS = 0
MIGRATEPAGE_UNMAP = 1
#: Folios are unmapped this many pages at a time, then moved.
NR_MAX_BATCHED_MIGRATION = 512

#: isolate_mode_t.
ISOLATE_ASYNC_MIGRATE = 0x4
ISOLATE_UNEVICTABLE = 0x8

#: Numbers of a zone that compaction keeps. [0] is of async, [1] of sync compaction.
#: Kernel: include/linux/mmzone.h struct zone
ZONE_COMPACT_FIELDS = (
    "compact_cached_free_pfn", "compact_cached_migrate_pfn[0]", "compact_cached_migrate_pfn[1]",
    "compact_init_migrate_pfn", "compact_init_free_pfn", "compact_considered",
    "compact_defer_shift", "compact_order_failed", "compact_blockskip_flush",
)  # fmt: skip

#: Numbers of a node that kcompactd keeps; kcompactd_awake: it was woken, and has not run yet.
#: Kernel: include/linux/mmzone.h struct pglist_data
NODE_COMPACT_FIELDS = (
    "kcompactd_max_order", "kcompactd_highest_zoneidx", "proactive_compact_trigger",
    "kcompactd_awake",
)  # fmt: skip


def compact_gap(order: int) -> int:
    """Free pages beyond the watermark that compaction needs: twice the block.

    Kernel: include/linux/compaction.h compact_gap()
    """
    return 2 << order


def compact_result_to_feedback(result: int) -> int:
    """How a compact_result looks from afar: COMPACTION_FAILED, WITHDRAWN or PROGRESS.

    Kernel: include/trace/events/mmflags.h compact_result_to_feedback()
    """
    if result == COMPACT_COMPLETE:
        return COMPACTION_FAILED
    return COMPACTION_PROGRESS if result == COMPACT_SUCCESS else COMPACTION_WITHDRAWN
