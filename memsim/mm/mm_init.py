"""Boot: nodes and zones from ranges of RAM, every free page to the buddy allocator, then marks.

What is free is told: by a description, or by memblock (setup_arch.py). NOT MODELLED: the order in
which deferred struct pages are initialised. Blocks go to the tails, in ascending order.

Kernel: mm/mm_init.c free_area_init(), mm/memblock.c __free_pages_memory()
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.lib.bits import PAGE_SHIFT, align_up, clamp, nr_pages_of
from memsim.mm.cma_area import cma_init_reserved_areas
from memsim.mm.khugepaged import hugepage_init
from memsim.mm.layout import NodeRange, Range
from memsim.mm.mmzone import (
    PglistData,
    Vm,
    Zone,
    get_pageblock_migratetype,
    populated_zones,
    zone_spans_pfn,
)
from memsim.mm.movable import find_usable_zone_for_movable
from memsim.mm.page_alloc.buddy import _free_one_page, free_one_page
from memsim.mm.page_alloc.free_list import del_page_from_free_list
from memsim.mm.page_alloc.pageblock import move_freepages_block_isolate
from memsim.mm.page_alloc.setup import init_per_zone_wmark_min, setup_pcp_cacheinfo
from memsim.mm.page_alloc.zonelist import build_all_zonelists
from memsim.mm.vmstat import fold_zone_diffs, refresh_zone_stat_thresholds
from memsim.words.mmzone import (
    FPI_NONE,
    FPI_TO_TAIL,
    MAX_PAGE_ORDER,
    MIGRATE_MOVABLE,
    NR_FREE_PAGES,
    PAGES_PER_SECTION,
)


class Memory(NamedTuple):
    """What the firmware and the command line say: RAM by node, what of it is free, ZONE_MOVABLE.

    movable_pfn: the first pfn of ZONE_MOVABLE by node; see movable.py. from_firmware: ram has all
    of the firmware's holes.
    """

    ram: list[NodeRange]
    free: list[Range]
    movable_pfn: dict[int, int]
    from_firmware: bool = False


def free_area_init(vm: Vm, memory: Memory) -> None:
    """Make every node's zones, empty ones too.

    Kernel: mm/mm_init.c free_area_init()
    """
    vm.movable_zone = find_usable_zone_for_movable(memory.ram, vm.arch)
    for nid in range(1 + max(r.nid for r in memory.ram)):
        pgdat = PglistData(nid, vm.arch.MAX_NR_ZONES)
        vm.nodes.append(pgdat)
        for idx, name in enumerate(vm.arch.zone_names):
            zone = Zone(vm, len(vm.zones), nid, idx, name)
            vm.zones.append(zone)
            pgdat.node_zones.append(zone)
            _calculate_pages(zone, memory)


def _calculate_pages(zone: Zone, memory: Memory) -> None:
    """Let the zone span its part of the node, with the holes in it.

    Kernel: mm/mm_init.c calculate_node_totalpages(), zone_spanned_pages_in_node()
    """
    ram = [r for r in memory.ram if r.nid == zone.node]
    start, end = _zone_borders(zone, memory)
    start = clamp(start, ram[0].start_pfn, ram[-1].end_pfn)
    end = clamp(end, ram[0].start_pfn, ram[-1].end_pfn)
    present = sum(max(0, min(r.end_pfn, end) - max(r.start_pfn, start)) for r in ram)
    if present:
        zone.zone_start_pfn, zone.zone_end_pfn = start, end
        zone.spanned_pages, zone.present_pages = end - start, present
        _movable_pageblocks(zone, memory)


def _zone_borders(zone: Zone, memory: Memory) -> Range:
    """Between which pfns a zone of this type may lie on its node.

    Kernel: arch/x86/mm/init.c zone_sizes_init(), mm/mm_init.c adjust_zone_range_for_zone_movable()
    """
    arch = zone.vm.arch
    borders = (0, *arch.max_zone_pfns)
    movable_pfn = memory.movable_pfn.get(zone.node, borders[-1])
    if zone.idx == arch.ZONE_MOVABLE:
        return movable_pfn, borders[zone.vm.movable_zone + 1]
    if zone.idx == arch.ZONE_DEVICE:
        return 0, 0
    return min(borders[zone.idx], movable_pfn), min(borders[zone.idx + 1], movable_pfn)


def _movable_pageblocks(zone: Zone, memory: Memory) -> None:
    """Make pageblocks MOVABLE; with from_firmware only those whose first page is RAM.

    Others stay UNMOVABLE: so does the first one of a PC, as page 0 is the firmware's.
    NOT MODELLED: that it is so without from_firmware too.
    Kernel: mm/mm_init.c memmap_init_range()
    """
    order, zone_end = zone.vm.pageblock_order, zone.zone_end_pfn
    ranges = [(zone.zone_start_pfn >> order << order, zone_end)]
    if memory.from_firmware:
        ranges = [(r.start_pfn, r.end_pfn) for r in memory.ram if r.nid == zone.node]
    for start, end in ranges:
        start, end = max(start, zone.zone_start_pfn >> order << order), min(end, zone_end)
        first, behind = -(-start >> order), -(-end >> order)
        if first < behind:
            zone.pageblock[first:behind] = bytes((MIGRATE_MOVABLE,)) * (behind - first)


def memblock_free_all(vm: Vm, free_ranges: list[Range]) -> None:
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


def memblock_free_late(vm: Vm, base: int, size: int) -> None:
    """Give the whole pages of bytes [base, base + size) to the buddy allocator, after all others.

    Kernel: mm/memblock.c memblock_free_late()
    """
    for pfn in range(nr_pages_of(base), base + size >> PAGE_SHIFT):
        for zone in populated_zones(vm):
            if zone_spans_pfn(zone, pfn):
                free_one_page(zone, pfn, 0, FPI_TO_TAIL)
                zone.managed_pages += 1


def _free_pages_memory(zone: Zone, start: int, end: int) -> None:
    """Free [start, end) block by block; a long run of largest blocks is deferred."""
    while start < end:
        if start % (1 << MAX_PAGE_ORDER) == 0 and _defer(zone, start, end):
            start = zone.deferred_end
            continue
        order = MAX_PAGE_ORDER if not start else (start & -start).bit_length() - 1
        order = min(order, MAX_PAGE_ORDER, (end - start).bit_length() - 1)
        migratetype = get_pageblock_migratetype(zone, start)
        _free_one_page(zone, start, order, migratetype, FPI_TO_TAIL)
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


def boot(vm: Vm, memory: Memory, transparent_hugepage: bool) -> None:
    """The steps of start_kernel() that make the allocator what it is, in the kernel's order.

    Kernel: init/main.c start_kernel(), kernel_init_freeable()
    """
    free_area_init(vm, memory)
    build_all_zonelists(vm)
    vm.system_ram = memory.free
    memblock_free_all(vm, memory.free)
    smp_init(vm, memory.free)
    cma_init_reserved_areas(vm)
    init_per_zone_wmark_min(vm)
    setup_pcp_cacheinfo(vm)
    hugepage_init(vm, transparent_hugepage)


def smp_init(vm: Vm, free_ranges: list[Range]) -> None:
    """The other CPUs come up, while most struct pages of each node's last zone are still deferred.

    So percpu_drift_mark is set before there is any watermark, and a zone that is large in the end
    keeps it. Kernel: kernel/smp.c smp_init(), mm/vmstat.c vmstat_cpu_online()
    """
    if vm.nr_cpus == 1:
        return
    managed = [zone.managed_pages for zone in vm.zones]
    for zone in populated_zones(vm):
        end = first_deferred_pfn(zone)
        zone.managed_pages = sum(
            max(0, min(last, end) - max(first, zone.zone_start_pfn)) for first, last in free_ranges
        )
    refresh_zone_stat_thresholds(vm)
    for zone, managed_pages in zip(vm.zones, managed, strict=True):
        zone.managed_pages = managed_pages


def first_deferred_pfn(zone: Zone) -> int:
    """Where struct pages are left for later: behind one section of a node's last zone.

    Kernel: mm/mm_init.c defer_init()
    """
    above = [z for z in zone.vm.nodes[zone.node].node_zones if z.zone_end_pfn > zone.zone_end_pfn]
    if above or not zone.vm.arch.deferred_struct_page_init:
        return zone.zone_end_pfn
    first = align_up(zone.zone_start_pfn + PAGES_PER_SECTION, PAGES_PER_SECTION)
    return min(first, zone.zone_end_pfn)


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
