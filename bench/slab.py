"""S1 and S2: memsim's slab allocator against its twin in C, object by object.

One cache of 64-byte objects on one CPU, freelists not shuffled; slabs come from a zone as a machine
has it. The hash is over the objects' addresses.
"""

from __future__ import annotations

import gc
import time
from array import array
from pathlib import Path
from typing import NamedTuple

from bench import model, twin
from bench.compare import TWIN_RUNS, same
from bench.drive import NULL, Outcome, outcome
from bench.figures import Spread, spread, tell
from bench.workloads import ZONE_PAGES, Live, Workload, w3_pingpong
from memsim.machine import Machine
from memsim.mm.slab_common import calculate_alignment, do_kmem_cache_create
from memsim.mm.slub.alloc import Object, slab_alloc_node
from memsim.mm.slub.free import slab_free
from memsim.mm.slub.kmem_cache import address_of
from memsim.mm.slub.slab import KmemCache, Random, SlabState
from memsim.mm.vmstat import zone_page_state_snapshot
from memsim.words.gfp import GFP_KERNEL
from memsim.words.mmzone import NR_FREE_PAGES
from memsim.words.slab import NUMA_NO_NODE

OBJECT_SIZE = 64
MAX_LIVE = 100_000


def s1_random(nr: int, seed: int = 46) -> array[int]:
    """Allocate with probability .6 below 100,000 live objects, else .4; or free one by chance."""
    live = Live(seed)
    while len(live.operations) < nr:
        likely = 0.6 if len(live.ids) < MAX_LIVE else 0.4
        if not live.ids or live.chance.random() < likely:
            live.alloc(0)
        else:
            live.free()
    return live.operations


#: The published workloads; an operation is one of bench/workloads.py, of order 0.
WORKLOADS = (
    Workload("S1", "published: 100,000 objects, freed at random", s1_random, 1_000_000,
             ZONE_PAGES, 2048),
    Workload("S2", "published: allocate, free", w3_pingpong, 2_000_000, ZONE_PAGES, 2048),
)  # fmt: skip


class Row(NamedTuple):
    """What all rounds of a workload gave. Speeds are million operations a CPU second."""

    name: str
    nr_operations: int
    hash: str
    slabs: int
    memsim: Spread
    twin: Spread | None
    ratio: Spread | None


def cache_of(machine: Machine, object_size: int) -> KmemCache:
    """A cache on a machine that has no other; not shuffled, and nothing of it in memory yet."""
    vm = machine.vm
    vm.slab = SlabState(Random(0))
    s = KmemCache(vm, "bench", object_size, calculate_alignment(0, 0, object_size), 0)
    error = do_kmem_cache_create(s, -1)
    assert not error
    s.random_seq = []
    return s


def drive(s: KmemCache, operations: array[int]) -> tuple[list[Object | None], float]:
    """Do the operations: (the object that each request got; CPU seconds)."""
    objects: list[Object | None] = []
    gc.disable()
    started = time.process_time()
    for v in operations:
        if v >= 0:
            objects.append(slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE))
        else:
            obj = objects[~v]
            if obj is not None:
                slab_free(s, obj[0], obj[1])
    seconds = time.process_time() - started
    gc.enable()
    return objects, seconds


def run(machine: Machine, s: KmemCache, operations: array[int]) -> Outcome:
    """memsim's Outcome, its hash over addresses."""
    objects, seconds = drive(s, operations)
    addresses = [NULL if obj is None else address_of(obj) for obj in objects]
    free_pages = zone_page_state_snapshot(machine.zone(), NR_FREE_PAGES)
    return outcome(addresses, free_pages, seconds)


def nr_slabs(s: KmemCache) -> int:
    """Slabs that the cache has."""
    return sum(n.nr_slabs for n in s.node if n is not None)


def one_round(
    workload: Workload, operations: array[int], program: Path | None, path: Path
) -> tuple[str, int, float, float | None]:
    """(hash, slabs at the end, memsim's seconds, the twin's), which must answer alike."""
    machine = model.boot(workload, pcp=True)
    s = cache_of(machine, OBJECT_SIZE)
    zone, cache = twin.limits(machine.zone()), twin.cache_limits(s)
    ours = run(machine, s, operations)
    theirs_seconds = None
    if program is not None:
        twin.write(path, zone, operations, cache)
        theirs = twin.run(program, path, TWIN_RUNS)
        same(f"{workload.name}: hash of memsim", ours.hash, theirs.outcome.hash)
        same(f"{workload.name}: failures of memsim", ours.failures, theirs.outcome.failures)
        same(f"{workload.name}: slabs of memsim", nr_slabs(s), theirs.slabs)
        same(f"{workload.name}: free pages", ours.free_pages, theirs.outcome.free_pages)
        theirs_seconds = spread(theirs.seconds).median
    return ours.hash, nr_slabs(s), ours.seconds, theirs_seconds


def measure(
    workload: Workload, operations: array[int], program: Path | None, folder: Path, rounds: int
) -> Row:
    """Every round, compared."""
    mine: list[float] = []
    both: list[tuple[float, float]] = []
    hashed, slabs = "", 0
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}: {workload.name}")
        path = folder / workload.name
        hashed, slabs, seconds, theirs = one_round(workload, operations, program, path)
        mine.append(seconds)
        both += [] if theirs is None else [(seconds, theirs)]
    return Row(
        workload.name, len(operations), hashed, slabs, _speeds(len(operations), mine),
        _speeds(len(operations), [theirs for _, theirs in both]) if both else None,
        spread(seconds / theirs for seconds, theirs in both) if both else None,
    )  # fmt: skip


def _speeds(nr: int, seconds: list[float]) -> Spread:
    return spread(nr / s / 1e6 for s in seconds)
