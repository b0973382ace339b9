"""Is compacting worth while: enough free pages to move to, and fragmentation, not lack, to blame?

Kernel: mm/compaction.c __compaction_suitable() to compaction_suit_allocation_order()
"""

from __future__ import annotations

from memsim.mm.mmzone import Zone
from memsim.mm.page_alloc.watermark import _zone_watermark_ok, zone_watermark_ok
from memsim.mm.page_alloc.zone_walk import AllocContext
from memsim.mm.vmstat import (
    extfrag_index,
    low_wmark_pages,
    min_wmark_pages,
    wmark_pages,
    zone_page_state,
    zone_page_state_snapshot,
)
from memsim.trace.compaction_events import MM_COMPACTION_SUITABLE
from memsim.trace.events import TP_COMPACTION
from memsim.words.alloc_flags import ALLOC_CMA, ALLOC_WMARK_MASK
from memsim.words.compaction import (
    COMPACT_CONTINUE,
    COMPACT_NOT_SUITABLE_ZONE,
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    compact_gap,
)
from memsim.words.mmzone import NR_FREE_PAGES, PAGE_ALLOC_COSTLY_ORDER


def _compaction_suitable(zone: Zone, order: int, highest_zoneidx: int, wmark_target: int) -> bool:
    """Would wmark_target free pages let the free scanner isolate targets?

    Costly orders need the low watermark, others min; each plus twice the block.
    Kernel: mm/compaction.c __compaction_suitable()
    """
    costly = order > PAGE_ALLOC_COSTLY_ORDER
    watermark = low_wmark_pages(zone) if costly else min_wmark_pages(zone)
    watermark += compact_gap(order)
    return _zone_watermark_ok(zone, 0, watermark, highest_zoneidx, ALLOC_CMA, wmark_target)


def compaction_suitable(zone: Zone, order: int, highest_zoneidx: int) -> bool:
    """Should the zone be compacted now for a block of this order?

    For costly orders also: is the fragmentation index above sysctl_extfrag_threshold?
    Kernel: mm/compaction.c compaction_suitable()
    """
    free_pages = zone_page_state(zone, NR_FREE_PAGES)
    result = COMPACT_SKIPPED
    if _compaction_suitable(zone, order, highest_zoneidx, free_pages):
        result = COMPACT_CONTINUE
        if order > PAGE_ALLOC_COSTLY_ORDER:
            fragindex = extfrag_index(zone, order)
            if 0 <= fragindex <= zone.vm.sysctl_extfrag_threshold:
                result = COMPACT_NOT_SUITABLE_ZONE
    if zone.trace.mask & TP_COMPACTION:
        zone.trace.emit(MM_COMPACTION_SUITABLE, zone.node, zone.idx, order, result)
    return result == COMPACT_CONTINUE


def compaction_zonelist_suitable(
    ac: AllocContext, order: int, reclaimable_pages: dict[int, int]
) -> bool:
    """Would any zone be suitable if reclaim went on? Asked before it does for an order above 0.

    reclaimable_pages: zone_reclaimable_pages() of each zone, by its id; a 1/order of it counts.
    Kernel: mm/compaction.c compaction_zonelist_suitable()
    """
    for zone in ac.zonelist:
        available = reclaimable_pages.get(zone.id, 0) // order
        available += zone_page_state_snapshot(zone, NR_FREE_PAGES)
        if _compaction_suitable(zone, order, ac.highest_zoneidx, available):
            return True
    return False


def compaction_suit_allocation_order(
    zone: Zone, order: int, highest_zoneidx: int, alloc_flags: int
) -> int:
    """COMPACT_SUCCESS when there is such a block, _SKIPPED when it is no use, else _CONTINUE.

    Kernel: mm/compaction.c compaction_suit_allocation_order()
    """
    watermark = wmark_pages(zone, alloc_flags & ALLOC_WMARK_MASK)
    if zone_watermark_ok(zone, order, watermark, highest_zoneidx, alloc_flags):
        return COMPACT_SUCCESS
    if not compaction_suitable(zone, order, highest_zoneidx):
        return COMPACT_SKIPPED
    return COMPACT_CONTINUE
