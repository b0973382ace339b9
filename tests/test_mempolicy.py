"""NUMA memory policies: which node each request is for, what is counted, and what is refused.

Expected nodes are worked out by hand from the rules of mm/mempolicy.c.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from task_states import all_of

from memsim import (
    GFP_ATOMIC,
    GFP_DMA32,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    BadRequest,
    Machine,
    PageAllocationFailure,
)
from memsim.machine import UserTask
from memsim.mm.mempolicy import (
    alloc_pages_bulk_mempolicy,
    apply_mempolicy_step,
    first_node,
    mempolicy_slab_node,
    mpol_to_str,
    next_node_in,
)
from memsim.mm.mmzone import populated_zones
from memsim.mm.oom_kill.constraint import mempolicy_in_oom_domain
from memsim.trace.mempolicy_steps import TaskPolicyField
from memsim.words.gfp import __GFP_DIRECT_RECLAIM, __GFP_NOWARN, __GFP_THISNODE
from memsim.words.mempolicy import MODE_NAMES, MPOL_F_STATIC_NODES, MPOL_WEIGHTED_INTERLEAVE
from memsim.words.mmzone import NR_FREE_PAGES, NUMA_STAT_ITEMS

MOVABLE = GFP_HIGHUSER_MOVABLE
THREE = ["32 MiB", "32 MiB", "32 MiB"]


def three_nodes(**options: bool) -> Machine:
    """Nodes 0, 1, 2 with a CPU each."""
    return Machine(THREE, cpus=3, **options)


def nodes_of(machine: Machine, count: int, *, cpu: int = 0, gfp_mask: int = MOVABLE) -> list[int]:
    """The nodes of the next pages."""
    pfns = [machine.alloc_pages(gfp_mask, cpu=cpu) for _ in range(count)]
    return [machine.nid_of(pfn) for pfn in pfns]


def counted(machine: Machine, nid: int) -> dict[str, int]:
    """A node's NUMA counters that are not 0."""
    totals = [0] * len(NUMA_STAT_ITEMS)
    for zone in machine.vm.nodes[nid].node_zones:
        totals = [a + b for a, b in zip(totals, zone.vm_numa_event, strict=True)]
    return {name: total for name, total in zip(NUMA_STAT_ITEMS, totals, strict=True) if total}


def fill_node(machine: Machine, nid: int) -> None:
    """Take all of a node but what watermarks keep."""
    for order in (9, 5, 0):
        while True:
            try:
                machine.alloc_pages(MOVABLE | __GFP_THISNODE | __GFP_NOWARN, order, nid=nid)
            except PageAllocationFailure:
                break


@pytest.mark.parametrize(
    ("mode", "nodes", "cpu", "expected"),
    [
        ("default", [], 0, [0, 0, 0]),
        ("default", [], 2, [2, 2, 2]),
        ("local", [], 1, [1, 1, 1]),
        ("preferred", [], 1, [1, 1, 1]),  # preferring none is local
        ("preferred", [2], 0, [2, 2, 2]),
        ("preferred", [1, 2], 0, [1, 1, 1]),  # the first of them
        ("preferred-many", [1, 2], 0, [1, 1, 1]),  # the nearest of them; 1 comes before 2
        ("preferred-many", [1, 2], 2, [2, 2, 2]),
        ("bind", [1, 2], 0, [1, 1, 1]),
        ("bind", [0, 2], 2, [2, 2, 2]),
        ("bind", [0, 1], 2, [0, 0, 0]),  # node 2 falls back to 0 first
        ("interleave", [0, 1, 2], 0, [0, 1, 2, 0, 1, 2]),
        ("interleave", [0, 2], 1, [0, 2, 0, 2]),  # wherever it runs
        ("interleave", [1, 7], 0, [1, 1]),  # there is no node 7
        ("weighted-interleave", [0, 1, 2], 0, [0, 0, 0, 1, 2, 2, 0, 0, 0, 1]),
        ("weighted-interleave", [1, 2], 0, [1, 2, 2, 1, 2, 2]),
    ],
)
def test_each_mode_takes_pages_from_its_nodes(
    mode: str, nodes: list[int], cpu: int, expected: list[int]
) -> None:
    """Nodes 0 and 2 weigh 3 and 2, node 1 what it weighs by default, 1."""
    machine = three_nodes()
    machine.weighted_interleave(0, 3)
    machine.weighted_interleave(2, 2)
    machine.set_mempolicy(mode, nodes)
    assert nodes_of(machine, len(expected), cpu=cpu) == expected
    machine.validate()


