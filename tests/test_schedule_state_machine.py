"""Random lives of a Machine with tasks, daemons by schedule, cgroups, and too little memory.

Every invariant holds after each step, and all of it is undone. `make test-long` has 100,000 steps.
"""

from __future__ import annotations

import contextlib
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from task_states import all_of

from memsim import GFP_ATOMIC, GFP_KERNEL, BadRequest, Job, Machine, PageAllocationFailure, Schedule
from memsim.machine import UserTask
from memsim.words.gfp import __GFP_NOWARN

pytestmark = pytest.mark.alone

MASKS = (GFP_KERNEL | __GFP_NOWARN, GFP_ATOMIC | __GFP_NOWARN)
DAEMONS = (
    "compact_memory", "drain_all_pages", "kcompactd", "kswapd", "lru_add_drain_all",
    "vmstat_update", "write_back",
)  # fmt: skip
MODES = ("default", "bind", "interleave", "weighted-interleave")
LIMITS = ("memory.min", "memory.low", "memory.high", "memory.max", "memory.swap.max")
MOST_TASKS = 6
cpus = st.integers(0, 1)
which = st.integers(0, MOST_TASKS - 1)
lengths = st.sampled_from((1, 10, 40, 160))


def program(task: UserTask, turns: int, chance: Random) -> int | None:
    """Maps a region, touches it page by page or here and there, sleeps now and then, may end."""
    regions = task.regions()
    if not regions:
        task.mmap("heap", chance.choice(("512 KiB", "1 MiB", "3 MiB")))
    elif chance.random() < 0.02:
        return chance.randrange(60)
    elif chance.random() < 0.002:
        task.exit()
    else:
        region = chance.choice(regions)
        index = turns if chance.random() < 0.7 else chance.randrange(region.nr_pages)
        task.touch(region, index % region.nr_pages)
    return None


