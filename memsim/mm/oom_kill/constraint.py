"""What a request that found no memory was limited to, and so whom it is of use to kill.

Kernel: mm/oom_kill.c constrained_alloc(), oom_cpuset_eligible()
"""

from __future__ import annotations

from dataclasses import dataclass

from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm, Zone
from memsim.mm.oom_kill.task import Task, tsk_is_oom_victim
from memsim.words.gfp import __GFP_HARDWALL, __GFP_THISNODE, gfp_zone
from memsim.words.mmzone import NULL
from memsim.words.oom import (
    CONSTRAINT_CPUSET,
    CONSTRAINT_MEMCG,
    CONSTRAINT_MEMORY_POLICY,
    CONSTRAINT_NONE,
    LONG_MIN,
)


@dataclass(slots=True, eq=False)
class OomControl:
    """struct oom_control: the request that triggers it, and what was found out.

    zonelist None: from a page fault, or of a memcg. nodemask: of a memory policy, or NULL. order
    -1: sysrq wants it. `chosen` None: nobody; `aborted`: somebody dies already, and chosen is -1
    in the kernel.
    """

    gfp_mask: int
    order: int
    zonelist: list[Zone] | None = None
    nodemask: int = NULL
    memcg: MemCgroup | None = None
    totalpages: int = 0
    chosen: Task | None = None
    aborted: bool = False
    chosen_points: int = LONG_MIN
    constraint: int = CONSTRAINT_NONE

    @property
    def is_sysrq_oom(self) -> bool:
        """Kernel: mm/oom_kill.c is_sysrq_oom()."""
        return self.order == -1


def nodes_with_memory(vm: Vm) -> int:
    """A mask. Kernel: node_states[N_MEMORY]."""
    return sum(1 << pgdat.nid for pgdat in vm.nodes if node_present_pages(vm, pgdat.nid))


def node_present_pages(vm: Vm, nid: int) -> int:
    """Pages of the node. Kernel: include/linux/mmzone.h node_present_pages()."""
    return sum(zone.present_pages for zone in vm.nodes[nid].node_zones)


def totalram_pages(vm: Vm) -> int:
    """Pages that boot gave to the buddy allocator. Kernel: include/linux/mm.h totalram_pages()."""
    return sum(zone.managed_pages for zone in vm.zones)


def mems_allowed(vm: Vm, task: Task) -> int:
    """The nodes of the task's cpuset. Kernel: cpuset_current_mems_allowed."""
    return nodes_with_memory(vm) if task.mems_allowed == NULL else task.mems_allowed


def mem_cgroup_get_max(vm: Vm, memcg: MemCgroup) -> int:
    """The limit, in pages of memory and swap. Kernel: mm/memcontrol.c mem_cgroup_get_max()."""
    if hasattr(vm, "folios") and not vm.folios.swappiness:
        return memcg.memory.max
    return memcg.memory.max + min(memcg.swap.max, vm.oom.total_swap_pages)


def constrained_alloc(vm: Vm, oc: OomControl) -> int:
    """What limits the request; sets oc.totalpages, the pages that it could have had.

    Kernel: mm/oom_kill.c constrained_alloc()
    """
    swap = vm.oom.total_swap_pages
    if oc.memcg is not None:
        oc.totalpages = mem_cgroup_get_max(vm, oc.memcg) or 1
        return CONSTRAINT_MEMCG
    oc.totalpages = totalram_pages(vm) + swap
    if oc.zonelist is None or oc.gfp_mask & __GFP_THISNODE:
        return CONSTRAINT_NONE
    if oc.nodemask != NULL and nodes_with_memory(vm) & ~oc.nodemask:
        oc.totalpages = swap + _present_pages(vm, oc.nodemask)
        return CONSTRAINT_MEMORY_POLICY
    if _is_cpuset_limited(vm, oc, oc.zonelist):
        oc.totalpages = swap + _present_pages(vm, mems_allowed(vm, vm.oom.current))
        return CONSTRAINT_CPUSET
    return CONSTRAINT_NONE


def _present_pages(vm: Vm, nodemask: int) -> int:
    return sum(node_present_pages(vm, pgdat.nid) for pgdat in vm.nodes if nodemask >> pgdat.nid & 1)


def _is_cpuset_limited(vm: Vm, oc: OomControl, zonelist: list[Zone]) -> bool:
    """Was there a zone that the request could have had but for its cpuset?"""
    highest = gfp_zone(oc.gfp_mask, vm.arch)
    return any(
        not cpuset_zone_allowed(vm, zone, oc.gfp_mask)
        for zone in zonelist
        if zone.idx <= highest and (oc.nodemask == NULL or oc.nodemask >> zone.node & 1)
    )


def cpuset_zone_allowed(vm: Vm, zone: Zone, gfp_mask: int) -> bool:
    """May current take from this zone's node?

    NOT MODELLED: exclusive cpusets, which hold kernel memory too; interrupts.
    Kernel: include/linux/cpuset.h cpuset_zone_allowed()
    """
    if mems_allowed(vm, vm.oom.current) >> zone.node & 1 or tsk_is_oom_victim(vm.oom.current):
        return True
    return not gfp_mask & __GFP_HARDWALL


def oom_cpuset_eligible(vm: Vm, process: Task, oc: OomControl) -> bool:
    """Would killing it free memory where the request may take it? One thread is enough.

    Kernel: mm/oom_kill.c oom_cpuset_eligible()
    """
    if oc.nodemask != NULL:
        return any(_in_oom_domain(task, oc.nodemask) for task in process.signal.threads)
    current = mems_allowed(vm, vm.oom.current)
    return any(mems_allowed(vm, task) & current for task in process.signal.threads)


def _in_oom_domain(task: Task, nodemask: int) -> bool:
    """May its memory be on these nodes? Kernel: mm/mempolicy.c mempolicy_in_oom_domain()."""
    return task.mempolicy == NULL or bool(task.mempolicy & nodemask)
