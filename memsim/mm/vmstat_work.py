"""The vmstat worker: every second or two it folds counters and lets pcp lists decay.

Kernel: mm/vmstat.c refresh_cpu_vm_stats(), vmstat_update()
"""

from __future__ import annotations

from memsim.mm.jiffies import round_jiffies_relative
from memsim.mm.mmzone import PerCpuPages, Vm, Zone, numa_node_id, populated_zones
from memsim.mm.page_alloc.pcp import decay_pcp_high, drain_zone_pages
from memsim.mm.vmstat import fold_zone_diffs
from memsim.words.mmzone import NR_FREE_CMA_PAGES, NR_FREE_PAGES


def refresh_cpu_vm_stats(vm: Vm, do_pagesets: bool) -> bool:
    """Fold this CPU's counters; with do_pagesets let its pcp lists decay. Is there more to do?

    Kernel: mm/vmstat.c refresh_cpu_vm_stats()
    """
    changed = any(_global_diff(vm, item) for item in (NR_FREE_PAGES, NR_FREE_CMA_PAGES))
    for zone in populated_zones(vm):
        fold_zone_diffs(zone, vm.cpu)
        if do_pagesets:
            decaying = decay_pcp_high(zone, zone.per_cpu_pageset[vm.cpu])
            expiring = expire_remote_pcp(zone, zone.per_cpu_pageset[vm.cpu])
            changed |= decaying or expiring
    return changed


def _global_diff(vm: Vm, item: int) -> int:
    """What this CPU's changes of a counter add up to, over all zones."""
    return sum(zone.per_cpu_zonestats[vm.cpu].vm_stat_diff[item] for zone in populated_zones(vm))


def need_update(vm: Vm, cpu: int) -> bool:
    """Has a CPU changes that no zone knows of? Kernel: mm/vmstat.c need_update()."""
    return any(any(zone.per_cpu_zonestats[cpu].vm_stat_diff) for zone in populated_zones(vm))


def quiet_vmstat(vm: Vm) -> None:
    """This CPU goes idle: its changes are folded. Kernel: mm/vmstat.c quiet_vmstat()."""
    if need_update(vm, vm.cpu):
        refresh_cpu_vm_stats(vm, False)


def stat_interval(vm: Vm) -> int:
    """In about how many jiffies the worker, or its shepherd, comes again: a second.

    Kernel: mm/vmstat.c sysctl_stat_interval
    """
    return round_jiffies_relative(vm, vm.HZ)


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
