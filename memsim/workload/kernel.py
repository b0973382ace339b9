"""What all requesters of one machine share: the log, the caches, the clock of steps.

>>> from memsim.machine import Machine
>>> kernel = Kernel(Machine("64 MiB", slab=True, vmalloc=True))
>>> kernel.stop()
"""

from __future__ import annotations

from memsim.machine import Machine, Operation
from memsim.mm.mmzone import populated_zones
from memsim.mm.slub.slab import KmemCache
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.mmzone import NR_FREE_PAGES
from memsim.workload.caches import CACHES
from memsim.workload.request import Request

#: Pages without which no requester gets far; what the caches and the first process take.
LEAST_PAGES = 1024
#: Kernel: kernel/fork.c
NR_CACHED_STACKS = 2


class Kernel:
    """A machine with somebody on it who asks.

    BadRequest for a machine without slab, without vmalloc, or with too little free memory. The
    caches are made at once; stop() takes them away, when everybody has given back what they held.
    """

    def __init__(self, machine: Machine) -> None:
        check_machine(machine)
        self.machine = machine
        self.nr_free_at_start = free_pages(machine)
        self.log: list[Request] = []
        self.step = 0
        self.caches: dict[str, KmemCache] = {}
        #: Kernel: kernel/fork.c cached_stacks[], for each CPU; stacks.py uses them.
        self.cached_stacks: list[list[int | None]] = [
            [None] * NR_CACHED_STACKS for _ in range(machine.vm.nr_cpus)
        ]
        self._numbers: dict[str, int] = {}
        self._last: tuple[int, Operation | None] = (0, None)
        try:
            for cache in CACHES:
                self.caches[cache.name] = machine.kmem_cache_create(
                    cache.name, cache.object_size,
                    align=cache.align, flags=cache.flags, ctor=cache.ctor,
                )  # fmt: skip
        except PageAllocationFailure as failure:
            self.stop()
            raise BadRequest(f"no memory for a workload: {failure}") from None

    def next_number(self, kind: str) -> int:
        """1, 2, ... for each kind of requester; processes' numbers are their pids."""
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return self._numbers[kind]

    def mark(self) -> None:
        """Remember where the machine's history stands."""
        history = self.machine.history
        self._last = (len(history), history[-1] if history else None)

    def check_mark(self) -> None:
        """BadRequest when the machine was taken back since mark(): requesters cannot follow."""
        history = self.machine.history
        length, last = self._last
        if length and (len(history) < length or history[length - 1] is not last):
            raise BadRequest("the machine was undone beneath its workload: begin a new one")

    def stop(self) -> None:
        """Free the stacks that CPUs kept, and take the caches away."""
        for cpu, stacks in enumerate(self.cached_stacks):
            for i, address in enumerate(stacks):
                if address is not None:
                    self.machine.vfree(address, cpu=cpu)
                    stacks[i] = None
        for name in reversed(self.caches):
            self.machine.kmem_cache_destroy(self.caches[name])
        self.caches.clear()


def check_machine(machine: Machine) -> None:
    """BadRequest, one line, for a machine that no workload can run on."""
    if not isinstance(machine, Machine):
        raise BadRequest(f"machine={str(machine)[:40]!r}: should be a Machine")
    vm = machine.vm
    lacking = [name for name in ("slab", "vmalloc") if not hasattr(vm, name)]
    if lacking:
        needs = ", ".join(f"{name}=True" for name in lacking)
        raise BadRequest(f"a workload needs slab and vmalloc: boot the machine with {needs}")
    pages = free_pages(machine)
    if pages < LEAST_PAGES:
        raise BadRequest(f"{pages} pages are free: a workload needs {LEAST_PAGES} to begin")


def free_pages(machine: Machine) -> int:
    """Free pages of all zones, those on pcp lists not counted, with each CPU's drift."""
    total = 0
    for zone in populated_zones(machine.vm):
        total += zone.vm_stat[NR_FREE_PAGES]
        total += sum(stats.vm_stat_diff[NR_FREE_PAGES] for stats in zone.per_cpu_zonestats)
    return total
