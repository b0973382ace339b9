"""Pageblocks kept for high-order atomic requests: MIGRATE_HIGHATOMIC.

Kernel: mm/page_alloc.c reserve_highatomic_pageblock(), unreserve_highatomic_pageblock()
"""

from __future__ import annotations

from memsim.lib.bits import align_up
from memsim.mm.mmzone import Zone, get_pageblock_migratetype
from memsim.mm.page_alloc.buddy import change_pageblock_range, migratetype_is_mergeable
from memsim.mm.page_alloc.free_list import get_page_from_free_area, move_to_free_list
from memsim.mm.page_alloc.pageblock import move_freepages_block
from memsim.words.mmzone import MIGRATE_HIGHATOMIC, NR_PAGE_ORDERS, NULL


def reserve_highatomic_pageblock(zone: Zone, page: int, order: int) -> None:
    """Keep the pageblock of a block just allocated, up to about 1 % of the zone.

    Kernel: mm/page_alloc.c reserve_highatomic_pageblock()
    """
    pageblock_nr_pages = zone.vm.pageblock_nr_pages
    one_percent = zone.managed_pages // 100
    if one_percent < pageblock_nr_pages:
        return
    if zone.nr_reserved_highatomic >= align_up(one_percent, pageblock_nr_pages):
        return
    migratetype = get_pageblock_migratetype(zone, page)
    if not migratetype_is_mergeable(migratetype):
        return
    if order < zone.vm.pageblock_order:
        if move_freepages_block(zone, page, migratetype, MIGRATE_HIGHATOMIC) != -1:
            zone.nr_reserved_highatomic += pageblock_nr_pages
    else:
        change_pageblock_range(zone, page, order, MIGRATE_HIGHATOMIC)
        zone.nr_reserved_highatomic += 1 << order


def unreserve_highatomic_pageblock(zonelist: list[Zone], migratetype: int, force: bool) -> bool:
    """Give one reserved pageblock back, to the type of the request that is about to fail.

    zonelist: the zones the request may use, in order. Unless forced, a zone keeps its last
    pageblock. Kernel: mm/page_alloc.c unreserve_highatomic_pageblock()
    """
    for zone in zonelist:
        if not force and zone.nr_reserved_highatomic <= zone.vm.pageblock_nr_pages:
            continue
        for order in range(NR_PAGE_ORDERS):
            page = get_page_from_free_area(zone, zone.free_area[order], MIGRATE_HIGHATOMIC)
            if page != NULL and _unreserve(zone, page, order, migratetype):
                return True
    return False


def _unreserve(zone: Zone, page: int, order: int, migratetype: int) -> bool:
    """Turn the pageblock(s) of one free HIGHATOMIC block. Did any free page move?"""
    pageblock_nr_pages = zone.vm.pageblock_nr_pages
    old_mt = get_pageblock_migratetype(zone, page)
    if old_mt == MIGRATE_HIGHATOMIC:
        size = max(pageblock_nr_pages, 1 << order)
        zone.nr_reserved_highatomic -= min(size, zone.nr_reserved_highatomic)
    if order < zone.vm.pageblock_order:
        return move_freepages_block(zone, page, old_mt, migratetype) > 0
    move_to_free_list(zone, page, order, old_mt, migratetype)
    change_pageblock_range(zone, page, order, migratetype)
    return True
