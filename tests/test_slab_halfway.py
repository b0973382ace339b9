"""Frees that an interrupt came into between their slab's freelist and the CPU's partial list."""

from __future__ import annotations

from array import array

import pytest
from test_lock_order import Lines
from test_slab_order import Interrupted

from memsim import Machine
from memsim.mm.kmalloc_caches import kmalloc_slab, kmem_cache_init
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.free import slab_free
from memsim.mm.slub.partial import put_cpu_partial
from memsim.mm.slub.slab import Slab
from memsim.replay.order.slab_halfway import hold_back, order_halfway, probes_of_frees
from memsim.replay.rows.inputs import Kind
from memsim.words.gfp import GFP_KERNEL
from memsim.words.slab import NUMA_NO_NODE

SITE, CACHE = 7, 0x1000


@pytest.mark.parametrize("kind", [Kind.kmem_cache_free, Kind.kfree, Kind.bulk_free])
def test_a_slab_joins_its_list_after_the_interrupt_behind_the_probe(kind: Kind) -> None:
    lines = Lines()
    free = lines.add(".....", 100, kind, args=(1, SITE))
    probe = lines.add(".....", 110, Kind.putcpup, args=(CACHE, 5, 1))
    inner = lines.add("..s1.", 400, Kind.kfree, args=(2, SITE))
    own = lines.add(".....", 500, Kind.kfree, args=(3, SITE))
    when = array("d", range(len(lines.rows)))
    order_halfway(lines.rows, when)
    assert probes_of_frees(lines.rows) == {free: probe}
    assert when[free] < when[inner] < when[probe] < when[own]


def test_a_request_s_probe_and_one_that_nothing_follows_stay() -> None:
    lines = Lines()
    lines.add(".....", 100, Kind.kfree, args=(1, SITE))
    lines.add(".....", 110, Kind.putcpup, args=(CACHE, 5, 1))
    lines.add(".....", 120, Kind.kfree, args=(1, SITE))
    lines.add("d..2.", 130, Kind.putcpup, args=(CACHE, 5, 0))
    lines.add("..s..", 400, Kind.kfree, args=(2, SITE))
    lines.add(".....", 500, Kind.kfree, args=(3, SITE))
    assert probes_of_frees(lines.rows) == {}


def partial_slabs_of_cpu(machine: Machine) -> list[Slab]:
    """Two full slabs of a cache, each of which got an object back: the CPU's list, first first."""
    vm = machine.vm
    kmem_cache_init(vm, 1)
    s = kmalloc_slab(vm.slab, 512, -1, GFP_KERNEL)
    objects = []
    while len({slab.pfn for slab, _ in objects}) < 3:
        objects.append(slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE) or pytest.fail("no memory"))
    full = list(dict.fromkeys(slab for slab, _ in objects))[:2]
    for slab in full:
        slab_free(s, *next(obj for obj in objects if obj[0] is slab))
    return full[::-1]


def test_a_slab_held_back_is_put_again_behind_what_came_in() -> None:
    machine = Machine(ram="64M")
    second, first = partial_slabs_of_cpu(machine)
    c = second.slab_cache.cpu_slab[0]
    assert not hold_back(first, 0)
    assert hold_back(second, 0)
    assert (c.partial, first.slabs, second.next) == (first, 1, None)
    assert not hold_back(first, 0)
    put_cpu_partial(second.slab_cache, second, drain=True)
    assert (c.partial, second.next, second.slabs) == (second, first, 2)


@pytest.mark.parametrize(
    ("flags", "left", "kind", "before"),
    [
        (".Ns..", 100, Kind.kmem_cache_alloc, True),
        (".Ns..", 100, Kind.kmalloc, False),
        (".Ns1.", 100, Kind.kmalloc, True),
        (".Ns1.", 190, Kind.kmem_cache_alloc, False),
    ],
)
def test_need_resched_says_less_of_kmalloc_and_of_the_slow_path(
    flags: str, left: int, kind: Kind, before: bool
) -> None:
    assert Interrupted(flags, left, request_flags=".N...", kind=kind).had_object() == before
