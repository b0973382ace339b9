"""How many pages of which list: anonymous memory against files, active against inactive.

Kernel: mm/vmscan.c zone_reclaimable_pages() to lruvec_lru_size(), inactive_is_low() to
can_age_anon_pages()
"""

from __future__ import annotations

from math import isqrt

from memsim.mm.folio import Lruvec, lruvec_memcg, lruvec_page_state, mem_cgroup_lruvec
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.memcontrol.swap import mem_cgroup_get_nr_swap_pages
from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.mm.vmscan.scan_control import (
    DEACTIVATE_ANON,
    DEACTIVATE_FILE,
    MAX_SWAPPINESS,
    ScanControl,
    cgroup_reclaim,
)
from memsim.mm.vmstat import high_wmark_pages, zone_page_state, zone_page_state_snapshot
from memsim.words.mmzone import NR_FREE_PAGES, NR_ZONE_LRU_BASE, PAGE_SHIFT
from memsim.words.page_flags import (
    EVICTABLE_LRUS,
    LRU_ACTIVE,
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    NR_LRU_LISTS,
    SWAP_CLUSTER_MAX,
    WORKINGSET_ACTIVATE_BASE,
)

SCAN_EQUAL, SCAN_FRACT, SCAN_ANON, SCAN_FILE = range(4)


def can_reclaim_anon_pages(vm: Vm, memcg: MemCgroup | None = None) -> bool:
    """Is there room in swap, for a memcg or at all?

    Kernel: mm/vmscan.c can_reclaim_anon_pages()
    """
    return mem_cgroup_get_nr_swap_pages(vm, memcg) > 0


def can_age_anon_pages(vm: Vm) -> bool:
    """Is there a swap device at all, full or not? Kernel: mm/vmscan.c can_age_anon_pages()."""
    return vm.folios.swap.total_swap_pages > 0


def zone_reclaimable_pages(zone: Zone) -> int:
    """Pages of the zone that could be freed; where there are none, its free ones.

    Kernel: mm/vmscan.c zone_reclaimable_pages()
    """
    lrus = [LRU_INACTIVE_FILE, LRU_ACTIVE_FILE]
    if can_reclaim_anon_pages(zone.vm):
        lrus += [LRU_INACTIVE_ANON, LRU_ACTIVE_ANON]
    nr = sum(zone_page_state_snapshot(zone, NR_ZONE_LRU_BASE + lru) for lru in lrus)
    return nr or zone_page_state_snapshot(zone, NR_FREE_PAGES)


def lruvec_lru_size(lruvec: Lruvec, lru: int, zone_idx: int) -> int:
    """Pages of a list that lie in zones up to zone_idx. Kernel: mm/vmscan.c lruvec_lru_size()."""
    zones = lruvec.pgdat.node_zones[: zone_idx + 1]
    return sum(mem_cgroup_get_zone_lru_size(lruvec, lru, z) for z in zones if z.managed_pages)


def mem_cgroup_get_zone_lru_size(lruvec: Lruvec, lru: int, zone: Zone) -> int:
    """Pages of a list that lie in a zone; of the root's what the others do not have.

    Kernel: include/linux/memcontrol.h mem_cgroup_get_zone_lru_size()
    """
    groups, item = zone.vm.folios.memcgs.groups, zone.idx * NR_LRU_LISTS + lru
    if lruvec.memcg:
        return groups[lruvec.memcg].lru_zone_size[zone.node][item]
    others = sum(memcg.lru_zone_size[zone.node][item] for memcg in groups.values())
    return zone.vm_stat[NR_ZONE_LRU_BASE + lru] - others


def inactive_is_low(lruvec: Lruvec, inactive_lru: int) -> bool:
    """Is the inactive list smaller than the active one allows: 1:1, or 1:isqrt(10 GiB of both)?

    Kernel: mm/vmscan.c inactive_is_low()
    """
    inactive = lruvec_page_state(lruvec, inactive_lru)
    active = lruvec_page_state(lruvec, inactive_lru + LRU_ACTIVE)
    gb = (inactive + active) >> (30 - PAGE_SHIFT)
    inactive_ratio = isqrt(10 * gb) if gb else 1
    return inactive * inactive_ratio < active


def prepare_scan_control(pgdat: PglistData, sc: ScanControl) -> None:
    """What the balance stands on, taken once for a pass over the node.

    Kernel: mm/vmscan.c prepare_scan_control()
    """
    lruvec = mem_cgroup_lruvec(sc.target_mem_cgroup, pgdat)
    sc.anon_cost, sc.file_cost = lruvec.anon_cost, lruvec.file_cost
    _may_deactivate(lruvec, sc)
    file = lruvec_page_state(lruvec, LRU_INACTIVE_FILE)
    trims = file >> sc.priority and not sc.may_deactivate & DEACTIVATE_FILE
    sc.cache_trim_mode = bool(trims and not sc.no_cache_trim_mode)
    if not cgroup_reclaim(sc):
        sc.file_is_tiny = _file_is_tiny(pgdat, sc)


