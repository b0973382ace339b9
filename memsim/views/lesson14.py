"""What lesson 14 runs more than once: where memory went at boot, and the moment of handing over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from memsim.lib.bits import PAGE_SHIFT, nr_pages_of
from memsim.machine import Machine
from memsim.machine.pages import Pages
from memsim.mm.cma_area import Cma
from memsim.mm.description import of_pages
from memsim.mm.e820 import E820_TYPE_NAMES, E820Entry
from memsim.mm.layout import Range
from memsim.mm.mm_init import memblock_free_all
from memsim.mm.mmzone import page_zone, populated_zones
from memsim.mm.setup_arch import Boot
from memsim.mm.vmstat import zone_page_state
from memsim.proc.dmesg import parse_firmware
from memsim.trace.compaction_events import CmaAllocBusyRetry
from memsim.trace.trace import Trace
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE
from memsim.words.mmzone import NR_FREE_CMA_PAGES, NR_FREE_PAGES

#: How what boot takes is summed up: by the beginning of its name. What is not here is small.
SORTS = {
    "the first": "the first MiB",
    "kernel image": "kernel image",
    "initrd": "initrd",
    "memmap": "struct pages",
    "percpu": "percpu areas",
    "hash": "hash tables",
    "swiotlb": "swiotlb",
}
SMALL = "other"


def e820_text(entries: Iterable[E820Entry]) -> str:
    """A table, a line for each range: first and last byte, KiB, type."""
    return "\n".join(
        f"{e.start:#14x} to {e.end - 1:#14x} {(e.end - e.start) >> 10:11,} KiB "
        f"{E820_TYPE_NAMES.get(e.type, f'type {e.type}')}"
        for e in entries
    )


def booted(log: Path, cpus: int = 1) -> tuple[Machine, Boot]:
    """A machine booted with the firmware that a recorded log tells of, and how it booted."""
    firmware = parse_firmware(log.read_text(encoding="utf-8"))
    return Machine.from_firmware(firmware, cpus=cpus, steps=False)


def taken_pages(early: Boot) -> dict[str, int]:
    """Pages of RAM that boot has taken, by what for; each counts once, for who had it first."""
    ram = _pages((start, end) for _, start, end in early.ram())
    sums = dict.fromkeys([*SORTS.values(), SMALL], 0)
    for what, start, end in early.taken:
        own = _pages([(start >> PAGE_SHIFT, nr_pages_of(end))]) & ram
        ram -= own
        sums[_sort_of(what)] += len(own)
    return sums


def two_boots(data: Path) -> dict[str, dict[str, int]]:
    """What boot has taken on two recorded machines, by the name of the machine."""
    logs = {"800 MiB": ("boot_two_zones.txt", 1), "5 GiB, two nodes": ("boot_mixed_numa.txt", 2)}
    return {name: taken_pages(booted(data / log, cpus)[1]) for name, (log, cpus) in logs.items()}


def _sort_of(what: str) -> str:
    return next((sort for head, sort in SORTS.items() if what.startswith(head)), SMALL)


def _pages(ranges: Iterable[Range]) -> set[int]:
    return {pfn for start, end in ranges for pfn in range(start, end)}


class Told(NamedTuple):
    """What the log's line "Memory:" says, in pages: all RAM, and what of it is in use."""

    present: int
    reserved: int


def told_memory(log: str) -> Told:
    """That line of a log. Kernel: mm/mm_init.c mem_init_print_info()."""
    found = re.search(r"Memory: \d+K/(\d+)K available \(.* (\d+)K reserved", log)
    if not found:
        raise ValueError('the log has no line "Memory:"')
    return Told(int(found[1]) >> 2, int(found[2]) >> 2)


def freed_lines(log: str) -> dict[str, int]:
    """What the log says was freed when boot was over, in pages: "Freeing … memory: …K"."""
    found = re.findall(r"Freeing (.+?) memory: (\d+)K$", log, re.MULTILINE)
    return {what: int(kib) >> 2 for what, kib in found}


class HandingOver(Machine):
    """A machine of one zone whose pages nobody has given to the buddy allocator yet."""

    def __init__(self, nr_pages: int = 64) -> None:
        self._adopt(of_pages(nr_pages, 0, 1, False, True, Trace(mask=0), []), 0, True)

    def memblock_free_all(self, free_ranges: list[Range]) -> None:
        """All that nobody has taken, in steps. Kernel: mm/memblock.c memblock_free_all()."""
        self._do("memblock_free_all()", 0, lambda: memblock_free_all(self.vm, free_ranges))


