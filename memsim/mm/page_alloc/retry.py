"""Is another round worth it? What reclaim and compaction did so far decides.

Kernel: mm/page_alloc.c should_compact_retry(), should_reclaim_retry()
"""

from __future__ import annotations

from memsim.mm.mmzone import Zone
from memsim.mm.page_alloc.slow_request import SlowRequest
from memsim.mm.page_alloc.watermark import _zone_watermark_ok
from memsim.mm.pressure import Pressure
from memsim.mm.vmstat import min_wmark_pages, zone_page_state_snapshot
from memsim.trace.events import (
    COMPACT_RETRY,
    RECLAIM_RETRY_ZONE,
    TP_COMPACT_RETRY,
    TP_RECLAIM_RETRY_ZONE,
)
from memsim.trace.pressure_events import retry_zone
from memsim.trace.slowpath_steps import Decision
from memsim.words.compaction import (
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    MIN_COMPACT_COSTLY_PRIORITY,
    MIN_COMPACT_PRIORITY,
    compact_result_to_feedback,
)
from memsim.words.mmzone import MAX_RECLAIM_RETRIES, NR_FREE_PAGES

MAX_COMPACT_RETRIES = 16


def should_reclaim_retry(request: SlowRequest, pressure: Pressure) -> bool:
    """Could a zone serve the request once all was reclaimed, and was there progress lately?

    When not, a pageblock kept for atomic requests may still help. NOT MODELLED: cpusets, and the
    sleep of workqueue workers. Kernel: mm/page_alloc.c should_reclaim_retry()
    """
    if request.did_some_progress and not request.costly_order:
        request.no_progress_loops = 0
    else:
        request.no_progress_loops += 1
    if _a_zone_could_do(request, pressure):
        return True
    if request.unreserve_highatomic(force=True):
        request.step_decision(Decision.UNRESERVED)
        return True
    return False


def _a_zone_could_do(request: SlowRequest, pressure: Pressure) -> bool:
    loops = request.no_progress_loops
    if loops > MAX_RECLAIM_RETRIES:
        request.step_decision(Decision.TOO_MANY_LOOPS, loops)
        return False
    for zone in request.ac.zonelist:
        if zone_could_do(request, zone, pressure.zone_reclaimable_pages(zone)):
            request.step_decision(Decision.RECLAIM_RETRY, loops)
            return True
    request.step_decision(Decision.NO_RECLAIM_RETRY)
    return False


def zone_could_do(request: SlowRequest, zone: Zone, reclaimable: int) -> bool:
    """Would the zone be above min, if all its reclaimable pages were free?"""
    available = reclaimable + zone_page_state_snapshot(zone, NR_FREE_PAGES)
    min_wmark = min_wmark_pages(zone)
    wmark = _zone_watermark_ok(
        zone, request.order, min_wmark, request.ac.highest_zoneidx, request.alloc_flags, available
    )
    if zone.trace.mask & TP_RECLAIM_RETRY_ZONE:
        where = retry_zone(zone.node, zone.idx, request.order)
        loops = request.no_progress_loops
        zone.trace.emit(
            RECLAIM_RETRY_ZONE, where, reclaimable, available, min_wmark, loops, int(wmark)
        )
    request.step_decision(Decision.RECLAIM_RETRY_ZONE, zone.id, available, min_wmark)
    return wmark


def should_compact_retry(request: SlowRequest, pressure: Pressure) -> bool:
    """Is compaction worth another try, perhaps a harder one?

    Kernel: mm/page_alloc.c should_compact_retry()
    """
    if not request.order or request.vm.current.fatal_signal_pending:
        return False
    priority, retries = request.compact_priority, request.compaction_retries
    # nobody uses the fourth of a costly order's tries but after COMPACT_SUCCESS
    succeeded = request.compact_result == COMPACT_SUCCESS
    max_retries = MAX_COMPACT_RETRIES // (4 if succeeded and request.costly_order else 1)
    ret = _compact_again(request, pressure, max_retries)
    trace = request.vm.trace
    if trace.mask & TP_COMPACT_RETRY:
        result = compact_result_to_feedback(request.compact_result)
        trace.emit(COMPACT_RETRY, request.order, priority, result, retries, max_retries, int(ret))
    decision = Decision.COMPACT_RETRY if ret else Decision.NO_COMPACT_RETRY
    request.step_decision(decision, request.compact_result, request.compact_priority)
    return ret


def _compact_again(request: SlowRequest, pressure: Pressure, max_retries: int) -> bool:
    """The decision; it counts a try, or raises the priority."""
    if request.compact_result == COMPACT_SKIPPED:
        # too few free pages to start: would reclaim change that?
        return pressure.compaction_zonelist_suitable(request.ac, request.order, request.alloc_flags)
    if request.compact_result == COMPACT_SUCCESS:
        request.compaction_retries += 1
        if request.compaction_retries <= max_retries:
            return True
    lowest = MIN_COMPACT_COSTLY_PRIORITY if request.costly_order else MIN_COMPACT_PRIORITY
    if request.compact_priority <= lowest:
        return False
    request.compact_priority -= 1
    request.compaction_retries = 0
    return True
