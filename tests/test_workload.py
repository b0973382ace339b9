"""Workloads: the same seed gives the same run, everything comes back, every invariant holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

import pytest

from memsim import Machine
from memsim.cli import main
from memsim.words.errors import BadDescription, BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_DMA, GFP_DMA32, GFP_KERNEL
from memsim.workload import PRESETS, CoherentBuffer, DmaPool, Share, Users, Workload
from memsim.workload.kernel import LEAST_PAGES, Kernel, free_pages

NAMES = list(PRESETS)
SEEDS = range(20)
STEPS = 100


def booted(ram: str = "64 MiB", **description: object) -> Machine:
    return Machine(ram, slab=True, vmalloc=True, **description)  # type: ignore[arg-type]


def settled(machine: Machine) -> int:
    """Free pages when nothing is kept for later.

    What vmalloc keeps counts as free: tables, which the kernel never gives back, and slabs with
    vmap_areas, of which it pools some.
    """
    machine.purge_vmap_area_lazy()
    for cache in machine.caches():
        machine.kmem_cache_shrink(cache)
    machine.drain_all_pages()
    vmap_area = machine.cache("vmap_area")
    kept = len(machine.vm.vmalloc.init_mm.tables)
    kept += sum(node.nr_slabs << vmap_area.oo[0] for node in vmap_area.node)
    return free_pages(machine) + kept


def all_pages(machine: Machine) -> list[int]:
    """Every page that GFP_KERNEL gets, one by one."""
    pfns: list[int] = []
    while True:
        try:
            pfns.append(machine.alloc_pages(GFP_KERNEL))
        except PageAllocationFailure:
            return pfns


def story(name: str, seed: int) -> tuple[list[object], list[object]]:
    """All kernel events and requests of a run, stop() too."""
    machine = booted(cpus=2)
    workload = Workload(machine, name, seed)
    workload.run(STEPS)
    log = [(r.step, r.who, r.path.what, r.gfp_mask, r.size, r.result) for r in workload.log]
    workload.stop()
    return [str(traced) for traced in machine.events()], list(log)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_run_and_another_seed_another(name: str) -> None:
    first = story(name, 5)
    assert first[0]
    assert first[1]
    assert story(name, 5) == first
    other = story(name, 6)
    assert other[0] != first[0]
    assert other[1] != first[1]


def test_a_run_does_not_depend_on_pythonhashseed() -> None:
    code = (
        "from memsim import Machine; from memsim.workload import Workload\n"
        "w = Workload(Machine('64 MiB', slab=True, vmalloc=True), 'desktop', 3); w.run(150)\n"
        "print([(r.who, r.path.what, r.result) for r in w.log])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, check=True, text=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1
    assert len(told.pop()) > 1000


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_after_stop_every_page_is_free_again(name: str, seed: int) -> None:
    machine = booted(cpus=1 + seed % 2, steps=False)
    before = settled(machine)
    caches = {cache.name for cache in machine.caches()}
    workload = Workload(machine, name, seed)
    workload.run(STEPS)
    assert free_pages(machine) < before
    workload.stop()
    workload.stop()
    assert settled(machine) == before
    assert {cache.name for cache in machine.caches()} == caches
    machine.validate()
    machine.validate_caches()
    machine.validate_vmalloc()


@pytest.mark.parametrize("name", NAMES)
def test_every_invariant_holds_along_the_way(name: str) -> None:
    machine = booted("32 MiB", cpus=2, steps=False)
    workload = Workload(machine, name, 11)
    for _ in range(20):
        workload.run(20)
        machine.validate()
        machine.validate_caches()
        machine.validate_vmalloc()


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_too_small_for_the_habits_fails_requests_and_nothing_else(name: str) -> None:
    machine = booted("32 MiB", steps=False)
    before = settled(machine)
    workload = Workload(machine, name, 2)
    kept = all_pages(machine)
    for pfn in kept[:100]:
        machine.free_pages(pfn)
    workload.run(600)
    assert any(request.result is None for request in workload.log)
    assert {r.outcome for r in workload.log if r.result is None} != {"ok"}
    workload.stop()
    for pfn in kept[100:]:
        machine.free_pages(pfn)
    assert settled(machine) == before
    machine.validate()
    machine.validate_caches()


def test_undo_goes_back_to_the_first_state_and_the_workload_then_refuses() -> None:
    machine = booted(cpus=2)
    first = machine.snapshot()
    workload = Workload(machine, "desktop", 4)
    workload.run(60)
    while machine.history:
        machine.undo()
    assert machine.snapshot() == first
    machine.validate()
    for call in (workload.step, partial(workload.run, 1), workload.stop):
        with pytest.raises(BadRequest, match="undone beneath"):
            call()
    assert machine.snapshot() == first


def test_other_requests_on_the_machine_do_not_disturb_a_workload() -> None:
    machine = booted()
    workload = Workload(machine, "phone", 1)
    machine.free_pages(machine.alloc_pages(GFP_KERNEL, 3))
    workload.run(10)
    workload.stop()


def test_requesters_of_ones_own_take_turns_by_weight() -> None:
    machine = booted()
    shares = [Share(Users, 3), Share(partial(DmaPool, size=512), 1)]
    workload = Workload(machine, shares, 9)
    workload.run(400)
    per_who: dict[str, set[int]] = {}
    for request in workload.log:
        per_who.setdefault(request.who.split()[0], set()).add(request.step)
    assert set(per_who) == {"process", "users", "DMA"}
    workload.stop()


def test_the_table_counts_every_request() -> None:
    machine = booted()
    workload = Workload(machine, "web server", 1)
    workload.run(100)
    rows = workload.rows()
    assert sum(row.asked for row in rows) == len(workload.log)
    assert sum(row.failed for row in rows) == 0
    by_what = {row.what: row for row in rows}
    assert by_what["kernel stack"].allocator == "vmalloc"
    assert by_what["task_struct"].allocator == "slab"
    assert by_what["topmost page table"].order == 1
    text = workload.table().splitlines()
    assert len(text) == len(rows) + 1
    assert text[0].split()[:2] == ["who", "asks"]


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    workload = Workload(booted(steps=False), "phone", 1)
    workload.run(201, progress=lambda done, steps: told.append((done, steps)))
    assert told == [(0, 201), (100, 201), (200, 201)]


REFUSED = [
    ({}, "desktop", 0, BadRequest, "slab=True, vmalloc=True"),
    ({"slab": True}, "desktop", 0, BadRequest, "with vmalloc=True$"),
    ({"vmalloc": True}, "desktop", 0, BadRequest, "with slab=True$"),
    ({"slab": True, "vmalloc": True}, "laptop", 0, BadDescription, "desktop, web server"),
    ({"slab": True, "vmalloc": True}, [], 0, BadDescription, "a name, or a list"),
    ({"slab": True, "vmalloc": True}, 7, 0, BadDescription, "a name, or a list"),
    ({"slab": True, "vmalloc": True}, [Users], 0, BadDescription, "should be a Share"),
    ({"slab": True, "vmalloc": True}, [Share(Users, 0)], 0, BadDescription, "weight='0'"),
    ({"slab": True, "vmalloc": True}, "desktop", "1", BadDescription, "seed='1'"),
    ({"slab": True, "vmalloc": True}, [Share("Users")], 0, BadDescription, "make='Users'"),
    # what begins before these is taken back
    (
        {"slab": True, "vmalloc": True}, [Share(Users), Share(lambda kernel: 7)], 0,
        BadDescription, "should give a Requester",
    ),
    (
        {"slab": True, "vmalloc": True}, [Share(Users), Share(partial(DmaPool, size=0))], 0,
        BadRequest, "size=0: should be 8 to 4096",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "what", "seed", "error", "text"), REFUSED)
def test_what_cannot_run_is_refused_and_the_machine_is_as_it_was(
    options: dict[str, bool], what: object, seed: object, error: type[Exception], text: str
) -> None:
    machine = Machine("64 MiB", **options)  # type: ignore[arg-type]
    first, done = machine.snapshot(), len(machine.history)
    with pytest.raises(error, match=text) as refusal:
        Workload(machine, what, seed)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)
    assert machine.snapshot() == first
    assert len(machine.history) == done


@pytest.mark.parametrize("machine", [None, "64 MiB", 5])
def test_only_a_machine_can_have_a_workload(machine: object) -> None:
    with pytest.raises(BadRequest, match="should be a Machine"):
        Workload(machine, "desktop")  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [-1, 1.5, "9", None, True, 10**12])
def test_steps_are_a_count(steps: object) -> None:
    machine = booted()
    workload = Workload(machine, "desktop")
    done = len(machine.history)
    with pytest.raises(BadRequest, match="steps="):
        workload.run(steps)  # type: ignore[arg-type]
    assert len(machine.history) == done
    assert workload.kernel.step == 0


def test_nothing_runs_after_stop() -> None:
    workload = Workload(booted(), "desktop")
    workload.stop()
    with pytest.raises(BadRequest, match="was stopped"):
        workload.step()
    with pytest.raises(BadRequest, match="was stopped"):
        workload.run(1)


def test_without_memory_to_begin_with_nothing_begins() -> None:
    machine = booted("16 MiB")
    while free_pages(machine) >= LEAST_PAGES:
        machine.alloc_pages(GFP_KERNEL, 3)
    first = machine.snapshot()
    with pytest.raises(BadRequest, match=f"a workload needs {LEAST_PAGES} to begin"):
        Workload(machine, "desktop")
    assert machine.snapshot() == first


@pytest.mark.parametrize("steps", [True, False])
def test_a_requester_that_cannot_begin_takes_the_others_back(steps: bool) -> None:
    machine = booted(steps=steps)
    for zone, mask in (("DMA32", GFP_DMA32), ("DMA", GFP_DMA)):
        while machine.nr_free(zone)[10]:  # none of 4 MiB is left, but much memory
            pfn = machine.alloc_pages(mask, 10)
            machine.split_page(pfn)
            for page in range(pfn + 1, pfn + 1024):
                machine.free_pages(page)
    before, first = settled(machine), machine.snapshot()
    shares = [Share(Users), Share(partial(CoherentBuffer, size=4 << 20))]
    with pytest.raises(BadRequest, match="coherent buffer 1: no memory to begin with"):
        Workload(machine, shares)
    if steps:
        assert machine.snapshot() == first
    assert settled(machine) == before
    machine.validate()


def test_requesters_by_hand_share_a_kernel() -> None:
    machine = booted()
    kernel = Kernel(machine)
    pool = DmaPool(kernel)
    assert pool.start()
    block = pool.dma_pool_alloc()
    assert block is not None
    pool.dma_pool_free(block)
    pool.stop()
    kernel.stop()
    assert [request.who for request in kernel.log] == ["DMA pool 1"] * 3


def run_command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(["workload", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_tells_who_asked_and_what_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("phone", "--ram", "64 MiB", "--steps", "50", "--seed", "3")
    status, out, err = run_command(*arguments, capsys=capsys)
    assert (status, err) == (0, "")
    assert out.startswith("phone, seed 3: 50 steps, ")
    assert "kernel stack" in out
    assert len([line for line in out.splitlines() if line.startswith("Node 0, zone DMA ")]) == 2
    status, again, _ = run_command(*arguments, "--json", capsys=capsys)
    told = json.loads(again)
    assert status == 0
    assert sum(row["asked"] for row in told["rows"]) == told["requests"]
    assert told["before"].keys() == told["after"].keys()
    assert told["before"] != told["after"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("mainframe",), "should be one of desktop"),
        (("desktop", "--steps", "-1"), "steps='-1'"),
        (("desktop", "--ram", "1 MiB"), "ram"),
        (("desktop", "--cpus", "0"), "cpus"),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_command(*arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1
