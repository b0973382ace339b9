"""Numbers of another kind than Python's: taken as what they are, and never seen by the model."""

from __future__ import annotations

import inspect
from array import array
from collections.abc import Callable
from numbers import Integral
from typing import Any

import pytest

from memsim import GFP_KERNEL, Machine, PageAllocationFailure
from memsim.machine import Job, Schedule
from memsim.machine.plain import plain
from memsim.mm.e820 import E820Entry
from memsim.mm.setup_arch import Firmware
from memsim.words.errors import BadRequest

MIB = 1 << 20


@Integral.register
class Int64:
    """A number of 64 bits that can do nothing but say which it is."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


N: Any = Int64


def numbers(*values: int) -> Any:
    """An array of numbers, as numpy's are: no Sequence, but with tolist()."""
    return array("Q", values)


@pytest.fixture
def machine() -> Machine:
    return Machine(N(64 * MIB), cpus=N(2), slab=True, vmalloc=True, reclaim=True, seed=N(1))


def with_task(machine: Machine) -> None:
    task = machine.task("app", uid=N(5), cpu=N(1))
    task.set_oom_score_adj(N(-5))
    heap = task.mmap("heap", N(MIB))
    task.touch(heap, N(3))
    turns = Schedule(machine, seed=N(1), jobs=[Job(task, lambda *_: N(2))]).run(steps=N(9))
    assert len(turns) == 9


def with_caches(machine: Machine) -> None:
    cache = machine.kmem_cache_create("my_object", N(100), align=N(8))
    objects = machine.kmem_cache_alloc_bulk(cache, N(3))
    machine.kmem_cache_free_bulk(numbers(*objects))
    address = N(machine.kmalloc(N(100), N(GFP_KERNEL)))
    assert machine.slab_at(address) is not None
    address = N(machine.krealloc(address, N(machine.ksize(address))))
    machine.kfree(address)
    assert machine.kcalloc(N(2), N(8))
    assert machine.kvmalloc(N(100))


def with_pools(machine: Machine) -> None:
    pool = machine.mempool_create(N(4), order=N(0))
    machine.mempool_resize(pool, N(2))


def with_addresses(machine: Machine) -> None:
    assert machine.vmalloc(N(8192))
    assert machine.vzalloc(size=N(1))
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, N(2))
    assert machine.vmap(numbers(*pfns))
    assert machine.vmap(N(pfn) for pfn in pfns)
    machine.iounmap(N(machine.ioremap(N(0xFEE00000), N(16))))


def with_pages(machine: Machine) -> None:
    pfns = [machine.alloc_pages(GFP_KERNEL, N(2), nid=N(0)) for _ in range(4)]
    assert {type(pfn) for pfn in pfns} == {int}
    machine.free_pages(N(pfns[0]), N(2))
    machine.free_folios(numbers(*pfns[1:3]))
    machine.free_folios((N(pfns[3]),))
    machine.free_pages_exact(N(machine.alloc_pages_exact(N(5000), GFP_KERNEL)), N(5000))


@pytest.mark.parametrize("ask", [with_task, with_caches, with_pools, with_addresses, with_pages])
def test_any_kind_of_number_is_taken(machine: Machine, ask: Callable[[Machine], None]) -> None:
    first = machine.snapshot()
    ask(machine)
    assert machine.kmalloc(100)
    machine.validate()
    machine.validate_caches()
    machine.validate_vmalloc()
    while machine.history:
        machine.undo()
    machine.validate()
    assert machine.snapshot() == first


@pytest.mark.parametrize(("n", "size"), [(1 << 62, 4), (1 << 63, 4096)])
def test_a_product_does_not_wrap(machine: Machine, n: int, size: int) -> None:
    for call in (machine.kmalloc_array, machine.kcalloc):
        with pytest.raises(PageAllocationFailure, match="overflow 64 bits"):
            call(N(n), size=N(size))


def test_descriptions_may_have_them_too() -> None:
    assert (
        len(Machine(numbers(64 * MIB, 64 * MIB), node_distance=[[N(10), N(20)], [20, 10]]).vm.nodes)
        == 2
    )
    assert Machine.of_pages(N(64), start_pfn=N(64)).nr_free()[6] == 1
    e820 = [E820Entry(N(0), N(256 * MIB), N(1))]
    machine, _ = Machine.from_firmware(Firmware(e820, [(N(0), N(0), N(256 * MIB))]), cpus=N(1))
    assert type(machine.vm.max_pfn) is int


@pytest.mark.parametrize("value", [2.0, "2", None, [2], {N(2)}])
def test_what_does_not_count_is_refused(machine: Machine, value: Any) -> None:
    with pytest.raises(BadRequest, match="order="):
        machine.alloc_pages(GFP_KERNEL, value)


def test_nothing_else_is_changed() -> None:
    same = [True, "x", 1.5, b"x", memoryview(b"x"), {"a": 1}, None]
    assert all(plain(value) is value for value in same)
    assert plain((N(1), [N(2)], {N(3)})) == (1, [2], {3})


def test_functions_keep_their_names_and_arguments() -> None:
    """And subclasses have what they define taken care of."""

    class Mine(Machine):
        def ask(self, order: int) -> type:
            """Which kind?"""
            return type(order)

    assert (Mine.ask.__doc__, list(inspect.signature(Mine.ask).parameters)) == (
        "Which kind?", ["self", "order"],
    )  # fmt: skip
    assert Mine("64 MiB").ask(N(2)) is int
