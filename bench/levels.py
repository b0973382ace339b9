"""What it costs memsim to tell: kernel events, the checks of Machine, the journal of steps."""

from __future__ import annotations

from typing import NamedTuple

from bench import model
from bench.compare import Case, WrongAnswer
from bench.figures import Spread, spread, tell

#: The journal holds every step of a run; so many operations stay within some 100 MB.
MAX_OPERATIONS = 20_000


class LevelRow(NamedTuple):
    """CPU microseconds an operation of a case at each level of model.LEVELS."""

    name: str
    microseconds: dict[str, Spread]


def measure(case: Case, rounds: int) -> LevelRow:
    """Every level in each round; they must give the same pfns."""
    operations = case.operations[:MAX_OPERATIONS]
    found: dict[str, list[float]] = {level: [] for level in model.LEVELS}
    hashes = set()
    for number in range(rounds):
        for level, figures in found.items():
            tell(f"round {number + 1} of {rounds}: {case.name}, {level}")
            machine = model.boot(case.workload, pcp=case.pcp, level=level)
            outcome = model.run(machine, operations, level)
            hashes.add(outcome.hash)
            figures.append(outcome.seconds / len(operations) * 1e6)
    if len(hashes) > 1:
        raise WrongAnswer(f"{case.name}: the pfns differ between levels")
    return LevelRow(case.name, {level: spread(figures) for level, figures in found.items()})
