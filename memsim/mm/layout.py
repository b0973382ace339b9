"""Where a PC's RAM lies, which node has which part of it, and what the kernel keeps for itself.

There is a hole at 640 KiB, RAM up to 3 GiB, a hole for devices, and the rest from 4 GiB on. Nodes
follow each other in that order. Ranges are pfns [start, end).

NOT MODELLED: memblock. What a real kernel keeps is described here, not computed: 40 MiB (an eighth
of small machines) from 16 MiB on, and the struct pages of each node at that node's end.
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.lib.bits import PAGE_SHIFT, nr_pages_of
from memsim.words.arch import Arch

_MIB = 1 << 20
_GIB = 1 << 30
_HOLE_START = 0x9F
_HOLE_END = 0x100
LOW_RAM_END = 3 * _GIB >> PAGE_SHIFT
_HIGH_RAM_START = 4 * _GIB >> PAGE_SHIFT
_KERNEL_START = 16 * _MIB >> PAGE_SHIFT

Range = tuple[int, int]


class NodeRange(NamedTuple):
    """A range of RAM, and the NUMA node it belongs to."""

    nid: int
    start_pfn: int
    end_pfn: int


def ram_ranges(nr_pages: int) -> list[Range]:
    """Where nr_pages of RAM lie. pfn 0 belongs to the firmware."""
    low_end = min(nr_pages, LOW_RAM_END)
    ranges = [(1, _HOLE_START), (_HOLE_END, low_end)]
    if nr_pages > low_end:
        ranges.append((_HIGH_RAM_START, _HIGH_RAM_START + nr_pages - low_end))
    return ranges


def node_ranges(node_pages: list[int]) -> list[NodeRange]:
    """Where the RAM of each node lies; node_pages[nid] is what that node has.

    pfn 0 and the hole at 640 KiB are taken from node 0.
    """
    ranges: list[NodeRange] = []
    behind = 0
    for nid, nr_pages in enumerate(node_pages):
        before, behind = behind, behind + nr_pages
        for start, end in ram_ranges(sum(node_pages)):
            gap = _HIGH_RAM_START - LOW_RAM_END if start >= _HIGH_RAM_START else 0
            first, last = max(start, before + gap), min(end, behind + gap)
            if first < last:
                ranges.append(NodeRange(nid, first, last))
    return ranges


def free_ranges(ranges: list[NodeRange], arch: Arch) -> list[Range]:
    """RAM without what the kernel keeps."""
    free = [(r.start_pfn, r.end_pfn) for r in ranges]
    for kept in _kept(ranges, arch):
        free = [part for range_ in free for part in _without(range_, kept)]
    return free


def _kept(ranges: list[NodeRange], arch: Arch) -> list[Range]:
    """The kernel's image, and each node's struct pages."""
    nr_pages = sum(r.end_pfn - r.start_pfn for r in ranges)
    image_pages = min(40 * _MIB >> PAGE_SHIFT, nr_pages // 8)
    kept = [(_KERNEL_START, _KERNEL_START + image_pages)]
    for nid in sorted({r.nid for r in ranges}):
        own = [r for r in ranges if r.nid == nid]
        kept.append(_memmap(own, arch))
    return kept


def _memmap(own: list[NodeRange], arch: Arch) -> Range:
    """A node's struct pages: at its end, or, with HIGHMEM, at the end of what has an address."""
    nr_pages = sum(r.end_pfn - r.start_pfn for r in own)
    lowmem_end = arch.max_zone_pfns[arch.ZONE_NORMAL]
    last = [r for r in own if r.start_pfn < lowmem_end][-1]
    end = min(last.end_pfn, lowmem_end)
    return max(last.start_pfn, end - nr_pages_of(nr_pages * arch.sizeof_struct_page)), end


def _without(range_: Range, kept: Range) -> list[Range]:
    """What is left of a range."""
    (start, end), (kept_start, kept_end) = range_, kept
    parts = [(start, min(end, kept_start)), (max(start, kept_end), end)]
    return [(first, last) for first, last in parts if first < last]
