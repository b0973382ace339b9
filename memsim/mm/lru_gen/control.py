"""The PID controller: which kind, and which tiers, refault too often to be evicted.

Of its terms there are P, refaulted / (evicted + protected) of the oldest generation, and I, the
average over those before it.

Kernel: mm/vmscan.c read_ctrl_pos(), reset_ctrl_pos(), positive_ctrl_err(), get_tier_idx(),
get_type_to_scan()
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.mm.folio import Lruvec, set_lrugen
from memsim.mm.lru_gen.state import (
    AVG_REFAULTED,
    AVG_TOTAL,
    EVICTED,
    PROTECTED,
    REFAULTED,
    LruGenFolio,
)
from memsim.mm.mmzone import Vm
from memsim.words.lru_gen import LRU_GEN_ANON, LRU_GEN_FILE, MAX_NR_TIERS, MIN_LRU_BATCH

MAX_SWAPPINESS = 200


class CtrlPos(NamedTuple):
    """struct ctrl_pos: pages that came back, of how many that went or were spared; their weight."""

    refaulted: int
    total: int
    gain: int


def read_ctrl_pos(lrugen: LruGenFolio, type: int, tier: int, gain: int) -> CtrlPos:
    """A tier's. Kernel: mm/vmscan.c read_ctrl_pos()."""
    refaulted = sum(lrugen.of_tier(array, type, tier) for array in (AVG_REFAULTED, REFAULTED))
    total = sum(lrugen.of_tier(array, type, tier) for array in (AVG_TOTAL, EVICTED, PROTECTED))
    return CtrlPos(refaulted, total, gain)


def reset_ctrl_pos(vm: Vm, lruvec: Lruvec, type: int) -> None:
    """The oldest generation is empty: its numbers go into the averages, by half.

    Kernel: mm/vmscan.c reset_ctrl_pos() with carryover
    """
    for tier in range(MAX_NR_TIERS):
        pos = read_ctrl_pos(lruvec.lrugen, type, tier, 0)
        place = type * MAX_NR_TIERS + tier
        set_lrugen(vm, lruvec, AVG_REFAULTED + place, pos.refaulted // 2)
        set_lrugen(vm, lruvec, AVG_TOTAL + place, pos.total // 2)
        for array in (REFAULTED, EVICTED, PROTECTED):
            set_lrugen(vm, lruvec, array + place, 0)


def positive_ctrl_err(sp: CtrlPos, pv: CtrlPos) -> bool:
    """Has pv few refaults, or a smaller share than sp? Kernel: mm/vmscan.c positive_ctrl_err()."""
    if pv.refaulted < MIN_LRU_BATCH:
        return True
    limit = (sp.refaulted + 1) * pv.total * pv.gain
    return pv.refaulted * (sp.total + MIN_LRU_BATCH) * sp.gain <= limit


def _last_tier(lrugen: LruGenFolio, type: int, gain: int, sp: CtrlPos) -> int:
    """The last tier that refaults no more than sp: those above it are protected."""
    for tier in range(1, MAX_NR_TIERS):
        if not positive_ctrl_err(sp, read_ctrl_pos(lrugen, type, tier, gain)):
            return tier - 1
    return MAX_NR_TIERS - 1


def get_tier_idx(lrugen: LruGenFolio, type: int) -> int:
    """The last tier of a kind that may go. Kernel: mm/vmscan.c get_tier_idx()."""
    return _last_tier(lrugen, type, 2, read_ctrl_pos(lrugen, type, 0, 1))


def get_type_to_scan(lrugen: LruGenFolio, swappiness: int) -> tuple[int, int]:
    """(the kind whose first tier refaults less, its last tier that may go).

    Kernel: mm/vmscan.c get_type_to_scan()
    """
    gain = swappiness, MAX_SWAPPINESS - swappiness
    first = [read_ctrl_pos(lrugen, type, 0, gain[type]) for type in (LRU_GEN_ANON, LRU_GEN_FILE)]
    type = int(positive_ctrl_err(first[LRU_GEN_ANON], first[LRU_GEN_FILE]))
    return type, _last_tier(lrugen, type, gain[type], first[1 - type])
