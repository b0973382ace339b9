"""What a request does itself when nobody did it for it: reclaim, compact, kill.

Kernel: mm/page_alloc.c __alloc_pages_cpuset_fallback() to __alloc_pages_direct_reclaim()
"""

from __future__ import annotations

from memsim.mm.current import memalloc_noreclaim_restore, memalloc_noreclaim_save
from memsim.mm.mmzone import page_zone
from memsim.mm.page_alloc.slow_request import SlowRequest
from memsim.mm.page_alloc.zone_walk import prep_new_page
from memsim.mm.pressure import Pressure
from memsim.trace.slowpath_steps import Decision
from memsim.words.alloc_flags import ALLOC_CPUSET, ALLOC_NO_WATERMARKS, ALLOC_WMARK_HIGH
from memsim.words.compaction import COMPACT_SKIPPED
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_NOFAIL,
    __GFP_RETRY_MAYFAIL,
    __GFP_THISNODE,
)
from memsim.words.mmzone import NULL
from memsim.words.task import PF_DUMPCORE


def _alloc_pages_direct_reclaim(request: SlowRequest, pressure: Pressure) -> int:
    """Reclaim, then try; once more after pcp lists and reserves have given back what they keep.

    Kernel: mm/page_alloc.c __alloc_pages_direct_reclaim()
    """
    request.did_some_progress = _perform_reclaim(request, pressure)
    if not request.did_some_progress:
        request.step_decision(Decision.RECLAIMED_NOTHING)
        return NULL
    request.step_decision(Decision.RECLAIM, request.did_some_progress)
    page = request.get_page(request.alloc_flags)
    if page != NULL:
        return page
    request.step_decision(Decision.DRAIN)
    request.unreserve_highatomic(force=False)
    request.drain_all_pages()
    return request.get_page(request.alloc_flags)


def _perform_reclaim(request: SlowRequest, pressure: Pressure) -> int:
    """Pages reclaimed; meanwhile the task may use every reserve, and does not reclaim again.

    Kernel: mm/page_alloc.c __perform_reclaim()
    """
    current = request.vm.current
    had = memalloc_noreclaim_save(current)
    progress = pressure.try_to_free_pages(request.ac, request.order, request.gfp_mask)
    memalloc_noreclaim_restore(current, had)
    return progress


def _alloc_pages_direct_compact(request: SlowRequest, pressure: Pressure, priority: int) -> int:
    """Compact, then try, unless compaction captured a block; NULL for order 0.

    Kernel: mm/page_alloc.c __alloc_pages_direct_compact()
    """
    if not request.order:
        return NULL
    page = _compact(request, pressure, priority)
    if request.compact_result == COMPACT_SKIPPED:
        request.step_decision(Decision.COMPACT_DID_NOT_RUN)
        return NULL
    zone = page_zone(request.vm, page)
    if zone is not None:
        prep_new_page(zone, page, request.order)
        request.step_decision(Decision.CAPTURED, 0, page)
    else:
        page = request.get_page(request.alloc_flags)
        zone = page_zone(request.vm, page)
    if zone is not None:
        pressure.compaction_defer_reset(zone, request.order, alloc_success=True)
    return page


def _compact(request: SlowRequest, pressure: Pressure, priority: int) -> int:
    """The block that compaction captured, or NULL; its result is in the request."""
    current = request.vm.current
    had = memalloc_noreclaim_save(current)
    request.compact_result, page = pressure.try_to_compact_pages(
        request.gfp_mask, request.order, request.alloc_flags, request.ac, priority
    )
    memalloc_noreclaim_restore(current, had)
    request.step_decision(Decision.COMPACT, request.compact_result, priority)
    return page


def _alloc_pages_cpuset_fallback(request: SlowRequest, alloc_flags: int) -> int:
    """An attempt inside the task's cpuset, then one anywhere.

    NOT MODELLED: cpusets, so the two are alike. Kernel: __alloc_pages_cpuset_fallback()
    """
    page = request.get_page(alloc_flags | ALLOC_CPUSET)
    return page if page != NULL else request.get_page(alloc_flags)


def _alloc_pages_may_oom(request: SlowRequest, pressure: Pressure) -> int:
    """The last resort: a task is killed, unless that cannot help or is not wanted.

    did_some_progress says whether one was. NOT MODELLED: another task that holds oom_lock;
    storage that is suspended. Kernel: mm/page_alloc.c __alloc_pages_may_oom()
    """
    request.did_some_progress = 0
    request.step_decision(Decision.OOM)
    page = request.get_page(ALLOC_WMARK_HIGH | ALLOC_CPUSET, but=__GFP_DIRECT_RECLAIM)
    if page != NULL:
        return page
    spared = _nobody_to_kill(request)
    if spared is not None:
        request.step_decision(spared)
        return NULL
    nofail = (request.gfp_mask & __GFP_NOFAIL) != 0
    killed = pressure.out_of_memory(request.gfp_mask, request.order, request.ac)
    request.step_decision(Decision.OOM_KILLED if killed else Decision.OOM_NOBODY)
    if killed or nofail:
        request.did_some_progress = 1
        if nofail:
            return _alloc_pages_cpuset_fallback(request, ALLOC_NO_WATERMARKS)
    return NULL


def _nobody_to_kill(request: SlowRequest) -> Decision | None:
    """Why the OOM killer is not asked; None when it is."""
    if request.vm.current.flags & PF_DUMPCORE:
        return Decision.OOM_DUMPCORE
    if request.costly_order:
        return Decision.OOM_COSTLY
    if request.gfp_mask & (__GFP_RETRY_MAYFAIL | __GFP_THISNODE):
        return Decision.OOM_MAYFAIL
    if request.ac.highest_zoneidx < request.vm.arch.ZONE_NORMAL:
        return Decision.OOM_LOWMEM
    return None
