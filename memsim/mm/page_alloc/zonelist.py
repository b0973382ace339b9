"""Zonelists: in which order a request on a node tries zones.

Kernel: mm/page_alloc.c build_zonerefs_node() to build_all_zonelists()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm, Zone
from memsim.words.mempolicy import MAX_NUMNODES

_PENALTY_FOR_NODE_WITH_CPUS = 1


def build_zonerefs_node(vm: Vm, nid: int) -> list[Zone]:
    """A node's populated zones, the highest first. Kernel: build_zonerefs_node()."""
    return [zone for zone in reversed(vm.nodes[nid].node_zones) if zone.present_pages]


def find_next_best_node(vm: Vm, node: int, used: list[int], node_load: list[int]) -> int:
    """The nearest node that is not used yet; -1 when all are. The node itself comes first.

    Among equals: one without CPUs, the next higher number, the one that fewer lists begin with.
    Kernel: mm/page_alloc.c find_next_best_node()
    """
    unused = [n for n in range(len(vm.nodes)) if n not in used and build_zonerefs_node(vm, n)]
    if node in unused:
        return node
    values = []
    for n in unused:
        value = vm.node_distance[node][n] + (n < node)
        value += _PENALTY_FOR_NODE_WITH_CPUS if n in vm.cpu_to_node else 0
        values.append((value * MAX_NUMNODES + node_load[n], n))
    return min(values)[1] if values else -1


def node_order(vm: Vm, local_node: int, node_load: list[int]) -> list[int]:
    """The nodes in the order in which local_node falls back; changes node_load.

    The first node of each distance is charged, so that lists of other nodes begin elsewhere.
    Kernel: mm/page_alloc.c build_zonelists()
    """
    order: list[int] = []
    prev_node = local_node
    distance = vm.node_distance[local_node]
    while (node := find_next_best_node(vm, local_node, order, node_load)) >= 0:
        if distance[node] != distance[prev_node]:
            node_load[node] += 1
        order.append(node)
        prev_node = node
    return order


def build_all_zonelists(vm: Vm) -> None:
    """Every node's fallback list, and its list for __GFP_THISNODE.

    Kernel: mm/page_alloc.c build_all_zonelists_init(), build_zonelists_in_node_order()
    """
    node_load = [0] * len(vm.nodes)
    for pgdat in vm.nodes:
        order = node_order(vm, pgdat.nid, node_load)
        fallback = [zone for nid in order for zone in build_zonerefs_node(vm, nid)]
        pgdat.set_zonelists(fallback, build_zonerefs_node(vm, pgdat.nid))
