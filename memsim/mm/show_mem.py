"""What the kernel logs when a request fails: warn_alloc() and show_mem(), of the model's state.

NOT MODELLED: the stack, and every counter that the page allocator does not own (LRU lists, slab,
page tables): those are printed as 0, of a zone as a snapshot had them; swap but for its size; that
warn_alloc() speaks once in ten seconds (__ratelimit()).

Kernel: mm/page_alloc.c warn_alloc(), mm/show_mem.c
"""

from __future__ import annotations

from memsim.lib.bits import bitmap_print_list
from memsim.mm.current import in_task
from memsim.mm.mem_info import HugePages, MemInfo, NodeMem, ZoneMem
from memsim.mm.mmzone import PglistData, Vm, Zone, is_highmem, populated_zones
from memsim.mm.page_alloc.free_list import free_area_empty
from memsim.mm.vmstat import (
    high_wmark_pages,
    low_wmark_pages,
    min_wmark_pages,
    nr_free_by_order,
    zone_page_state,
)
from memsim.words.gfp import __GFP_DIRECT_RECLAIM, __GFP_DMA, __GFP_NOWARN, gfp_zone, show_gfp_flags
from memsim.words.mmzone import (
    MAX_RECLAIM_RETRIES,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
    NULL,
    PAGE_SHIFT,
    ZONE_DMA,
    ZONE_STAT_ITEMS,
)

#: A zone's counters by the names that show_mem() prints.
_ZONE_ITEMS = {
    "free": "NR_FREE_PAGES",
    "active_anon": "NR_ZONE_ACTIVE_ANON",
    "inactive_anon": "NR_ZONE_INACTIVE_ANON",
    "active_file": "NR_ZONE_ACTIVE_FILE",
    "inactive_file": "NR_ZONE_INACTIVE_FILE",
    "unevictable": "NR_ZONE_UNEVICTABLE",
    "writepending": "NR_ZONE_WRITE_PENDING",
    "mlocked": "NR_MLOCK",
    "bounce": "NR_BOUNCE",
    "free_cma": "NR_FREE_CMA_PAGES",
}
#: Sizes of huge pages in kB, 1 GiB first, where there are any. Kernel: for_each_hstate()
_HUGE_PAGE_SIZES = {"x86-64": (1 << 20, 2 << 10), "x86-32": (4 << 10,)}


def K(pages: int) -> int:
    """Pages in KiB. Kernel: mm/internal.h K()."""
    return pages << (PAGE_SHIFT - 10)


def allocation_failure_report(
    vm: Vm, gfp_mask: int, order: int, comm: str, nodemask: int = NULL
) -> str:
    """Everything that a failed request logs. nodemask: the nodes it was confined to, or NULL.

    Kernel: warn_alloc(), __show_mem()
    """
    what = f"page allocation failure: order:{order}"
    return failure_report(vm, gfp_mask, what, comm, nodemask)


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


def failure_report(vm: Vm, gfp_mask: int, what: str, comm: str, nodemask: int = NULL) -> str:
    """What failed, and the state of all zones, or of those that it might have used.

    Kernel: mm/page_alloc.c warn_alloc(), warn_alloc_show_mem()
    """
    allowed = bitmap_print_list((1 << len(vm.nodes)) - 1)
    shown = "(null)" if nodemask == NULL else bitmap_print_list(nodemask)
    first = failure_line(comm, what, gfp_mask, shown, "/", allowed)
    if not in_task(vm.current) or not gfp_mask & __GFP_DIRECT_RECLAIM:
        nodemask = NULL
    info = mem_info(vm, gfp_zone(gfp_mask, vm.arch), nodemask)
    return "\n".join([first, *info.lines()]) + "\n"


def failure_line(
    comm: str, what: str, gfp_mask: int, nodemask: str, cpuset: str, mems_allowed: str
) -> str:
    """The first line. Kernel: warn_alloc(), cpuset_print_current_mems_allowed()."""
    return (
        f"{comm}: {what}, mode:{gfp_mask:#x}({show_gfp_flags(gfp_mask)}), "
        f"nodemask={nodemask},cpuset={cpuset},mems_allowed={mems_allowed}"
    )


def mem_info(vm: Vm, max_zone_idx: int, nodemask: int = NULL) -> MemInfo:
    """Zones up to max_zone_idx, free blocks by order, totals; of the nodes in nodemask, or all.

    What counts all zones, and not those that are shown, does so here too.
    Kernel: mm/show_mem.c __show_mem(), show_free_areas()
    """
    zones = [
        zone
        for zone in populated_zones(vm)
        if zone.idx <= max_zone_idx and _is_shown(zone.node, nodemask)
    ]
    nodes = [pgdat for pgdat in vm.nodes if _is_shown(pgdat.nid, nodemask)]
    return MemInfo(
        _totals(vm, zones),
        [_node(pgdat) for pgdat in nodes if _has_managed_zones(pgdat, max_zone_idx)],
        [_zone(zone) for zone in zones],
        [_no_huge_pages(pgdat, size) for pgdat in nodes for size in _HUGE_PAGE_SIZES[vm.arch.name]],
        _last_lines(vm),
    )


