"""Compaction's two short searches of the free lists. Both leave the lists rotated, untraced.

NOT MODELLED: the scanners themselves and migration. A replay tells where they stand.

Kernel: mm/compaction.c fast_isolate_freepages(), fast_find_migrateblock()
"""

from __future__ import annotations

from memsim.mm.mmzone import Zone
from memsim.mm.page_alloc.free_list import list_all_deferred, rotate_free_list
from memsim.mm.page_alloc.isolate import _isolate_free_page
from memsim.mm.page_alloc.pageblock import pageblock_start_pfn
from memsim.words.mmzone import MIGRATE_MOVABLE, MIGRATE_UNMOVABLE, NULL, PAGE_ALLOC_COSTLY_ORDER

COMPACT_CLUSTER_MAX = 32


class CompactControl:
    """struct compact_control: one compaction of a zone for a block of `order`.

    migrate_pfn and free_pfn are where the two scanners stand; fast_search_fail counts failed
    searches since the last good one; search_order is where the next search starts.
    """

    __slots__ = (
        "zone", "order", "migratetype", "direct_compaction", "ignore_skip_hint", "migrate_pfn",
        "free_pfn", "search_order", "fast_search_fail", "fast_start_pfn", "nr_freepages",
        "nr_migratepages", "finish_pageblock", "last_migrated_pfn",
    )  # fmt: skip

    def __init__(self, zone: Zone, order: int, migrate_pfn: int, free_pfn: int) -> None:
        self.zone = zone
        self.order = self.search_order = order
        self.migratetype = MIGRATE_UNMOVABLE
        self.direct_compaction = self.ignore_skip_hint = False
        self.migrate_pfn = migrate_pfn
        self.free_pfn = free_pfn
        self.fast_search_fail = 0
        self.fast_start_pfn = 0
        self.nr_freepages = self.nr_migratepages = 0
        self.finish_pageblock = False
        self.last_migrated_pfn = 0

    def block_start(self, pfn: int) -> int:
        """First pfn of pfn's pageblock."""
        return pageblock_start_pfn(self.zone, pfn)


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


def fast_isolate_freepages(cc: CompactControl) -> int:
    """Isolate one free block high in the zone as migration target; NULL if none was found.

    Its pages are in cc.nr_freepages. A scan that has just started looks deeper.
    Kernel: mm/compaction.c fast_isolate_freepages()
    """
    limit = max(1, freelist_scan_limit(cc) >> 1)
    if cc.order <= 0:
        return NULL
    if cc.free_pfn >= cc.zone.compact_init_free_pfn:
        limit = cc.zone.vm.pageblock_nr_pages >> 1
    distance = cc.free_pfn - cc.migrate_pfn
    low_pfn = cc.block_start(cc.free_pfn - (distance >> 2))
    min_pfn = cc.block_start(cc.free_pfn - (distance >> 1))
    list_all_deferred(cc.zone)
    cc.search_order = min(cc.order - 1, cc.search_order)
    order = cc.search_order
    while order >= 0:
        if cc.zone.free_area[order].nr_free:
            page, scanned, limit, failed = _search_targets(cc, order, low_pfn, min_pfn, limit)
            if page != NULL and cc.nr_freepages >= cc.nr_migratepages:
                return page
            if page == NULL and failed:
                order = cc.search_order + 1
            if scanned >= limit:
                limit = max(1, limit >> 1)
        else:
            page = NULL
        order = next_search_order(cc, order)
        if page != NULL:
            return page
    cc.fast_search_fail += 1
    return NULL


def _search_targets(
    cc: CompactControl, order: int, low_pfn: int, min_pfn: int, limit: int
) -> tuple[int, int, int, bool]:
    """Search one list from its tail: (block isolated or NULL, scanned, limit, isolation failed).

    A block at low_pfn or above is taken at once, else the highest at min_pfn or above.
    """
    zone = cc.zone
    head = zone.free_area[order].free_list[MIGRATE_MOVABLE]
    scanned, high_pfn, chosen = 0, 0, NULL
    page = zone.prev[head]
    while page != head:
        scanned += 1
        if page >= low_pfn:
            cc.fast_search_fail = 0
            cc.search_order = order
            chosen = page
            break
        if page >= min_pfn and page > high_pfn:
            high_pfn = page
            limit >>= 1
        if scanned >= limit:
            break
        page = zone.prev[page]
    if chosen == NULL and high_pfn:
        chosen = page = high_pfn
    if page != head:
        move_freelist_head(zone, order, page)
    if chosen == NULL:
        return NULL, scanned, limit, False
    isolated = _isolate_free_page(zone, chosen, order)
    cc.nr_freepages += isolated
    return (chosen, scanned, limit, False) if isolated else (NULL, scanned, limit, True)


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
    nr_scanned = 0
    list_all_deferred(zone)
    for order in range(cc.order - 1, PAGE_ALLOC_COSTLY_ORDER - 1, -1):
        if nr_scanned >= limit:
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
            if page < high_pfn and not zone.vm.pageblock_skip[page >> zone.vm.pageblock_order]:
                move_freelist_tail(zone, order, page)
                return page
            page = zone.next[page]
    return NULL
