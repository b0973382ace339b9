"""What of a report is cut off, cannot be read, or contradicts itself: no verdict may rest on it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from memsim.mm.mem_info import MemInfo, ZoneMem
from memsim.proc.explain.finding import Finding
from memsim.proc.explain.memory import managed_pages, shares
from memsim.proc.explain.zones import pages_of
from memsim.proc.failure import FailureReport


class Damage(NamedTuple):
    """What is wrong, and at which line. zone: the one that it is about, None: all of memory."""

    line: int
    says: str
    zone: ZoneMem | None = None

    def finding(self) -> Finding:
        """As the explanation tells it."""
        return Finding(self.line, "cut off or damaged", self.says)


def damages(report: FailureReport) -> list[Damage]:
    """All that is wrong, in the order of the lines."""
    if report.mem is None:
        return []
    found = [*_of_memory(report, report.mem)]
    nr_reserves = max((len(zone.lowmem_reserve) for zone in report.mem.zones), default=0)
    for zone in report.mem.zones:
        found += _of_zone(report, zone, max(nr_reserves, 1))
    return sorted(found, key=lambda damage: damage.line)


def is_total_known(report: FailureReport, damaged: list[Damage]) -> bool:
    """Is it known how much memory there is? Shares of it are, and what oom_score_adj weighs."""
    told = report.mem is not None and "ram" in report.mem.last
    return told and all(damage.zone for damage in damaged)


def _of_memory(report: FailureReport, mem: MemInfo) -> Iterator[Damage]:
    """The total of RAM: is it there, and is there room in it for what the other lines tell?

    Who leaves out all lines but the zones' has a report that is short, and whole.
    """
    if "ram" not in mem.last:
        if not mem.totals:
            return
        says = "no line 'pages RAM' up to here: the totals are missing."
        yield Damage(report.lines.get("mem", 0), says)
        return
    ram, reserved = mem.last["ram"], mem.last.get("reserved", 0)
    managed = managed_pages(mem)
    of_zones = sum(pages_of(zone, "managed") for zone in mem.zones if zone.nr_free)
    if managed < max(of_zones, 1):
        zones = f", but the zones above manage {of_zones}" if of_zones else ""
        says = f"{ram} pages RAM, {reserved} of them reserved{zones}: that cannot be."
        yield Damage(report.lines.get("ram", 0), says)
        return
    most = max(shares(mem), key=lambda share: share.pages)
    if most.pages > managed:
        says = f"{most.what}: {most.pages} pages, of {managed} in all: that cannot be."
        yield Damage(report.lines.get("totals", 0), says)


def _of_zone(report: FailureReport, zone: ZoneMem, nr_reserves: int) -> Iterator[Damage]:
    """A zone's three lines: are they there, and do they agree?"""
    line = report.lines.get(f"zone {zone.node} {zone.name}", 0)
    if len(zone.lowmem_reserve) < nr_reserves:
        says = f"no whole lowmem_reserve[] of zone {zone.name} follows."
        yield Damage(line, says, zone)
    for lower, higher in pairwise(("min", "low", "high")):
        if zone.counters[lower] > zone.counters[higher]:
            says = f"zone {zone.name}: {lower} is above {higher}: that cannot be."
            yield Damage(line, says, zone)
    if not zone.nr_free:
        says = f"the free blocks of zone {zone.name} do not follow, or cannot be read."
        yield Damage(line, says, zone)
        return
    yield from _of_blocks(report, zone)


def _of_blocks(report: FailureReport, zone: ZoneMem) -> Iterator[Damage]:
    """The line of free blocks: the kernel adds up the numbers that it prints."""
    line = report.lines.get(f"blocks {zone.node} {zone.name}", 0)
    total = sum(blocks * zone.block_kb << order for order, blocks in enumerate(zone.nr_free))
    if total != zone.free_kb:
        says = f"the free blocks of zone {zone.name} are {total} kB, not {zone.free_kb} kB."
        yield Damage(line, says, zone)
    if report.order >= len(zone.nr_free):
        says = f"zone {zone.name} has {len(zone.nr_free)} orders: none asks for {report.order}."
        yield Damage(line, says, zone)
