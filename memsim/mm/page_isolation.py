"""Pageblocks set apart: marked MIGRATE_ISOLATE, so that what is free or freed there stays there.

Kernel: mm/page_isolation.c
"""

from __future__ import annotations

from memsim.lib.bits import align_up
from memsim.mm.mmzone import (
    PG_LRU,
    PG_ORDER,
    PageBuddy,
    Vm,
    Zone,
    buddy_order,
    compound_head,
    get_pageblock_migratetype,
    page_zone,
)
from memsim.mm.page_alloc.isolate import isolate_pageblock, unset_migratetype_isolate
from memsim.mm.page_alloc.pageblock import pageblock_start_pfn
from memsim.trace.compaction_events import TEST_PAGES_ISOLATED
from memsim.trace.events import TP_COMPACTION
from memsim.words.errno import EBUSY
from memsim.words.mmzone import MAX_PAGE_ORDER, NULL


def page_reserved(vm: Vm, pfn: int) -> bool:
    """Did boot keep this page, or is there no RAM? Kernel: PageReserved().

    A machine made from a snapshot does not know: False.
    """
    if not vm.system_ram:
        return False
    return not any(start <= pfn < end for start, end in vm.system_ram)


def has_unmovable_pages(zone: Zone, start_pfn: int, end_pfn: int, migratetype: int) -> int:
    """A page of [start_pfn, end_pfn), in one pageblock, that cannot be moved away; NULL: none seen.

    CMA blocks count as movable for whoever asks for MIGRATE_CMA, and as unmovable for all others.
    NOT MODELLED: hugetlb, movable pages outside of LRU lists, MEMORY_OFFLINE.
    Kernel: mm/page_isolation.c has_unmovable_pages()
    """
    if get_pageblock_migratetype(zone, start_pfn) == zone.vm.MIGRATE_CMA:
        return NULL if migratetype == zone.vm.MIGRATE_CMA else start_pfn
    pfn = start_pfn
    while pfn < end_pfn:
        if page_reserved(zone.vm, pfn):
            return pfn
        if zone.idx != zone.vm.arch.ZONE_MOVABLE and not _may_be_movable(zone, pfn):
            return pfn
        pfn = _behind(zone, pfn)
    return NULL


def _may_be_movable(zone: Zone, pfn: int) -> bool:
    """Free, on its way (on a pcp list), or on an LRU list?"""
    head = compound_head(zone, pfn)
    return head == NULL or zone.page_state[head] & PG_LRU != 0


def _behind(zone: Zone, pfn: int) -> int:
    """The first pfn behind the block, free or allocated, that pfn is in."""
    head = pfn if PageBuddy(zone, pfn) else compound_head(zone, pfn)
    return pfn + 1 if head == NULL else head + (1 << (zone.page_state[head] & PG_ORDER))


def set_migratetype_isolate(
    zone: Zone, page: int, migratetype: int, start_pfn: int, end_pfn: int
) -> int:
    """Isolate page's pageblock: 0, or -EBUSY when it is already, or cannot be emptied.

    Only its part of [start_pfn, end_pfn) has to be. NOT MODELLED: unaccepted memory.
    Kernel: mm/page_isolation.c set_migratetype_isolate()
    """
    if get_pageblock_migratetype(zone, page) == zone.vm.MIGRATE_ISOLATE:
        return -EBUSY
    start = max(page, start_pfn)
    end = min(pageblock_start_pfn(zone, page) + zone.vm.pageblock_nr_pages, end_pfn)
    if has_unmovable_pages(zone, start, end, migratetype) != NULL:
        return -EBUSY
    return 0 if isolate_pageblock(zone, page) else -EBUSY


def isolate_single_pageblock(
    vm: Vm, boundary_pfn: int, isolate_before: bool, skip_isolation: bool, migratetype: int
) -> int:
    """Isolate the pageblock before or behind a border that no allocated block may lie across.

    0, or -EBUSY. skip_isolation: it is isolated already, look at the border only.
    Kernel: mm/page_isolation.c isolate_single_pageblock()
    """
    nr_pages = vm.pageblock_nr_pages
    block = boundary_pfn - nr_pages if isolate_before else boundary_pfn
    zone = page_zone(vm, block)
    if zone is None:
        return -EBUSY
    if not skip_isolation:
        ret = set_migratetype_isolate(zone, block, migratetype, block, block + nr_pages)
        if ret:
            return ret
    if page_zone(vm, boundary_pfn if isolate_before else boundary_pfn - 1) is None:
        return 0
    pfn = max(block & -(1 << MAX_PAGE_ORDER), zone.zone_start_pfn)
    while pfn < boundary_pfn:
        behind = _behind(zone, pfn)
        if behind > boundary_pfn and not PageBuddy(zone, pfn):
            if not skip_isolation:
                unset_migratetype_isolate(zone, block, migratetype)
            return -EBUSY
        pfn = behind
    return 0


def start_isolate_page_range(vm: Vm, start_pfn: int, end_pfn: int, migratetype: int) -> int:
    """Isolate all pageblocks that [start_pfn, end_pfn) reaches into: 0, or -EBUSY and none.

    First the outer two, then those between. migratetype: theirs, to be restored on failure.
    Kernel: mm/page_isolation.c start_isolate_page_range()
    """
    zone = page_zone(vm, start_pfn)
    if zone is None:
        return -EBUSY
    nr_pages = vm.pageblock_nr_pages
    first = pageblock_start_pfn(zone, start_pfn)
    end = align_up(end_pfn, nr_pages)
    ret = isolate_single_pageblock(vm, first, False, False, migratetype)
    if ret:
        return ret
    one_block = first == end - nr_pages
    ret = isolate_single_pageblock(vm, end, True, one_block, migratetype)
    if ret:
        unset_migratetype_isolate(zone, first, migratetype)
        return ret
    for pfn in range(first + nr_pages, end - nr_pages, nr_pages):
        if set_migratetype_isolate(zone, pfn, migratetype, start_pfn, end_pfn):
            undo_isolate_page_range(vm, first, pfn, migratetype)
            unset_migratetype_isolate(zone, end - nr_pages, migratetype)
            return -EBUSY
    return 0


def undo_isolate_page_range(vm: Vm, start_pfn: int, end_pfn: int, migratetype: int) -> None:
    """Give every isolated pageblock of the range this type.

    Kernel: mm/page_isolation.c undo_isolate_page_range()
    """
    nr_pages = vm.pageblock_nr_pages
    for pfn in range(start_pfn & -nr_pages, align_up(end_pfn, nr_pages), nr_pages):
        zone = page_zone(vm, pfn)
        if zone is not None and get_pageblock_migratetype(zone, pfn) == vm.MIGRATE_ISOLATE:
            unset_migratetype_isolate(zone, pfn, migratetype)


def test_pages_isolated(zone: Zone, start_pfn: int, end_pfn: int) -> int:
    """Are all pages of the range free, in isolated pageblocks? 0, or -EBUSY.

    Its tracepoint names the first page that is not. Kernel: mm/page_isolation.c
    """
    pfn = start_pfn
    while pfn < end_pfn and get_pageblock_migratetype(zone, pfn) == zone.vm.MIGRATE_ISOLATE:
        pfn += zone.vm.pageblock_nr_pages
    if pfn >= end_pfn:
        pfn = start_pfn
        while pfn < end_pfn and PageBuddy(zone, pfn):
            pfn += 1 << buddy_order(zone, pfn)
    if zone.trace.mask & TP_COMPACTION:
        zone.trace.emit(TEST_PAGES_ISOLATED, start_pfn, end_pfn, pfn)
    return -EBUSY if pfn < end_pfn else 0
