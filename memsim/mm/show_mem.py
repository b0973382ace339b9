"""What the kernel logs when a request fails: warn_alloc() and show_mem(), in its own layout.

NOT MODELLED: the stack, hugetlb, swap, and every counter that the page allocator does not own
(LRU lists, slab, page tables): those are printed as 0.

Kernel: mm/page_alloc.c warn_alloc(), mm/show_mem.c
"""

from __future__ import annotations

from memsim.mm.mmzone import PglistData, Vm, Zone, is_highmem, populated_zones
from memsim.mm.page_alloc.free_list import free_area_empty
from memsim.mm.vmstat import high_wmark_pages, low_wmark_pages, min_wmark_pages
from memsim.words.gfp import __GFP_DMA, __GFP_NOWARN, gfp_zone, show_gfp_flags
from memsim.words.mmzone import (
    MAX_RECLAIM_RETRIES,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
    NR_PAGE_ORDERS,
    PAGE_SHIFT,
    ZONE_DMA,
    ZONE_STAT_ITEMS,
)


def K(pages: int) -> int:
    """Pages in KiB. Kernel: mm/internal.h K()."""
    return pages << (PAGE_SHIFT - 10)


def allocation_failure_report(vm: Vm, gfp_mask: int, order: int, comm: str) -> str:
    """Everything that a failed request logs. Kernel: warn_alloc(), __show_mem()."""
    return failure_report(vm, gfp_mask, f"page allocation failure: order:{order}", comm)


def warns(vm: Vm, gfp_mask: int) -> bool:
    """Is the failure logged? Not with __GFP_NOWARN, nor for ZONE_DMA where there is none.

    NOT MODELLED: that it is logged once in ten seconds only. Kernel: mm/page_alloc.c warn_alloc()
    """
    if gfp_mask & __GFP_NOWARN:
        return False
    return not gfp_mask & __GFP_DMA or has_managed_dma(vm)


def has_managed_dma(vm: Vm) -> bool:
    """Has any node pages in ZONE_DMA? Kernel: mm/page_alloc.c has_managed_dma()."""
    return any(pgdat.node_zones[ZONE_DMA].managed_pages for pgdat in vm.nodes)


def warn_alloc(vm: Vm, gfp_mask: int, what: str) -> None:
    """Log a failure of vmalloc(), if it is worth a word. Kernel: mm/page_alloc.c warn_alloc()."""
    if warns(vm, gfp_mask):
        vm.vmalloc.log.append(failure_report(vm, gfp_mask, what, "memsim"))


def failure_report(vm: Vm, gfp_mask: int, what: str, comm: str) -> str:
    """What failed, and the state of all zones."""
    nodes = ",".join(str(pgdat.nid) for pgdat in vm.nodes)
    lines = [
        f"{comm}: {what}, "
        f"mode:{gfp_mask:#x}({show_gfp_flags(gfp_mask)}), nodemask=(null),"
        f"cpuset=/,mems_allowed={nodes if len(vm.nodes) == 1 else f'0-{len(vm.nodes) - 1}'}",
        "Mem-Info:",
    ]
    return "\n".join(lines + show_free_areas(vm, gfp_zone(gfp_mask, vm.arch)) + _totals(vm)) + "\n"


def show_free_areas(vm: Vm, max_zone_idx: int) -> list[str]:
    """Counters of all, of each node and zone, and free blocks by order.

    Kernel: mm/show_mem.c show_free_areas()
    """
    zones = [zone for zone in populated_zones(vm) if zone.idx <= max_zone_idx]
    lines = _global_lines(zones)
    lines += [_node_line(pgdat) for pgdat in vm.nodes if any(z in zones for z in pgdat.node_zones)]
    for zone in zones:
        lines += _zone_lines(zone)
    return lines + [_free_blocks_line(zone) for zone in zones]


def _free_pcp(zone: Zone) -> int:
    return sum(pcp.count for pcp in zone.per_cpu_pageset)


def _global_lines(zones: list[Zone]) -> list[str]:
    free = sum(max(zone.vm_stat[NR_FREE_PAGES], 0) for zone in zones)
    free_cma = sum(max(zone.vm_stat[NR_FREE_CMA_PAGES], 0) for zone in zones)
    return [
        "active_anon:0 inactive_anon:0 isolated_anon:0",
        " active_file:0 inactive_file:0 isolated_file:0",
        " unevictable:0 dirty:0 writeback:0",
        " slab_reclaimable:0 slab_unreclaimable:0",
        " mapped:0 shmem:0 pagetables:0",
        " sec_pagetables:0 bounce:0",
        " kernel_misc_reclaimable:0",
        f" free:{free} free_pcp:{sum(map(_free_pcp, zones))} free_cma:{free_cma}",
    ]


