"""Single free blocks taken off the lists for somebody else, and put back: compaction's tools.

Kernel: mm/page_alloc.c __isolate_free_page(), __putback_isolated_page()
"""

from __future__ import annotations

from memsim.mm.mmzone import Zone, get_pageblock_migratetype
from memsim.mm.page_alloc.buddy import _free_one_page, migratetype_is_mergeable
from memsim.mm.page_alloc.free_list import del_page_from_free_list
from memsim.mm.page_alloc.pageblock import move_freepages_block
from memsim.mm.page_alloc.watermark import zone_watermark_ok
from memsim.words.alloc_flags import ALLOC_CMA
from memsim.words.mmzone import (
    FPI_SKIP_REPORT_NOTIFY,
    FPI_TO_TAIL,
    MIGRATE_MOVABLE,
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
    for start in range(page, end, 1 << zone.vm.pageblock_order):
        migratetype = get_pageblock_migratetype(zone, start)
        if migratetype_is_mergeable(migratetype):
            move_freepages_block(zone, start, migratetype, MIGRATE_MOVABLE)


def _putback_isolated_page(zone: Zone, page: int, order: int, migratetype: int) -> None:
    """Give an isolated block back, to the tail. Kernel: __putback_isolated_page()."""
    fpi_flags = FPI_SKIP_REPORT_NOTIFY | FPI_TO_TAIL
    _free_one_page(zone, page, order, migratetype, fpi_flags)
