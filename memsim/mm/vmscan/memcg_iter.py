"""The walk over memory cgroups, and whom it passes over.

Kernel: mm/memcontrol.c mem_cgroup_iter(), include/linux/memcontrol.h
"""

from __future__ import annotations

from collections.abc import Iterator

from memsim.mm.memcontrol.state import MemCgroup, set_iter_position
from memsim.mm.mmzone import Vm
from memsim.mm.vmscan.scan_control import ScanControl
from memsim.words.memcontrol import ROOT_MEMCG_ID


def mem_cgroup_iter(vm: Vm, sc: ScanControl, nid: int, partial: bool) -> Iterator[MemCgroup | None]:
    """The memcgs that a reclaim takes from: its target alone, or the root (None), then the others.

    A partial walk goes on behind where the last one on this node broke off, to the end.
    NOT MODELLED: where walks broke off before there was a group; several walks at once.
    Kernel: mm/memcontrol.c mem_cgroup_iter()
    """
    groups = vm.folios.memcgs.groups
    if sc.target_mem_cgroup is not None or not groups:
        yield sc.target_mem_cgroup
        return
    order = [0, ROOT_MEMCG_ID, *groups, 0]
    at = order.index(vm.folios.memcgs.iter_position[nid]) if partial else 0
    if at == len(order) - 2:
        at = 0
    for id in order[at + 1 : -1]:
        if partial:
            set_iter_position(vm, nid, id)
        yield groups.get(id)
    if partial:
        set_iter_position(vm, nid, 0)


def mem_cgroup_below_min(sc: ScanControl, memcg: MemCgroup | None) -> bool:
    """Does memory.min protect all that it has? Not from its own limits.

    Kernel: include/linux/memcontrol.h mem_cgroup_below_min()
    """
    if memcg is None or memcg is sc.target_mem_cgroup:
        return False
    return memcg.memory.min >= memcg.memory.usage


def mem_cgroup_below_low(sc: ScanControl, memcg: MemCgroup) -> bool:
    """Does memory.low? Kernel: include/linux/memcontrol.h mem_cgroup_below_low()."""
    return memcg is not sc.target_mem_cgroup and memcg.memory.low >= memcg.memory.usage
