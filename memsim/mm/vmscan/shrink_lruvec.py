"""All lists of a node, batch by batch, in proportion.

Kernel: mm/vmscan.c shrink_lruvec()
"""

from __future__ import annotations

from memsim.mm.folio import Lruvec
from memsim.mm.mmzone import Vm
from memsim.mm.vmscan.balance import can_age_anon_pages, get_scan_count, inactive_is_low
from memsim.mm.vmscan.scan_control import (
    DEF_PRIORITY,
    ScanControl,
    cgroup_reclaim,
    current_is_kswapd,
)
from memsim.mm.vmscan.shrink_list import shrink_active_list, shrink_list
from memsim.words.page_flags import (
    EVICTABLE_LRUS,
    LRU_ACTIVE,
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    SWAP_CLUSTER_MAX,
)

_ANON = 0


def shrink_lruvec(vm: Vm, lruvec: Lruvec, sc: ScanControl) -> None:
    """Scan each list's share, a batch of each in turn, until enough is freed.

    A direct reclaimer's first pass goes on to the end. Kernel: mm/vmscan.c shrink_lruvec()
    """
    nr = get_scan_count(vm, lruvec, sc)
    targets = list(nr)
    direct = not cgroup_reclaim(sc) and not current_is_kswapd(vm)
    whole_pass = direct and sc.priority == DEF_PRIORITY
    nr_reclaimed = 0
    while nr[LRU_INACTIVE_ANON] or nr[LRU_ACTIVE_FILE] or nr[LRU_INACTIVE_FILE]:
        for lru in EVICTABLE_LRUS:
            if nr[lru]:
                nr_to_scan = min(nr[lru], SWAP_CLUSTER_MAX)
                nr[lru] -= nr_to_scan
                nr_reclaimed += shrink_list(vm, lru, nr_to_scan, lruvec, sc)
        if nr_reclaimed < sc.nr_to_reclaim or whole_pass:
            continue
        if not scan_in_proportion(nr, targets):
            break
    sc.nr_reclaimed += nr_reclaimed
    if can_age_anon_pages(vm) and inactive_is_low(lruvec, LRU_INACTIVE_ANON):
        shrink_active_list(vm, SWAP_CLUSTER_MAX, lruvec, sc, LRU_ACTIVE_ANON)


def scan_in_proportion(nr: list[int], targets: list[int]) -> bool:
    """Enough is freed: the kind with less to scan stops, the other goes on to the same percentage.

    False when one has nothing to scan any longer, which ends it all.
    """
    nr_file = nr[LRU_INACTIVE_FILE] + nr[LRU_ACTIVE_FILE]
    nr_anon = nr[LRU_INACTIVE_ANON] + nr[LRU_ACTIVE_ANON]
    if not nr_file or not nr_anon:
        return False
    smaller = _ANON if nr_file > nr_anon else LRU_FILE
    scan_target = targets[smaller] + targets[smaller + LRU_ACTIVE] + 1
    percentage = min(nr_file, nr_anon) * 100 // scan_target
    nr[smaller] = nr[smaller + LRU_ACTIVE] = 0
    other = LRU_FILE - smaller
    for lru in (other, other + LRU_ACTIVE):
        nr_scanned = targets[lru] - nr[lru]
        nr[lru] = targets[lru] * (100 - percentage) // 100
        nr[lru] -= min(nr[lru], nr_scanned)
    return True
