"""Schedules: the same seed is the same run, each turn goes back, and who sleeps wakes in time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from task_states import all_of

from memsim import GFP_KERNEL, BadRequest, Job, Machine, PageAllocationFailure, Schedule
from memsim.machine import UserTask
from memsim.machine.pages import Pages
from memsim.machine.threads import Program
from memsim.mm.vmscan.kswapd import kswapd, kswapd_nap_is_over, kswapd_naps_until, kswapd_turn
from memsim.mm.vmstat_work import need_update
from memsim.trace.slowpath_steps import Decision, SlowPath

RUN = Path(__file__).with_name("schedule_run.py")


def machine_of(**how: Any) -> Machine:
    """16 MiB, half of it taken, and a little swap."""
    machine = Machine("16 MiB", cpus=2, reclaim=True, swap="1 MiB", min_free_kbytes=512, **how)
    for _ in range(2):
        machine.alloc_pages(GFP_KERNEL, order=10)
    return machine


def uses(size: str) -> Program:
    """A task that maps this much, touches it at random, and sleeps now and then."""

    def program(task: UserTask, turns: int, chance: Random) -> int | None:
        if not turns:
            task.mmap("heap", size)
        elif chance.random() < 0.01:
            return chance.randrange(30)
        else:
            region = task.regions()[0]
            task.touch(region, turns % region.nr_pages)
        return None

    return program


def busy(machine: Machine, seed: int, sizes: tuple[str, ...] = ("4 MiB", "5 MiB")) -> Schedule:
    """A schedule with a task of each size."""
    jobs = [
        Job(machine.task(f"task{at}", cpu=at % 2, oom_score_adj=at * 100), uses(size))
        for at, size in enumerate(sizes)
    ]
    return Schedule(machine, seed=seed, jobs=jobs)


# Seeds


def told_by_a_process(seed: int, hash_seed: str) -> bytes:
    """What a run in a process of its own prints: its turns, its trace, its log."""
    told = subprocess.run(
        [sys.executable, str(RUN), str(seed)],
        env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, check=True,
    )  # fmt: skip
    return told.stdout


def test_the_same_seed_prints_the_same_bytes_in_two_processes_and_another_seed_does_not() -> None:
    first = told_by_a_process(1, "1")
    assert first.count(b"\n") > 2000
    assert b"kswapd" in first
    assert b"Out of memory: Killed process" in first
    assert told_by_a_process(1, "2") == first
    assert told_by_a_process(2, "1") != first


# Back


@pytest.mark.parametrize("lru_gen", [False, True])
def test_turns_go_back_one_by_one_and_run_again_the_same(lru_gen: bool) -> None:
    machine = machine_of(lru_gen=lru_gen)
    schedule = busy(machine, 5)
    schedule.run(steps=1600)
    before, operations = all_of(machine), len(machine.history)
    states, turns = [], []
    for _ in range(300):
        states.append(all_of(machine))
        turns.append(schedule.step())
    assert any(turn.who == "kswapd0" for turn in turns)
    for state, turn in zip(reversed(states), reversed(turns), strict=True):
        assert schedule.back() == turn
        assert all_of(machine) == state
    assert (all_of(machine), len(machine.history)) == (before, operations)
    assert schedule.run(steps=300) == turns


def test_turns_of_tasks_in_a_cgroup_that_is_killed_as_a_whole_go_back() -> None:
    machine = machine_of()
    web = machine.cgroup("web", max="2M", high="1800K", swap_max="200K", oom_group=True)
    schedule = busy(machine, 5)
    inside = [machine.task(f"web{at}", cpu=at, cgroup=web) for at in range(2)]
    for task in inside:
        schedule.add(Job(task, uses("2 MiB")))
    before = all_of(machine)
    turns = schedule.run(steps=2500)
    assert [task.alive for task in inside] == [False, False]
    assert [task.name for task in machine.tasks()][:1] == ["task0"]
    after = all_of(machine)
    for turn in reversed(turns):
        assert schedule.back() == turn
    assert all_of(machine) == before
    assert schedule.run(steps=2500) == turns
    assert all_of(machine) == after
    machine.validate()


def test_a_job_that_was_added_behind_a_turn_is_gone_with_it() -> None:
    machine = machine_of()
    schedule = busy(machine, 1)
    schedule.run(steps=1)
    schedule.add(Job(machine.tasks()[0], uses("4 KiB")))
    (turn,) = schedule.run(steps=1)
    assert schedule.back() == turn
    assert schedule.back().number == 1
    assert len(schedule._threads) == len(schedule._state.turns)


def test_nothing_is_taken_back_when_the_machine_did_something_since() -> None:
    machine = machine_of()
    schedule = busy(machine, 1)
    with pytest.raises(BadRequest, match="no step to take back: none was done"):
        schedule.back()
    schedule.run(steps=5)
    machine.alloc_pages(GFP_KERNEL)
    with pytest.raises(BadRequest, match="the machine did something since"):
        schedule.back()
    machine.undo()
    schedule.back()
    machine.undo()
    with pytest.raises(BadRequest, match="or was undone"):
        schedule.back()


def test_a_program_that_fails_leaves_nothing_behind() -> None:
    machine = machine_of()

    def fails(task: UserTask, turns: int, chance: Random) -> int | None:
        task.mmap("heap", "4 KiB")
        raise ZeroDivisionError

    schedule = Schedule(machine, seed=1, jobs=[Job(machine.task("app"), fails)])
    before = all_of(machine)
    with pytest.raises(ZeroDivisionError):
        schedule.step()
    assert all_of(machine) == before
    assert not machine._scheduled


# kswapd in turns


def pressed() -> Machine:
    """Memory full of pages of a file; kswapd was woken and has not run."""
    machine = machine_of()
    file = machine.open("file", "12 MiB")
    machine._scheduled = True
    read_on(machine, file, 0)
    return machine


def read_on(machine: Machine, file: Pages, index: int) -> None:
    """Read until kswapd is woken."""
    while machine.vm.nodes[0].kswapd_asleep:
        machine.read(file, index)
        index += 1


def test_kswapd_in_turns_does_what_it_does_in_one_go() -> None:
    whole, turns = pressed(), pressed()
    assert not whole.vm.nodes[0].kswapd_asleep
    whole._do("kswapd", 0, lambda: kswapd(whole.vm, whole.vm.nodes[0]))
    pgdat, nr = turns.vm.nodes[0], 0
    while pgdat.kswapd_stack or not pgdat.kswapd_asleep:
        if pgdat.kswapd_asleep:
            turns.tick(25)
        turns._do("kswapd", 0, lambda: kswapd_turn(turns.vm, turns.vm.nodes[0]))
        nr += 1
    assert nr > 3
    states = all_of(whole), all_of(turns)
    assert [state.pop("jiffies") for state in states] == [0, 25]
    assert states[0] == states[1]
    machine = turns
    while machine.history:
        machine.undo()
    assert not machine.vm.nodes[0].kswapd_stack


def napping() -> Machine:
    """kswapd has balanced the node, and naps."""
    machine = pressed()
    vm, pgdat = machine.vm, machine.vm.nodes[0]
    while kswapd_naps_until(vm, pgdat) < 0:
        machine._do("kswapd", 0, lambda: kswapd_turn(vm, pgdat))
    return machine


def test_kswapd_naps_a_tenth_of_a_second_on_its_queue_then_sleeps_for_good() -> None:
    machine = napping()
    vm, pgdat = machine.vm, machine.vm.nodes[0]
    assert (pgdat.kswapd_waits, pgdat.kswapd_asleep, kswapd_naps_until(vm, pgdat)) == (1, 1, 25)
    machine.tick(24)
    assert pgdat.kswapd_asleep
    machine.tick(1)
    # its timer woke it: its wakers still see it on the queue
    assert (pgdat.kswapd_waits, pgdat.kswapd_asleep) == (1, 0)
    seen = vm.trace.ring.written
    machine._do("kswapd", 0, lambda: kswapd_turn(vm, pgdat))
    assert [traced.event.NAME for traced in machine.events(seen)] == ["mm_vmscan_kswapd_sleep"]
    assert (pgdat.kswapd_waits, pgdat.kswapd_asleep, pgdat.kswapd_stack) == (1, 1, 0)
    machine.validate()


def test_kswapd_that_is_woken_in_its_nap_goes_on_and_does_not_sleep() -> None:
    machine = napping()
    vm, pgdat = machine.vm, machine.vm.nodes[0]
    read_on(machine, machine.open("other", "12 MiB"), 0)
    assert (pgdat.kswapd_waits, pgdat.kswapd_asleep) == (0, 0)
    machine.tick(25)
    kswapd_nap_is_over(vm, pgdat)
    seen = vm.trace.ring.written
    machine._do("kswapd", 0, lambda: kswapd_turn(vm, pgdat))
    names = [traced.event.NAME for traced in machine.events(seen)]
    assert names[0] == "mm_vmscan_kswapd_wake"
    assert "mm_vmscan_kswapd_sleep" not in names
    machine.validate()


def test_requests_meet_a_kswapd_that_is_awake_and_not_done() -> None:
    machine = machine_of()
    schedule = busy(machine, 3)
    schedule.run(steps=2500)
    found = {step.decision for step in machine.steps() if isinstance(step, SlowPath)}
    assert {Decision.KSWAPD_WOKEN, Decision.KSWAPD_AWAKE} <= found
    machine.validate()


# Timers


def whos(machine: Machine, seconds: float, who: str) -> list[int]:
    """The jiffies at which somebody ran on a machine where nobody asks."""
    schedule = Schedule(machine, seed=1)
    return [turn.jiffies for turn in schedule.run(seconds=seconds) if turn.who == who]


@pytest.mark.parametrize("hz", [100, 250, 1000])
def test_kcompactd_looks_each_half_second_and_the_shepherd_each_second(hz: int) -> None:
    machine = machine_of(hz=hz)
    assert whos(machine, 2, "kcompactd0") == [hz // 2, hz, hz * 3 // 2]
    assert whos(machine_of(hz=hz), 2, "vmstat_shepherd") == [hz]


def test_without_proactive_compaction_kcompactd_sleeps_until_it_is_woken() -> None:
    machine = machine_of()
    machine.vm.sysctl_compaction_proactiveness = 0
    assert whos(machine, 2, "kcompactd0") == []


def test_the_vmstat_worker_comes_for_a_cpu_with_changes_and_again_while_there_are_more() -> None:
    machine = machine_of()
    machine.drain_all_pages()
    machine.vmstat_update(cpu=0)
    machine.alloc_pages_bulk(GFP_KERNEL, 3, cpu=1)
    assert (need_update(machine.vm, 0), need_update(machine.vm, 1)) == (False, True)
    schedule = Schedule(machine, seed=1)
    turns = [turn for turn in schedule.run(seconds=4) if "vmstat_update" in turn.who]
    # folded in the first second; in the next, three jiffies of which are CPU 1's, nothing is left
    assert [(turn.jiffies, turn.who) for turn in turns] == [
        (250, "vmstat_update/1"), (497, "vmstat_update/1"),
    ]  # fmt: skip
    assert not need_update(machine.vm, 1)


def test_pages_of_another_node_are_drained_after_three_rounds() -> None:
    machine = Machine(["64 MiB", "64 MiB"], cpus=2, reclaim=True)
    zone = next(zone for zone in machine.vm.zones if zone.node == 1 and zone.managed_pages)
    pcp = zone.per_cpu_pageset[0]
    machine.alloc_pages(GFP_KERNEL, cpu=0, nid=1)
    assert pcp.count > 0
    kept = pcp.count
    schedule = Schedule(machine, seed=1)
    counts = [(turn.jiffies, pcp.count) for turn in _each(schedule, 6) if "vmstat" in turn.who]
    drained = next(jiffies for jiffies, count in counts if count < kept)
    assert drained in (3 * 250, 4 * 250)


def _each(schedule: Schedule, seconds: int) -> Any:
    while schedule.machine.vm.jiffies < seconds * 250:
        yield schedule.step()


def test_a_cpu_that_goes_idle_folds_what_its_worker_would() -> None:
    machine = machine_of()
    schedule = busy(machine, 1, ("1 MiB",))
    turns = schedule.run(seconds=3)
    assert any("quiet_vmstat(0)" in turn.operations for turn in turns)


def test_a_victim_that_waits_is_reaped_by_its_turn_and_one_that_was_killed_ends_in_its() -> None:
    machine = machine_of()
    hog, other = machine.task("hog", oom_score_adj=900), machine.task("other", cpu=1)
    schedule = Schedule(machine, seed=1)
    other.kill()
    assert not other.alive
    machine._scheduled = True
    hog.kill()
    machine._scheduled = False
    assert hog.alive
    (turn,) = schedule.run(steps=1)
    assert (turn.who, turn.operations) == ("exit", ("exit(hog, pid 100)",))
    assert not hog.alive


def test_a_refused_request_is_told() -> None:
    machine = machine_of()

    def asks(task: UserTask, turns: int, chance: Random) -> int | None:
        with machine.running(task):
            machine.alloc_pages(GFP_KERNEL, order=10)
        return None

    schedule = Schedule(machine, seed=1, jobs=[Job(machine.task("app"), asks)])
    turns = schedule.run(steps=20)
    assert turns[-1].refused == "page allocation failure: order:10, GFP_KERNEL"
    assert str(turns[-1]).endswith("; page allocation failure: order:10, GFP_KERNEL")


# Bad input


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.run(), "should be told steps or seconds"),
        (lambda s: s.run(steps=1, seconds=1), "should be told steps or seconds"),
        (lambda s: s.run(steps=-1), "steps=-1: should be 0 to"),
        (lambda s: s.run(steps="2"), "steps='2': should be a whole number"),
        (lambda s: s.run(seconds="2"), "seconds='2': should be a number"),
        (lambda s: s.run(seconds=-1.0), "seconds=-1.0: should be 0 to"),
        (lambda s: s.add(7), "should be Job"),
        (lambda s: s.add(Job(machine_of().task("far"), uses("4 KiB"))), "of another machine"),
        (lambda s: Schedule(s.machine, seed="x"), "seed='x'"),  # type: ignore[arg-type]
        (lambda s: Schedule(s.machine, seed=1, steps_per_jiffy=0), "steps_per_jiffy=0"),
        (lambda s: Schedule("x", seed=1), "machine='x'"),  # type: ignore[arg-type]
        (lambda s: Schedule(Machine("16 MiB"), seed=1), "boot the machine with reclaim=True"),
        (lambda s: _sleeps(s, -1), "app/100 sleeps -1"),
        (lambda s: _sleeps(s, "x"), "app/100 sleeps='x': should be a whole number"),
    ],
)
def test_what_nobody_can_mean_is_one_line(call: Callable[[Schedule], object], text: str) -> None:
    with pytest.raises(BadRequest, match=text) as refused:
        call(Schedule(machine_of(), seed=1))
    assert "\n" not in str(refused.value)


def _sleeps(schedule: Schedule, sleeps: Any) -> None:
    task = schedule.machine.task("app")
    schedule.add(Job(task, lambda task, turns, chance: sleeps))
    schedule.run(steps=1)


def test_a_machine_without_steps_runs_the_same_and_takes_nothing_back() -> None:
    told = []
    for steps in (True, False):
        machine = machine_of(steps=steps)
        schedule = busy(machine, 4)
        turns = schedule.run(steps=2000)
        told.append([(turn.jiffies, turn.who, turn.refused) for turn in turns])
    assert told[0] == told[1]
    with pytest.raises(BadRequest, match="or the machine keeps no steps"):
        schedule.back()


def test_page_allocation_failure_is_what_a_program_sees() -> None:
    machine = machine_of()
    task = machine.task("app")
    with machine.running(task), pytest.raises(PageAllocationFailure):
        machine.alloc_pages(GFP_KERNEL, order=10)
