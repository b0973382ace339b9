"""What lesson 06 runs more than once: the zone table, a machine short of memory, recorded masks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from memsim.machine import Machine
from memsim.mm.page_alloc.watermark import zone_watermark_fast
from memsim.mm.vmstat import low_wmark_pages
from memsim.words import gfp
from memsim.words.arch import X86_64, Arch
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_MEMALLOC,
    __GFP_NOWARN,
    GFP_ATOMIC,
    GFP_DMA,
    GFP_DMA32,
    GFP_KERNEL,
    GFP_NOWAIT,
    gfp_zone,
    parse_gfp_flags,
)

#: The watermark min of the machine that is short of memory, in pages; low is 1250, high 1500.
MIN = 1000
#: Up to so many of its pages are left free.
MAX_FREE = 1600

#: The bits by what they are about, in the order of include/linux/gfp_types.h.
GROUPS = {
    "Zone": ("DMA", "HIGHMEM", "DMA32", "MOVABLE"),
    "Mobility, placement": ("RECLAIMABLE", "WRITE", "HARDWALL", "THISNODE", "ACCOUNT"),
    "Watermark": ("HIGH", "MEMALLOC", "NOMEMALLOC"),
    "Reclaim": (
        "IO", "FS", "DIRECT_RECLAIM", "KSWAPD_RECLAIM", "RETRY_MAYFAIL", "NOFAIL", "NORETRY",
    ),
    "Action": ("NOWARN", "COMP", "ZERO"),
}  # fmt: skip
#: Each bit by its name without __GFP_.
BITS: dict[str, int] = {
    name: getattr(gfp, f"__GFP_{name}") for names in GROUPS.values() for name in names
}
#: Masks by how deep they go, those that stop first in front; … is GFP_KERNEL.
ASKERS: dict[str, int] = {
    "GFP_KERNEL": GFP_KERNEL,
    "GFP_NOWAIT": GFP_NOWAIT,
    "… | __GFP_HIGH": GFP_KERNEL | BITS["HIGH"],
    "GFP_ATOMIC | NOMEMALLOC": GFP_ATOMIC | BITS["NOMEMALLOC"],
    "GFP_ATOMIC": GFP_ATOMIC,
    "… | __GFP_MEMALLOC": GFP_KERNEL | BITS["MEMALLOC"],
}
#: What gfp_zone() says where GFP_ZONE_BAD has a bit.
FORBIDDEN = "forbidden"


class ZoneRow(NamedTuple):
    """One value of the four zone bits: their names, and the highest zone they allow."""

    bits: int
    names: str
    zone: str


def zone_table(arch: Arch = X86_64) -> list[ZoneRow]:
    """gfp_zone() for all 16 values of the zone bits."""
    return [ZoneRow(bits, _bit_names(bits), zone_name(bits, arch)) for bits in range(16)]


def _bit_names(bits: int) -> str:
    return " ".join(name for name in GROUPS["Zone"] if bits & BITS[name]) or "none"


def zone_name(gfp_mask: int, arch: Arch = X86_64) -> str:
    """The highest zone that a mask allows, or FORBIDDEN."""
    idx = gfp_zone(gfp_mask, arch)
    return FORBIDDEN if idx < 0 else arch.zone_names[idx]


def refusal(gfp_mask: int) -> str:
    """What a caller of alloc_pages() is told who asks with a forbidden mask; "" for others."""
    try:
        Machine("16 MiB").alloc_pages(gfp_mask)
    except BadRequest as error:
        return str(error)
    return ""


class Answer(NamedTuple):
    """What one request got: did it get a page, and in which attempt?"""

    served: bool
    attempt: str


def at_level(free: int) -> Machine:
    """A machine with so many free pages, all of them in zone DMA32, whose min is MIN."""
    machine = Machine("64 MiB", pcp=False, min_free_kbytes=5600)
    _leave_free(machine, "DMA", GFP_DMA, 0)
    _leave_free(machine, "DMA32", GFP_DMA32, free)
    machine.vmstat_update()  # this CPU's counts are added to the zones'
    return machine


def _leave_free(machine: Machine, zone: str, gfp_mask: int, pages: int) -> None:
    """Take blocks, each as large as it may be, until so many pages of the zone are free."""
    while (too_many := free_pages(machine, zone) - pages) > 0:
        largest = max(order for order, blocks in enumerate(machine.nr_free(zone)) if blocks)
        order = min(largest, too_many.bit_length() - 1)
        machine.alloc_pages(gfp_mask | __GFP_MEMALLOC | __GFP_NOWARN, order)


def free_pages(machine: Machine, zone: str) -> int:
    """Pages on the free lists of a zone."""
    return sum(blocks << order for order, blocks in enumerate(machine.nr_free(zone)))


def ask(machine: Machine, gfp_mask: int) -> Answer:
    """One page with this mask; afterwards the machine is as it was."""
    attempt = attempt_of(machine, gfp_mask)
    try:
        machine.alloc_pages(gfp_mask | __GFP_NOWARN)
    except PageAllocationFailure:
        return Answer(False, attempt)
    machine.undo()
    return Answer(True, attempt)


def attempt_of(machine: Machine, gfp_mask: int) -> str:
    """Which attempt a request for one page comes to: the fast path needs the low watermark."""
    zone = machine.zone("DMA32")
    if zone_watermark_fast(zone, 0, low_wmark_pages(zone), gfp_zone(gfp_mask), 0):
        return "fast path"
    return "slow path"


def last_served(gfp_mask: int) -> int:
    """The lowest number of free pages with which a request for one page still gets it."""
    low, high = 0, MAX_FREE
    while low < high:
        middle = (low + high) // 2
        if ask(at_level(middle), gfp_mask).served:
            high = middle
        else:
            low = middle + 1
    return low


def recorded_masks(text: str) -> dict[str, int]:
    """Rows of "count, mask" as `sort | uniq -c` writes them: how often each mask was used."""
    rows = (line.split() for line in text.splitlines() if line.strip())
    return {mask: int(count) for count, mask in rows}


def may_sleep(masks: Iterable[str]) -> list[str]:
    """Those masks whose owners may sleep. Kernel: include/linux/gfp.h gfpflags_allow_blocking()."""
    return [mask for mask in masks if parse_gfp_flags(mask) & __GFP_DIRECT_RECLAIM]
