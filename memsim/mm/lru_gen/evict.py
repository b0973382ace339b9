"""The eviction: a batch of the oldest generation is freed, or goes back to younger ones.

Kernel: mm/vmscan.c evict_folios()
"""

from __future__ import annotations

from memsim.mm.folio import Lruvec, folio_set_flags, set_word
from memsim.mm.lru_gen.aging import get_nr_gens, try_to_inc_min_seq
from memsim.mm.lru_gen.isolate import Scan, isolate_folios
from memsim.mm.lru_gen.promote import reset_batch_size
from memsim.mm.mmzone import Vm
from memsim.mm.vmscan.isolate import move_folios_to_lru
from memsim.mm.vmscan.scan_control import ReclaimStat, ScanControl
from memsim.mm.vmscan.shrink_folio_list import shrink_folio_list
from memsim.trace.folio_steps import WORD_FLAGS
from memsim.trace.vmscan_events import (
    MM_VMSCAN_LRU_SHRINK_INACTIVE,
    TP_VMSCAN,
    emit,
    trace_reclaim_flags,
)
from memsim.words.lru_gen import (
    LRU_GEN_ANON,
    LRU_GEN_FILE,
    LRU_REFS_FLAGS,
    LRU_REFS_MASK,
    MIN_NR_GENS,
)
from memsim.words.page_flags import (
    PG_active,
    PG_dirty,
    PG_locked,
    PG_reclaim,
    PG_referenced,
    PG_workingset,
    PG_writeback,
)

_BUSY = PG_active | PG_referenced | PG_locked | PG_dirty | PG_writeback


def evict_folios(vm: Vm, lruvec: Lruvec, sc: ScanControl, swappiness: int) -> int:
    """Evict a batch: pages looked at; 0 where nothing cold is left.

    Clean folios that stayed are tried once more. Kernel: mm/vmscan.c evict_folios()
    """
    scanned, scan = isolate_folios(vm, lruvec, sc, swappiness)
    scanned += try_to_inc_min_seq(vm, lruvec, swappiness > 0)
    if get_nr_gens(lruvec, LRU_GEN_ANON if swappiness else LRU_GEN_FILE) == MIN_NR_GENS:
        scanned = 0
    folios, skip_retry = scan.list, False
    while folios:
        reclaimed, kept, stat = shrink_folio_list(vm, folios, lruvec.pgdat, sc)
        sc.unqueued_dirty += stat.nr_unqueued_dirty
        sc.nr_reclaimed += reclaimed
        _trace(vm, scan, scanned, reclaimed, stat)
        folios = [] if skip_retry else [folio for folio in kept if _may_retry(vm, folio)]
        again = set(folios)
        back = [folio for folio in kept if folio not in again]
        for folio in back:
            _mark_rejected(vm, folio)
        move_folios_to_lru(vm, lruvec, back)
        if sc.mm_walk is not None:
            reset_batch_size(vm, lruvec, sc.mm_walk)
        skip_retry = True
    return scanned


def _waits_for_writeback(flags: int) -> bool:
    return (flags & PG_reclaim) != 0 and (flags & (PG_dirty | PG_writeback)) != 0


def _may_retry(vm: Vm, folio: int) -> bool:
    """Is it clean and unused: did its writeback end just now?"""
    flags = vm.folios.flags[folio]
    return not flags & _BUSY and not vm.folios.mapcount[folio]


def _mark_rejected(vm: Vm, folio: int) -> None:
    """One that could not be evicted becomes active; one that waits to be written keeps its tier."""
    flags = vm.folios.flags[folio]
    if _waits_for_writeback(flags):
        if flags & PG_workingset:
            folio_set_flags(vm.folios, folio, PG_referenced)
        return
    flags &= ~(LRU_REFS_MASK | LRU_REFS_FLAGS)
    set_word(vm.folios, WORD_FLAGS, folio, flags | PG_active)


def _trace(vm: Vm, scan: Scan, scanned: int, reclaimed: int, stat: ReclaimStat) -> None:
    if vm.trace.mask & TP_VMSCAN:
        numbers = (
            scanned, reclaimed, stat.nr_dirty, stat.nr_writeback, stat.nr_congested,
            stat.nr_immediate, *stat.nr_activate, stat.nr_ref_keep, stat.nr_unmap_fail,
        )  # fmt: skip
        how = scan.sc.priority, trace_reclaim_flags(scan.type == LRU_GEN_FILE)
        emit(vm.trace, MM_VMSCAN_LRU_SHRINK_INACTIVE, scan.lruvec.pgdat.nid, *numbers, *how)
