"""From gfp_mask to zone: alloc_context, alloc_flags, and the walk over the zonelist.

Kernel: mm/page_alloc.c alloc_flags_nofragment() to get_page_from_freelist(), gfp_to_alloc_flags(),
prepare_alloc_pages()
"""

from __future__ import annotations

from memsim.mm.current import in_interrupt, in_task
from memsim.mm.journal import set_page_state
from memsim.mm.mmzone import PG_INUSE, Vm, Zone
from memsim.mm.page_alloc.highatomic import reserve_highatomic_pageblock
from memsim.mm.page_alloc.rmqueue import rmqueue
from memsim.mm.page_alloc.watermark import zone_watermark_fast, zone_watermark_ok
from memsim.mm.vmstat import high_wmark_pages, wmark_pages
from memsim.words.alloc_flags import (
    ALLOC_CMA,
    ALLOC_CPUSET,
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NO_WATERMARKS,
    ALLOC_NOFRAGMENT,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
    ALLOC_WMARK_MASK,
    ALLOC_WMARK_MIN,
)
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_HIGH,
    __GFP_KSWAPD_RECLAIM,
    __GFP_MEMALLOC,
    __GFP_NOMEMALLOC,
    __GFP_THISNODE,
    gfp_migratetype,
    gfp_zone,
)
from memsim.words.mempolicy import (
    NODE_RECLAIM_FULL,
    NODE_RECLAIM_NOSCAN,
    RECLAIM_DISTANCE,
    RECLAIM_MODES,
)
from memsim.words.mmzone import (
    MIGRATE_MOVABLE,
    MIGRATE_UNMOVABLE,
    NULL,
    ZONE_BELOW_HIGH,
    ZONELIST_FALLBACK,
    ZONELIST_NOFALLBACK,
)
from memsim.words.task import PF_MEMALLOC


class AllocContext:
    """struct alloc_context: what the gfp_mask says about where to look.

    `zonelist` holds just the zones the request may use, in order; the first is preferred.
    NOT MODELLED: spread_dirty_pages.
    """

    __slots__ = ("highest_zoneidx", "migratetype", "zonelist")

    def __init__(self, zonelist: list[Zone], highest_zoneidx: int, migratetype: int) -> None:
        self.zonelist = zonelist
        self.highest_zoneidx = highest_zoneidx
        self.migratetype = migratetype

    @property
    def nodemask(self) -> int:
        """The nodes that a memory policy confines the request to; NULL: none does."""
        return NULL

    def forget_nodemask(self) -> None:
        """From here on the policy does not count, if there is one."""


class NodemaskContext(AllocContext):
    """struct alloc_context of a request that a memory policy confines to some nodes."""

    __slots__ = ("_nodemask", "_unmasked")

    def __init__(self, ac: AllocContext, nodemask: int) -> None:
        zonelist = zones_of_nodes(ac.zonelist, nodemask)
        super().__init__(zonelist, ac.highest_zoneidx, ac.migratetype)
        self._unmasked = ac.zonelist
        self._nodemask = nodemask

    @property
    def nodemask(self) -> int:
        """The nodes that a memory policy confines the request to; NULL: none any more."""
        return self._nodemask

    def forget_nodemask(self) -> None:
        """From here on the policy does not count."""
        self.zonelist = self._unmasked
        self._nodemask = NULL


def zones_of_nodes(zonelist: list[Zone], nodemask: int) -> list[Zone]:
    """What is left of a zonelist inside a mask of nodes.

    Kernel: include/linux/mmzone.h for_each_zone_zonelist_nodemask()
    """
    return [zone for zone in zonelist if nodemask >> zone.node & 1]


def node_zonelist(vm: Vm, nid: int, gfp_mask: int, highest_zoneidx: int) -> list[Zone]:
    """Populated zones to try, in order, up to a highest one; -1: none.

    Kernel: include/linux/gfp.h node_zonelist(), include/linux/mmzone.h for_each_zone_zonelist()
    """
    which = ZONELIST_NOFALLBACK if gfp_mask & __GFP_THISNODE else ZONELIST_FALLBACK
    return vm.nodes[nid].allowed_zones[which][highest_zoneidx]


