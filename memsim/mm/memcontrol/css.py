"""A group comes.

Kernel: mm/memcontrol.c mem_cgroup_alloc() to mem_cgroup_css_online()
"""

from __future__ import annotations

from memsim.mm.folio import Lruvec, lruvec_lists
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm
from memsim.trace.events import TP_STEPS
from memsim.trace.memcg_steps import MEMCG_NEW
from memsim.words.memcontrol import ROOT_MEMCG_ID
from memsim.words.page_flags import NR_LRU_LISTS, NR_VM_NODE_STAT_ITEMS


def mem_cgroup_alloc(vm: Vm, name: str) -> MemCgroup:
    """A new group below the root, without limits. With the first, __GFP_ACCOUNT charges pages.

    Kernel: mm/memcontrol.c mem_cgroup_css_alloc(), memcg_online_kmem()
    """
    id, number = ROOT_MEMCG_ID + 1 + len(vm.folios.memcgs.groups), vm.trace.number_of(name)
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(MEMCG_NEW, id, number)
    memcgs, memcg = vm.folios.memcgs, MemCgroup(id, f"/{name}")
    if id not in memcgs.lists:
        memcgs.lists[id] = [lruvec_lists(vm) for _ in vm.nodes]
    for pgdat, lists in zip(vm.nodes, memcgs.lists[id], strict=True):
        memcg.nodeinfo.append(Lruvec(pgdat, lists, [0] * NR_VM_NODE_STAT_ITEMS, id))
        memcg.lru_zone_size.append([0] * len(pgdat.node_zones) * NR_LRU_LISTS)
    memcgs.groups[id] = memcg
    vm.memcg_kmem_online = True
    return memcg
