"""The eleven scenarios of lib/test_vmalloc.c, with every invariant checked on the way.

As there, each is run by one worker, or by several at the same time; here a worker is a CPU, and
they take turns. A scenario is a generator that stops behind each step. Counts are the kernel's,
but test_loop_count, which is a million there: a loop here goes on until what it does repeats.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from memsim import Machine
from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.mm.page_alloc.alloc import alloc_pages_bulk
from memsim.mm.pgtable import PMD, PMD_SIZE
from memsim.mm.vmalloc.block import vm_map_ram, vm_unmap_ram
from memsim.mm.vmalloc.lazy import drain_vmap_area_work, purge_vmap_area_lazy
from memsim.mm.vmalloc.snapshot import vmalloc_lists
from memsim.mm.vmalloc.state import lazy_max_pages
from memsim.mm.vmalloc.vmalloc import vfree, vmalloc_node_range
from memsim.words.gfp import __GFP_ZERO, GFP_KERNEL
from memsim.words.slab import NULL_PTR, SIZEOF_POINTER
from memsim.words.vmalloc import (
    VM_ALLOW_HUGE_VMAP,
    VMALLOC_END,
    VMALLOC_START,
    VMAP_BBMAP_BITS,
    VMAP_BLOCK_SIZE,
)

CASES = json.loads(
    (Path(__file__).parent / "data" / "worked_examples_vmalloc.json").read_text("utf-8")
)
[LOADS] = [case["expected"] for case in CASES if case["id"] == "vmalloc-test-loads"]

GFP_ZEROED = GFP_KERNEL | __GFP_ZERO
#: Twice THREAD_SIZE, which is 16 KiB on x86-64.
THREAD_ALIGN_TWICE = 2 * (16 << 10)
#: An area of one page and its guard page; so many of them are freed until there is a purge.
ONE_PAGE = 2 * PAGE_SIZE
PURGE_AFTER = lazy_max_pages(1) // 2 + 1


class Worker:
    """A CPU, its chance, and what it asks for; a page that is written to must be mapped."""

    def __init__(self, machine: Machine, cpu: int = 0) -> None:
        self.machine, self.vm, self.cpu = machine, machine.vm, cpu
        self.chance = random.Random(cpu)

    def vmalloc_node(self, size: int, align: int, flags: int = 0) -> int:
        """__vmalloc_node(), or with VM_ALLOW_HUGE_VMAP vmalloc_huge()."""
        self.vm.set_cpu(self.cpu)
        limits = VMALLOC_START, VMALLOC_END
        return vmalloc_node_range(self.vm, size, align, *limits, GFP_ZEROED, flags)

    def vmalloc(self, size: int, flags: int = 0) -> int:
        ptr = self.vmalloc_node(size, 1, flags)
        assert ptr != NULL_PTR
        return ptr

    def write(self, ptr: int) -> None:
        assert self.machine.vmalloc_to_pfn(ptr) > 0

    def vfree(self, ptr: int) -> None:
        self.vm.set_cpu(self.cpu)
        assert vfree(self.vm, ptr)
        if self.vm.vmalloc.drain_vmap_work:
            drain_vmap_area_work(self.vm)


Scenario = Callable[[Worker], Iterator[object]]


def fix_size_alloc_test(
    worker: Worker, loops: int = 450, nr_pages: int = 20, flags: int = 0
) -> Iterator[int]:
    """nr_pages is 1 there, if nobody says otherwise; with 20 a purge comes within the loops."""
    for _ in range(loops):
        ptr = worker.vmalloc(nr_pages * PAGE_SIZE, flags)
        worker.write(ptr)
        yield ptr
        worker.vfree(ptr)


def full_fit_alloc_test(
    worker: Worker, junk_length: int = 256, loops: int = 600
) -> Iterator[tuple[int, list[int]]]:
    """Yields each address of the loop, and where the holes are."""
    array, junk_array = (worker.vmalloc(SIZEOF_POINTER * junk_length) for _ in range(2))
    ptr, junk_ptr = [], []
    for _ in range(junk_length):
        ptr.append(worker.vmalloc(PAGE_SIZE))
        junk_ptr.append(worker.vmalloc(PAGE_SIZE))
    for junk in junk_ptr:
        worker.vfree(junk)
    for _ in range(loops):
        tmp = worker.vmalloc(PAGE_SIZE)
        worker.write(tmp)
        yield tmp, junk_ptr
        worker.vfree(tmp)
    for address in (*ptr, array, junk_array):
        worker.vfree(address)


def long_busy_list_alloc_test(
    worker: Worker, nr_busy: int = 500, loops: int = 200
) -> Iterator[tuple[int, int]]:
    array = worker.vmalloc(SIZEOF_POINTER * nr_busy)
    ptr = [worker.vmalloc(PAGE_SIZE) for _ in range(nr_busy)]
    for _ in range(loops):
        ptr_1, ptr_2 = worker.vmalloc(100 * PAGE_SIZE), worker.vmalloc(PAGE_SIZE)
        worker.write(ptr_1)
        worker.write(ptr_2)
        yield ptr_1, ptr_2
        worker.vfree(ptr_1)
        worker.vfree(ptr_2)
    for address in (*ptr, array):
        worker.vfree(address)


def random_size_alloc_test(worker: Worker, loops: int = 250) -> Iterator[int]:
    for _ in range(loops):
        nr_pages = worker.chance.randint(1, 100)
        ptr = worker.vmalloc(nr_pages * PAGE_SIZE)
        worker.write(ptr)
        worker.write(ptr + (nr_pages - 1) * PAGE_SIZE)
        yield ptr
        worker.vfree(ptr)


def fix_align_alloc_test(worker: Worker, loops: int = 400) -> Iterator[int]:
    for _ in range(loops):
        ptr = worker.vmalloc_node(5 * PAGE_SIZE, THREAD_ALIGN_TWICE)
        assert ptr != NULL_PTR
        assert ptr % THREAD_ALIGN_TWICE == 0
        yield ptr
        worker.vfree(ptr)


def random_size_align_alloc_test(worker: Worker) -> Iterator[int]:
    """Each value of get_random_u8() twice, shuffled."""
    values = [*range(256), *range(256)]
    worker.chance.shuffle(values)
    for rnd in values:
        align, size = 1 << rnd % 23, (rnd % 10 + 1) * PAGE_SIZE
        ptr = worker.vmalloc_node(size, align)
        assert ptr != NULL_PTR
        assert ptr % max(align, PAGE_SIZE) == 0
        yield ptr
        worker.vfree(ptr)


def align_shift_alloc_test(worker: Worker) -> Iterator[int]:
    """Yields NULL_PTR last, where the kernel's gives up; the kernel's is meant to."""
    for i in range(64):
        ptr = worker.vmalloc_node(PAGE_SIZE, 1 << i)
        yield ptr
        if ptr == NULL_PTR:
            return
        assert ptr % (1 << i) == 0
        worker.vfree(ptr)


def pcpu_alloc_test(worker: Worker) -> Iterator[int]:
    """The array of 35,000 pointers.

    NOT MODELLED: __alloc_percpu() and free_percpu(), and pcpu_get_vm_areas() by which they grow.
    """
    pcpu = worker.vmalloc(SIZEOF_POINTER * 35_000)
    for offset in range(0, SIZEOF_POINTER * 35_000, PAGE_SIZE):
        worker.write(pcpu + offset)
    yield pcpu
    worker.vfree(pcpu)


def kvfree_rcu_1_arg_vmalloc_test(
    worker: Worker, loops: int = 700, grace_period: int = 300
) -> Iterator[int]:
    """Pages are freed later, many at a time, while others are asked for.

    NOT MODELLED: kvfree_rcu_mightsleep() and RCU; so many requests stand for a grace period.
    """
    waiting: list[int] = []
    for _ in range(loops):
        ptr = worker.vmalloc(PAGE_SIZE)
        worker.write(ptr)
        yield ptr
        waiting.append(ptr)
        if len(waiting) == grace_period:
            while waiting:
                worker.vfree(waiting.pop(0))
    for ptr in waiting:
        worker.vfree(ptr)


def kvfree_rcu_2_arg_vmalloc_test(worker: Worker) -> Iterator[int]:
    """With a struct rcu_head in the page the same happens, at other times.

    NOT MODELLED: kvfree_rcu() and RCU; so many requests stand for a grace period.
    """
    return kvfree_rcu_1_arg_vmalloc_test(worker, 500, 70)


def vm_map_ram_test(worker: Worker, loops: int = 1000, map_nr_pages: int = 1) -> Iterator[int]:
    """NOT MODELLED: the array of struct page pointers, by kcalloc()."""
    vm = worker.vm
    vm.set_cpu(worker.cpu)
    pages = alloc_pages_bulk(vm, GFP_KERNEL, 0, map_nr_pages)
    assert len(pages) == map_nr_pages
    for _ in range(loops):
        vm.set_cpu(worker.cpu)
        v_ptr = vm_map_ram(vm, pages)
        assert worker.machine.vmalloc_to_pfn(v_ptr) == pages[0]
        yield v_ptr
        vm.set_cpu(worker.cpu)
        assert vm_unmap_ram(vm, v_ptr, map_nr_pages)
        if vm.vmalloc.drain_vmap_work:
            drain_vmap_area_work(vm)
    for page in pages:
        worker.machine.free_pages(page)


#: In the order of test_case_array[].
SCENARIOS: tuple[Scenario, ...] = (
    fix_size_alloc_test, full_fit_alloc_test, long_busy_list_alloc_test, random_size_alloc_test,
    fix_align_alloc_test, random_size_align_alloc_test, align_shift_alloc_test, pcpu_alloc_test,
    kvfree_rcu_1_arg_vmalloc_test, kvfree_rcu_2_arg_vmalloc_test, vm_map_ram_test,
)  # fmt: skip


def booted(**description: Any) -> Machine:
    return Machine("128 MiB", vmalloc=True, steps=False, **description)


def checked(machine: Machine) -> None:
    """Every invariant, of areas and of pages."""
    machine.validate_vmalloc()
    machine.validate()


def all_given_back(machine: Machine, free: list[Any]) -> None:
    """After a purge that empties the pools too, the free areas are those of boot."""
    assert machine.vm.vmalloc.nr_vmalloc_pages == 0
    purge_vmap_area_lazy(machine.vm, full_pool_decay=True)
    busy = [area for node in vmalloc_lists(machine.vm.vmalloc)["nodes"] for area in node["busy"]]
    blocks = [hex(start) for start in sorted(machine.vm.vmalloc.vmap_blocks)]
    assert sorted(start for start, *_ in busy) == blocks
    if not blocks:
        assert vmalloc_lists(machine.vm.vmalloc)["free"] == free
    checked(machine)


@pytest.mark.parametrize(
    "kind", [{}, {"slab": True, "cpus": 2}, {"cpus": 3}], ids=["1", "2 with slab", "3"]
)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_every_invariant_holds(scenario: Scenario, kind: dict[str, Any]) -> None:
    """Workers take turns; areas are checked behind each 50th step, pages behind each 500th."""
    machine = booted(**kind)
    free = vmalloc_lists(machine.vm.vmalloc)["free"]
    workers = [scenario(Worker(machine, cpu)) for cpu in range(machine.vm.nr_cpus)]
    for step, _ in enumerate(zip_longest(*workers)):
        if step % 50 == 0:
            machine.validate_vmalloc()
        if step % 500 == 0:
            machine.validate()
    all_given_back(machine, free)


def test_there_are_as_many_scenarios_as_the_kernel_has() -> None:
    assert len(SCENARIOS) == LOADS["tests"]


def test_fix_size_goes_up_until_a_purge_and_then_begins_again() -> None:
    addresses = list(fix_size_alloc_test(Worker(booted()), PURGE_AFTER + 50, 1))
    expected = [VMALLOC_START + i % PURGE_AFTER * ONE_PAGE for i in range(len(addresses))]
    assert addresses == expected
    assert PURGE_AFTER == 4097


@pytest.mark.parametrize("nr_pages", [4, 513])
def test_fix_size_in_huge_pages(nr_pages: int) -> None:
    """use_huge: from 2 MiB on the whole area is in blocks of 2 MiB."""
    machine = booted()
    huge = nr_pages * PAGE_SIZE >= PMD_SIZE
    for ptr in fix_size_alloc_test(Worker(machine), 20, nr_pages, VM_ALLOW_HUGE_VMAP):
        assert (machine.walk(ptr)[-1].level == PMD) == huge
        checked(machine)
    assert machine.vm.vmalloc.nr_vmalloc_pages == 0


def test_full_fit_lands_in_the_holes_as_long_as_they_are_purged() -> None:
    """The kernel's count: 8,192 pairs. Freeing every second area purges once, in the middle.

    The last 4,095 stay lazily freed, so the holes are the first 4,097, the lowest first. The
    second free of the loop purges again, and so does each 4,097th after it.
    """
    worker = Worker(booted())
    junk_length = 1 * (32 * 1024 * 1024 // PAGE_SIZE)
    assert LOADS["full_fit"].startswith(f"fls(cpus)*{junk_length} pairs of one-page areas")
    loops = 2 + PURGE_AFTER + 20
    for i, (tmp, junk_ptr) in enumerate(full_fit_alloc_test(worker, junk_length, loops)):
        assert tmp == junk_ptr[i if i < 2 else (i - 2) % PURGE_AFTER], i
        if i % 1000 == 0:
            checked(worker.machine)
    all_given_back(worker.machine, vmalloc_lists(booted().vm.vmalloc)["free"])


def test_full_fit_comes_out_of_the_pools_with_two_cpus() -> None:
    """A purge behind the first turn puts all holes into this CPU's pool: the last goes first."""
    worker = Worker(booted(cpus=2))
    vm, seen = worker.vm, list[int]()
    for tmp, junk_ptr in full_fit_alloc_test(worker, loops=300):
        seen.append(tmp)
        if len(seen) == 1:
            assert tmp > max(junk_ptr), "nothing was purged yet"
            drain_vmap_area_work(vm)
            pool = [va.va_start for va in vm.vmalloc.vmap_nodes[0].pool[1]]
            assert pool == junk_ptr[::-1]
        if len(seen) % 20 == 1:
            checked(worker.machine)
    assert seen[1 : 1 + len(junk_ptr)] == junk_ptr[::-1]
    assert min(seen[1 + len(junk_ptr) :]) > max(junk_ptr), "the pool is empty"


