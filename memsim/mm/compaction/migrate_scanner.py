"""The migration scanner: from the zone's start upwards, for pages that can move.

Kernel: mm/compaction.c suitable_migration_source(), isolate_migratepages()
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.fast_search import fast_find_migrateblock, is_migrate_movable
from memsim.mm.compaction.migrate_block import isolate_migratepages_block
from memsim.mm.compaction.skip import (
    isolation_suitable,
    pageblock_pfn_to_page,
    pageblock_skip_persistent,
    update_cached_migrate,
)
from memsim.mm.mmzone import get_pageblock_migratetype
from memsim.words.compaction import (
    ISOLATE_ASYNC_MIGRATE,
    ISOLATE_UNEVICTABLE,
    MIGRATE_ASYNC,
    MIGRATE_SYNC,
)
from memsim.words.mmzone import MIGRATE_MOVABLE, NULL

#: isolate_migrate_t.
ISOLATE_ABORT, ISOLATE_NONE, ISOLATE_SUCCESS = range(3)


def suitable_migration_source(cc: CompactControl, page: int) -> bool:
    """Is it worth emptying page's pageblock? Async compaction for a request does one's own type.

    Kernel: mm/compaction.c suitable_migration_source()
    """
    if pageblock_skip_persistent(cc.zone, page):
        return False
    if cc.mode != MIGRATE_ASYNC or not cc.direct_compaction:
        return True
    block_mt = get_pageblock_migratetype(cc.zone, page)
    if cc.migratetype == MIGRATE_MOVABLE:
        return is_migrate_movable(cc.zone, block_mt)
    return block_mt == cc.migratetype


def isolate_migratepages(cc: CompactControl) -> int:
    """Isolate pages of the first suitable pageblock: ISOLATE_SUCCESS, _NONE, or _ABORT.

    The scanner goes no further than to the free scanner. Kernel: mm/compaction.c
    """
    low_pfn = fast_find_migrateblock(cc)
    fast_find_block = low_pfn != cc.migrate_pfn and not cc.fast_search_fail
    block_start = max(cc.block_start(low_pfn), cc.zone.zone_start_pfn)
    block_end = cc.block_end(low_pfn)
    while block_end <= cc.free_pfn:
        if _may_scan(cc, block_start, low_pfn, block_end, fast_find_block):
            if isolate_migratepages_block(cc, low_pfn, block_end, _isolate_mode(cc)):
                return ISOLATE_ABORT
            break
        fast_find_block = False
        cc.migrate_pfn = low_pfn = block_start = block_end
        block_end += cc.zone.vm.pageblock_nr_pages
    return ISOLATE_SUCCESS if cc.nr_migratepages else ISOLATE_NONE


def _isolate_mode(cc: CompactControl) -> int:
    mode = ISOLATE_UNEVICTABLE if cc.zone.vm.sysctl_compact_unevictable_allowed else 0
    return mode | (ISOLATE_ASYNC_MIGRATE if cc.mode != MIGRATE_SYNC else 0)


def _may_scan(
    cc: CompactControl, block_start: int, low_pfn: int, block_end: int, fast_find_block: bool
) -> bool:
    """Is the pageblock in the zone, not to be skipped, and a suitable source?

    The skip mark is asked where a pageblock begins, and not again if a search has found it.
    """
    if pageblock_pfn_to_page(cc.zone, block_start, block_end) == NULL:
        return False
    begins = low_pfn in (cc.block_start(low_pfn), cc.zone.zone_start_pfn)
    if begins and not fast_find_block and not isolation_suitable(cc, block_start):
        return False
    if not suitable_migration_source(cc, block_start):
        update_cached_migrate(cc, block_end)
        return False
    return True