def node_of(machine: Machine, pfn: int) -> int:
    """The NUMA node of a page."""
    zone = page_zone(machine.vm, pfn)
    assert zone is not None
    return zone.node


class Refused(NamedTuple):
    """Pages that a request got until it was refused, and what was free then; of it, CMA's."""

    got: int
    free: int
    free_cma: int

    def __str__(self) -> str:
        return f"{self.got:,} pages; then refused with {self.free:,} free, {self.free_cma:,} CMA's"


def ask_until_refused(machine: Machine, gfp_mask: int, order: int = 0) -> Refused:
    """Ask again and again, until the kernel would log a failure."""
    got = 0
    try:
        while True:
            machine.alloc_pages(gfp_mask, order)
            got += 1 << order
    except PageAllocationFailure:
        return Refused(got, free_pages(machine), free_cma(machine))


def free_pages(machine: Machine) -> int:
    """Free pages of all zones; those on CPUs' lists do not count."""
    return _sum(machine, NR_FREE_PAGES)


def free_cma(machine: Machine) -> int:
    """Free pages that are CMA's."""
    return _sum(machine, NR_FREE_CMA_PAGES)


def _sum(machine: Machine, item: int) -> int:
    return sum(zone_page_state(zone, item) for zone in populated_zones(machine.vm))


class Levels(NamedTuple):
    """Free pages outside of CMA and inside, in MiB, before the first request and after each."""

    outside: list[int]
    inside: list[int]


def lend(machine: Machine, gfp_mask: int, times: int) -> Levels:
    """Ask so many times for 16 MiB, page by page, and look at what is free."""
    levels = Levels([], [])
    for time in range(times + 1):
        if time:
            machine.alloc_pages_bulk(gfp_mask, 16 << 8)
        inside = free_cma(machine)
        levels.outside.append(free_pages(machine) - inside >> 8)
        levels.inside.append(inside >> 8)
    return levels


class Lent(NamedTuple):
    """A small machine whose CMA area a program has borrowed: the region's pages by index."""

    machine: Machine
    area: Cma
    region: Pages

    def inside(self) -> int:
        """Pages of the region that are in the area."""
        return sum(self.area.base_pfn <= pfn < self._end for pfn in self.pages().values())

    def pages(self) -> dict[int, int]:
        """The region's pages: pfn by index."""
        return dict(self.machine.vm.folios.mappings[self.region.id].i_pages)

    @property
    def _end(self) -> int:
        return self.area.base_pfn + self.area.count


def borrowed(pinned: int | None = None) -> Lent:
    """32 MiB, of it 8 CMA's, in which a program has pages; there is room elsewhere.

    pinned: somebody who cannot be asked to move keeps this page of the area, by its number in it.
    """
    machine = Machine("32 MiB", cma="8 MiB", reclaim=True, pcp=False, steps=False)
    area = machine.vm.cma_areas[0]
    if pinned is not None:
        _keep(machine, area.base_pfn + pinned)
    region = machine.mmap("program", "64 MiB")
    for index in range(6000):
        machine.touch(region, index)
    for index in range(0, 4000, 2):
        machine.drop(region, index)
    return Lent(machine, area, region)


def _keep(machine: Machine, page: int) -> None:
    """Take movable pages until there are no more, and give back all but one."""
    pages = []
    with suppress(PageAllocationFailure):
        while True:
            pages.append(machine.alloc_pages(GFP_HIGHUSER_MOVABLE))
    for pfn in pages:
        if pfn != page:
            machine.free_pages(pfn)


def take_back(lent: Lent, nr_pages: int, align: int) -> str:
    """cma_alloc(): how many pages were borrowed, what it got, and which ranges were busy."""
    before, inside = lent.pages(), lent.inside()
    since = lent.machine.vm.trace.ring.written
    pfn = lent.machine.cma_alloc(nr_pages, align)
    moved = sum(lent.pages().get(index) != old for index, old in before.items())
    busy = sum(isinstance(traced.event, CmaAllocBusyRetry) for traced in lent.machine.events(since))
    return (
        f"{inside:,} of {lent.area.count:,} pages are lent; cma_alloc({nr_pages}) gets page "
        f"{pfn - lent.area.base_pfn} of the area; {moved:,} pages moved, {busy} range"
        f"{'' if busy == 1 else 's'} busy"
    )
