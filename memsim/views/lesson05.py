"""What lesson 05 runs more than once: who gets a page of a zone, and how full zones are made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from memsim.lib.bits import PAGE_SHIFT
from memsim.machine import Machine
from memsim.mm.mmzone import Vm, Zone, page_zone
from memsim.mm.page_alloc.setup import min_free_kbytes_for
from memsim.mm.page_alloc.watermark import (
    _zone_watermark_unusable_free,
    min_for_reserves,
    zone_watermark_fast,
)
from memsim.mm.page_alloc.zone_walk import (
    _gfp_pfmemalloc_flags,
    gfp_to_alloc_flags,
    gfp_to_alloc_flags_cma,
)
from memsim.mm.vmstat import wmark_pages, zone_page_state
from memsim.words.alloc_flags import (
    ALLOC_NO_WATERMARKS,
    ALLOC_RESERVES,
    ALLOC_WMARK_LOW,
    ALLOC_WMARK_MASK,
)
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import (
    __GFP_DMA,
    __GFP_DMA32,
    __GFP_HIGH,
    __GFP_MEMALLOC,
    __GFP_MOVABLE,
    __GFP_NOWARN,
    __GFP_THISNODE,
    GFP_ATOMIC,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_NOWAIT,
    gfp_zone,
)
from memsim.words.mmzone import MAX_PAGE_ORDER, NR_FREE_PAGES, NULL, WMARK_NAMES

#: Who asks, by what it is called: those with the most rights last.
REQUESTERS = {
    "GFP_HIGHUSER_MOVABLE": GFP_HIGHUSER_MOVABLE,
    "GFP_KERNEL": GFP_KERNEL,
    "GFP_KERNEL | __GFP_DMA": GFP_KERNEL | __GFP_DMA,
    "GFP_NOWAIT": GFP_NOWAIT,
    "GFP_KERNEL | __GFP_HIGH": GFP_KERNEL | __GFP_HIGH,
    "GFP_ATOMIC": GFP_ATOMIC,
    "GFP_KERNEL | __GFP_MEMALLOC": GFP_KERNEL | __GFP_MEMALLOC,
}
#: Zone bits whose highest zone is this one.
_ZONE_BITS = {"DMA": __GFP_DMA, "DMA32": __GFP_DMA32, "Normal": 0}
#: Nothing is refused as long as there is a page; movable, so that no pageblock changes its type.
_TAKE_ALL = GFP_KERNEL | __GFP_MOVABLE | __GFP_MEMALLOC | __GFP_THISNODE | __GFP_NOWARN


class Attempt(NamedTuple):
    """One check of a request: the mark it keeps to, and how many usable pages are too few."""

    mark: str
    needed: int
    passes: bool


class Answer(NamedTuple):
    """What a zone says to a request: all its attempts, the first that passes being the last.

    No attempts: the zone is above the request's highest zone.
    """

    order: int
    usable: int
    attempts: list[Attempt]

    @property
    def served(self) -> bool:
        """Does it get a page of this zone?"""
        return any(attempt.passes for attempt in self.attempts)

    def __str__(self) -> str:
        if not self.attempts:
            return "never asks this zone"
        last = self.attempts[-1]
        if last.mark == NO_WATERMARK:
            return "served without watermarks" if last.passes else "refused: no block"
        if last.passes:
            return f"served, more than {last.mark} {last.needed}"
        if self.usable > last.needed:
            return f"refused: no free block of order {self.order}"
        return f"refused: needs more than {last.needed}"


NO_WATERMARK = "no watermark"


def ask(zone: Zone, gfp_mask: int, order: int = 0) -> Answer:
    """What the zone would say to a request, asked by the model's own check; nothing changes.

    First the fast path's, with low, then the slow path's.
    """
    vm, highest = zone.vm, gfp_zone(gfp_mask, zone.vm.arch)
    usable = zone_page_state(zone, NR_FREE_PAGES) - _zone_watermark_unusable_free(zone, order, 0)
    attempts: list[Attempt] = []
    for alloc_flags in _alloc_flags(vm, gfp_mask, order) if zone.idx <= highest else ():
        attempts.append(_attempt(zone, order, alloc_flags, highest))
        if attempts[-1].passes:
            break
    return Answer(order, usable, attempts)


def _alloc_flags(vm: Vm, gfp_mask: int, order: int) -> list[int]:
    """alloc_flags of a request's attempts, in their order, as page_alloc/slowpath.py has."""
    fast = gfp_to_alloc_flags_cma(vm, gfp_mask, ALLOC_WMARK_LOW)
    flags = [fast, gfp_to_alloc_flags(vm, gfp_mask, order)]
    reserve_flags = _gfp_pfmemalloc_flags(vm, gfp_mask)
    return [*flags, reserve_flags] if reserve_flags else flags


