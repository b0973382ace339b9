"""Direct reclaim: who asks for memory frees some first.

Kernel: mm/vmscan.c compaction_ready() to try_to_free_pages()
"""

from __future__ import annotations

from memsim.mm.current import memalloc_noreclaim_restore, memalloc_noreclaim_save
from memsim.mm.folio import mem_cgroup_lruvec, set_lruvec_field
from memsim.mm.journal import set_node_field
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import PglistData, Vm, Zone, numa_node_id
from memsim.mm.page_alloc.watermark import zone_watermark_ok, zone_watermark_ok_safe
from memsim.mm.page_alloc.zone_walk import AllocContext
from memsim.mm.vmscan.balance import zone_reclaimable_pages
from memsim.mm.vmscan.scan_control import (
    DEF_PRIORITY,
    ScanControl,
    cgroup_reclaim,
    current_is_kswapd,
)
from memsim.mm.vmscan.shrink_node import (
    compaction_suitable,
    shrink_node,
    snapshot_refaults,
)
from memsim.mm.vmscan.throttle import VMSCAN_THROTTLE_NOPROGRESS, reclaim_throttle
from memsim.mm.vmstat import high_wmark_pages, min_wmark_pages, zone_page_state_snapshot
from memsim.trace.vmscan_events import (
    MM_VMSCAN_DIRECT_RECLAIM_BEGIN,
    MM_VMSCAN_DIRECT_RECLAIM_END,
    MM_VMSCAN_MEMCG_RECLAIM_BEGIN,
    MM_VMSCAN_MEMCG_RECLAIM_END,
    TP_VMSCAN,
    emit,
)
from memsim.words.compaction import compact_gap
from memsim.words.gfp import __GFP_IO, GFP_HIGHUSER_MOVABLE, GFP_RECLAIM_MASK, gfp_zone
from memsim.words.mmzone import MAX_RECLAIM_RETRIES, NR_FREE_PAGES, PAGE_ALLOC_COSTLY_ORDER
from memsim.words.page_flags import LRUVEC_CGROUP_CONGESTED, SWAP_CLUSTER_MAX


def compaction_ready(vm: Vm, zone: Zone, sc: ScanControl) -> bool:
    """Is there enough free for compaction, or even for the request? Then none more is freed.

    Kernel: mm/vmscan.c compaction_ready()
    """
    if not sc.gfp_mask & __GFP_IO:
        return False
    if zone_watermark_ok(zone, sc.order, min_wmark_pages(zone), sc.reclaim_idx, 0):
        return True
    if not compaction_suitable(vm, zone, sc):
        return False
    watermark = high_wmark_pages(zone) + compact_gap(sc.order)
    return zone_watermark_ok_safe(zone, 0, watermark, sc.reclaim_idx)


