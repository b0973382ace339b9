"""A task asks the kernel for something, and returns to user mode.

Kernel: include/linux/resume_user_mode.h resume_user_mode_work()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from memsim.mm.memcontrol.high import mem_cgroup_handle_over_high
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.task import Task, tsk_is_oom_victim
from memsim.words.gfp import GFP_KERNEL

T = TypeVar("T")


def run_as(vm: Vm, task: Task, call: Callable[[], T]) -> T:
    """Do something as a task; on its way out it reclaims what it charged above memory.high."""
    had, vm.oom.current = vm.oom.current, task
    asks = vm.current.oom_victim, vm.current.fatal_signal_pending
    vm.current.oom_victim = tsk_is_oom_victim(task)
    vm.current.fatal_signal_pending = task.fatal_signal
    result = call()
    mem_cgroup_handle_over_high(vm, GFP_KERNEL)
    vm.current.oom_victim, vm.current.fatal_signal_pending = asks
    vm.oom.current = had
    return result
