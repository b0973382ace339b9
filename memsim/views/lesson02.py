"""What lesson 02 runs more than once."""

from __future__ import annotations

from collections.abc import Iterable

from memsim.machine import Machine, Recording
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE


def free_some(pfns: Iterable[int], nr_pages: int = 1024) -> Machine:
    """A machine of nr_pages pages, each allocated by itself; then these pfns are freed."""
    machine = Machine.of_pages(nr_pages)
    for _ in range(nr_pages):
        machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order=0)
    for pfn in pfns:
        machine.free_pages(pfn)
    return machine


def pages_by_order(machine: Machine) -> list[int]:
    """Free pages of the first zone, by the order of the block that they are in."""
    return [blocks << order for order, blocks in enumerate(machine.nr_free())]


def requests_and_frees() -> Recording:
    """Seven operations to predict, on 64 pages of which pfn 0 is allocated: it comes back last."""
    machine = Machine.of_pages(64)
    first = machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order=0)
    with machine.recording() as recording:
        pfns = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order) for order in (0, 1, 0)]
        for pfn in (pfns[0], pfns[2], pfns[1], first):
            machine.free_pages(pfn)
    return recording