def prepare_alloc_pages(vm: Vm, gfp_mask: int, preferred_nid: int) -> AllocContext:
    """The request's zonelist, highest zone and migratetype.

    Kernel: mm/page_alloc.c prepare_alloc_pages()
    """
    highest_zoneidx = gfp_zone(gfp_mask, vm.arch)
    zonelist = node_zonelist(vm, preferred_nid, gfp_mask, highest_zoneidx)
    return AllocContext(zonelist, highest_zoneidx, request_migratetype(vm, gfp_mask))


def request_migratetype(vm: Vm, gfp_mask: int) -> int:
    """gfp_migratetype(), or UNMOVABLE where grouping by mobility is off.

    Kernel: include/linux/gfp.h gfp_migratetype()
    """
    return MIGRATE_UNMOVABLE if vm.page_group_by_mobility_disabled else gfp_migratetype(gfp_mask)


def gfp_to_alloc_flags_cma(vm: Vm, gfp_mask: int, alloc_flags: int) -> int:
    """Movable requests may use CMA areas. Kernel: mm/page_alloc.c gfp_to_alloc_flags_cma()."""
    if vm.MIGRATE_CMA >= 0 and request_migratetype(vm, gfp_mask) == MIGRATE_MOVABLE:
        alloc_flags |= ALLOC_CMA
    return alloc_flags


def alloc_flags_nofragment(ac: AllocContext, gfp_mask: int) -> int:
    """ALLOC_KSWAPD from the mask, and ALLOC_NOFRAGMENT where another zone could help first.

    That is when NORMAL is preferred and, with several nodes, its node has DMA32 pages.
    Kernel: mm/page_alloc.c alloc_flags_nofragment()
    """
    alloc_flags = gfp_mask & __GFP_KSWAPD_RECLAIM
    if not ac.zonelist:
        return alloc_flags
    zone, arch = ac.zonelist[0], ac.zonelist[0].vm.arch
    if zone.idx != arch.ZONE_NORMAL or arch.ZONE_DMA32 < 0:
        return alloc_flags
    nodes = zone.vm.nodes
    if len(nodes) > 1 and not nodes[zone.node].node_zones[arch.ZONE_DMA32].present_pages:
        return alloc_flags
    return alloc_flags | ALLOC_NOFRAGMENT


def gfp_to_alloc_flags(vm: Vm, gfp_mask: int, order: int) -> int:
    """alloc_flags of the slow path: who may use reserves, and CMA areas.

    Kernel: mm/page_alloc.c gfp_to_alloc_flags()
    """
    alloc_flags = alloc_flags_of_mask(gfp_mask, order)
    if gfp_mask & __GFP_DIRECT_RECLAIM and vm.current.rt_or_dl and in_task(vm.current):
        alloc_flags |= ALLOC_MIN_RESERVE
    return gfp_to_alloc_flags_cma(vm, gfp_mask, alloc_flags)


