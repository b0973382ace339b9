"""Watermarks, pcp limits and thresholds that recorded kernels had, computed again."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from memsim.mm.mmzone import Vm
from memsim.mm.page_alloc.setup import setup_per_zone_lowmem_reserve, setup_per_zone_wmarks
from memsim.mm.page_alloc.zonelist import build_all_zonelists
from memsim.mm.restore import restore
from memsim.mm.vmstat import calculate_pressure_threshold, refresh_zone_stat_thresholds
from memsim.trace.trace import Trace
from memsim.words.mmzone import WMARK_NAMES, ZONE_DMA, ZONE_DMA32

CAPTURES = sorted((Path(__file__).parent / "data/captures").iterdir())
#: Pages that the recorded kernels gave to the buddy after they had computed the reserves. Their
#: dmesg says `Freeing` 4580K (initrd), 2028K (decrypted), 3940K (initmem) and 1280K (gap).
FREED_LATER = (4580 + 2028 + 3940 + 1280) // 4


def recorded(capture: Path) -> dict[str, Any]:
    """The first snapshot of a capture."""
    with lzma.open(capture / "snapshot_start.json.xz") as file:
        return dict(json.load(file))


def forgetful(snapshot: dict[str, Any]) -> Vm:
    """The recorded machine, without the numbers that are to be computed."""
    vm = restore(snapshot, Trace(mask=0, capacity=1))
    for zone in vm.zones:
        zone._watermark = [-1] * 4
        zone.lowmem_reserve = [0] * 5
        zone.percpu_drift_mark = -1 if zone.percpu_drift_mark else 0
        for pcp in zone.per_cpu_pageset:
            pcp.batch = pcp.high_min = pcp.high_max = -1
        for pzstats in zone.per_cpu_zonestats:
            pzstats.stat_threshold = -1
    return vm


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.name)
def test_computed_as_the_kernel_computed(capture: Path) -> None:
    """From min_free_kbytes and the scale factor: marks, batch, high, and the drift allowed."""
    snapshot = recorded(capture)
    vm = forgetful(snapshot)
    setup_per_zone_wmarks(vm)
    refresh_zone_stat_thresholds(vm)
    for zone in vm.zones:
        if not zone.spanned_pages:
            continue
        told = snapshot["nodes"][zone.node]["zones"][zone.idx]
        assert dict(zip(WMARK_NAMES, zone._watermark, strict=True)) == told["watermark"]
        for cpu, pcp in enumerate(zone.per_cpu_pageset):
            for name in ("batch", "high_min", "high_max"):
                assert getattr(pcp, name) == told["pcp"][cpu][name], (zone.name, name)
            threshold = zone.per_cpu_zonestats[cpu].stat_threshold
            assert threshold == told["percpu_stat"][cpu]["stat_threshold"]
        assert zone.percpu_drift_mark == told["percpu_drift_mark"]


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.name)
def test_reserves_are_those_of_boot(capture: Path) -> None:
    """DMA keeps 1/256 of what DMA32 had when they were computed, before init memory was freed."""
    snapshot = recorded(capture)
    vm = forgetful(snapshot)
    dma, dma32 = vm.nodes[0].node_zones[ZONE_DMA], vm.nodes[0].node_zones[ZONE_DMA32]
    setup_per_zone_wmarks(vm)
    dma32.managed_pages -= FREED_LATER
    setup_per_zone_lowmem_reserve(vm)
    told = snapshot["nodes"][0]["zones"][ZONE_DMA]["lowmem_reserve"]
    assert dma.lowmem_reserve == told
    assert vm.totalreserve_pages == snapshot["vars"]["totalreserve_pages"]


def test_zonelists_as_recorded() -> None:
    """Built again from the zones: the highest first, for both lists of the node."""
    snapshot = recorded(CAPTURES[0])
    vm = forgetful(snapshot)
    vm.nodes[0].node_zonelists = ([], [])
    build_all_zonelists(vm)
    built = [[[zone.node, zone.idx] for zone in zl] for zl in vm.nodes[0].node_zonelists]
    assert built == snapshot["nodes"][0]["zonelists"]


def test_pressure_threshold() -> None:
    """The distance from min to low over the CPUs, at least 1, at most 125."""
    vm = restore(recorded(CAPTURES[0]), Trace(mask=0, capacity=1))
    zone = vm.nodes[0].node_zones[ZONE_DMA32]
    thresholds = []
    for gap in (0, 40, 4000):
        zone._watermark = [100, 100 + gap, 100 + 2 * gap, 100 + 3 * gap]
        thresholds.append(calculate_pressure_threshold(zone))
    assert thresholds == [1, 40, 125]
