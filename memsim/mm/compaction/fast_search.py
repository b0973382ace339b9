"""Compaction's two short searches of the free lists. Both leave the lists rotated, untraced.

Kernel: mm/compaction.c fast_isolate_freepages(), fast_find_migrateblock()
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.free_block import isolate_freepages_block
from memsim.mm.compaction.skip import pageblock_pfn_to_page
from memsim.mm.compaction.state import get_pageblock_skip, set_pageblock_skip, set_zone_compact
from memsim.mm.mmzone import PageBuddy, Zone, buddy_order, get_pageblock_migratetype
from memsim.mm.page_alloc.free_list import list_all_deferred, rotate_free_list
from memsim.mm.page_alloc.isolate import _isolate_free_page
from memsim.trace.compaction_events import MM_COMPACTION_FAST_ISOLATE_FREEPAGES
from memsim.trace.events import TP_COMPACTION
from memsim.words.compaction import COMPACT_CLUSTER_MAX, MIGRATE_ASYNC
from memsim.words.mmzone import MIGRATE_MOVABLE, NULL, PAGE_ALLOC_COSTLY_ORDER


def freelist_scan_limit(cc: CompactControl) -> int:
    """Blocks to look at; half as many after each failure. Kernel: freelist_scan_limit()."""
    return (COMPACT_CLUSTER_MAX >> min(63, cc.fast_search_fail)) + 1


def next_search_order(cc: CompactControl, order: int) -> int:
    """The order below, wrapping around; -1 when every order was searched.

    Kernel: mm/compaction.c next_search_order()
    """
    order -= 1
    if order < 0:
        order = cc.order - 1
    if order == cc.search_order:
        cc.search_order -= 1
        if cc.search_order < 0:
            cc.search_order = cc.order - 1
        return -1
    return order


def move_freelist_head(zone: Zone, order: int, page: int) -> None:
    """What stands in front of page goes to the tail: a search from the tail meets it first.

    Kernel: mm/compaction.c move_freelist_head()
    """
    rotate_free_list(zone, order, MIGRATE_MOVABLE, page)


def move_freelist_tail(zone: Zone, order: int, page: int) -> None:
    """page and what stands in front of it go to the tail: a search from the head skips them.

    Kernel: mm/compaction.c move_freelist_tail()
    """
    following = zone.next[page]
    if following != zone.free_area[order].free_list[MIGRATE_MOVABLE]:
        rotate_free_list(zone, order, MIGRATE_MOVABLE, following)


def suitable_migration_target(cc: CompactControl, page: int) -> bool:
    """May pages move into page's pageblock? Not where it begins with a block large enough itself.

    Kernel: mm/compaction.c suitable_migration_target()
    """
    wanted = cc.order if cc.order > 0 else cc.zone.vm.pageblock_order
    if PageBuddy(cc.zone, page) and buddy_order(cc.zone, page) >= wanted:
        return False
    migratetype = get_pageblock_migratetype(cc.zone, page)
    return cc.ignore_block_suitable or is_migrate_movable(cc.zone, migratetype)


def is_migrate_movable(zone: Zone, migratetype: int) -> bool:
    """MOVABLE or CMA? Kernel: include/linux/mmzone.h is_migrate_movable()."""
    return migratetype in (MIGRATE_MOVABLE, zone.vm.MIGRATE_CMA)


class TargetSearch:
    """One search for a migration target: its bounds, and what it has seen.

    low_pfn: blocks from here on are taken at once; min_pfn: from here on if there is no better.
    highest: the highest pageblock that any block looked at lies in; it starts at 0.
    """

    __slots__ = ("highest", "limit", "low_pfn", "min_pfn", "nr_scanned", "scan_start", "taken")

    def __init__(self, cc: CompactControl) -> None:
        distance = cc.free_pfn - cc.migrate_pfn
        self.low_pfn = cc.block_start(cc.free_pfn - (distance >> 2))
        self.min_pfn = cc.block_start(cc.free_pfn - (distance >> 1))
        # a scan that has just started looks deeper
        self.scan_start = cc.free_pfn >= cc.zone.compact_init_free_pfn
        self.limit = max(1, freelist_scan_limit(cc) >> 1)
        if self.scan_start:
            self.limit = cc.zone.vm.pageblock_nr_pages >> 1
        self.highest = self.nr_scanned = self.taken = 0


def fast_isolate_freepages(cc: CompactControl) -> None:
    """Isolate a free block high in the zone, and free pages around it; else move the free scanner.

    Kernel: mm/compaction.c fast_isolate_freepages()
    """
    if cc.order <= 0:
        return
    search = TargetSearch(cc)
    page = search_free_lists(cc, search)
    if cc.zone.trace.mask & TP_COMPACTION:
        cc.zone.trace.emit(
            MM_COMPACTION_FAST_ISOLATE_FREEPAGES, search.min_pfn, cc.free_pfn, search.nr_scanned,
            search.taken,
        )  # fmt: skip
    if page == NULL:
        cc.fast_search_fail += 1
        if search.scan_start:
            page = _highest_or_min(cc, search)
    if search.highest and search.highest >= cc.zone.compact_cached_free_pfn:
        highest = search.highest - cc.zone.vm.pageblock_nr_pages
        set_zone_compact(cc.zone, "compact_cached_free_pfn", max(0, highest))
    cc.total_free_scanned += search.nr_scanned
    if page != NULL:
        fast_isolate_around(cc, page)


def _highest_or_min(cc: CompactControl, search: TargetSearch) -> int:
    """A first search that found nothing says where the free scanner starts, and looks around there.

    Kernel: mm/compaction.c fast_isolate_freepages(), behind its tracepoint
    """
    if search.highest >= search.min_pfn:
        cc.free_pfn = search.highest
        return search.highest
    if not cc.direct_compaction:
        return NULL
    min_pfn = cc.free_pfn = search.min_pfn
    end = min(cc.block_end(min_pfn), cc.zone.zone_end_pfn)
    page = pageblock_pfn_to_page(cc.zone, min_pfn, end)
    return page if page != NULL and suitable_migration_target(cc, page) else NULL


def search_free_lists(cc: CompactControl, search: TargetSearch) -> int:
    """Isolate one free block as migration target; NULL if none was found. Lists are rotated.

    Kernel: mm/compaction.c fast_isolate_freepages(), its loop over orders
    """
    list_all_deferred(cc.zone)
    cc.search_order = min(cc.order - 1, cc.search_order)
    order, page = cc.search_order, NULL
    while page == NULL and order >= 0:
        if cc.zone.free_area[order].nr_free:
            page, scanned, failed = _search_targets(cc, order, search)
            if failed:
                order = cc.search_order + 1
            if cc.nr_freepages >= cc.nr_migratepages:
                break
            if scanned >= search.limit:
                search.limit = max(1, search.limit >> 1)
        order = next_search_order(cc, order)
    return page


def _search_targets(cc: CompactControl, order: int, search: TargetSearch) -> tuple[int, int, bool]:
    """Search one list from its tail: (block isolated or NULL, scanned, did isolation fail?).

    A block at low_pfn or above is taken at once, else the highest at min_pfn or above.
    """
    zone = cc.zone
    head = zone.free_area[order].free_list[MIGRATE_MOVABLE]
    scanned, high_pfn, chosen = 0, 0, NULL
    page = zone.prev[head]
    while page != head:
        scanned += 1
        if page >= search.highest:
            search.highest = max(cc.block_start(page), zone.zone_start_pfn)
        if page >= search.low_pfn:
            cc.fast_search_fail = 0
            cc.search_order = order
            chosen = page
            break
        if page >= search.min_pfn and page > high_pfn:
            high_pfn = page
            search.limit >>= 1
        if scanned >= search.limit:
            break
        page = zone.prev[page]
    if chosen == NULL and high_pfn:
        chosen = page = high_pfn
    if page != head:
        move_freelist_head(zone, order, page)
    search.nr_scanned += scanned
    if chosen == NULL:
        return NULL, scanned, False
    isolated = _isolate_free_page(zone, chosen, order)
    if not isolated:
        return NULL, scanned, True
    search.nr_scanned += isolated - 1
    search.taken += isolated
    cc.nr_freepages += isolated
    cc.freepages[order].append(chosen)
    return chosen, scanned, False


def fast_isolate_around(cc: CompactControl, pfn: int) -> None:
    """Isolate what else is free in pfn's pageblock, if more is needed.

    Kernel: mm/compaction.c fast_isolate_around()
    """
    if cc.nr_freepages >= cc.nr_migratepages:
        return
    if cc.direct_compaction and cc.mode == MIGRATE_ASYNC:
        return
    start_pfn = max(cc.block_start(pfn), cc.zone.zone_start_pfn)
    end_pfn = min(cc.block_end(pfn), cc.zone.zone_end_pfn)
    _, stopped = isolate_freepages_block(cc, start_pfn, end_pfn, 1, False)
    if stopped == end_pfn and not cc.no_set_skip_hint:
        set_pageblock_skip(cc.zone, start_pfn)


def fast_find_migrateblock(cc: CompactControl) -> int:
    """First pfn of a pageblock low in the zone that has free pages already: to empty it next.

    cc.migrate_pfn itself when no search is made or nothing is found.
    Kernel: mm/compaction.c fast_find_migrateblock()
    """
    zone = cc.zone
    pfn = cc.migrate_pfn
    if cc.ignore_skip_hint or cc.finish_pageblock or cc.order <= PAGE_ALLOC_COSTLY_ORDER:
        return pfn
    if cc.direct_compaction and cc.migratetype != MIGRATE_MOVABLE:
        return pfn
    if pfn not in (zone.zone_start_pfn, cc.block_start(pfn)):
        return pfn
    distance = (cc.free_pfn - pfn) >> 1
    if pfn != zone.zone_start_pfn:
        distance >>= 2
    found = _search_sources(cc, cc.block_start(pfn + distance))
    if found != NULL:
        cc.fast_search_fail = 0
        cc.fast_start_pfn = _earlier(cc.fast_start_pfn, found)
        return max(cc.block_start(found), zone.zone_start_pfn)
    cc.fast_search_fail += 1
    return _reinit_migrate_pfn(cc)


def _reinit_migrate_pfn(cc: CompactControl) -> int:
    """Once a search fails, go on at the lowest block that one found. Kernel: reinit_migrate_pfn().

    The kernel's 0 and ULONG_MAX both mean that there is none.
    """
    if cc.fast_start_pfn > 0:
        cc.migrate_pfn, cc.fast_start_pfn = cc.fast_start_pfn, -1
    return cc.migrate_pfn


def _earlier(fast_start_pfn: int, pfn: int) -> int:
    """The lowest pfn found so far; -1 (the kernel's ULONG_MAX) stays.

    Kernel: mm/compaction.c update_fast_start_pfn()
    """
    if fast_start_pfn < 0:
        return fast_start_pfn
    return min(fast_start_pfn or pfn, pfn)


def _search_sources(cc: CompactControl, high_pfn: int) -> int:
    """Search lists from their heads for a block below high_pfn in a pageblock not to be skipped."""
    zone = cc.zone
    limit = freelist_scan_limit(cc)
    nr_scanned, found = 0, NULL
    list_all_deferred(zone)
    for order in range(cc.order - 1, PAGE_ALLOC_COSTLY_ORDER - 1, -1):
        if nr_scanned >= limit or found != NULL:
            break
        if not zone.free_area[order].nr_free:
            continue
        head = zone.free_area[order].free_list[MIGRATE_MOVABLE]
        page = zone.next[head]
        while page != head:
            nr_scanned += 1
            if nr_scanned > limit:
                move_freelist_tail(zone, order, page)
                break
            if page < high_pfn and not get_pageblock_skip(zone, page):
                move_freelist_tail(zone, order, page)
                found = page
                break
            page = zone.next[page]
    cc.total_migrate_scanned += nr_scanned
    return found
