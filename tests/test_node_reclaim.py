"""zone_reclaim_mode: a request frees pages of files on its node before it goes to another one.

Numbers are worked out by hand from mm/vmscan.c node_reclaim() and get_page_from_freelist().
"""

from __future__ import annotations

import pytest

from memsim import GFP_ATOMIC, GFP_HIGHUSER_MOVABLE, Machine, PageAllocationFailure
from memsim.machine.pages import Pages
from memsim.mm.vmscan.node_reclaim import (
    node_pagecache_reclaimable,
    node_reclaim,
    percent_of_node,
)
from memsim.trace.events import Traced
from memsim.words.gfp import __GFP_NOWARN, __GFP_THISNODE
from memsim.words.mempolicy import (
    NODE_RECLAIM_FULL,
    NODE_RECLAIM_NOSCAN,
    NODE_RECLAIM_SOME,
    NODE_RECLAIM_SUCCESS,
    RECLAIM_UNMAP,
    RECLAIM_WRITE,
    RECLAIM_ZONE,
)
from memsim.words.task import PF_MEMALLOC

MOVABLE = GFP_HIGHUSER_MOVABLE
FAR = [[10, 31], [31, 10]]


def two_nodes(distances: list[list[int]] | None = None) -> Machine:
    """Two nodes of 32 MiB with a CPU each."""
    return Machine(["32 MiB", "32 MiB"], cpus=2, reclaim=True, node_distance=distances)


def with_files(machine: Machine, *, dirty: bool = False, mapped: bool = False) -> Pages:
    """1,000 pages of a file on node 0, and nothing else left of it above the low watermark."""
    file = machine.open("data", "4 MiB")
    for index in range(1000):
        if dirty:
            machine.write(file, index)
        elif mapped:
            machine.touch(file, index, write=False)
        else:
            machine.read(file, index)
    machine.lru_add_drain_all()
    for order in (9, 5, 0):
        while True:
            pfn = machine.alloc_pages(MOVABLE, order, cpu=0, nid=0)
            if machine.nid_of(pfn) != 0:
                machine.free_pages(pfn)
                break
    return file


def begun(machine: Machine, since: int) -> list[Traced]:
    """Where node_reclaim() began."""
    name = "mm_vmscan_node_reclaim_begin"
    return [traced for traced in machine.events(since) if name == traced.event.NAME]


def next_node(machine: Machine, gfp_mask: int = MOVABLE, cpu: int = 0) -> tuple[int, int]:
    """(the node of a request for node 0, how often it reclaimed for it)."""
    since = machine.vm.trace.ring.written
    nid = machine.nid_of(machine.alloc_pages(gfp_mask, cpu=cpu, nid=0))
    return nid, len(begun(machine, since))


def test_without_the_mode_a_request_goes_to_the_other_node() -> None:
    """zone_reclaim_mode is 0 at boot."""
    machine = two_nodes()
    with_files(machine)
    assert machine.vm.node_reclaim_mode == 0
    assert next_node(machine) == (1, 0)


@pytest.mark.parametrize("mode", [RECLAIM_ZONE, RECLAIM_ZONE | RECLAIM_WRITE, RECLAIM_UNMAP])
def test_with_any_bit_it_reclaims_and_stays(mode: int) -> None:
    """node_reclaim_enabled(): whichever of the three bits is set."""
    machine = two_nodes()
    with_files(machine)
    machine.sysctl("zone_reclaim_mode", mode)
    assert next_node(machine) == (0, 1)
    machine.validate()


def test_a_bit_that_is_none_of_the_three_changes_nothing() -> None:
    """proc takes any number from 0 on; node_reclaim_enabled() looks at three bits."""
    machine = two_nodes()
    with_files(machine)
    machine.sysctl("zone_reclaim_mode", 8)
    assert next_node(machine) == (1, 0)


def test_what_it_says_in_the_trace() -> None:
    """Begin and end, as the kernel prints them; 32 pages are what one reclaim is for."""
    machine = two_nodes()
    with_files(machine)
    machine.sysctl("zone_reclaim_mode", RECLAIM_ZONE)
    since = machine.vm.trace.ring.written
    machine.alloc_pages(MOVABLE, nid=0)
    told = [f"{e.event.NAME}: {e.event.text()}" for e in machine.events(since)]
    reclaimed = [line for line in told if line.startswith("mm_vmscan_node_reclaim")]
    assert reclaimed == [
        "mm_vmscan_node_reclaim_begin: nid=0 order=0 gfp_flags=GFP_HIGHUSER_MOVABLE",
        "mm_vmscan_node_reclaim_end: nr_reclaimed=32",
    ]


def test_who_may_not_wait_goes_on_to_the_next_node() -> None:
    """NODE_RECLAIM_NOSCAN: no __GFP_DIRECT_RECLAIM, or it is reclaiming already."""
    machine = two_nodes()
    with_files(machine)
    machine.sysctl("zone_reclaim_mode", RECLAIM_ZONE)
    assert next_node(machine, GFP_ATOMIC) == (1, 0)
    machine.vm.current.flags |= PF_MEMALLOC
    assert next_node(machine) == (1, 0)


