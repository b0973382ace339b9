"""Every recorded machine booted again: what its kernel computed, computed, and equal.

tests/data/machines.json (made by tools/recorded_machines.py) has RAM by node and what was reserved;
the rest follows from the kernel's own order: THP is on at boot, init memory is freed later, then
the recordings' init script wrote to /sys/kernel/mm/transparent_hugepage/enabled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memsim import Machine
from memsim.mm.khugepaged import start_stop_khugepaged
from memsim.mm.layout import NodeRange
from memsim.mm.mm_init import Memory, boot
from memsim.mm.mmzone import Vm
from memsim.mm.page_alloc.setup import setup_per_zone_wmarks
from memsim.mm.vmstat import calculate_pressure_threshold
from memsim.trace.trace import Trace
from memsim.words.mmzone import WMARK_NAMES

MACHINES = json.loads((Path(__file__).parent / "data/machines.json").read_text())
Ranges = list[list[int]]


def without(ranges: list[NodeRange], kept: Ranges) -> list[tuple[int, int]]:
    """What of the RAM is not kept, page by page: slow, and nothing to get wrong."""
    pages = {pfn for r in ranges for pfn in range(r.start_pfn, r.end_pfn)}
    for start, end in kept:
        pages.difference_update(range(start, end))
    left = sorted(pages)
    starts = [pfn for pfn in left if pfn - 1 not in pages]
    ends = [pfn + 1 for pfn in left if pfn + 1 not in pages]
    return list(zip(starts, ends, strict=True))


def booted(told: dict[str, Any]) -> Vm:
    """The machine as it was when the recording began."""
    ram = [NodeRange(*entry) for entry in told["ram"]]
    nr_nodes = 1 + max(r.nid for r in ram)
    vm = Vm(ram[-1].end_pfn, told["cpus"], nr_nodes, Trace(mask=0, capacity=1))
    boot(vm, Memory(ram, without(ram, told["reserved"] + told["freed_later"]), {}), True)
    free = without(ram, told["reserved"])
    for zone in vm.zones:
        zone.managed_pages = sum(
            max(0, min(end, zone.zone_end_pfn) - max(start, zone.zone_start_pfn))
            for start, end in free
        )
    start_stop_khugepaged(vm, told["transparent_hugepage"])
    vm.watermark_scale_factor = told["vars"]["watermark_scale_factor"]
    setup_per_zone_wmarks(vm)
    return vm


@pytest.mark.parametrize("told", MACHINES, ids=lambda told: told["name"])
def test_computed_as_the_kernel_computed(told: dict[str, Any]) -> None:
    """Spans, watermarks, reserves, pcp limits, thresholds, drift marks, zonelists: all equal."""
    vm = booted(told)
    for name, value in told["vars"].items():
        assert getattr(vm, name) == value, name
    for zone, numbers in zip(vm.zones, told["zones"], strict=True):
        where = f"node {zone.node} {zone.name}"
        told_marks = [numbers["watermark"][name] for name in WMARK_NAMES]
        assert zone._watermark == told_marks, where
        for name in (
            "spanned_pages", "present_pages", "managed_pages", "lowmem_reserve",
            "percpu_drift_mark", "pageset_high_min", "pageset_high_max", "pageset_batch",
        ):  # fmt: skip
            assert getattr(zone, name) == numbers[name], (where, name)
        if zone.spanned_pages:
            pcps = [[p.high_min, p.high_max, p.batch, p.flags] for p in zone.per_cpu_pageset]
            assert pcps == numbers["pcp"], where
            thresholds = [stat.stat_threshold for stat in zone.per_cpu_zonestats]
            assert thresholds == numbers["stat_threshold"], where
    zonelists = [[[[z.node, z.idx] for z in zl] for zl in n.node_zonelists] for n in vm.nodes]
    assert zonelists == told["zonelists"]


def test_pressure_threshold() -> None:
    """The distance from min to low over the CPUs, at least 1, at most 125."""
    zone = booted(MACHINES[0]).nodes[0].node_zones[1]
    thresholds = []
    for gap in (0, 40, 4000):
        zone._watermark = [100, 100 + gap, 100 + 2 * gap, 100 + 3 * gap]
        thresholds.append(calculate_pressure_threshold(zone))
    assert thresholds == [1, 40, 125]


def test_a_scale_factor_written_later_moves_low_and_high_and_leaves_min() -> None:
    """By hand: 243,713 pages; min 975 stays, and 2 % of the zone lie between the marks."""
    usual, wide = (Machine("1 GiB", watermark_scale_factor=f).zone("DMA32") for f in (10, 200))
    assert usual._watermark[:3] == [975, 975 + 243, 975 + 2 * 243]
    gap = 243_713 * 200 // 10_000
    assert wide._watermark == [975, 975 + gap, 975 + 2 * gap, 975 + 3 * gap]
    assert usual.vm.min_free_kbytes == wide.vm.min_free_kbytes
    assert [pcp.high_min for pcp in wide.per_cpu_pageset] == [975 + gap]
