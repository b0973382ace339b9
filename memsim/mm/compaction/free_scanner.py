"""The free scanner: from the zone's end downwards, for free pages that others can move into.

Kernel: mm/compaction.c isolate_freepages()
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.fast_search import fast_isolate_freepages, suitable_migration_target
from memsim.mm.compaction.free_block import isolate_freepages_block
from memsim.mm.compaction.skip import (
    isolation_suitable,
    pageblock_pfn_to_page,
    update_pageblock_skip,
)
from memsim.words.compaction import COMPACT_CLUSTER_MAX, MIGRATE_ASYNC
from memsim.words.mmzone import NULL


def isolate_freepages(cc: CompactControl) -> None:
    """Isolate as many free pages as are to migrate, by a short search or else by a scan.

    The scan stops at the pageblock of the migration scanner. Where a pageblock gave nothing, twice
    as few pages of the next are looked at, down to one of COMPACT_CLUSTER_MAX.
    Kernel: mm/compaction.c isolate_freepages()
    """
    fast_isolate_freepages(cc)
    if cc.nr_freepages:
        return
    pageblock_nr_pages = cc.zone.vm.pageblock_nr_pages
    start_pfn = cc.free_pfn
    block_start = cc.block_start(start_pfn)
    block_end = min(block_start + pageblock_nr_pages, cc.zone.zone_end_pfn)
    low_pfn = cc.block_end(cc.migrate_pfn)
    stride = COMPACT_CLUSTER_MAX if cc.mode == MIGRATE_ASYNC else 1
    while block_start >= low_pfn:
        if _may_scan(cc, block_start, block_end):
            isolated, start_pfn = isolate_freepages_block(cc, start_pfn, block_end, stride, False)
            if start_pfn == block_end:
                update_pageblock_skip(cc, block_start, block_start - pageblock_nr_pages)
            enough = cc.nr_freepages >= cc.nr_migratepages
            if enough and start_pfn >= block_end:
                start_pfn = block_start - pageblock_nr_pages
            if enough or start_pfn < block_end:
                break
            stride = 1 if isolated else min(COMPACT_CLUSTER_MAX, stride << 1)
        block_end = block_start
        block_start -= pageblock_nr_pages
        start_pfn = block_start
    cc.free_pfn = start_pfn


def _may_scan(cc: CompactControl, block_start: int, block_end: int) -> bool:
    """Is the pageblock in the zone, can pages move into it, and is it not to be skipped?"""
    return (
        pageblock_pfn_to_page(cc.zone, block_start, block_end) != NULL
        and suitable_migration_target(cc, block_start)
        and isolation_suitable(cc, block_start)
    )
