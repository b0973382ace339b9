"""Which task runs, as far as memory goes: no time is shared out here.

Kernel: kernel/sched/core.c context_switch()
"""

from __future__ import annotations

from memsim.mm.current import Current
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.task import Task, tsk_is_oom_victim


def switch_to(vm: Vm, task: Task) -> None:
    """From here on this task asks, from nowhere in particular: for files, pages, and to kill."""
    vm.oom.current, vm.current = task, Current()
    vm.current.oom_victim = tsk_is_oom_victim(task)
    vm.current.fatal_signal_pending = task.fatal_signal
