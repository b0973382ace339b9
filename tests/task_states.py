"""What of a Machine's tasks, its clock and its daemons steps may change, as plain data."""

from __future__ import annotations

from typing import Any

from folio_states import state_of

from memsim import Machine
from memsim.mm.oom_kill.task import Mm, Task
from memsim.trace.mempolicy_steps import TASK_POLICY_FIELD_NAMES
from memsim.trace.steps import Step
from memsim.words.compaction import NODE_COMPACT_FIELDS


def _mm(mm: Mm | None) -> dict[str, Any] | None:
    if mm is None:
        return None
    return {name: getattr(mm, name) for name in Mm.__slots__} | {
        "pages": list(mm.pages), "areas": list(mm.areas),
    }  # fmt: skip


def _task(task: Task) -> tuple[Any, ...]:
    signal = task.signal
    return (
        task.pid, task.comm, task.uid, task.flags, task.memdie, task.fatal_signal,
        task.uninterruptible, task.oom_reaper_timer, _mm(task.mm), signal.oom_score_adj,
        signal.group_exit, [thread.pid for thread in signal.threads], _mm(signal.oom_mm),
        task.memcg and task.memcg.path,
        [getattr(task.mempolicy, name) for name in TASK_POLICY_FIELD_NAMES],
    )  # fmt: skip


def all_of(machine: Machine) -> dict[str, Any]:
    """state_of(), and tasks, the log, the time, kswapd's stack and kcompactd's orders."""
    vm, oom = machine.vm, machine.vm.oom
    return state_of(machine) | {
        "tasks": [_task(task) for task in oom.processes],
        "waiting": [_task(task) for task in oom.waiting],
        "reaper_list": [_task(task) for task in oom.reaper_list],
        "oom": (oom.oom_victims, oom.nr_oom_kill, oom.panic, oom.next_pid, oom.dying),
        "log": list(oom.log),
        "jiffies": vm.jiffies,
        "stacks": [pgdat.kswapd_stack for pgdat in vm.nodes],
        "kcompactd": [[getattr(node, name) for name in NODE_COMPACT_FIELDS] for node in vm.nodes],
    }


def steps_of(machine: Machine, kind: type[Step]) -> list[Step]:
    """Steps of one kind."""
    return [step for step in machine.steps() if isinstance(step, kind)]
