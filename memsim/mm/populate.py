"""Fill a zone that has numbers but no pages yet: free blocks, pcp lists, pages in use.

memsim's own: for machines of which only numbers are known, as /proc tells them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from memsim.lib.list import list_insert_after
from memsim.mm.mm_init import smp_init
from memsim.mm.mmzone import PG_BUDDY, Vm, Zone, populated_zones
from memsim.mm.page_alloc.setup import (
    calculate_totalreserve_pages,
    init_per_zone_wmark_min,
    setup_pcp_cacheinfo,
    zone_set_pageset_high_and_batch,
)
from memsim.mm.page_alloc.zonelist import build_all_zonelists
from memsim.words.mmzone import MIGRATE_HIGHATOMIC, NR_FREE_CMA_PAGES, NR_FREE_PAGES


@dataclass
class Contents:
    """What a zone is to hold. Whoever makes it sees to it that the invariants hold.

    `states`: a state byte for each page from zone_start_pfn on, without those of free blocks.
    `free`: (order, migratetype, pfns) in list order. `pcp`: (cpu, migratetype, pfns of order 0).
    `pageblocks`: migratetype by the number of the pageblock.
    """

    states: bytearray
    pageblocks: dict[int, int] = field(default_factory=dict)
    free: list[tuple[int, int, Iterable[int]]] = field(default_factory=list)
    pcp: list[tuple[int, int, list[int]]] = field(default_factory=list)


def populate(zone: Zone, contents: Contents) -> None:
    """Put everything in its place, and count it. Cost: O(pages), O(1) for each block."""
    for block, migratetype in contents.pageblocks.items():
        zone.pageblock[block] = migratetype
    zone.page_state[zone.zone_start_pfn : zone.zone_end_pfn] = contents.states
    for order, migratetype, pfns in contents.free:
        _add_free_blocks(zone, order, migratetype, pfns)
    for cpu, migratetype, pages in contents.pcp:
        pcp = zone.per_cpu_pageset[cpu]
        _add_tail(zone, pcp.lists[migratetype], pages)
        pcp.count += len(pages)


def _add_free_blocks(zone: Zone, order: int, migratetype: int, pfns: Iterable[int]) -> None:
    area = zone.free_area[order]
    pages = list(pfns)
    _add_tail(zone, area.free_list[migratetype], pages)
    for page in pages:
        zone.page_state[page] = PG_BUDDY | order
    area.nr_free += len(pages)
    nr_pages = len(pages) << order
    if migratetype == zone.vm.MIGRATE_ISOLATE:
        return
    zone.vm_stat[NR_FREE_PAGES] += nr_pages
    if migratetype == zone.vm.MIGRATE_CMA:
        zone.vm_stat[NR_FREE_CMA_PAGES] += nr_pages
    elif migratetype == MIGRATE_HIGHATOMIC:
        zone.nr_free_highatomic += nr_pages


def _add_tail(zone: Zone, head: int, pages: list[int]) -> None:
    for page in pages:
        list_insert_after(zone.next, zone.prev, page, zone.prev[head])


def deduce(vm: Vm) -> None:
    """What the kernel computes and nobody told: zonelists, pcp limits, drift marks, reserves.

    What is told stays as it is: watermarks, lowmem_reserve, batch, stat_threshold, and high_min
    and high_max where they are not 0.
    """
    build_all_zonelists(vm)
    _deduce_drift_marks(vm)
    for zone in populated_zones(vm):
        _deduce_pcp_limits(zone)
    setup_pcp_cacheinfo(vm)
    calculate_totalreserve_pages(vm)


def _deduce_drift_marks(vm: Vm) -> None:
    """As at boot: first without watermarks, then with those that min_free_kbytes had then."""
    told = [_Told(zone) for zone in vm.zones]
    min_free_kbytes = vm.min_free_kbytes
    for zone in vm.zones:
        zone._watermark, zone.watermark_boost = [0, 0, 0, 0], 0
    zones = populated_zones(vm)
    smp_init(vm, [(z.zone_start_pfn, z.zone_start_pfn + z.managed_pages) for z in zones])
    init_per_zone_wmark_min(vm)
    vm.min_free_kbytes = min_free_kbytes
    for zone, numbers in zip(vm.zones, told, strict=True):
        numbers.give_back(zone)


class _Told:
    """Numbers of a zone that boot computes too, kept to be given back."""

    def __init__(self, zone: Zone) -> None:
        self.watermark, self.watermark_boost = list(zone._watermark), zone.watermark_boost
        self.lowmem_reserve = list(zone.lowmem_reserve)
        self.pcps = [(pcp.batch, pcp.high_min, pcp.high_max) for pcp in zone.per_cpu_pageset]
        self.thresholds = [pzstats.stat_threshold for pzstats in zone.per_cpu_zonestats]

    def give_back(self, zone: Zone) -> None:
        """Let the zone have them again."""
        zone._watermark, zone.watermark_boost = self.watermark, self.watermark_boost
        zone.lowmem_reserve = self.lowmem_reserve
        for pcp, numbers in zip(zone.per_cpu_pageset, self.pcps, strict=True):
            pcp.batch, pcp.high_min, pcp.high_max = numbers
        for pzstats, threshold in zip(zone.per_cpu_zonestats, self.thresholds, strict=True):
            pzstats.stat_threshold = threshold


def _deduce_pcp_limits(zone: Zone) -> None:
    """By the watermarks without the boost, as they were when the limits were computed."""
    told = [(pcp.batch, pcp.high_min, pcp.high_max) for pcp in zone.per_cpu_pageset]
    boost, zone.watermark_boost = zone.watermark_boost, 0
    zone_set_pageset_high_and_batch(zone)
    zone.watermark_boost = boost
    for pcp, (batch, high_min, high_max) in zip(zone.per_cpu_pageset, told, strict=True):
        pcp.batch = batch
        if high_max:
            pcp.high_min, pcp.high_max = high_min, high_max
