"""memsim, its twin in C and the dict buddy, in turn: first that they answer right, then how fast.

Every run is compared, in every round: another answer is never timed.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import NamedTuple

from bench import model, twin
from bench.dict_buddy import DictBuddy
from bench.drive import Outcome, drive, outcome
from bench.figures import Spread, spread, tell
from bench.workloads import WORKLOADS, Workload

#: Runs of the twin in each round: it is done so soon that one would be mostly noise.
TWIN_RUNS = 5

#: Hashes that other allocators gave too: no pcp, one zone of 2**20 pages, one migratetype.
#: With the kernel's tail rule, the first blocks ascending from the head of their list.
TAIL_RULE = {"W1": "5fbf00c7385d739c", "W2": "dede7d4c4762dfc5", "W3": "ed0fae7324e709a5"}
#: Plain LIFO lists, the highest of the first blocks at the head.
LIFO = {"W1": "22a2e9412cc114e6", "W2": "093b02d33e902fc5", "W3": "5925847117fe09a5"}


class WrongAnswer(Exception):
    """Two allocators disagree that must not, or one with what is published."""


class Case(NamedTuple):
    """A workload's operations, with or without pcp lists, and the file that the twin reads."""

    workload: Workload
    pcp: bool
    operations: array[int]
    path: Path

    @property
    def name(self) -> str:
        return f"{self.workload.name}, {'pcp' if self.pcp else 'no pcp'}"


class Timed(NamedTuple):
    """CPU seconds of one round; None for the twin where there is no compiler."""

    memsim: float
    dict_buddy: float
    twin: float | None


class Row(NamedTuple):
    """What all rounds of a case gave. Speeds are million operations a CPU second."""

    name: str
    pcp: bool
    nr_operations: int
    hash: str
    failures: int
    extfrag: int | None
    memsim: Spread
    dict_buddy: Spread
    twin: Spread | None
    ratio: Spread | None


def cases(folder: Path, divisor: int) -> list[Case]:
    """Every workload without and with pcp lists, its operations cut to 1 / divisor."""
    made = []
    for workload in WORKLOADS:
        tell(f"{workload.name}: making its operations")
        operations = workload.generate(workload.nr_operations // divisor)
        for pcp in (False, True):
            path = folder / f"{workload.name}{'-pcp' if pcp else ''}"
            zone = model.boot(workload, pcp=pcp).zone()
            twin.write(path, twin.limits(zone), operations)
            made.append(Case(workload, pcp, operations, path))
    return made


def check_published(program: Path, folder: Path) -> None:
    """W1, W2 and W3 whole, with the twin and, for LIFO lists, with the dict buddy.

    memsim's own hashes are compared with the twin's, case by case.
    """
    for workload in (w for w in WORKLOADS if w.name in TAIL_RULE):
        tell(f"{workload.name}: the published hashes")
        operations = workload.generate(workload.nr_operations)
        zone = model.boot(workload, pcp=False).zone()
        for tail_rule, published in ((True, TAIL_RULE), (False, LIFO)):
            twin.write(folder / "published", twin.limits(zone, tail_rule=tail_rule), operations)
            found = twin.run(program, folder / "published").outcome.hash
            same(f"{workload.name}, the twin", found, published[workload.name])
        found = run_dict_buddy(workload, operations).hash
        same(f"{workload.name}, the dict buddy", found, LIFO[workload.name])


def same(what: str, found: object, expected: object) -> None:
    """WrongAnswer unless what was found is what is expected."""
    if found != expected:
        raise WrongAnswer(f"{what}: {found}, should be {expected}")


def run_dict_buddy(workload: Workload, operations: array[int]) -> Outcome:
    """The operations, done by the dict buddy."""
    buddy = DictBuddy(workload.nr_pages)
    pfns, seconds = drive(operations, buddy.alloc, buddy.free)
    return outcome(pfns, buddy.nr_free_pages(), seconds)


def one_round(case: Case, program: Path | None) -> tuple[Outcome, int | None, Timed]:
    """memsim, the twin and the dict buddy, once each: (the outcome, fallbacks, seconds)."""
    machine = model.boot(case.workload, pcp=case.pcp)
    ours = model.run(machine, case.operations)
    if not case.pcp and case.workload.nr_operations == len(case.operations):
        name = case.workload.name
        same(f"{name}, memsim", ours.hash, TAIL_RULE.get(name, ours.hash))
    extfrag, twin_seconds = None, None
    if program is not None:
        theirs = twin.run(program, case.path, TWIN_RUNS)
        pairs = zip(ours._fields, ours, theirs.outcome, strict=True)
        for field, mine, twins in list(pairs)[:3]:
            same(f"{case.name}: {field} of memsim", mine, twins)
        extfrag, twin_seconds = theirs.extfrag, spread(theirs.seconds).median
    buddy = run_dict_buddy(case.workload, case.operations)
    return ours, extfrag, Timed(ours.seconds, buddy.seconds, twin_seconds)


def compare(all_cases: list[Case], program: Path | None, rounds: int) -> list[Row]:
    """All cases in each round, so that a noisy minute spoils no case's median."""
    answers: dict[str, tuple[Outcome, int | None]] = {}
    timed: dict[str, list[Timed]] = {case.name: [] for case in all_cases}
    for number in range(rounds):
        for case in all_cases:
            tell(f"round {number + 1} of {rounds}: {case.name}")
            ours, extfrag, seconds = one_round(case, program)
            answers[case.name] = ours, extfrag
            timed[case.name].append(seconds)
    return [_row(case, *answers[case.name], timed[case.name]) for case in all_cases]


def _row(case: Case, ours: Outcome, extfrag: int | None, timed: list[Timed]) -> Row:
    nr = len(case.operations)
    twin_seconds = [(t.memsim, t.twin) for t in timed if t.twin is not None]
    return Row(
        case.workload.name, case.pcp, nr, ours.hash, ours.failures, extfrag,
        spread(nr / t.memsim / 1e6 for t in timed),
        spread(nr / t.dict_buddy / 1e6 for t in timed),
        spread(nr / theirs / 1e6 for _, theirs in twin_seconds) if twin_seconds else None,
        spread(mine / theirs for mine, theirs in twin_seconds) if twin_seconds else None,
    )  # fmt: skip
