"""kswapd: from its waking until it sleeps again.

Kernel: mm/vmscan.c kswapd_age_node() to kswapd()
"""

from __future__ import annotations

from copy import copy

from memsim.mm.folio import lru_gen_enabled, mem_cgroup_lruvec, set_lruvec_field
from memsim.mm.journal import set_node_field
from memsim.mm.kswapd import (
    balance_pgdat_begin,
    balance_pgdat_end,
    kswapd_sleeps,
    kswapd_wakes,
    pgdat_balanced,
    set_kswapd_stack,
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


class Stack:
    """What kswapd has on its stack, from one turn to the next: kswapd()'s variables, then others.

    boosts and nr_boost_reclaim are balance_pgdat()'s; `naps_until` is the jiffy when its short
    sleep ends, -1 while it runs.
    """

    __slots__ = (
        "alloc_order", "boosts", "highest_zoneidx", "naps_until", "nr_boost_reclaim",
        "reclaim_order", "sc",
    )  # fmt: skip

    def __init__(self, highest_zoneidx: int) -> None:
        self.alloc_order = self.reclaim_order = 0
        self.highest_zoneidx = highest_zoneidx
        self.sc = ScanControl(0, GFP_KERNEL, highest_zoneidx, 0)
        self.boosts: list[int] = []
        self.nr_boost_reclaim = 0
        self.naps_until = -1


def balance_pgdat(vm: Vm, pgdat: PglistData, order: int, highest_zoneidx: int) -> int:
    """Reclaim until a zone up to the highest is above high, or it is hopeless: the order left.

    A boost is worked off first, without writing or swapping. Kernel: mm/vmscan.c balance_pgdat()
    """
    stack = Stack(highest_zoneidx)
    stack.alloc_order = order
    _balance_begin(pgdat, stack)
    while not _balance_round(vm, pgdat, stack):
        pass
    return stack.sc.order


def _balance_begin(pgdat: PglistData, stack: Stack) -> None:
    stack.sc = ScanControl(0, GFP_KERNEL, stack.highest_zoneidx, stack.alloc_order)
    stack.boosts = balance_pgdat_begin(pgdat, stack.highest_zoneidx)
    stack.nr_boost_reclaim = sum(stack.boosts)


def _balance_round(vm: Vm, pgdat: PglistData, stack: Stack) -> bool:
    """One priority of balance_pgdat(); True, with its end done too, when it was the last."""
    sc = stack.sc
    over, balanced = _balance_priority(vm, pgdat, stack)
    if not over and sc.priority >= 1:
        return False
    if not balanced and _trim_failed(sc):
        sc.no_cache_trim_mode = True
        sc.priority, stack.nr_boost_reclaim = DEF_PRIORITY, 0
        return False
    _balance_end(vm, pgdat, stack, balanced)
    return True


def _balance_end(vm: Vm, pgdat: PglistData, stack: Stack, balanced: bool) -> None:
    if not balanced and not stack.sc.nr_reclaimed:
        set_node_field(vm, pgdat, "kswapd_failures", pgdat.kswapd_failures + 1)
    balance_pgdat_end(pgdat, stack.boosts)
    if sum(stack.boosts) and vm.pressure is not None:
        vm.pressure.wakeup_kcompactd(pgdat, vm.pageblock_order, stack.highest_zoneidx)
    snapshot_refaults(vm, pgdat)


def _trim_failed(sc: ScanControl) -> bool:
    """Did all passes go in vain because cache was to be trimmed first?"""
    in_vain = not sc.nr_reclaimed and sc.priority < 1
    return in_vain and not sc.no_cache_trim_mode and sc.cache_trim_mode_failed


def _balance_priority(vm: Vm, pgdat: PglistData, stack: Stack) -> tuple[bool, bool]:
    """One priority: (is the loop over them left, is the node balanced)."""
    sc, nr_boost_reclaim = stack.sc, stack.nr_boost_reclaim
    nr_reclaimed = sc.nr_reclaimed
    balanced = pgdat_balanced(pgdat, sc.order, sc.reclaim_idx)
    if not balanced and nr_boost_reclaim:
        stack.nr_boost_reclaim = nr_boost_reclaim = 0
        sc.priority = DEF_PRIORITY
    if not nr_boost_reclaim and balanced:
        return True, True
    raise_priority = not (nr_boost_reclaim and sc.priority == DEF_PRIORITY - 2)
    sc.may_writepage = sc.may_swap = not nr_boost_reclaim
    kswapd_age_node(vm, pgdat, sc)
    if sc.priority < DEF_PRIORITY - 2:
        sc.may_writepage = True
    sc.nr_scanned = 0
    if kswapd_shrink_node(vm, pgdat, sc):
        raise_priority = False
    nr_reclaimed = sc.nr_reclaimed - nr_reclaimed
    stack.nr_boost_reclaim = nr_boost_reclaim - min(nr_boost_reclaim, nr_reclaimed)
    if stack.nr_boost_reclaim and not nr_reclaimed:
        return True, False
    if raise_priority or not nr_reclaimed:
        sc.priority -= 1
    return False, False


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


def _nap_begins(vm: Vm, pgdat: PglistData, stack: Stack) -> bool:
    """The short sleep, of a tenth of a second, on the queue where wakers see it; False: no time.

    Kernel: mm/vmscan.c kswapd_try_to_sleep(), its first half
    """
    if not prepare_kswapd_sleep(vm, pgdat, stack.reclaim_order, stack.highest_zoneidx):
        return False
    if vm.pressure is not None:
        vm.pressure.reset_isolation_suitable(pgdat)
        vm.pressure.wakeup_kcompactd(pgdat, stack.alloc_order, stack.highest_zoneidx)
    stack.naps_until = vm.jiffies + vm.HZ // 10
    return True


def kswapd_nap_is_over(vm: Vm, pgdat: PglistData) -> None:
    """Its timer wakes a kswapd that naps; the queue holds it until it runs."""
    if pgdat.kswapd_asleep and 0 <= kswapd_naps_until(vm, pgdat) <= vm.jiffies:
        set_node_field(vm, pgdat, "kswapd_asleep", 0)


def kswapd_naps_until(vm: Vm, pgdat: PglistData) -> int:
    """The jiffy when a nap ends; -1: kswapd does not nap."""
    stack = vm.trace.values[pgdat.kswapd_stack]
    return stack.naps_until if isinstance(stack, Stack) else -1


def _nap_ends(vm: Vm, pgdat: PglistData, stack: Stack, woken: bool) -> bool:
    """Does it sleep for good now? Who was woken in its nap has its wishes back, and goes on.

    Kernel: mm/vmscan.c kswapd_try_to_sleep(), its second half
    """
    stack.naps_until = -1
    if woken:
        highest_zoneidx = kswapd_highest_zoneidx(vm, pgdat, stack.highest_zoneidx)
        set_node_field(vm, pgdat, "kswapd_highest_zoneidx", highest_zoneidx)
        if pgdat.kswapd_order < stack.reclaim_order:
            set_node_field(vm, pgdat, "kswapd_order", stack.reclaim_order)
        return False
    if not prepare_kswapd_sleep(vm, pgdat, stack.reclaim_order, stack.highest_zoneidx):
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


def _takes_up(vm: Vm, pgdat: PglistData, stack: Stack) -> None:
    """What was asked for is taken up, and balance_pgdat() begins."""
    stack.alloc_order = pgdat.kswapd_order
    stack.highest_zoneidx = kswapd_highest_zoneidx(vm, pgdat, stack.highest_zoneidx)
    set_node_field(vm, pgdat, "kswapd_order", 0)
    set_node_field(vm, pgdat, "kswapd_highest_zoneidx", vm.arch.MAX_NR_ZONES)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_KSWAPD_WAKE, pgdat.nid, stack.highest_zoneidx, stack.alloc_order)
    _balance_begin(pgdat, stack)


