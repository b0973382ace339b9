"""Several nodes, ZONE_MOVABLE, and 32 bits with HIGHMEM."""

from __future__ import annotations

import pytest

from memsim import (
    GFP_DMA32,
    GFP_HIGHUSER,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    Machine,
    PageAllocationFailure,
)
from memsim.mm.mmzone import Zone, page_zone
from memsim.mm.vmstat import PCP_EXPIRE
from memsim.words.gfp import __GFP_NOWARN, __GFP_THISNODE
from memsim.words.mmzone import NUMA_STAT_ITEMS

MOVABLE = GFP_HIGHUSER_MOVABLE
THISNODE = __GFP_THISNODE
TWO = ["64 MiB", "64 MiB"]


def zone_of(machine: Machine, pfn: int) -> Zone:
    zone = page_zone(machine.vm, pfn)
    assert zone is not None
    return zone


def node_orders(machine: Machine) -> list[list[int]]:
    """In which order each node falls back, as `Fallback order for Node` prints it."""
    orders: list[list[int]] = []
    for pgdat in machine.vm.nodes:
        nids = [zone.node for zone in pgdat.node_zonelists[0]]
        orders.append(list(dict.fromkeys(nids)))
    return orders


def take_from_node_1(machine: Machine) -> bool:
    try:
        machine.alloc_pages(MOVABLE | THISNODE | __GFP_NOWARN, 9, cpu=1, nid=1)
    except PageAllocationFailure:
        return False
    return True


def events(machine: Machine, nid: int) -> dict[str, int]:
    """A node's NUMA counters that are not 0."""
    totals = [0] * len(NUMA_STAT_ITEMS)
    for zone in machine.vm.nodes[nid].node_zones:
        totals = [a + b for a, b in zip(totals, zone.vm_numa_event, strict=True)]
    return {name: total for name, total in zip(NUMA_STAT_ITEMS, totals, strict=True) if total}


def test_nearest_node_first_and_in_turn() -> None:
    """The four nodes of commit 54d032ced983 ("mm/page_alloc: use accumulated load …")."""
    distances = [[10, 12, 32, 32], [12, 10, 32, 32], [32, 32, 10, 12], [32, 32, 12, 10]]
    machine = Machine(["32 MiB"] * 4, cpus=4, node_distance=distances)
    assert node_orders(machine) == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


def test_a_node_without_cpus_is_preferred_among_equals() -> None:
    """Three nodes, one CPU, which is node 0's: node 2 is next to 1 before 0, though 0 is as far."""
    machine = Machine(["32 MiB"] * 3, cpus=1)
    assert node_orders(machine) == [[0, 1, 2], [1, 2, 0], [2, 1, 0]]


def test_a_request_stays_on_its_node_until_that_is_empty() -> None:
    """Then the other node serves it, and both count it; with __GFP_THISNODE it fails."""
    machine = Machine(TWO, cpus=2, pcp=False)
    nids = [zone_of(machine, machine.alloc_pages(MOVABLE, 9, cpu=1, nid=1)).node for _ in range(20)]
    assert nids == [1] * 20
    taken = 0
    while take_from_node_1(machine):
        taken += 1
    assert zone_of(machine, machine.alloc_pages(MOVABLE, 9, cpu=1, nid=1)).node == 0
    assert events(machine, 0) == {"NUMA_MISS": 1, "NUMA_OTHER": 1}
    hits = 20 + taken
    assert events(machine, 1) == {"NUMA_HIT": hits, "NUMA_LOCAL": hits, "NUMA_FOREIGN": 1}


def test_a_remote_cpu_is_a_hit_but_not_local() -> None:
    """CPU 0 asks for node 1's memory: what was preferred was had, from afar."""
    machine = Machine(TWO, cpus=2)
    machine.alloc_pages(GFP_KERNEL, cpu=0, nid=1)
    assert events(machine, 1) == {"NUMA_HIT": 1, "NUMA_OTHER": 1}
    machine.undo()
    assert events(machine, 1) == {}


def test_a_cpu_gives_back_what_it_keeps_of_another_node() -> None:
    """After three idle rounds of its vmstat worker; its own node's pages it keeps."""
    machine = Machine(TWO, cpus=2)
    for nid in (0, 1):
        machine.free_pages(machine.alloc_pages(GFP_KERNEL, cpu=0, nid=nid), cpu=0)
    own, other = machine.vm.nodes[0].node_zones[1], machine.vm.nodes[1].node_zones[1]
    assert own.per_cpu_pageset[0].count
    assert other.per_cpu_pageset[0].count
    counts = []
    for _ in range(PCP_EXPIRE + 2):
        machine.vmstat_update(cpu=0)
        counts.append((other.per_cpu_pageset[0].count > 0, own.per_cpu_pageset[0].count > 0))
    kept = [(True, True)] * (PCP_EXPIRE - 1)
    assert counts == [*kept, *[(False, True)] * 3]
    machine.validate()


def test_pcp_limits_are_split_over_the_node_s_own_cpus() -> None:
    """Four CPUs on two nodes: each zone's low watermark by two. A node without CPUs: by all."""
    machine = Machine(["1 GiB", "1 GiB"], cpus=4)
    for zone in machine.vm.zones[1::5]:
        assert zone.pageset_high_min == zone._watermark[1] // 2
    lonely = Machine(["1 GiB", "1 GiB", "1 GiB"], cpus=2).vm.nodes[1].node_zones[1]
    assert machine.vm.cpu_to_node == [0, 0, 1, 1]
    assert lonely.vm.cpu_to_node == [0, 1]
    bare = Machine(["1 GiB", "1 GiB"], cpus=1).vm.nodes[1].node_zones[1]
    assert bare.pageset_high_min == bare._watermark[1]