def consider_reclaim_throttle(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """Wait where the last passes found nothing. Kernel: consider_reclaim_throttle()."""
    if sc.nr_reclaimed > sc.nr_scanned >> 3 or current_is_kswapd(vm) or cgroup_reclaim(sc):
        return
    if sc.priority == 1 and not sc.nr_reclaimed:
        reclaim_throttle(vm, pgdat, VMSCAN_THROTTLE_NOPROGRESS)


def shrink_zones(vm: Vm, zonelist: list[Zone], sc: ScanControl) -> None:
    """A pass over each node of the zonelist. NOT MODELLED: cpusets.

    Kernel: mm/vmscan.c shrink_zones()
    """
    last = first = -1
    for zone in zonelist:
        costly = sc.order > PAGE_ALLOC_COSTLY_ORDER and not cgroup_reclaim(sc)
        if costly and compaction_ready(vm, zone, sc):
            sc.compaction_ready = True
            continue
        if zone.node == last:
            continue
        last = zone.node
        if first < 0:
            first = last
        shrink_node(vm, vm.nodes[last], sc)
    if first >= 0:
        consider_reclaim_throttle(vm, vm.nodes[first], sc)


def do_try_to_free_pages(vm: Vm, zonelist: list[Zone], sc: ScanControl) -> int:
    """Passes, each over more of the lists, until enough is freed: pages freed, 0 for none.

    When all were in vain it tries once more, then once more with active lists shrunk by force, and
    at last takes what memory.low protects.
    Kernel: mm/vmscan.c do_try_to_free_pages()
    """
    while True:
        _passes(vm, zonelist, sc)
        for pgdat in _nodes_in_order(vm, zonelist):
            _note_end(vm, pgdat, sc)
        if sc.nr_reclaimed:
            return sc.nr_reclaimed
        if sc.compaction_ready:
            return 1
        if not sc.memcg_full_walk:
            sc.memcg_full_walk = True
        elif sc.skipped_deactivate:
            sc.force_deactivate, sc.skipped_deactivate = True, False
        elif sc.memcg_low_skipped:
            sc.force_deactivate, sc.memcg_low_reclaim, sc.memcg_low_skipped = False, True, False
        else:
            return 0
        sc.priority = DEF_PRIORITY


def _note_end(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """All passes over a node are done."""
    snapshot_refaults(vm, pgdat, sc.target_mem_cgroup)
    if cgroup_reclaim(sc):
        lruvec = mem_cgroup_lruvec(sc.target_mem_cgroup, pgdat)
        set_lruvec_field(vm, lruvec, "flags", lruvec.flags & ~LRUVEC_CGROUP_CONGESTED)


def _passes(vm: Vm, zonelist: list[Zone], sc: ScanControl) -> None:
    """From DEF_PRIORITY down to 0, where each list is scanned whole."""
    while sc.priority >= 0:
        sc.nr_scanned = 0
        shrink_zones(vm, zonelist, sc)
        if sc.nr_reclaimed >= sc.nr_to_reclaim or sc.compaction_ready:
            return
        if sc.priority < DEF_PRIORITY - 2:
            sc.may_writepage = True
        sc.priority -= 1


def _nodes_in_order(vm: Vm, zonelist: list[Zone]) -> list[PglistData]:
    """The nodes of a zonelist, a node again where others came in between."""
    nids = [zone.node for zone in zonelist]
    kept = [nid for at, nid in enumerate(nids) if at == 0 or nids[at - 1] != nid]
    return [vm.nodes[nid] for nid in kept]


def allow_direct_reclaim(vm: Vm, pgdat: PglistData) -> bool:
    """Is half of min still free, up to NORMAL? Else kswapd has to free some first.

    Kernel: mm/vmscan.c allow_direct_reclaim()
    """
    if pgdat.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    normal = vm.arch.ZONE_NORMAL
    managed = [zone for zone in pgdat.node_zones[: normal + 1] if zone.managed_pages]
    zones = [zone for zone in managed if zone_reclaimable_pages(zone)]
    reserve = sum(min_wmark_pages(zone) for zone in zones)
    free_pages = sum(zone_page_state_snapshot(zone, NR_FREE_PAGES) for zone in zones)
    if not reserve or free_pages > reserve // 2:
        return True
    if pgdat.kswapd_waits:
        if pgdat.kswapd_highest_zoneidx > normal:
            set_node_field(vm, pgdat, "kswapd_highest_zoneidx", normal)
        set_node_field(vm, pgdat, "kswapd_waits", 0)
        set_node_field(vm, pgdat, "kswapd_asleep", 0)
    return False


def throttled_node(vm: Vm, ac: AllocContext) -> PglistData | None:
    """The node that a direct reclaimer has to wait for, if any. Who is killed does not wait.

    NOT MODELLED: kernel threads, which never wait. Kernel: mm/vmscan.c throttle_direct_reclaim()
    """
    if vm.current.fatal_signal_pending:
        return None
    for zone in ac.zonelist:
        if zone.idx <= vm.arch.ZONE_NORMAL:
            pgdat = vm.nodes[zone.node]
            return None if allow_direct_reclaim(vm, pgdat) else pgdat
    return None


def try_to_free_pages(vm: Vm, ac: AllocContext, order: int, gfp_mask: int) -> int:
    """Free SWAP_CLUSTER_MAX pages or more for a request: pages freed, 0 for none.

    Kernel: mm/vmscan.c try_to_free_pages(), behind throttle_direct_reclaim()
    """
    sc = ScanControl(SWAP_CLUSTER_MAX, gfp_mask, gfp_zone(gfp_mask, vm.arch), order)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_DIRECT_RECLAIM_BEGIN, order, gfp_mask)
    nr_reclaimed = do_try_to_free_pages(vm, ac.zonelist, sc)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_DIRECT_RECLAIM_END, nr_reclaimed)
    return nr_reclaimed


def try_to_free_mem_cgroup_pages(vm: Vm, memcg: MemCgroup, nr_pages: int, gfp_mask: int) -> int:
    """Free pages of a memcg, SWAP_CLUSTER_MAX or more: pages freed, 0 for none.

    Nodes are taken in the order of this CPU's zonelist, whichever zone is short.
    Kernel: mm/vmscan.c try_to_free_mem_cgroup_pages()
    """
    mask = (gfp_mask & GFP_RECLAIM_MASK) | (GFP_HIGHUSER_MOVABLE & ~GFP_RECLAIM_MASK)
    highest = vm.arch.MAX_NR_ZONES - 1
    sc = ScanControl(max(nr_pages, SWAP_CLUSTER_MAX), mask, highest, 0, target_mem_cgroup=memcg)
    had = memalloc_noreclaim_save(vm.current)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_MEMCG_RECLAIM_BEGIN, 0, mask)
    nr_reclaimed = do_try_to_free_pages(vm, vm.nodes[numa_node_id(vm)].node_zonelists[0], sc)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_MEMCG_RECLAIM_END, nr_reclaimed)
    memalloc_noreclaim_restore(vm.current, had)
    return nr_reclaimed
