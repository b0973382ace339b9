"""Reclaim, and at last the OOM killer, as the slow path asks for them.

Kernel: mm/vmscan.c try_to_free_pages(), zone_reclaimable_pages(), mm/oom_kill.c out_of_memory()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm, Zone
from memsim.mm.oom_kill.constraint import OomControl
from memsim.mm.oom_kill.exit import victims_exit
from memsim.mm.oom_kill.out_of_memory import out_of_memory
from memsim.mm.page_alloc.zone_walk import AllocContext
from memsim.mm.pressure import Pressure
from memsim.mm.vmscan.balance import zone_reclaimable_pages
from memsim.mm.vmscan.direct import throttled_node, try_to_free_pages
from memsim.mm.vmscan.kswapd import kswapd


class Reclaim(Pressure):
    """Pressure that is answered by reclaim and the OOM killer: nobody compacts."""

    def __init__(self, vm: Vm) -> None:
        self.vm = vm

    def try_to_free_pages(self, ac: AllocContext, order: int, gfp_mask: int) -> int:
        """Direct reclaim. Who has to wait for kswapd first, lets it run meanwhile.

        Kernel: mm/vmscan.c try_to_free_pages(), throttle_direct_reclaim()
        """
        pgdat = throttled_node(self.vm, ac)
        if pgdat is not None:
            kswapd(self.vm, pgdat)
        return try_to_free_pages(self.vm, ac, order, gfp_mask)

    def zone_reclaimable_pages(self, zone: Zone) -> int:
        """Pages on the zone's LRU lists that could be freed. Kernel: zone_reclaimable_pages()."""
        return zone_reclaimable_pages(zone)

    def out_of_memory(self, gfp_mask: int, order: int, ac: AllocContext) -> bool:
        """Kill a task: was one chosen? Whoever is killed exits before the request goes on.

        With init alone there is nobody to kill. NOT MODELLED: the panic that follows then; that
        exiting takes time. Kernel: mm/oom_kill.c out_of_memory()
        """
        processes = self.vm.oom.processes
        if len(processes) < 2:
            return False
        helps = out_of_memory(self.vm, OomControl(gfp_mask, order, ac.zonelist))
        if helps:
            victims_exit(self.vm)
        return helps
