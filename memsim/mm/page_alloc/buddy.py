"""Split and merge: the buddy system proper. zone->lock is held by every caller.

The buddy of a block is found by flipping bit `order` of its pfn.

Kernel: mm/page_alloc.c __free_one_page(), expand(), __rmqueue_smallest(); mm/internal.h
"""

from __future__ import annotations

from memsim.mm.journal import set_pageblock_migratetype
from memsim.mm.mmzone import PG_BUDDY, CaptureControl, Vm, Zone, get_pageblock_migratetype
from memsim.mm.page_alloc.free_list import (
    _add_to_free_list,
    _del_page_from_free_list,
    account_freepages,
    get_page_from_free_area,
)
from memsim.trace.events import (
    MM_PAGE_ALLOC_ZONE_LOCKED,
    TP_MM_PAGE_ALLOC_ZONE_LOCKED,
    TP_STEPS,
)
from memsim.trace.steps import MERGE, SPLIT
from memsim.words.mmzone import (
    FPI_TO_TAIL,
    HPAGE_PMD_ORDER,
    MAX_PAGE_ORDER,
    MIGRATE_MOVABLE,
    MIGRATE_PCPTYPES,
    NR_PAGE_ORDERS,
    NULL,
    PAGE_ALLOC_COSTLY_ORDER,
)


def pcp_allowed_order(vm: Vm, order: int) -> bool:
    """May blocks of this order be kept on pcp lists? Kernel: mm/page_alloc.c."""
    return order <= PAGE_ALLOC_COSTLY_ORDER or (
        order == HPAGE_PMD_ORDER and vm.arch.transparent_hugepage
    )


def migratetype_is_mergeable(migratetype: int) -> bool:
    """May a block of this type merge with one of another? Kernel: include/linux/mmzone.h."""
    return migratetype < MIGRATE_PCPTYPES


def _find_buddy_pfn(pfn: int, order: int) -> int:
    """The buddy's pfn, free or not. Kernel: mm/internal.h __find_buddy_pfn()."""
    return pfn ^ (1 << order)


def find_buddy_page_pfn(zone: Zone, pfn: int, order: int) -> int:
    """The buddy, if it is a free block of just this order in this zone; else NULL.

    Kernel: mm/internal.h find_buddy_page_pfn(), page_is_buddy()
    """
    buddy_pfn = pfn ^ (1 << order)
    if buddy_pfn < zone.zone_end_pfn and zone.page_state[buddy_pfn] == (PG_BUDDY | order):
        return buddy_pfn if buddy_pfn >= zone.zone_start_pfn else NULL
    return NULL


def buddy_merge_likely(zone: Zone, pfn: int, buddy_pfn: int, order: int) -> bool:
    """Is the buddy of the block that this one would merge into free?

    Then this block goes to the tail: it is less likely to be used soon, and more likely to merge.
    buddy_pfn is that of the last merge attempted. Kernel: mm/page_alloc.c buddy_merge_likely()
    """
    if order >= MAX_PAGE_ORDER - 1:
        return False
    return find_buddy_page_pfn(zone, buddy_pfn & pfn, order + 1) != NULL


def change_pageblock_range(zone: Zone, page: int, order: int, migratetype: int) -> None:
    """Give every pageblock of a block of this order (one pageblock or more) this type.

    Kernel: mm/page_alloc.c change_pageblock_range()
    """
    for start in range(page, page + (1 << order), zone.vm.pageblock_nr_pages):
        set_pageblock_migratetype(zone, start, migratetype)


def compaction_capture(
    capc: CaptureControl, zone: Zone, page: int, order: int, migratetype: int
) -> bool:
    """Give a block that is being freed to the task that compacts for just this order.

    NOT MODELLED: that kernel threads take nothing; capc is a task's.
    Kernel: mm/page_alloc.c task_capc(), compaction_capture()
    """
    if capc.page != NULL or capc.zone is not zone or capc.order != order:
        return False
    if migratetype in (zone.vm.MIGRATE_CMA, zone.vm.MIGRATE_ISOLATE):
        return False
    # a small unmovable request shall not pollute a movable pageblock
    movable_only = order < zone.vm.pageblock_order and migratetype == MIGRATE_MOVABLE
    if movable_only and capc.migratetype != MIGRATE_MOVABLE:
        return False
    capc.page = page
    return True


