"""Machines whose pages can move, for the tests of compaction, migration and CMA."""

from __future__ import annotations

from memsim import Machine
from memsim.machine.pages import Pages
from memsim.mm.compaction.kcompactd import kcompactd_run
from memsim.mm.compaction.pressure import ReclaimAndCompaction
from memsim.mm.folio import reclaim_init

#: Pages before the one zone of a movable machine.
START = 4096


def movable_machine(nr_pages: int, *, start_pfn: int = START, cpus: int = 1) -> Machine:
    """One zone, all free, no watermarks, no pcp lists; compaction helps requests."""
    machine = Machine.of_pages(nr_pages, start_pfn=start_pfn, cpus=cpus)
    reclaim_init(machine.vm)
    kcompactd_run(machine.vm)
    machine.vm.pressure = ReclaimAndCompaction(machine.vm)
    return machine


def fill(machine: Machine, nr_pages: int) -> tuple[Pages, dict[int, int]]:
    """An anonymous region of nr_pages, all touched and on LRU lists: it, and its index by pfn."""
    region = machine.mmap("region", nr_pages << 12)
    indexes = {machine.touch(region, index): index for index in range(nr_pages)}
    machine.lru_add_drain_all()
    return region, indexes


def every_second(nr_pages: int, *, start_pfn: int = START) -> tuple[Machine, Pages, dict[int, int]]:
    """A machine full of movable pages, of which every odd one is left, in ascending order."""
    machine = movable_machine(nr_pages, start_pfn=start_pfn)
    region, indexes = fill(machine, nr_pages)
    for pfn in range(start_pfn, start_pfn + nr_pages, 2):
        machine.drop(region, indexes.pop(pfn))
    return machine, region, indexes


def told(machine: Machine, since: int, *names: str) -> list[str]:
    """`name: text` of the events since then whose name begins with one of these."""
    return [
        f"{traced.event.NAME}: {traced.event.text()}"
        for traced in machine.events(since)
        if traced.event.NAME.startswith(names)
    ]
