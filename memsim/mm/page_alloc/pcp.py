"""Per-CPU lists of free pages: refill and drain in batches, and how they tune themselves.

Pages on these lists are not PageBuddy and not in NR_FREE_PAGES. `high` is how many pages a CPU
may keep; it grows while pages are taken, shrinks under pressure, and decays when idle.

Kernel: mm/page_alloc.c free_pcppages_bulk(), rmqueue_bulk() to free_unref_page_commit()
"""

from __future__ import annotations

from memsim.lib.bits import clamp
from memsim.lib.list import list_del, list_empty, list_insert_after
from memsim.mm.journal import step_pcp_list
from memsim.mm.mmzone import PerCpuPages, Vm, Zone, get_pageblock_migratetype, populated_zones
from memsim.mm.page_alloc.buddy import _free_one_page
from memsim.mm.page_alloc.fallback import RMQUEUE_NORMAL, _rmqueue
from memsim.mm.page_alloc.watermark import zone_watermark_ok
from memsim.mm.vmstat import high_wmark_pages
from memsim.trace.events import MM_PAGE_PCPU_DRAIN, TP_MM_PAGE_PCPU_DRAIN, TP_STEPS
from memsim.trace.steps import LIST_ADD, LIST_DEL
from memsim.words.mmzone import (
    CONFIG_PCP_BATCH_SCALE_MAX,
    FPI_NONE,
    HPAGE_PMD_ORDER,
    MIGRATE_MOVABLE,
    MIGRATE_PCPTYPES,
    NR_LOWORDER_PCP_LISTS,
    NR_PCP_LISTS,
    NULL,
    PAGE_ALLOC_COSTLY_ORDER,
    PCPF_FREE_HIGH_BATCH,
    PCPF_PREV_FREE_HIGH_ORDER,
    ZONE_BELOW_HIGH,
    ZONE_RECLAIM_ACTIVE,
)


def order_to_pindex(migratetype: int, order: int) -> int:
    """Index of the pcp list of this type and order. Kernel: mm/page_alloc.c order_to_pindex()."""
    if order > PAGE_ALLOC_COSTLY_ORDER:
        return NR_LOWORDER_PCP_LISTS + (migratetype == MIGRATE_MOVABLE)
    return MIGRATE_PCPTYPES * order + migratetype


def pindex_to_order(pindex: int) -> int:
    """Order of the blocks on that pcp list. Kernel: mm/page_alloc.c pindex_to_order()."""
    if pindex >= NR_LOWORDER_PCP_LISTS:
        return HPAGE_PMD_ORDER
    return pindex // MIGRATE_PCPTYPES


def _pcp_list_add(zone: Zone, pcp: PerCpuPages, page: int, pindex: int, tail: bool) -> None:
    head = pcp.lists[pindex]
    before = zone.prev[head] if tail else head
    if zone.trace.mask & TP_STEPS:
        step_pcp_list(zone, LIST_ADD, page, before, zone.per_cpu_pageset.index(pcp), pindex)
    list_insert_after(zone.next, zone.prev, page, before)


def _pcp_list_del(zone: Zone, pcp: PerCpuPages, page: int, pindex: int) -> None:
    if zone.trace.mask & TP_STEPS:
        before = zone.prev[page]
        step_pcp_list(zone, LIST_DEL, page, before, zone.per_cpu_pageset.index(pcp), pindex)
    list_del(zone.next, zone.prev, page)


def rmqueue_bulk(
    zone: Zone, order: int, count: int, pcp: PerCpuPages, migratetype: int, alloc_flags: int
) -> int:
    """Refill a pcp list with up to count blocks, under one hold of zone->lock.

    Blocks join at the tail, so the list is in the order in which they were taken. Returns how
    many came. Kernel: mm/page_alloc.c rmqueue_bulk()
    """
    mode = RMQUEUE_NORMAL
    pindex = order_to_pindex(migratetype, order)
    for i in range(count):
        page, mode = _rmqueue(zone, order, migratetype, alloc_flags, mode)
        if page == NULL:
            return i
        _pcp_list_add(zone, pcp, page, pindex, True)
    return count


