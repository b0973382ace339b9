"""A schedule: who runs when, drawn by a seed; daemons and tasks in turns, and the clock with them.

>>> from memsim.machine import Job, Machine, Schedule
>>> machine = Machine("64 MiB", cpus=2, reclaim=True)
>>> task = machine.task("writer", cpu=1)
>>> heap = task.mmap("heap", "1 MiB")
>>> def touch_all(task, turns, chance):
...     task.touch(heap, turns) if turns < heap.nr_pages else task.exit()
>>> schedule = Schedule(machine, seed=1, jobs=[Job(task, touch_all)])
>>> turns = schedule.run(steps=257)
>>> print(turns[0])
jiffy 0 CPU 1 writer/100: touch(heap, 0) = pfn 6131
>>> task.alive
False
>>> schedule.back() == turns[-1], task.alive, schedule.run(steps=1) == turns[-1:]
(True, True, True)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from memsim.lib.text import one_line
from memsim.machine.checks import whole
from memsim.machine.history import Operation
from memsim.machine.machine import Machine
from memsim.machine.plain import plain_numbers
from memsim.machine.tasks import UserTask
from memsim.machine.threads import (
    NEVER,
    Job,
    Task,
    Thread,
    VmstatShepherd,
    VmstatWorker,
    kernel_threads,
)
from memsim.words.errors import BadRequest, PageAllocationFailure

_MAX_STEPS, _MAX_SECONDS = 100_000_000, 1_000_000
_NOBODY = -1


@dataclass(frozen=True)
class Turn:
    """A step of somebody: when, where, who, the operations it took, and what was refused."""

    number: int
    jiffies: int
    cpu: int
    who: str
    operations: tuple[str, ...]
    refused: str = ""

    def __str__(self) -> str:
        told = "; ".join([*self.operations, *filter(None, [self.refused])]) or "nothing to do"
        return f"jiffy {self.jiffies} CPU {self.cpu} {self.who}: {told}"


class _State(NamedTuple):
    """Where a schedule is; by thread: `turns`, `alarms`; by CPU: who runs, how long still."""

    number: int
    beats: int
    turns: tuple[int, ...]
    alarms: tuple[int, ...]
    running: tuple[int, ...]
    left: tuple[int, ...]


class _Kept(NamedTuple):
    """What back() needs of a turn: the state and history in front of it, the last thing in it."""

    state: _State
    nr_operations: int
    last: Operation | None
    turn: Turn


@plain_numbers
class Schedule:
    """Tasks and daemons on a machine's CPUs, in an order that only the seed decides.

    A thread that is drawn keeps its CPU for a jiffy, which is steps_per_jiffy steps, or until it
    sleeps. CPUs that have somebody to run take turns by chance. Each step is told as a Turn, and
    can be taken back. While the schedule runs, daemons wait for their turn; operations that are
    asked of the machine in between have theirs right behind, as ever.

    NOT MODELLED: that a request loses its CPU in the middle, also where it sleeps; priorities of
    tasks; that tasks change CPUs.
    """

    def __init__(
        self, machine: Machine, *, seed: int, jobs: Sequence[Job] = (), steps_per_jiffy: int = 40
    ) -> None:
        _check(machine, seed, steps_per_jiffy)
        _check_jobs(machine, jobs)
        self.machine = machine
        self.seed = seed
        self.steps_per_jiffy = steps_per_jiffy
        self._threads: list[Thread] = []
        nothing = (_NOBODY,) * machine.vm.nr_cpus, (0,) * machine.vm.nr_cpus
        self._state = _State(0, 0, (), (), *nothing)
        self._kept: list[_Kept] = []
        for thread in kernel_threads(machine):
            self._add(thread)
        for job in jobs:
            self.add(job)

    def add(self, job: Job) -> None:
        """A task more. When the turns before it are taken back, it is not in the schedule."""
        _check_jobs(self.machine, [job])
        self._add(Task(self.machine, job))

    def run(self, *, steps: int | None = None, seconds: float | None = None) -> list[Turn]:
        """So many steps, or until so many seconds of the machine's time have passed: the turns."""
        if (steps is None) == (seconds is None):
            raise BadRequest("run(): should be told steps or seconds, one of them")
        if steps is not None:
            whole("steps", steps)
            if not 0 <= steps <= _MAX_STEPS:
                raise BadRequest(f"steps={steps}: should be 0 to {_MAX_STEPS}")
            return [self.step() for _ in range(steps)]
        return self._run_until(_jiffies(self.machine, seconds))

    def step(self) -> Turn:
        """Somebody runs one step; when nobody is ready, time passes first."""
        return self._do_step(None)

    def _do_step(self, until: int | None) -> Turn:
        """A step; one where all are idle when nobody is ready before that jiffy."""
        machine, before = self.machine, self._state
        nr_operations, scheduled = len(machine.history), machine._scheduled
        machine._scheduled = True
        try:
            turn = self._step(nr_operations, until)
        except BaseException:
            self._restore(before, nr_operations)
            raise
        finally:
            machine._scheduled = scheduled
        if machine.vm.fields_seen:
            self._kept.append(_Kept(before, nr_operations, _last(machine.history), turn))
        return turn

    def back(self) -> Turn:
        """Take the last step back: what it was. Run again, it is the same.

        BadRequest when there is none, and when the machine did something since.
        """
        if not self._kept:
            raise BadRequest("no step to take back: none was done, or the machine keeps no steps")
        kept, history = self._kept[-1], self.machine.history
        if len(history) < kept.nr_operations or _last(history) is not kept.last:
            raise BadRequest("the machine did something since, or was undone: no step to take back")
        self._kept.pop()
        self._restore(kept.state, kept.nr_operations)
        return kept.turn

    # Inside

    def _restore(self, state: _State, nr_operations: int) -> None:
        while len(self.machine.history) > nr_operations:
            self.machine.undo()
        self._state = state
        del self._threads[len(state.turns) :]

    def _add(self, thread: Thread) -> None:
        self._threads.append(thread)
        self.machine.vm.set_cpu(thread.cpu)
        turns, alarms = self._state.turns, self._state.alarms
        self._state = self._state._replace(
            turns=(*turns, 0), alarms=(*alarms, thread.first_alarm())
        )

    def _run_until(self, jiffies: int) -> list[Turn]:
        turns = []
        while self.machine.vm.jiffies < jiffies:
            turns.append(self._do_step(jiffies))
        return turns

    def _step(self, nr_operations: int, until: int | None) -> Turn:
        chance = Random(f"{self.seed}:{self._state.number}")
        busy, cpu, who, refused = self._busy(until), 0, "idle", ""
        jiffies = self.machine.vm.jiffies
        if busy:
            at = self._draw(busy, chance)
            cpu, who = self._threads[at].cpu, self._threads[at].name
            refused = self._let_run(at, chance)
        self._count(len(busy))
        names = tuple(operation.name for operation in self.machine.history[nr_operations:])
        return Turn(self._state.number, jiffies, cpu, who, names, refused)

    def _busy(self, until: int | None) -> dict[int, list[int]]:
        """_ready(), as soon as it is somebody; nobody when that jiffy comes first."""
        while self.machine.vm.jiffies != until:
            ready = self._ready()
            for cpu, at in enumerate(self._state.running):
                if at != _NOBODY and cpu not in ready:
                    self._goes_idle(cpu)
            if ready:
                return ready
            alarm, now = self._next_alarm(), self.machine.vm.jiffies
            # one that is over, and wakes nobody before a tick, is not waited for again
            self.machine._tick(max(1, (alarm if until is None else min(alarm, until)) - now))
        return {}

    def _ready(self) -> dict[int, list[int]]:
        """By CPU the threads that would run there."""
        ready: dict[int, list[int]] = {}
        for at, thread in enumerate(self._threads):
            if thread.ready(self._state.alarms[at]):
                ready.setdefault(thread.cpu, []).append(at)
        return ready

    def _next_alarm(self) -> int:
        alarms = zip(self._threads, self._state.alarms, strict=True)
        return min(due for thread, alarm in alarms if (due := thread.due(alarm)) != NEVER)

    def _goes_idle(self, cpu: int) -> None:
        """What its worker would fold is folded. Kernel: mm/vmstat.c quiet_vmstat()."""
        self._set(running=_at(self._state.running, cpu, _NOBODY))
        for at, thread in enumerate(self._threads):
            pending = self._state.alarms[at] != NEVER
            if isinstance(thread, VmstatWorker) and thread.cpu == cpu and pending:
                self.machine._quiet_vmstat(cpu)

    def _draw(self, busy: dict[int, list[int]], chance: Random) -> int:
        """Who runs: on a CPU that is drawn the one who has it, or one of those who are ready."""
        state = self._state
        cpu = chance.choice(sorted(busy))
        at, left = state.running[cpu], state.left[cpu]
        if at not in busy[cpu] or not left:
            at, left = chance.choice(busy[cpu]), self.steps_per_jiffy
        self._set(running=_at(state.running, cpu, at), left=_at(state.left, cpu, left - 1))
        return at

    def _let_run(self, at: int, chance: Random) -> str:
        """Why it was refused, or ""."""
        thread, turns, refused, alarm = self._threads[at], self._state.turns, "", NEVER
        self.machine.vm.set_cpu(thread.cpu)
        try:
            alarm = thread.step(turns[at], chance)
        except PageAllocationFailure as failure:
            refused = str(failure)
        self._set(turns=_at(turns, at, turns[at] + 1), alarms=_at(self._state.alarms, at, alarm))
        if isinstance(thread, VmstatShepherd):
            self._queue_workers(thread)
        return refused

    def _queue_workers(self, shepherd: VmstatShepherd) -> None:
        for at, thread in enumerate(self._threads):
            idle = self._state.alarms[at] == NEVER
            if isinstance(thread, VmstatWorker) and idle and shepherd.wants(thread):
                self._set(alarms=_at(self._state.alarms, at, self.machine.vm.jiffies))

    def _count(self, nr_busy: int) -> None:
        """A jiffy has passed when each CPU that is busy took its steps."""
        beats = self._state.beats + 1
        if nr_busy and beats >= self.steps_per_jiffy * nr_busy:
            beats = 0
            self.machine._tick(1)
        self._set(number=self._state.number + 1, beats=beats)

    def _set(self, **changes: int | tuple[int, ...]) -> None:
        self._state = self._state._replace(**changes)  # type: ignore[arg-type]