def test_only_the_cpus_own_node_is_reclaimed() -> None:
    """Or one without CPUs: node_state(nid, N_CPU) && nid != numa_node_id().

    What it frees first lies on CPU 1's own lists, so it does so in both zones of node 0, in vain.
    """
    machine = two_nodes()
    with_files(machine)
    machine.sysctl("zone_reclaim_mode", RECLAIM_ZONE)
    assert next_node(machine, cpu=1) == (1, 0)
    machine.vm.cpu_to_node = [1, 1]
    assert next_node(machine, cpu=1) == (1, 2)


def test_a_node_that_is_farther_than_30_is_not_reclaimed_before_going_on() -> None:
    """zone_allows_reclaim(): from the preferred node, so only other zones of the list matter."""
    assert _reclaims_on_node_0_for_node_1(FAR) == 0
    assert _reclaims_on_node_0_for_node_1([[10, 30], [30, 10]]) == 1


def _reclaims_on_node_0_for_node_1(distances: list[list[int]]) -> int:
    """A request on full node 1, which has no pages of files, comes to node 0, which has."""
    machine = two_nodes(distances)
    with_files(machine)
    for order in (9, 5, 0):
        while True:
            try:
                machine.alloc_pages(MOVABLE | __GFP_THISNODE | __GFP_NOWARN, order, nid=1, cpu=1)
            except PageAllocationFailure:
                break
    machine.sysctl("zone_reclaim_mode", RECLAIM_ZONE)
    machine.vm.cpu_to_node = [0, 0]
    since = machine.vm.trace.ring.written
    machine.alloc_pages(MOVABLE, nid=1)
    return sum(traced.event.nid == 0 for traced in begun(machine, since))  # type: ignore[union-attr]


def test_what_counts_as_reclaimable_by_the_mode() -> None:
    """Mapped pages only with RECLAIM_UNMAP, dirty ones only with RECLAIM_WRITE."""
    machine = two_nodes()
    file = machine.open("data", "400 KiB")
    for index in range(100):
        machine.read(file, index)
    for index in range(30):
        machine.touch(file, index, write=False)
    for index in range(90, 100):
        machine.write(file, index)
    machine.lru_add_drain_all()
    pgdat = machine.vm.nodes[0]
    counted = []
    for mode in (RECLAIM_ZONE, RECLAIM_WRITE, RECLAIM_UNMAP, RECLAIM_UNMAP | RECLAIM_WRITE):
        machine.sysctl("zone_reclaim_mode", mode)
        counted.append(node_pagecache_reclaimable(machine.vm, pgdat))
    assert counted == [60, 70, 90, 100]


def test_a_node_keeps_min_unmapped_ratio_of_its_pages_for_files() -> None:
    """FULL at the limit, and one page more is too many."""
    machine = two_nodes()
    pgdat = machine.vm.nodes[0]
    pages = sum(zone.managed_pages * 2 // 100 for zone in pgdat.node_zones)
    machine.sysctl("min_unmapped_ratio", 2)
    machine.sysctl("zone_reclaim_mode", RECLAIM_ZONE)
    assert percent_of_node(pgdat, 2) == pages
    file = machine.open("data", "4 MiB")
    for index in range(pages):
        machine.read(file, index)
    machine.lru_add_drain_all()
    before = machine.snapshot()
    assert node_reclaim(machine.vm, pgdat, MOVABLE, 0) == NODE_RECLAIM_FULL
    assert machine.snapshot() == before
    machine.read(file, pages)
    machine.lru_add_drain_all()
    assert node_reclaim(machine.vm, pgdat, GFP_ATOMIC, 0) == NODE_RECLAIM_NOSCAN
    assert node_reclaim(machine.vm, pgdat, MOVABLE, 0) == NODE_RECLAIM_SUCCESS


def test_it_reclaims_for_slab_alone_where_that_is_above_min_slab_ratio() -> None:
    """Slabs of caches with SLAB_RECLAIM_ACCOUNT; here nobody shrinks them, so it frees too few."""
    machine = Machine(["32 MiB", "32 MiB"], cpus=2, reclaim=True, slab=True)
    pgdat = machine.vm.nodes[0]
    machine.sysctl("zone_reclaim_mode", RECLAIM_ZONE)
    machine.sysctl("min_slab_ratio", 1)
    assert node_reclaim(machine.vm, pgdat, MOVABLE, 0) == NODE_RECLAIM_FULL
    cache = machine.kmem_cache_create("inodes", 4096, flags=1 << 16)
    for _ in range(percent_of_node(pgdat, 1) + 8):
        machine.kmem_cache_alloc(cache)
    assert node_reclaim(machine.vm, pgdat, MOVABLE, 0) == NODE_RECLAIM_SOME


def test_dirty_pages_stay_without_write_and_mapped_ones_without_unmap() -> None:
    """With 1,000 pages that it may not take, the node is full, and the request goes on."""
    for options in ({"dirty": True}, {"mapped": True}):
        machine = two_nodes()
        with_files(machine, **options)
        machine.sysctl("zone_reclaim_mode", RECLAIM_ZONE)
        assert next_node(machine) == (1, 0)


def test_it_all_goes_back() -> None:
    """The sysctl and what was reclaimed."""
    machine = two_nodes()
    with_files(machine)
    before, free = machine.snapshot(), machine.nr_free()
    machine.sysctl("zone_reclaim_mode", RECLAIM_ZONE)
    machine.alloc_pages(MOVABLE, nid=0)
    while machine.vm.node_reclaim_mode:
        machine.undo()
    assert (machine.snapshot(), machine.nr_free()) == (before, free)
