"""One pass over a node: its lists, then the shrinkers; again where compaction needs more.

Kernel: mm/vmscan.c in_reclaim_compaction() to shrink_node()
"""

from __future__ import annotations

from memsim.mm.folio import (
    lru_gen_enabled,
    lruvec_page_state,
    mem_cgroup_lruvec,
    set_lruvec_field,
)
from memsim.mm.journal import set_node_field
from memsim.mm.lru_gen.shrink import lru_gen_shrink_node
from memsim.mm.memcontrol.state import MemCgroup, memcg_memory_event
from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.mm.page_alloc.watermark import zone_watermark_ok
from memsim.mm.shrinker import shrink_slab
from memsim.mm.vmscan.balance import can_reclaim_anon_pages, prepare_scan_control
from memsim.mm.vmscan.memcg_iter import (
    mem_cgroup_below_low,
    mem_cgroup_below_min,
    mem_cgroup_iter,
)
from memsim.mm.vmscan.scan_control import (
    DEF_PRIORITY,
    ScanControl,
    cgroup_reclaim,
    current_is_kswapd,
)
from memsim.mm.vmscan.shrink_lruvec import shrink_lruvec
from memsim.mm.vmscan.throttle import (
    VMSCAN_THROTTLE_CONGESTED,
    VMSCAN_THROTTLE_WRITEBACK,
    reclaim_throttle,
)
from memsim.mm.vmstat import min_wmark_pages
from memsim.words.compaction import compact_gap
from memsim.words.gfp import __GFP_IO
from memsim.words.memcontrol import MEMCG_LOW
from memsim.words.mmzone import PAGE_ALLOC_COSTLY_ORDER
from memsim.words.page_flags import (
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    LRUVEC_CGROUP_CONGESTED,
    LRUVEC_NODE_CONGESTED,
    LRUVEC_PGDAT_DIRTY,
    LRUVEC_PGDAT_WRITEBACK,
    WORKINGSET_ACTIVATE_BASE,
)


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


def shrink_node_memcgs(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """Reclaim from each memcg's lists; who reclaims for itself stops once it has enough.

    What memory.min protects is passed over, and what memory.low does, as long as others have some.
    Kernel: mm/vmscan.c shrink_node_memcgs()
    """
    partial = not current_is_kswapd(vm) and not sc.memcg_full_walk
    for memcg in mem_cgroup_iter(vm, sc, pgdat.nid, partial):
        if mem_cgroup_below_min(sc, memcg):
            continue
        if memcg is not None and mem_cgroup_below_low(sc, memcg):
            if not sc.memcg_low_reclaim:
                sc.memcg_low_skipped = True
                continue
            memcg_memory_event(vm, memcg, MEMCG_LOW)
        shrink_lruvec(vm, mem_cgroup_lruvec(memcg, pgdat), sc)
        if memcg is None:
            shrink_slab(vm, sc.gfp_mask, pgdat.nid, sc.priority)
        if partial and sc.nr_reclaimed >= sc.nr_to_reclaim:
            break


def flush_reclaim_state(vm: Vm, sc: ScanControl) -> None:
    """Count what shrinkers gave back, but not for a memcg. Kernel: flush_reclaim_state()."""
    if not cgroup_reclaim(sc):
        sc.nr_reclaimed += vm.folios.reclaimed_slab
        vm.folios.reclaimed_slab = 0


def shrink_node(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """Reclaim from a node, once or until compaction has what it needs.

    Kernel: mm/vmscan.c shrink_node()
    """
    reclaimable = False
    if lru_gen_enabled(vm):
        sc.forget_nr()
        lru_gen_shrink_node(vm, pgdat, sc)
        return
    while True:
        sc.forget_nr()
        nr_reclaimed = sc.nr_reclaimed
        prepare_scan_control(pgdat, sc)
        shrink_node_memcgs(vm, pgdat, sc)
        flush_reclaim_state(vm, sc)
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
    kswapd, lruvec = current_is_kswapd(vm), mem_cgroup_lruvec(sc.target_mem_cgroup, pgdat)
    flags = lruvec.flags
    if kswapd and sc.writeback and sc.writeback == sc.taken:
        flags |= LRUVEC_PGDAT_WRITEBACK
    if kswapd and sc.unqueued_dirty == sc.file_taken:
        flags |= LRUVEC_PGDAT_DIRTY
    if kswapd and sc.immediate:
        reclaim_throttle(vm, pgdat, VMSCAN_THROTTLE_WRITEBACK)
    if sc.dirty and sc.dirty == sc.congested:
        flags |= LRUVEC_CGROUP_CONGESTED if cgroup_reclaim(sc) else 0
        flags |= LRUVEC_NODE_CONGESTED if kswapd else 0
    set_lruvec_field(vm, lruvec, "flags", flags)
    if not kswapd and flags & (LRUVEC_CGROUP_CONGESTED | LRUVEC_NODE_CONGESTED):
        reclaim_throttle(vm, pgdat, VMSCAN_THROTTLE_CONGESTED)


def snapshot_refaults(vm: Vm, pgdat: PglistData, target: MemCgroup | None = None) -> None:
    """Remember how many refaults there were. Kernel: mm/vmscan.c snapshot_refaults()."""
    if lru_gen_enabled(vm):
        return
    lruvec = mem_cgroup_lruvec(target, pgdat)
    for file, name in enumerate(("refaults_anon", "refaults_file")):
        value = lruvec_page_state(lruvec, WORKINGSET_ACTIVATE_BASE + file)
        set_lruvec_field(vm, lruvec, name, value)