def test_a_request_that_names_its_node_or_only_this_node_is_not_asked_for_by_the_policy() -> None:
    """alloc_pages_node() has no policy; alloc_pages() with __GFP_THISNODE is local."""
    machine = three_nodes()
    machine.set_mempolicy("interleave", [1, 2])
    assert machine.nid_of(machine.alloc_pages(MOVABLE, nid=0)) == 0
    assert nodes_of(machine, 2, gfp_mask=MOVABLE | __GFP_THISNODE) == [0, 0]
    assert nodes_of(machine, 2) == [1, 2], "neither took a turn"


def test_exact_and_bulk_requests_begin_on_the_cpus_own_node_or_where_they_are_told_to() -> None:
    """Kernel: alloc_pages_exact_noprof() and _nid_noprof(), alloc_pages_bulk_array()"""
    machine = three_nodes()
    asked = [
        machine.alloc_pages_exact(3 << 12, MOVABLE, cpu=2),
        machine.alloc_pages_exact(3 << 12, MOVABLE, cpu=2, nid=1),
        *machine.alloc_pages_bulk(MOVABLE, 2, cpu=1),
        *machine.alloc_pages_bulk(MOVABLE, 2, cpu=1, nid=0),
    ]
    assert [machine.nid_of(pfn) for pfn in asked] == [2, 1, 1, 1, 0, 0]


def test_an_exact_request_goes_where_the_policy_says_and_is_refused_with_its_nodes() -> None:
    machine = three_nodes()
    machine.set_mempolicy("bind", nodes=[1])
    assert machine.nid_of(machine.alloc_pages_exact(3 << 12, MOVABLE)) == 1
    with suppress(PageAllocationFailure):
        nodes_of(machine, 1 << 13)
    with pytest.raises(PageAllocationFailure) as refused:
        machine.alloc_pages_exact(4096, MOVABLE)
    assert "nodemask=1" in str(refused.value.report)


def test_in_an_interrupt_the_policy_of_the_task_does_not_count() -> None:
    """alloc_pages(): !in_interrupt()."""
    machine = three_nodes()
    machine.set_mempolicy("bind", [2])
    machine.vm.current.in_hardirq = True
    assert nodes_of(machine, 1, gfp_mask=GFP_ATOMIC) == [0]
    assert mempolicy_slab_node(machine.vm) == 0
    machine.vm.current.in_hardirq = False
    assert nodes_of(machine, 1, gfp_mask=GFP_ATOMIC) == [2]


def test_interleaving_begins_anew_with_each_policy() -> None:
    """il_prev is MAX_NUMNODES - 1 again."""
    machine = three_nodes()
    machine.set_mempolicy("interleave", [0, 1, 2])
    assert nodes_of(machine, 2) == [0, 1]
    machine.set_mempolicy("interleave", [0, 1, 2])
    assert nodes_of(machine, 2) == [0, 1]


def test_a_weight_that_is_changed_counts_from_the_next_turn_on() -> None:
    """current->il_weight was taken when node 0's turn began."""
    machine = three_nodes()
    machine.weighted_interleave(0, 3)
    machine.set_mempolicy("weighted-interleave", [0, 1])
    assert nodes_of(machine, 1) == [0]
    machine.weighted_interleave(0, 1)
    assert nodes_of(machine, 6) == [0, 0, 1, 0, 1, 0]


def test_bind_counts_hits_on_the_nodes_it_names_and_never_foreign() -> None:
    """The preferred zone is the first inside the nodemask, so another node's page is a hit."""
    machine = three_nodes()
    machine.set_mempolicy("bind", [1])
    nodes_of(machine, 5)
    assert counted(machine, 0) == {}
    assert counted(machine, 1) == {"NUMA_HIT": 5, "NUMA_OTHER": 5}


