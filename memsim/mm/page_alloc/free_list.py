"""The free lists: every change of one happens in this file. zone->lock is held by every caller.

A block is its first pfn; lists are per order and migratetype; `nr_free` counts blocks.

Kernel: mm/page_alloc.c, from account_freepages() to get_page_from_free_area()
"""

from __future__ import annotations

from memsim.lib.list import list_del, list_empty, list_insert_after
from memsim.mm.journal import step_free_list
from memsim.mm.mmzone import PG_BUDDY, FreeArea, Zone
from memsim.mm.vmstat import _mod_zone_page_state
from memsim.trace.events import TP_STEPS
from memsim.trace.steps import LIST_ADD, LIST_DEL
from memsim.words.mmzone import (
    MAX_PAGE_ORDER,
    MIGRATE_HIGHATOMIC,
    MIGRATE_MOVABLE,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
    NULL,
)

#: Deferred blocks join their list this many at a time.
DEFERRED_CHUNK = 64


def account_freepages(zone: Zone, nr_pages: int, migratetype: int) -> None:
    """Count nr_pages more (or fewer) free pages; those of an isolated block count nowhere.

    Kernel: mm/page_alloc.c account_freepages()
    """
    if migratetype == zone.vm.MIGRATE_ISOLATE:
        return
    _mod_zone_page_state(zone, NR_FREE_PAGES, nr_pages)
    if migratetype == zone.vm.MIGRATE_CMA:
        _mod_zone_page_state(zone, NR_FREE_CMA_PAGES, nr_pages)
    elif migratetype == MIGRATE_HIGHATOMIC:
        zone.nr_free_highatomic += nr_pages


def _add_to_free_list(zone: Zone, page: int, order: int, migratetype: int, tail: bool) -> None:
    """Put a block that is on no list at the head or tail of its list, and mark it PageBuddy.

    Kernel: mm/page_alloc.c __add_to_free_list(), set_buddy_order(). Cost: O(1).
    """
    area = zone.free_area[order]
    head = area.free_list[migratetype]
    if tail and order == MAX_PAGE_ORDER:
        list_all_deferred(zone)
    before = zone.prev[head] if tail else head
    if zone.trace.mask & TP_STEPS:
        state = zone.page_state[page]
        step_free_list(zone, LIST_ADD, page, before, order, migratetype, state, PG_BUDDY | order)
    list_insert_after(zone.next, zone.prev, page, before)
    area.nr_free += 1
    zone.page_state[page] = PG_BUDDY | order


def _del_page_from_free_list(zone: Zone, page: int, order: int, migratetype: int) -> None:
    """Take a block off its list; it is no longer PageBuddy.

    Kernel: mm/page_alloc.c __del_page_from_free_list(). Cost: O(1).
    """
    if zone.trace.mask & TP_STEPS:
        before = zone.prev[page]
        step_free_list(zone, LIST_DEL, page, before, order, migratetype, PG_BUDDY | order, 0)
    list_del(zone.next, zone.prev, page)
    zone.page_state[page] = 0
    zone.free_area[order].nr_free -= 1
    if order == MAX_PAGE_ORDER:
        refill_from_deferred(zone)


def del_page_from_free_list(zone: Zone, page: int, order: int, migratetype: int) -> None:
    """_del_page_from_free_list(), and its pages are counted free no longer.

    Kernel: mm/page_alloc.c del_page_from_free_list()
    """
    _del_page_from_free_list(zone, page, order, migratetype)
    account_freepages(zone, -(1 << order), migratetype)


def move_to_free_list(zone: Zone, page: int, order: int, old_mt: int, new_mt: int) -> None:
    """Move a free block to the tail of another type's list of the same order.

    Kernel: mm/page_alloc.c move_to_free_list()
    """
    _del_page_from_free_list(zone, page, order, old_mt)
    _add_to_free_list(zone, page, order, new_mt, True)
    account_freepages(zone, -(1 << order), old_mt)
    account_freepages(zone, 1 << order, new_mt)


def free_area_empty(zone: Zone, area: FreeArea, migratetype: int) -> bool:
    """Has this order no free block of this type? Kernel: include/linux/mmzone.h."""
    return list_empty(zone.next, area.free_list[migratetype])


def get_page_from_free_area(zone: Zone, area: FreeArea, migratetype: int) -> int:
    """First block of the list, or NULL. Kernel: mm/page_alloc.c get_page_from_free_area()."""
    head = area.free_list[migratetype]
    page = zone.next[head]
    return NULL if page == head else page


def rotate_free_list(zone: Zone, order: int, migratetype: int, new_first: int) -> None:
    """Turn a list so that new_first stands at its head; the order around the ring is kept.

    The blocks in front of new_first move to the tail, first to last, as list_splice_tail() does.
    Kernel: mm/compaction.c move_freelist_head(), move_freelist_tail(). Cost: O(blocks moved).
    """
    head = zone.free_area[order].free_list[migratetype]
    while zone.next[head] != new_first:
        page = zone.next[head]
        _del_page_from_free_list(zone, page, order, migratetype)
        _add_to_free_list(zone, page, order, migratetype, True)


def refill_from_deferred(zone: Zone) -> None:
    """List more deferred blocks when the list that they are the tail of has run empty.

    memsim's own: at boot only the first blocks of a large zone are put on the MOVABLE list of the
    largest order. The rest, deferred_pfn to deferred_end, count in nr_free and NR_FREE_PAGES and
    are logically that list's tail. No merge can meet them: a merge looks for buddies below the
    largest order only.
    """
    if zone.deferred_pfn < zone.deferred_end:
        head = zone.free_area[MAX_PAGE_ORDER].free_list[MIGRATE_MOVABLE]
        if list_empty(zone.next, head):
            list_deferred(zone, DEFERRED_CHUNK)


def list_all_deferred(zone: Zone) -> None:
    """List every deferred block: somebody is about to look at, or behind, the tail."""
    if zone.deferred_pfn < zone.deferred_end:
        list_deferred(zone, (zone.deferred_end - zone.deferred_pfn) >> MAX_PAGE_ORDER)


def list_deferred(zone: Zone, nr_blocks: int) -> None:
    """Put up to nr_blocks deferred blocks at the tail of their list. No step: nothing changed."""
    head = zone.free_area[MAX_PAGE_ORDER].free_list[MIGRATE_MOVABLE]
    size = 1 << MAX_PAGE_ORDER
    end = min(zone.deferred_end, zone.deferred_pfn + nr_blocks * size)
    for page in range(zone.deferred_pfn, end, size):
        list_insert_after(zone.next, zone.prev, page, zone.prev[head])
        zone.page_state[page] = PG_BUDDY | MAX_PAGE_ORDER
    zone.deferred_pfn = end
