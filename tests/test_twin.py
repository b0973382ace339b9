"""memsim and its twin in C answer alike: two programs, one algorithm, the same pfns."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from bench import model, twin
from bench.dict_buddy import DictBuddy
from bench.drive import Outcome, drive, pfn_hash
from bench.workloads import WORKLOADS, Live, Workload
from memsim import Machine
from memsim.words.mmzone import ZONE_BELOW_HIGH

SEEDS = range(12)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if twin.compiler() is None:
        pytest.skip("no C compiler: the twin cannot be built")
    return twin.build(tmp_path_factory.mktemp("twin"))


def pressure(nr: int, seed: int, nr_pages: int) -> array[int]:
    """Waves: the zone runs full, then half empty, and the next wave is another requester's."""
    live = Live(seed)
    filling, wave = True, 0
    while len(live.operations) < nr:
        still = live.pages < nr_pages * 1.1 if filling else live.pages < nr_pages * 0.5
        wave += still and not filling
        filling = still
        if not live.ids or live.chance.random() < (0.8 if filling else 0.2):
            order = 10 if live.chance.random() < 0.01 else live.order()
            live.alloc(order, live.chance.choice((0, 1, 2, wave % 3, wave % 3)))
        else:
            live.free()
    return live.operations


def pressed(nr_pages: int, min_free_kbytes: int) -> Workload:
    """A zone of this size; its operations come from pressure()."""
    return Workload("pressure", "", lambda nr: array("i"), 0, nr_pages, min_free_kbytes)


def both(
    program: Path, folder: Path, machine: Machine, operations: array[int]
) -> tuple[Outcome, twin.TwinOutcome]:
    """The outcomes, which must not differ but in their seconds, nor the machine's blocks."""
    twin.write(folder / "operations", twin.limits(machine.zone()), operations)
    theirs = twin.run(program, folder / "operations")
    ours = model.run(machine, operations)
    assert ours._replace(seconds=0) == theirs.outcome._replace(seconds=0)
    assert machine.nr_free() == theirs.nr_free
    machine.validate()
    return ours, theirs


@pytest.mark.parametrize("pcp", [False, True], ids=["no pcp", "pcp"])
@pytest.mark.parametrize("workload", WORKLOADS, ids=[w.name for w in WORKLOADS])
def test_the_twin_gives_the_same_pfns(
    program: Path, tmp_path: Path, workload: Workload, pcp: bool
) -> None:
    machine = model.boot(workload, pcp=pcp)
    _, theirs = both(program, tmp_path, machine, workload.generate(20_000))
    assert (theirs.extfrag > 0) == (workload.name == "mixed")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_twin_gives_the_same_pfns_under_pressure(
    program: Path, tmp_path: Path, seed: int
) -> None:
    nr_pages = (700, 4096, 5000, 20_000)[seed % 4]
    machine = model.boot(pressed(nr_pages, (0, 600)[seed % 2]), pcp=seed % 3 > 0)
    ours, theirs = both(program, tmp_path, machine, pressure(12_000, seed, nr_pages))
    assert ours.failures > 0
    assert theirs.extfrag > 0


def test_pressure_reaches_what_the_twin_models() -> None:
    """A zone marked below high, and boosted watermarks."""
    machine = model.boot(pressed(20_000, 600), pcp=True)
    zone = machine.zone()
    alloc, free = model.functions(machine, "functions")
    below_high, boosts = set(), set()

    def watched(gfp_mask: int, order: int, nid: int) -> int:
        below_high.add(zone.flags & ZONE_BELOW_HIGH)
        boosts.add(zone.watermark_boost)
        return alloc(gfp_mask, order, nid)

    drive(pressure(12_000, 7, 20_000), watched, free)
    assert below_high == {0, ZONE_BELOW_HIGH}
    assert max(boosts) > min(boosts) == 0


def test_another_answer_is_another_hash(program: Path, tmp_path: Path) -> None:
    """Without the tail rule the twin's hash differs: the comparison can fail."""
    workload = WORKLOADS[0]
    machine = model.boot(workload, pcp=False)
    operations = workload.generate(20_000)
    twin.write(tmp_path / "plain", twin.limits(machine.zone(), tail_rule=False), operations)
    plain = twin.run(program, tmp_path / "plain").outcome
    assert plain.hash != model.run(machine, operations).hash


@pytest.mark.parametrize("name", ["W1", "W2", "W3"])
def test_the_dict_buddy_is_the_twin_without_tail_rule(
    program: Path, tmp_path: Path, name: str
) -> None:
    workload = next(w for w in WORKLOADS if w.name == name)
    operations = workload.generate(20_000)
    limits = twin.limits(model.boot(workload, pcp=False).zone(), tail_rule=False)
    twin.write(tmp_path / "plain", limits, operations)
    plain = twin.run(program, tmp_path / "plain").outcome
    buddy = DictBuddy(workload.nr_pages)
    pfns, _ = drive(operations, buddy.alloc, buddy.free)
    assert pfn_hash(pfns) == plain.hash
    assert buddy.nr_free_pages() == plain.free_pages
