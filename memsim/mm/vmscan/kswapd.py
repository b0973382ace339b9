"""kswapd: from its waking until it sleeps again.

NOT MODELLED: that somebody wakes it in its short sleep of a tenth of a second.

Kernel: mm/vmscan.c kswapd_age_node() to kswapd()
"""

from __future__ import annotations

from memsim.mm.folio import lru_gen_enabled, mem_cgroup_lruvec, set_lruvec_field
from memsim.mm.journal import set_node_field
from memsim.mm.kswapd import (
    balance_pgdat_begin,
    balance_pgdat_end,
    kswapd_sleeps,
    kswapd_wakes,
    pgdat_balanced,
)
from memsim.mm.lru_gen.shrink import lru_gen_age_node
from memsim.mm.mmzone import PglistData, Vm
from memsim.mm.vmscan.balance import can_age_anon_pages, inactive_is_low
from memsim.mm.vmscan.memcg_iter import mem_cgroup_iter
from memsim.mm.vmscan.scan_control import DEF_PRIORITY, ScanControl
from memsim.mm.vmscan.shrink_list import shrink_active_list
from memsim.mm.vmscan.shrink_node import shrink_node, snapshot_refaults
from memsim.mm.vmstat import high_wmark_pages
from memsim.trace.vmscan_events import (
    MM_VMSCAN_KSWAPD_SLEEP,
    MM_VMSCAN_KSWAPD_WAKE,
    TP_VMSCAN,
    emit,
)
from memsim.words.compaction import compact_gap
from memsim.words.gfp import GFP_KERNEL
from memsim.words.mmzone import MAX_RECLAIM_RETRIES
from memsim.words.page_flags import (
    LRU_ACTIVE_ANON,
    LRU_INACTIVE_ANON,
    LRUVEC_WAKE_FLUSHERS,
    SWAP_CLUSTER_MAX,
)
from memsim.words.task import PF_KSWAPD, PF_MEMALLOC


