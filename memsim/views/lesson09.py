"""What lesson 09 runs more than once: the path of a request, a story of two CPUs, counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from memsim.machine import Machine
from memsim.mm.slub.slab import KmemCache
from memsim.trace.steps import (
    CpuPartial,
    NewSlab,
    SlabAdd,
    SlabDel,
    SlabFreelist,
    SlabGone,
    Step,
)
from memsim.words.mmzone import NULL

FAST = "the lockless list"
#: What a request found, the slowest first: the step that only this path has.
ALLOC_PATHS: tuple[tuple[type, str], ...] = (
    (NewSlab, "a new slab"),
    (SlabDel, "the node's partial list"),
    (CpuPartial, "the CPU's partial list"),
    (SlabFreelist, "the slab's freelist"),
)
FREE_PATHS: tuple[tuple[type, str], ...] = (
    (SlabGone, "the slab goes back to the page allocator"),
    (SlabAdd, "the CPU's partial list, which moves to the node"),
    (CpuPartial, "the slab joins the CPU's partial list"),
    (SlabFreelist, "the slab's freelist"),
)


def alloc_path(steps: Iterable[Step]) -> str:
    """Where kmem_cache_alloc() found its object."""
    return _path(steps, ALLOC_PATHS)


def free_path(steps: Iterable[Step]) -> str:
    """How far kmem_cache_free() had to go."""
    return _path(steps, FREE_PATHS)


def _path(steps: Iterable[Step], paths: tuple[tuple[type, str], ...]) -> str:
    kinds = {type(step) for step in steps}
    return next((path for kind, path in paths if kind in kinds), FAST)


def moves_on_node(steps: Iterable[Step]) -> bool:
    """Did a slab join or leave a node's partial list, or go back to the page allocator?

    Kernel: mm/slub.c get_partial_node(), __put_partials(), __slab_free()
    """
    return any(isinstance(step, SlabAdd | SlabDel | SlabGone) for step in steps)


def empties_a_slab(steps: Iterable[Step]) -> bool:
    """Was this the free of the last object in use, of a slab that no CPU allocates from?

    Whoever does that takes list_lock before he looks whether the slab is on the node's list; not
    so for a slab of one object, which was full. Kernel: mm/slub.c __slab_free()
    """
    return any(
        isinstance(step, SlabFreelist)
        and step.old_freelist != NULL
        and not step.old_counters & 1  # frozen
        and step.new_counters == 0 < step.old_counters
        for step in steps
    )


class Counts:
    """How many requests and frees took which path, and how many of both took list_lock.

    Of the latter, why: emptied counts frees that emptied a slab, moved all others.
    """

    def __init__(self) -> None:
        self.allocs = dict.fromkeys([FAST, *(path for _, path in reversed(ALLOC_PATHS))], 0)
        self.frees = dict.fromkeys([FAST, *(path for _, path in reversed(FREE_PATHS))], 0)
        self.moved = 0
        self.emptied = 0

    @property
    def list_lock(self) -> int:
        """Operations that took list_lock."""
        return self.moved + self.emptied

    def count(self, paths: dict[str, int], path: str, steps: list[Step]) -> None:
        """One operation more, of a cache that is not debugged."""
        paths[path] += 1
        if empties_a_slab(steps):
            self.emptied += 1
        elif moves_on_node(steps):
            self.moved += 1


class Counted:
    """A cache on two CPUs, each of whose operations is counted and then forgotten."""

    def __init__(self, object_size: int = 64) -> None:
        self.machine = Machine("256 MiB", cpus=2, slab=True)
        self.cache: KmemCache = self.machine.kmem_cache_create("counted", object_size)
        self.counts = Counts()

    def alloc(self, cpu: int) -> int:
        """An object."""
        first = self.machine.history[-1].last_step
        address = self.machine.kmem_cache_alloc(self.cache, cpu=cpu)
        steps = self.machine.steps(first)
        self.counts.count(self.counts.allocs, alloc_path(steps), steps)
        return address

    def free(self, address: int, cpu: int) -> None:
        """An object back."""
        first = self.machine.history[-1].last_step
        self.machine.kmem_cache_free(self.cache, address, cpu=cpu)
        steps = self.machine.steps(first)
        self.counts.count(self.counts.frees, free_path(steps), steps)


def ping_pong(nr: int) -> Counts:
    """CPU 0 takes an object and gives it back, nr times."""
    counted = Counted()
    for _ in range(nr):
        counted.free(counted.alloc(0), 0)
    return counted.counts


def take(nr: int) -> Counts:
    """CPU 0 takes nr objects."""
    counted = Counted()
    for _ in range(nr):
        counted.alloc(0)
    return counted.counts


def pass_on(nr: int, under_way: int, object_size: int = 64) -> Counts:
    """CPU 0 takes objects, CPU 1 gives them back, with so many under way between them."""
    counted = Counted(object_size)
    queue: deque[int] = deque()
    for _ in range(nr):
        queue.append(counted.alloc(0))
        if len(queue) > under_way:
            counted.free(queue.popleft(), 1)
    return counted.counts


WORKLOADS: dict[str, Callable[[int], Counts]] = {
    "one CPU, take and give": ping_pong,
    "one CPU, take": take,
    "CPU 0 takes, CPU 1 gives": lambda nr: pass_on(nr, 1000),
}
