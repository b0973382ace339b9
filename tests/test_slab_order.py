"""Slab operations in the order in which they took effect: probes, interrupts, slabs let go."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import pytest
from test_lock_order import Args, Lines, add_row

from memsim import GFP_KERNEL, Machine
from memsim.mm.kmalloc_caches import kmalloc_slab, kmem_cache_init
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.free import slab_free
from memsim.replay.order.slab_order import order_slab
from memsim.replay.rows.inputs import Kind, Rows
from memsim.replay.rows.slab_fields import slab_values
from memsim.replay.slab.partial import frees_to_partial, let_go
from memsim.words.gfp import GFP_NOWAIT
from memsim.words.mmzone import NULL
from memsim.words.slab import NUMA_NO_NODE

SITE, OTHER_SITE, CACHE = 7, 8, 0x1000
MEMMAP = 0xFFFFEA0000000000


def order_of(rows: Rows) -> list[int]:
    when = array("d", range(len(rows)))
    order_slab(rows, when)
    return sorted(range(len(rows)), key=when.__getitem__)


@dataclass
class Interrupted:
    """A request, and what came in between its context's event before and its own."""

    flags: str
    #: Microseconds: from the interrupt's last event to the request's, from the event before.
    left: int
    way_in: int = 2000
    request_flags: str = "....."
    kind: Kind = Kind.kmem_cache_alloc
    gfp: int = GFP_KERNEL
    calm: int = 50
    before: Kind = Kind.kmem_cache_free

    def rows(self) -> tuple[Rows, int, int, int]:
        """(rows, the event before, the interrupt's, the request's)."""
        lines = Lines()
        # a calm time, in which the site's requests show how long they take
        lines.add(".....", 100, Kind.kfree, args=(1, OTHER_SITE))
        lines.add(".....", 100 + self.calm, self.kind, args=self.args())
        # what such interrupts look like
        for number in range(6):
            self._usual(lines, 20_000 + 10_000 * number)
        at = 200_000
        before = lines.add(".....", at, self.before, args=(2, OTHER_SITE))
        at += self.way_in
        inner = lines.add(self.flags, at, Kind.kmem_cache_free, args=(3, SITE))
        own = lines.add(self.request_flags, at + self.left, self.kind, args=self.args())
        return lines.rows, before, inner, own

    def args(self) -> Args:
        if self.kind in (Kind.bulk_alloc, Kind.newslab):
            return CACHE, self.gfp, 4, 4
        return 1, OTHER_SITE, 64, 64, self.gfp, -2

    @staticmethod
    def _usual(lines: Lines, at: int) -> None:
        lines.add(".....", at, Kind.kfree, args=(1, OTHER_SITE))
        lines.add("..s..", at + 300, Kind.kmem_cache_free, args=(3, SITE))
        lines.add(".....", at + 900, Kind.kfree, args=(1, OTHER_SITE))

    def had_object(self) -> bool:
        rows, _, inner, own = self.rows()
        order = order_of(rows)
        return order.index(own) < order.index(inner)


def test_who_goes_on_with_need_resched_was_behind_might_alloc() -> None:
    """GFP_KERNEL would have gone to schedule(), however long it takes from there."""
    assert Interrupted(".Ns..", 300, request_flags=".N...").had_object()
    assert not Interrupted(".Ns..", 300, request_flags=".....").had_object()
    assert not Interrupted("..s..", 300, request_flags=".N...").had_object()


def test_who_may_not_sleep_goes_on_with_need_resched_anywhere() -> None:
    wait = Interrupted(".Ns..", 300, request_flags=".N...", gfp=GFP_NOWAIT)
    assert not wait.had_object()


def test_little_time_is_left_when_the_object_is_zeroed() -> None:
    assert Interrupted("..s..", 20).had_object()
    assert not Interrupted("..s..", 200, calm=50).had_object()
    assert Interrupted("..s..", 200, calm=250).had_object()


def test_an_interrupt_two_levels_deeper_came_into_the_tracepoint() -> None:
    assert Interrupted("..s2.", 150).had_object()
    assert not Interrupted("..s1.", 150).had_object()


