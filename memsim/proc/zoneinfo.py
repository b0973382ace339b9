"""/proc/zoneinfo: the size, the watermarks, the counters and the per-CPU lists of every zone.

Read from any kernel since 4.9, written as 6.12 writes it. What changed in between: zones without
pages are printed (in v4.12), and `protection` moved before the counters with that; 4.9 also had
`node_scanned` and `node_inactive_ratio`; `cma`, `boost` and `promo` came later, and pcps got
`high_min` and `high_max` after 6.12. Whatever a text names is kept, in its order.

Kernel: mm/vmstat.c zoneinfo_show(), zoneinfo_show_print()
"""

from __future__ import annotations

from dataclasses import dataclass, field

from memsim.mm.mmzone import PerCpuPages, PerCpuZonestat, PglistData, Vm, Zone
from memsim.mm.vmstat import wmark_pages, zone_page_state
from memsim.words.arch import NO_ZONE
from memsim.words.mmzone import (
    MAX_RECLAIM_RETRIES,
    NR_FREE_PAGES,
    WMARK_HIGH,
    WMARK_LOW,
    WMARK_MIN,
    WMARK_PROMO,
    ZONE_STAT_ITEMS,
)

#: enum node_stat_item of the reference kernel's configuration, as /proc names it.
#: Kernel: mm/vmstat.c vmstat_text[]
NODE_STAT_NAMES = (
    "nr_inactive_anon", "nr_active_anon", "nr_inactive_file", "nr_active_file", "nr_unevictable",
    "nr_slab_reclaimable", "nr_slab_unreclaimable", "nr_isolated_anon", "nr_isolated_file",
    "workingset_nodes", "workingset_refault_anon", "workingset_refault_file",
    "workingset_activate_anon", "workingset_activate_file", "workingset_restore_anon",
    "workingset_restore_file", "workingset_nodereclaim", "nr_anon_pages", "nr_mapped",
    "nr_file_pages", "nr_dirty", "nr_writeback", "nr_writeback_temp", "nr_shmem",
    "nr_shmem_hugepages", "nr_shmem_pmdmapped", "nr_file_hugepages", "nr_file_pmdmapped",
    "nr_anon_transparent_hugepages", "nr_vmscan_write", "nr_vmscan_immediate_reclaim",
    "nr_dirtied", "nr_written", "nr_throttled_written", "nr_kernel_misc_reclaimable",
    "nr_foll_pin_acquired", "nr_foll_pin_released", "nr_kernel_stack", "nr_page_table_pages",
    "nr_sec_page_table_pages", "nr_iommu_pages", "nr_swapcached", "pgpromote_success",
    "pgpromote_candidate", "pgdemote_kswapd", "pgdemote_direct", "pgdemote_khugepaged",
)  # fmt: skip
#: ZONE_STAT_ITEMS, as /proc names them.
ZONE_STAT_NAMES = tuple(
    "nr_free_cma" if item == "NR_FREE_CMA_PAGES" else item.lower() for item in ZONE_STAT_ITEMS
)
#: NUMA_STAT_ITEMS, as /proc names them.
NUMA_STAT_NAMES = (
    "numa_hit", "numa_miss", "numa_foreign", "numa_interleave", "numa_local", "numa_other",
)  # fmt: skip


@dataclass
class Pageset:
    """The per_cpu_pages of one CPU. `numbers`: count, high and batch, in pages, and what follows.

    `stat_threshold` is None for a kernel without SMP, which does not print it.
    """

    cpu: int
    numbers: dict[str, int]
    stat_threshold: int | None = None


@dataclass
class ZoneinfoZone:
    """A zone. Names are those of the text; dictionaries keep its order.

    `node_stats`: the counters of the node, which its first populated zone prints; else None.
    `pages`: free, watermarks (with the boost in them) and sizes, in pages.
    `stats`: the zone's counters, then the NUMA ones. `tail`: node_unreclaimable, start_pfn.
    A zone without pages has no stats, no pagesets and no tail. `line` is where it was read.
    """

    node: int
    zone: str
    pages: dict[str, int] = field(default_factory=dict)
    protection: tuple[int, ...] = ()
    node_stats: dict[str, int] | None = None
    stats: dict[str, int] = field(default_factory=dict)
    pagesets: list[Pageset] = field(default_factory=list)
    tail: dict[str, int] = field(default_factory=dict)
    line: int = field(default=0, compare=False)

    @property
    def populated(self) -> bool:
        """Has the zone pages? Kernel: populated_zone()."""
        return self.pages["present"] > 0


