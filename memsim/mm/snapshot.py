"""The allocator's whole state as plain data, and back. The form is that of a recorded kernel.

A snapshot holds, as JSON could: nr_cpus, pageblock_order, config (what recorded kernels' snapshots
leave out: arch, cma, cpu_to_node, node_distance, movable_zone), vars, nodes (with zonelists and
zones: watermarks, counters, free_area[order][migratetype] and pcp lists, head first),
pageblocks ([first pfn, migratetype, skip bit]) and page_kinds ([pfn, count, kind, order] runs:
F free, P on a pcp list, L in use and on an LRU list, U otherwise in use).
"""

from __future__ import annotations

import re
from typing import Any

from memsim.mm.mmzone import (
    PG_BUDDY,
    PG_LRU,
    PG_ORDER,
    PerCpuPages,
    Vm,
    Zone,
    list_pages,
    populated_zones,
)
from memsim.mm.page_alloc.free_list import list_all_deferred
from memsim.words.baseline import KERNEL_VERSION
from memsim.words.mmzone import (
    MAX_PAGE_ORDER,
    NUMA_STAT_ITEMS,
    WMARK_NAMES,
    ZONE_STAT_ITEMS,
)

Snapshot = dict[str, Any]

#: Numbers of a pcp that a snapshot keeps, besides its lists.
PCP_FIELDS = (
    "count", "high", "high_min", "high_max", "batch", "flags", "alloc_factor", "free_count",
    "expire",
)  # fmt: skip
#: Numbers of a zone that a snapshot keeps under the zone's own field names.
ZONE_FIELDS = (
    "watermark_boost", "nr_reserved_highatomic", "nr_free_highatomic", "zone_start_pfn",
    "managed_pages", "spanned_pages", "present_pages", "flags", "percpu_drift_mark",
    "pageset_high_min", "pageset_high_max", "pageset_batch", "compact_init_free_pfn",
)  # fmt: skip
#: Numbers that compaction keeps in a zone; a snapshot has those that are not 0.
COMPACT_FIELDS = (
    "compact_cached_free_pfn", "compact_init_migrate_pfn", "compact_considered",
    "compact_defer_shift", "compact_order_failed", "compact_blockskip_flush",
)  # fmt: skip
#: Tunables that a snapshot keeps in `vars`.
VARS = (
    "min_free_kbytes", "user_min_free_kbytes", "watermark_boost_factor", "watermark_scale_factor",
    "totalreserve_pages", "percpu_pagelist_high_fraction",
)  # fmt: skip


def take_snapshot(vm: Vm) -> Snapshot:
    """The state of now. It shares nothing with vm. Cost: O(pages that are free or in use)."""
    for zone in vm.zones:
        list_all_deferred(zone)
    return {
        "kernel": KERNEL_VERSION,
        "nr_cpus": vm.nr_cpus,
        "pageblock_order": vm.pageblock_order,
        "max_page_order": MAX_PAGE_ORDER,
        "config": {
            "arch": vm.arch.name,
            "cma": vm.MIGRATE_CMA >= 0,
            "cpu_to_node": list(vm.cpu_to_node),
            "node_distance": [list(distances) for distances in vm.node_distance],
            "movable_zone": vm.movable_zone,
        },
        "vars": {name: getattr(vm, name) for name in VARS},
        "nodes": [
            {
                "nid": pgdat.nid,
                "zonelists": [[[z.node, z.idx] for z in zl] for zl in pgdat.node_zonelists],
                "zones": [_zone_snapshot(zone) for zone in pgdat.node_zones],
            }
            for pgdat in vm.nodes
        ],
        "pageblocks": {"blocks": _pageblocks(vm)},
        "page_kinds": {"runs": _page_kinds(vm)},
    }


def _zone_snapshot(zone: Zone) -> Snapshot:
    numbers = {
        "nid": zone.node,
        "idx": zone.idx,
        "name": zone.name,
        **{name: getattr(zone, name) for name in ZONE_FIELDS},
        "watermark": dict(zip(WMARK_NAMES, zone._watermark, strict=True)),
        "lowmem_reserve": list(zone.lowmem_reserve),
        "vm_stat": dict(zip(ZONE_STAT_ITEMS, zone.vm_stat, strict=True)),
        "vm_numa_event": dict(zip(NUMA_STAT_ITEMS, zone.vm_numa_event, strict=True)),
    }
    compact = {name: getattr(zone, name) for name in COMPACT_FIELDS if getattr(zone, name)}
    if any(zone.compact_cached_migrate_pfn):
        compact["compact_cached_migrate_pfn"] = list(zone.compact_cached_migrate_pfn)
    return numbers | compact | (_zone_lists(zone) if zone.spanned_pages else {})


def _zone_lists(zone: Zone) -> Snapshot:
    """What only a populated zone has: per-CPU counters, free lists, pcp lists."""
    return {
        "percpu_stat": [
            {
                "stat_threshold": pzstats.stat_threshold,
                "diff": dict(zip(ZONE_STAT_ITEMS, pzstats.vm_stat_diff, strict=True)),
            }
            for pzstats in zone.per_cpu_zonestats
        ],
        "free_area": [
            [list_pages(zone, head) for head in area.free_list] for area in zone.free_area
        ],
        "pcp": [_pcp_snapshot(zone, pcp) for pcp in zone.per_cpu_pageset],
    }


def _pcp_snapshot(zone: Zone, pcp: PerCpuPages) -> Snapshot:
    numbers = {name: getattr(pcp, name) for name in PCP_FIELDS}
    return numbers | {"lists": [list_pages(zone, head) for head in pcp.lists]}


def _pageblocks(vm: Vm) -> list[list[int]]:
    """[first pfn, migratetype, skip bit] of every pageblock that a zone reaches into."""
    order = vm.pageblock_order
    blocks: set[int] = set()
    for zone in populated_zones(vm):
        blocks.update(range(zone.zone_start_pfn >> order, (zone.zone_end_pfn - 1 >> order) + 1))
    return [[b << order, vm.pageblock[b], vm.pageblock_skip[b]] for b in sorted(blocks)]


def _page_kinds(vm: Vm) -> list[list[Any]]:
    """Runs of pages of one kind and order; heads only, except for pages on an LRU list."""
    runs: list[list[Any]] = []
    for match in re.finditer(rb"([^\0])\1*", bytes(vm.page_state)):
        state = match[0][0]
        if state == PG_LRU:
            continue
        order = state & PG_ORDER
        kind = "F" if state & PG_BUDDY else "L" if state & PG_LRU else "U"
        if order:
            runs += [[match.start(), 1, kind, order]]
        else:
            runs += [[match.start(), match.end() - match.start(), kind, 0]]
    return runs
