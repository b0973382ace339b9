"""Reclaim: mm/vmscan.c cut along its own sections, with the classic two lists for each kind.

`scan_control` <- `balance` (how many pages of which list), `isolate` <- `shrink_folio_list` (what
becomes of one folio) <- `shrink_list` <- `shrink_lruvec` <- `shrink_node` <- `direct` and `kswapd`
<- `reclaim`, which the slow path asks.

NOT MODELLED: the multi-gen LRU (lru_gen_enabled()). Debian builds it in (CONFIG_LRU_GEN) and leaves
it off (CONFIG_LRU_GEN_ENABLED is not set), so the classic lists are what its kernels use. Nor:
memcgs and their protection, demotion to other nodes (can_demote()), node_reclaim(), laptop_mode,
buffer heads, vmpressure(), large folios that must be split, mlock(), VM_EXEC.
"""
