"""Traces of several CPUs, nodes and interrupts, of a kernel whose answers are known."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass

import pytest
from smp_kernel import MASK, SmpKernel, boot, zones_by_address

from memsim.mm.restore import restore
from memsim.mm.snapshot import Snapshot, take_snapshot
from memsim.replay import run
from memsim.replay.order import lock_order
from memsim.replay.pages.compare import Comparison, compare_end
from memsim.replay.rows.fates import settle_frees
from memsim.replay.rows.inputs import Rows
from memsim.replay.rows.reader import read_rows
from memsim.replay.run import Replay
from memsim.trace.trace import Trace

MIB_128 = ["128 MiB"]
THREE_NODES = ["256 MiB", "256 MiB", "128 MiB"]
#: RAM, CPUs, and how likely it is that an interrupt comes at a time where one may.
MACHINES = [
    (MIB_128, 1, 0.002),
    (MIB_128, 2, 0.0),
    (MIB_128, 2, 0.002),
    (THREE_NODES, 4, 0.0),
    (THREE_NODES, 4, 0.002),
]


@dataclass
class Recorded:
    """A kernel at work between two snapshots."""

    kernel: SmpKernel
    start: Snapshot
    end: Snapshot


def record(
    ram: list[str], cpus: int, interrupts: float, seed: int, *, apn: bool = False, nr: int = 400
) -> Recorded:
    vm = boot(ram, cpus)
    earlier = SmpKernel(vm, seed + 1000, interrupts=0)
    earlier.run(nr // 2)
    kernel = SmpKernel(vm, seed, apn=apn, interrupts=interrupts)
    kernel.pool = earlier.pool
    start = take_snapshot(vm)
    kernel.run(nr)
    return Recorded(kernel, start, take_snapshot(vm))


def replayed(recorded: Recorded) -> tuple[Replay, Comparison]:
    lines = recorded.kernel.lines
    per_cpu = Counter(int(line[line.index("[") + 1 :][:3]) for line in lines)
    nr_cpus = recorded.kernel.vm.nr_cpus
    window = ([0] * nr_cpus, [per_cpu[cpu] for cpu in range(nr_cpus)])
    rows = read_rows([[line.rstrip("\n") for line in lines]], window, 0, "trace", {})
    vm = restore(recorded.start, Trace(mask=MASK))
    settle_frees(rows, vm.max_pfn)
    replay = Replay(vm, rows, zones_by_address(vm), {}, "trace")
    for _ in replay.run():
        pass
    return replay, compare_end(vm, recorded.end)


def is_exact(recorded: Recorded) -> bool:
    replay, comparison = replayed(recorded)
    counts = [(s.equal, s.total) for s in replay.tracepoints.streams.values()]
    counts += [(tally.equal, tally.total) for tally in comparison.tallies().values()]
    counts.append((replay.result.exact, replay.result.requests))
    return all(equal == total for equal, total in counts)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("ram", "cpus", "interrupts"), MACHINES)
def test_every_answer_is_found_again(
    ram: list[str], cpus: int, interrupts: float, seed: int
) -> None:
    """Requests, lists in their order, counters and tracepoints; with and without probe `apn`."""
    recorded = record(ram, cpus, interrupts, seed, apn=seed == 1)
    assert recorded.kernel.counts["mm_page_alloc"] > 1000
    assert recorded.kernel.counts["mm_page_pcpu_drain"] > 100
    assert is_exact(recorded)


def test_what_is_rare_was_there() -> None:
    """Of everything that takes a rule of its own, the machines above have some."""
    counts: Counter[str] = Counter()
    for ram, cpus, interrupts in MACHINES:
        counts.update(record(ram, cpus, interrupts, 0).kernel.counts)
    for rare in ("bulk", "decay", "drain_pages", "direct", "mm_page_free_batched", "locked out"):
        assert counts[rare] > 50, rare


@pytest.mark.parametrize(
    ("rule", "machine", "seed"),
    [
        ("order_interrupted", 2, 0),
        ("order_before_remote_drains", 1, 1),
        ("find_locked_out", 1, 1),
        ("_order_by_zone_lock", 1, 0),
    ],
)
def test_without_one_of_the_rules_answers_are_missed(
    rule: str, machine: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_order, rule, lambda rows, *_: bytearray(len(rows)))
    assert not is_exact(record(*MACHINES[machine], seed))


def test_refills_and_drains_in_one_piece_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk requests and drains let other CPUs have zone->lock between their parts."""
    runs_of_holds = run.runs_of_holds

    def whole(rows: Rows) -> array[int]:
        return array("i", (nr and 1 << 20 for nr in runs_of_holds(rows)))

    monkeypatch.setattr(run, "runs_of_holds", whole)
    assert not all(is_exact(record(MIB_128, 2, 0.0, seed)) for seed in range(4))
