"""V: areas of 1 to 64 pages, asked for and freed at random, among ever more live ones.

On one CPU, so without pools, and aligned to a page, the kernel's answer is that of first fit: the
lowest free addresses that are enough. bench/first_fit.py finds them in a sorted list, memsim in its
tree; every address must agree. Before anything is timed, as many areas as are live were freed, and
asked for anew. What is timed ends in a purge, so that it has paid for all that it freed.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from array import array
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from bench.compare import same
from bench.drive import pfn_hash
from bench.figures import Spread, spread, tell
from bench.first_fit import FirstFit
from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.lib.rbtree import rb_nodes
from memsim.machine import Machine
from memsim.mm.mmzone import Vm
from memsim.mm.vmalloc.lazy import drain_vmap_area_work
from memsim.mm.vmalloc.snapshot import shape_of
from memsim.mm.vmalloc.state import lazy_max_pages
from memsim.mm.vmalloc.vm_area import get_vm_area_node
from memsim.mm.vmalloc.vmalloc import vfree, vmalloc
from memsim.words.vmalloc import VM_MAP, VMALLOC_END, VMALLOC_START

LIVE = (100, 1_000, 10_000, 100_000)
#: The most live areas of --quick: to make a hundred thousand takes longer than to measure.
QUICK = 10_000
MAX_PAGES = 64
NR_OPERATIONS = 2_000
NR_COUNTED = 400

#: Pages to the address of an area; the address of one to free.
Alloc = Callable[[int], int]
Free = Callable[[int], Any]
Purge = Callable[[], Any]


class VmallocRow(NamedTuple):
    """With so many live areas: free areas, the height of their tree, microseconds an operation.

    areas: addresses only; whole: pages and page tables too. lines: of Python that memsim runs for
    an operation on addresses; looked_at: free areas that first fit looks at for a request.
    """

    live: int
    holes: int
    height: int
    areas: Spread
    whole: Spread
    first_fit: Spread
    lines: float
    looked_at: float
    hash: str


class Operations:
    """Requests and frees by turns, so that as many areas stay live: each picked by chance."""

    def __init__(self, live: int, seed: int = 46) -> None:
        self.chance = random.Random(seed)
        self.live = list(range(live))
        self.nr_requests = live

    def first(self) -> array[int]:
        """The requests for the first areas: pages."""
        return array("q", [self._pages() for _ in self.live])

    def more(self, nr: int) -> array[int]:
        """nr operations: ~i frees what request i got, others ask for pages."""
        operations = array("q")
        while len(operations) < nr:
            place = self.chance.randrange(len(self.live))
            operations.extend((~self.live[place], self._pages()))
            self.live[place] = self.nr_requests
            self.nr_requests += 1
        return operations

    def _pages(self) -> int:
        return self.chance.randint(1, MAX_PAGES)


class Side:
    """Somebody who does operations, and the addresses that all requests got."""

    def __init__(self, alloc: Alloc, free: Free, purge: Purge, addresses: list[int]) -> None:
        self.alloc, self.free, self.purge, self.addresses = alloc, free, purge, addresses

    def run(self, operations: array[int]) -> float:
        """Do the operations, and purge: CPU seconds."""
        alloc, free, addresses = self.alloc, self.free, self.addresses
        gc.disable()
        started = time.process_time()
        for v in operations:
            if v >= 0:
                addresses.append(alloc(v))
            else:
                free(addresses[~v])
        self.purge()
        seconds = time.process_time() - started
        gc.enable()
        return seconds


def area_of(vm: Vm, pages: int) -> int:
    """The address of an area without pages."""
    limits = VMALLOC_START, VMALLOC_END
    area = get_vm_area_node(vm, pages * PAGE_SIZE, 1, PAGE_SHIFT, VM_MAP, *limits)
    return -1 if area is None else area.addr


def free_area(vm: Vm, address: int) -> None:
    """Free an area, and its pages if it has some; purge when that is due."""
    vfree(vm, address)
    if vm.vmalloc.drain_vmap_work:
        drain_vmap_area_work(vm)


def model(live: int, whole: bool) -> tuple[Vm, Side, Operations]:
    """memsim with so many live areas, none of which has pages yet."""
    machine = Machine("1 GiB", vmalloc=True, steps=False)
    vm, operations = machine.vm, Operations(live)
    vm.trace.mask = 0
    side = Side(partial(area_of, vm), partial(free_area, vm), partial(drain_vmap_area_work, vm), [])
    side.run(operations.first())
    side.run(operations.more(2 * live))
    if whole:
        side.alloc = lambda pages: vmalloc(vm, pages * PAGE_SIZE)
    return vm, side, operations


def first_fit(vm: Vm, addresses: list[int]) -> tuple[FirstFit, Side]:
    """First fit, with the areas that memsim has."""
    state = vm.vmalloc
    free = [
        (max(va.va_start, VMALLOC_START), min(va.va_end, VMALLOC_END))
        for va in rb_nodes(state.free_vmap_area_root)
        if va.va_end > VMALLOC_START and va.va_start < VMALLOC_END
    ]
    live = {va.va_start: va.va_end - va.va_start for va in rb_nodes(state.vmap_nodes[0].busy)}
    fit = FirstFit(free, live, lazy_max_pages(vm.nr_cpus) << PAGE_SHIFT)
    alloc = lambda pages: fit.alloc((pages + 1) * PAGE_SIZE)  # noqa: E731
    return fit, Side(alloc, fit.free, fit.purge, list(addresses))


def lines_run(work: Callable[[], object]) -> int:
    """Lines of Python that run: what something costs, on any computer."""
    count = 0

    def line(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return line

    sys.settrace(line)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def measure(live: int, rounds: int, nr_operations: int = NR_OPERATIONS) -> VmallocRow:
    """Every round, compared: addresses alone, with pages, and first fit, do the same."""
    tell(f"vmalloc: {live:,} live areas")
    (vm, areas, operations), (_, whole, _) = model(live, whole=False), model(live, whole=True)
    fit, plain = first_fit(vm, areas.addresses)
    holes, height = len(fit.starts), max(map(_depth, shape_of(vm.vmalloc.free_vmap_area_root)))
    sides, seconds = (areas, whole, plain), list[list[float]]()
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}: {live:,} live areas", detail=True)
        more = operations.more(nr_operations)
        seconds.append([side.run(more) for side in sides])
        _agree(live, sides)
    fit.looked_at = 0
    counted = operations.more(NR_COUNTED)
    lines = lines_run(lambda: areas.run(counted))
    plain.run(counted)
    _agree(live, (areas, plain))
    return VmallocRow(
        live, holes, height,
        *(spread(1e6 * s / nr_operations for s in side) for side in zip(*seconds, strict=True)),
        lines / NR_COUNTED, 2 * fit.looked_at / NR_COUNTED, pfn_hash(areas.addresses),
    )  # fmt: skip


def _depth(coded: int) -> int:
    return -coded if coded < 0 else coded + 1


def _agree(live: int, sides: tuple[Side, ...]) -> None:
    expected = pfn_hash(sides[-1].addresses)
    for name, side in zip(("memsim", "memsim with pages"), sides[:-1], strict=False):
        same(f"{live:,} live areas: hash of {name}", pfn_hash(side.addresses), expected)
