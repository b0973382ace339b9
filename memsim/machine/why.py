"""Why a request failed, or took long: the slow path's decisions in words."""

from __future__ import annotations

from collections.abc import Sequence

from memsim.mm.mmzone import Vm
from memsim.trace.slowpath_steps import SlowPath
from memsim.trace.steps import Step

#: What there is to tell when no step tells anything.
FAST = "no request came to the slow path: the fast path found a zone above its low watermark"


def slow_path_told(vm: Vm, steps: Sequence[Step]) -> str:
    """A line for each decision among the steps."""
    lines = [
        step.text(lambda zone_id: zone_name(vm, zone_id))
        for step in steps
        if isinstance(step, SlowPath)
    ]
    return "\n".join(lines or [FAST])


def zone_name(vm: Vm, zone_id: int) -> str:
    """The zone as "zone Normal"; with several NUMA nodes "node 0 zone Normal"."""
    zone = vm.zones[zone_id]
    return f"node {zone.node} zone {zone.name}" if len(vm.nodes) > 1 else f"zone {zone.name}"
