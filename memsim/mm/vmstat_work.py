"""The vmstat worker: every second or two it folds counters and lets pcp lists decay.

Kernel: mm/vmstat.c refresh_cpu_vm_stats(), vmstat_update()
"""

from __future__ import annotations

from memsim.mm.mmzone import PerCpuPages, Vm, Zone, numa_node_id, populated_zones
from memsim.mm.page_alloc.pcp import decay_pcp_high, drain_zone_pages
from memsim.mm.vmstat import fold_zone_diffs


def refresh_cpu_vm_stats(vm: Vm, do_pagesets: bool) -> bool:
    """Fold this CPU's counters; with do_pagesets let its pcp lists decay. Is there more to do?

    Kernel: mm/vmstat.c refresh_cpu_vm_stats()
    """
    changed = False
    for zone in populated_zones(vm):
        fold_zone_diffs(zone, vm.cpu)
        if do_pagesets:
            decaying = decay_pcp_high(zone, zone.per_cpu_pageset[vm.cpu])
            expiring = expire_remote_pcp(zone, zone.per_cpu_pageset[vm.cpu])
            changed |= decaying or expiring
    return changed


def expire_remote_pcp(zone: Zone, pcp: PerCpuPages) -> bool:
    """Drain a batch of what this CPU keeps of another node, once it was idle for three rounds.

    Is there more to do? Kernel: mm/vmstat.c refresh_cpu_vm_stats()
    """
    if not pcp.expire or not pcp.count:
        return False
    if zone.node == numa_node_id(zone.vm):
        pcp.expire = 0
        return False
    pcp.expire -= 1
    if not pcp.expire:
        drain_zone_pages(zone, pcp)
    return True
