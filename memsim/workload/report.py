"""A workload from beginning to end, for the command line: as text and for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from memsim.machine import Machine
from memsim.mm.mmzone import populated_zones
from memsim.mm.vmstat import nr_free_by_order
from memsim.workload.table import Row, as_text
from memsim.workload.workload import Workload

#: Free blocks by order, for each zone.
Buddyinfo = dict[str, list[int]]


class Outcome(NamedTuple):
    """What a run came to; free blocks before it, and after its last step."""

    name: str
    seed: int
    steps: int
    requests: int
    failures: int
    rows: list[Row]
    before: Buddyinfo
    after: Buddyinfo


def run_workload(
    name: str, ram: str, cpus: int, seed: int, steps: int,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:  # fmt: skip
    """Boot a machine, run the preset on it. BadDescription and BadRequest say what cannot be."""
    machine = Machine(ram, cpus=cpus, slab=True, vmalloc=True, seed=seed, steps=False)
    before = buddyinfo(machine)
    workload = Workload(machine, name, seed)
    workload.run(steps, progress)
    failures = sum(request.result is None for request in workload.log)
    counts = len(workload.log), failures
    return Outcome(name, seed, steps, *counts, workload.rows(), before, buddyinfo(machine))


def buddyinfo(machine: Machine) -> Buddyinfo:
    """Free blocks of each order, by node and zone, as /proc/buddyinfo names them."""
    return {
        f"Node {zone.node}, zone {zone.name}": nr_free_by_order(zone)
        for zone in populated_zones(machine.vm)
    }


def text_of(outcome: Outcome) -> str:
    """Requests by kind, failures, and free blocks before and after."""
    head = f"{outcome.name}, seed {outcome.seed}: {outcome.steps} steps, "
    head += f"{outcome.requests} requests, {outcome.failures} in vain"
    lines = [head, as_text(outcome.rows), "free blocks by order, before and after:"]
    for zone, nr_free in outcome.before.items():
        lines += [f"{zone:<20} {_numbers(each)}" for each in (nr_free, outcome.after[zone])]
    return "\n".join(lines)


def as_json(outcome: Outcome) -> dict[str, object]:
    """The same for programs."""
    return outcome._asdict() | {"rows": [row._asdict() for row in outcome.rows]}


def _numbers(nr_free: list[int]) -> str:
    return " ".join(f"{nr:6}" for nr in nr_free)
