"""Who is dying: marked as a victim, or about to give its memory back by itself.

Kernel: mm/oom_kill.c mark_oom_victim(), task_will_free_mem()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.task import Task, process_shares_mm
from memsim.mm.show_mem import K
from memsim.trace.events import MARK_VICTIM, TP_MARK_VICTIM
from memsim.trace.oom_events import MarkVictim
from memsim.words.oom import MMF_OOM_SKIP, PF_EXITING


def mark_oom_victim(vm: Vm, task: Task) -> None:
    """Let the task have the reserves, so that it can die. Kernel: mm/oom_kill.c mark_oom_victim().

    What ALLOC_OOM goes by is vm.current.oom_victim: of the task that runs.
    """
    mm, signal = task.mm, task.signal
    if task.memdie or mm is None:
        return
    task.memdie = True
    if signal.oom_mm is None:
        signal.oom_mm = mm
    vm.oom.oom_victims += 1
    vm.oom.dying = True
    if vm.trace.mask & TP_MARK_VICTIM:
        event = MarkVictim(
            task.pid, task.comm, K(mm.total_vm), K(mm.anonpages), K(mm.filepages),
            K(mm.shmempages), task.uid, mm.pgtables_bytes >> 10, signal.oom_score_adj,
        )  # fmt: skip
        vm.trace.emit(MARK_VICTIM, *event.record(vm.trace.number_of))


def _task_will_free_mem(task: Task) -> bool:
    """Is its whole process about to exit? Kernel: mm/oom_kill.c __task_will_free_mem()."""
    if task.signal.core_state:
        return False
    if task.signal.group_exit:
        return True
    return len(task.signal.threads) == 1 and bool(task.flags & PF_EXITING)


def task_will_free_mem(vm: Vm, task: Task) -> bool:
    """Is it, and all who share its memory, about to give that back?

    Kernel: mm/oom_kill.c task_will_free_mem()
    """
    mm = task.mm
    if mm is None or not _task_will_free_mem(task) or mm.flags & MMF_OOM_SKIP:
        return False
    if mm.mm_users <= 1:
        return True
    return all(
        _task_will_free_mem(process)
        for process in vm.oom.processes
        if process_shares_mm(process, mm) and process.signal is not task.signal
    )
