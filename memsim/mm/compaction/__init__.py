"""Compaction: movable pages from a zone's start go to free pages near its end, in two scans.

mm/compaction.c along its own sections, in this order of imports: `state` (numbers that last) and
`control` (struct compact_control); `defer`, `suitable`; `skip`; `free_block`
(isolate_freepages_block()), `fast_search` ← `free_scanner` ← `targets`; `migrate_block` ←
`migrate_scanner`; `finished` ← `compact_zone` ← `direct`, `kcompactd`.
"""
