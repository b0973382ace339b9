"""One batch of one list.

Kernel: mm/vmscan.c shrink_inactive_list() to shrink_list()
"""

from __future__ import annotations

from memsim.mm.folio import (
    Lruvec,
    folio_clear_flags,
    folio_set_flags,
    lruvec_memcg,
    mod_node_page_state,
    set_lruvec_field,
)
from memsim.mm.lru_cost import lru_note_cost
from memsim.mm.memcontrol.state import count_memcg_events
from memsim.mm.mmzone import Vm
from memsim.mm.swap import lru_add_drain
from memsim.mm.vmscan.isolate import isolate_lru_folios, move_folios_to_lru, too_many_isolated
from memsim.mm.vmscan.scan_control import ReclaimStat, ScanControl, current_is_kswapd
from memsim.mm.vmscan.shrink_folio_list import folio_referenced, shrink_folio_list
from memsim.mm.vmscan.throttle import VMSCAN_THROTTLE_ISOLATED, reclaim_throttle
from memsim.trace.vmscan_events import (
    MM_VMSCAN_LRU_SHRINK_ACTIVE,
    MM_VMSCAN_LRU_SHRINK_INACTIVE,
    TP_VMSCAN,
    emit,
    trace_reclaim_flags,
)
from memsim.words.memcontrol import (
    PGDEACTIVATE,
    PGREFILL,
    PGSCAN_DIRECT,
    PGSCAN_KSWAPD,
    PGSTEAL_DIRECT,
    PGSTEAL_KSWAPD,
)
from memsim.words.page_flags import (
    LRU_ACTIVE,
    LRU_FILE,
    LRUVEC_WAKE_FLUSHERS,
    NR_ISOLATED_ANON,
    SWAP_CLUSTER_MAX,
    PG_active,
    PG_workingset,
)


def shrink_inactive_list(vm: Vm, nr_to_scan: int, lruvec: Lruvec, sc: ScanControl, lru: int) -> int:
    """Scan a batch off an inactive list's tail: pages freed.

    Kernel: mm/vmscan.c shrink_inactive_list()
    """
    file, pgdat = lru >= LRU_FILE, lruvec.pgdat
    if too_many_isolated(vm, pgdat, file, sc):
        reclaim_throttle(vm, pgdat, VMSCAN_THROTTLE_ISOLATED)
        return SWAP_CLUSTER_MAX if vm.current.fatal_signal_pending else 0
    lru_add_drain(vm)
    isolated, nr_scanned = isolate_lru_folios(vm, nr_to_scan, lruvec, sc, lru)
    memcg, kswapd = lruvec_memcg(vm, lruvec), current_is_kswapd(vm)
    count_memcg_events(vm, memcg, PGSCAN_KSWAPD if kswapd else PGSCAN_DIRECT, nr_scanned)
    if not isolated:
        return 0
    nr_taken = _count_isolated(vm, lruvec, file, isolated)
    nr_reclaimed, kept, stat = shrink_folio_list(vm, isolated, pgdat, sc)
    move_folios_to_lru(vm, lruvec, kept)
    mod_node_page_state(vm, pgdat, NR_ISOLATED_ANON + file, -nr_taken)
    count_memcg_events(vm, memcg, PGSTEAL_KSWAPD if kswapd else PGSTEAL_DIRECT, nr_reclaimed)
    lru_note_cost(vm, lruvec, file, stat.nr_pageout, nr_scanned - nr_reclaimed)
    if stat.nr_unqueued_dirty == nr_taken:
        set_lruvec_field(vm, pgdat.lruvec, "flags", pgdat.lruvec.flags | LRUVEC_WAKE_FLUSHERS)
    _add_stat(sc, stat, nr_taken, file)
    if vm.trace.mask & TP_VMSCAN:
        numbers = (
            nr_scanned, nr_reclaimed, stat.nr_dirty, stat.nr_writeback, stat.nr_congested,
            stat.nr_immediate, *stat.nr_activate, stat.nr_ref_keep, stat.nr_unmap_fail,
        )  # fmt: skip
        how = sc.priority, trace_reclaim_flags(file)
        emit(vm.trace, MM_VMSCAN_LRU_SHRINK_INACTIVE, pgdat.nid, *numbers, *how)
    return nr_reclaimed


def _count_isolated(vm: Vm, lruvec: Lruvec, file: bool, isolated: list[int]) -> int:
    """NR_ISOLATED_* counts a batch: its pages."""
    nr_taken = sum(1 << (vm.page_state[folio] & 0x0F) for folio in isolated)
    mod_node_page_state(vm, lruvec.pgdat, NR_ISOLATED_ANON + file, nr_taken)
    return nr_taken


def _add_stat(sc: ScanControl, stat: ReclaimStat, nr_taken: int, file: bool) -> None:
    """What a pass over the node has found grows by a batch."""
    sc.dirty += stat.nr_dirty
    sc.congested += stat.nr_congested
    sc.unqueued_dirty += stat.nr_unqueued_dirty
    sc.writeback += stat.nr_writeback
    sc.immediate += stat.nr_immediate
    sc.taken += nr_taken
    if file:
        sc.file_taken += nr_taken


def shrink_active_list(vm: Vm, nr_to_scan: int, lruvec: Lruvec, sc: ScanControl, lru: int) -> None:
    """Move a batch off an active list's tail to the inactive one, used lately or not.

    NOT MODELLED: VM_EXEC, whose folios would stay; so none is rotated.
    Kernel: mm/vmscan.c shrink_active_list()
    """
    file, pgdat = lru >= LRU_FILE, lruvec.pgdat
    lru_add_drain(vm)
    isolated, nr_scanned = isolate_lru_folios(vm, nr_to_scan, lruvec, sc, lru)
    nr_taken = _count_isolated(vm, lruvec, file, isolated)
    count_memcg_events(vm, lruvec_memcg(vm, lruvec), PGREFILL, nr_scanned)
    for folio in isolated:
        folio_referenced(vm, folio, sc)
        folio_clear_flags(vm.folios, folio, PG_active)
        folio_set_flags(vm.folios, folio, PG_workingset)
    nr_deactivate = move_folios_to_lru(vm, lruvec, isolated)
    count_memcg_events(vm, lruvec_memcg(vm, lruvec), PGDEACTIVATE, nr_deactivate)
    mod_node_page_state(vm, pgdat, NR_ISOLATED_ANON + file, -nr_taken)
    if vm.trace.mask & TP_VMSCAN:
        numbers = nr_taken, 0, nr_deactivate, 0, sc.priority, trace_reclaim_flags(file)
        emit(vm.trace, MM_VMSCAN_LRU_SHRINK_ACTIVE, pgdat.nid, *numbers)


def shrink_list(vm: Vm, lru: int, nr_to_scan: int, lruvec: Lruvec, sc: ScanControl) -> int:
    """Scan a batch of a list: pages freed. Kernel: mm/vmscan.c shrink_list()."""
    if not lru & LRU_ACTIVE:
        return shrink_inactive_list(vm, nr_to_scan, lruvec, sc, lru)
    if sc.may_deactivate & (1 << (lru >= LRU_FILE)):
        shrink_active_list(vm, nr_to_scan, lruvec, sc, lru)
    else:
        sc.skipped_deactivate = True
    return 0
