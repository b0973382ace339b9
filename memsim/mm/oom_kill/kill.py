"""The victim is killed, with all who share its memory or its group.

Kernel: mm/oom_kill.c oom_kill_process()
"""

from __future__ import annotations

from memsim.mm.memcontrol.state import MemCgroup, memcg_memory_event
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.constraint import OomControl
from memsim.mm.oom_kill.header import dump_header, dump_oom_victim
from memsim.mm.oom_kill.lines import Killed
from memsim.mm.oom_kill.reaper import queue_oom_reaper
from memsim.mm.oom_kill.select import scanned
from memsim.mm.oom_kill.task import (
    Mm,
    Task,
    find_lock_task_mm,
    is_global_init,
    process_shares_mm,
)
from memsim.mm.oom_kill.victim import mark_oom_victim, task_will_free_mem
from memsim.mm.show_mem import K
from memsim.words.memcontrol import MEMCG_OOM_GROUP_KILL, MEMCG_OOM_KILL
from memsim.words.oom import MMF_OOM_SKIP, OOM_SCORE_ADJ_MIN, PF_KTHREAD


def oom_kill_process(vm: Vm, oc: OomControl, victim: Task, message: str) -> None:
    """Report, and kill; a process that is about to exit is only let to the reserves.

    Kernel: mm/oom_kill.c oom_kill_process()
    """
    if task_will_free_mem(vm, victim):
        mark_oom_victim(vm, victim)
        queue_oom_reaper(vm, victim)
        return
    dump_header(vm, oc)
    dump_oom_victim(vm, oc, victim)
    # looked up first: whoever is killed may leave its group
    oom_group = mem_cgroup_get_oom_group(victim, oc.memcg)
    _oom_kill_process(vm, victim, message)
    if oom_group is not None:
        _kill_group(vm, oom_group, message)


def mem_cgroup_get_oom_group(victim: Task, oom_domain: MemCgroup | None) -> MemCgroup | None:
    """The group that dies as a whole, if any.

    Kernel: mm/memcontrol.c mem_cgroup_get_oom_group()
    """
    memcg = victim.memcg
    if memcg is None or (oom_domain is not None and memcg is not oom_domain):
        return None
    return memcg if memcg.oom_group else None


def _kill_group(vm: Vm, memcg: MemCgroup, message: str) -> None:
    """All of the group but who is spared. Kernel: mm/oom_kill.c oom_kill_memcg_member()."""
    memcg_memory_event(vm, memcg, MEMCG_OOM_GROUP_KILL)
    vm.oom.log.append(f"Tasks in {memcg.path} are going to be killed due to memory.oom.group set")
    for process in scanned(vm, memcg):
        if process.signal.oom_score_adj != OOM_SCORE_ADJ_MIN and not is_global_init(process):
            _oom_kill_process(vm, process, message)


def _oom_kill_process(vm: Vm, victim: Task, message: str) -> None:
    """Kill a process, and others that have the same mm; then the reaper may come.

    Kernel: mm/oom_kill.c __oom_kill_process()
    """
    task = find_lock_task_mm(victim)
    if task is None or task.mm is None:
        vm.oom.log.append(
            f"{message}: OOM victim {victim.pid} ({victim.comm}) is already exiting. "
            "Skip killing the task"
        )
        return
    mm = task.mm
    vm.oom.nr_oom_kill += 1
    if task.memcg is not None:
        memcg_memory_event(vm, task.memcg, MEMCG_OOM_KILL)
    _kill(task)
    mark_oom_victim(vm, task)
    vm.oom.log.append(killed_line(message, task, mm))
    if _kill_sharers(vm, task, mm):
        queue_oom_reaper(vm, task)


def killed_line(message: str, task: Task, mm: Mm) -> str:
    """What the victim had."""
    return Killed(
        message, task.pid, task.comm, K(mm.total_vm), K(mm.anonpages), K(mm.filepages),
        K(mm.shmempages), task.uid, mm.pgtables_bytes >> 10, task.signal.oom_score_adj,
    ).line()  # fmt: skip


def _kill(task: Task) -> None:
    """SIGKILL for a whole process. Kernel: do_send_sig_info() with SIGKILL."""
    for thread in task.signal.threads:
        thread.fatal_signal = True
    task.signal.group_exit = True


def _kill_sharers(vm: Vm, victim: Task, mm: Mm) -> bool:
    """Kill other processes with the same mm; False when one cannot be, so the mm stays."""
    can_oom_reap = True
    for process in vm.oom.processes:
        if process.signal is victim.signal or not process_shares_mm(process, mm):
            continue
        if is_global_init(process):
            can_oom_reap = False
            mm.flags |= MMF_OOM_SKIP
            vm.oom.log.append(
                f"oom killer {victim.pid} ({victim.comm}) has mm pinned by "
                f"{process.pid} ({process.comm})"
            )
        elif not process.flags & PF_KTHREAD:
            _kill(process)
    return can_oom_reap