def test_soon_after_the_event_before_it_is_that_ones_tracepoint() -> None:
    """And need_resched, which the next event shows, was not read yet."""
    assert not Interrupted("..s2.", 150, way_in=250).had_object()
    assert Interrupted("..s2.", 15, way_in=250).had_object()
    deep = Interrupted(".Ns2.", 150, request_flags=".N...", gfp=GFP_NOWAIT)
    assert not deep.had_object()


def test_flags_are_read_before_the_time_is() -> None:
    """One level deeper, need_resched not shown any more: schedule() would take longer."""
    assert Interrupted(".Ns1.", 60).had_object()
    assert not Interrupted(".Ns1.", 90).had_object()


def test_no_time_left_is_the_tracepoint_at_any_depth() -> None:
    assert Interrupted("..s1.", 0).had_object()


@pytest.mark.parametrize(("flags", "expected"), [("..s4.", True), ("..s3.", False)])
def test_a_probe_of_a_return_is_one_level_deeper_than_its_function(
    flags: str, expected: bool
) -> None:
    """A bulk request at level 1: its line shows 2."""
    bulk = Interrupted(flags, 400, request_flags="...2.", kind=Kind.bulk_alloc)
    assert bulk.had_object() == expected


@pytest.mark.parametrize(
    ("flags", "left", "expected"),
    [
        ("..s..", 58, True), (".Ns..", 79, True), (".Ns..", 292, False),
        (".Ns1.", 70, False), (".Ns1.", 213, False),
        (".Ns2.", 103, True), (".Ns2.", 137, False),
        (".Ns3.", 492, True), (".Ns4.", 14, True),
    ],
)  # fmt: skip
def test_bulk_requests_have_interrupts_off_while_they_take(
    flags: str, left: int, expected: bool
) -> None:
    """What came then comes right behind. Each as a recording has it, told by its pointers."""
    bulk = Interrupted(flags, left, request_flags="...1.", kind=Kind.bulk_alloc, gfp=GFP_NOWAIT)
    assert bulk.had_object() == expected


def test_times_after_a_cpu_stood_still_tell_nothing_of_a_bulk_request() -> None:
    """`mixed_server`: the host had the CPU for 16 ms, and the probe took 199 microseconds."""
    bulk = Interrupted(
        ".Ns2.", 199, way_in=16_537, request_flags="...1.", kind=Kind.bulk_alloc, gfp=GFP_NOWAIT
    )
    assert bulk.had_object()


def test_a_call_for_a_slab_looked_before_an_interrupt_deeper_than_it() -> None:
    assert Interrupted(".Ns1.", 200, kind=Kind.newslab).had_object()
    assert not Interrupted(".Ns..", 200, kind=Kind.newslab).had_object()
    assert Interrupted(".Ns..", 200, request_flags=".N...", kind=Kind.newslab).had_object()


def test_a_free_comes_behind_an_interrupt_in_its_tracepoint() -> None:
    deep = Interrupted("..s2.", 90, kind=Kind.kfree)
    rows, before, inner, _ = deep.rows()
    order = order_of(rows)
    assert order.index(before) > order.index(inner)
    rows, before, inner, _ = Interrupted("..s..", 90, kind=Kind.kfree).rows()
    order = order_of(rows)
    assert order.index(before) < order.index(inner)


@pytest.mark.parametrize(("page", "later"), [(5, True), (6, False)])
def test_a_free_comes_behind_an_interrupt_that_found_its_slab_full(page: int, later: bool) -> None:
    """put_cpu_partial() is called for the first object that is freed of a full slab."""
    lines = Lines()
    before = lines.add(".....", 100, Kind.kfree, args=(5 << 12, OTHER_SITE))
    inner = lines.add("..s..", 900, Kind.kmem_cache_free, args=(page << 12 | 256, SITE))
    lines.add("..s..", 910, Kind.putcpup, args=(CACHE, page, 1))
    lines.add(".....", 990, Kind.kfree, args=(9 << 12, OTHER_SITE))
    order = order_of(lines.rows)
    assert (order.index(before) > order.index(inner)) == later


