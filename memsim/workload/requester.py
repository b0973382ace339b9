"""Requester: asks the machine, and writes down each request. Refusals are values: None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from memsim.lib.bits import PAGE_SIZE
from memsim.words.errors import PageAllocationFailure
from memsim.workload.kernel import Kernel
from memsim.workload.request import Path, Request


class Requester:
    """Somebody in the kernel who asks for memory, on one CPU.

    A subclass has `kind`; start() makes it ready, or returns False and holds nothing; step() does
    one thing that the seeded chance chooses; stop() gives everything back.
    """

    kind = "requester"

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.machine = kernel.machine
        self.number = kernel.next_number(self.kind)
        self.name = f"{self.kind} {self.number}"
        self.cpu = (self.number - 1) % self.machine.vm.nr_cpus

    def start(self) -> bool:
        """Take what is held from the beginning; True when there was memory for it."""
        return True

    def step(self, chance: Random) -> None:
        """Do one thing."""

    def stop(self) -> None:
        """Give everything back."""

    # Asking

    def alloc_pages(self, path: Path, gfp_mask: int, order: int = 0) -> int | None:
        """2**order pages: the first pfn."""
        return self._ask(
            path, "pages", gfp_mask, order, PAGE_SIZE << order,
            lambda: self.machine.alloc_pages(gfp_mask, order, cpu=self.cpu),
        )  # fmt: skip

    def alloc_pages_bulk(self, path: Path, gfp_mask: int, nr_pages: int) -> list[int]:
        """Up to nr_pages single pages: their pfns."""
        pfns = self.machine.alloc_pages_bulk(gfp_mask, nr_pages, cpu=self.cpu)
        first = pfns[0] if pfns else None
        self._write(path, "pages", gfp_mask, 0, PAGE_SIZE * len(pfns), first)
        return pfns

    def kmem_cache_alloc(self, path: Path, cache: str, gfp_mask: int) -> int | None:
        """An object of this cache: its address."""
        s = self.kernel.caches[cache]
        return self._ask(
            path, "slab", gfp_mask, -1, s.object_size,
            lambda: self.machine.kmem_cache_alloc(s, gfp_mask, cpu=self.cpu),
        )  # fmt: skip

    def kmem_cache_alloc_bulk(self, path: Path, cache: str, gfp_mask: int, nr: int) -> list[int]:
        """nr objects of this cache, or none: their addresses."""
        s = self.kernel.caches[cache]
        objects = self.machine.kmem_cache_alloc_bulk(s, nr, gfp_mask, cpu=self.cpu)
        first = objects[0] if objects else None
        self._write(path, "slab", gfp_mask, -1, s.object_size * nr, first)
        return objects

    def kmalloc(self, path: Path, size: int, gfp_mask: int) -> int | None:
        """size bytes: their address."""
        return self._ask(
            path, "kmalloc", gfp_mask, -1, size,
            lambda: self.machine.kmalloc(size, gfp_mask, cpu=self.cpu),
        )  # fmt: skip

    def vmalloc(self, path: Path, size: int, gfp_mask: int) -> int | None:
        """size bytes in single pages: their address."""
        return self._ask(
            path, "vmalloc", gfp_mask, -1, size,
            lambda: self.machine.vmalloc(size, gfp_mask, cpu=self.cpu),
        )  # fmt: skip

    # Giving back

    def free_pages(self, pfn: int, order: int = 0) -> None:
        """Free a block."""
        self.machine.free_pages(pfn, order, cpu=self.cpu)

    def free_folios(self, pfns: Sequence[int]) -> None:
        """Free blocks as one batch."""
        self.machine.free_folios(list(pfns), cpu=self.cpu)

    def kmem_cache_free(self, cache: str, address: int) -> None:
        """Free an object."""
        self.machine.kmem_cache_free(self.kernel.caches[cache], address, cpu=self.cpu)

    # Inside

    def _ask(
        self,
        path: Path,
        allocator: str,
        gfp_mask: int,
        order: int,
        size: int,
        call: Callable[[], int],
    ) -> int | None:
        result: int | None
        try:
            result = call()
        except PageAllocationFailure:
            result = None
        self._write(path, allocator, gfp_mask, order, size, result)
        return result

    def _write(
        self, path: Path, allocator: str, gfp_mask: int, order: int, size: int, result: int | None
    ) -> None:
        step = self.kernel.step
        request = Request(step, self.name, path, allocator, gfp_mask, order, size, result)
        self.kernel.log.append(request)
