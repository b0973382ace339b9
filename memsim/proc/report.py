"""What `memsim proc` prints: where a machine is from, and what it is, zone by zone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from memsim.lib.bits import PAGE_SHIFT
from memsim.machine import Machine
from memsim.mm.mmzone import Zone, populated_zones
from memsim.mm.vmstat import nr_free_by_order, unusable_index, wmark_pages, zone_page_state
from memsim.proc.origin import Origin
from memsim.words.mmzone import HPAGE_PMD_ORDER, NR_FREE_PAGES, WMARK_NAMES

_MIB_SHIFT = 20 - PAGE_SHIFT


def as_json(machine: Machine, origin: Origin) -> dict[str, Any]:
    """Origin, sizes and zones as plain data. Sizes are pages; unusable_index is times 1000."""
    vm = machine.vm
    return {
        "origin": asdict(origin),
        "cpus": vm.nr_cpus,
        "arch": vm.arch.name,
        "pageblock_order": vm.pageblock_order,
        "min_free_kbytes": vm.min_free_kbytes,
        "watermark_scale_factor": vm.watermark_scale_factor,
        "zones": [_zone(zone) for zone in populated_zones(vm)],
    }


def _zone(zone: Zone) -> dict[str, Any]:
    nr_free = nr_free_by_order(zone)
    return {
        "node": zone.node,
        "zone": zone.name,
        "start_pfn": zone.zone_start_pfn,
        "spanned_pages": zone.spanned_pages,
        "present_pages": zone.present_pages,
        "managed_pages": zone.managed_pages,
        "free_pages": zone_page_state(zone, NR_FREE_PAGES),
        "pcp_pages": sum(pcp.count for pcp in zone.per_cpu_pageset),
        "nr_free": nr_free,
        "largest_free_order": max((o for o, blocks in enumerate(nr_free) if blocks), default=None),
        "unusable_index": unusable_index(zone, HPAGE_PMD_ORDER),
        "watermark": {name: wmark_pages(zone, i) for i, name in enumerate(WMARK_NAMES)},
        "lowmem_reserve": list(zone.lowmem_reserve),
    }


def as_text(machine: Machine, origin: Origin) -> str:
    """Origin, a line for the machine, and a line for each zone."""
    told = as_json(machine, origin)
    zones = told["zones"]
    managed, free = (sum(zone[key] for zone in zones) for key in ("managed_pages", "free_pages"))
    nodes = len({zone["node"] for zone in zones})
    lines = [
        str(origin),
        "",
        f"{told['arch']}, {_of(told['cpus'], 'CPU')}, {_of(nodes, 'node')} with memory, "
        f"{_of(len(zones), 'zone')}: {managed >> _MIB_SHIFT} MiB managed, "
        f"{free >> _MIB_SHIFT} MiB free. In pages:",
        f"{'zone':<16}{'managed':>9}{'free':>9}{'on pcps':>9}{'min':>8}{'low':>8}{'high':>8}"
        f"{'largest':>9}{'unusable':>10}",
        *(_zone_line(zone) for zone in zones),
        f"largest: order of the largest free block; unusable: share of the free memory in blocks "
        f"below order {HPAGE_PMD_ORDER}",
    ]
    return "\n".join(lines)


def _of(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _zone_line(zone: dict[str, Any]) -> str:
    name = f"Node {zone['node']} {zone['zone']}"
    marks = "".join(f"{zone['watermark'][mark]:8d}" for mark in ("min", "low", "high"))
    largest = "none" if zone["largest_free_order"] is None else zone["largest_free_order"]
    return (
        f"{name:<16}{zone['managed_pages']:9d}{zone['free_pages']:9d}{zone['pcp_pages']:9d}{marks}"
        f"{largest:>9}{zone['unusable_index'] / 1000:10.3f}"
    )
