"""Constants of memory cgroups.

Kernel: include/linux/memcontrol.h, include/linux/page_counter.h, mm/memcontrol.c
"""

from __future__ import annotations

from memsim.words.page_flags import NODE_STAT_ITEMS

#: Pages that a CPU charges at once, and the most that it keeps in stock.
MEMCG_CHARGE_BATCH = 64
#: mem_cgroup_id() of the root; the first group below it has the next.
ROOT_MEMCG_ID = 1
#: How many groups below the root a machine may have. memsim's own: each has lists on each node.
MAX_MEMCGS = 64
#: The longest that memory.high lets a task wait, and HZ. Kernel: mm/memcontrol.c
HZ = 250
MEMCG_MAX_HIGH_DELAY_JIFFIES = 2 * HZ
MEMCG_DELAY_PRECISION_SHIFT = 20
MEMCG_DELAY_SCALING_SHIFT = 14

#: The bit of folio->memcg_data that says it is of a kernel page; the memcg's id lies above both.
MEMCG_DATA_KMEM = 2
MEMCG_DATA_SHIFT = 2

#: enum memcg_memory_event.
MEMCG_EVENTS = (
    "low", "high", "max", "oom", "oom_kill", "oom_group_kill", "swap_high", "swap_max",
    "swap_fail",
)  # fmt: skip
(
    MEMCG_LOW, MEMCG_HIGH, MEMCG_MAX, MEMCG_OOM, MEMCG_OOM_KILL, MEMCG_OOM_GROUP_KILL,
    MEMCG_SWAP_HIGH, MEMCG_SWAP_MAX, MEMCG_SWAP_FAIL,
) = range(len(MEMCG_EVENTS))  # fmt: skip

#: memcg_vm_event_stat[], with zswap, huge pages and NUMA balancing, in the order of memory.stat.
MEMCG_VM_EVENTS = (
    "pgscan_kswapd", "pgscan_direct", "pgscan_khugepaged", "pgsteal_kswapd", "pgsteal_direct",
    "pgsteal_khugepaged", "pgfault", "pgmajfault", "pgrefill", "pgactivate", "pgdeactivate",
    "pglazyfree", "pglazyfreed", "swpin_zero", "swpout_zero", "zswpin", "zswpout", "zswpwb",
    "thp_fault_alloc", "thp_collapse_alloc", "thp_swpout", "thp_swpout_fallback",
    "numa_pages_migrated", "numa_pte_updates", "numa_hint_faults",
)  # fmt: skip
PGSCAN_KSWAPD, PGSCAN_DIRECT, PGSCAN_KHUGEPAGED = range(3)
PGSTEAL_KSWAPD, PGSTEAL_DIRECT, PGSTEAL_KHUGEPAGED = range(3, 6)
PGFAULT, PGMAJFAULT, PGREFILL, PGACTIVATE, PGDEACTIVATE, PGLAZYFREE, PGLAZYFREED = range(6, 13)

#: memory_stats[]: a row's name, and the counter of a lruvec that it shows, "" for none.
MEMORY_STATS = (
    ("anon", "NR_ANON_MAPPED"), ("file", "NR_FILE_PAGES"), ("kernel", "MEMCG_KMEM"),
    ("kernel_stack", "NR_KERNEL_STACK_KB"), ("pagetables", "NR_PAGETABLE"),
    ("sec_pagetables", "NR_SECONDARY_PAGETABLE"), ("percpu", ""), ("sock", ""), ("vmalloc", ""),
    ("shmem", "NR_SHMEM"), ("zswap", ""), ("zswapped", ""), ("file_mapped", "NR_FILE_MAPPED"),
    ("file_dirty", "NR_FILE_DIRTY"), ("file_writeback", "NR_WRITEBACK"),
    ("swapcached", "NR_SWAPCACHE"), ("anon_thp", "NR_ANON_THPS"), ("file_thp", "NR_FILE_THPS"),
    ("shmem_thp", "NR_SHMEM_THPS"), ("inactive_anon", "NR_INACTIVE_ANON"),
    ("active_anon", "NR_ACTIVE_ANON"), ("inactive_file", "NR_INACTIVE_FILE"),
    ("active_file", "NR_ACTIVE_FILE"), ("unevictable", "NR_UNEVICTABLE"),
    ("slab_reclaimable", "NR_SLAB_RECLAIMABLE_B"),
    ("slab_unreclaimable", "NR_SLAB_UNRECLAIMABLE_B"),
    ("workingset_refault_anon", "WORKINGSET_REFAULT_ANON"),
    ("workingset_refault_file", "WORKINGSET_REFAULT_FILE"),
    ("workingset_activate_anon", "WORKINGSET_ACTIVATE_ANON"),
    ("workingset_activate_file", "WORKINGSET_ACTIVATE_FILE"),
    ("workingset_restore_anon", "WORKINGSET_RESTORE_ANON"),
    ("workingset_restore_file", "WORKINGSET_RESTORE_FILE"),
    ("workingset_nodereclaim", "WORKINGSET_NODERECLAIM"),
    ("pgdemote_kswapd", "PGDEMOTE_KSWAPD"), ("pgdemote_direct", "PGDEMOTE_DIRECT"),
    ("pgdemote_khugepaged", "PGDEMOTE_KHUGEPAGED"), ("pgpromote_success", "PGPROMOTE_SUCCESS"),
)  # fmt: skip

#: Numbers of a page_counter that change.
COUNTER_FIELDS = ("usage", "watermark", "failcnt", "min", "low", "high", "max")
#: Numbers of a memcg, by the number that stands in a step: its own, then those of a node.
MEMCG_FIELDS = (
    *(f"memory.{name}" for name in COUNTER_FIELDS), *(f"swap.{name}" for name in COUNTER_FIELDS),
    "oom_group", "kmem", "high_delay",
    *(f"events.{name}" for name in MEMCG_EVENTS),
    *(f"vm_events.{name}" for name in MEMCG_VM_EVENTS),
    *(f"stat.{name}" for name in NODE_STAT_ITEMS),
    "lruvec.anon_cost", "lruvec.file_cost", "lruvec.nonresident_age", "lruvec.refaults_anon",
    "lruvec.refaults_file", "lruvec.flags",
)  # fmt: skip
MEMCG_FIELD_NUMBER = {name: number for number, name in enumerate(MEMCG_FIELDS)}
