"""How kswapd is woken, and what it does to the page allocator's state while it runs.

Reclaim itself is not here.

Kernel: mm/vmscan.c balance_pgdat(), kswapd_try_to_sleep(), wakeup_kswapd()
"""

from __future__ import annotations

from memsim.mm.journal import set_node_field
from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.mm.page_alloc.watermark import zone_watermark_ok_safe
from memsim.mm.pressure import Pressure
from memsim.mm.vmstat import high_wmark_pages, set_pgdat_percpu_threshold
from memsim.trace.events import MM_VMSCAN_WAKEUP_KSWAPD, TP_MM_VMSCAN_WAKEUP_KSWAPD, TP_STEPS
from memsim.trace.slowpath_steps import Decision
from memsim.trace.task_steps import KSWAPD_STACK, KswapdStack
from memsim.words.gfp import __GFP_DIRECT_RECLAIM
from memsim.words.mmzone import MAX_RECLAIM_RETRIES, ZONE_RECLAIM_ACTIVE


def balance_pgdat_begin(pgdat: PglistData, highest_zoneidx: int) -> list[int]:
    """kswapd starts: zones are marked, and their boosts noted. Returns those, by zone index.

    Kernel: mm/vmscan.c balance_pgdat(), its start; set_reclaim_active()
    """
    boosts = []
    for zone in pgdat.node_zones[: highest_zoneidx + 1]:
        boosts.append(zone.watermark_boost)
        if zone.managed_pages:
            zone.flags |= ZONE_RECLAIM_ACTIVE
    return boosts


def balance_pgdat_end(pgdat: PglistData, boosts: list[int]) -> None:
    """kswapd ends: it takes back the boost that was there when it started, and no more.

    Kernel: mm/vmscan.c balance_pgdat(), its end; clear_reclaim_active()
    """
    for zone, boost in zip(pgdat.node_zones, boosts, strict=False):
        zone.watermark_boost -= min(zone.watermark_boost, boost)
        zone.flags &= ~ZONE_RECLAIM_ACTIVE


def kswapd_wakes(pgdat: PglistData) -> None:
    """kswapd leaves its sleep: smaller counter drift where that matters."""
    set_pgdat_percpu_threshold(pgdat, pressure=True)


def kswapd_sleeps(pgdat: PglistData) -> None:
    """kswapd goes to sleep: counters may drift as usual again."""
    set_pgdat_percpu_threshold(pgdat, pressure=False)


def pgdat_watermark_boosted(pgdat: PglistData, highest_zoneidx: int) -> bool:
    """Has one of these zones a boosted watermark? Kernel: mm/vmscan.c pgdat_watermark_boosted()."""
    zones = pgdat.node_zones[: highest_zoneidx + 1]
    return any(zone.managed_pages and zone.watermark_boost for zone in zones)


def pgdat_balanced(pgdat: PglistData, order: int, highest_zoneidx: int) -> bool:
    """Is one of these zones above high, for this order? True when none of them has pages.

    NOT MODELLED: memory tiering, which asks for the promo watermark.
    Kernel: mm/vmscan.c pgdat_balanced()
    """
    managed = [zone for zone in pgdat.node_zones[: highest_zoneidx + 1] if zone.managed_pages]
    for zone in managed:
        if zone_watermark_ok_safe(zone, order, high_wmark_pages(zone), highest_zoneidx):
            return True
    return not managed


def set_kswapd_stack(vm: Vm, pgdat: PglistData, stack: object) -> None:
    """Keep what kswapd has on its stack until its next turn; None: nothing, it sleeps."""
    old, new = pgdat.kswapd_stack, vm.trace.keep(stack)
    if old != new and vm.trace.mask & TP_STEPS:
        vm.trace.step(KSWAPD_STACK, pgdat.nid, old, new)
    pgdat.kswapd_stack = new


def apply_kswapd_stack(vm: Vm, step: KswapdStack, backwards: bool) -> None:
    """Do a step again, or undo it. A machine made from a snapshot has no stacks."""
    number = step.old if backwards else step.new
    if number < len(vm.trace.values):
        vm.nodes[step.nid].kswapd_stack = number


def wakeup_kswapd(zone: Zone, gfp_flags: int, order: int, highest_zoneidx: int) -> Decision:
    """Ask the zone's node for pages, and wake its kswapd if it sleeps and has something to do.

    Returns what was decided. NOT MODELLED: cpusets. Kernel: mm/vmscan.c wakeup_kswapd()
    """
    vm, pgdat = zone.vm, zone.vm.nodes[zone.node]
    if vm.pressure is None or not zone.managed_pages:
        return Decision.NOBODY
    _ask_kswapd(vm, pgdat, order, highest_zoneidx)
    if not pgdat.kswapd_waits:
        return Decision.KSWAPD_AWAKE
    hopeless = pgdat.kswapd_failures >= MAX_RECLAIM_RETRIES
    if hopeless or (
        pgdat_balanced(pgdat, order, highest_zoneidx)
        and not pgdat_watermark_boosted(pgdat, highest_zoneidx)
    ):
        if not gfp_flags & __GFP_DIRECT_RECLAIM:
            vm.pressure.wakeup_kcompactd(pgdat, order, highest_zoneidx)
        return Decision.KSWAPD_HOPELESS if hopeless else Decision.KSWAPD_BALANCED
    if vm.trace.mask & TP_MM_VMSCAN_WAKEUP_KSWAPD:
        vm.trace.emit(MM_VMSCAN_WAKEUP_KSWAPD, pgdat.nid, highest_zoneidx, order, gfp_flags)
    _wake_up(vm.pressure, vm, pgdat)
    return Decision.KSWAPD_WOKEN


def _wake_up(pressure: Pressure, vm: Vm, pgdat: PglistData) -> None:
    """Its waker takes kswapd off the queue, long before it runs; but not if it is awake already.

    Then each request wakes it again. Kernel: kernel/sched/wait.c autoremove_wake_function()
    """
    if pgdat.kswapd_asleep:
        set_node_field(vm, pgdat, "kswapd_asleep", 0)
        set_node_field(vm, pgdat, "kswapd_waits", 0)
        pressure.kswapd_wake(pgdat)


def _ask_kswapd(vm: Vm, pgdat: PglistData, order: int, highest_zoneidx: int) -> None:
    """kswapd keeps the largest wishes until it takes them up, asleep or not."""
    now = pgdat.kswapd_highest_zoneidx
    if now == vm.arch.MAX_NR_ZONES or now < highest_zoneidx:
        set_node_field(vm, pgdat, "kswapd_highest_zoneidx", highest_zoneidx)
    if pgdat.kswapd_order < order:
        set_node_field(vm, pgdat, "kswapd_order", order)
