"""Taking pages out of one zone: by the pcp list where the order allows, else from the buddy.

NOT MODELLED: check_new_pages(), which throws a corrupt page away and takes the next one.

Kernel: mm/page_alloc.c rmqueue_buddy(), rmqueue_pcplist(), rmqueue()
"""

from __future__ import annotations

from memsim.mm.kswapd import wakeup_kswapd
from memsim.mm.mmzone import Zone
from memsim.mm.page_alloc.buddy import _rmqueue_smallest, pcp_allowed_order
from memsim.mm.page_alloc.fallback import RMQUEUE_NORMAL, _rmqueue
from memsim.mm.page_alloc.pcp import _rmqueue_pcplist
from memsim.mm.vmstat import zone_statistics
from memsim.words.alloc_flags import (
    ALLOC_HIGHATOMIC,
    ALLOC_KSWAPD,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
)
from memsim.words.mmzone import MIGRATE_HIGHATOMIC, NULL, ZONE_BOOSTED_WATERMARK


def rmqueue_buddy(zone: Zone, order: int, alloc_flags: int, migratetype: int) -> int:
    """Take a block from the free lists; NULL if there is none.

    Kernel: mm/page_alloc.c rmqueue_buddy()
    """
    page = NULL
    if alloc_flags & ALLOC_HIGHATOMIC:
        page = _rmqueue_smallest(zone, order, MIGRATE_HIGHATOMIC)
    if page == NULL:
        page, _ = _rmqueue(zone, order, migratetype, alloc_flags, RMQUEUE_NORMAL)
        if page == NULL and alloc_flags & (ALLOC_OOM | ALLOC_NON_BLOCK):
            # failing this request now is worse than failing a high-order atomic one later
            page = _rmqueue_smallest(zone, order, MIGRATE_HIGHATOMIC)
    return page


def rmqueue_pcplist(zone: Zone, order: int, migratetype: int, alloc_flags: int) -> int:
    """Take a block from this CPU's pcp list; NULL if that stays empty, or is locked.

    Kernel: mm/page_alloc.c rmqueue_pcplist()
    """
    pcp = zone.per_cpu_pageset[zone.vm.cpu]
    if pcp.locked:
        return NULL
    pcp.free_count >>= 1
    return _rmqueue_pcplist(zone, order, migratetype, alloc_flags, pcp)


def rmqueue(
    preferred_zone: Zone, zone: Zone, order: int, alloc_flags: int, migratetype: int
) -> int:
    """Take a block of this order and type from the zone; NULL if there is none.

    preferred_zone is for the NUMA counters only. A request whose fallback boosted the watermark
    wakes kswapd. Kernel: mm/page_alloc.c rmqueue()
    """
    page = NULL
    if pcp_allowed_order(zone.vm, order):
        page = rmqueue_pcplist(zone, order, migratetype, alloc_flags)
    if page == NULL:
        page = rmqueue_buddy(zone, order, alloc_flags, migratetype)
    if page != NULL:
        zone_statistics(preferred_zone, zone, 1)
    if alloc_flags & ALLOC_KSWAPD and zone.flags & ZONE_BOOSTED_WATERMARK:
        zone.flags &= ~ZONE_BOOSTED_WATERMARK
        wakeup_kswapd(zone, 0, 0, zone.idx)
    return page
