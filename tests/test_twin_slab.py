"""memsim's slab allocator and its twin in C answer alike: the same addresses, the same slabs."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from test_twin import pressed

from bench import model, slab, twin
from bench.compare import WrongAnswer
from bench.report import of_slab
from bench.workloads import Live
from memsim.mm.slub import partial
from memsim.mm.slub.validate import validate_caches


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if twin.compiler() is None:
        pytest.skip("no C compiler: the twin cannot be built")
    return twin.build(tmp_path_factory.mktemp("twin"))


def waves(nr: int, seed: int, most: int) -> array[int]:
    """Objects come and go in waves: slabs fill up, run empty, and are given back."""
    live = Live(seed)
    filling = True
    while len(live.operations) < nr:
        filling = len(live.ids) < (most if filling else most // 8)
        if not live.ids or live.chance.random() < (0.75 if filling else 0.15):
            live.alloc(0)
        else:
            live.free()
    return live.operations


def both(
    program: Path, folder: Path, operations: array[int], size: int, nr_pages: int
) -> tuple[twin.TwinOutcome, int]:
    """The twin's outcome, memsim's being the same, and the failed requests."""
    machine = model.boot(pressed(nr_pages, 0), pcp=True)
    s = slab.cache_of(machine, size)
    path = folder / "operations"
    twin.write(path, twin.limits(machine.zone()), operations, twin.cache_limits(s))
    theirs = twin.run(program, path)
    ours = slab.run(machine, s, operations)
    assert ours._replace(seconds=0) == theirs.outcome._replace(seconds=0)
    assert slab.nr_slabs(s) == theirs.slabs
    assert machine.nr_free() == theirs.nr_free
    validate_caches(machine.vm)
    machine.validate()
    return theirs, ours.failures


@pytest.mark.parametrize("workload", slab.WORKLOADS, ids=[w.name for w in slab.WORKLOADS])
def test_the_published_workloads_give_the_same_addresses(
    program: Path, tmp_path: Path, workload: slab.Workload
) -> None:
    operations = workload.generate(30_000)
    row = slab.measure(workload, operations, program, tmp_path, 2)
    assert row.ratio is not None
    assert row.hash in of_slab([row])
    assert (row.slabs > 50) == (workload.name == "S1")


@pytest.mark.parametrize("seed", range(8))
def test_objects_of_any_size_have_the_same_addresses(
    program: Path, tmp_path: Path, seed: int
) -> None:
    """Slabs of every order, from a zone that is large enough."""
    size = (8, 24, 64, 200, 696, 1024, 3000, 8192)[seed]
    theirs, failures = both(program, tmp_path, waves(15_000, seed, 1500), size, 1 << 15)
    assert theirs.slabs > 1
    assert failures == 0


@pytest.mark.parametrize("size", [4096, 8192])
def test_a_zone_without_room_refuses_the_same_requests(
    program: Path, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin asks for slabs of one order only: memsim is told to fall back to the same."""
    made = slab.do_kmem_cache_create

    def of_one_order(s: slab.KmemCache, freeptr_offset: int) -> int:
        error = made(s, freeptr_offset)
        s.min = s.oo
        return error

    monkeypatch.setattr(slab, "do_kmem_cache_create", of_one_order)
    _, failures = both(program, tmp_path, waves(12_000, size, 3000), size, 1 << 11)
    assert failures > 0


def test_another_answer_is_refused(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial list that is turned around gives other addresses: the comparison can fail."""
    workload = slab.WORKLOADS[0]
    right = partial.add_partial
    monkeypatch.setattr(partial, "add_partial", lambda s, n, it, tail: right(s, n, it, not tail))
    with pytest.raises(WrongAnswer, match="S1: hash of memsim"):
        slab.measure(workload, workload.generate(30_000), program, tmp_path, 1)


def test_without_a_compiler_memsim_is_measured_alone(tmp_path: Path) -> None:
    workload = slab.WORKLOADS[1]
    row = slab.measure(workload, workload.generate(1000), None, tmp_path, 1)
    assert row.twin is row.ratio is None
    assert " - " in of_slab([row])
