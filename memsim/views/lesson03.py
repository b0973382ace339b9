"""What lesson 03 runs more than once: small machines with pcp lists, and what the work costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from memsim.machine import Machine
from memsim.proc.buddyinfo import parse_buddyinfo
from memsim.proc.pagetypeinfo_parse import parse_pagetypeinfo
from memsim.proc.zoneinfo import ZoneinfoZone
from memsim.proc.zoneinfo_parse import parse_zoneinfo
from memsim.trace.steps import ListAdd, ListDel, Merge, Split, Step
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE

#: Pages of the machines that are measured: room for 1,000 of them and their lists.
NR_PAGES = 4096


class Trip(NamedTuple):
    """zone->lock taken once: by which operation, counted from 0, and for how many blocks."""

    operation: int
    blocks: int


class Work(NamedTuple):
    """What a number of operations cost."""

    operations: int
    splits: int
    merges: int
    trips: list[Trip]

    def __str__(self) -> str:
        trips = "1 trip" if len(self.trips) == 1 else f"{len(self.trips)} trips"
        return (
            f"{self.operations} operations, {trips} to zone->lock, {self.splits} splits, "
            f"{self.merges} merges"
        )


def with_pcp(batch: int, nr_pages: int = NR_PAGES, cpus: int = 1) -> Machine:
    """A machine of free pages whose CPUs keep some: batch pages at a time, up to 4 * batch."""
    machine = Machine.of_pages(nr_pages, cpus=cpus, pcp=True)
    machine.pageset_update(batch, 4 * batch, 4 * batch)
    return machine


def without_pcp(nr_pages: int = NR_PAGES) -> Machine:
    """A machine of free pages whose CPUs keep none."""
    return Machine.of_pages(nr_pages)


def ping_pong(machine: Machine, rounds: int) -> None:
    """One page is taken and given back, again and again."""
    for _ in range(rounds):
        machine.free_pages(machine.alloc_pages(GFP_HIGHUSER_MOVABLE))


def take(machine: Machine, nr_pages: int) -> list[int]:
    """Pages one by one: their pfns."""
    return [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(nr_pages)]


def take_and_give(machine: Machine, nr_pages: int) -> None:
    """Pages one by one, then all of them back, in the order in which they came."""
    for pfn in take(machine, nr_pages):
        machine.free_pages(pfn)


def work_of(machine: Machine, run: Callable[[Machine], object]) -> Work:
    """What a run costs. Each operation that moves blocks on free lists takes zone->lock once.

    So it is for single pages: rmqueue_bulk() and free_pcppages_bulk() hold it for a whole batch.
    """
    with machine.recording() as recording:
        run(machine)
    steps, trips = recording.steps, []
    for number, operation in enumerate(recording.operations):
        blocks = _blocks_moved(steps[operation.first_step : operation.last_step])
        if blocks:
            trips.append(Trip(number, blocks))
    splits = sum(isinstance(step, Split) for step in steps)
    merges = sum(isinstance(step, Merge) for step in steps)
    return Work(len(recording.operations), splits, merges, trips)


def _blocks_moved(steps: Sequence[Step]) -> int:
    """How many blocks went between free lists and a pcp list in one operation; 0: none.

    A refill adds each block to the pcp list, a drain takes each off; one of them is the
    request's own, which does not pass the free lists.
    """
    if not any(_is_move(step, "free_area") for step in steps):
        return 0
    adds = sum(isinstance(step, ListAdd) and _is_move(step, "pcp") for step in steps)
    dels = sum(isinstance(step, ListDel) and _is_move(step, "pcp") for step in steps)
    return max(adds, dels)


def _is_move(step: Step, where: str) -> bool:
    return isinstance(step, ListAdd | ListDel) and step.list.where == where


def pcp_history(machine: Machine, zone: str) -> dict[str, list[int]]:
    """pcp->count and pcp->high of CPU 0 while it works, after each 1,000 pages or worker's round.

    It takes 8,000 pages, gives them back, and rests for 12 rounds of its vmstat worker.
    """
    pcp = machine.zone(zone).per_cpu_pageset[0]
    history: dict[str, list[int]] = {"count": [pcp.count], "high": [pcp.high]}
    pfns: list[int] = []
    for chapter in range(8 + 8 + 12):
        if chapter < 8:
            pfns += take(machine, 1000)
        elif chapter < 16:
            for pfn in pfns[(chapter - 8) * 1000 : (chapter - 7) * 1000]:
                machine.free_pages(pfn)
        else:
            machine.vmstat_update()
        history["count"].append(pcp.count)
        history["high"].append(pcp.high)
    return history


def blocks_by_type(pagetypeinfo: str, buddyinfo: str) -> dict[str, list[int]]:
    """Free blocks of the last zone by order: of each migratetype, then those of buddyinfo."""
    free = parse_pagetypeinfo(pagetypeinfo)[0].zones[-1].free
    rows = {migratetype: list(row.nr_free) for migratetype, row in free.items()}
    return {**rows, "buddyinfo": list(parse_buddyinfo(buddyinfo)[-1].nr_free)}


def zone_of(zoneinfo: str, name: str) -> ZoneinfoZone:
    """What /proc/zoneinfo says of the first zone of this name."""
    return next(zone for zone in parse_zoneinfo(zoneinfo) if zone.zone == name)
