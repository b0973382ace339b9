"""Zonelists: in which order a request on a node tries zones.

Kernel: mm/page_alloc.c build_zonerefs_node(), build_zonelists()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm, Zone


def build_zonerefs_node(vm: Vm, nid: int) -> list[Zone]:
    """A node's zones with managed pages, the highest first. Kernel: build_zonerefs_node()."""
    return [zone for zone in reversed(vm.nodes[nid].node_zones) if zone.managed_pages]


def build_zonelists(vm: Vm) -> None:
    """Every node's fallback list (own zones, then other nodes') and its list for __GFP_THISNODE.

    NOT MODELLED: distances; other nodes follow in the order of their numbers, wrapping around.
    Kernel: mm/page_alloc.c build_zonelists()
    """
    nr_nodes = len(vm.nodes)
    for pgdat in vm.nodes:
        order = [(pgdat.nid + i) % nr_nodes for i in range(nr_nodes)]
        fallback = [zone for nid in order for zone in build_zonerefs_node(vm, nid)]
        pgdat.node_zonelists = (fallback, build_zonerefs_node(vm, pgdat.nid))
