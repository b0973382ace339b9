"""Which page frames of a PC are RAM, zone by zone; and what they are at boot."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from memsim.lib.bits import PAGE_SHIFT, clamp
from memsim.lib.sizes import parse_size
from memsim.mm.layout import Range, free_ranges, node_ranges
from memsim.words.arch import X86_64

#: No RAM; RAM that the kernel keeps for itself; RAM that the buddy system is given at boot.
HOLE, KEPT, GIVEN = range(3)
KIND_NAMES = (
    "a hole: no RAM here",
    "RAM that the kernel keeps",
    "RAM, given to the buddy system",
)


class Span(NamedTuple):
    """Page frames start to before end, all of one kind."""

    start: int
    end: int
    kind: int


class ZoneMap(NamedTuple):
    """A zone's page frames, holes included: spanned_pages is end - start."""

    name: str
    start: int
    end: int
    spans: list[Span]

    def nr_pages(self, *kinds: int) -> int:
        """Page frames of these kinds."""
        return sum(span.end - span.start for span in self.spans if span.kind in kinds)


def ram_map(ram: list[Range], free: list[Range]) -> list[ZoneMap]:
    """The zones of one node, from ranges [start, end) of RAM and of what is free at boot.

    Kernel: arch/x86/mm/init.c zone_sizes_init(), mm/mm_init.c zone_spanned_pages_in_node()
    """
    borders = pairwise((0, *X86_64.max_zone_pfns))
    zones = []
    for name, (low, high) in zip(X86_64.zone_names, borders, strict=False):
        start, end = clamp(ram[0][0], low, high), clamp(ram[-1][1], low, high)
        if start < end:
            zones.append(ZoneMap(name, start, end, _spans(start, end, ram, free)))
    return zones


def pc_ram_map(ram: int | str) -> list[ZoneMap]:
    """The zones of a PC with this much RAM (bytes or "1 GiB"), as memsim boots it."""
    ranges = node_ranges([parse_size(ram) >> PAGE_SHIFT])
    return ram_map([(r.start_pfn, r.end_pfn) for r in ranges], free_ranges(ranges, X86_64))


def _spans(start: int, end: int, ram: list[Range], free: list[Range]) -> list[Span]:
    """[start, end) cut where the kind of page changes."""
    cuts = {start, end, *(pfn for pages in (*ram, *free) for pfn in pages if start < pfn < end)}
    spans: list[Span] = []
    for low, high in pairwise(sorted(cuts)):
        kind = GIVEN if _is_in(low, free) else KEPT if _is_in(low, ram) else HOLE
        if spans and spans[-1].kind == kind:
            low = spans.pop().start
        spans.append(Span(low, high, kind))
    return spans


def _is_in(pfn: int, ranges: list[Range]) -> bool:
    return any(start <= pfn < end for start, end in ranges)


def find_span(zones: list[ZoneMap], pfn: int) -> tuple[ZoneMap, Span] | None:
    """The zone and the span that hold a page frame; None where there is no zone."""
    for zone in zones:
        for span in zone.spans:
            if span.start <= pfn < span.end:
                return zone, span
    return None