def test_bind_goes_from_one_of_its_nodes_to_the_next_and_that_is_a_miss() -> None:
    """Node 1 is full: node 2 serves, a miss there, which was foreign to 1. Node 0 stays out."""
    machine = three_nodes()
    fill_node(machine, 1)
    before = {nid: counted(machine, nid) for nid in range(3)}
    machine.set_mempolicy("bind", [1, 2])
    assert nodes_of(machine, 3, cpu=1) == [2, 2, 2]
    assert counted(machine, 2) == {"NUMA_MISS": 3, "NUMA_OTHER": 3}
    assert counted(machine, 1) == before[1] | {"NUMA_FOREIGN": 3}
    assert counted(machine, 0) == before[0]


def test_interleave_hit_is_counted_where_the_node_in_turn_served() -> None:
    """Of INTERLEAVE alone: weighted interleaving counts none (mm/mempolicy.c alloc_pages_mpol)."""
    machine = three_nodes()
    machine.set_mempolicy("interleave", [0, 1])
    nodes_of(machine, 4)
    assert counted(machine, 1) == {"NUMA_HIT": 2, "NUMA_INTERLEAVE_HIT": 2, "NUMA_OTHER": 2}
    machine.set_mempolicy("weighted-interleave", [0, 2])
    nodes_of(machine, 4)
    assert counted(machine, 2) == {"NUMA_HIT": 2, "NUMA_OTHER": 2}


def test_a_turn_that_another_node_serves_is_no_interleave_hit() -> None:
    """Node 1 is full: its turn is taken by the next in its zonelist, node 2, and is over."""
    machine = three_nodes()
    fill_node(machine, 1)
    machine.set_mempolicy("interleave", [0, 1])
    assert nodes_of(machine, 4) == [0, 2, 0, 2]
    assert counted(machine, 0)["NUMA_INTERLEAVE_HIT"] == 2
    assert "NUMA_INTERLEAVE_HIT" not in counted(machine, 1)
    assert "NUMA_INTERLEAVE_HIT" not in counted(machine, 2)


def test_preferred_goes_elsewhere_where_bind_fails() -> None:
    """Of the same full node 1."""
    machine = three_nodes()
    fill_node(machine, 1)
    machine.set_mempolicy("preferred", [1])
    assert nodes_of(machine, 1) == [2]
    machine.set_mempolicy("bind", [1])
    with pytest.raises(PageAllocationFailure) as failure:
        nodes_of(machine, 2000, gfp_mask=GFP_KERNEL)
    assert ", nodemask=1,cpuset=/,mems_allowed=0-2" in failure.value.report.splitlines()[0]
    assert "Node 1 Normal free:" in failure.value.report or "Node 1 DMA32" in failure.value.report
    assert "Node 0 " not in failure.value.report, "only nodes it might have used are shown"


def test_preferred_many_makes_a_second_pass_anywhere() -> None:
    """The first pass, inside the nodes, does not reclaim and does not speak; the second begins
    on the CPU's own node, so what it finds there is a hit."""
    machine = Machine(THREE, cpus=3, reclaim=True)
    fill_node(machine, 1)
    before = counted(machine, 0)
    machine.set_mempolicy("preferred-many", [1])
    nid = 1
    while nid == 1:
        seen = machine.vm.trace.ring.written
        nid = machine.nid_of(machine.alloc_pages(MOVABLE))
    assert nid == 0
    events = [e.event for e in machine.events(seen) if e.event.NAME == "mm_page_alloc"]
    assert [event.pfn == -1 for event in events] == [True, False]
    assert events[0].gfp_flags == (MOVABLE | __GFP_NOWARN) & ~__GFP_DIRECT_RECLAIM
    assert events[1].gfp_flags == MOVABLE
    assert counted(machine, 0)["NUMA_HIT"] == before.get("NUMA_HIT", 0) + 1
    names = {e.event.NAME for e in machine.events(seen)}
    assert "mm_vmscan_direct_reclaim_begin" not in names


