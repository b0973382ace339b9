"""The slow path: what a request tries when the fast path found nothing, and in which order.

NOT MODELLED: changes of cpusets (check_retry_cpuset()) or of zonelists (check_retry_zonelist())
on the way, which let it start again; psi; the WARN_ON_ONCE() of odd __GFP_NOFAIL.

Kernel: mm/page_alloc.c __alloc_pages_slowpath()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.page_alloc.direct import (
    _alloc_pages_cpuset_fallback,
    _alloc_pages_direct_compact,
    _alloc_pages_direct_reclaim,
    _alloc_pages_may_oom,
)
from memsim.mm.page_alloc.retry import should_compact_retry, should_reclaim_retry
from memsim.mm.page_alloc.slow_request import SlowRequest
from memsim.mm.page_alloc.zone_walk import (
    AllocContext,
    _gfp_pfmemalloc_flags,
    gfp_to_alloc_flags_cma,
)
from memsim.mm.pressure import Pressure
from memsim.trace.slowpath_steps import Decision
from memsim.words.alloc_flags import ALLOC_CPUSET, ALLOC_KSWAPD, ALLOC_MIN_RESERVE, ALLOC_OOM
from memsim.words.compaction import COMPACT_DEFERRED, COMPACT_SKIPPED, INIT_COMPACT_PRIORITY
from memsim.words.gfp import (
    __GFP_NOFAIL,
    __GFP_NOMEMALLOC,
    __GFP_NORETRY,
    __GFP_RETRY_MAYFAIL,
    __GFP_THISNODE,
)
from memsim.words.mmzone import MIGRATE_MOVABLE, NULL
from memsim.words.task import PF_MEMALLOC

#: memsim's own: no request of a kernel that gets on takes so many rounds.
MAX_ROUNDS = 1000


def _alloc_pages_slowpath(vm: Vm, gfp_mask: int, order: int, ac: AllocContext) -> int:
    """The block, or NULL when all was tried. Without vm.pressure it is attempts only.

    Kernel: mm/page_alloc.c __alloc_pages_slowpath()
    """
    return slow_path(SlowRequest(vm, gfp_mask, order, ac))


def slow_path(request: SlowRequest) -> int:
    """The first attempts, then rounds, until there is a block or the request gives up."""
    page, goes_on = _before_retry(request)
    while page == NULL:
        if goes_on:
            page, goes_on = _retry(request)
        else:
            page, goes_on = _nopage(request)
            if page == NULL and not goes_on:
                request.step_decision(Decision.FAIL)
                break
    return page


def _before_retry(request: SlowRequest) -> tuple[int, bool]:
    """(block or NULL, does it go on to rounds?): an attempt, perhaps compaction."""
    request.step_decision(Decision.BEGIN)
    if not request.ac.zonelist:
        request.step_decision(Decision.NO_ZONE)
        return NULL, False
    if request.alloc_flags & ALLOC_KSWAPD:
        request.wake_all_kswapds()
    else:
        request.step_decision(Decision.NO_KSWAPD)
    page = request.get_page(request.alloc_flags)
    if page == NULL and request.pressure is not None and _compacts_first(request):
        return _compact_first(request, request.pressure)
    return page, True


def _compacts_first(request: SlowRequest) -> bool:
    """Is compaction tried before reclaim? Not when reserves are still to be tried."""
    if not request.can_direct_reclaim or not request.can_compact or not request.order:
        return False
    if not request.costly_order and request.ac.migratetype == MIGRATE_MOVABLE:
        return False
    return not _gfp_pfmemalloc_flags(request.vm, request.gfp_mask)


def _compact_first(request: SlowRequest, pressure: Pressure) -> tuple[int, bool]:
    """The cheap compaction; with __GFP_NORETRY a costly order may be over after it."""
    request.step_decision(Decision.COMPACT_FIRST)
    page = _alloc_pages_direct_compact(request, pressure, INIT_COMPACT_PRIORITY)
    if page != NULL or not (request.costly_order and request.gfp_mask & __GFP_NORETRY):
        return page, True
    if request.compact_result in (COMPACT_SKIPPED, COMPACT_DEFERRED):
        request.step_decision(Decision.COMPACT_FIRST_NORETRY, request.compact_result, 0)
        return NULL, False
    if request.gfp_mask & __GFP_THISNODE:
        request.step_decision(Decision.COMPACT_FIRST_THISNODE)
        return NULL, False
    request.compact_priority = INIT_COMPACT_PRIORITY
    return NULL, True


def _retry(request: SlowRequest) -> tuple[int, bool]:
    """(block or NULL, is there another round?): one round from the label `retry:` on."""
    request.rounds += 1
    if request.alloc_flags & ALLOC_KSWAPD:
        request.wake_all_kswapds()
    _use_reserves(request)
    page = request.get_page(request.alloc_flags)
    if page != NULL or not _may_reclaim(request) or request.pressure is None:
        return page, False
    page = _alloc_pages_direct_reclaim(request, request.pressure)
    if page == NULL:
        page = _alloc_pages_direct_compact(request, request.pressure, request.compact_priority)
    if page != NULL or not _may_retry(request):
        return page, False
    if should_reclaim_retry(request, request.pressure):
        return NULL, True
    if request.did_some_progress and request.can_compact:
        if should_compact_retry(request, request.pressure):
            return NULL, True
    return _out_of_memory(request, request.pressure)


def _use_reserves(request: SlowRequest) -> None:
    """Those who free memory, and victims of the OOM killer, may go below the watermarks.

    They, and atomic requests with reserves of their own, are let out of their policy's nodes.
    """
    reserve_flags = _gfp_pfmemalloc_flags(request.vm, request.gfp_mask)
    if reserve_flags:
        alloc_flags = gfp_to_alloc_flags_cma(request.vm, request.gfp_mask, reserve_flags)
        request.alloc_flags = alloc_flags | request.alloc_flags & ALLOC_KSWAPD
        request.step_decision(Decision.RESERVES, request.alloc_flags)
    if not request.alloc_flags & ALLOC_CPUSET:
        request.ac.forget_nodemask()


def _may_reclaim(request: SlowRequest) -> bool:
    """May the request reclaim for itself, and is there who does it?"""
    if not request.can_direct_reclaim:
        request.step_decision(Decision.NO_DIRECT_RECLAIM)
    elif request.vm.current.flags & PF_MEMALLOC:
        request.step_decision(Decision.IS_MEMALLOC)
    elif request.pressure is None:
        request.step_decision(Decision.NOBODY)
    else:
        return True
    return False


def _may_retry(request: SlowRequest) -> bool:
    """Does the mask allow a second round?"""
    if request.gfp_mask & __GFP_NORETRY:
        request.step_decision(Decision.NORETRY)
        return False
    mayfail = (request.gfp_mask & __GFP_RETRY_MAYFAIL) != 0
    if request.costly_order and not (request.can_compact and mayfail):
        request.step_decision(Decision.COSTLY)
        return False
    if request.rounds >= MAX_ROUNDS:
        request.step_decision(Decision.STUCK, request.rounds)
        return False
    return True


def _out_of_memory(request: SlowRequest, pressure: Pressure) -> tuple[int, bool]:
    """Somebody is killed; a victim gives up, others go on while anybody is killed."""
    page = _alloc_pages_may_oom(request, pressure)
    if page != NULL:
        return page, False
    used = request.alloc_flags & ALLOC_OOM or request.gfp_mask & __GFP_NOMEMALLOC
    if request.vm.current.oom_victim and used:
        request.step_decision(Decision.OOM_VICTIM)
        return NULL, False
    if request.did_some_progress:
        request.no_progress_loops = 0
        return NULL, True
    return NULL, False


def _nopage(request: SlowRequest) -> tuple[int, bool]:
    """All failed: the end, but for __GFP_NOFAIL. memsim's end comes where nothing would change."""
    if not request.gfp_mask & __GFP_NOFAIL:
        return NULL, False
    if not request.can_direct_reclaim:
        request.step_decision(Decision.NOFAIL_CANNOT)
        return NULL, False
    request.step_decision(Decision.NOFAIL)
    page = _alloc_pages_cpuset_fallback(request, ALLOC_MIN_RESERVE)
    if page == NULL and (request.pressure is None or request.rounds >= MAX_ROUNDS):
        request.step_decision(Decision.STUCK, request.rounds)
        return NULL, False
    return page, True