def _file_is_tiny(pgdat: PglistData, sc: ScanControl) -> bool:
    """Do files and free pages together not reach high, while there is anonymous memory to take?"""
    zones = [zone for zone in pgdat.node_zones if zone.managed_pages]
    free = sum(zone_page_state(zone, NR_FREE_PAGES) for zone in pgdat.node_zones)
    file = pgdat.vm_stat[LRU_INACTIVE_FILE] + pgdat.vm_stat[LRU_ACTIVE_FILE]
    return (
        file + free <= sum(high_wmark_pages(zone) for zone in zones)
        and not sc.may_deactivate & DEACTIVATE_ANON
        and pgdat.vm_stat[LRU_INACTIVE_ANON] >> sc.priority > 0
    )


def _may_deactivate(lruvec: Lruvec, sc: ScanControl) -> None:
    """Active folios may be deactivated where refaults show a new working set, or too few are not.

    NOT MODELLED: that counters of memcgs lag (mem_cgroup_flush_stats_ratelimited()).
    """
    if sc.force_deactivate:
        sc.may_deactivate = DEACTIVATE_ANON | DEACTIVATE_FILE
        return
    seen = lruvec.refaults_anon, lruvec.refaults_file
    lrus = LRU_INACTIVE_ANON, LRU_INACTIVE_FILE
    for file, bit in enumerate((DEACTIVATE_ANON, DEACTIVATE_FILE)):
        refaults = lruvec_page_state(lruvec, WORKINGSET_ACTIVATE_BASE + file)
        if refaults != seen[file] or inactive_is_low(lruvec, lrus[file]):
            sc.may_deactivate |= bit
        else:
            sc.may_deactivate &= ~bit


def scan_balance(vm: Vm, sc: ScanControl, swappiness: int, memcg: MemCgroup | None = None) -> int:
    """Which kind is scanned: SCAN_FILE without swap, SCAN_EQUAL at the end, and so on.

    Kernel: mm/vmscan.c get_scan_count(), its first half
    """
    if not sc.may_swap or not can_reclaim_anon_pages(vm, memcg):
        return SCAN_FILE
    if cgroup_reclaim(sc) and not swappiness:
        return SCAN_FILE
    if not sc.priority and swappiness:
        return SCAN_EQUAL
    if sc.file_is_tiny:
        return SCAN_ANON
    return SCAN_FILE if sc.cache_trim_mode else SCAN_FRACT


def scan_fractions(sc: ScanControl, swappiness: int) -> tuple[int, int]:
    """(anon, file) shares of the pressure: the dearer a kind was lately, the smaller its share.

    A third of it is never taken away, before swappiness. Kernel: mm/vmscan.c get_scan_count()
    """
    total_cost = sc.anon_cost + sc.file_cost
    anon_cost, file_cost = total_cost + sc.anon_cost, total_cost + sc.file_cost
    total_cost = anon_cost + file_cost
    ap = swappiness * (total_cost + 1) // (anon_cost + 1)
    fp = (MAX_SWAPPINESS - swappiness) * (total_cost + 1) // (file_cost + 1)
    return ap, fp


def unprotected(lruvec_size: int, memcg: MemCgroup | None, sc: ScanControl) -> int:
    """A list's size without the share that memory.min or memory.low protects.

    The larger the part of the memcg's memory that is protected, the less is scanned of it.
    Kernel: mm/vmscan.c get_scan_count(), include/linux/memcontrol.h mem_cgroup_protection()
    """
    if memcg is None or memcg is sc.target_mem_cgroup:
        return lruvec_size
    low, protection = memcg.memory.low, memcg.memory.min
    if not low and not protection:
        return lruvec_size
    if not sc.memcg_low_reclaim and low > protection:
        protection = low
        sc.memcg_low_skipped = True
    cgroup_size = max(memcg.memory.usage, protection)
    return max(lruvec_size - lruvec_size * protection // (cgroup_size + 1), SWAP_CLUSTER_MAX)


def get_scan_count(vm: Vm, lruvec: Lruvec, sc: ScanControl) -> list[int]:
    """Pages to scan of each list. Kernel: mm/vmscan.c get_scan_count()."""
    swappiness, memcg = vm.folios.swappiness, lruvec_memcg(vm, lruvec)
    balance = scan_balance(vm, sc, swappiness, memcg)
    fraction = scan_fractions(sc, swappiness) if balance == SCAN_FRACT else (1, 1)
    denominator = sum(fraction)
    nr = []
    for lru in EVICTABLE_LRUS:
        file = int(lru >= LRU_FILE)
        size = lruvec_lru_size(lruvec, lru, sc.reclaim_idx)
        scan = unprotected(size, memcg, sc) >> sc.priority
        if balance == SCAN_FRACT:
            scan = scan * fraction[file] // denominator
        elif balance != SCAN_EQUAL and (balance == SCAN_FILE) != (file == 1):
            scan = 0
        nr.append(scan)
    return nr