def alloc_flags_of_mask(gfp_mask: int, order: int) -> int:
    """alloc_flags of the slow path, as far as the mask alone tells.

    Kernel: mm/page_alloc.c gfp_to_alloc_flags()
    """
    alloc_flags = ALLOC_WMARK_MIN | ALLOC_CPUSET
    alloc_flags |= gfp_mask & (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
    if not gfp_mask & __GFP_DIRECT_RECLAIM:
        if not gfp_mask & __GFP_NOMEMALLOC:
            alloc_flags |= ALLOC_NON_BLOCK
            if order > 0 and alloc_flags & ALLOC_MIN_RESERVE:
                alloc_flags |= ALLOC_HIGHATOMIC
        if alloc_flags & ALLOC_MIN_RESERVE:
            alloc_flags &= ~ALLOC_CPUSET
    return alloc_flags


def _gfp_pfmemalloc_flags(vm: Vm, gfp_mask: int) -> int:
    """ALLOC_NO_WATERMARKS for who frees memory, ALLOC_OOM for who is being killed, else 0.

    Kernel: mm/page_alloc.c __gfp_pfmemalloc_flags()
    """
    current = vm.current
    if gfp_mask & __GFP_NOMEMALLOC:
        return 0
    if gfp_mask & __GFP_MEMALLOC:
        return ALLOC_NO_WATERMARKS
    if current.flags & PF_MEMALLOC and (current.in_serving_softirq or not in_interrupt(current)):
        return ALLOC_NO_WATERMARKS
    return ALLOC_OOM if current.oom_victim and not in_interrupt(current) else 0


def _zone_has_room(zone: Zone, order: int, alloc_flags: int, ac: AllocContext) -> bool:
    """Is the zone above the mark in alloc_flags? The high mark is asked first.

    A zone below high is marked ZONE_BELOW_HIGH: its pcp lists then shrink on every free.
    """
    if not zone.flags & ZONE_BELOW_HIGH:
        mark = high_wmark_pages(zone)
        if zone_watermark_fast(zone, order, mark, ac.highest_zoneidx, alloc_flags):
            return True
        zone.flags |= ZONE_BELOW_HIGH
    mark = wmark_pages(zone, alloc_flags & ALLOC_WMARK_MASK)
    if zone_watermark_fast(zone, order, mark, ac.highest_zoneidx, alloc_flags):
        return True
    return (alloc_flags & ALLOC_NO_WATERMARKS) != 0


def prep_new_page(zone: Zone, page: int, order: int) -> None:
    """Mark a block as allocated. NOT MODELLED: its bytes, reference counts, page flags.

    Kernel: mm/page_alloc.c prep_new_page()
    """
    set_page_state(zone, page, 1, PG_INUSE | order)


def zone_allows_reclaim(local_zone: Zone, zone: Zone) -> bool:
    """Is the zone so near that one would rather reclaim there than go on?

    NOT MODELLED: AMD's node_reclaim_distance, 32. Kernel: mm/page_alloc.c zone_allows_reclaim()
    """
    return zone.vm.node_distance[local_zone.node][zone.node] <= RECLAIM_DISTANCE


def _node_reclaim_helps(
    zone: Zone, gfp_mask: int, order: int, alloc_flags: int, ac: AllocContext
) -> bool:
    """zone_reclaim_mode: does reclaim on the zone's node lift it above its mark?

    Kernel: mm/page_alloc.c get_page_from_freelist(), behind check_alloc_wmark
    """
    pressure = zone.vm.pressure
    if pressure is None or not zone_allows_reclaim(ac.zonelist[0], zone):
        return False
    mark = wmark_pages(zone, alloc_flags & ALLOC_WMARK_MASK)
    if pressure.node_reclaim(zone, gfp_mask, order) in (NODE_RECLAIM_NOSCAN, NODE_RECLAIM_FULL):
        return False
    return zone_watermark_ok(zone, order, mark, ac.highest_zoneidx, alloc_flags)


def get_page_from_freelist(
    order: int, alloc_flags: int, ac: AllocContext, gfp_mask: int = 0
) -> int:  # fmt: skip
    """Take a block from the first zone of the zonelist that has room; NULL if none has.

    A first pass with ALLOC_NOFRAGMENT is repeated without it, at once when it would have to go to
    another node. gfp_mask says whether zone_reclaim_mode may make it wait, and is for nothing else.
    NOT MODELLED: cpusets, dirty limits, unaccepted memory, struct pages not initialised yet.
    Kernel: mm/page_alloc.c get_page_from_freelist()
    """
    for zone in ac.zonelist:
        if alloc_flags & ALLOC_NOFRAGMENT and zone.node != ac.zonelist[0].node:
            break
        if not _zone_has_room(zone, order, alloc_flags, ac):
            if not zone.vm.node_reclaim_mode & RECLAIM_MODES:
                continue
            if not _node_reclaim_helps(zone, gfp_mask, order, alloc_flags, ac):
                continue
        page = rmqueue(ac.zonelist[0], zone, order, alloc_flags, ac.migratetype)
        if page != NULL:
            prep_new_page(zone, page, order)
            if alloc_flags & ALLOC_HIGHATOMIC:
                reserve_highatomic_pageblock(zone, page, order)
            return page
    if alloc_flags & ALLOC_NOFRAGMENT:
        return get_page_from_freelist(order, alloc_flags & ~ALLOC_NOFRAGMENT, ac, gfp_mask)
    return NULL
