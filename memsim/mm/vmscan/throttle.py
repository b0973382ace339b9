"""Who has to wait while memory is reclaimed, and for what.

NOT MODELLED: that anybody is woken earlier: each waits its whole timeout. Nobody runs meanwhile.
Kernel threads other than kswapd, and who serves an io_uring (PF_USER_WORKER), would not wait.

Kernel: mm/vmscan.c skip_throttle_noprogress(), reclaim_throttle()
"""

from __future__ import annotations

from memsim.mm.jiffies import jiffies_to_usecs, pass_jiffies
from memsim.mm.mmzone import PglistData, Vm
from memsim.mm.vmscan.balance import zone_reclaimable_pages
from memsim.trace.vmscan_events import MM_VMSCAN_THROTTLED, TP_VMSCAN, emit
from memsim.words.mmzone import MAX_RECLAIM_RETRIES, NR_ZONE_WRITE_PENDING

VMSCAN_THROTTLE_WRITEBACK, VMSCAN_THROTTLE_ISOLATED = 0, 1
VMSCAN_THROTTLE_NOPROGRESS, VMSCAN_THROTTLE_CONGESTED = 2, 3


def skip_throttle_noprogress(pgdat: PglistData) -> bool:
    """Is waiting useless: is kswapd hopeless, or little waits to be written?

    Kernel: mm/vmscan.c skip_throttle_noprogress()
    """
    if pgdat.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    zones = [zone for zone in pgdat.node_zones if zone.managed_pages]
    reclaimable = sum(zone_reclaimable_pages(zone) for zone in zones)
    write_pending = sum(zone.vm_stat[NR_ZONE_WRITE_PENDING] for zone in zones)
    return 2 * write_pending <= reclaimable


def reclaim_throttle(vm: Vm, pgdat: PglistData, reason: int) -> bool:
    """Wait for VMSCAN_THROTTLE_*; was there a wait? Kernel: mm/vmscan.c reclaim_throttle()."""
    if reason >= VMSCAN_THROTTLE_NOPROGRESS and skip_throttle_noprogress(pgdat):
        return False
    timeout = (vm.HZ // 10, vm.HZ // 50, 1, 1)[reason]
    usec = jiffies_to_usecs(vm, timeout)
    pass_jiffies(vm, timeout)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_VMSCAN_THROTTLED, pgdat.nid, usec, usec, 1 << reason)
    return True