# Probes: put_cpu_partial()


def rows_of(*events: tuple[Kind, int, Args]) -> Rows:
    rows = Rows()
    for kind, cpu, args in events:
        add_row(rows, kind, cpu, (cpu, cpu), args=args)
    return rows


def test_requests_and_frees_count_from_put_cpu_partial() -> None:
    """CPU 0's request takes slabs of the node before CPU 1's, and is logged behind it."""
    of_request, of_free = (CACHE, 5, 0), (CACHE, 5, 1)
    rows = rows_of(
        (Kind.putcpup, 0, of_request), (Kind.putcpup, 1, of_request),
        (Kind.kmem_cache_alloc, 1, (1, SITE)), (Kind.kmem_cache_alloc, 0, (2, SITE)),
    )  # fmt: skip
    assert order_of(rows) == [0, 3, 1, 2]
    rows = rows_of(
        (Kind.kfree, 0, (1, SITE)), (Kind.kfree, 1, (2, SITE)),
        (Kind.putcpup, 1, of_free), (Kind.putcpup, 0, of_free),
    )  # fmt: skip
    assert order_of(rows) == [1, 2, 0, 3]


@pytest.mark.parametrize(("apart", "first"), [(3, 3), (9, 2)])
def test_a_request_that_had_begun_when_another_cpu_freed_comes_first(
    apart: int, first: int
) -> None:
    """Its like take 5 microseconds. A free has done nothing yet when it is logged."""
    rows = Rows()
    alloc = (1, OTHER_SITE, 64, 64, GFP_KERNEL, -2)
    add_row(rows, Kind.kfree, 0, (0, 0), time=100)
    add_row(rows, Kind.kmem_cache_alloc, 0, (0, 0), time=105, args=alloc)
    add_row(rows, Kind.kfree, 1, (1, 1), time=200)
    add_row(rows, Kind.kmem_cache_alloc, 0, (0, 0), time=200 + apart, args=alloc)
    assert order_of(rows)[2] == first


def test_frees_that_put_their_slab_on_a_cpus_list() -> None:
    of_request, of_free = (CACHE, 5, 0), (CACHE, 5, 1)
    rows = rows_of(
        (Kind.kfree, 0, (1, SITE)), (Kind.kfree, 1, (2, SITE)), (Kind.putcpup, 0, of_free),
        (Kind.kfree, 0, (3, SITE)), (Kind.putcpup, 0, of_request),
    )  # fmt: skip
    assert frees_to_partial(rows) == {0}


def test_a_slab_is_let_go_only_by_a_cpu_that_has_nothing_left_in_it() -> None:
    machine = Machine("64 MiB", cpus=2, steps=False)
    kmem_cache_init(machine.vm, seed=1)
    s = kmalloc_slab(machine.vm.slab, 1024, -1, GFP_KERNEL)
    machine.vm.set_cpu(0)
    first = slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE)
    assert first is not None
    slab, obj = first
    c = s.cpu_slab[0]
    assert c.slab is slab
    assert not let_go(slab)
    while c.freelist != NULL:
        slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE)
    machine.vm.set_cpu(1)
    assert let_go(slab)
    assert c.slab is None
    assert not slab.frozen
    slab_free(s, slab, obj)
    assert s.cpu_slab[1].partial is slab
    assert not let_go(slab)


def test_fields_of_the_probes_of_slabs() -> None:
    text = f"(put_cpu_partial+0x0/0x90) s=0x1000 slab={MEMMAP + 64 * 9:#x} drain=1"
    assert slab_values(Kind.putcpup, text, MEMMAP) == [CACHE, 9, 1]
    text = f"(__put_partials+0x0/0x120) s=0x1000 slab={MEMMAP + 64 * 9:#x}"
    assert slab_values(Kind.putpart, text, MEMMAP) == [CACHE, 9, 0]
    text = f"(deactivate_slab+0x0/0x410) s=0x1000 slab={MEMMAP + 64 * 9:#x} freelist=0x0"
    assert slab_values(Kind.deact, text, MEMMAP) == [CACHE, 9, 0]
