"""Requests for pages: alloc_pages() and its relatives.

Kernel: mm/page_alloc.c alloc_pages_bulk_noprof(), __alloc_pages_noprof(), split_page()
"""

from __future__ import annotations

from memsim.lib.list import list_empty
from memsim.mm.journal import set_page_state
from memsim.mm.memcontrol.kmem import memcg_kmem_charge_page, split_page_memcg
from memsim.mm.mmzone import PG_INUSE, Vm, Zone
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.page_alloc.pcp import _rmqueue_pcplist, order_to_pindex
from memsim.mm.page_alloc.slowpath import _alloc_pages_slowpath
from memsim.mm.page_alloc.watermark import zone_watermark_fast
from memsim.mm.page_alloc.zone_walk import (
    AllocContext,
    NodemaskContext,
    alloc_flags_nofragment,
    get_page_from_freelist,
    gfp_to_alloc_flags_cma,
    prep_new_page,
    prepare_alloc_pages,
)
from memsim.mm.vmstat import wmark_pages, zone_statistics
from memsim.trace.events import MM_PAGE_ALLOC, TP_MM_PAGE_ALLOC
from memsim.words.alloc_flags import (
    ALLOC_WMARK_LOW,
    ALLOC_WMARK_MASK,
)
from memsim.words.gfp import __GFP_ACCOUNT
from memsim.words.mmzone import NULL

#: A bulk request may refill its pcp list as often as it needs.
NO_LIMIT = 1 << 30


def fast_path(vm: Vm, gfp_mask: int, order: int, ac: AllocContext) -> int:
    """The first attempt of every request, with the low watermark.

    Kernel: mm/page_alloc.c __alloc_pages_noprof(), up to its first get_page_from_freelist()
    """
    alloc_flags = gfp_to_alloc_flags_cma(vm, gfp_mask, ALLOC_WMARK_LOW)
    alloc_flags |= alloc_flags_nofragment(ac, gfp_mask)
    return get_page_from_freelist(order, alloc_flags, ac, gfp_mask)


def alloc_pages(vm: Vm, gfp_mask: int, order: int, preferred_nid: int, nodemask: int = NULL) -> int:
    """Allocate 2**order contiguous pages, aligned to their size: the first pfn, or NULL.

    nodemask: the nodes that a memory policy confines it to, or NULL.
    NOT MODELLED: the task's own limits (memalloc_nofs_save() and others).
    Kernel: mm/page_alloc.c __alloc_pages_noprof()
    """
    ac = prepare_alloc_pages(vm, gfp_mask, preferred_nid)
    if nodemask != NULL:
        ac = NodemaskContext(ac, nodemask)
    page = fast_path(vm, gfp_mask, order, ac)
    if page == NULL:
        page = _alloc_pages_slowpath(vm, gfp_mask, order, ac)
    if vm.memcg_kmem_online and gfp_mask & __GFP_ACCOUNT:
        if memcg_kmem_charge_page(vm, page, gfp_mask, order):
            free_unref_page(vm, page, order)
            page = NULL
    if vm.trace.mask & TP_MM_PAGE_ALLOC:
        vm.trace.emit(MM_PAGE_ALLOC, page, order, gfp_mask, ac.migratetype)
    return page


def alloc_pages_bulk(
    vm: Vm, gfp_mask: int, preferred_nid: int, nr_pages: int, nodemask: int = NULL
) -> list[int]:
    """Allocate up to nr_pages single pages from one zone's pcp list, without mm_page_alloc events.

    Falls back to one page by alloc_pages() when no zone of the preferred node has room.
    Kernel: mm/page_alloc.c alloc_pages_bulk_noprof()
    """
    if nr_pages <= 0:
        return []
    pages: list[int] = []
    if nr_pages > 1 and not (vm.memcg_kmem_online and gfp_mask & __GFP_ACCOUNT):
        pages = _bulk_from_pcp(vm, gfp_mask, preferred_nid, nr_pages, nodemask)
    if not pages:
        page = alloc_pages(vm, gfp_mask, 0, preferred_nid, nodemask)
        pages = [] if page == NULL else [page]
    return pages


def _bulk_from_pcp(
    vm: Vm, gfp_mask: int, preferred_nid: int, nr_pages: int, nodemask: int
) -> list[int]:
    """Pages from the pcp list of the first local zone above its low mark + nr_pages."""
    zone, migratetype, alloc_flags = prepare_bulk(vm, gfp_mask, preferred_nid, nr_pages, nodemask)
    if zone is None:
        return []
    return take_bulk(zone, migratetype, alloc_flags, nr_pages, NO_LIMIT)[0]


def prepare_bulk(
    vm: Vm, gfp_mask: int, preferred_nid: int, nr_pages: int, nodemask: int = NULL
) -> tuple[Zone | None, int, int]:
    """(zone to take from or None, migratetype, alloc_flags) of a bulk request.

    Kernel: mm/page_alloc.c alloc_pages_bulk_noprof(), up to its pcp_spin_trylock()
    """
    ac = prepare_alloc_pages(vm, gfp_mask, preferred_nid)
    if nodemask != NULL:
        ac = NodemaskContext(ac, nodemask)
    alloc_flags = gfp_to_alloc_flags_cma(vm, gfp_mask, ALLOC_WMARK_LOW)
    zone = _zone_for_bulk(ac, alloc_flags, nr_pages)
    if zone is not None and zone.per_cpu_pageset[vm.cpu].locked:
        zone = None
    return zone, ac.migratetype, alloc_flags


def take_bulk(
    zone: Zone, migratetype: int, alloc_flags: int, nr_pages: int, refill_pages: int
) -> tuple[list[int], int]:
    """(up to nr_pages from this CPU's pcp list, refill_pages left: below 0 when exceeded).

    It stops where it would refill the list and no refill_pages are left: that limit is memsim's
    own, for a replay, where others can come to the zone between two refills.
    Kernel: mm/page_alloc.c alloc_pages_bulk_noprof(), its loop
    """
    pcp = zone.per_cpu_pageset[zone.vm.cpu]
    head = pcp.lists[order_to_pindex(migratetype, 0)]
    pages: list[int] = []
    while len(pages) < nr_pages:
        if list_empty(zone.next, head):
            if refill_pages <= 0:
                break
            refill_pages += pcp.count
            page = _rmqueue_pcplist(zone, 0, migratetype, alloc_flags, pcp)
            refill_pages -= pcp.count + 1
        else:
            page = _rmqueue_pcplist(zone, 0, migratetype, alloc_flags, pcp)
        if page == NULL:
            break
        prep_new_page(zone, page, 0)
        pages.append(page)
    zone_statistics(zone, zone, len(pages))
    return pages, refill_pages


def _zone_for_bulk(ac: AllocContext, alloc_flags: int, nr_pages: int) -> Zone | None:
    """The first zone of the preferred node with nr_pages above the mark."""
    for zone in ac.zonelist:
        if zone.node != ac.zonelist[0].node:
            return None
        mark = wmark_pages(zone, alloc_flags & ALLOC_WMARK_MASK) + nr_pages
        # the preferred zone's index, not the request's highest_zoneidx
        if zone_watermark_fast(zone, 0, mark, ac.zonelist[0].idx, alloc_flags):
            return zone
    return None


def split_page(zone: Zone, page: int, order: int) -> None:
    """Make 2**order single pages of an allocated block; each is freed by itself afterwards.

    Kernel: mm/page_alloc.c split_page()
    """
    if zone.vm.memcg_kmem_online:
        split_page_memcg(zone.vm, page)
    set_page_state(zone, page, 1 << order, PG_INUSE)
