"""The aging: a younger generation begins, and the oldest ends when it is empty.

Kernel: mm/vmscan.c inc_min_seq(), try_to_inc_min_seq(), inc_max_seq(), try_to_inc_max_seq()
"""

from __future__ import annotations

from memsim.mm.folio import Lruvec, set_lrugen
from memsim.mm.lru_gen.control import reset_ctrl_pos
from memsim.mm.lru_gen.promote import MmWalk, folio_inc_gen
from memsim.mm.lru_gen.state import MAX_SEQ, MIN_SEQ
from memsim.mm.lru_gen.walk import walk_mm
from memsim.mm.mm_inline import link_folio, unlink_folio, update_lru_size
from memsim.mm.mmzone import Vm
from memsim.mm.vmscan.scan_control import ScanControl
from memsim.words.lru_gen import (
    ANON_AND_FILE,
    LRU_GEN_ANON,
    LRU_GEN_FILE,
    MAX_NR_GENS,
    MIN_NR_GENS,
    lru_gen_from_seq,
    lru_gen_list,
)
from memsim.words.page_flags import LRU_ACTIVE, LRU_FILE


def get_nr_gens(lruvec: Lruvec, type: int) -> int:
    """Generations of a kind, from the oldest to the youngest. Kernel: mm/vmscan.c get_nr_gens()."""
    return lruvec.lrugen.max_seq - lruvec.lrugen.min_seq(type) + 1


def move_to_gen(vm: Vm, lruvec: Lruvec, folio: int, lists: tuple[int, int], tail: bool) -> None:
    """From one list to another, by their numbers."""
    unlink_folio(vm, lruvec.pgdat, lists[0], folio)
    link_folio(vm, lruvec.pgdat, lists[1], folio, tail)


def inc_min_seq(vm: Vm, lruvec: Lruvec, type: int, can_swap: bool) -> None:
    """The oldest generation joins the next, so that a younger one can begin.

    Anonymous folios that cannot be swapped stay, and are of the youngest then.
    Kernel: mm/vmscan.c inc_min_seq()
    """
    min_seq = lruvec.lrugen.min_seq(type)
    if type != LRU_GEN_ANON or can_swap:
        for zone in range(len(lruvec.pgdat.node_zones)):
            old = lru_gen_list(lru_gen_from_seq(min_seq), type, zone)
            head = lruvec.lists[old]
            while vm.prev[head] != head:
                folio = vm.prev[head]
                gen = folio_inc_gen(vm, lruvec, folio, False)
                move_to_gen(vm, lruvec, folio, (old, lru_gen_list(gen, type, zone)), True)
    _set_min_seq(vm, lruvec, type, min_seq + 1)


def _set_min_seq(vm: Vm, lruvec: Lruvec, type: int, min_seq: int) -> None:
    reset_ctrl_pos(vm, lruvec, type)
    set_lrugen(vm, lruvec, MIN_SEQ + type, min_seq)


def try_to_inc_min_seq(vm: Vm, lruvec: Lruvec, can_swap: bool) -> bool:
    """Empty generations at the old end go; did one? Those of files go first or along.

    Kernel: mm/vmscan.c try_to_inc_min_seq()
    """
    lrugen = lruvec.lrugen
    had = [lrugen.min_seq(LRU_GEN_ANON), lrugen.min_seq(LRU_GEN_FILE)]
    min_seq = list(had)
    types = range(0 if can_swap else LRU_GEN_FILE, ANON_AND_FILE)
    for type in types:
        while min_seq[type] + MIN_NR_GENS <= lrugen.max_seq:
            if _has_folios(vm, lruvec, lru_gen_from_seq(min_seq[type]), type):
                break
            min_seq[type] += 1
    if can_swap:
        min_seq[LRU_GEN_ANON] = min(min_seq)
        min_seq[LRU_GEN_FILE] = max(min_seq[LRU_GEN_ANON], had[LRU_GEN_FILE])
    for type in types:
        if min_seq[type] != had[type]:
            _set_min_seq(vm, lruvec, type, min_seq[type])
    return min_seq != had


def _has_folios(vm: Vm, lruvec: Lruvec, gen: int, type: int) -> bool:
    zones = range(len(lruvec.pgdat.node_zones))
    heads = [lruvec.lists[lru_gen_list(gen, type, zone)] for zone in zones]
    return any(vm.next[head] != head for head in heads)


def inc_max_seq(vm: Vm, lruvec: Lruvec, can_swap: bool) -> None:
    """A generation begins. The third youngest counts as inactive from then on.

    So may folios of the oldest that could not be swapped, whose index the new one has, count as
    active. Kernel: mm/vmscan.c inc_max_seq()
    """
    for type in (LRU_GEN_FILE, LRU_GEN_ANON):
        if get_nr_gens(lruvec, type) == MAX_NR_GENS:
            inc_min_seq(vm, lruvec, type, can_swap)
    lrugen = lruvec.lrugen
    prev, next = lru_gen_from_seq(lrugen.max_seq - 1), lru_gen_from_seq(lrugen.max_seq + 1)
    for type in range(ANON_AND_FILE):
        for zone in lruvec.pgdat.node_zones:
            delta = lrugen.nr_pages(prev, type, zone.idx) - lrugen.nr_pages(next, type, zone.idx)
            if delta:
                update_lru_size(vm, lruvec, zone, type * LRU_FILE, delta)
                update_lru_size(vm, lruvec, zone, type * LRU_FILE + LRU_ACTIVE, -delta)
    set_lrugen(vm, lruvec, MAX_SEQ, lrugen.max_seq + 1)


def try_to_inc_max_seq(vm: Vm, lruvec: Lruvec, sc: ScanControl, can_swap: bool) -> None:
    """Look at all ptes, then begin a generation.

    It always succeeds: nobody else ages meanwhile. Kernel: mm/vmscan.c try_to_inc_max_seq()
    """
    if sc.mm_walk is None:
        sc.mm_walk = MmWalk()
    walk_mm(vm, lruvec, sc.mm_walk, can_swap)
    inc_max_seq(vm, lruvec, can_swap)
