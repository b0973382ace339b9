"""Tasks: what they map and give back, who is killed, and that all of it goes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from task_states import all_of, steps_of

from memsim import GFP_KERNEL, BadDescription, BadRequest, Machine, PageAllocationFailure
from memsim.machine import UserTask
from memsim.machine.pages import Pages
from memsim.mm.apply import apply_to_snapshot
from memsim.mm.jiffies import msecs_to_jiffies, pass_jiffies, round_jiffies_relative
from memsim.mm.oom_kill.journal import apply_task_step
from memsim.mm.validate import broken_invariants
from memsim.mm.vmscan.throttle import VMSCAN_THROTTLE_WRITEBACK, reclaim_throttle
from memsim.mm.vmstat import nr_free_by_order
from memsim.trace.task_steps import Clock, KswapdStack, TasksChanged
from memsim.views.narrate import narrate, narrate_all
from memsim.views.scene import Names
from memsim.words.oom import MMF_OOM_SKIP


def machine_of(**how: Any) -> Machine:
    """16 MiB, and a little swap."""
    return Machine("16 MiB", cpus=2, reclaim=True, swap="1 MiB", min_free_kbytes=512, **how)


def touch_all(task: UserTask, region: Pages) -> int:
    """Pages touched before it was killed, or refused."""
    for index in range(region.nr_pages):
        if not task.alive:
            return index
        with contextlib.suppress(PageAllocationFailure):
            task.touch(region, index)
    return region.nr_pages


def free_pages(machine: Machine) -> int:
    """Free pages, pcp lists included."""
    machine.drain_all_pages()
    return sum(nr << order for order, nr in enumerate(nr_free_by_order(machine.zone())))


# What a task has


def test_what_a_task_touched_is_its_rss_and_free_when_it_exits() -> None:
    machine = machine_of()
    free = free_pages(machine)
    task = machine.task("app", cpu=1)
    heap = task.mmap("heap", "1 MiB")
    assert (task.pid, task.name, task.rss) == (100, "app", 0)
    touch_all(task, heap)
    assert (task.rss, task.swap, task.process.mm and task.process.mm.total_vm) == (256, 0, 256)
    task.exit()
    assert not task.alive
    assert machine.tasks() == []
    # a batch of the LRU's may hold some of them: CPU 1's was drained when it exited
    assert free_pages(machine) == free
    machine.validate()


def test_a_region_that_is_unmapped_is_the_task_s_no_more() -> None:
    task = machine_of().task("app")
    first, second = task.mmap("first", "64 KiB"), task.mmap("second", "32 KiB")
    touch_all(task, first)
    task.munmap(first)
    assert task.regions() == [second]
    assert (task.rss, task.process.mm and task.process.mm.total_vm) == (0, 8)
    with pytest.raises(BadRequest, match="first: should be a region of app, of its mmap"):
        task.munmap(first)


def test_a_child_has_regions_as_large_and_its_parent_s_score() -> None:
    machine = machine_of()
    parent = machine.task("shell", oom_score_adj=-500, uid=7, cpu=1)
    touch_all(parent, parent.mmap("heap", "64 KiB"))
    child = parent.fork()
    assert (child.name, child.pid, child.cpu, child.rss) == ("shell", 101, 1, 0)
    assert (child.process.signal.oom_score_adj, child.process.uid) == (-500, 7)
    assert [(region.name, region.nr_pages) for region in child.regions()] == [("heap", 16)]
    touch_all(child, child.regions()[0])
    assert (parent.rss, child.rss) == (16, 16)
    machine.validate()


def test_what_a_task_asks_for_is_asked_in_its_name() -> None:
    machine = machine_of()
    task = machine.task("app")
    with machine.running(task):
        assert machine.vm.oom.current is task.process
        machine.alloc_pages(GFP_KERNEL)
    assert machine.vm.oom.current is machine.vm.oom.processes[0]


# Killed


def test_the_largest_is_killed_and_undo_brings_it_back() -> None:
    machine = machine_of()
    small, hog = machine.task("small", cpu=1), machine.task("hog")
    touch_all(small, small.mmap("heap", "1 MiB"))
    heap = hog.mmap("heap", "32 MiB")
    asked = small.mmap("more", "32 MiB")
    states = [all_of(machine)]
    for index in range(heap.nr_pages):
        if not hog.alive:
            break
        task, region = (hog, heap) if index % 4 else (small, asked)
        with contextlib.suppress(PageAllocationFailure):
            task.touch(region, index)
        states.append(all_of(machine)) if index > 3800 else None
    assert (hog.alive, small.alive, machine.vm.oom.nr_oom_kill) == (False, True, 1)
    assert any(line.startswith("Out of memory: Killed process 101 (hog)") for line in log(machine))
    machine.validate()
    killed, operations = all_of(machine), len(machine.history)
    while not hog.alive:
        machine.undo()
    assert hog.rss > 2000
    assert [task.pid for task in machine.tasks()] == [100, 101]
    machine.validate()
    while machine._undone:
        machine.redo()
    assert all_of(machine) == killed
    assert len(machine.history) == operations
    while machine.history:
        machine.undo()
    assert (machine.tasks(), log(machine), machine.vm.oom.nr_oom_kill) == ([], [], 0)


def log(machine: Machine) -> list[str]:
    """What the kernel would have printed."""
    return machine.vm.oom.log


def test_who_asks_and_is_killed_gets_its_page_from_the_reserves_and_dies_behind_it() -> None:
    machine = machine_of()
    hog = machine.task("hog")
    touch_all(hog, hog.mmap("heap", "32 MiB"))
    assert not hog.alive
    names = [operation.name for operation in machine.history[-2:]]
    assert names[0].startswith("touch(heap, ")
    assert "= pfn" in names[0]
    assert names[1] == "exit(hog, pid 100)"
    assert machine.history[-1].daemon
    assert not machine.vm.current.oom_victim


def test_a_task_with_minus_1000_is_spared() -> None:
    machine = machine_of()
    spared, other = machine.task("spared", oom_score_adj=-1000), machine.task("other")
    heap = spared.mmap("heap", "8 MiB")
    touch_all(spared, heap)
    touch_all(other, other.mmap("heap", "32 MiB"))
    assert (spared.alive, other.alive) == (True, False)
    other = machine.task("other")
    spared.set_oom_score_adj(1000)
    touch_all(other, other.mmap("heap", "12 MiB"))
    assert (spared.alive, other.alive) == (False, True)


def test_who_waits_for_a_device_cannot_die_and_is_reaped_after_two_seconds() -> None:
    machine = machine_of(hz=100)
    hog, other = machine.task("hog", oom_score_adj=500), machine.task("other", cpu=1)
    touch_all(hog, hog.mmap("heap", "10 MiB"))
    hog.wait()
    region = other.mmap("heap", "8 MiB")
    assert touch_all(other, region) == region.nr_pages
    assert machine.vm.jiffies == 200
    assert (hog.alive, hog.rss, other.rss) == (True, 0, region.nr_pages - other.swap)
    assert log(machine)[-1] == (
        "oom_reaper: reaped process 100 (hog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB"
    )
    machine.validate()
    with pytest.raises(BadRequest, match="hog waits for a device"):
        hog.touch(hog.regions()[0], 0)
    with pytest.raises(BadRequest, match="wake\\(\\) it"):
        hog.exit()
    hog.wake()
    assert not hog.alive
    machine.validate()
    while machine.history:
        machine.undo()
    assert machine.vm.jiffies == 0


def test_the_reaper_leaves_alone_who_exited_in_time_and_its_timer_goes_on() -> None:
    machine = machine_of()
    hog, other = machine.task("hog", oom_score_adj=500), machine.task("other")
    touch_all(hog, hog.mmap("heap", "10 MiB"))
    touch_all(other, other.mmap("heap", "8 MiB"))
    assert (hog.alive, machine.vm.oom.waiting) == (False, [hog.process])
    machine.tick(499)
    assert machine.vm.oom.waiting == [hog.process]
    machine.tick(1)
    assert machine.vm.oom.waiting == []
    assert not any("oom_reaper" in line for line in log(machine))


def test_sigkill_ends_a_task_behind_it_and_one_that_waits_when_it_wakes() -> None:
    machine = machine_of()
    task, waits = machine.task("app"), machine.task("waits")
    waits.wait()
    task.kill()
    waits.kill()
    assert (task.alive, waits.alive, machine.vm.oom.dying) == (False, True, True)
    machine.read(machine.open("file", "4 KiB"), 0)
    assert waits.alive
    waits.wake()
    assert (waits.alive, machine.vm.oom.dying) == (False, False)


def test_a_change_of_tasks_is_one_step_of_its_operation() -> None:
    machine = machine_of()
    task = machine.task("app")
    task.set_oom_score_adj(5)
    assert len(steps_of(machine, TasksChanged)) == 2
    task.set_oom_score_adj(5)
    assert len(steps_of(machine, TasksChanged)) == 2
    machine.undo()
    machine.undo()
    assert task.process.signal.oom_score_adj == 0
    # a machine made from a snapshot has none to change
    apply_task_step(Machine("16 MiB").vm, TasksChanged(1, 99), True)


# Time


def test_time_passes_by_ticks_and_goes_back() -> None:
    machine = machine_of()
    machine.tick(3)
    machine.tick()
    assert machine.vm.jiffies == 4
    assert [(step.old, step.new) for step in steps_of(machine, Clock)] == [(0, 3), (3, 4)]
    machine.undo()
    assert machine.vm.jiffies == 3
    machine.redo()
    assert machine.vm.jiffies == 4


@pytest.mark.parametrize(("hz", "jiffies", "usec"), [(250, 25, 100_000), (1000, 100, 100_000)])
def test_who_is_throttled_waits_a_tenth_of_a_second(hz: int, jiffies: int, usec: int) -> None:
    machine = machine_of(hz=hz)
    assert reclaim_throttle(machine.vm, machine.vm.nodes[0], VMSCAN_THROTTLE_WRITEBACK)
    assert machine.vm.jiffies == jiffies
    event: Any = machine.events()[-1].event
    assert (event.NAME, event.usec_timeout) == ("mm_vmscan_throttled", usec)


def test_milliseconds_are_rounded_up_and_work_of_all_cpus_comes_at_whole_seconds() -> None:
    vm = machine_of().vm
    assert [msecs_to_jiffies(vm, msecs) for msecs in (0, 1, 4, 5, 500)] == [0, 1, 1, 2, 125]
    assert round_jiffies_relative(vm, 250) == 250
    pass_jiffies(vm, 100)
    # 350 is 100 beyond a second: up; on CPU 1 three jiffies count as passed already
    assert round_jiffies_relative(vm, 250) == 400
    vm.set_cpu(1)
    assert round_jiffies_relative(vm, 250) == 397
    pass_jiffies(vm, 200)
    vm.set_cpu(0)
    # 550 is 50 beyond: down
    assert round_jiffies_relative(vm, 250) == 200
    # never into the past
    assert round_jiffies_relative(vm, 10) == 10


# Bad input


def running(machine: Machine, task: Any) -> None:
    """Nothing, in a task's name."""
    with machine.running(task):
        pass


