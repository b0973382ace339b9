"""Boot: nodes and zones from ranges of RAM, and every free page handed to the buddy allocator.

NOT MODELLED: memblock (what the kernel itself keeps is described, not computed), and the order in
which deferred struct pages are initialised. Blocks go to the tails, in ascending order.

Kernel: mm/mm_init.c free_area_init(), mm/memblock.c __free_pages_memory()
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.mm.mmzone import PglistData, Vm, Zone, populated_zones, zone_spans_pfn
from memsim.mm.page_alloc.buddy import _free_one_page, free_one_page
from memsim.mm.page_alloc.free_list import del_page_from_free_list
from memsim.mm.page_alloc.pageblock import move_freepages_block_isolate
from memsim.mm.page_alloc.setup import init_per_zone_wmark_min
from memsim.mm.page_alloc.zonelist import build_zonelists
from memsim.mm.vmstat import fold_zone_diffs
from memsim.words.mmzone import (
    FPI_NONE,
    FPI_TO_TAIL,
    MAX_PAGE_ORDER,
    MIGRATE_MOVABLE,
    NR_FREE_PAGES,
    PAGE_SHIFT,
    ZONE_NAMES,
    ZONE_NORMAL,
)

#: First pfn behind each zone on x86-64: 16 MiB, 4 GiB.
MAX_DMA_PFN = (16 << 20) >> PAGE_SHIFT
MAX_DMA32_PFN = (4 << 30) >> PAGE_SHIFT


class ZoneRange(NamedTuple):
    """A zone to be: node, zone index, first pfn, and the pfn behind its last."""

    nid: int
    idx: int
    start_pfn: int
    end_pfn: int


def zone_ranges_of_ram(nid: int, start_pfn: int, end_pfn: int) -> list[ZoneRange]:
    """The zones that a range of RAM falls into on x86-64.

    Kernel: arch/x86/mm/init.c zone_sizes_init()
    """
    borders = (0, MAX_DMA_PFN, MAX_DMA32_PFN, 1 << 62)
    ranges = []
    for idx in range(ZONE_NORMAL + 1):
        start, end = max(start_pfn, borders[idx]), min(end_pfn, borders[idx + 1])
        if start < end:
            ranges.append(ZoneRange(nid, idx, start, end))
    return ranges


def free_area_init(vm: Vm, nr_nodes: int, ranges: list[ZoneRange]) -> None:
    """Make every node's zones; a zone spans all its ranges, pages between them are holes.

    Kernel: mm/mm_init.c free_area_init()
    """
    for nid in range(nr_nodes):
        pgdat = PglistData(nid)
        vm.nodes.append(pgdat)
        for idx, name in enumerate(ZONE_NAMES):
            zone = Zone(vm, len(vm.zones), nid, idx, name)
            vm.zones.append(zone)
            pgdat.node_zones.append(zone)
            own = [r for r in ranges if (r.nid, r.idx) == (nid, idx)]
            if own:
                _span(zone, own)


def _span(zone: Zone, ranges: list[ZoneRange]) -> None:
    zone.zone_start_pfn = min(r.start_pfn for r in ranges)
    zone.zone_end_pfn = max(r.end_pfn for r in ranges)
    zone.spanned_pages = zone.zone_end_pfn - zone.zone_start_pfn
    zone.present_pages = sum(r.end_pfn - r.start_pfn for r in ranges)
    first = zone.zone_start_pfn >> zone.vm.pageblock_order
    last = zone.zone_end_pfn - 1 >> zone.vm.pageblock_order
    zone.pageblock[first : last + 1] = bytes((MIGRATE_MOVABLE,)) * (last + 1 - first)


def memblock_free_all(vm: Vm, free_ranges: list[tuple[int, int]]) -> None:
    """Give ranges of pages [start, end) to the buddy allocator, in the largest aligned blocks.

    Kernel: mm/memblock.c free_low_memory_core_early(), __free_pages_memory()
    """
    for start, end in sorted(free_ranges):
        for zone in populated_zones(vm):
            low, high = max(start, zone.zone_start_pfn), min(end, zone.zone_end_pfn)
            if low < high:
                _free_pages_memory(zone, low, high)
                zone.managed_pages += high - low
    for zone in vm.zones:
        fold_zone_diffs(zone, vm.cpu)


def _free_pages_memory(zone: Zone, start: int, end: int) -> None:
    """Free [start, end) block by block; a long run of largest blocks is deferred."""
    while start < end:
        if start % (1 << MAX_PAGE_ORDER) == 0 and _defer(zone, start, end):
            start = zone.deferred_end
            continue
        order = MAX_PAGE_ORDER if not start else (start & -start).bit_length() - 1
        order = min(order, MAX_PAGE_ORDER, (end - start).bit_length() - 1)
        _free_one_page(zone, start, order, MIGRATE_MOVABLE, FPI_TO_TAIL)
        start += 1 << order


def _defer(zone: Zone, start: int, end: int) -> bool:
    """Leave the largest blocks of [start, end) unlisted but the first; see free_list.py.

    A zone has one such run, its last: blocks freed behind it follow it on the list.
    """
    last = end >> MAX_PAGE_ORDER << MAX_PAGE_ORDER
    first_deferred = start + (1 << MAX_PAGE_ORDER)
    if last <= first_deferred:
        return False
    _free_one_page(zone, start, MAX_PAGE_ORDER, MIGRATE_MOVABLE, FPI_TO_TAIL)
    zone.deferred_pfn, zone.deferred_end = first_deferred, last
    nr_pages = last - first_deferred
    zone.free_area[MAX_PAGE_ORDER].nr_free += nr_pages >> MAX_PAGE_ORDER
    zone.vm_stat[NR_FREE_PAGES] += nr_pages
    return True


def boot(vm: Vm, nr_nodes: int, ranges: list[ZoneRange], free: list[tuple[int, int]]) -> None:
    """Zones from ranges of RAM, zonelists, free pages, then watermarks and pcp limits.

    free: the ranges [start, end) that the kernel does not keep for itself.
    """
    free_area_init(vm, nr_nodes, ranges)
    memblock_free_all(vm, free)
    build_zonelists(vm)
    init_per_zone_wmark_min(vm)


def init_cma_reserved_pageblock(vm: Vm, start: int) -> None:
    """Turn a pageblock that is wholly free into MIGRATE_CMA, and free it once more.

    So it merges with its buddy if that is CMA already. NOT MODELLED: the pcp list on its way.
    Kernel: mm/mm_init.c init_cma_reserved_pageblock()
    """
    for zone in populated_zones(vm):
        if zone_spans_pfn(zone, start):
            move_freepages_block_isolate(zone, start, vm.MIGRATE_CMA)
            del_page_from_free_list(zone, start, vm.pageblock_order, vm.MIGRATE_CMA)
            free_one_page(zone, start, vm.pageblock_order, FPI_NONE)