def nr_pcp_alloc(pcp: PerCpuPages, zone: Zone, order: int) -> int:
    """How many blocks to refill with: the batch, doubled for each refill without a free between.

    Kernel: mm/page_alloc.c nr_pcp_alloc()
    """
    base_batch = pcp.batch
    high = pcp.high = clamp(pcp.high, pcp.high_min, pcp.high_max)
    if high < base_batch:
        return 1
    batch = base_batch if order else base_batch << pcp.alloc_factor
    if pcp.high_min != pcp.high_max and not zone.flags & ZONE_BELOW_HIGH:
        high = pcp.high = min(high + batch, pcp.high_max)
    if not order:
        max_nr_alloc = max(high - pcp.count - base_batch, base_batch)
        if batch <= max_nr_alloc and pcp.alloc_factor < CONFIG_PCP_BATCH_SCALE_MAX:
            pcp.alloc_factor += 1
        batch = min(batch, max_nr_alloc)
    return max(batch >> order, 2) if batch > 1 else batch


def _rmqueue_pcplist(
    zone: Zone, order: int, migratetype: int, alloc_flags: int, pcp: PerCpuPages
) -> int:
    """Take the first block of the pcp list, refilling it first if it is empty; else NULL.

    Kernel: mm/page_alloc.c __rmqueue_pcplist()
    """
    pindex = order_to_pindex(migratetype, order)
    head = pcp.lists[pindex]
    if list_empty(zone.next, head):
        batch = nr_pcp_alloc(pcp, zone, order)
        alloced = rmqueue_bulk(zone, order, batch, pcp, migratetype, alloc_flags)
        pcp.count += alloced << order
        if not alloced:
            return NULL
    page = zone.next[head]
    _pcp_list_del(zone, pcp, page, pindex)
    pcp.count -= 1 << order
    return page


def free_pcppages_bulk(zone: Zone, count: int, pcp: PerCpuPages, pindex: int) -> None:
    """Give count pages back to the free lists, oldest first: list pindex, then round robin.

    Kernel: mm/page_alloc.c free_pcppages_bulk()
    """
    count = min(pcp.count, count)
    while count > 0:
        while list_empty(zone.next, pcp.lists[pindex]):
            pindex = (pindex + 1) % NR_PCP_LISTS
        count -= _drain_list(zone, count, pcp, pindex)
        pindex = (pindex + 1) % NR_PCP_LISTS


def _drain_list(zone: Zone, count: int, pcp: PerCpuPages, pindex: int) -> int:
    """Give back count pages of one list, or all it has, from its tail. Returns the pages freed."""
    head = pcp.lists[pindex]
    order = pindex_to_order(pindex)
    freed = 0
    while freed < count and not list_empty(zone.next, head):
        page = zone.prev[head]
        migratetype = get_pageblock_migratetype(zone, page)
        _pcp_list_del(zone, pcp, page, pindex)
        freed += 1 << order
        pcp.count -= 1 << order
        _free_one_page(zone, page, order, migratetype, FPI_NONE)
        if zone.trace.mask & TP_MM_PAGE_PCPU_DRAIN:
            zone.trace.emit(MM_PAGE_PCPU_DRAIN, page, order, migratetype)
    return freed


def nr_pcp_free(pcp: PerCpuPages, batch: int, high: int, free_high: bool) -> int:
    """How many pages to give back once pcp->count reached high.

    Kernel: mm/page_alloc.c nr_pcp_free()
    """
    if free_high:
        return min(pcp.count, batch << CONFIG_PCP_BATCH_SCALE_MAX)
    if high < batch:
        return 1
    return clamp(pcp.free_count, batch, high - batch)


def nr_pcp_high(pcp: PerCpuPages, zone: Zone, batch: int, free_high: bool) -> int:
    """At how many pages to give some back, in pages; tunes pcp->high on the way.

    Kernel: mm/page_alloc.c nr_pcp_high()
    """
    high_min, high_max = pcp.high_min, pcp.high_max
    high = pcp.high = clamp(pcp.high, high_min, high_max)
    if not high:
        return 0
    if free_high:
        pcp.high = max(high - (batch << CONFIG_PCP_BATCH_SCALE_MAX), high_min)
        return 0
    if zone.flags & ZONE_RECLAIM_ACTIVE:
        pcp.high = max(high - max(pcp.free_count, batch), high_min)
        return min(batch << 2, pcp.high)
    if high_min == high_max:
        return high
    if zone.flags & ZONE_BELOW_HIGH:
        pcp.high = max(high - max(pcp.free_count, batch), high_min)
        return max(pcp.count, high_min)
    if pcp.count >= high:
        need_high = pcp.free_count + batch
        if pcp.high < need_high:
            pcp.high = clamp(need_high, high_min, high_max)
    return high


