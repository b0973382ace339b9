"""The multi-gen LRU is turned on or off while the kernel runs: all folios change lists.

Kernel: mm/vmscan.c lru_gen_change_state(), fill_evictable(), drain_evictable()
"""

from __future__ import annotations

from memsim.mm.folio import Lruvec, lru_gen_enabled, set_lrugen
from memsim.mm.lru_gen.state import ENABLED
from memsim.mm.mm_inline import (
    lru_gen_add_folio,
    lru_gen_del_folio,
    lruvec_add_folio,
    lruvec_del_folio,
)
from memsim.mm.mmzone import Vm
from memsim.words.lru_gen import LRUVEC_LISTS
from memsim.words.page_flags import EVICTABLE_LRUS, NR_LRU_LISTS


def lru_gen_change_state(vm: Vm, enabled: bool) -> None:
    """Write to /sys/kernel/mm/lru_gen/enabled. Kernel: mm/vmscan.c lru_gen_change_state()."""
    if enabled == lru_gen_enabled(vm):
        return
    for pgdat in vm.nodes:
        set_lrugen(vm, pgdat.lruvec, ENABLED, int(enabled))
        if enabled:
            fill_evictable(vm, pgdat.lruvec)
        else:
            drain_evictable(vm, pgdat.lruvec)


def fill_evictable(vm: Vm, lruvec: Lruvec) -> None:
    """From the classic lists to generations. Kernel: mm/vmscan.c fill_evictable()."""
    for lru in EVICTABLE_LRUS:
        head = lruvec.lists[lru]
        while vm.prev[head] != head:
            folio = vm.prev[head]
            lruvec_del_folio(vm, folio)
            lru_gen_add_folio(vm, folio, False)


def drain_evictable(vm: Vm, lruvec: Lruvec) -> None:
    """From generations to the classic lists. Kernel: mm/vmscan.c drain_evictable()."""
    for lru in range(NR_LRU_LISTS, len(LRUVEC_LISTS)):
        head = lruvec.lists[lru]
        while vm.prev[head] != head:
            folio = vm.prev[head]
            lru_gen_del_folio(vm, folio, False)
            lruvec_add_folio(vm, folio)
