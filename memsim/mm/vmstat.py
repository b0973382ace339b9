"""Zone counters: what is added at once, what waits per CPU, and the fragmentation indexes.

Each CPU collects a zone's changes in vm_stat_diff and adds them to the zone's counter when they
pass stat_threshold: between two additions the counter drifts from the truth.

NOT MODELLED: counters of nodes (NR_SLAB_RECLAIMABLE_B), and events (PGALLOC, PGFREE).

Kernel: mm/vmstat.c
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.lib.bits import fls
from memsim.mm.mmzone import PglistData, Vm, Zone, populated_zones
from memsim.words.mmzone import (
    MAX_PAGE_ORDER,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
    NR_PAGE_ORDERS,
    NUMA_FOREIGN,
    NUMA_HIT,
    NUMA_LOCAL,
    NUMA_MISS,
    NUMA_OTHER,
    PAGE_SHIFT,
    WMARK_HIGH,
    WMARK_LOW,
    WMARK_MIN,
)

_MAX_THRESHOLD = 125
#: Rounds of the vmstat worker until an idle pcp of another node's zone is drained.
PCP_EXPIRE = 3


def zone_page_state(zone: Zone, item: int) -> int:
    """The zone's counter as everybody reads it: without drift, and never below 0.

    Kernel: include/linux/vmstat.h zone_page_state()
    """
    x = zone.vm_stat[item]
    return x if x > 0 else 0


def zone_page_state_snapshot(zone: Zone, item: int) -> int:
    """The zone's counter with every CPU's drift added: exact.

    Kernel: include/linux/vmstat.h zone_page_state_snapshot()
    """
    drift = sum(pzstats.vm_stat_diff[item] for pzstats in zone.per_cpu_zonestats)
    return max(zone.vm_stat[item] + drift, 0)


def _mod_zone_page_state(zone: Zone, item: int, delta: int) -> None:
    """Add delta to a counter, on this CPU first.

    Kernel: mm/vmstat.c __mod_zone_page_state()
    """
    pzstats = zone.per_cpu_zonestats[zone.vm.cpu]
    x = delta + pzstats.vm_stat_diff[item]
    if abs(x) > pzstats.stat_threshold:
        zone.vm_stat[item] += x
        x = 0
    pzstats.vm_stat_diff[item] = x


def fold_zone_diffs(zone: Zone, cpu: int) -> None:
    """Add what that CPU collected to the zone's counters; pcp->expire starts when there was any.

    Kernel: mm/vmstat.c refresh_cpu_vm_stats(), its loop over items. NOT MODELLED: counters that
    the page allocator does not own.
    """
    diff = zone.per_cpu_zonestats[cpu].vm_stat_diff
    for item in (NR_FREE_PAGES, NR_FREE_CMA_PAGES):
        if diff[item]:
            zone.vm_stat[item] += diff[item]
            diff[item] = 0
            zone.per_cpu_pageset[cpu].expire = PCP_EXPIRE


def zone_statistics(preferred_zone: Zone, zone: Zone, nr_account: int) -> None:
    """Count nr_account requests: from the preferred node or not, from the CPU's own or not.

    NOT MODELLED: that each CPU counts by itself until somebody reads.
    Kernel: mm/page_alloc.c zone_statistics()
    """
    local = zone.node == zone.vm.cpu_to_node[zone.vm.cpu]
    zone.vm_numa_event[NUMA_LOCAL if local else NUMA_OTHER] += nr_account
    if zone.node == preferred_zone.node:
        zone.vm_numa_event[NUMA_HIT] += nr_account
    else:
        zone.vm_numa_event[NUMA_MISS] += nr_account
        preferred_zone.vm_numa_event[NUMA_FOREIGN] += nr_account


def calculate_pressure_threshold(zone: Zone) -> int:
    """stat_threshold while kswapd runs: so small that drift cannot hide a breach of min.

    Kernel: mm/vmstat.c calculate_pressure_threshold()
    """
    watermark_distance = low_wmark_pages(zone) - min_wmark_pages(zone)
    return min(_MAX_THRESHOLD, max(1, watermark_distance // zone.vm.nr_cpus))


def calculate_normal_threshold(zone: Zone) -> int:
    """stat_threshold by zone size and number of CPUs.

    Kernel: mm/vmstat.c calculate_normal_threshold()
    """
    mem = zone.managed_pages >> (27 - PAGE_SHIFT)
    return min(_MAX_THRESHOLD, 2 * fls(zone.vm.nr_cpus) * (1 + fls(mem)))


def refresh_zone_stat_thresholds(vm: Vm) -> None:
    """Set every CPU's stat_threshold, and percpu_drift_mark where drift could breach min.

    Kernel: mm/vmstat.c refresh_zone_stat_thresholds()
    """
    for zone in populated_zones(vm):
        threshold = calculate_normal_threshold(zone)
        for pzstats in zone.per_cpu_zonestats:
            pzstats.stat_threshold = threshold
        tolerate_drift = low_wmark_pages(zone) - min_wmark_pages(zone)
        max_drift = vm.nr_cpus * threshold
        if max_drift > tolerate_drift:
            zone.percpu_drift_mark = high_wmark_pages(zone) + max_drift


def set_pgdat_percpu_threshold(pgdat: PglistData, *, pressure: bool) -> None:
    """Switch a node's zones between the normal and the pressure threshold.

    Only zones with a percpu_drift_mark take part. Kernel: mm/vmstat.c set_pgdat_percpu_threshold()
    """
    calculate = calculate_pressure_threshold if pressure else calculate_normal_threshold
    for zone in pgdat.node_zones:
        if not zone.percpu_drift_mark:
            continue
        threshold = calculate(zone)
        for pzstats in zone.per_cpu_zonestats:
            pzstats.stat_threshold = threshold


def wmark_pages(zone: Zone, wmark: int) -> int:
    """A watermark with the boost, in pages. Kernel: include/linux/mmzone.h wmark_pages()."""
    return zone._watermark[wmark] + zone.watermark_boost


def min_wmark_pages(zone: Zone) -> int:
    """The min watermark with the boost, in pages. Kernel: min_wmark_pages()."""
    return zone._watermark[WMARK_MIN] + zone.watermark_boost


def low_wmark_pages(zone: Zone) -> int:
    """The low watermark with the boost, in pages. Kernel: low_wmark_pages()."""
    return zone._watermark[WMARK_LOW] + zone.watermark_boost


def high_wmark_pages(zone: Zone) -> int:
    """The high watermark with the boost, in pages. Kernel: high_wmark_pages()."""
    return zone._watermark[WMARK_HIGH] + zone.watermark_boost


class ContigPageInfo(NamedTuple):
    """struct contig_page_info: free pages, free blocks, and blocks of the wanted order in them."""

    free_pages: int
    free_blocks_total: int
    free_blocks_suitable: int


def contig_page_info(nr_free: list[int], suitable_order: int) -> ContigPageInfo:
    """Counts from the number of free blocks of each order, as buddyinfo prints them.

    Kernel: mm/vmstat.c fill_contig_page_info()
    """
    free_pages = sum(blocks << order for order, blocks in enumerate(nr_free))
    suitable = sum(
        blocks << (order - suitable_order)
        for order, blocks in enumerate(nr_free)
        if order >= suitable_order
    )
    return ContigPageInfo(free_pages, sum(nr_free), suitable)


def nr_free_by_order(zone: Zone) -> list[int]:
    """Free blocks of each order, as /proc/buddyinfo counts them."""
    return [zone.free_area[order].nr_free for order in range(NR_PAGE_ORDERS)]


def _fragmentation_index(order: int, info: ContigPageInfo) -> int:
    """Why a request would fail, times 1000: towards 0 lack of memory, towards 1000 fragmentation.

    -1000 when it would not fail; 0 also when nothing is free.
    Kernel: mm/vmstat.c __fragmentation_index()
    """
    if order > MAX_PAGE_ORDER or not info.free_blocks_total:
        return 0
    if info.free_blocks_suitable:
        return -1000
    requested = 1 << order
    return 1000 - (1000 + info.free_pages * 1000 // requested) // info.free_blocks_total


def extfrag_index(zone: Zone, order: int) -> int:
    """_fragmentation_index() of the zone. Kernel: mm/vmstat.c fragmentation_index()."""
    return _fragmentation_index(order, contig_page_info(nr_free_by_order(zone), order))


def extfrag_for_order(zone: Zone, order: int) -> int:
    """Percent of the zone's free memory in blocks too small for this order; 0 if none is free.

    Kernel: mm/vmstat.c extfrag_for_order()
    """
    info = contig_page_info(nr_free_by_order(zone), order)
    if not info.free_pages:
        return 0
    return (info.free_pages - (info.free_blocks_suitable << order)) * 100 // info.free_pages


def unusable_index(zone: Zone, order: int) -> int:
    """_unusable_free_index() of the zone. Kernel: mm/vmstat.c unusable_show_print()."""
    return _unusable_free_index(order, contig_page_info(nr_free_by_order(zone), order))


def _unusable_free_index(order: int, info: ContigPageInfo) -> int:
    """Share of free memory in blocks too small for this order, times 1000; 1000 if none is free.

    Kernel: mm/vmstat.c unusable_free_index()
    """
    if not info.free_pages:
        return 1000
    return (info.free_pages - (info.free_blocks_suitable << order)) * 1000 // info.free_pages