def _balanced(vm: Vm, pgdat: PglistData, stack: Stack) -> None:
    """balance_pgdat() is done: what it tries to sleep with."""
    stack.reclaim_order = stack.sc.order
    if stack.reclaim_order >= stack.alloc_order:
        stack.alloc_order = stack.reclaim_order = pgdat.kswapd_order
        stack.highest_zoneidx = kswapd_highest_zoneidx(vm, pgdat, stack.highest_zoneidx)


def _turn(vm: Vm, pgdat: PglistData, stack: Stack | None, naps: bool) -> Stack | None:
    """From one place where kswapd may lose its CPU to the next: None when it sleeps for good."""
    if stack is None:
        kswapd_wakes(pgdat)
        _set_asleep(vm, pgdat, 0)
        stack = Stack(vm.arch.MAX_NR_ZONES - 1)
        _takes_up(vm, pgdat, stack)
    elif stack.naps_until >= 0:
        if _nap_ends(vm, pgdat, stack, not pgdat.kswapd_waits):
            return None
        _set_asleep(vm, pgdat, 0)
        _takes_up(vm, pgdat, stack)
    if _balance_round(vm, pgdat, stack):
        _balanced(vm, pgdat, stack)
        if not _nap_begins(vm, pgdat, stack):
            _takes_up(vm, pgdat, stack)
        elif naps:
            _set_asleep(vm, pgdat, 1)
        elif _nap_ends(vm, pgdat, stack, False):
            return None
        else:
            _takes_up(vm, pgdat, stack)
    return stack


def kswapd_turn(vm: Vm, pgdat: PglistData) -> None:
    """A node's kswapd, which is awake, runs one priority of balance_pgdat(), or ends its nap.

    NOT MODELLED: that it loses its CPU within a priority.
    """
    _run(vm, pgdat, once=True)


def kswapd(vm: Vm, pgdat: PglistData) -> None:
    """A node's kswapd was woken: it reclaims, and sleeps again. On the CPU that runs.

    NOT MODELLED: its nap, in which nobody runs here who could wake it; kswapd_turn() has it.
    Kernel: mm/vmscan.c kswapd(), from one schedule() to the next
    """
    _run(vm, pgdat, once=False)


def _run(vm: Vm, pgdat: PglistData, once: bool) -> None:
    had, vm.current.flags = vm.current.flags, vm.current.flags | PF_MEMALLOC | PF_KSWAPD
    kept = vm.trace.values[pgdat.kswapd_stack]
    stack = _turn(vm, pgdat, _copied(kept) if isinstance(kept, Stack) else None, once)
    while stack is not None and not once:
        stack = _turn(vm, pgdat, stack, False)
    set_kswapd_stack(vm, pgdat, stack)
    vm.current.flags = had


def _copied(kept: Stack) -> Stack:
    """A stack of its own: what a step names may not change."""
    stack = copy(kept)
    stack.sc = copy(kept.sc)
    return stack
