"""Folios of the oldest generation are sorted: some move on, a batch is taken off to be evicted.

A list of isolated folios has the one that was isolated first in front.

Kernel: mm/vmscan.c sort_folio(), isolate_folio(), scan_folios(), isolate_folios()
"""

from __future__ import annotations

from memsim.mm.folio import (
    Lruvec,
    folio_clear_flags,
    folio_get,
    folio_nr_pages,
    set_lrugen,
)
from memsim.mm.lru_gen.aging import get_nr_gens, move_to_gen
from memsim.mm.lru_gen.control import MAX_SWAPPINESS, get_tier_idx, get_type_to_scan
from memsim.mm.lru_gen.flags import (
    folio_clear_lru_refs,
    folio_lru_gen,
    folio_lru_refs,
    lru_tier_from_refs,
)
from memsim.mm.lru_gen.promote import folio_inc_gen
from memsim.mm.lru_gen.state import PROTECTED
from memsim.mm.mm_inline import (
    folio_is_file_lru,
    folio_test_clear_lru,
    link_folio,
    lru_gen_del_folio,
    unlink_folio,
)
from memsim.mm.mmzone import Vm
from memsim.mm.rmap import folio_test_anon
from memsim.mm.vmscan.scan_control import ScanControl
from memsim.trace.vmscan_events import MM_VMSCAN_LRU_ISOLATE, TP_VMSCAN, emit
from memsim.words.gfp import __GFP_IO
from memsim.words.lru_gen import (
    LRU_GEN_ANON,
    LRU_GEN_FILE,
    LRU_REFS_WIDTH,
    MAX_LRU_BATCH,
    MAX_NR_TIERS,
    MIN_LRU_BATCH,
    MIN_NR_GENS,
    lru_gen_from_seq,
    lru_gen_list,
)
from memsim.words.page_flags import LRU_FILE, PG_dirty, PG_referenced, PG_swapcache


class Scan:
    """One scan_folios(): what of which list, and what it has found, in pages."""

    __slots__ = (
        "isolated", "list", "lruvec", "remaining", "sc", "scanned", "skipped", "tier", "type",
    )  # fmt: skip

    def __init__(self, lruvec: Lruvec, sc: ScanControl, type: int, tier: int) -> None:
        self.lruvec, self.sc = lruvec, sc
        self.type, self.tier = type, tier
        self.list: list[int] = []
        self.scanned = self.isolated = self.skipped = 0
        self.remaining = MAX_LRU_BATCH


def sort_folio(vm: Vm, scan: Scan, folio: int, zone: int) -> bool:
    """Does it move to a younger list: promoted, of a tier to protect, or of too high a zone?

    NOT MODELLED: folio_evictable(). Kernel: mm/vmscan.c sort_folio()
    """
    lruvec, type = scan.lruvec, scan.type
    oldest, gen = lru_gen_from_seq(lruvec.lrugen.min_seq(type)), folio_lru_gen(vm.folios, folio)
    old = lru_gen_list(oldest, type, zone)
    if gen != oldest:
        move_to_gen(vm, lruvec, folio, (old, lru_gen_list(gen, type, zone)), False)
        return True
    refs = folio_lru_refs(vm.folios, folio)
    tier = lru_tier_from_refs(refs)
    protect = tier > scan.tier or refs == 1 << LRU_REFS_WIDTH
    if not protect and zone <= scan.sc.reclaim_idx:
        return False
    gen = folio_inc_gen(vm, lruvec, folio, False)
    move_to_gen(vm, lruvec, folio, (old, lru_gen_list(gen, type, zone)), True)
    if protect:
        place = PROTECTED + type * MAX_NR_TIERS + tier
        protected = lruvec.lrugen.numbers[place] + folio_nr_pages(vm, folio)
        set_lrugen(vm, lruvec, place, protected)
    return True


