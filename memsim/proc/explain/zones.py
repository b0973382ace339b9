"""Which zone refused the request, on which mark: the kernel's check with the report's numbers.

NOT MODELLED: numbers of a report are of a moment after the failure, and read without a lock.
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.mm.mem_info import ZoneMem
from memsim.mm.page_alloc.watermark import min_for_reserves
from memsim.mm.page_alloc.zone_walk import alloc_flags_of_mask
from memsim.mm.vmstat import _fragmentation_index, contig_page_info
from memsim.proc.failure import FailureReport
from memsim.words.alloc_flags import (
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_OOM,
    ALLOC_RESERVES,
)
from memsim.words.arch import X86_32, X86_64, Arch
from memsim.words.gfp import gfp_migratetype, gfp_zone
from memsim.words.mmzone import MAX_PAGE_ORDER, MIGRATE_MOVABLE

#: What a zone says. TOO_HIGH: the mask does not reach it.
AMOUNT, RESERVE, ORDER, ENOUGH, TOO_HIGH = "amount", "lowmem_reserve", "order", "enough", "too high"


class Verdict(NamedTuple):
    """A zone's answer. Numbers are pages.

    The request is granted when `usable` is over `floor` + `lowmem_reserve`, and a block fits:
    usable is what is free but for pages that this request may not take; floor is the min mark, as
    low as the request's rights make it. `blocks`: free blocks that fit, None if not told;
    reserved: those that fit are all of types that others have (HIGHATOMIC, CMA, ISOLATE).
    extfrag_index as /sys/kernel/debug/extfrag/extfrag_index has it, times 1000.
    """

    zone: ZoneMem
    answer: str
    free: int
    usable: int
    min: int
    floor: int
    lowmem_reserve: int
    blocks: int | None
    reserved: bool
    extfrag_index: int

    @property
    def missing(self) -> int:
        """Pages that would have to come free."""
        return max(self.floor + self.lowmem_reserve + 1 - self.usable, 0)


def arch_of_zones(zones: list[ZoneMem]) -> Arch:
    """The configuration that has such zones, as far as their names tell."""
    return X86_32 if any(zone.name == "HighMem" for zone in zones) else X86_64


def pages_of(zone: ZoneMem, counter: str) -> int:
    """A counter of the zone in pages."""
    return zone.counters.get(counter, 0) // zone.block_kb


def alloc_flags_of(report: FailureReport, is_victim: bool) -> int:
    """The rights of the last attempt; a task that is being killed has its own."""
    order = max(report.order, 0)
    return ALLOC_OOM if is_victim else alloc_flags_of_mask(report.gfp_mask, order)


def verdicts(report: FailureReport, is_victim: bool = False) -> list[Verdict]:
    """What each zone said, in the report's order. is_victim: the task was killed before."""
    zones = report.mem.zones if report.mem is not None else []
    arch = arch_of_zones(zones)
    highest = gfp_zone(report.gfp_mask, arch)
    flags = alloc_flags_of(report, is_victim)
    return [
        _verdict(report, zone, arch, highest if highest >= 0 else arch.ZONE_NORMAL, flags)
        for zone in zones
        if zone.counters.get("managed", 1)
    ]


def _verdict(report: FailureReport, zone: ZoneMem, arch: Arch, highest: int, flags: int) -> Verdict:
    order = max(report.order, 0)
    free, mark = pages_of(zone, "free"), pages_of(zone, "min")
    floor = min_for_reserves(_mark(zone, order, flags), flags) if flags & ALLOC_RESERVES else mark
    reserve = zone.lowmem_reserve[highest] if highest < len(zone.lowmem_reserve) else 0
    usable = free - _unusable(report, zone, order, flags)
    blocks, reserved = _fitting(report, zone, order, flags)
    known = zone.name in arch.zone_names
    answer = _answer(usable, floor, reserve, blocks, order)
    if known and arch.zone_names.index(zone.name) > highest:
        answer = TOO_HIGH
    index = 0
    if order <= MAX_PAGE_ORDER:
        index = _fragmentation_index(order, contig_page_info(zone.nr_free, order))
    return Verdict(zone, answer, free, usable, mark, floor, reserve, blocks, reserved, index)


def _mark(zone: ZoneMem, order: int, flags: int) -> int:
    """The min mark; without its boost for __GFP_HIGH. Kernel: zone_watermark_fast()."""
    mark = pages_of(zone, "min")
    blind_to_boost = not order and flags & ALLOC_MIN_RESERVE
    return mark - pages_of(zone, "boost") if blind_to_boost else mark


def _answer(usable: int, floor: int, reserve: int, blocks: int | None, order: int) -> str:
    if usable <= floor:
        return AMOUNT
    if usable <= floor + reserve:
        return RESERVE
    return ORDER if order and blocks == 0 else ENOUGH


def _unusable(report: FailureReport, zone: ZoneMem, order: int, flags: int) -> int:
    """Free pages that are others'. Of those reserved for atomic requests, none may be free."""
    unusable = (1 << order) - 1
    if not flags & ALLOC_RESERVES:
        unusable += min(pages_of(zone, "reserved_highatomic"), _highatomic_at_most(zone))
    if gfp_migratetype(report.gfp_mask) != MIGRATE_MOVABLE:
        unusable += pages_of(zone, "free_cma")
    return unusable


def _highatomic_at_most(zone: ZoneMem) -> int:
    """Pages in free blocks of orders at which there are some of type HIGHATOMIC."""
    return sum(
        blocks << order
        for order, blocks in enumerate(zone.nr_free)
        if blocks and "H" in zone.types[order]
    )


def _fitting(
    report: FailureReport, zone: ZoneMem, order: int, flags: int
) -> tuple[int | None, bool]:
    """(free blocks of at least this order, are all of them of types that others have)."""
    if not zone.nr_free:
        return None, False
    mine = set("UME")
    if gfp_migratetype(report.gfp_mask) == MIGRATE_MOVABLE:
        mine.add("C")
    if flags & (ALLOC_HIGHATOMIC | ALLOC_OOM):
        mine.add("H")
    fitting = blocks = 0
    for at, nr_free in enumerate(zone.nr_free):
        if at >= order and nr_free:
            blocks += nr_free
            # which of them are of which type is not told
            fitting += nr_free if mine & set(zone.types[at]) else 0
    return fitting, bool(blocks) and not fitting