def _check_jobs(machine: Machine, jobs: Sequence[Job]) -> None:
    if not isinstance(jobs, Sequence):
        raise BadRequest(f"jobs={one_line(jobs, 40)!r}: should be a list of Job(task, program)")
    for job in jobs:
        is_job = isinstance(job, Job) and isinstance(job.task, UserTask) and callable(job.program)
        if not is_job:
            raise BadRequest(f"job={one_line(job, 40)!r}: should be Job(task, program)")
        if job.task.machine is not machine:
            raise BadRequest(f"job={job.task.name}: is a task of another machine")


def _last(history: list[Operation]) -> Operation | None:
    return history[-1] if history else None


def _at(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _jiffies(machine: Machine, seconds: object) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadRequest(f"seconds={one_line(seconds, 40)!r}: should be a number")
    if not 0 <= seconds <= _MAX_SECONDS:
        raise BadRequest(f"seconds={seconds}: should be 0 to {_MAX_SECONDS}")
    return machine.vm.jiffies + round(seconds * machine.vm.HZ)


def _check(machine: object, seed: object, steps_per_jiffy: int) -> None:
    if not isinstance(machine, Machine):
        raise BadRequest(f"machine={one_line(machine, 40)!r}: should be a Machine")
    if not hasattr(machine.vm, "folios"):
        raise BadRequest("nobody reclaims here: boot the machine with reclaim=True")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise BadRequest(f"seed={one_line(seed, 40)!r}: should be a whole number")
    whole("steps_per_jiffy", steps_per_jiffy)
    if not 1 <= steps_per_jiffy <= _MAX_STEPS:
        raise BadRequest(f"steps_per_jiffy={steps_per_jiffy}: should be 1 to {_MAX_STEPS}")