def test_nofragment_on_several_nodes_asks_for_dma32() -> None:
    """Of two nodes, only the one with DMA32 pages avoids fragmentation by another zone."""
    machine = Machine(["4 GiB", "1 GiB"], cpus=2, steps=False)
    names = [[zone.name for zone in node.node_zonelists[1]] for node in machine.vm.nodes]
    assert names == [["Normal", "DMA32", "DMA"], ["Normal"]]


# ZONE_MOVABLE


def test_movablecore_is_taken_from_the_end_of_the_highest_zone() -> None:
    """Rounded up to 4 MiB; only movable requests go there; its low mark needs no reserve."""
    machine = Machine("1 GiB", movablecore="255 MiB")
    movable, dma32 = machine.zone("Movable"), machine.zone("DMA32")
    # 262,143 pages and the firmware's hole of 97; the core ends on a multiple of 1,024
    assert movable.zone_end_pfn == 262_144
    assert movable.spanned_pages == 65_536
    assert dma32.zone_end_pfn == movable.zone_start_pfn
    assert zone_of(machine, machine.alloc_pages(MOVABLE)) is movable
    assert zone_of(machine, machine.alloc_pages(GFP_KERNEL)) is dma32
    assert zone_of(machine, machine.alloc_pages(GFP_HIGHUSER)) is dma32
    assert movable._watermark[0] == movable.managed_pages // 1024
    assert dma32.lowmem_reserve[3] == movable.managed_pages // 256


def test_movablecore_is_spread_over_the_nodes() -> None:
    """Each node keeps the same for the kernel; a small node keeps all, the others more."""
    machine = Machine(["1 GiB", "1 GiB", "64 MiB"], cpus=3, movablecore="1 GiB", steps=False)
    movable = [node.node_zones[3].spanned_pages for node in machine.vm.nodes]
    # 540,574 pages, less 262,144: 278,430 stay core. A third is 92,810, node 2 has but 16,384;
    # what it lacks falls to the others: 131,023 each, rounded up to whole blocks of 1,024
    # behind pfn 98 + 131,023 and behind 262,144 + 131,023.
    assert movable == [262_144 - 132_096, 524_288 - 393_216, 0]


def test_zone_movable_is_where_the_highest_zone_is() -> None:
    """Below 4 GiB nothing is movable when there is RAM above: the small node gives all it has."""
    machine = Machine(["1 GiB", "2 GiB", "64 MiB"], cpus=3, movablecore="1 GiB", steps=False)
    movable = [node.node_zones[3].spanned_pages for node in machine.vm.nodes]
    assert movable == [0, 0, 16_384]


# 32 bits


def test_the_pc_of_the_book() -> None:
    """896 MiB are NORMAL, the rest HIGHMEM; no DMA32; a pageblock is the largest block."""
    machine = Machine.preset("pc32")
    zones = {zone.name: zone for zone in machine.vm.zones}
    assert list(zones) == ["DMA", "Normal", "HighMem", "Movable"]
    assert zones["Normal"].zone_end_pfn << 12 == 896 << 20
    assert zones["HighMem"].spanned_pages == 128 << 8
    assert machine.vm.pageblock_order == 10
    asked = {MOVABLE: "HighMem", GFP_HIGHUSER: "HighMem", GFP_KERNEL: "Normal"}
    asked[GFP_DMA32 | GFP_KERNEL] = "Normal"
    for gfp_mask, name in asked.items():
        assert zone_of(machine, machine.alloc_pages(gfp_mask)).name == name
    machine.validate()


def test_highmem_needs_no_reserve_for_the_kernel() -> None:
    """min_free_kbytes is shared by lowmem alone; HIGHMEM's min is its pages / 1024, 32 to 128."""
    machine = Machine("1 GiB", arch="x86-32", min_free_kbytes=4096)
    zones = {zone.name: zone for zone in machine.vm.zones}
    assert zones["HighMem"]._watermark[0] == 32
    low = zones["DMA"]._watermark[0] + zones["Normal"]._watermark[0]
    assert low in (1023, 1024)
    assert zones["Normal"].lowmem_reserve[2] == zones["HighMem"].managed_pages // 32


def test_no_huge_pages_on_32_bit_pcp_lists() -> None:
    """Order 9 is for THP there on x86-64; without THP it goes to the buddy allocator at once."""
    for arch, kept in (("x86-64", 512), ("x86-32", 0)):
        machine = Machine("512 MiB", arch=arch)
        machine.free_pages(machine.alloc_pages(GFP_KERNEL, 9))
        assert sum(p.count for z in machine.vm.zones for p in z.per_cpu_pageset) == kept


@pytest.mark.parametrize("name", ["vm", "laptop", "server", "pc32"])
def test_presets_boot_and_hold(name: str) -> None:
    """Each gives pages from its highest zone, takes them back, and says who it is when saved."""
    machine = Machine.preset(name, steps=False)
    pfns = [machine.alloc_pages(MOVABLE, order) for order in (0, 3, 9, 10)]
    for pfn in pfns:
        machine.free_pages(pfn)
    machine.drain_all_pages()
    free = sum(nr << order for order, nr in enumerate(machine.nr_free("DMA")))
    assert free == machine.zone("DMA").managed_pages
