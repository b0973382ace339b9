"""Moving the free blocks of a pageblock to another migratetype. zone->lock is held.

Kernel: mm/page_alloc.c prep_move_freepages_block() to move_freepages_block_isolate()
"""

from __future__ import annotations

from memsim.mm.journal import set_pageblock_migratetype
from memsim.mm.mmzone import (
    PG_LRU,
    PageBuddy,
    Zone,
    buddy_order,
    get_pageblock_migratetype,
    zone_spans_pfn,
)
from memsim.mm.page_alloc.buddy import split_large_buddy
from memsim.mm.page_alloc.free_list import (
    del_page_from_free_list,
    list_all_deferred,
    move_to_free_list,
)
from memsim.words.mmzone import FPI_NONE, NR_PAGE_ORDERS, NULL


def pageblock_start_pfn(zone: Zone, pfn: int) -> int:
    """First pfn of the pageblock that holds pfn. Kernel: pageblock_start_pfn()."""
    return pfn & -zone.vm.pageblock_nr_pages


def prep_move_freepages_block(zone: Zone, page: int) -> int:
    """First pfn of page's pageblock; NULL when the block straddles the zone's border.

    Kernel: mm/page_alloc.c prep_move_freepages_block()
    """
    start = pageblock_start_pfn(zone, page)
    end = start + zone.vm.pageblock_nr_pages
    if not zone_spans_pfn(zone, start) or not zone_spans_pfn(zone, end - 1):
        return NULL
    return start


def count_pageblock(zone: Zone, start: int) -> tuple[int, int]:
    """(free pages, pages that could be migrated) in the pageblock that starts here.

    Movable means PageLRU. NOT MODELLED: __PageMovable (zsmalloc, balloon).
    Kernel: mm/page_alloc.c prep_move_freepages_block(), with num_free
    """
    num_free = num_movable = 0
    pfn, end = start, start + zone.vm.pageblock_nr_pages
    while pfn < end:
        if PageBuddy(zone, pfn):
            nr_pages = 1 << buddy_order(zone, pfn)
            num_free += nr_pages
            pfn += nr_pages
            continue
        num_movable += (zone.page_state[pfn] & PG_LRU) != 0
        pfn += 1
    return num_free, num_movable


def _move_freepages_block(zone: Zone, start: int, old_mt: int, new_mt: int) -> int:
    """Give a pageblock another type and move its free blocks to that type's lists, to the tails.

    Returns the pages moved. Kernel: mm/page_alloc.c __move_freepages_block()
    """
    pages_moved = 0
    pfn, end = start, start + zone.vm.pageblock_nr_pages
    while pfn < end:
        if not PageBuddy(zone, pfn):
            pfn += 1
            continue
        order = buddy_order(zone, pfn)
        move_to_free_list(zone, pfn, order, old_mt, new_mt)
        pfn += 1 << order
        pages_moved += 1 << order
    set_pageblock_migratetype(zone, start, new_mt)
    return pages_moved


def move_freepages_block(zone: Zone, page: int, old_mt: int, new_mt: int) -> int:
    """_move_freepages_block() for the pageblock that holds page; -1 when it straddles the zone.

    Kernel: mm/page_alloc.c move_freepages_block()
    """
    start = prep_move_freepages_block(zone, page)
    if start == NULL:
        return -1
    return _move_freepages_block(zone, start, old_mt, new_mt)


def find_large_buddy(zone: Zone, start: int) -> int:
    """Head of the free block that reaches into start from before it; else start itself.

    Kernel: mm/page_alloc.c find_large_buddy()
    """
    for order in range(NR_PAGE_ORDERS):
        pfn = start & -(1 << order)
        if PageBuddy(zone, pfn):
            return pfn if pfn + (1 << buddy_order(zone, pfn)) > start else start
    return start


def move_freepages_block_isolate(zone: Zone, page: int, migratetype: int) -> bool:
    """Move a pageblock to (or from) MIGRATE_ISOLATE; a larger free block is split around it.

    False when the pageblock straddles the zone. Kernel: move_freepages_block_isolate()
    """
    start = prep_move_freepages_block(zone, page)
    if start == NULL:
        return False
    list_all_deferred(zone)
    pfn = find_large_buddy(zone, start)
    if pfn != start:
        _split_around(zone, pfn, page, migratetype)
    elif PageBuddy(zone, start) and buddy_order(zone, start) > zone.vm.pageblock_order:
        _split_around(zone, start, page, migratetype)
    else:
        old_mt = get_pageblock_migratetype(zone, start)
        _move_freepages_block(zone, start, old_mt, migratetype)
    return True


def _split_around(zone: Zone, pfn: int, page: int, migratetype: int) -> None:
    """Free a block of several pageblocks again after page's pageblock changed its type."""
    order = buddy_order(zone, pfn)
    del_page_from_free_list(zone, pfn, order, get_pageblock_migratetype(zone, pfn))
    set_pageblock_migratetype(zone, page, migratetype)
    split_large_buddy(zone, pfn, order, FPI_NONE)