def _free_one_page(zone: Zone, page: int, order: int, migratetype: int, fpi_flags: int) -> None:
    """Free a block: merge it upwards while its buddy is free, then put it on its list.

    NOT MODELLED: page_reporting, guard pages, shuffling.
    Kernel: mm/page_alloc.c __free_one_page(). Cost: at most MAX_PAGE_ORDER merges.
    """
    account_freepages(zone, 1 << order, migratetype)
    capc, pageblock_order = zone.vm.capture_control, zone.vm.pageblock_order
    steps = zone.trace.mask & TP_STEPS
    while order < MAX_PAGE_ORDER:
        if capc is not None and compaction_capture(capc, zone, page, order, migratetype):
            account_freepages(zone, -(1 << order), migratetype)
            return
        buddy = find_buddy_page_pfn(zone, page, order)
        if buddy == NULL:
            break
        buddy_mt = migratetype
        if order >= pageblock_order:
            buddy_mt = get_pageblock_migratetype(zone, buddy)
            if not _may_merge(migratetype, buddy_mt):
                break
        _del_page_from_free_list(zone, buddy, order, buddy_mt)
        if steps:
            zone.trace.step(MERGE, page, buddy, order)
        if buddy_mt != migratetype:
            change_pageblock_range(zone, buddy, order, migratetype)
        page &= buddy
        order += 1
    # order 10 has no buddy to wait for, and buddy_merge_likely() says so
    buddy = _find_buddy_pfn(page, order)
    to_tail = bool(fpi_flags & FPI_TO_TAIL) or buddy_merge_likely(zone, page, buddy, order)
    _add_to_free_list(zone, page, order, migratetype, to_tail)


def _may_merge(migratetype: int, buddy_mt: int) -> bool:
    """May whole pageblocks of these types merge? HIGHATOMIC, CMA and ISOLATE stay apart."""
    return buddy_mt == migratetype or (
        migratetype_is_mergeable(migratetype) and migratetype_is_mergeable(buddy_mt)
    )


def split_large_buddy(zone: Zone, page: int, order: int, fpi_flags: int) -> None:
    """Free a block pageblock by pageblock, each with its own type.

    Kernel: mm/page_alloc.c split_large_buddy()
    """
    end = page + (1 << order)
    order = min(order, zone.vm.pageblock_order)
    for start in range(page, end, 1 << order):
        migratetype = get_pageblock_migratetype(zone, start)
        _free_one_page(zone, start, order, migratetype, fpi_flags)


def free_one_page(zone: Zone, page: int, order: int, fpi_flags: int) -> None:
    """Free a block straight to the free lists. Kernel: mm/page_alloc.c free_one_page()."""
    split_large_buddy(zone, page, order, fpi_flags)


def expand(zone: Zone, page: int, low: int, high: int, migratetype: int) -> int:
    """Halve a block from order high down to low; upper halves go to the heads of their lists.

    Returns the pages put back. Kernel: mm/page_alloc.c expand(). Cost: high - low list adds.
    """
    size = 1 << high
    nr_added = 0
    steps = zone.trace.mask & TP_STEPS
    while high > low:
        if steps:
            zone.trace.step(SPLIT, page, high)
        high -= 1
        size >>= 1
        _add_to_free_list(zone, page + size, high, migratetype, False)
        nr_added += size
    return nr_added


def page_del_and_expand(zone: Zone, page: int, low: int, high: int, migratetype: int) -> None:
    """Take a free block of order high, keep its first 2**low pages, give the rest back.

    Kernel: mm/page_alloc.c page_del_and_expand()
    """
    _del_page_from_free_list(zone, page, high, migratetype)
    nr_pages = (1 << high) - expand(zone, page, low, high, migratetype)
    account_freepages(zone, -nr_pages, migratetype)


def _rmqueue_smallest(zone: Zone, order: int, migratetype: int) -> int:
    """Take a block of this order from this type's lists, from the smallest that is large enough.

    NULL when there is none. Kernel: mm/page_alloc.c __rmqueue_smallest()
    """
    for current_order in range(order, NR_PAGE_ORDERS):
        page = get_page_from_free_area(zone, zone.free_area[current_order], migratetype)
        if page == NULL:
            continue
        page_del_and_expand(zone, page, order, current_order, migratetype)
        if zone.trace.mask & TP_MM_PAGE_ALLOC_ZONE_LOCKED:
            refill = pcp_allowed_order(zone.vm, order) and migratetype < MIGRATE_PCPTYPES
            zone.trace.emit(MM_PAGE_ALLOC_ZONE_LOCKED, page, order, migratetype, int(refill))
        return page
    return NULL