def _frees_high_orders_in_a_row(pcp: PerCpuPages, order: int, batch: int) -> bool:
    """Was the last free, like this one, of order 1 to 3, with many frees and no allocation?"""
    if order and order <= PAGE_ALLOC_COSTLY_ORDER:
        free_high = (
            pcp.free_count >= batch
            and bool(pcp.flags & PCPF_PREV_FREE_HIGH_ORDER)
            and (not pcp.flags & PCPF_FREE_HIGH_BATCH or pcp.count >= batch)
        )
        pcp.flags |= PCPF_PREV_FREE_HIGH_ORDER
        return free_high
    pcp.flags &= ~PCPF_PREV_FREE_HIGH_ORDER
    return False


def free_unref_page_commit(
    zone: Zone, pcp: PerCpuPages, page: int, migratetype: int, order: int
) -> None:
    """Put a freed block at the head of its pcp list; give pages back if there are too many.

    Kernel: mm/page_alloc.c free_unref_page_commit()
    """
    pcp.alloc_factor >>= 1
    pindex = order_to_pindex(migratetype, order)
    _pcp_list_add(zone, pcp, page, pindex, False)
    pcp.count += 1 << order
    batch = pcp.batch
    free_high = _frees_high_orders_in_a_row(pcp, order, batch)
    if pcp.free_count < batch << CONFIG_PCP_BATCH_SCALE_MAX:
        pcp.free_count += 1 << order
    high = nr_pcp_high(pcp, zone, batch, free_high)
    if pcp.count >= high:
        free_pcppages_bulk(zone, nr_pcp_free(pcp, batch, high, free_high), pcp, pindex)
        _clear_below_high_if_above(zone)


def _clear_below_high_if_above(zone: Zone) -> None:
    """Pages just went back to the zone: is it above its high watermark again?"""
    if zone.flags & ZONE_BELOW_HIGH and zone_watermark_ok(
        zone, 0, high_wmark_pages(zone), zone.vm.arch.ZONE_MOVABLE, 0
    ):
        zone.flags &= ~ZONE_BELOW_HIGH


def lower_pcp_high(pcp: PerCpuPages) -> int:
    """Lower pcp->high by an eighth: pages above it, which are to be given back.

    Kernel: mm/page_alloc.c decay_pcp_high(), its first half
    """
    if pcp.high > pcp.high_min:
        pcp.high = max(
            pcp.count - (pcp.batch << CONFIG_PCP_BATCH_SCALE_MAX),
            pcp.high - (pcp.high >> 3),
            pcp.high_min,
        )
    return pcp.count - pcp.high


def decay_pcp_high(zone: Zone, pcp: PerCpuPages) -> bool:
    """Lower pcp->high by an eighth and give back what is above it. Is there more to do?

    Called by the vmstat worker. Kernel: mm/page_alloc.c decay_pcp_high()
    """
    to_drain = lower_pcp_high(pcp)
    todo = pcp.high > pcp.high_min
    while to_drain > 0:
        free_pcppages_bulk(zone, min(to_drain, pcp.batch), pcp, 0)
        to_drain -= pcp.batch
        todo = True
    return todo


def drain_zone_pages(zone: Zone, pcp: PerCpuPages) -> None:
    """Give one batch back: a zone of another node has not been used for a while.

    Kernel: mm/page_alloc.c drain_zone_pages()
    """
    to_drain = min(pcp.count, pcp.batch)
    if to_drain > 0:
        free_pcppages_bulk(zone, to_drain, pcp, 0)


def drain_pages_zone(cpu: int, zone: Zone) -> None:
    """Give back every page that a CPU keeps for this zone.

    Kernel: mm/page_alloc.c drain_pages_zone()
    """
    pcp = zone.per_cpu_pageset[cpu]
    while pcp.count:
        to_drain = min(pcp.count, pcp.batch << CONFIG_PCP_BATCH_SCALE_MAX)
        free_pcppages_bulk(zone, to_drain, pcp, 0)


def drain_pages(cpu: int, vm: Vm) -> None:
    """Give back every page that a CPU keeps. Kernel: mm/page_alloc.c drain_pages()."""
    for zone in populated_zones(vm):
        drain_pages_zone(cpu, zone)


def drain_all_pages(vm: Vm, zone: Zone | None = None) -> None:
    """Give back every page that any CPU keeps, of one zone or of all.

    Kernel: mm/page_alloc.c drain_all_pages()
    """
    for cpu in range(vm.nr_cpus):
        if zone is None:
            drain_pages(cpu, vm)
        else:
            drain_pages_zone(cpu, zone)