def bad(call: Callable[[Machine, UserTask], object], text: str) -> tuple[Any, str]:
    return call, text


@pytest.mark.parametrize(
    ("call", "text"),
    [
        bad(lambda m, t: m.task(""), "name='': should be 1 to 15 printable characters"),
        bad(lambda m, t: m.task("x" * 16), "should be 1 to 15 printable characters"),
        bad(lambda m, t: m.task("a", cpu=2), "cpu=2: this machine has CPUs 0 to 1"),
        bad(lambda m, t: m.task("a", oom_score_adj=1001), "should be -1000 to 1000"),
        bad(lambda m, t: m.task("a", uid=-1), "uid=-1: should be 0 to 4294967295"),
        bad(lambda m, t: t.set_oom_score_adj("x"), "oom_score_adj='x': should be a whole number"),  # type: ignore[arg-type]
        bad(lambda m, t: t.mmap("heap", 0), "should be 1 byte to 1 TiB"),
        bad(lambda m, t: t.munmap(7), "'7'|7: should be a region of app, of its mmap"),  # type: ignore[arg-type]
        bad(lambda m, t: running(m, "app"), "'app': should be what this machine's task"),
        bad(lambda m, t: running(machine_of(), t), "pid 100>': should be what this mach"),
        bad(lambda m, t: m.tick(0), "jiffies=0: should be 1 to 4294967295"),
        bad(lambda m, t: m.close(t.regions()[0]), "heap: is app's, which has munmap"),
    ],
)
def test_what_nobody_can_mean_is_one_line_and_changes_nothing(
    call: Callable[[Machine, UserTask], object], text: str
) -> None:
    machine = machine_of()
    task = machine.task("app")
    task.mmap("heap", "8 KiB")
    before = all_of(machine)
    with pytest.raises(BadRequest, match=text) as refused:
        call(machine, task)
    assert "\n" not in str(refused.value)
    assert all_of(machine) == before


