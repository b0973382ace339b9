"""What lesson 04 runs more than once: a request is watched on its walk, zones are filled."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from memsim.machine import Machine
from memsim.mm.mmzone import Zone
from memsim.mm.page_alloc.rmqueue import rmqueue
from memsim.mm.page_alloc.watermark import (
    _zone_watermark_unusable_free,
    min_for_reserves,
    zone_watermark_fast,
)
from memsim.mm.page_alloc.zone_walk import (
    AllocContext,
    _zone_has_room,
    get_page_from_freelist,
    node_zonelist,
)
from memsim.mm.vmstat import low_wmark_pages, wmark_pages, zone_page_state
from memsim.words.alloc_flags import (
    ALLOC_NO_WATERMARKS,
    ALLOC_NOFRAGMENT,
    ALLOC_RESERVES,
    ALLOC_WMARK_LOW,
    ALLOC_WMARK_MASK,
)
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE, GFP_ZONEMASK, gfp_zone, show_gfp_flags
from memsim.words.mmzone import (
    HPAGE_PMD_ORDER,
    NR_FREE_PAGES,
    NR_PAGE_ORDERS,
    NULL,
    NUMA_FOREIGN,
    NUMA_HIT,
    NUMA_MISS,
    WMARK_NAMES,
    ZONELIST_FALLBACK,
)

#: The counters that lesson 04 reads, and their index.
COUNTERS = {"numa_hit": NUMA_HIT, "numa_miss": NUMA_MISS, "numa_foreign": NUMA_FOREIGN}


def zone_label(zone: Zone) -> str:
    """A zone as /proc/zoneinfo names it: "node 0 DMA32"."""
    return f"node {zone.node} {zone.name}"


class Look(NamedTuple):
    """A zone that the walk asked. Pages: those the request can use, and how many there must be.

    `pfn` is what the zone gave, -1 for nothing.
    """

    zone: Zone
    order: int
    usable: int
    needed: int
    has_room: bool
    pfn: int = NULL

    def __str__(self) -> str:
        if self.pfn != NULL:
            return f"gives pfn {self.pfn}"
        if self.has_room:
            return "has room, but only in pageblocks of other types"
        if self.usable <= self.needed:
            return f"refuses: {self.usable} free, more than {self.needed} needed"
        return f"refuses: {self.usable} free, but no block of order {self.order} or more"


class Pass(NamedTuple):
    """One walk over the zonelist, with these alloc_flags."""

    alloc_flags: int
    looks: list[Look]

    @property
    def mark(self) -> str:
        """The watermark that this pass keeps to, and whether it keeps migratetypes apart."""
        if self.alloc_flags & ALLOC_NO_WATERMARKS:
            return "no watermark"
        mark = WMARK_NAMES[self.alloc_flags & ALLOC_WMARK_MASK]
        return f"{mark}, ALLOC_NOFRAGMENT" if self.alloc_flags & ALLOC_NOFRAGMENT else mark


class Walk(NamedTuple):
    """A request and all passes that it took; pfn is -1 where every zone refused."""

    gfp_mask: int
    order: int
    nid: int
    passes: list[Pass]
    pfn: int

    @property
    def zone(self) -> Zone | None:
        """The zone that gave the page."""
        return next((look.zone for p in self.passes for look in p.looks if look.pfn != NULL), None)

    def __str__(self) -> str:
        lines = [f"{show_gfp_flags(self.gfp_mask)}, order {self.order}, from node {self.nid}"]
        for number, p in enumerate(self.passes, 1):
            lines.append(f"pass {number}, {p.mark}:")
            lines += [f"  {zone_label(look.zone)} {look}" for look in p.looks]
        return "\n".join(lines if self.zone else [*lines, "page allocation failure"])


def send(machine: Machine, gfp_mask: int, order: int = 0, nid: int = 0) -> Walk:
    """A request from a CPU of that node, watched. What it gets is allocated.

    Nothing is computed a second time: the walk is what the model's own functions were given and
    what they returned.
    """
    passes: list[Pass] = []
    cpu = machine.vm.cpu_to_node.index(nid)
    with _watching(passes):
        try:
            pfn = machine.alloc_pages(gfp_mask, order, cpu=cpu, nid=nid)
        except PageAllocationFailure:
            pfn = NULL
    return Walk(gfp_mask, order, nid, passes, pfn)


@contextmanager
def _watching(passes: list[Pass]) -> Iterator[None]:
    """Notes each pass when it begins, and each zone's answers when they are given."""

    def profile(frame: FrameType, event: str, result: object) -> None:
        function, given = frame.f_code, frame.f_locals
        if event == "call" and function is get_page_from_freelist.__code__:
            passes.append(Pass(given["alloc_flags"], []))
        elif event == "return" and function is _zone_has_room.__code__:
            look = _look(given["zone"], given["order"], given["alloc_flags"], given["ac"])
            passes[-1].looks.append(look._replace(has_room=result is True))
        elif event == "return" and function is rmqueue.__code__ and isinstance(result, int):
            passes[-1].looks[-1] = passes[-1].looks[-1]._replace(pfn=result)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)


def _look(zone: Zone, order: int, alloc_flags: int, ac: AllocContext) -> Look:
    """The numbers that _zone_has_room() compares."""
    mark = wmark_pages(zone, alloc_flags & ALLOC_WMARK_MASK)
    if alloc_flags & ALLOC_RESERVES:
        mark = min_for_reserves(mark, alloc_flags)
    free = zone_page_state(zone, NR_FREE_PAGES)
    usable = free - _zone_watermark_unusable_free(zone, order, alloc_flags)
    return Look(zone, order, usable, mark + zone.lowmem_reserve[ac.highest_zoneidx], False)


def zonelist(machine: Machine, gfp_mask: int, nid: int = 0) -> list[str]:
    """The zones that a request may use, in order. BadRequest for zone bits that exclude others."""
    highest = gfp_zone(gfp_mask, machine.vm.arch)
    if highest < 0:
        raise BadRequest(f"zone bits {gfp_mask & GFP_ZONEMASK:#x} exclude each other")
    return [zone_label(zone) for zone in node_zonelist(machine.vm, nid, gfp_mask, highest)]


def fill(machine: Machine, nr_zones: int, nid: int = 0) -> None:
    """Programs of a node use up so many zones of its zonelist, down to the low mark.

    They ask as page faults do, GFP_HIGHUSER_MOVABLE, in blocks as large as there are.
    """
    full = machine.vm.nodes[nid].node_zonelists[ZONELIST_FALLBACK][:nr_zones]
    for order in reversed(range(NR_PAGE_ORDERS)):
        if order == HPAGE_PMD_ORDER:  # a pcp list fetches two such blocks: far below the mark
            continue
        while any(_above_low(zone, order) for zone in full):
            machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order, nid=nid)


def _above_low(zone: Zone, order: int) -> bool:
    """Would the first pass of a GFP_HIGHUSER_MOVABLE request find room?"""
    highest = gfp_zone(GFP_HIGHUSER_MOVABLE, zone.vm.arch)
    return zone_watermark_fast(zone, order, low_wmark_pages(zone), highest, ALLOC_WMARK_LOW)


def counters(zones: Iterable[Zone]) -> list[tuple[str, dict[str, int]]]:
    """Each zone's name, and what its NUMA counters say."""
    return [
        (zone_label(zone), {name: zone.vm_numa_event[item] for name, item in COUNTERS.items()})
        for zone in zones
    ]
