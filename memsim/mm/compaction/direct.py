"""A request compacts for itself: zone by zone, until one has a block for it.

Kernel: mm/compaction.c compact_zone_order(), try_to_compact_pages()
"""

from __future__ import annotations

from memsim.mm.compaction.compact_zone import compact_zone
from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.defer import (
    compaction_defer_reset,
    compaction_deferred,
    defer_compaction,
)
from memsim.mm.mmzone import CaptureControl, Vm, Zone
from memsim.mm.page_alloc.zone_walk import AllocContext, request_migratetype
from memsim.trace.compaction_events import MM_COMPACTION_TRY_TO_COMPACT_PAGES
from memsim.trace.events import TP_COMPACTION
from memsim.words.compaction import (
    COMPACT_COMPLETE,
    COMPACT_DEFERRED,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_PRIO_ASYNC,
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    MIGRATE_ASYNC,
    MIGRATE_SYNC_LIGHT,
    MIN_COMPACT_PRIORITY,
)
from memsim.words.gfp import __GFP_IO
from memsim.words.mmzone import NULL


def compact_zone_order(
    zone: Zone, order: int, gfp_mask: int, prio: int, alloc_flags: int, highest_zoneidx: int
) -> tuple[int, int]:
    """(compact_result, the block that was captured or NULL) of compacting one zone.

    The highest priority ignores skip marks and types of pageblocks, and does the whole zone.
    Kernel: mm/compaction.c compact_zone_order()
    """
    cc = CompactControl(zone, order)
    cc.gfp_mask, cc.alloc_flags, cc.highest_zoneidx = gfp_mask, alloc_flags, highest_zoneidx
    cc.mode = MIGRATE_ASYNC if prio == COMPACT_PRIO_ASYNC else MIGRATE_SYNC_LIGHT
    cc.direct_compaction = True
    full = prio == MIN_COMPACT_PRIORITY
    cc.whole_zone = cc.ignore_skip_hint = cc.ignore_block_suitable = full
    capc = CaptureControl(zone, order, request_migratetype(zone.vm, gfp_mask))
    zone.vm.capture_control = capc
    ret = compact_zone(cc, capc)
    zone.vm.capture_control = None
    return (COMPACT_SUCCESS if capc.page != NULL else ret), capc.page


def try_to_compact_pages(
    vm: Vm, gfp_mask: int, order: int, alloc_flags: int, ac: AllocContext, prio: int
) -> tuple[int, int]:
    """(the best compact_result of the zones tried, the block captured or NULL).

    NOT MODELLED: cpusets, need_resched(), fatal signals.
    Kernel: mm/compaction.c try_to_compact_pages()
    """
    rc, captured = COMPACT_SKIPPED, NULL
    if not gfp_mask & __GFP_IO:
        return rc, captured
    if vm.trace.mask & TP_COMPACTION:
        vm.trace.emit(MM_COMPACTION_TRY_TO_COMPACT_PAGES, order, gfp_mask, prio)
    for zone in ac.zonelist:
        if prio > MIN_COMPACT_PRIORITY and compaction_deferred(zone, order):
            rc = max(COMPACT_DEFERRED, rc)
            continue
        status, captured = compact_zone_order(
            zone, order, gfp_mask, prio, alloc_flags, ac.highest_zoneidx
        )
        rc = max(status, rc)
        if status == COMPACT_SUCCESS:
            compaction_defer_reset(zone, order, False)
            break
        if prio != COMPACT_PRIO_ASYNC and status in (COMPACT_COMPLETE, COMPACT_PARTIAL_SKIPPED):
            defer_compaction(zone, order)
    return rc, captured