def test_who_is_gone_asks_for_nothing() -> None:
    machine = machine_of()
    task = machine.task("app")
    task.exit()
    for call in (task.exit, task.kill, task.fork, task.wait, lambda: task.mmap("heap", 4096)):
        with pytest.raises(BadRequest, match="task app, pid 100: is not there any more"):
            call()
    machine.undo()
    assert task.alive
    machine.undo()
    with pytest.raises(BadRequest, match="is not there any more"):
        task.exit()


def test_a_machine_without_reclaim_has_no_tasks_and_hz_is_one_that_there_is() -> None:
    with pytest.raises(BadRequest, match="this machine has no reclaim=True"):
        Machine("16 MiB").task("app")
    for hz, text in ((123, "hz=123: should be one of"), ("x", "hz='x': should be a whole number")):
        with pytest.raises(BadDescription, match=text):
            Machine("16 MiB", hz=hz)  # type: ignore[arg-type]


# Invariants


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda vm, task: setattr(task.mm, "mm_users", 2), "mm_users counts the threads"),
        (lambda vm, task: task.mm.areas.append(task.mm.areas[0]), "A region of an address space"),
        (lambda vm, task: setattr(task.mm, "total_vm", 1), "has as many pages as they"),
        (lambda vm, task: setattr(task, "memdie", True), "oom_victims counts"),
        (lambda vm, task: setattr(task, "fatal_signal", True), "OomState.dying says"),
        (lambda vm, task: setattr(task, "pid", 1), "no pid is used twice"),
        (lambda vm, task: setattr(vm.nodes[0], "kswapd_waits", 0), "A kswapd that is asleep naps"),
    ],
)
def test_each_invariant_of_tasks_is_shown_what_it_refuses(
    spoil: Callable[[Any, Any], None], sentence: str
) -> None:
    machine = machine_of()
    task = machine.task("app")
    task.mmap("heap", "8 KiB")
    assert list(broken_invariants(machine.vm)) == []
    spoil(machine.vm, task.process)
    assert any(sentence in line for line in broken_invariants(machine.vm))