def kswapd_age_node(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """Deactivate a batch of anonymous folios where few are inactive, if there is swap.

    Kernel: mm/vmscan.c kswapd_age_node()
    """
    if lru_gen_enabled(vm):
        lru_gen_age_node(vm, pgdat, sc)
        return
    if not can_age_anon_pages(vm) or not inactive_is_low(pgdat.lruvec, LRU_INACTIVE_ANON):
        return
    for memcg in mem_cgroup_iter(vm, sc, pgdat.nid, partial=False):
        lruvec = mem_cgroup_lruvec(memcg, pgdat)
        shrink_active_list(vm, SWAP_CLUSTER_MAX, lruvec, sc, LRU_ACTIVE_ANON)


def kswapd_shrink_node(vm: Vm, pgdat: PglistData, sc: ScanControl) -> bool:
    """A pass that wants the high watermarks' sum: was as much scanned, or freed?

    Kernel: mm/vmscan.c kswapd_shrink_node()
    """
    nr_reclaimed = sc.nr_reclaimed
    zones = [zone for zone in pgdat.node_zones[: sc.reclaim_idx + 1] if zone.managed_pages]
    sc.nr_to_reclaim = sum(max(high_wmark_pages(zone), SWAP_CLUSTER_MAX) for zone in zones)
    shrink_node(vm, pgdat, sc)
    if sc.order and sc.nr_reclaimed >= compact_gap(sc.order):
        sc.order = 0
    return max(sc.nr_scanned, sc.nr_reclaimed - nr_reclaimed) >= sc.nr_to_reclaim


def balance_pgdat(vm: Vm, pgdat: PglistData, order: int, highest_zoneidx: int) -> int:
    """Reclaim until a zone up to the highest is above high, or it is hopeless: the order left.

    A boost is worked off first, without writing or swapping. Kernel: mm/vmscan.c balance_pgdat()
    """
    sc = ScanControl(0, GFP_KERNEL, highest_zoneidx, order)
    boosts = balance_pgdat_begin(pgdat, highest_zoneidx)
    nr_boost_reclaim = sum(boosts)
    balanced = _balance(vm, pgdat, sc, nr_boost_reclaim)
    if not balanced and _trim_failed(sc):
        sc.no_cache_trim_mode = True
        balanced = _balance(vm, pgdat, sc, 0)
    if not balanced and not sc.nr_reclaimed:
        set_node_field(vm, pgdat, "kswapd_failures", pgdat.kswapd_failures + 1)
    balance_pgdat_end(pgdat, boosts)
    if nr_boost_reclaim and vm.pressure is not None:
        vm.pressure.wakeup_kcompactd(pgdat, vm.pageblock_order, highest_zoneidx)
    snapshot_refaults(vm, pgdat)
    return sc.order


def _trim_failed(sc: ScanControl) -> bool:
    """Did all passes go in vain because cache was to be trimmed first?"""
    in_vain = not sc.nr_reclaimed and sc.priority < 1
    return in_vain and not sc.no_cache_trim_mode and sc.cache_trim_mode_failed


def _balance(vm: Vm, pgdat: PglistData, sc: ScanControl, nr_boost_reclaim: int) -> bool:
    """The loop over priorities; True when it ended because the node is balanced."""
    sc.priority = DEF_PRIORITY
    while sc.priority >= 1:
        nr_reclaimed = sc.nr_reclaimed
        balanced = pgdat_balanced(pgdat, sc.order, sc.reclaim_idx)
        if not balanced and nr_boost_reclaim:
            nr_boost_reclaim = 0
            sc.priority = DEF_PRIORITY
            continue
        if not nr_boost_reclaim and balanced:
            return True
        raise_priority = not (nr_boost_reclaim and sc.priority == DEF_PRIORITY - 2)
        sc.may_writepage = sc.may_swap = not nr_boost_reclaim
        kswapd_age_node(vm, pgdat, sc)
        if sc.priority < DEF_PRIORITY - 2:
            sc.may_writepage = True
        sc.nr_scanned = 0
        if kswapd_shrink_node(vm, pgdat, sc):
            raise_priority = False
        nr_reclaimed = sc.nr_reclaimed - nr_reclaimed
        nr_boost_reclaim -= min(nr_boost_reclaim, nr_reclaimed)
        if nr_boost_reclaim and not nr_reclaimed:
            break
        if raise_priority or not nr_reclaimed:
            sc.priority -= 1
    return False


def kswapd_highest_zoneidx(vm: Vm, pgdat: PglistData, prev_highest_zoneidx: int) -> int:
    """What was asked for, else what was before. Kernel: mm/vmscan.c kswapd_highest_zoneidx()."""
    now = pgdat.kswapd_highest_zoneidx
    return prev_highest_zoneidx if now == vm.arch.MAX_NR_ZONES else now


def prepare_kswapd_sleep(vm: Vm, pgdat: PglistData, order: int, highest_zoneidx: int) -> bool:
    """May kswapd sleep: is the node balanced, or hopeless?

    Kernel: mm/vmscan.c prepare_kswapd_sleep()
    """
    if pgdat.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    if pgdat_balanced(pgdat, order, highest_zoneidx):
        set_lruvec_field(vm, pgdat.lruvec, "flags", pgdat.lruvec.flags & LRUVEC_WAKE_FLUSHERS)
        return True
    return False


def kswapd_try_to_sleep(
    vm: Vm, pgdat: PglistData, alloc_order: int, reclaim_order: int, highest_zoneidx: int
) -> bool:
    """Sleep a little, then for good: does kswapd sleep? It waits to be woken then.

    Kernel: mm/vmscan.c kswapd_try_to_sleep()
    """
    if not prepare_kswapd_sleep(vm, pgdat, reclaim_order, highest_zoneidx):
        return False
    if vm.pressure is not None:
        vm.pressure.reset_isolation_suitable(pgdat)
        vm.pressure.wakeup_kcompactd(pgdat, alloc_order, highest_zoneidx)
    if not prepare_kswapd_sleep(vm, pgdat, reclaim_order, highest_zoneidx):
        return False
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_KSWAPD_SLEEP, pgdat.nid)
    _set_asleep(vm, pgdat, 1)
    kswapd_sleeps(pgdat)
    return True


def _set_asleep(vm: Vm, pgdat: PglistData, asleep: int) -> None:
    """kswapd sleeps, on the queue where its wakers see it, or runs."""
    set_node_field(vm, pgdat, "kswapd_waits", asleep)
    set_node_field(vm, pgdat, "kswapd_asleep", asleep)


def kswapd(vm: Vm, pgdat: PglistData) -> None:
    """A node's kswapd was woken: it reclaims, and sleeps again. On the CPU that runs.

    Kernel: mm/vmscan.c kswapd(), from one schedule() to the next
    """
    had, vm.current.flags = vm.current.flags, vm.current.flags | PF_MEMALLOC | PF_KSWAPD
    kswapd_wakes(pgdat)
    _set_asleep(vm, pgdat, 0)
    highest_zoneidx = vm.arch.MAX_NR_ZONES - 1
    sleeps = False
    while not sleeps:
        alloc_order = pgdat.kswapd_order
        highest_zoneidx = kswapd_highest_zoneidx(vm, pgdat, highest_zoneidx)
        set_node_field(vm, pgdat, "kswapd_order", 0)
        set_node_field(vm, pgdat, "kswapd_highest_zoneidx", vm.arch.MAX_NR_ZONES)
        if vm.trace.mask & TP_VMSCAN:
            emit(vm.trace, MM_VMSCAN_KSWAPD_WAKE, pgdat.nid, highest_zoneidx, alloc_order)
        reclaim_order = balance_pgdat(vm, pgdat, alloc_order, highest_zoneidx)
        if reclaim_order >= alloc_order:
            alloc_order = reclaim_order = pgdat.kswapd_order
            highest_zoneidx = kswapd_highest_zoneidx(vm, pgdat, highest_zoneidx)
        sleeps = kswapd_try_to_sleep(vm, pgdat, alloc_order, reclaim_order, highest_zoneidx)
    vm.current.flags = had
