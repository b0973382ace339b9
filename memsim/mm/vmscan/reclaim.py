"""Reclaim, and at last the OOM killer, as the slow path asks for them.

Kernel: mm/vmscan.c try_to_free_pages(), zone_reclaimable_pages(), mm/oom_kill.c out_of_memory()
"""

from __future__ import annotations

from memsim.mm.memcontrol.charge import mem_cgroup_margin
from memsim.mm.memcontrol.high import task_is_dying
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm, Zone
from memsim.mm.oom_kill.constraint import OomControl
from memsim.mm.oom_kill.exit import exit_process
from memsim.mm.oom_kill.history import changing_tasks
from memsim.mm.oom_kill.out_of_memory import out_of_memory
from memsim.mm.oom_kill.regions import count_regions
from memsim.mm.oom_kill.task import tsk_is_oom_victim
from memsim.mm.page_alloc.zone_walk import AllocContext
from memsim.mm.pressure import Pressure
from memsim.mm.swap_info import get_nr_swap_pages
from memsim.mm.vmscan.balance import zone_reclaimable_pages
from memsim.mm.vmscan.direct import (
    throttled_node,
    try_to_free_mem_cgroup_pages,
    try_to_free_pages,
)
from memsim.mm.vmscan.kswapd import kswapd
from memsim.mm.vmscan.node_reclaim import node_reclaim


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

    def node_reclaim(self, zone: Zone, gfp_mask: int, order: int) -> int:
        """Reclaim on the zone's node rather than go on to another. Kernel: node_reclaim()."""
        return node_reclaim(self.vm, self.vm.nodes[zone.node], gfp_mask, order)

    def zone_reclaimable_pages(self, zone: Zone) -> int:
        """Pages on the zone's LRU lists that could be freed. Kernel: zone_reclaimable_pages()."""
        return zone_reclaimable_pages(zone)

    def out_of_memory(self, gfp_mask: int, order: int, ac: AllocContext) -> bool:
        """Kill a task: was one chosen? Whoever is killed exits before the request goes on.

        With init alone there is nobody to kill. NOT MODELLED: the panic that follows then; that
        exiting takes time; whose pages of files are. Kernel: mm/oom_kill.c out_of_memory()
        """
        if len(self.vm.oom.processes) < 2:
            return False
        return self._kill(OomControl(gfp_mask, order, ac.zonelist, ac.nodemask))

    def try_to_free_mem_cgroup_pages(self, memcg: MemCgroup, nr_pages: int, gfp_mask: int) -> int:
        """Reclaim for a memcg's limit. Kernel: mm/vmscan.c try_to_free_mem_cgroup_pages()."""
        return try_to_free_mem_cgroup_pages(self.vm, memcg, nr_pages, gfp_mask)

    def mem_cgroup_out_of_memory(self, memcg: MemCgroup, gfp_mask: int, order: int) -> bool:
        """Kill a task of the memcg. Others than current exit before the charge is tried again.

        Kernel: mm/memcontrol.c mem_cgroup_out_of_memory()
        """
        if mem_cgroup_margin(memcg) >= 1 << order or task_is_dying(self.vm):
            return True
        return self._kill(OomControl(gfp_mask, order, memcg=memcg))

    def _kill(self, oc: OomControl) -> bool:
        vm = self.vm
        vm.oom.total_swap_pages = vm.folios.swap.total_swap_pages
        vm.oom.free_swap_pages = get_nr_swap_pages(vm)
        return changing_tasks(vm, lambda: _kill_and_bury(vm, oc))


def _kill_and_bury(vm: Vm, oc: OomControl) -> bool:
    """Kill, and let victims exit; current is in the middle of its request, and exits later."""
    count_regions(vm)
    helps = out_of_memory(vm, oc)
    for process in [task for task in vm.oom.processes if tsk_is_oom_victim(task)]:
        if process is vm.oom.current:
            vm.current.oom_victim = vm.current.fatal_signal_pending = True
        else:
            exit_process(vm, process)
    return helps