def test_an_atomic_request_is_let_out_of_its_nodes_by_the_slow_path() -> None:
    """!(alloc_flags & ALLOC_CPUSET): the nodemask is forgotten in the first round."""
    machine = three_nodes()
    fill_node(machine, 1)
    machine.set_mempolicy("bind", [1])
    nids = nodes_of(machine, 400, gfp_mask=GFP_ATOMIC)
    assert nids[0] == 1, "at first the reserves of node 1 do"
    assert set(nids[-1:]) == {0}, "then any node, the CPU's own first"
    with pytest.raises(PageAllocationFailure):
        nodes_of(machine, 400, gfp_mask=GFP_KERNEL)


def test_bind_does_not_hold_for_zones_that_not_every_node_has() -> None:
    """apply_policy_zone(): DMA32 lies below policy_zone, which is Normal on this machine."""
    machine = Machine(["5 GiB", "1 GiB"], cpus=2)
    names = {zone.name for zone in populated_zones(machine.vm)}
    assert "Normal" in names
    machine.set_mempolicy("bind", [1])
    assert nodes_of(machine, 1, gfp_mask=GFP_KERNEL) == [1]
    assert nodes_of(machine, 1, gfp_mask=GFP_KERNEL | GFP_DMA32) == [0]


def test_bind_to_movable_memory_holds_for_movable_requests_only() -> None:
    """A node of nothing but ZONE_MOVABLE: the kernel's own memory comes from elsewhere."""
    machine = Machine(["256 MiB", "256 MiB"], cpus=2)
    node = machine.vm.nodes[1]
    movable = machine.vm.arch.ZONE_MOVABLE
    for zone in node.node_zones:
        if zone.present_pages and zone.idx != movable:
            # as if it had been booted with movable_node: its zone is ZONE_MOVABLE
            zone.idx = movable
    for pgdat in machine.vm.nodes:
        pgdat.set_zonelists(*pgdat.node_zonelists)
    machine.set_mempolicy("bind", [1])
    assert nodes_of(machine, 2) == [1, 1]
    assert nodes_of(machine, 2, gfp_mask=GFP_KERNEL) == [0, 0]


def test_slabs_and_kmalloc_and_vmalloc_take_pages_by_the_policy() -> None:
    """Whoever names no node: alloc_slab_page(), ___kmalloc_large_node(), vm_area_alloc_pages()."""
    machine = three_nodes(slab=True, vmalloc=True)
    machine.set_mempolicy("bind", [2])
    cache = machine.kmem_cache_create("big", 3000)
    slab = machine.slab_at(machine.kmem_cache_alloc(cache))
    assert slab is not None
    assert slab.nid == 2
    pfn = machine.kmalloc(100_000) - 0xFFFF_8880_0000_0000 >> 12
    assert machine.nid_of(pfn) == 2
    machine.set_mempolicy("interleave", [0, 1, 2])
    address = machine.vmalloc(6 * 4096)
    pfns = [machine.vmalloc_to_pfn(address + 4096 * page) for page in range(6)]
    assert sorted(machine.nid_of(pfn) for pfn in pfns) == [0, 0, 1, 1, 2, 2]


def test_files_are_interleaved_in_turn_and_regions_by_address() -> None:
    """The page cache asks by alloc_pages(); a region's page has an index, interleave_nid()."""
    machine = three_nodes(reclaim=True)
    machine.set_mempolicy("interleave", [0, 1, 2])
    file, region = machine.open("data", "1 MiB"), machine.mmap("heap", "1 MiB")
    assert [machine.nid_of(machine.read(file, i)) for i in (9, 3, 4, 5)] == [0, 1, 2, 0]
    assert [machine.nid_of(machine.touch(region, i)) for i in (9, 4, 3, 5)] == [0, 1, 0, 2]
    machine.weighted_interleave(1, 2)
    machine.set_mempolicy("weighted-interleave", [0, 1, 2])
    touched = [machine.nid_of(machine.touch(region, i)) for i in (16, 17, 18, 19, 20)]
    assert touched == [0, 1, 1, 2, 0]


