"""Reclaim: mm/vmscan.c cut along its own sections; here with the classic two lists for each kind.

`scan_control` <- `balance` (how many pages of which list), `isolate` <- `shrink_folio_list` (what
becomes of one folio) <- `shrink_list` <- `shrink_lruvec` <- `shrink_node` (with `memcg_iter`)
<- `direct`, `kswapd` and `node_reclaim` <- `reclaim`, which the slow path and charges ask.

Where lru_gen_enabled(), `shrink_node` hands a node to mm/lru_gen/, as Debian's kernels do it:
recorded mm_vmscan_lru_isolate events ask for 4096 pages, MAX_LRU_BATCH, where the classic lists ask
for SWAP_CLUSTER_MAX at most. What becomes of one folio, kswapd and direct reclaim are the same.

NOT MODELLED: memcgs beside the multi-gen LRU, demotion to other nodes (can_demote()), laptop_mode,
buffer heads, vmpressure(), large folios that must be split, mlock(), VM_EXEC.
"""
