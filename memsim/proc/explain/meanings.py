"""What each number of a report means, and where the kernel keeps it.

`MEANINGS` has the words of lines by name; a place is a kernel file and what in it changes or
computes the number.
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """What a word of a report says; `place`: where in the kernel its number comes from."""

    says: str
    place: str


_LRU = "include/linux/mm_inline.h update_lru_size()"
_ISOLATED = "mm/vmscan.c shrink_inactive_list()"

#: Of the lines of all nodes, of a node and of a zone: the same names in each.
COUNTERS = {
    "active_anon": Meaning("memory of programs, used of late", f"NR_ACTIVE_ANON, {_LRU}"),
    "inactive_anon": Meaning("memory of programs, not used of late: first to go to swap",
                             f"NR_INACTIVE_ANON, {_LRU}"),
    "isolated_anon": Meaning("taken off the lists by reclaim or compaction at this moment",
                             f"NR_ISOLATED_ANON, {_ISOLATED}"),
    "active_file": Meaning("page cache, used of late", f"NR_ACTIVE_FILE, {_LRU}"),
    "inactive_file": Meaning("page cache, not used of late: first to be dropped",
                             f"NR_INACTIVE_FILE, {_LRU}"),
    "isolated_file": Meaning("page cache that is off the lists at this moment",
                             f"NR_ISOLATED_FILE, {_ISOLATED}"),
    "unevictable": Meaning("mlock() and the like: never reclaimed", f"NR_UNEVICTABLE, {_LRU}"),
    "dirty": Meaning("page cache that is newer than its disk: to be written before it can go",
                     "NR_FILE_DIRTY, mm/page-writeback.c folio_account_dirtied()"),
    "writeback": Meaning("being written now",
                         "NR_WRITEBACK, mm/page-writeback.c __folio_start_writeback()"),
    "slab_reclaimable": Meaning("slabs of caches that can shrink: dentries, inodes",
                                "NR_SLAB_RECLAIMABLE_B, mm/slub.c account_slab()"),
    "slab_unreclaimable": Meaning("slabs of all other caches",
                                  "NR_SLAB_UNRECLAIMABLE_B, mm/slub.c account_slab()"),
    "mapped": Meaning("page cache that programs have in their page tables",
                      "NR_FILE_MAPPED, mm/rmap.c __folio_mod_stat()"),
    "shmem": Meaning("tmpfs and shared memory; on the anon lists above, counted there too",
                     "NR_SHMEM, mm/shmem.c shmem_add_to_page_cache()"),
    "pagetables": Meaning("the processes' page tables",
                          "NR_PAGETABLE, include/linux/mm.h pagetable_pte_ctor()"),
    "sec_pagetables": Meaning("page tables of virtual machines and of IOMMUs",
                              "NR_SECONDARY_PAGETABLE, include/linux/mmzone.h"),
    "bounce": Meaning("copies for devices that reach little memory; 0 nowadays",
                      "NR_BOUNCE, include/linux/mmzone.h"),
    "kernel_misc_reclaimable": Meaning("drivers' memory that can shrink",
                                       "NR_KERNEL_MISC_RECLAIMABLE, include/linux/mmzone.h"),
    "free": Meaning("on the buddy allocator's lists; the check compares this one",
                    "NR_FREE_PAGES, mm/page_alloc.c account_freepages()"),
    "free_pcp": Meaning("on the CPUs' own lists: not in `free`",
                        "pcp->count, mm/page_alloc.c free_unref_page_commit()"),
    "free_cma": Meaning("of `free`, in CMA's pageblocks: for movable requests alone",
                        "NR_FREE_CMA_PAGES, mm/page_alloc.c account_freepages()"),
    "isolated(anon)": Meaning("off the lists at this moment", f"NR_ISOLATED_ANON, {_ISOLATED}"),
    "isolated(file)": Meaning("off the lists at this moment", f"NR_ISOLATED_FILE, {_ISOLATED}"),
    "shmem_thp": Meaning("shared memory in huge pages",
                         "NR_SHMEM_THPS, mm/shmem.c shmem_add_to_page_cache()"),
    "shmem_pmdmapped": Meaning("of these, mapped as huge pages",
                               "NR_SHMEM_PMDMAPPED, mm/rmap.c __folio_mod_stat()"),
    "anon_thp": Meaning("memory of programs in huge pages",
                        "NR_ANON_THPS, mm/rmap.c __folio_mod_stat()"),
    "writeback_tmp": Meaning("FUSE's copies that are being written",
                             "NR_WRITEBACK_TEMP, include/linux/mmzone.h"),
    "kernel_stack": Meaning("the tasks' kernel stacks, 16 kB each",
                            "NR_KERNEL_STACK_KB, include/linux/mmzone.h"),
    "boost": Meaning("added to all marks for a while after a fallback; already in min, low, high",
                     "zone->watermark_boost, mm/page_alloc.c boost_watermark()"),
    "min": Meaning("the mark that a request is held against at last",
                   "WMARK_MIN, mm/page_alloc.c __setup_per_zone_wmarks()"),
    "low": Meaning("below it kswapd is woken, and the next zone is tried",
                   "WMARK_LOW, mm/page_alloc.c __setup_per_zone_wmarks()"),
    "high": Meaning("here kswapd goes to sleep again",
                    "WMARK_HIGH, mm/page_alloc.c __setup_per_zone_wmarks()"),
    "reserved_highatomic": Meaning("pageblocks for large requests that cannot wait",
                                   "nr_reserved_highatomic, mm/page_alloc.c "
                                   "reserve_highatomic_pageblock()"),
    "writepending": Meaning("dirty, or being written",
                            "NR_ZONE_WRITE_PENDING, mm/page-writeback.c folio_account_dirtied()"),
    "present": Meaning("RAM of the zone", "zone->present_pages, mm/mm_init.c"),
    "managed": Meaning("what boot gave to the buddy allocator",
                       "zone->managed_pages, mm/page_alloc.c __free_pages_core()"),
    "mlocked": Meaning("locked by mlock()", "NR_MLOCK, mm/mlock.c mlock_folio()"),
    "local_pcp": Meaning("on the lists of the CPU that prints this",
                         "pcp->count, mm/page_alloc.c free_unref_page_commit()"),
    "all_unreclaimable?": Meaning("yes: kswapd got nothing in sixteen rounds, and has given up",
                                  "pgdat->kswapd_failures, mm/vmscan.c balance_pgdat()"),
}  # fmt: skip

#: The columns of the table of tasks, and the words of the lines that name the victim.
TASKS = {
    "pid": Meaning("the thread that still has the memory", "mm/oom_kill.c dump_task()"),
    "uid": Meaning("whose it is; nobody is spared for it since 4.17", "mm/oom_kill.c dump_task()"),
    "tgid": Meaning("the process, as `ps` numbers it", "mm/oom_kill.c dump_task()"),
    "total_vm": Meaning("addresses in use: no memory, and no points", "mm->total_vm, mm/mmap.c"),
    "rss": Meaning("pages in memory: rss_anon + rss_file + rss_shmem; these are points",
                   "include/linux/mm.h get_mm_rss()"),
    "rss_anon": Meaning("of its own", "MM_ANONPAGES, mm/oom_kill.c dump_task()"),
    "rss_file": Meaning("of files, perhaps shared with others",
                        "MM_FILEPAGES, mm/oom_kill.c dump_task()"),
    "rss_shmem": Meaning("of shared memory and tmpfs: a kill does not free it",
                         "MM_SHMEMPAGES, mm/oom_kill.c dump_task()"),
    "pgtables_bytes": Meaning("its page tables, in bytes: a point for each 4096",
                              "include/linux/mm.h mm_pgtables_bytes()"),
    "swapents": Meaning("its pages in swap; points too", "MM_SWAPENTS, mm/oom_kill.c dump_task()"),
    "oom_score_adj": Meaning("each counts as a thousandth of memory and swap; -1000: never killed",
                             "mm/oom_kill.c oom_badness()"),
    "name": Meaning("comm, 15 letters at most", "mm/oom_kill.c dump_task()"),
    "constraint": Meaning("what the request was limited to: NONE, nothing; CPUSET, "
                          "MEMORY_POLICY, MEMCG", "mm/oom_kill.c constrained_alloc()"),
    "nodemask": Meaning("the nodes of a memory policy; (null): none",
                        "mm/oom_kill.c dump_oom_victim()"),
    "cpuset": Meaning("the cpuset of who asked", "mm/oom_kill.c dump_oom_victim()"),
    "mems_allowed": Meaning("the nodes of this cpuset", "mm/oom_kill.c dump_oom_victim()"),
    "global_oom": Meaning("no memory cgroup is at its limit: the machine is short",
                          "mm/memcontrol.c mem_cgroup_print_oom_context()"),
    "oom_memcg": Meaning("the memory cgroup that is at its limit",
                         "mm/memcontrol.c mem_cgroup_print_oom_context()"),
    "task_memcg": Meaning("the victim's memory cgroup",
                          "mm/memcontrol.c mem_cgroup_print_oom_context()"),
    "task": Meaning("the victim", "mm/oom_kill.c select_bad_process()"),
    "total-vm": Meaning("addresses that were in use", "mm/oom_kill.c __oom_kill_process()"),
    "anon-rss": Meaning("memory of its own: this comes free",
                        "MM_ANONPAGES, mm/oom_kill.c __oom_kill_process()"),
    "file-rss": Meaning("pages of files: they could have been dropped anyhow",
                        "MM_FILEPAGES, mm/oom_kill.c __oom_kill_process()"),
    "shmem-rss": Meaning("shared memory: stays where others, or a tmpfs, have it",
                         "MM_SHMEMPAGES, mm/oom_kill.c __oom_kill_process()"),
    "UID": Meaning("whose it was", "mm/oom_kill.c __oom_kill_process()"),
    "pgtables": Meaning("its page tables", "mm/oom_kill.c __oom_kill_process()"),
}  # fmt: skip

#: Words of the first line, and of the one behind it.
REQUEST = {
    "comm": Meaning("who asked: not who has the memory", "current->comm, include/linux/sched.h"),
    "gfp_mask": Meaning("where from, and what may be done for it",
                        "include/linux/gfp_types.h, shown by lib/vsprintf.c format_flags()"),
    "order": Meaning("2 to the power of it pages, in one block", "mm/page_alloc.c __alloc_pages()"),
    "oom_score_adj": Meaning("of who asked; not of the victim", "mm/oom_kill.c dump_header()"),
    "nodemask": Meaning("the nodes of a memory policy; (null): none",
                        "mm/page_alloc.c warn_alloc()"),
    "cpuset": Meaning("the cpuset of who asked", "mm/page_alloc.c warn_alloc()"),
    "mems_allowed": Meaning("the nodes of this cpuset", "mm/page_alloc.c warn_alloc()"),
    "CPU": Meaning("where it ran", "lib/dump_stack.c dump_stack_print_info()"),
    "UID": Meaning("whose it is", "lib/dump_stack.c dump_stack_print_info()"),
    "PID": Meaning("the thread that asked", "lib/dump_stack.c dump_stack_print_info()"),
}  # fmt: skip

#: The lines behind the zones, by their keys in mm/mem_info.py LAST_LINES.
LAST = {
    "pagecache": Meaning("page cache, with tmpfs and shared memory and the swap cache",
                         "NR_FILE_PAGES, mm/show_mem.c show_free_areas()"),
    "swapcache": Meaning("pages that are in memory and have a place in swap",
                         "NR_SWAPCACHE, mm/swap_state.c show_swap_cache_info()"),
    "free_swap": Meaning("what of swap nobody uses",
                         "mm/swap_state.c show_swap_cache_info()"),
    "total_swap": Meaning("all of swap; 0: memory of programs cannot be reclaimed",
                          "total_swap_pages, mm/swap_state.c show_swap_cache_info()"),
    "ram": Meaning("pages present in all zones", "present_pages, mm/show_mem.c __show_mem()"),
    "highmem": Meaning("of these, in HighMem; none with 64 bits", "mm/show_mem.c __show_mem()"),
    "reserved": Meaning("of these, never given to the buddy allocator: RAM less this is what "
                        "1000 of oom_score_adj weigh, with swap", "mm/show_mem.c __show_mem()"),
    "cma_reserved": Meaning("of these, in CMA areas", "totalcma_pages, mm/show_mem.c __show_mem()"),
    "hwpoisoned": Meaning("broken, and out of use", "num_poisoned_pages, mm/memory-failure.c"),
}  # fmt: skip

#: Functions that are on the stacks of reports, and what they were doing.
FUNCTIONS = {
    "dump_stack_lvl": "prints this stack",
    "dump_header": "prints the report's head",
    "oom_kill_process": "kills, and says whom",
    "out_of_memory": "looks for a victim",
    "warn_alloc": "prints that the request failed",
    "__alloc_pages_slowpath": "tries all there is: wake, reclaim, compact, kill",
    "__alloc_pages_noprof": "the page allocator's entrance",
    "alloc_pages_mpol_noprof": "chooses nodes by the task's memory policy",
    "folio_alloc_mpol_noprof": "asks for a folio",
    "vma_alloc_folio_noprof": "asks for a folio for this address of the process",
    "do_anonymous_page": "gives a new page to a process that touched an address",
    "__handle_mm_fault": "looks up which kind of page is missing",
    "handle_mm_fault": "a page fault, of any kind of memory",
    "do_user_addr_fault": "a page fault at an address of the process",
    "exc_page_fault": "the CPU's exception: a page is missing",
    "asm_exc_page_fault": "where the CPU enters the kernel",
}