def test_a_reaped_mm_is_not_looked_at_again() -> None:
    machine = machine_of()
    hog, other = machine.task("hog", oom_score_adj=500), machine.task("other")
    touch_all(hog, hog.mmap("heap", "10 MiB"))
    hog.wait()
    touch_all(other, other.mmap("heap", "32 MiB"))
    assert hog.process.signal.oom_mm is not None
    assert hog.process.signal.oom_mm.flags & MMF_OOM_SKIP
    assert (hog.alive, other.alive, machine.vm.oom.nr_oom_kill) == (True, False, 2)


def test_steps_of_tasks_and_time_have_words_and_leave_a_snapshot_s_pages_right() -> None:
    machine = machine_of()
    with machine.recording() as recording:
        task = machine.task("app")
        touch_all(task, task.mmap("heap", "8 KiB"))
        machine.tick(2)
    told = narrate_all(recording.snapshot, recording.steps)
    assert "a task begins, ends, is killed, or maps memory" in told
    assert "the clock: jiffy 0 becomes 2" in told
    names = Names(recording.snapshot)
    assert narrate(KswapdStack(1, 0, 0, 1), names) == (
        "kswapd of node 0 gives the CPU away, or sleeps"
    )
    assert apply_to_snapshot(recording.snapshot, recording.steps, False) == machine.snapshot()
