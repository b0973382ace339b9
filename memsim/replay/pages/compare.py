"""The last state against the recorded one: every list in order, every counter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from memsim.mm.mmzone import Vm, Zone, list_pages, populated_zones
from memsim.mm.restore import Field
from memsim.mm.snapshot import Snapshot
from memsim.words.mmzone import NR_FREE_CMA_PAGES, NR_FREE_PAGES, ZONE_STAT_ITEMS

#: Numbers of a zone and of a pcp that the page allocator owns.
ZONE_NUMBERS = (
    "watermark_boost", "nr_reserved_highatomic", "nr_free_highatomic", "flags",
)  # fmt: skip
PCP_NUMBERS = (
    "count", "high", "high_min", "high_max", "batch", "flags", "alloc_factor", "free_count",
)  # fmt: skip


@dataclass
class Tally:
    """How many were compared, how many were equal, and the first that were not."""

    total: int = 0
    equal: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, what: str, expected: Any, got: Any) -> None:
        """Compare one thing."""
        self.total += 1
        if expected == got:
            self.equal += 1
        elif len(self.differences) < 20:
            self.differences.append(f"{what}: expected {_short(expected)}, got {_short(got)}")


def _short(value: Any) -> str:
    text = str(value)
    return f"{len(value)} blocks" if isinstance(value, list) else text[:60]


@dataclass
class Comparison:
    """Free lists, pcp lists, counters and pageblock types of all populated zones."""

    free_lists: Tally = field(default_factory=Tally)
    pcp_lists: Tally = field(default_factory=Tally)
    counters: Tally = field(default_factory=Tally)
    pageblocks: Tally = field(default_factory=Tally)

    def tallies(self) -> dict[str, Tally]:
        """The four, by name."""
        return dict(vars(self))


def compare_end(vm: Vm, end: Snapshot) -> Comparison:
    """vm's state against the snapshot taken at the recording's end."""
    comparison = Comparison()
    nodes = Field(end, "")["nodes"].items(len(vm.nodes), len(vm.nodes))
    for zone in populated_zones(vm):
        recorded = nodes[zone.node]["zones"].items(zone.idx + 1)[zone.idx]
        _compare_lists(comparison, zone, recorded)
        for what, expected, got in _counters(zone, recorded):
            comparison.counters.add(f"{zone.name} {what}", expected, got)
    for block in Field(end, "")["pageblocks"]["blocks"].each():
        first, migratetype, _ = (f.integer() for f in block.items(3, 3))
        if 0 <= first < vm.max_pfn:
            got = vm.pageblock[first >> vm.pageblock_order]
            comparison.pageblocks.add(f"pageblock {first:#x}", migratetype, got)
    return comparison


def _compare_lists(comparison: Comparison, zone: Zone, recorded: Field) -> None:
    for order, area in enumerate(zone.free_area):
        nr_types = len(area.free_list)
        types = recorded["free_area"].items(order + 1)[order].items(nr_types, nr_types)
        for migratetype, (head, pages) in enumerate(zip(area.free_list, types, strict=True)):
            what = f"{zone.name} free_area[{order}][{migratetype}]"
            comparison.free_lists.add(what, pages.integers(), list_pages(zone, head))
    for cpu, pcp in enumerate(zone.per_cpu_pageset):
        nr_lists = len(pcp.lists)
        lists = recorded["pcp"].items(cpu + 1)[cpu]["lists"].items(nr_lists, nr_lists)
        for pindex, (head, pages) in enumerate(zip(pcp.lists, lists, strict=True)):
            what = f"{zone.name} pcp of CPU {cpu}, lists[{pindex}]"
            comparison.pcp_lists.add(what, pages.integers(), list_pages(zone, head))


def _counters(zone: Zone, recorded: Field) -> Iterator[tuple[str, int, int]]:
    """(name, recorded, memsim's) of every counter. NOT MODELLED: counters of LRU lists, expire."""
    for name in ZONE_NUMBERS:
        yield name, recorded[name].integer(), getattr(zone, name)
    for item in (NR_FREE_PAGES, NR_FREE_CMA_PAGES):
        name = ZONE_STAT_ITEMS[item]
        yield name, recorded["vm_stat"].get(name, 0).integer(), zone.vm_stat[item]
    for cpu, (pcp, pzstats) in enumerate(
        zip(zone.per_cpu_pageset, zone.per_cpu_zonestats, strict=True)
    ):
        pcp_field = recorded["pcp"].items(cpu + 1)[cpu]
        for name in PCP_NUMBERS:
            yield f"pcp[{cpu}] {name}", pcp_field[name].integer(), getattr(pcp, name)
        stat = recorded["percpu_stat"].items(cpu + 1)[cpu]
        threshold = stat["stat_threshold"].integer()
        yield f"stat_threshold[{cpu}]", threshold, pzstats.stat_threshold
        for item in (NR_FREE_PAGES, NR_FREE_CMA_PAGES):
            name = ZONE_STAT_ITEMS[item]
            drift = stat["diff"].get(name, 0).integer()
            yield f"diff[{cpu}] {name}", drift, pzstats.vm_stat_diff[item]
