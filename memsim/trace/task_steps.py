"""Steps of the clock, of tasks, and of kswapd's stack.

What is more than numbers lies in Trace.values; a record has its place there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

CLOCK = 112
TASKS = 113
KSWAPD_STACK = 114


@dataclass(frozen=True, slots=True)
class Clock:
    """Time passed: jiffies."""

    NAME: ClassVar[str] = "sim:clock"
    seq: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class TasksChanged:
    """Tasks came, went or changed: `change` is the number of a TaskChange in Trace.values."""

    NAME: ClassVar[str] = "sim:tasks"
    seq: int
    change: int


@dataclass(frozen=True, slots=True)
class KswapdStack:
    """Where a node's kswapd is between two turns: numbers of Trace.values, 0 for nowhere."""

    NAME: ClassVar[str] = "sim:kswapd_stack"
    seq: int
    nid: int
    old: int
    new: int


TaskStep = Clock | TasksChanged | KswapdStack

_KINDS: dict[int, tuple[Callable[..., TaskStep], int]] = {
    CLOCK: (Clock, 2), TASKS: (TasksChanged, 1), KSWAPD_STACK: (KswapdStack, 3),
}  # fmt: skip


def is_task_step(kind: int) -> bool:
    """Is it one of these?"""
    return kind in _KINDS


def task_step(seq: int, kind: int, arguments: Sequence[int]) -> TaskStep:
    """The step that a record of the journal stands for."""
    step, nr_arguments = _KINDS[kind]
    return step(seq, *arguments[:nr_arguments])
