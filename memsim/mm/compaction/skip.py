"""Pageblocks to be skipped, and where the scanners start: what a scan tells the next one.

Kernel: mm/compaction.c isolation_suitable() to update_pageblock_skip()
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.state import (
    get_pageblock_skip,
    set_cached_migrate_pfn,
    set_pageblock_skip,
    set_zone_compact,
)
from memsim.mm.mmzone import (
    PG_LRU,
    PG_ORDER,
    PageBuddy,
    PglistData,
    Zone,
    compound_head,
    get_pageblock_migratetype,
    page_zone,
    zone_spans_pfn,
)
from memsim.mm.page_alloc.pageblock import pageblock_start_pfn
from memsim.words.compaction import MIGRATE_ASYNC
from memsim.words.mmzone import MIGRATE_MOVABLE, NULL, PAGE_ALLOC_COSTLY_ORDER


def isolation_suitable(cc: CompactControl, pfn: int) -> bool:
    """May pfn's pageblock be scanned? Kernel: mm/compaction.c isolation_suitable()."""
    return cc.ignore_skip_hint or not get_pageblock_skip(cc.zone, pfn)


def pageblock_pfn_to_page(zone: Zone, start_pfn: int, end_pfn: int) -> int:
    """start_pfn, if it and the last page before end_pfn belong to the zone; else NULL.

    NOT MODELLED: offline sections; a hole inside a zone counts as its pages.
    Kernel: mm/page_alloc.c __pageblock_pfn_to_page()
    """
    inside = zone_spans_pfn(zone, start_pfn) and zone_spans_pfn(zone, end_pfn - 1)
    return start_pfn if inside else NULL


def pageblock_skip_persistent(zone: Zone, pfn: int) -> bool:
    """Is pfn in an allocated block of a pageblock or more? Kernel: pageblock_skip_persistent()."""
    head = compound_head(zone, pfn)
    return head != NULL and zone.page_state[head] & PG_ORDER >= zone.vm.pageblock_order


def reset_cached_positions(zone: Zone) -> None:
    """Let the next compaction scan the whole zone. Kernel: reset_cached_positions()."""
    set_cached_migrate_pfn(zone, zone.zone_start_pfn)
    last = pageblock_start_pfn(zone, zone.zone_end_pfn - 1)
    set_zone_compact(zone, "compact_cached_free_pfn", last)


def _reset_isolation_pfn(zone: Zone, pfn: int, check_source: bool, check_target: bool) -> bool:
    """Take the skip mark from pfn's pageblock if one page of eight is on an LRU list, or free.

    Kernel: mm/compaction.c __reset_isolation_pfn()
    """
    if page_zone(zone.vm, pfn) is not zone or pageblock_skip_persistent(zone, pfn):
        return False
    if check_source and check_target and not get_pageblock_skip(zone, pfn):
        return True
    block_type = get_pageblock_migratetype(zone, pfn)
    if not check_source and check_target and block_type != MIGRATE_MOVABLE:
        return False
    first = max(pageblock_start_pfn(zone, pfn), zone.zone_start_pfn)
    end = min(pageblock_start_pfn(zone, pfn) + zone.vm.pageblock_nr_pages, zone.zone_end_pfn)
    for sample in range(first, end, 1 << PAGE_ALLOC_COSTLY_ORDER):
        on_lru = zone.page_state[sample] & PG_LRU
        if (check_source and on_lru) or (check_target and PageBuddy(zone, sample)):
            set_pageblock_skip(zone, sample, 0)
            return True
    return False


def _reset_isolation_suitable(zone: Zone) -> None:
    """Forget skip marks from both ends on, and start next at the first that were forgotten.

    Only once a direct compaction has gone through the whole zone.
    Kernel: mm/compaction.c __reset_isolation_suitable()
    """
    if not zone.compact_blockskip_flush:
        return
    set_zone_compact(zone, "compact_blockskip_flush", 0)
    migrate_pfn, free_pfn = zone.zone_start_pfn, zone.zone_end_pfn - 1
    reset_migrate, reset_free = free_pfn, migrate_pfn
    source_set = free_set = False
    while migrate_pfn < free_pfn:
        found = _reset_isolation_pfn(zone, migrate_pfn, True, source_set)
        if found and migrate_pfn < reset_migrate:
            source_set, reset_migrate = True, migrate_pfn
            set_zone_compact(zone, "compact_init_migrate_pfn", migrate_pfn)
            set_cached_migrate_pfn(zone, migrate_pfn)
        if _reset_isolation_pfn(zone, free_pfn, free_set, True) and free_pfn > reset_free:
            free_set, reset_free = True, free_pfn
            set_zone_compact(zone, "compact_init_free_pfn", free_pfn)
            set_zone_compact(zone, "compact_cached_free_pfn", free_pfn)
        migrate_pfn += zone.vm.pageblock_nr_pages
        free_pfn -= zone.vm.pageblock_nr_pages
    if reset_migrate >= reset_free:
        set_cached_migrate_pfn(zone, migrate_pfn)
        set_zone_compact(zone, "compact_cached_free_pfn", free_pfn)


def reset_isolation_suitable(pgdat: PglistData) -> None:
    """_reset_isolation_suitable() of a node's zones: kswapd does so before it sleeps.

    Kernel: mm/compaction.c reset_isolation_suitable()
    """
    for zone in pgdat.node_zones:
        if zone.present_pages:
            _reset_isolation_suitable(zone)


def test_and_set_skip(cc: CompactControl, pfn: int) -> bool:
    """Mark the pageblock; was it marked already? Kernel: mm/compaction.c test_and_set_skip()."""
    if cc.ignore_skip_hint:
        return False
    skip = get_pageblock_skip(cc.zone, pfn)
    if not skip and not cc.no_set_skip_hint:
        set_pageblock_skip(cc.zone, pfn)
    return skip


def update_cached_migrate(cc: CompactControl, pfn: int) -> None:
    """The migration scanner is through with pfn's pageblock.

    Kernel: mm/compaction.c update_cached_migrate()
    """
    if cc.no_set_skip_hint:
        return
    zone, pfn = cc.zone, cc.block_end(pfn)
    if pfn > zone.compact_cached_migrate_pfn[0]:
        set_zone_compact(zone, "compact_cached_migrate_pfn[0]", pfn)
    if cc.mode != MIGRATE_ASYNC and pfn > zone.compact_cached_migrate_pfn[1]:
        set_zone_compact(zone, "compact_cached_migrate_pfn[1]", pfn)


def update_pageblock_skip(cc: CompactControl, page: int, pfn: int) -> None:
    """The free scanner is through with page's pageblock, and goes on at pfn.

    Kernel: mm/compaction.c update_pageblock_skip()
    """
    if cc.no_set_skip_hint:
        return
    set_pageblock_skip(cc.zone, page)
    if pfn < cc.zone.compact_cached_free_pfn:
        set_zone_compact(cc.zone, "compact_cached_free_pfn", pfn)
