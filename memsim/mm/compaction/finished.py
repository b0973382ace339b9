"""Shall compaction go on? Scanners met, a block is there, or fragmentation is low enough.

Kernel: mm/compaction.c fragmentation_score_zone() to compact_finished()
"""

from __future__ import annotations

from memsim.mm.compaction.control import (
    CompactControl,
    compact_scanners_met,
    is_via_compact_memory,
)
from memsim.mm.compaction.skip import reset_cached_positions
from memsim.mm.compaction.state import set_zone_compact
from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.mm.page_alloc.fallback import find_suitable_fallback
from memsim.mm.page_alloc.free_list import free_area_empty
from memsim.mm.vmstat import extfrag_for_order
from memsim.trace.compaction_events import MM_COMPACTION_FINISHED
from memsim.trace.events import TP_COMPACTION
from memsim.words.compaction import (
    COMPACT_COMPLETE,
    COMPACT_CONTINUE,
    COMPACT_NO_SUITABLE_PAGE,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_SUCCESS,
    COMPACTION_HPAGE_ORDER,
)
from memsim.words.mmzone import MIGRATE_MOVABLE, NR_PAGE_ORDERS


def fragmentation_score_zone(zone: Zone) -> int:
    """Percent of the zone's free memory in blocks below a huge page.

    Kernel: mm/compaction.c fragmentation_score_zone()
    """
    return extfrag_for_order(zone, COMPACTION_HPAGE_ORDER)


def fragmentation_score_zone_weighted(zone: Zone) -> int:
    """The score times the zone's share of its node. Kernel: fragmentation_score_zone_weighted()."""
    node_zones = zone.vm.nodes[zone.node].node_zones
    node_present_pages = sum(other.present_pages for other in node_zones)
    return zone.present_pages * fragmentation_score_zone(zone) // (node_present_pages + 1)


def fragmentation_score_node(pgdat: PglistData) -> int:
    """The scores of the node's zones, weighted. Kernel: fragmentation_score_node()."""
    populated = [zone for zone in pgdat.node_zones if zone.present_pages]
    return sum(fragmentation_score_zone_weighted(zone) for zone in populated)


def fragmentation_score_wmark(vm: Vm, low: bool) -> int:
    """Score from which proactive compaction starts; with low, at which it stops.

    Kernel: mm/compaction.c fragmentation_score_wmark()
    """
    wmark_low = max(100 - vm.sysctl_compaction_proactiveness, 5)
    return wmark_low if low else min(wmark_low + 10, 100)


def should_proactive_compact_node(vm: Vm, pgdat: PglistData) -> bool:
    """Is the node fragmented enough to be compacted unasked?

    Kernel: mm/compaction.c should_proactive_compact_node()
    """
    if not vm.sysctl_compaction_proactiveness or kswapd_is_running(pgdat):
        return False
    return fragmentation_score_node(pgdat) > fragmentation_score_wmark(vm, False)


def kswapd_is_running(pgdat: PglistData) -> bool:
    """Is kswapd awake on this node? Kernel: mm/compaction.c kswapd_is_running()."""
    return not pgdat.kswapd_asleep


def _compact_finished(cc: CompactControl) -> int:
    """What compact_finished() says, before its tracepoint.

    Kernel: mm/compaction.c __compact_finished()
    """
    if compact_scanners_met(cc):
        reset_cached_positions(cc.zone)
        # kswapd then forgets skip marks: only a request asks for that
        if cc.direct_compaction:
            set_zone_compact(cc.zone, "compact_blockskip_flush", 1)
        return COMPACT_COMPLETE if cc.whole_zone else COMPACT_PARTIAL_SKIPPED
    if cc.proactive_compaction:
        if kswapd_is_running(cc.zone.vm.nodes[cc.zone.node]):
            return COMPACT_PARTIAL_SKIPPED
        wmark_low = fragmentation_score_wmark(cc.zone.vm, True)
        above = fragmentation_score_zone(cc.zone) > wmark_low
        return COMPACT_CONTINUE if above else COMPACT_SUCCESS
    if is_via_compact_memory(cc.order):
        return COMPACT_CONTINUE
    # a pageblock is always finished, so that fewer requests fall back later
    if cc.migrate_pfn % cc.zone.vm.pageblock_nr_pages:
        return COMPACT_CONTINUE
    return COMPACT_SUCCESS if _has_suitable_block(cc) else COMPACT_NO_SUITABLE_PAGE


def _has_suitable_block(cc: CompactControl) -> bool:
    """Is there a free block that the request could take, or claim the pageblock of?"""
    zone = cc.zone
    for order in range(cc.order, NR_PAGE_ORDERS):
        area = zone.free_area[order]
        if not free_area_empty(zone, area, cc.migratetype):
            return True
        cma = zone.vm.MIGRATE_CMA
        if cc.migratetype == MIGRATE_MOVABLE and cma >= 0 and not free_area_empty(zone, area, cma):
            return True
        fallback_mt, can_steal = find_suitable_fallback(zone, order, cc.migratetype)
        if fallback_mt != -1 and can_steal:
            return True
    return False


def compact_finished(cc: CompactControl) -> int:
    """COMPACT_CONTINUE, or the result with which compaction of the zone ends.

    NOT MODELLED: COMPACT_CONTENDED of locks and signals.
    Kernel: mm/compaction.c compact_finished()
    """
    ret = _compact_finished(cc)
    if cc.zone.trace.mask & TP_COMPACTION:
        cc.zone.trace.emit(MM_COMPACTION_FINISHED, cc.zone.node, cc.zone.idx, cc.order, ret)
    return COMPACT_CONTINUE if ret == COMPACT_NO_SUITABLE_PAGE else ret