def _attempt(zone: Zone, order: int, alloc_flags: int, highest: int) -> Attempt:
    if alloc_flags & ALLOC_NO_WATERMARKS:
        room = any(area.nr_free for area in zone.free_area[order:])
        return Attempt(NO_WATERMARK, -1, room)
    wmark = alloc_flags & ALLOC_WMARK_MASK
    mark = wmark_pages(zone, wmark)
    passes = zone_watermark_fast(zone, order, mark, highest, alloc_flags)
    lowered = min_for_reserves(mark, alloc_flags) if alloc_flags & ALLOC_RESERVES else mark
    return Attempt(WMARK_NAMES[wmark], lowered + zone.lowmem_reserve[highest], passes)


def marks(zone: Zone) -> dict[str, int]:
    """The zone's watermarks by name, in pages, with the boost."""
    return {name: wmark_pages(zone, wmark) for wmark, name in enumerate(WMARK_NAMES)}


class Tank:
    """A zone whose free pages can be set to any number, by requests and frees."""

    def __init__(self, machine: Machine, zone: str) -> None:
        self.machine = machine
        self.zone = machine.zone(zone)
        self._mask = _ZONE_BITS[zone] | _TAKE_ALL
        self._blocks: list[tuple[int, int]] = []

    @property
    def free(self) -> int:
        """Free pages, exactly: each CPU's drift is added first."""
        self.machine.vmstat_update()
        return zone_page_state(self.zone, NR_FREE_PAGES)

    def set_free(self, pages: int) -> int:
        """Take or give back until so many are free; what became of it."""
        while self._blocks and self.free < pages:
            self.machine.free_pages(self._blocks.pop()[0])
        while (too_many := self.free - pages) > 0:
            self._take(min(too_many.bit_length() - 1, MAX_PAGE_ORDER))
        return self.free

    def scatter(self, pages: int) -> int:
        """So many pages are free, but no two of them are neighbours."""
        self.set_free(0)
        whole, self._blocks = self._blocks, []
        for pfn, order in whole:
            if order and self.free < pages:
                self._free_every_second(pfn, order, pages - self.free)
            else:
                self._blocks.append((pfn, order))
        return self.free

    def _free_every_second(self, pfn: int, order: int, at_most: int) -> None:
        self.machine.split_page(pfn)
        for page in range(pfn, pfn + (1 << order)):
            if (page - pfn) % 2 and (page - pfn) // 2 < at_most:
                self.machine.free_pages(page)
            else:
                self._blocks.append((page, 0))

    def _take(self, order: int) -> None:
        """A block of this order, or of a lower one; lower zones give theirs first, for good."""
        while not any(area.nr_free for area in self.zone.free_area[order:]):
            order -= 1
        pfn = self.machine.alloc_pages(self._mask, order)
        if page_zone(self.machine.vm, pfn) is self.zone:
            self._blocks.append((pfn, order))


def request_each(machine: Machine, gfp_masks: Iterable[int]) -> list[int]:
    """A page for each of these masks: its pfn, or -1 where it is refused.

    Before each the vmstat worker runs, so that the zone's counter is exact.
    """
    pfns = []
    for gfp_mask in gfp_masks:
        machine.vmstat_update()
        try:
            pfns.append(machine.alloc_pages(gfp_mask))
        except PageAllocationFailure:
            pfns.append(NULL)
    return pfns


class ReportedZone(NamedTuple):
    """A zone in the report of a failed request. Pages."""

    name: str
    free: int
    min: int
    lowmem_reserve: tuple[int, ...]

    def needed(self, alloc_flags: int, highest_zoneidx: int) -> int:
        """How many free pages were too few for a request of order 0 at its min watermark."""
        low = min_for_reserves(self.min, alloc_flags) if alloc_flags & ALLOC_RESERVES else self.min
        return low + self.lowmem_reserve[highest_zoneidx]


_REPORTED = re.compile(
    r"Node \d+ (?P<name>\w+) free:(?P<free>\d+)kB .*?min:(?P<min>\d+)kB .*?"
    r"lowmem_reserve\[\]:(?P<reserve>(?: \d+)+)",
    re.S | re.ASCII,
)


def reported_zones(text: str) -> list[ReportedZone]:
    """The zones of a "page allocation failure" report, as show_free_areas() prints them."""
    return [
        ReportedZone(
            found["name"],
            int(found["free"]) >> PAGE_SHIFT - 10,
            int(found["min"]) >> PAGE_SHIFT - 10,
            tuple(map(int, found["reserve"].split())),
        )
        for found in _REPORTED.finditer(text)
    ]


def min_free_curve(gib: Iterable[int]) -> list[int]:
    """min_free_kbytes, in MiB, of machines with so many GiB."""
    return [min_free_kbytes_for(size << 20) >> 10 for size in gib]


def freed_pages(dmesg: str) -> int:
    """Pages that the kernel gave back late at boot, by the lines "Freeing …" of its log."""
    kib = re.findall(r"Freeing (?:initrd|unused) .*: (\d+)K$", dmesg, re.MULTILINE | re.ASCII)
    return sum(map(int, kib)) >> PAGE_SHIFT - 10
