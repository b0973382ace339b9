"""What undo() needs of tasks: all of them as they were, before and after a change.

Tasks change seldom and in many ways at once, so a step names two states that are kept whole here.
Objects stay the same ones: their fields are put back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.task import Mm, OomState, Signal, Task
from memsim.trace.events import TP_STEPS
from memsim.trace.memcg_steps import TASKS

T = TypeVar("T")
#: Each object with the values of its fields; lists are copies.
TasksState = list[tuple[object, dict[str, Any]]]
_KEPT = (
    "processes", "oom_victims", "notifier_freed", "waiting", "reaper_list", "nr_oom_kill", "log",
    "panic",
)  # fmt: skip


def changing_tasks(vm: Vm, call: Callable[[], T]) -> T:
    """Do what may change tasks, and step it."""
    if not vm.trace.mask & TP_STEPS:
        return call()
    before = _state_of(vm.oom)
    result = call()
    after = _state_of(vm.oom)
    if before != after:
        states = vm.oom.states
        vm.trace.step(TASKS, len(states), len(states) + 1)
        states += [before, after]
    return result


def put_tasks(vm: Vm, number: int) -> None:
    """Back to a state that was kept. A machine made from a snapshot has none."""
    if number < len(vm.oom.states):
        for object_, values in vm.oom.states[number]:
            for name, value in values.items():
                setattr(object_, name, _copied(value))


def _state_of(oom: OomState) -> TasksState:
    objects: list[object] = [task for process in oom.processes for task in process.signal.threads]
    signals = [process.signal for process in oom.processes]
    mms = [task.mm or task.signal.oom_mm for task in objects if isinstance(task, Task)]
    objects += [*_once(signals), *_once([mm for mm in mms if mm is not None])]
    state = [(found, _values(found)) for found in objects]
    return [(oom, {name: _copied(getattr(oom, name)) for name in _KEPT}), *state]


def _once(objects: list[Any]) -> list[Any]:
    return list({id(found): found for found in objects}.values())


def _values(found: object) -> dict[str, Any]:
    assert isinstance(found, Task | Signal | Mm)
    return {field.name: _copied(getattr(found, field.name)) for field in fields(found)}


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value