def write_zoneinfo(zones: list[ZoneinfoZone]) -> str:
    """The text, as Linux 6.12 prints it. Kernel: zoneinfo_show_print()."""
    return "".join(f"{line}\n" for zone in zones for line in _zone_lines(zone))


def _zone_lines(zone: ZoneinfoZone) -> list[str]:
    lines = [f"Node {zone.node}, zone {zone.zone:>8}"]
    if zone.node_stats is not None:
        lines += ["  per-node stats", *_counter_lines(zone.node_stats)]
    for i, (name, pages) in enumerate(zone.pages.items()):
        lines.append(f"{'        ' if i else '  pages '}{name:<8} {pages}")
    lines.append(f"        protection: ({', '.join(map(str, zone.protection))})")
    if not zone.populated:
        return lines
    lines += [*_counter_lines(zone.stats), "  pagesets"]
    for pageset in zone.pagesets:
        lines += _pageset_lines(pageset)
    return lines + [f"  {name + ':':<20} {value}" for name, value in zone.tail.items()]


def _counter_lines(counters: dict[str, int]) -> list[str]:
    return [f"      {name:<12} {value}" for name, value in counters.items()]


def _pageset_lines(pageset: Pageset) -> list[str]:
    lines = [f"    cpu: {pageset.cpu}"]
    lines += [f"              {name + ':':<6} {value}" for name, value in pageset.numbers.items()]
    if pageset.stat_threshold is not None:
        lines.append(f"  vm stats threshold: {pageset.stat_threshold}")
    return lines


def zoneinfo_of(vm: Vm) -> list[ZoneinfoZone]:
    """What zoneinfo says on this machine.

    NOT MODELLED: the nodes' counters: they are 0.
    """
    return [_zone_of(pgdat, zone) for pgdat in vm.nodes for zone in pgdat.node_zones]


def _zone_of(pgdat: PglistData, zone: Zone) -> ZoneinfoZone:
    first = next((other for other in pgdat.node_zones if other.present_pages), None)
    told = ZoneinfoZone(
        zone.node,
        zone.name,
        pages=_pages_of(zone),
        protection=tuple(zone.lowmem_reserve),
        node_stats=dict.fromkeys(NODE_STAT_NAMES, 0) if zone is first else None,
    )
    if zone.present_pages:
        told.stats = _stats_of(zone)
        per_cpu = zip(zone.per_cpu_pageset, zone.per_cpu_zonestats, strict=True)
        told.pagesets = [_pageset_of(cpu, *both) for cpu, both in enumerate(per_cpu)]
        hopeless = int(pgdat.kswapd_failures >= MAX_RECLAIM_RETRIES)
        told.tail = {"node_unreclaimable": hopeless, "start_pfn": zone.zone_start_pfn}
    return told


def _pages_of(zone: Zone) -> dict[str, int]:
    return {
        "free": zone_page_state(zone, NR_FREE_PAGES),
        "boost": zone.watermark_boost,
        "min": wmark_pages(zone, WMARK_MIN),
        "low": wmark_pages(zone, WMARK_LOW),
        "high": wmark_pages(zone, WMARK_HIGH),
        "promo": wmark_pages(zone, WMARK_PROMO),
        "spanned": zone.spanned_pages,
        "present": zone.present_pages,
        "managed": zone.managed_pages,
        "cma": _cma_pages(zone),
    }


def _cma_pages(zone: Zone) -> int:
    """Pages in MIGRATE_CMA pageblocks."""
    order = zone.vm.pageblock_order
    blocks = zone.pageblock[zone.zone_start_pfn >> order : (zone.zone_end_pfn - 1 >> order) + 1]
    return sum(1 for block in blocks if block == zone.vm.MIGRATE_CMA) << order


def _stats_of(zone: Zone) -> dict[str, int]:
    """The zone's counters, and NUMA's where there are nodes: not with HIGHMEM."""
    stats = {name: zone_page_state(zone, item) for item, name in enumerate(ZONE_STAT_NAMES)}
    if zone.vm.arch.ZONE_HIGHMEM == NO_ZONE:
        stats |= dict(zip(NUMA_STAT_NAMES, zone.vm_numa_event, strict=True))
    return stats


def _pageset_of(cpu: int, pcp: PerCpuPages, pzstats: PerCpuZonestat) -> Pageset:
    numbers = {"count": pcp.count, "high": pcp.high, "batch": pcp.batch}
    return Pageset(cpu, numbers, pzstats.stat_threshold)
