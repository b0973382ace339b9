"""The vmstat worker: every second or two it folds counters and lets pcp lists decay.

Kernel: mm/vmstat.c refresh_cpu_vm_stats(), vmstat_update()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm, populated_zones
from memsim.mm.page_alloc.pcp import decay_pcp_high
from memsim.mm.vmstat import fold_zone_diffs


def refresh_cpu_vm_stats(vm: Vm, do_pagesets: bool) -> bool:
    """Fold this CPU's counters; with do_pagesets let its pcp lists decay. Is there more to do?

    NOT MODELLED: draining a CPU's lists for zones of other nodes after three idle rounds.
    Kernel: mm/vmstat.c refresh_cpu_vm_stats()
    """
    changed = False
    for zone in populated_zones(vm):
        fold_zone_diffs(zone, vm.cpu)
        if do_pagesets and decay_pcp_high(zone, zone.per_cpu_pageset[vm.cpu]):
            changed = True
    return changed
