"""Free blocks taken off the lists of one pageblock, and given back.

Kernel: mm/compaction.c release_free_list(), isolate_freepages_block(), isolate_freepages_range()
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.skip import pageblock_pfn_to_page
from memsim.mm.journal import set_page_state
from memsim.mm.mmzone import (
    PG_INUSE,
    PG_ORDER,
    PageBuddy,
    Zone,
    buddy_order,
)
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.page_alloc.free_list import list_all_deferred
from memsim.mm.page_alloc.isolate import _isolate_free_page
from memsim.trace.compaction_events import MM_COMPACTION_ISOLATE_FREEPAGES
from memsim.trace.events import TP_COMPACTION
from memsim.words.mmzone import NR_PAGE_ORDERS, NULL


def release_free_list(zone: Zone, freepages: list[list[int]]) -> int:
    """Give every isolated block back, as any free would: the highest of their pfns, 0 for none.

    Kernel: mm/compaction.c release_free_list()
    """
    high_pfn = 0
    for order in range(NR_PAGE_ORDERS):
        for page in freepages[order]:
            set_page_state(zone, page, 1, PG_INUSE | order)
            free_unref_page(zone.vm, page, order)
            high_pfn = max(high_pfn, page)
        freepages[order].clear()
    return high_pfn


def isolate_freepages_block(
    cc: CompactControl, start_pfn: int, end_pfn: int, stride: int, strict: bool
) -> tuple[int, int]:
    """(pages isolated, where the scan stopped) of [start_pfn, end_pfn), looking at every stride-th.

    It stops with as many pages as are to migrate. strict wants all of them, from the first on, and
    says 0 pages if one is not free. A block that the min watermark keeps ends the scan.
    Kernel: mm/compaction.c isolate_freepages_block()
    """
    list_all_deferred(cc.zone)
    stride = 1 if strict else stride
    nr_scanned = total_isolated = 0
    pfn = start_pfn
    while pfn < end_pfn:
        nr_scanned += 1
        if not PageBuddy(cc.zone, pfn):
            skipped = _pages_behind_head(cc.zone, pfn, end_pfn)
            nr_scanned += skipped
            pfn += skipped
            if strict:
                break
            pfn += stride
            continue
        isolated = _isolate_into(cc, pfn)
        if not isolated:
            break
        nr_scanned += isolated - 1
        total_isolated += isolated
        if not strict and cc.nr_migratepages <= cc.nr_freepages:
            pfn += isolated
            break
        pfn += isolated - 1 + stride
    pfn = min(pfn, end_pfn)
    if cc.zone.trace.mask & TP_COMPACTION:
        cc.zone.trace.emit(
            MM_COMPACTION_ISOLATE_FREEPAGES, start_pfn, pfn, nr_scanned, total_isolated
        )
    cc.total_free_scanned += nr_scanned
    return (0 if strict and pfn < end_pfn else total_isolated), pfn


def _isolate_into(cc: CompactControl, page: int) -> int:
    """Take a free block onto cc's lists: its pages, or 0 when the min watermark forbids it."""
    order = buddy_order(cc.zone, page)
    isolated = _isolate_free_page(cc.zone, page, order)
    if isolated:
        cc.nr_freepages += isolated
        cc.freepages[order].append(page)
    return isolated


def _pages_behind_head(zone: Zone, pfn: int, end_pfn: int) -> int:
    """Pages behind pfn in the allocated block that begins there, if it ends before end_pfn."""
    state = zone.page_state[pfn]
    nr_pages = 1 << (state & PG_ORDER) if state & PG_INUSE else 1
    return nr_pages - 1 if pfn + nr_pages <= end_pfn else 0


def isolate_freepages_range(cc: CompactControl, start_pfn: int, end_pfn: int) -> int:
    """Isolate all of [start_pfn, end_pfn), which must be free: the pfn behind it, or 0.

    That may lie behind end_pfn, where a block reaches over it. On failure all are given back.
    Kernel: mm/compaction.c isolate_freepages_range()
    """
    cc.freepages = [[] for _ in range(NR_PAGE_ORDERS)]
    pfn = start_pfn
    while pfn < end_pfn:
        block_end = min(cc.block_end(pfn), end_pfn)
        block_start = max(cc.block_start(pfn), cc.zone.zone_start_pfn)
        if pageblock_pfn_to_page(cc.zone, block_start, block_end) == NULL:
            break
        isolated, _ = isolate_freepages_block(cc, pfn, block_end, 1, True)
        if not isolated:
            break
        pfn += isolated
    if pfn < end_pfn:
        release_free_list(cc.zone, cc.freepages)
        return 0
    return pfn
