"""One pass over a node: its lists, then the shrinkers; again where compaction needs more.

Kernel: mm/vmscan.c in_reclaim_compaction() to shrink_node()
"""

from __future__ import annotations

from memsim.mm.folio import lruvec_page_state, set_lruvec_field
from memsim.mm.journal import set_node_field
from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.mm.page_alloc.watermark import zone_watermark_ok
from memsim.mm.shrinker import shrink_slab
from memsim.mm.vmscan.balance import can_reclaim_anon_pages, prepare_scan_control
from memsim.mm.vmscan.scan_control import DEF_PRIORITY, ScanControl, current_is_kswapd
from memsim.mm.vmscan.shrink_lruvec import shrink_lruvec
from memsim.mm.vmscan.throttle import (
    VMSCAN_THROTTLE_CONGESTED,
    VMSCAN_THROTTLE_WRITEBACK,
    reclaim_throttle,
)
from memsim.mm.vmstat import min_wmark_pages
from memsim.words.gfp import __GFP_IO
from memsim.words.mmzone import PAGE_ALLOC_COSTLY_ORDER
from memsim.words.page_flags import (
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    LRUVEC_NODE_CONGESTED,
    LRUVEC_PGDAT_DIRTY,
    LRUVEC_PGDAT_WRITEBACK,
    WORKINGSET_ACTIVATE_BASE,
)


def compact_gap(order: int) -> int:
    """Pages that compaction wants free besides: twice the block.

    Kernel: include/linux/compaction.h compact_gap()
    """
    return 2 << order


def compaction_suitable(vm: Vm, zone: Zone, sc: ScanControl) -> bool:
    """Could compaction go ahead? Without compaction, never."""
    return vm.pressure is not None and vm.pressure.compaction_suitable(
        zone, sc.order, sc.reclaim_idx
    )


def in_reclaim_compaction(sc: ScanControl) -> bool:
    """Is reclaim for the sake of compaction: for a costly order, or after a few passes?

    Kernel: mm/vmscan.c in_reclaim_compaction()
    """
    if not sc.order or not sc.gfp_mask & __GFP_IO:
        return False
    return sc.order > PAGE_ALLOC_COSTLY_ORDER or sc.priority < DEF_PRIORITY - 2


def should_continue_reclaim(vm: Vm, pgdat: PglistData, nr_reclaimed: int, sc: ScanControl) -> bool:
    """Does compaction need more pages, and are there inactive ones to free?

    Kernel: mm/vmscan.c should_continue_reclaim()
    """
    if not in_reclaim_compaction(sc) or not nr_reclaimed:
        return False
    for zone in pgdat.node_zones[: sc.reclaim_idx + 1]:
        if not zone.managed_pages:
            continue
        if zone_watermark_ok(zone, sc.order, min_wmark_pages(zone), sc.reclaim_idx, 0):
            return False
        if compaction_suitable(vm, zone, sc):
            return False
    inactive_lru_pages = pgdat.vm_stat[LRU_INACTIVE_FILE]
    if can_reclaim_anon_pages(vm):
        inactive_lru_pages += pgdat.vm_stat[LRU_INACTIVE_ANON]
    return inactive_lru_pages > compact_gap(sc.order)


def shrink_node(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """Reclaim from a node, once or until compaction has what it needs.

    Kernel: mm/vmscan.c shrink_node(), shrink_node_memcgs()
    """
    reclaimable = False
    while True:
        sc.forget_nr()
        nr_reclaimed = sc.nr_reclaimed
        prepare_scan_control(pgdat, sc)
        shrink_lruvec(vm, pgdat.lruvec, sc)
        shrink_slab(vm, sc.gfp_mask, pgdat.nid, sc.priority)
        sc.nr_reclaimed += vm.folios.reclaimed_slab
        vm.folios.reclaimed_slab = 0
        nr_node_reclaimed = sc.nr_reclaimed - nr_reclaimed
        reclaimable |= nr_node_reclaimed > 0
        _mark_node(vm, pgdat, sc)
        if not should_continue_reclaim(vm, pgdat, nr_node_reclaimed, sc):
            break
    if reclaimable:
        set_node_field(vm, pgdat, "kswapd_failures", 0)
    elif sc.cache_trim_mode:
        sc.cache_trim_mode_failed = True


def _mark_node(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """What kswapd found about dirty folios makes it write, or makes others wait."""
    kswapd, flags = current_is_kswapd(vm), pgdat.lruvec.flags
    if kswapd and sc.writeback and sc.writeback == sc.taken:
        flags |= LRUVEC_PGDAT_WRITEBACK
    if kswapd and sc.unqueued_dirty == sc.file_taken:
        flags |= LRUVEC_PGDAT_DIRTY
    if kswapd and sc.immediate:
        reclaim_throttle(vm, pgdat, VMSCAN_THROTTLE_WRITEBACK)
    if kswapd and sc.dirty and sc.dirty == sc.congested:
        flags |= LRUVEC_NODE_CONGESTED
    set_lruvec_field(vm, pgdat.lruvec, "flags", flags)
    if not kswapd and flags & LRUVEC_NODE_CONGESTED:
        reclaim_throttle(vm, pgdat, VMSCAN_THROTTLE_CONGESTED)


def snapshot_refaults(vm: Vm, pgdat: PglistData) -> None:
    """Remember how many refaults there were. Kernel: mm/vmscan.c snapshot_refaults()."""
    for file, name in enumerate(("refaults_anon", "refaults_file")):
        value = lruvec_page_state(pgdat.lruvec, WORKINGSET_ACTIVATE_BASE + file)
        set_lruvec_field(vm, pgdat.lruvec, name, value)