@pytest.mark.parametrize(
    ("nr_pages", "expected", "then"),
    [
        (1, [0], [0, 0, 1]),
        (3, [0, 0, 0], [1, 2, 2]),
        (7, [0, 0, 0, 0, 1, 2, 2], [0, 0, 1]),
        (12, [0] * 6 + [1] * 2 + [2] * 4, [0, 0, 0, 1]),
    ],
)
def test_a_bulk_request_is_shared_by_weight(
    nr_pages: int, expected: list[int], then: list[int]
) -> None:
    """Weights 3, 1, 2: whole rounds at once, then the turn goes on where it would have been."""
    machine = three_nodes()
    machine.weighted_interleave(0, 3)
    machine.weighted_interleave(2, 2)
    machine.set_mempolicy("weighted-interleave", [0, 1, 2])
    pfns = alloc_pages_bulk_mempolicy(machine.vm, MOVABLE, nr_pages)
    assert sorted(machine.nid_of(pfn) for pfn in pfns) == expected
    assert nodes_of(machine, len(then)) == then


def test_a_bulk_request_goes_on_with_the_turn_that_was_begun() -> None:
    """One of node 0's three pages was given: two are left of its turn."""
    machine = three_nodes()
    machine.weighted_interleave(0, 3)
    machine.set_mempolicy("weighted-interleave", [0, 1])
    assert nodes_of(machine, 1) == [0]
    pfns = alloc_pages_bulk_mempolicy(machine.vm, MOVABLE, 2)
    assert [machine.nid_of(pfn) for pfn in pfns] == [0, 0]
    assert nodes_of(machine, 2) == [1, 0]


REFUSED: list[tuple[Callable[[Machine], object], str]] = [
    (lambda m: m.set_mempolicy("bind"), "set_mempolicy(bind): EINVAL: needs nodes"),
    (lambda m: m.set_mempolicy("interleave", []), "set_mempolicy(interleave): EINVAL: needs"),
    (lambda m: m.set_mempolicy("default", [0]), "set_mempolicy(default): EINVAL: takes no nodes"),
    (lambda m: m.set_mempolicy("local", [0]), "set_mempolicy(local): EINVAL: takes no nodes"),
    (lambda m: m.set_mempolicy("preferred", [5]), "set_mempolicy(prefer:5): EINVAL: none of these"),
    (lambda m: m.set_mempolicy("bind", [5, 6]), "bind:5-6): EINVAL: none of these nodes has"),
    (lambda m: m.set_mempolicy("bind", [1024]), "nodes: node 1024: EINVAL: should be 0 to 1023"),
    (lambda m: m.set_mempolicy("bind", [-1]), "nodes: node -1: EINVAL: should be 0 to 1023"),
    (lambda m: m.set_mempolicy("bind", ["0"]), "nodes='0': should be a whole number"),  # type: ignore[list-item]
    (lambda m: m.set_mempolicy("bind", 0), "nodes='0': should be a list"),  # type: ignore[arg-type]
    (lambda m: m.set_mempolicy("membind", [0]), "mode='membind': EINVAL: should be one of default"),
    (lambda m: m.set_mempolicy(7, [0]), "mode=7: EINVAL: should be 0 to 6"),
    (lambda m: m.set_mempolicy(-1, [0]), "mode=-1: EINVAL"),
    (lambda m: m.set_mempolicy(2 | MPOL_F_STATIC_NODES, [0]), "NOT MODELLED"),
    (lambda m: m.set_mempolicy(2.0, [0]), "mode='2.0': should be a whole number"),  # type: ignore[arg-type]
    (lambda m: m.weighted_interleave(0, 256), "weight=256: EINVAL: should be 0 to 255"),
    (lambda m: m.weighted_interleave(3, 1), "nid=3: should be"),
    (lambda m: m.weighted_interleave(-1, 1), "nid=-1: should be"),
    (lambda m: m.sysctl("swappiness", 1), "name='swappiness': should be one of zone_reclaim_mode"),
    (lambda m: m.sysctl("zone_reclaim_mode", -1), "zone_reclaim_mode=-1: EINVAL"),
    (lambda m: m.sysctl("min_slab_ratio", 101), "min_slab_ratio=101: EINVAL: should be 0 to 100"),
    (lambda m: m.nid_of(1 << 30), "is in no zone"),
]


