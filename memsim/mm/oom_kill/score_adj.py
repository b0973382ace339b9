"""How a process is made a likelier victim, or none.

Kernel: fs/proc/base.c __set_oom_adj()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.badness import oom_unkillable_task
from memsim.mm.oom_kill.journal import tasks_change
from memsim.mm.oom_kill.task import Task, find_lock_task_mm, process_shares_mm
from memsim.trace.events import OOM_SCORE_ADJ_UPDATE, TP_OOM_SCORE_ADJ_UPDATE
from memsim.trace.oom_events import OomScoreAdjUpdate
from memsim.words.errno import EINVAL
from memsim.words.oom import MMF_MULTIPROCESS, OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MIN


def set_oom_score_adj(vm: Vm, process: Task, oom_score_adj: int) -> int:
    """Write /proc/PID/oom_score_adj: 0, or -EINVAL. All who share the mm get it too.

    But for a child whose parent waits in vfork(), which will have an mm of its own.
    NOT MODELLED: who may lower it (oom_score_adj_min). Kernel: fs/proc/base.c __set_oom_adj()
    """
    if not OOM_SCORE_ADJ_MIN <= oom_score_adj <= OOM_SCORE_ADJ_MAX:
        return -EINVAL
    tasks_change(vm)
    process.signal.oom_score_adj = oom_score_adj
    if vm.trace.mask & TP_OOM_SCORE_ADJ_UPDATE:
        event = OomScoreAdjUpdate(process.pid, process.comm, oom_score_adj)
        vm.trace.emit(OOM_SCORE_ADJ_UPDATE, *event.record(vm.trace.number_of))
    for other in _sharers(vm, process):
        other.signal.oom_score_adj = oom_score_adj
    return 0


def _sharers(vm: Vm, process: Task) -> list[Task]:
    """Processes with its mm that get its score with it; vfork_done is set in neither."""
    task = find_lock_task_mm(process)
    mm = None if task is None else task.mm
    if mm is None or process.vfork_parent is not None or not mm.flags & MMF_MULTIPROCESS:
        return []
    sharers = [other for other in vm.oom.processes if process_shares_mm(other, mm)]
    return [p for p in sharers if p.vfork_parent is None and not oom_unkillable_task(p)]
