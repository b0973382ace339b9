"""When a migratetype has nothing left: claim a pageblock, or steal one block. zone->lock is held.

A claim turns a whole pageblock to the request's type, so that what is freed there later serves
the same type; a steal takes one block and leaves the pageblock mixed: fragmentation.

commit 90abee6d7895 ("mm: page_alloc: speed up fallbacks in rmqueue_bulk()") (in v6.15), backported
to 6.12, made the two what they are here.

Kernel: mm/page_alloc.c can_steal_fallback() to rmqueue_bulk()
"""

from __future__ import annotations

from memsim.lib.bits import mult_frac
from memsim.mm.mmzone import Zone, get_pageblock_migratetype
from memsim.mm.page_alloc.buddy import (
    _rmqueue_smallest,
    change_pageblock_range,
    expand,
    page_del_and_expand,
)
from memsim.mm.page_alloc.free_list import (
    account_freepages,
    del_page_from_free_list,
    free_area_empty,
    get_page_from_free_area,
)
from memsim.mm.page_alloc.pageblock import (
    _move_freepages_block,
    count_pageblock,
    prep_move_freepages_block,
)
from memsim.mm.vmstat import zone_page_state
from memsim.trace.events import MM_PAGE_ALLOC_EXTFRAG, TP_MM_PAGE_ALLOC_EXTFRAG
from memsim.words.alloc_flags import ALLOC_CMA, ALLOC_KSWAPD, ALLOC_NOFRAGMENT
from memsim.words.mmzone import (
    FALLBACKS,
    MAX_PAGE_ORDER,
    MIGRATE_HIGHATOMIC,
    MIGRATE_MOVABLE,
    MIGRATE_RECLAIMABLE,
    MIGRATE_UNMOVABLE,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
    NR_PAGE_ORDERS,
    NULL,
    WMARK_HIGH,
    ZONE_BOOSTED_WATERMARK,
)

#: enum rmqueue_mode: where rmqueue_bulk() last found pages; it starts there the next time.
RMQUEUE_NORMAL = 0
RMQUEUE_CMA = 1
RMQUEUE_CLAIM = 2
RMQUEUE_STEAL = 3


def can_steal_fallback(zone: Zone, order: int, start_mt: int) -> bool:
    """Is it worth trying to claim the pageblock of a free block of this order?

    Kernel: mm/page_alloc.c can_steal_fallback()
    """
    return (
        order >= zone.vm.pageblock_order // 2
        or start_mt in (MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE)
        or zone.vm.page_group_by_mobility_disabled
    )


def boost_watermark(zone: Zone) -> bool:
    """Raise the watermarks by a pageblock, up to watermark_boost_factor of high. Did it?

    NOT MODELLED: is_kdump_kernel(), which has no boost. Kernel: mm/page_alloc.c boost_watermark()
    """
    vm = zone.vm
    pageblock_nr_pages = vm.pageblock_nr_pages
    if not vm.watermark_boost_factor or pageblock_nr_pages * 4 > zone.managed_pages:
        return False
    max_boost = mult_frac(zone._watermark[WMARK_HIGH], vm.watermark_boost_factor, 10000)
    if not max_boost:
        return False
    max_boost = max(pageblock_nr_pages, max_boost)
    zone.watermark_boost = min(zone.watermark_boost + pageblock_nr_pages, max_boost)
    return True


def try_to_steal_block(
    zone: Zone, page: int, current_order: int, order: int, start_type: int, alloc_flags: int
) -> int:
    """Claim the pageblock of a free block of current_order, and take a block of order from it.

    NULL when too few of its pages are free or alike. Kernel: mm/page_alloc.c try_to_steal_block()
    """
    block_type = get_pageblock_migratetype(zone, page)
    if block_type == MIGRATE_HIGHATOMIC:
        return NULL
    if current_order >= zone.vm.pageblock_order:
        return _take_whole_blocks(zone, page, current_order, order, start_type, block_type)
    if boost_watermark(zone) and alloc_flags & ALLOC_KSWAPD:
        zone.flags |= ZONE_BOOSTED_WATERMARK
    start = prep_move_freepages_block(zone, page)
    if start == NULL or not (
        _is_worth_claiming(zone, start, start_type, block_type)
        or zone.vm.page_group_by_mobility_disabled
    ):
        return NULL
    _move_freepages_block(zone, start, block_type, start_type)
    return _rmqueue_smallest(zone, order, start_type)


def _take_whole_blocks(
    zone: Zone, page: int, current_order: int, order: int, start_type: int, block_type: int
) -> int:
    """Turn every pageblock of a free block of pageblock size or more, then split it."""
    del_page_from_free_list(zone, page, current_order, block_type)
    change_pageblock_range(zone, page, current_order, start_type)
    nr_added = expand(zone, page, order, current_order, start_type)
    account_freepages(zone, nr_added, start_type)
    return page


def _is_worth_claiming(zone: Zone, start: int, start_type: int, block_type: int) -> bool:
    """Are at least half of the pageblock's pages free, or compatible with start_type?"""
    pageblock_nr_pages = zone.vm.pageblock_nr_pages
    num_free, num_movable = count_pageblock(zone, start)
    if start_type == MIGRATE_MOVABLE:
        alike = num_movable
    elif block_type == MIGRATE_MOVABLE:
        # neither free nor movable in a movable block: surely not movable
        alike = pageblock_nr_pages - (num_free + num_movable)
    else:
        # UNMOVABLE and RECLAIMABLE cannot be told apart page by page
        alike = 0
    return num_free + alike >= pageblock_nr_pages // 2