@pytest.mark.parametrize(("ask", "told"), REFUSED)
def test_a_refusal_is_one_clear_line_and_changes_nothing(
    ask: Callable[[Machine], object], told: str
) -> None:
    """Neither the policy nor where its turn is."""
    machine = three_nodes()
    machine.set_mempolicy("interleave", [0, 1])
    nodes_of(machine, 1)
    before, done = machine.snapshot(), len(machine.history)
    with pytest.raises(BadRequest) as refusal:
        ask(machine)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert machine.get_mempolicy() == ("interleave", [0, 1])
    assert (machine.snapshot(), len(machine.history)) == (before, done)
    assert nodes_of(machine, 2) == [1, 0]


def test_the_kernels_number_of_a_mode_will_do() -> None:
    """MPOL_WEIGHTED_INTERLEAVE is 6."""
    machine = three_nodes()
    machine.set_mempolicy(MPOL_WEIGHTED_INTERLEAVE, range(2))
    assert machine.get_mempolicy() == ("weighted-interleave", [0, 1])
    assert [machine.set_mempolicy(mode, [0]) for mode in (1, 2, 3, 5)] == [None] * 4
    assert len(MODE_NAMES) == 7


def test_policies_and_turns_are_undone_and_done_again() -> None:
    """Everything that set_mempolicy() and a request change is a step."""
    machine = three_nodes()
    machine.weighted_interleave(1, 4)
    machine.set_mempolicy("weighted-interleave", [1, 2])
    assert nodes_of(machine, 2) == [1, 1]
    assert [op.name.partition(" = ")[0] for op in machine.history[:2]] == [
        "weighted_interleave(node 1, 4)", "set_mempolicy(weighted interleave:1-2)",
    ]  # fmt: skip
    for _ in range(4):
        machine.undo()
    assert machine.get_mempolicy() == ("default", [])
    assert machine.vm.iw_table == [0, 0, 0]
    for _ in range(4):
        machine.redo()
    assert nodes_of(machine, 4) == [1, 1, 2, 1]


def test_the_oom_killer_knows_of_a_policy_that_binds() -> None:
    """mempolicy_in_oom_domain(): no other policy keeps a task's memory on its nodes."""
    machine = three_nodes()
    machine.set_mempolicy("bind", [0, 2])
    task = machine.vm.oom.current
    assert [mempolicy_in_oom_domain(task, 1 << nid) for nid in range(3)] == [True, False, True]
    machine.set_mempolicy("interleave", [0, 2])
    assert mempolicy_in_oom_domain(task, 0b10)


def test_each_task_has_its_own_policy_over_its_turns_and_it_goes_back() -> None:
    """current->mempolicy, il_prev: who runs in between takes no turn, and a child has a copy."""
    machine = Machine(["32 MiB", "32 MiB", "32 MiB"], reclaim=True)
    binds, spreads = machine.task("binds"), machine.task("spreads")
    with machine.running(binds):
        machine.set_mempolicy("bind", [2])
    with machine.running(spreads):
        machine.set_mempolicy("interleave", [0, 1, 2])
    assert machine.get_mempolicy() == ("default", [])
    before = all_of(machine)

    def turn(task: UserTask) -> int:
        with machine.running(task):
            return machine.nid_of(machine.alloc_pages(GFP_KERNEL))

    both = [(turn(binds), turn(spreads)) for _ in range(4)]
    assert both == [(2, 0), (2, 1), (2, 2), (2, 0)]
    child = spreads.fork()
    assert (turn(child), turn(child), turn(spreads)) == (1, 2, 1)
    after = all_of(machine)
    spreads.exit()
    machine.undo()
    assert all_of(machine) == after
    while len(machine.history) > 4:
        machine.undo()
    assert all_of(machine) == before
    while machine._undone:
        machine.redo()
    machine.undo()
    assert all_of(machine) == after
    assert (turn(child), turn(spreads)) == (0, 2)


def test_a_step_of_a_task_that_a_snapshot_does_not_have_changes_nothing() -> None:
    machine = three_nodes()
    apply_mempolicy_step(machine.vm, TaskPolicyField(1, 7, "mode", 0, 3), False)
    assert machine.get_mempolicy() == ("default", [])