def _is_shown(nid: int, nodemask: int) -> bool:
    """Kernel: mm/show_mem.c show_mem_node_skip()."""
    return nodemask == NULL or bool(nodemask >> nid & 1)


def _has_managed_zones(pgdat: PglistData, max_zone_idx: int) -> bool:
    """Kernel: mm/show_mem.c node_has_managed_zones()."""
    return any(zone.managed_pages for zone in pgdat.node_zones[: max_zone_idx + 1])


def _free_pcp(zone: Zone) -> int:
    return sum(pcp.count for pcp in zone.per_cpu_pageset)


def _totals(vm: Vm, shown: list[Zone]) -> dict[str, int]:
    """Pages. free_pcp alone is of the zones shown."""
    return {
        "free": _global_zone_page_state(vm, NR_FREE_PAGES),
        "free_pcp": sum(map(_free_pcp, shown)),
        "free_cma": _global_zone_page_state(vm, NR_FREE_CMA_PAGES),
    }


def _global_zone_page_state(vm: Vm, item: int) -> int:
    """Kernel: include/linux/vmstat.h global_zone_page_state()."""
    return max(sum(zone.vm_stat[item] for zone in vm.zones), 0)


def _node(pgdat: PglistData) -> NodeMem:
    hopeless = pgdat.kswapd_failures >= MAX_RECLAIM_RETRIES
    return NodeMem(pgdat.nid, all_unreclaimable=hopeless)


def _no_huge_pages(pgdat: PglistData, size: int) -> HugePages:
    """NOT MODELLED: hugetlb, which is there and has no page."""
    return HugePages(pgdat.nid, 0, 0, 0, size)


def _zone(zone: Zone) -> ZoneMem:
    stats = {
        name: K(zone_page_state(zone, ZONE_STAT_ITEMS.index(item)))
        for name, item in _ZONE_ITEMS.items()
    }
    pages = {
        "boost": zone.watermark_boost,
        "min": min_wmark_pages(zone),
        "low": low_wmark_pages(zone),
        "high": high_wmark_pages(zone),
        "reserved_highatomic": zone.nr_reserved_highatomic,
        "present": zone.present_pages,
        "managed": zone.managed_pages,
        "free_pcp": _free_pcp(zone),
        "local_pcp": zone.per_cpu_pageset[zone.vm.cpu].count,
    }
    nr_free = nr_free_by_order(zone)
    return ZoneMem(
        zone.node,
        zone.name,
        stats | {name: K(count) for name, count in pages.items()},
        list(zone.lowmem_reserve),
        nr_free,
        [_migration_types(zone, order) for order in range(len(nr_free))],
        K(1),
        K(sum(blocks << order for order, blocks in enumerate(nr_free))),
    )


def _migration_types(zone: Zone, order: int) -> str:
    """A letter for each type that has free blocks. Kernel: show_migration_types()."""
    letters = "UMEHCI" if zone.vm.MIGRATE_CMA >= 0 else "UMEHI"
    area = zone.free_area[order]
    return "".join(
        letter for mt, letter in enumerate(letters) if not free_area_empty(zone, area, mt)
    )


def _last_lines(vm: Vm) -> dict[str, int]:
    """Kernel: mm/show_mem.c __show_mem(), mm/swap_state.c show_swap_cache_info()."""
    zones = populated_zones(vm)
    present = sum(zone.present_pages for zone in zones)
    managed = sum(zone.managed_pages for zone in zones)
    last = {"pagecache": 0, "swapcache": 0}
    last |= {"free_swap": K(vm.oom.free_swap_pages), "total_swap": K(vm.oom.total_swap_pages)}
    last["ram"] = present
    last["highmem"] = sum(zone.present_pages for zone in zones if is_highmem(zone))
    last["reserved"] = present - managed
    if vm.MIGRATE_CMA >= 0:
        last["cma_reserved"] = _cma_pages(zones)
    return last | {"hwpoisoned": 0}


def _cma_pages(zones: list[Zone]) -> int:
    """Pages in MIGRATE_CMA pageblocks."""
    vm = zones[0].vm
    return sum(1 for block in vm.pageblock if block == vm.MIGRATE_CMA) << vm.pageblock_order
