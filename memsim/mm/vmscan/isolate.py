"""Folios off their list in batches, and back again.

A list of isolated folios has the one that was isolated first in front.

Kernel: mm/vmscan.c update_lru_sizes() to move_folios_to_lru()
"""

from __future__ import annotations

from memsim.mm.folio import (
    Lruvec,
    clear_words,
    folio_get,
    folio_nr_pages,
    folio_zone,
)
from memsim.mm.memcontrol.uncharge import mem_cgroup_uncharge_folios
from memsim.mm.mm_inline import (
    clear_lru_flags,
    folio_set_lru,
    folio_test_clear_lru,
    link_folio,
    list_move,
    lruvec_add_folio,
    unlink_folio,
    update_lru_size,
)
from memsim.mm.mmzone import PG_ORDER, PglistData, Vm
from memsim.mm.page_alloc.free import free_unref_folios
from memsim.mm.swap import PAGEVEC_SIZE, folio_put_testzero
from memsim.mm.vmscan.scan_control import ScanControl, current_is_kswapd
from memsim.mm.workingset import workingset_age_nonresident
from memsim.trace.vmscan_events import MM_VMSCAN_LRU_ISOLATE, TP_VMSCAN, emit
from memsim.words.gfp import __GFP_FS, __GFP_IO
from memsim.words.page_flags import LRU_INACTIVE_ANON, NR_ISOLATED_ANON, PG_active


def isolate_lru_folios(
    vm: Vm, nr_to_scan: int, lruvec: Lruvec, sc: ScanControl, lru: int
) -> tuple[list[int], int]:
    """(folios off the tail of a list, pages scanned); those of higher zones go to its head.

    NOT MODELLED: folios that somebody else is about to free or to isolate.
    Kernel: mm/vmscan.c isolate_lru_folios()
    """
    folios, head, pgdat = vm.folios, lruvec.lists[lru], lruvec.pgdat
    taken: list[int] = []
    skipped: list[int] = []
    nr_taken = [0] * len(pgdat.node_zones)
    scan = nr_skipped = 0
    while scan < nr_to_scan and vm.next[head] != head:
        folio = vm.prev[head]
        nr_pages, zone = folio_nr_pages(vm, folio), folio_zone(vm, folio)
        if zone.idx > sc.reclaim_idx:
            nr_skipped += nr_pages
            unlink_folio(vm, pgdat, lru, folio)
            skipped.append(folio)
            continue
        scan += nr_pages
        if not sc.may_unmap and folios.mapcount[folio]:
            list_move(vm, pgdat, lru, folio)
            continue
        folio_get(folios, folio)
        folio_test_clear_lru(vm, folio)
        unlink_folio(vm, pgdat, lru, folio)
        taken.append(folio)
        nr_taken[zone.idx] += nr_pages
    for folio in skipped:
        link_folio(vm, pgdat, lru, folio, tail=False)
    if vm.trace.mask & TP_VMSCAN:
        counts = (nr_to_scan, scan + nr_skipped, nr_skipped, sum(nr_taken))
        emit(vm.trace, MM_VMSCAN_LRU_ISOLATE, sc.reclaim_idx, sc.order, *counts, lru)
    for zone, nr_pages in zip(pgdat.node_zones, nr_taken, strict=True):
        if nr_pages:
            update_lru_size(vm, lruvec, zone, lru, -nr_pages)
    return taken, scan + nr_skipped


def too_many_isolated(vm: Vm, pgdat: PglistData, file: bool, sc: ScanControl) -> bool:
    """Have direct reclaimers more of a kind isolated than is left on its inactive list?

    Kernel: mm/vmscan.c too_many_isolated()
    """
    if current_is_kswapd(vm):
        return False
    inactive = pgdat.vm_stat[LRU_INACTIVE_ANON + 2 * file]
    if (sc.gfp_mask & (__GFP_IO | __GFP_FS)) == (__GFP_IO | __GFP_FS):
        inactive >>= 3
    return pgdat.vm_stat[NR_ISOLATED_ANON + file] > inactive


def move_folios_to_lru(vm: Vm, lruvec: Lruvec, isolated: list[int]) -> int:
    """Put isolated folios at the heads of the lists they belong on: pages that were moved.

    Those that nobody else held any longer are freed. Kernel: mm/vmscan.c move_folios_to_lru()
    """
    nr_moved = 0
    free: list[tuple[int, int]] = []
    for folio in isolated:
        folio_set_lru(vm, folio)
        if folio_put_testzero(vm, folio):
            clear_lru_flags(vm, folio)
            batch_free(vm, free, folio)
            continue
        lruvec_add_folio(vm, folio)
        nr_pages = folio_nr_pages(vm, folio)
        nr_moved += nr_pages
        if vm.folios.flags[folio] & PG_active:
            workingset_age_nonresident(vm, lruvec, nr_pages)
    flush_free(vm, free)
    return nr_moved


def batch_free(vm: Vm, free: list[tuple[int, int]], folio: int) -> None:
    """A folio without references joins a batch of those to free; a full one is freed."""
    clear_words(vm.folios, folio)
    free.append((folio, vm.page_state[folio] & PG_ORDER))
    if len(free) == PAGEVEC_SIZE:
        flush_free(vm, free)


def flush_free(vm: Vm, free: list[tuple[int, int]]) -> None:
    """Free a batch, and begin another. Kernel: mm/page_alloc.c free_unref_folios()."""
    if free:
        mem_cgroup_uncharge_folios(vm, free)
        free_unref_folios(vm, free)
        free.clear()