def test_each_step_of_a_policy_has_words() -> None:
    """What the player says of them."""
    machine = three_nodes()
    machine.weighted_interleave(1, 2)
    machine.set_mempolicy("interleave", [1, 2])
    machine.sysctl("zone_reclaim_mode", 1)
    told = [step.text() for step in machine.steps()]  # type: ignore[union-attr,call-arg]
    assert told == [
        "node_store(): the weight of node 1 was 0 and is 2 now",
        "do_set_mempolicy(): the task's policy was default and is interleave now",
        "do_set_mempolicy(): the nodes of the task's policy are 1-2 now",
        "node_reclaim_mode: 0 becomes 1",
    ]


def test_masks_of_nodes() -> None:
    """The last node of 64 too, whose bit is the sign of a record's number."""
    assert [first_node(0b100), first_node(1 << 63)] == [2, 63]
    assert [next_node_in(node, 0b1011) for node in (0, 1, 2, 3, 1023)] == [1, 3, 3, 0, 0]
    assert mpol_to_str(5, 0b1101) == "prefer (many):0,2-3"
    assert mpol_to_str(0, 0) == "default"
    machine = Machine(["16 MiB"] * 64)
    machine.set_mempolicy("bind", [62, 63])
    machine.undo()
    machine.redo()
    assert machine.get_mempolicy() == ("bind", [62, 63])
    assert nodes_of(machine, 1, gfp_mask=GFP_KERNEL)[0] in (62, 63)


class Policies(RuleBasedStateMachine):
    """Policies, weights, requests and frees of three nodes, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = three_nodes()
        self.first = self.machine.snapshot()
        self.live: list[int] = []
        self.turns: list[int] = []

    @rule(mode=st.sampled_from(MODE_NAMES), nodes=st.sets(st.integers(0, 3)))
    def set_mempolicy(self, mode: str, nodes: set[int]) -> None:
        """A policy is taken, or refused and the old one kept."""
        before = self.machine.get_mempolicy()
        try:
            self.machine.set_mempolicy(mode, nodes)
        except BadRequest:
            assert self.machine.get_mempolicy() == before
        else:
            self.turns = []

    @rule(nid=st.integers(0, 2), weight=st.integers(0, 4))
    def weigh(self, nid: int, weight: int) -> None:
        """A node weighs more or less."""
        self.machine.weighted_interleave(nid, weight)

    @rule(cpu=st.integers(0, 2), order=st.integers(0, 3))
    def alloc_pages(self, cpu: int, order: int) -> None:
        """A page comes from where the policy says, as there is room everywhere."""
        mode, nodes = self.machine.get_mempolicy()
        pfn = self.machine.alloc_pages(MOVABLE, order, cpu=cpu)
        self.live.append(pfn)
        nid = self.machine.nid_of(pfn)
        if mode in ("default", "local"):
            assert nid == cpu
        elif mode in ("bind", "preferred-many"):
            assert nid == (cpu if cpu in nodes else nid)
            assert nid in nodes
        else:
            assert nid in nodes
        if mode == "interleave":
            self.turns.append(nid)

    @rule(at=st.integers(0, 99))
    def free_pages(self, at: int) -> None:
        """A block goes back."""
        if self.live:
            self.machine.free_pages(self.live.pop(at % len(self.live)))

    @invariant()
    def valid(self) -> None:
        """Nothing is lost, and turns go round."""
        self.machine.validate()
        nodes = self.machine.get_mempolicy()[1]
        expected = [nodes[i % len(nodes)] for i in range(len(self.turns))]
        assert self.turns == expected

    def teardown(self) -> None:
        """All of it can be undone."""
        while self.machine.history:
            self.machine.undo()
        assert self.machine.snapshot() == self.first
        assert self.machine.get_mempolicy() == ("default", [])
        assert self.machine.vm.iw_table == [0, 0, 0]


TestPolicies = Policies.TestCase
TestPolicies.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_a_machine_without_policies_is_as_it_was() -> None:
    """Free pages of a policied machine and of one where each node is named are the same."""
    policied, named = three_nodes(), three_nodes()
    policied.set_mempolicy("interleave", [0, 1, 2])
    got = [policied.alloc_pages(MOVABLE) for _ in range(30)]
    assert got == [named.alloc_pages(MOVABLE, nid=i % 3) for i in range(30)]
    free = [[z.vm_stat[NR_FREE_PAGES] for z in m.vm.zones] for m in (policied, named)]
    assert free[0] == free[1]