def test_a_long_busy_list() -> None:
    """15,000 areas of one page stay; behind them 100 pages and one, higher and higher.

    The first free of turn 79 purges: turn 80 is where turn 0 was.
    """
    worker = Worker(booted())
    held = 15_000
    assert LOADS["long_busy_list"].startswith(f"{held} one-page areas held")
    array = (SIZEOF_POINTER * held + PAGE_SIZE - 1 >> PAGE_SHIFT) + 1
    first = VMALLOC_START + array * PAGE_SIZE + held * ONE_PAGE
    both = 101 + 2
    assert 79 * both <= lazy_max_pages(1) < 79 * both + 101
    for i, (ptr_1, ptr_2) in enumerate(long_busy_list_alloc_test(worker, held, 120)):
        assert ptr_1 == first + i % 80 * both * PAGE_SIZE
        assert ptr_2 == ptr_1 + 101 * PAGE_SIZE
        if i % 40 == 0:
            checked(worker.machine)
    all_given_back(worker.machine, vmalloc_lists(booted().vm.vmalloc)["free"])


def test_align_shift_fails_where_no_such_address_is_in_the_range() -> None:
    """2^45 divides 0xffffe00000000000; the next power of two divides nothing in the 32 TiB."""
    machine = booted()
    addresses = list(align_shift_alloc_test(Worker(machine)))
    assert len(addresses) == 47
    assert addresses[45:] == [0xFFFF_E000_0000_0000, NULL_PTR]
    for i in range(46):
        lowest = -(-VMALLOC_START // (1 << i)) << i
        assert lowest + PAGE_SIZE <= VMALLOC_END
        assert addresses[i] >= lowest
    for i in range(46, 64):
        assert -(-VMALLOC_START // (1 << i)) << i > VMALLOC_END
    assert LOADS["align_shift"].startswith("one page at 2^0..2^63 alignment")


@pytest.mark.parametrize("shift", range(46, 64))
def test_greater_alignments_are_refused_and_change_nothing(shift: int) -> None:
    machine = booted()
    before = vmalloc_lists(machine.vm.vmalloc), machine.snapshot()
    assert Worker(machine).vmalloc_node(PAGE_SIZE, 1 << shift) == NULL_PTR
    assert (vmalloc_lists(machine.vm.vmalloc), machine.snapshot()) == before
    assert "vmalloc error: size 4096, vm_struct allocation failed" in machine.vm.vmalloc.log[1]


def test_vm_map_ram_goes_up_through_blocks() -> None:
    """256 pages of a block are handed out once; then it is freed, and another one is taken."""
    addresses = list(vm_map_ram_test(Worker(booted())))
    blocks = {address // VMAP_BLOCK_SIZE * VMAP_BLOCK_SIZE for address in addresses}
    assert len(blocks) == -(-len(addresses) // VMAP_BBMAP_BITS)
    for i, address in enumerate(addresses):
        assert address == sorted(blocks)[i // VMAP_BBMAP_BITS] + i % VMAP_BBMAP_BITS * PAGE_SIZE
