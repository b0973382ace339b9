"""What becomes of tasks as a step: what they were like before an operation, and behind it.

Whatever changes tasks calls tasks_change() first. The rest is found by comparing, when the
operation ends; so no line has to remember to report a field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.task import Mm, OomState, Signal, Task
from memsim.trace.events import TP_STEPS
from memsim.trace.task_steps import TASKS, TasksChanged

_Struct = OomState | Task | Signal | Mm
#: A struct, and the values of its fields; a list is kept as a tuple.
_Kept = tuple[_Struct, tuple[object, ...]]
#: Who runs is no change of a task; the log is kept by its new lines.
_NOT_KEPT = {"current", "log", "before"}


@dataclass(frozen=True)
class Tasks:
    """All tasks at one moment; `log` is its length then."""

    kept: tuple[_Kept, ...]
    log: int


@dataclass(frozen=True)
class TaskChange:
    """Tasks before an operation and behind it, and the lines that it logged."""

    before: Tasks
    after: Tasks
    lines: tuple[str, ...]


def tasks_change(vm: Vm) -> None:
    """Called in front of any change of tasks: the first call in an operation keeps all of them."""
    if vm.oom.before is None and vm.trace.mask & TP_STEPS:
        vm.oom.before = _tasks(vm.oom, _reachable(vm.oom))


def step_tasks(vm: Vm) -> None:
    """A step for what an operation did to tasks, if it did anything."""
    before, vm.oom.before = vm.oom.before, None
    if before is None:
        return
    structs = dict.fromkeys([struct for struct, _ in before.kept] + _reachable(vm.oom))
    after = _tasks(vm.oom, structs)
    if before != after:
        change = TaskChange(before, after, tuple(vm.oom.log[before.log :]))
        vm.trace.step(TASKS, vm.trace.keep(change))


def apply_task_step(vm: Vm, step: TasksChanged, backwards: bool) -> None:
    """Do a step again, or undo it. A machine made from a snapshot has no tasks to change."""
    if step.change >= len(vm.trace.values):
        return
    change = vm.trace.values[step.change]
    assert isinstance(change, TaskChange)
    for struct, values in (change.before if backwards else change.after).kept:
        for name, value in zip(_fields(struct), values, strict=True):
            setattr(struct, name, list(value) if isinstance(value, tuple) else value)
    log = vm.oom.log
    log[change.before.log :] = () if backwards else change.lines


def _fields(struct: _Struct) -> list[str]:
    return [name for name in type(struct).__slots__ if name not in _NOT_KEPT]


def _tasks(oom: OomState, structs: Iterable[_Struct]) -> Tasks:
    kept = []
    for struct in structs:
        values = [getattr(struct, name) for name in _fields(struct)]
        kept.append((struct, tuple(tuple(v) if isinstance(v, list) else v for v in values)))
    return Tasks(tuple(kept), len(oom.log))


def _reachable(oom: OomState) -> list[_Struct]:
    """The state itself, and every task, signal and mm that it leads to, each once."""
    found: dict[_Struct, None] = {oom: None}
    for process in [*oom.processes, *oom.waiting, *oom.reaper_list]:
        for task in [process, *process.signal.threads]:
            for struct in (task, task.signal, task.mm, task.signal.oom_mm):
                if struct is not None:
                    found[struct] = None
    return list(found)
