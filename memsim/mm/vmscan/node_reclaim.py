"""zone_reclaim_mode: rather than take from another node, a request reclaims some on this one.

Kernel: mm/vmscan.c node_unmapped_file_pages() to node_reclaim(), mm/page_alloc.c
setup_min_unmapped_ratio(), setup_min_slab_ratio()
"""

from __future__ import annotations

from memsim.mm.current import memalloc_noreclaim_restore, memalloc_noreclaim_save
from memsim.mm.mmzone import PglistData, Vm, numa_node_id
from memsim.mm.vmscan.scan_control import ScanControl
from memsim.mm.vmscan.shrink_node import shrink_node
from memsim.trace.vmscan_events import (
    MM_VMSCAN_NODE_RECLAIM_BEGIN,
    MM_VMSCAN_NODE_RECLAIM_END,
    TP_VMSCAN,
    emit,
)
from memsim.words.gfp import __GFP_DIRECT_RECLAIM, gfp_zone
from memsim.words.mempolicy import (
    NODE_RECLAIM_FULL,
    NODE_RECLAIM_NOSCAN,
    NODE_RECLAIM_SOME,
    NODE_RECLAIM_SUCCESS,
    RECLAIM_UNMAP,
    RECLAIM_WRITE,
)
from memsim.words.page_flags import (
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_FILE,
    NR_FILE_DIRTY,
    NR_FILE_MAPPED,
    NR_FILE_PAGES,
    SWAP_CLUSTER_MAX,
)
from memsim.words.slab import SLAB_RECLAIM_ACCOUNT
from memsim.words.task import PF_MEMALLOC

#: The first pass scans a list's size >> this: a sixteenth.
NODE_RECLAIM_PRIORITY = 4


def percent_of_node(pgdat: PglistData, ratio: int) -> int:
    """Pages that are ratio percent of each zone of the node.

    Kernel: mm/page_alloc.c setup_min_unmapped_ratio(), setup_min_slab_ratio()
    """
    return sum(zone.managed_pages * ratio // 100 for zone in pgdat.node_zones)


def node_unmapped_file_pages(pgdat: PglistData) -> int:
    """Pages of files on LRU lists that nobody maps. Kernel: node_unmapped_file_pages()."""
    file_lru = pgdat.vm_stat[LRU_INACTIVE_FILE] + pgdat.vm_stat[LRU_ACTIVE_FILE]
    return max(file_lru - pgdat.vm_stat[NR_FILE_MAPPED], 0)


def node_pagecache_reclaimable(vm: Vm, pgdat: PglistData) -> int:
    """Pages of files that this mode may take: not those that are mapped, nor those that are dirty.

    Kernel: mm/vmscan.c node_pagecache_reclaimable()
    """
    if vm.node_reclaim_mode & RECLAIM_UNMAP:
        reclaimable = pgdat.vm_stat[NR_FILE_PAGES]
    else:
        reclaimable = node_unmapped_file_pages(pgdat)
    delta = 0 if vm.node_reclaim_mode & RECLAIM_WRITE else pgdat.vm_stat[NR_FILE_DIRTY]
    return max(reclaimable - delta, 0)


def node_slab_reclaimable(vm: Vm, nid: int) -> int:
    """Pages of the node in slabs that shrinkers may empty. Kernel: NR_SLAB_RECLAIMABLE_B."""
    if not hasattr(vm, "slab"):
        return 0
    slabs = [slab for slab in vm.slab.by_id.values() if slab.nid == nid]
    return sum(1 << s.order for s in slabs if s.slab_cache.flags & SLAB_RECLAIM_ACCOUNT)


def _is_full(vm: Vm, pgdat: PglistData) -> bool:
    """Is there no more on the node than it should keep of both kinds?"""
    unmapped = percent_of_node(pgdat, vm.sysctl_min_unmapped_ratio)
    if node_pagecache_reclaimable(vm, pgdat) > unmapped:
        return False
    slab = percent_of_node(pgdat, vm.sysctl_min_slab_ratio)
    return node_slab_reclaimable(vm, pgdat.nid) <= slab


def node_reclaim(vm: Vm, pgdat: PglistData, gfp_mask: int, order: int) -> int:
    """Free the block's pages on this node: NODE_RECLAIM_FULL, _NOSCAN, _SOME or _SUCCESS.

    Only for who may wait, and on the CPU's own node or one without CPUs.
    NOT MODELLED: two at a time (PGDAT_RECLAIM_LOCKED); zone_reclaim_success and _failed in vmstat.
    Kernel: mm/vmscan.c node_reclaim()
    """
    if _is_full(vm, pgdat):
        return NODE_RECLAIM_FULL
    if not gfp_mask & __GFP_DIRECT_RECLAIM or vm.current.flags & PF_MEMALLOC:
        return NODE_RECLAIM_NOSCAN
    if pgdat.nid in vm.cpu_to_node and pgdat.nid != numa_node_id(vm):
        return NODE_RECLAIM_NOSCAN
    return NODE_RECLAIM_SUCCESS if _node_reclaim(vm, pgdat, gfp_mask, order) else NODE_RECLAIM_SOME


def _node_reclaim(vm: Vm, pgdat: PglistData, gfp_mask: int, order: int) -> bool:
    """Passes, each over more of the lists, until there are as many pages as the block has.

    Kernel: mm/vmscan.c __node_reclaim()
    """
    nr_pages = 1 << order
    sc = _scan_control(vm, gfp_mask, order)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_NODE_RECLAIM_BEGIN, pgdat.nid, order, gfp_mask)
    had = memalloc_noreclaim_save(vm.current)
    while sc.nr_reclaimed < nr_pages and sc.priority >= 0:
        shrink_node(vm, pgdat, sc)
        sc.priority -= 1
    memalloc_noreclaim_restore(vm.current, had)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_NODE_RECLAIM_END, sc.nr_reclaimed)
    return sc.nr_reclaimed >= nr_pages


def _scan_control(vm: Vm, gfp_mask: int, order: int) -> ScanControl:
    sc = ScanControl(
        max(1 << order, SWAP_CLUSTER_MAX),
        gfp_mask,
        gfp_zone(gfp_mask, vm.arch),
        order,
        may_writepage=bool(vm.node_reclaim_mode & RECLAIM_WRITE),
    )
    sc.priority = NODE_RECLAIM_PRIORITY
    sc.may_unmap = bool(vm.node_reclaim_mode & RECLAIM_UNMAP)
    return sc
