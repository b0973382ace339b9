"""Freeing pages: to a pcp list where the order allows, else straight to the free lists.

Kernel: mm/page_alloc.c free_pages_prepare(), __free_pages_ok(), free_unref_page(),
free_unref_folios()
"""

from __future__ import annotations

from memsim.mm.journal import set_page_state
from memsim.mm.memcontrol.kmem import memcg_kmem_uncharge_page
from memsim.mm.mmzone import PG_LRU, Vm, Zone, get_pageblock_migratetype, page_zone
from memsim.mm.page_alloc.buddy import free_one_page, pcp_allowed_order
from memsim.mm.page_alloc.pcp import free_unref_page_commit
from memsim.trace.events import (
    MM_PAGE_FREE,
    MM_PAGE_FREE_BATCHED,
    TP_MM_PAGE_FREE,
    TP_MM_PAGE_FREE_BATCHED,
)
from memsim.words.mmzone import FPI_NONE, MIGRATE_MOVABLE, MIGRATE_PCPTYPES


def free_pages_prepare(zone: Zone, page: int, order: int) -> None:
    """The block is nobody's from here on; where it goes is not known yet.

    NOT MODELLED: bad page checks, poisoning.
    Kernel: mm/page_alloc.c free_pages_prepare()
    """
    if zone.trace.mask & TP_MM_PAGE_FREE:
        zone.trace.emit(MM_PAGE_FREE, page, order)
    if zone.vm.memcg_kmem_online:
        memcg_kmem_uncharge_page(zone.vm, page, order)
    on_lru = zone.page_state[page] & PG_LRU
    set_page_state(zone, page, 1 << order if on_lru else 1, 0)


def _free_pages_ok(zone: Zone, page: int, order: int, fpi_flags: int) -> None:
    """Free a block straight to the free lists. Kernel: mm/page_alloc.c __free_pages_ok()."""
    free_pages_prepare(zone, page, order)
    free_one_page(zone, page, order, fpi_flags)


def pcp_migratetype(zone: Zone, page: int) -> int:
    """Type of the pcp list for this page: HIGHATOMIC and CMA go with MOVABLE; ISOLATE is kept."""
    migratetype = get_pageblock_migratetype(zone, page)
    if migratetype < MIGRATE_PCPTYPES or migratetype == zone.vm.MIGRATE_ISOLATE:
        return migratetype
    return MIGRATE_MOVABLE


def commit_to_pcp(zone: Zone, page: int, order: int) -> None:
    """Put a prepared block on this CPU's pcp list.

    If that is locked, or the pageblock isolated, it goes to the free lists.
    Kernel: mm/page_alloc.c free_unref_page(), its end
    """
    migratetype = pcp_migratetype(zone, page)
    pcp = zone.per_cpu_pageset[zone.vm.cpu]
    if migratetype == zone.vm.MIGRATE_ISOLATE or pcp.locked:
        free_one_page(zone, page, order, FPI_NONE)
    else:
        free_unref_page_commit(zone, pcp, page, migratetype, order)


def free_unref_page(vm: Vm, page: int, order: int) -> None:
    """Free a block whose last reference is gone. Kernel: mm/page_alloc.c free_unref_page()."""
    zone = page_zone(vm, page)
    assert zone is not None
    if not pcp_allowed_order(vm, order):
        _free_pages_ok(zone, page, order, FPI_NONE)
        return
    free_pages_prepare(zone, page, order)
    commit_to_pcp(zone, page, order)


def free_unref_folios(vm: Vm, folios: list[tuple[int, int]]) -> None:
    """Free a batch of (page, order): all are prepared first, then go to the lists in order.

    Kernel: mm/page_alloc.c free_unref_folios()
    """
    prepared = []
    for page, order in folios:
        zone = page_zone(vm, page)
        assert zone is not None
        free_pages_prepare(zone, page, order)
        if pcp_allowed_order(vm, order):
            prepared.append((zone, page, order))
        else:
            free_one_page(zone, page, order, FPI_NONE)
    for zone, page, order in prepared:
        commit_batched(zone, page, order)


def commit_batched(zone: Zone, page: int, order: int) -> None:
    """Put one prepared folio of a batch where it belongs.

    mm_page_free_batched is fired for those that go to the pcp list only.
    Kernel: mm/page_alloc.c free_unref_folios(), its second loop
    """
    isolated = get_pageblock_migratetype(zone, page) == zone.vm.MIGRATE_ISOLATE
    to_pcp = not isolated and not zone.per_cpu_pageset[zone.vm.cpu].locked
    if to_pcp and zone.trace.mask & TP_MM_PAGE_FREE_BATCHED:
        zone.trace.emit(MM_PAGE_FREE_BATCHED, page)
    commit_to_pcp(zone, page, order)
