"""Free blocks taken off the lists for somebody else and put back; pageblocks set apart.

Kernel: mm/page_alloc.c __isolate_free_page(), __putback_isolated_page(); mm/page_isolation.c
"""

from __future__ import annotations

from memsim.mm.journal import set_pageblock_migratetype
from memsim.mm.mmzone import PageBuddy, Zone, buddy_order, get_pageblock_migratetype
from memsim.mm.page_alloc.buddy import (
    _free_one_page,
    find_buddy_page_pfn,
    migratetype_is_mergeable,
)
from memsim.mm.page_alloc.free_list import del_page_from_free_list
from memsim.mm.page_alloc.pageblock import (
    move_freepages_block,
    move_freepages_block_isolate,
    pageblock_start_pfn,
)
from memsim.mm.page_alloc.watermark import zone_watermark_ok
from memsim.words.alloc_flags import ALLOC_CMA
from memsim.words.mmzone import (
    FPI_SKIP_REPORT_NOTIFY,
    FPI_TO_TAIL,
    MAX_PAGE_ORDER,
    MIGRATE_MOVABLE,
    NULL,
    WMARK_MIN,
)


def _isolate_free_page(zone: Zone, page: int, order: int) -> int:
    """Take a free block off its list: the pages taken, or 0 when the min watermark forbids it.

    A block of half a pageblock or more makes its pageblocks MOVABLE.
    Kernel: mm/page_alloc.c __isolate_free_page()
    """
    migratetype = get_pageblock_migratetype(zone, page)
    if migratetype != zone.vm.MIGRATE_ISOLATE:
        # a raised order-0 mark does: the block itself is known to exist
        mark = zone._watermark[WMARK_MIN] + (1 << order)
        if not zone_watermark_ok(zone, 0, mark, 0, ALLOC_CMA):
            return 0
    del_page_from_free_list(zone, page, order, migratetype)
    if order >= zone.vm.pageblock_order - 1:
        _make_pageblocks_movable(zone, page, order)
    return 1 << order


def _make_pageblocks_movable(zone: Zone, page: int, order: int) -> None:
    """Turn the mergeable pageblocks under a block MOVABLE, with their other free blocks."""
    end = page + (1 << order) - 1
    for start in range(page, end, zone.vm.pageblock_nr_pages):
        migratetype = get_pageblock_migratetype(zone, start)
        if migratetype_is_mergeable(migratetype):
            move_freepages_block(zone, start, migratetype, MIGRATE_MOVABLE)


def isolate_pageblock(zone: Zone, page: int) -> bool:
    """Make page's pageblock MIGRATE_ISOLATE: its free pages can no longer be allocated.

    Whether it can be emptied is not asked here: mm/page_isolation.py does.
    Kernel: mm/page_isolation.c set_migratetype_isolate()
    """
    return move_freepages_block_isolate(zone, page, zone.vm.MIGRATE_ISOLATE)


def unset_migratetype_isolate(zone: Zone, page: int, migratetype: int) -> None:
    """Give page's pageblock a normal type back; its free block may merge with its buddy again.

    Kernel: mm/page_isolation.c unset_migratetype_isolate()
    """
    page = pageblock_start_pfn(zone, page)
    order = buddy_order(zone, page) if PageBuddy(zone, page) else 0
    if zone.vm.pageblock_order <= order < MAX_PAGE_ORDER and _buddy_is_free(zone, page, order):
        _isolate_free_page(zone, page, order)
        set_pageblock_migratetype(zone, page, migratetype)
        _putback_isolated_page(zone, page, order, migratetype)
    else:
        move_freepages_block_isolate(zone, page, migratetype)


def _buddy_is_free(zone: Zone, page: int, order: int) -> bool:
    """Is the buddy free, and in a pageblock that is not isolated?"""
    buddy = find_buddy_page_pfn(zone, page, order)
    return buddy != NULL and get_pageblock_migratetype(zone, buddy) != zone.vm.MIGRATE_ISOLATE


def _putback_isolated_page(zone: Zone, page: int, order: int, migratetype: int) -> None:
    """Give an isolated block back, to the tail. Kernel: __putback_isolated_page()."""
    fpi_flags = FPI_SKIP_REPORT_NOTIFY | FPI_TO_TAIL
    _free_one_page(zone, page, order, migratetype, fpi_flags)