def find_suitable_fallback(zone: Zone, order: int, migratetype: int) -> tuple[int, bool]:
    """(the first fallback type with a free block of this order or -1, may it be claimed?).

    Kernel: mm/page_alloc.c find_suitable_fallback(), with only_stealable false
    """
    area = zone.free_area[order]
    if area.nr_free == 0:
        return -1, False
    for fallback_mt in FALLBACKS[migratetype]:
        if not free_area_empty(zone, area, fallback_mt):
            return fallback_mt, can_steal_fallback(zone, order, migratetype)
    return -1, False


def _trace_extfrag(
    zone: Zone, page: int, order: int, current_order: int, start_mt: int, fallback_mt: int
) -> None:
    """Fire mm_page_alloc_extfrag."""
    if zone.trace.mask & TP_MM_PAGE_ALLOC_EXTFRAG:
        owned = int(start_mt == get_pageblock_migratetype(zone, page))
        zone.trace.emit(
            MM_PAGE_ALLOC_EXTFRAG, page, order, current_order, start_mt, fallback_mt, owned
        )


def _rmqueue_claim(zone: Zone, order: int, start_migratetype: int, alloc_flags: int) -> int:
    """Claim the pageblock of the largest free block of a fallback type; NULL if none is worth it.

    Kernel: mm/page_alloc.c __rmqueue_claim()
    """
    min_order = order
    if order < zone.vm.pageblock_order and alloc_flags & ALLOC_NOFRAGMENT:
        min_order = zone.vm.pageblock_order
    for current_order in range(MAX_PAGE_ORDER, min_order - 1, -1):
        fallback_mt, can_steal = find_suitable_fallback(zone, current_order, start_migratetype)
        if fallback_mt == -1:
            continue
        if not can_steal:
            break
        page = get_page_from_free_area(zone, zone.free_area[current_order], fallback_mt)
        page = try_to_steal_block(zone, page, current_order, order, start_migratetype, alloc_flags)
        if page != NULL:
            _trace_extfrag(zone, page, order, current_order, start_migratetype, fallback_mt)
            return page
    return NULL


def _rmqueue_steal(zone: Zone, order: int, start_migratetype: int) -> int:
    """Take the smallest sufficient block of a fallback type; its pageblock keeps its type.

    Kernel: mm/page_alloc.c __rmqueue_steal()
    """
    for current_order in range(order, NR_PAGE_ORDERS):
        fallback_mt, _ = find_suitable_fallback(zone, current_order, start_migratetype)
        if fallback_mt == -1:
            continue
        page = get_page_from_free_area(zone, zone.free_area[current_order], fallback_mt)
        page_del_and_expand(zone, page, order, current_order, fallback_mt)
        _trace_extfrag(zone, page, order, current_order, start_migratetype, fallback_mt)
        return page
    return NULL


def _rmqueue_cma_fallback(zone: Zone, order: int) -> int:
    """A block of the CMA lists; NULL without CONFIG_CMA. Kernel: __rmqueue_cma_fallback()."""
    if zone.vm.MIGRATE_CMA < 0:
        return NULL
    return _rmqueue_smallest(zone, order, zone.vm.MIGRATE_CMA)


def _cma_has_more_than_half(zone: Zone) -> bool:
    """Is over half of the zone's free memory in CMA areas?"""
    free_cma = zone_page_state(zone, NR_FREE_CMA_PAGES)
    return free_cma > zone_page_state(zone, NR_FREE_PAGES) // 2


def _rmqueue(
    zone: Zone, order: int, migratetype: int, alloc_flags: int, mode: int
) -> tuple[int, int]:
    """(a block or NULL, the mode for the next call): own lists, CMA, claim, steal, in this order.

    Kernel: mm/page_alloc.c __rmqueue()
    """
    if alloc_flags & ALLOC_CMA and _cma_has_more_than_half(zone):
        page = _rmqueue_cma_fallback(zone, order)
        if page != NULL:
            return page, mode
    if mode == RMQUEUE_NORMAL:
        page = _rmqueue_smallest(zone, order, migratetype)
        if page != NULL:
            return page, mode
    if mode <= RMQUEUE_CMA and alloc_flags & ALLOC_CMA:
        page = _rmqueue_cma_fallback(zone, order)
        if page != NULL:
            return page, RMQUEUE_CMA
    return _rmqueue_from_fallbacks(zone, order, migratetype, alloc_flags, mode)


def _rmqueue_from_fallbacks(
    zone: Zone, order: int, migratetype: int, alloc_flags: int, mode: int
) -> tuple[int, int]:
    """The last two cases of __rmqueue(): claim, then steal unless ALLOC_NOFRAGMENT."""
    if mode <= RMQUEUE_CLAIM:
        page = _rmqueue_claim(zone, order, migratetype, alloc_flags)
        if page != NULL:
            return page, RMQUEUE_NORMAL
    if not alloc_flags & ALLOC_NOFRAGMENT:
        page = _rmqueue_steal(zone, order, migratetype)
        if page != NULL:
            return page, RMQUEUE_STEAL
    return NULL, mode
