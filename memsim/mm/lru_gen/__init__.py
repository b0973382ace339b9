"""The multi-gen LRU: mm/vmscan.c's part under CONFIG_LRU_GEN, cut along its own sections.

`state` (struct lru_gen_folio) and `flags` (generation and tier of a folio) <- `control` (the PID
controller) <- `promote` <- `aging`, `walk`; `isolate` <- `evict` <- `shrink`, which reclaims a node
in the place of the classic lists; `workingset`, `change_state`. How a folio joins a generation and
leaves it is in mm/mm_inline.py, as it is in the kernel's header.

NOT MODELLED: the memcg LRU (shrink_many(): struct lru_gen_memcg), so the root's lruvec is the only
one; lru_gen_min_ttl and timestamps; debugfs; LRU_GEN_MM_WALK and LRU_GEN_NONLEAF_YOUNG turned off.
"""