class Life(RuleBasedStateMachine):
    """Requests of all kinds, between turns of the schedule."""

    steps = 0
    lru_gen = False
    #: What a cgroup may have for each task: None is the root.
    limits: tuple[str | None, ...] = (None,)

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(
            "16 MiB", cpus=2, reclaim=True, swap="1 MiB", min_free_kbytes=256, cma="2 MiB",
            lru_gen=self.lru_gen,
        )  # fmt: skip
        # a few hundred pages are left for all of them
        for order in (10, 10, 9, 8, 8, 7):
            self.machine.alloc_pages(GFP_KERNEL, order)
        self.groups = [
            limit and self.machine.cgroup(f"group{at}", max=limit, high="256K", oom_group=at > 1)
            for at, limit in enumerate(self.limits)
        ]
        self.first, self.nr_first = all_of(self.machine), len(self.machine.history)
        self.file = self.machine.open("file", "2 MiB")
        self.schedule = Schedule(self.machine, seed=1, steps_per_jiffy=2)
        #: (operations when it was done, was it taken?, pfn): what blocks there are follows undo().
        self.done: list[tuple[int, bool, int]] = []
        for cpu in range(2):
            self._begin(f"task{cpu}", cpu, 100 * cpu)

    def _begin(self, name: str, cpu: int, oom_score_adj: int) -> None:
        group = self.groups[len(self.machine.tasks()) % len(self.groups)]
        task = self.machine.task(name, cgroup=group, cpu=cpu, oom_score_adj=oom_score_adj)
        self.schedule.add(Job(task, program))

    def _task(self, at: int) -> UserTask | None:
        tasks = self.machine.tasks()
        return tasks[at % len(tasks)] if tasks else None

    def _forget_undone(self) -> None:
        self.done = [done for done in self.done if done[0] <= len(self.machine.history)]

    def _blocks(self) -> list[int]:
        blocks: list[int] = []
        for _, taken, pfn in self.done:
            if taken:
                blocks.append(pfn)
            else:
                blocks.remove(pfn)
        return blocks

    @rule(nr=st.sampled_from((1, 10, 30, 90)))
    def turns(self, nr: int) -> None:
        """Of whoever the seed draws."""
        self.schedule.run(steps=nr)

    @rule(jiffies=st.integers(1, 600))
    def time(self, jiffies: int) -> None:
        """Passes; alarms are due behind it."""
        self.machine.tick(jiffies)

    @rule(nr=st.integers(1, 40))
    def back(self, nr: int) -> None:
        """Turns taken back, as far as nothing else happened; run again they are the same."""
        turns = []
        with contextlib.suppress(BadRequest):
            for _ in range(nr):
                turns.append(self.schedule.back())
        assert self.schedule.run(steps=len(turns)) == turns[::-1]

    @rule(nr=st.integers(1, 60))
    def back_and_forth(self, nr: int) -> None:
        """Operations undone and done again leave the same state."""
        before = all_of(self.machine)
        undone = min(nr, len(self.machine.history) - self.nr_first)
        for _ in range(undone):
            self.machine.undo()
        self.machine.validate()
        for _ in range(undone):
            self.machine.redo()
        assert all_of(self.machine) == before

    @rule(nr=st.integers(1, 30))
    def undo(self, nr: int) -> None:
        """Operations that never were, beneath the schedule."""
        for _ in range(min(nr, len(self.machine.history) - self.nr_first - 1)):
            self.machine.undo()
        self._forget_undone()

    @precondition(lambda self: len(self.machine.tasks()) < MOST_TASKS)
    @rule(cpu=cpus, oom_score_adj=st.sampled_from((-1000, -200, 0, 300, 1000)))
    def task(self, cpu: int, oom_score_adj: int) -> None:
        """One more who asks."""
        self._begin("more", cpu, oom_score_adj)

    @rule(at=which, what=st.sampled_from(("exit", "kill", "wait", "wake", "fork", "adj", "munmap")))
    def life(self, at: int, what: str) -> None:
        """Ends, waits, wakes, has a child, is spared, or gives memory back."""
        task = self._task(at)
        if task is None:
            return
        if what == "adj":
            task.set_oom_score_adj(at * 100)
        elif what in ("kill", "wait", "wake"):
            getattr(task, what)()
        elif not task.process.uninterruptible:
            self._asks(task, what)

    def _asks(self, task: UserTask, what: str) -> None:
        if what == "exit":
            task.exit()
        elif what == "munmap":
            for region in task.regions()[:1]:
                task.munmap(region)
        elif len(self.machine.tasks()) < MOST_TASKS:
            self.schedule.add(Job(task.fork(), program))

    @rule(
        at=which, size=st.sampled_from((30, 300, 900)), start=st.integers(0, 300),
        nr=st.sampled_from((10, 40, 160)),
    )  # fmt: skip
    def touch(self, at: int, size: int, start: int, nr: int) -> None:
        """A task uses a region of its own; its daemons right behind it."""
        task = self._task(at)
        if task is None or task.process.uninterruptible:
            return
        region = task.mmap("own", size << 12) if len(task.regions()) < 3 else task.regions()[-1]
        for index in range(start, min(start + nr, region.nr_pages)):
            if task.alive:
                with contextlib.suppress(PageAllocationFailure):
                    task.touch(region, index)

    @rule(
        start=st.integers(0, 500), nr=lengths, cpu=cpus,
        what=st.sampled_from(("read", "write", "touch", "drop")),
    )  # fmt: skip
    def page_cache(self, start: int, nr: int, cpu: int, what: str) -> None:
        """A file's pages."""
        for index in range(start, min(start + nr, self.file.nr_pages)):
            with contextlib.suppress(PageAllocationFailure):
                getattr(self.machine, what)(self.file, index, cpu=cpu)

    @rule(at=which, start=st.integers(0, 500), nr=lengths, what=st.sampled_from(("read", "write")))
    def file_of(self, at: int, start: int, nr: int, what: str) -> None:
        """A file's pages, for a task and its cgroup."""
        task = self._task(at)
        if task is None or task.process.uninterruptible:
            return
        for index in range(start, min(start + nr, self.file.nr_pages)):
            if task.alive:
                with contextlib.suppress(PageAllocationFailure), self.machine.running(task):
                    getattr(self.machine, what)(self.file, index, cpu=task.cpu)

    @rule(at=which, mode=st.sampled_from(MODES), weight=st.integers(0, 5))
    def policy(self, at: int, mode: str, weight: int) -> None:
        """A task's own, and how much a turn of interleaving is."""
        self.machine.weighted_interleave(0, weight)
        task = self._task(at)
        if task is not None and not task.process.uninterruptible:
            with self.machine.running(task):
                self.machine.set_mempolicy(mode, [] if mode == "default" else [0])

    @rule(at=which, file=st.sampled_from(LIMITS), size=st.sampled_from(("0", "200K", "1M", "max")))
    def limit(self, at: int, file: str, size: str) -> None:
        """A cgroup's, above and below what it has."""
        group = self.groups[at % len(self.groups)]
        if group:
            self.machine.cgroup_write(group, file, size)

    @rule(mask=st.sampled_from(MASKS), order=st.integers(0, 5), nr=st.integers(1, 12), cpu=cpus)
    def alloc_pages(self, mask: int, order: int, nr: int, cpu: int) -> None:
        """Pages that nobody can take back."""
        for _ in range(nr):
            with contextlib.suppress(PageAllocationFailure):
                pfn = self.machine.alloc_pages(mask, order, cpu=cpu)
                # by the operations in front of it: daemons may have followed
                self.done.append((self._asked_at(), True, pfn))

    @rule(nr=st.integers(1, 60), cpu=cpus)
    def free_pages(self, nr: int, cpu: int) -> None:
        """Some of them."""
        for pfn in self._blocks()[-nr:]:
            self.machine.free_pages(pfn, cpu=cpu)
            self.done.append((self._asked_at(), False, pfn))

    def _asked_at(self) -> int:
        """How many operations there were behind the last one that somebody asked for."""
        nr = len(self.machine.history)
        while self.machine.history[nr - 1].daemon:
            nr -= 1
        return nr

    @rule(nr=st.integers(1, 64))
    def cma(self, nr: int) -> None:
        """A range taken whole, and given back."""
        with contextlib.suppress(PageAllocationFailure):
            self.machine.cma_release(self.machine.cma_alloc(nr, no_warn=True), nr)

    @rule(which=st.sampled_from(DAEMONS))
    def daemon(self, which: str) -> None:
        """Woken for nothing."""
        getattr(self.machine, which)()

    @invariant()
    def valid(self) -> None:
        """Every sentence of mm/validate.py, folio_validate.py and task_validate.py."""
        type(self).steps += 1
        self.machine.validate()

    def teardown(self) -> None:
        """Nothing is left of it all."""
        while len(self.machine.history) > self.nr_first:
            self.machine.undo()
        assert all_of(self.machine) == self.first


class MultiGen(Life):
    """The same with the multi-gen LRU."""

    lru_gen = True


class Groups(Life):
    """Some in cgroups; all of the last one are killed together."""

    limits = (None, "400K", "1M")


_settings = settings(max_examples=6, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase
TestLife.settings = _settings
TestMultiGen = MultiGen.TestCase
TestMultiGen.settings = _settings
TestGroups = Groups.TestCase
TestGroups.settings = _settings


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_25_000_steps_hold_every_invariant_and_are_undone(part: int) -> None:
    @seed(part)
    class Long(Life):
        steps = 0

    run_state_machine_as_test(
        Long,
        settings=settings(
            max_examples=550, stateful_step_count=50, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
        ),
    )  # fmt: skip
    # what is checked in front of an example's first step does not count
    assert Long.steps - 550 >= 25_000