def isolate_folio(vm: Vm, folio: int, sc: ScanControl) -> bool:
    """Take a folio off its list and hold it; False where it could not be written out.

    NOT MODELLED: folios that somebody else is about to free or to isolate.
    Kernel: mm/vmscan.c isolate_folio()
    """
    folios = vm.folios
    flags = folios.flags[folio]
    if not sc.gfp_mask & __GFP_IO:
        dirty_anon = flags & PG_dirty and not folio_is_file_lru(vm, folio)
        if dirty_anon or (folio_test_anon(vm, folio) and not flags & PG_swapcache):
            return False
    folio_get(folios, folio)
    folio_test_clear_lru(vm, folio)
    if not flags & PG_referenced:
        folio_clear_lru_refs(folios, folio)
    folio_clear_flags(folios, folio, PG_referenced)
    lru_gen_del_folio(vm, folio, True)
    return True


def scan_folios(vm: Vm, scan: Scan) -> int:
    """Take a batch off the oldest generation's tails: pages looked at, 0 when that is no use.

    Kernel: mm/vmscan.c scan_folios()
    """
    lruvec, sc, type = scan.lruvec, scan.sc, scan.type
    if get_nr_gens(lruvec, type) == MIN_NR_GENS:
        return 0
    nr_zones = len(lruvec.pgdat.node_zones)
    for i in range(nr_zones, 0, -1):
        _scan_zone(vm, scan, (sc.reclaim_idx + i) % nr_zones)
        if not scan.remaining or scan.isolated >= MIN_LRU_BATCH:
            break
    if vm.trace.mask & TP_VMSCAN:
        counts = MAX_LRU_BATCH, scan.scanned, scan.skipped, scan.isolated
        emit(vm.trace, MM_VMSCAN_LRU_ISOLATE, sc.reclaim_idx, sc.order, *counts, type * LRU_FILE)
    if type == LRU_GEN_FILE:
        sc.file_taken += scan.isolated
    return scan.scanned if scan.isolated or not scan.remaining else 0


def _scan_zone(vm: Vm, scan: Scan, zone: int) -> None:
    """Of one zone's list; folios that could not be isolated go to its head."""
    lruvec = scan.lruvec
    lru = lru_gen_list(lru_gen_from_seq(lruvec.lrugen.min_seq(scan.type)), scan.type, zone)
    head = lruvec.lists[lru]
    skipped, skipped_zone = [], 0
    while vm.prev[head] != head:
        folio = vm.prev[head]
        delta = folio_nr_pages(vm, folio)
        scan.scanned += delta
        if not sort_folio(vm, scan, folio, zone):
            if isolate_folio(vm, folio, scan.sc):
                scan.list.append(folio)
                scan.isolated += delta
            else:
                unlink_folio(vm, lruvec.pgdat, lru, folio)
                skipped.append(folio)
                skipped_zone += delta
        scan.remaining -= 1
        if not scan.remaining or max(scan.isolated, skipped_zone) >= MIN_LRU_BATCH:
            break
    for folio in skipped:
        link_folio(vm, lruvec.pgdat, lru, folio, tail=False)
    scan.skipped += skipped_zone


def isolate_folios(vm: Vm, lruvec: Lruvec, sc: ScanControl, swappiness: int) -> tuple[int, Scan]:
    """(pages looked at, the scan): of the kind that is due, else of the other.

    Kernel: mm/vmscan.c isolate_folios()
    """
    lrugen = lruvec.lrugen
    type, tier = _type_to_scan(lruvec, sc, swappiness)
    scanned = 0
    for _ in range(2 if swappiness else 1):
        if tier < 0:
            tier = get_tier_idx(lrugen, type)
        scan = Scan(lruvec, sc, type, tier)
        scanned = scan_folios(vm, scan)
        if scanned:
            break
        type, tier = 1 - type, -1
    return scanned, scan


def _type_to_scan(lruvec: Lruvec, sc: ScanControl, swappiness: int) -> tuple[int, int]:
    """(kind, last tier to evict or -1): the obvious choice first, then who refaults less."""
    lrugen = lruvec.lrugen
    if not swappiness:
        return LRU_GEN_FILE, -1
    if lrugen.min_seq(LRU_GEN_ANON) < lrugen.min_seq(LRU_GEN_FILE):
        return LRU_GEN_ANON, -1
    if swappiness == MAX_SWAPPINESS:
        return LRU_GEN_ANON, -1
    if swappiness == 1 or not sc.gfp_mask & __GFP_IO:
        return LRU_GEN_FILE, -1
    return get_type_to_scan(lrugen, swappiness)
