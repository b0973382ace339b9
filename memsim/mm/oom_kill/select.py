"""The process with the most points, of those that may be killed and would help.

Kernel: mm/oom_kill.c select_bad_process()
"""

from __future__ import annotations

from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.badness import oom_badness, oom_unkillable_task
from memsim.mm.oom_kill.constraint import OomControl, oom_cpuset_eligible
from memsim.mm.oom_kill.task import Task, tsk_is_oom_victim
from memsim.words.oom import LONG_MAX, LONG_MIN, MMF_OOM_SKIP


def scanned(vm: Vm, memcg: MemCgroup | None) -> list[Task]:
    """Processes in the order in which they are looked at; those of a memcg alone, if there is one.

    NOT MODELLED: that a memcg has them in the order in which they joined it.
    Kernel: for_each_process(), mm/memcontrol.c mem_cgroup_scan_tasks()
    """
    return [task for task in vm.oom.processes if memcg is None or task.memcg is memcg]


def is_candidate(vm: Vm, process: Task, oc: OomControl) -> bool:
    """Is it looked at at all? The table of tasks has the same ones."""
    if oom_unkillable_task(process):
        return False
    return oc.memcg is not None or oom_cpuset_eligible(vm, process, oc)


def oom_evaluate_task(vm: Vm, process: Task, oc: OomControl) -> bool:
    """Look at one process; True ends the search, as a victim is dying already.

    Of two with as many points the later one is taken.
    Kernel: mm/oom_kill.c oom_evaluate_task()
    """
    if not is_candidate(vm, process, oc):
        return False
    oom_mm = process.signal.oom_mm
    if not oc.is_sysrq_oom and tsk_is_oom_victim(process) and oom_mm is not None:
        oc.aborted = not oom_mm.flags & MMF_OOM_SKIP
        return oc.aborted
    points = LONG_MAX
    if not process.signal.oom_flag_origin:
        points = oom_badness(process, oc.totalpages)
        if points == LONG_MIN or points < oc.chosen_points:
            return False
    oc.chosen, oc.chosen_points = process, points
    return False


def select_bad_process(vm: Vm, oc: OomControl) -> None:
    """Set oc.chosen, or oc.aborted. Kernel: mm/oom_kill.c select_bad_process()."""
    oc.chosen_points = LONG_MIN
    for process in scanned(vm, oc.memcg):
        if oom_evaluate_task(vm, process, oc):
            oc.chosen = None
            return
