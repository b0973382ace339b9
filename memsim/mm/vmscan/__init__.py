"""Reclaim: mm/vmscan.c cut along its own sections, with the classic two lists for each kind.

`scan_control` <- `balance` (how many pages of which list), `isolate` <- `shrink_folio_list` (what
becomes of one folio) <- `shrink_list` <- `shrink_lruvec` <- `shrink_node` <- `direct`, `kswapd`
and `node_reclaim` <- `reclaim`, which the slow path asks.

NOT MODELLED: the multi-gen LRU (lru_gen_enabled()), which Debian's kernels run: recorded
mm_vmscan_lru_isolate events ask for 4096 pages, MAX_LRU_BATCH, where the classic lists ask for
SWAP_CLUSTER_MAX at most. This is the kernel behind `echo n >/sys/kernel/mm/lru_gen/enabled`, or
without CONFIG_LRU_GEN_ENABLED. So no recording's reclaim is compared with it.
Nor: memcgs and their protection, demotion to other nodes (can_demote()), laptop_mode,
buffer heads, vmpressure(), large folios that must be split, mlock(), VM_EXEC.
"""