_NODE_COUNTERS = (
    "active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable",
    "isolated(anon)", "isolated(file)", "mapped", "dirty", "writeback", "shmem", "shmem_thp",
    "shmem_pmdmapped", "anon_thp", "writeback_tmp", "kernel_stack", "pagetables",
    "sec_pagetables",
)  # fmt: skip


def _node_line(pgdat: PglistData) -> str:
    counters = " ".join(f"{name}:0kB" for name in _NODE_COUNTERS)
    hopeless = "yes" if pgdat.kswapd_failures >= MAX_RECLAIM_RETRIES else "no"
    return f"Node {pgdat.nid} {counters} all_unreclaimable? {hopeless}"


def _zone_lines(zone: Zone) -> list[str]:
    stat = {name: K(max(zone.vm_stat[i], 0)) for i, name in enumerate(ZONE_STAT_ITEMS)}
    local_pcp = zone.per_cpu_pageset[zone.vm.cpu].count
    reserve = " ".join(str(pages) for pages in zone.lowmem_reserve)
    return [
        f"Node {zone.node} {zone.name} free:{stat['NR_FREE_PAGES']}kB "
        f"boost:{K(zone.watermark_boost)}kB min:{K(min_wmark_pages(zone))}kB "
        f"low:{K(low_wmark_pages(zone))}kB high:{K(high_wmark_pages(zone))}kB "
        f"reserved_highatomic:{K(zone.nr_reserved_highatomic)}KB "
        f"active_anon:{stat['NR_ZONE_ACTIVE_ANON']}kB "
        f"inactive_anon:{stat['NR_ZONE_INACTIVE_ANON']}kB "
        f"active_file:{stat['NR_ZONE_ACTIVE_FILE']}kB "
        f"inactive_file:{stat['NR_ZONE_INACTIVE_FILE']}kB "
        f"unevictable:{stat['NR_ZONE_UNEVICTABLE']}kB "
        f"writepending:{stat['NR_ZONE_WRITE_PENDING']}kB present:{K(zone.present_pages)}kB "
        f"managed:{K(zone.managed_pages)}kB mlocked:{stat['NR_MLOCK']}kB "
        f"bounce:{stat['NR_BOUNCE']}kB free_pcp:{K(_free_pcp(zone))}kB "
        f"local_pcp:{K(local_pcp)}kB free_cma:{stat['NR_FREE_CMA_PAGES']}kB",
        f"lowmem_reserve[]: {reserve}",
    ]


def _free_blocks_line(zone: Zone) -> str:
    """`Node 0 DMA: 1*4kB (M) 0*8kB … = 3960kB`. Kernel: mm/show_mem.c show_free_areas()."""
    words = []
    total = 0
    for order in range(NR_PAGE_ORDERS):
        nr_free = zone.free_area[order].nr_free
        total += nr_free << order
        words.append(f"{nr_free}*{K(1) << order}kB")
        if nr_free:
            words.append(f"({_migration_types(zone, order)})")
    return f"Node {zone.node} {zone.name}: {' '.join(words)} = {K(total)}kB"


def _migration_types(zone: Zone, order: int) -> str:
    """A letter for each type that has free blocks. Kernel: show_migration_types()."""
    letters = "UMEHCI" if zone.vm.MIGRATE_CMA >= 0 else "UMEHI"
    area = zone.free_area[order]
    return "".join(
        letter for mt, letter in enumerate(letters) if not free_area_empty(zone, area, mt)
    )


def _totals(vm: Vm) -> list[str]:
    """The last lines. Kernel: mm/show_mem.c __show_mem(), show_swap_cache_info()."""
    zones = populated_zones(vm)
    present = sum(zone.present_pages for zone in zones)
    managed = sum(zone.managed_pages for zone in zones)
    highmem = sum(zone.present_pages for zone in zones if is_highmem(zone))
    lines = [
        "0 total pagecache pages",
        "0 pages in swap cache",
        "Free swap  = 0kB",
        "Total swap = 0kB",
        f"{present} pages RAM",
        f"{highmem} pages HighMem/MovableOnly",
        f"{present - managed} pages reserved",
    ]
    if vm.MIGRATE_CMA >= 0:
        lines.append(f"{_cma_pages(zones)} pages cma reserved")
    return [*lines, "0 pages hwpoisoned"]


def _cma_pages(zones: list[Zone]) -> int:
    """Pages in MIGRATE_CMA pageblocks."""
    vm = zones[0].vm
    return sum(1 for block in vm.pageblock if block == vm.MIGRATE_CMA) << vm.pageblock_order
