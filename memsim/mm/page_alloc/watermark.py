"""May this request take from this zone? Watermarks, lowmem_reserve, and who may go below min.

Kernel: mm/page_alloc.c __zone_watermark_unusable_free() to zone_watermark_ok_safe()
"""

from __future__ import annotations

from memsim.mm.mmzone import Zone
from memsim.mm.page_alloc.free_list import free_area_empty
from memsim.mm.vmstat import zone_page_state, zone_page_state_snapshot
from memsim.words.alloc_flags import (
    ALLOC_CMA,
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
    ALLOC_RESERVES,
    ALLOC_WMARK_MASK,
)
from memsim.words.mmzone import (
    MIGRATE_HIGHATOMIC,
    MIGRATE_PCPTYPES,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
    NR_PAGE_ORDERS,
    WMARK_MIN,
)


def _zone_watermark_unusable_free(zone: Zone, order: int, alloc_flags: int) -> int:
    """Free pages that this request cannot use, in pages.

    Kernel: mm/page_alloc.c __zone_watermark_unusable_free()
    """
    unusable_free = (1 << order) - 1
    if not alloc_flags & ALLOC_RESERVES:
        unusable_free += zone.nr_free_highatomic
    if zone.vm.MIGRATE_CMA >= 0 and not alloc_flags & ALLOC_CMA:
        unusable_free += zone_page_state(zone, NR_FREE_CMA_PAGES)
    return unusable_free


def min_for_reserves(mark: int, alloc_flags: int) -> int:
    """The mark, lowered for those who may use reserves: 1/2 for __GFP_HIGH, 3/8 for GFP_ATOMIC.

    Kernel: mm/page_alloc.c __zone_watermark_ok()
    """
    low = mark
    if alloc_flags & ALLOC_MIN_RESERVE:
        low -= low // 2
        if alloc_flags & ALLOC_NON_BLOCK:
            low -= low // 4
    if alloc_flags & ALLOC_OOM:
        low -= low // 2
    return low


def _zone_watermark_ok(
    zone: Zone, order: int, mark: int, highest_zoneidx: int, alloc_flags: int, free_pages: int
) -> bool:
    """Are usable free pages above mark + lowmem_reserve, and is there a block that fits?

    Kernel: mm/page_alloc.c __zone_watermark_ok()
    """
    free_pages -= _zone_watermark_unusable_free(zone, order, alloc_flags)
    low = min_for_reserves(mark, alloc_flags) if alloc_flags & ALLOC_RESERVES else mark
    if free_pages <= low + zone.lowmem_reserve[highest_zoneidx]:
        return False
    return not order or _has_free_block(zone, order, alloc_flags)


def _has_free_block(zone: Zone, order: int, alloc_flags: int) -> bool:
    """Is there a free block of this order or more, of a type that the request may take from?"""
    for current_order in range(order, NR_PAGE_ORDERS):
        area = zone.free_area[current_order]
        if not area.nr_free:
            continue
        for migratetype in range(MIGRATE_PCPTYPES):
            if not free_area_empty(zone, area, migratetype):
                return True
        if alloc_flags & ALLOC_CMA and zone.vm.MIGRATE_CMA >= 0:
            if not free_area_empty(zone, area, zone.vm.MIGRATE_CMA):
                return True
        if alloc_flags & (ALLOC_HIGHATOMIC | ALLOC_OOM):
            if not free_area_empty(zone, area, MIGRATE_HIGHATOMIC):
                return True
    return False


def zone_watermark_ok(
    zone: Zone, order: int, mark: int, highest_zoneidx: int, alloc_flags: int
) -> bool:
    """_zone_watermark_ok() with the zone's counter. Kernel: mm/page_alloc.c."""
    free_pages = zone_page_state(zone, NR_FREE_PAGES)
    return _zone_watermark_ok(zone, order, mark, highest_zoneidx, alloc_flags, free_pages)


def zone_watermark_fast(
    zone: Zone, order: int, mark: int, highest_zoneidx: int, alloc_flags: int
) -> bool:
    """The check of the allocation paths: quick for order 0, and blind to the boost at min.

    Kernel: mm/page_alloc.c zone_watermark_fast()
    """
    free_pages = zone_page_state(zone, NR_FREE_PAGES)
    if not order:
        usable_free = free_pages - _zone_watermark_unusable_free(zone, 0, alloc_flags)
        if usable_free > mark + zone.lowmem_reserve[highest_zoneidx]:
            return True
    if _zone_watermark_ok(zone, order, mark, highest_zoneidx, alloc_flags, free_pages):
        return True
    if (
        not order
        and alloc_flags & ALLOC_MIN_RESERVE
        and zone.watermark_boost
        and (alloc_flags & ALLOC_WMARK_MASK) == WMARK_MIN
    ):
        mark = zone._watermark[WMARK_MIN]
        return _zone_watermark_ok(zone, order, mark, highest_zoneidx, alloc_flags, free_pages)
    return False


def zone_watermark_ok_safe(zone: Zone, order: int, mark: int, highest_zoneidx: int) -> bool:
    """The check of kswapd: exact where drift could matter.

    Kernel: mm/page_alloc.c zone_watermark_ok_safe()
    """
    free_pages = zone_page_state(zone, NR_FREE_PAGES)
    if zone.percpu_drift_mark and free_pages < zone.percpu_drift_mark:
        free_pages = zone_page_state_snapshot(zone, NR_FREE_PAGES)
    return _zone_watermark_ok(zone, order, mark, highest_zoneidx, 0, free_pages)
