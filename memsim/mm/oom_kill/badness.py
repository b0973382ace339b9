"""How much a process has, in pages: the one with most is killed.

Kernel: mm/oom_kill.c oom_badness()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE
from memsim.mm.oom_kill.task import Task, find_lock_task_mm, get_mm_rss, is_global_init
from memsim.words.oom import LONG_MIN, MMF_OOM_SKIP, OOM_SCORE_ADJ_MIN, PF_KTHREAD


def oom_unkillable_task(task: Task) -> bool:
    """Is it init, or a thread of the kernel? Kernel: mm/oom_kill.c oom_unkillable_task()."""
    return is_global_init(task) or bool(task.flags & PF_KTHREAD)


def in_vfork(task: Task) -> bool:
    """Does its parent wait in vfork(), with the same mm? Kernel: include/linux/sched/mm.h."""
    return task.vfork_parent is not None and task.vfork_parent.mm is task.mm


def oom_badness(process: Task, totalpages: int) -> int:
    """Pages that killing it would free, shifted by oom_score_adj; LONG_MIN: not to be killed.

    rss, swap and page tables. 1000 of oom_score_adj count as much as totalpages.
    Kernel: mm/oom_kill.c oom_badness()
    """
    if oom_unkillable_task(process):
        return LONG_MIN
    task = find_lock_task_mm(process)
    if task is None or task.mm is None:
        return LONG_MIN
    adj, mm = task.signal.oom_score_adj, task.mm
    if adj == OOM_SCORE_ADJ_MIN or mm.flags & MMF_OOM_SKIP or in_vfork(task):
        return LONG_MIN
    points = get_mm_rss(mm) + mm.swapents + mm.pgtables_bytes // PAGE_SIZE
    # divided first: below 1000 pages of memory oom_score_adj weighs nothing
    return points + adj * (totalpages // 1000)
