"""How fragmented memory is, looked at now and then while a trace is replayed."""

from __future__ import annotations

from dataclasses import dataclass

from memsim.mm.mmzone import Vm, populated_zones
from memsim.mm.vmstat import extfrag_index, nr_free_by_order, unusable_index

#: Orders whose indexes are looked at: the last that counts as cheap, and a huge page.
INDEX_ORDERS = (3, 9)


@dataclass(frozen=True)
class ZoneSample:
    """One zone at one time: free blocks by order, pages on pcp lists, indexes times 1000.

    The indexes are those of INDEX_ORDERS, see vmstat.unusable_index() and extfrag_index().
    """

    node: int
    zone: str
    nr_free: list[int]
    pcp_pages: int
    unusable: list[int]
    extfrag: list[int]

    @property
    def free_pages(self) -> int:
        """Pages in all the free blocks."""
        return sum(blocks << order for order, blocks in enumerate(self.nr_free))


@dataclass(frozen=True)
class Sample:
    """All zones after so many rows, at the trace's time."""

    row: int
    time: float
    zones: list[ZoneSample]


def take_sample(vm: Vm, row: int, time: float) -> Sample:
    """A look at every populated zone. Cost: O(zones), nothing is counted anew."""
    zones = [
        ZoneSample(
            zone.node, zone.name, nr_free_by_order(zone),
            sum(pcp.count for pcp in zone.per_cpu_pageset),
            [unusable_index(zone, order) for order in INDEX_ORDERS],
            [extfrag_index(zone, order) for order in INDEX_ORDERS],
        )
        for zone in populated_zones(vm)
    ]  # fmt: skip
    return Sample(row, time, zones)
