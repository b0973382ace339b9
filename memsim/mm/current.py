"""The task that asks for memory, as far as the allocator looks at it.

Kernel: include/linux/sched.h struct task_struct, include/linux/preempt.h
"""

from __future__ import annotations

from memsim.words.mempolicy import MAX_NUMNODES, MPOL_DEFAULT
from memsim.words.task import PF_MEMALLOC


class TaskPolicy:
    """task_struct's mempolicy, il_prev and il_weight. `nodes` is a mask; MPOL_DEFAULT is no policy.

    il_prev: the node that interleaving took last; il_weight: how many pages more it may give.
    """

    __slots__ = ("il_prev", "il_weight", "mode", "nodes")

    def __init__(self) -> None:
        self.mode = MPOL_DEFAULT
        self.nodes = 0
        self.il_prev = MAX_NUMNODES - 1
        self.il_weight = 0


class Current:
    """current: what it is in the middle of (PF_*), and from where it asks.

    NOT MODELLED: PF_MEMALLOC_NOFS, PF_MEMALLOC_NOIO, PF_MEMALLOC_PIN, which change masks.
    """

    __slots__ = (
        "bh_disabled", "fatal_signal_pending", "flags", "in_hardirq", "in_lru_fault",
        "in_serving_softirq", "mempolicy", "oom_victim", "rt_or_dl",
    )  # fmt: skip

    def __init__(self, flags: int = 0) -> None:
        self.flags = flags
        self.mempolicy = TaskPolicy()
        #: tsk_is_oom_victim(): the OOM killer chose it.
        self.oom_victim = False
        #: It is in a page fault: lru_gen_in_fault().
        self.in_lru_fault = False
        self.fatal_signal_pending = False
        #: rt_or_dl_task(): a realtime or deadline task.
        self.rt_or_dl = False
        #: Who asks is an interrupt that came into it, hard or soft; or it holds soft ones off.
        self.in_hardirq = self.in_serving_softirq = self.bh_disabled = False


def in_task(task: Current) -> bool:
    """Is it the task itself that asks? Kernel: include/linux/preempt.h in_task()."""
    return not task.in_hardirq and not task.in_serving_softirq


def in_interrupt(task: Current) -> bool:
    """An interrupt, or a task that holds soft ones off?

    Kernel: include/linux/preempt.h in_interrupt()
    """
    return task.in_hardirq or task.in_serving_softirq or task.bh_disabled


def memalloc_noreclaim_save(task: Current) -> int:
    """From here on the task does not reclaim. Returns what memalloc_noreclaim_restore() wants.

    Kernel: include/linux/sched/mm.h memalloc_noreclaim_save()
    """
    had = task.flags & PF_MEMALLOC
    task.flags |= PF_MEMALLOC
    return had


def memalloc_noreclaim_restore(task: Current, had: int) -> None:
    """Back to what it was. Kernel: include/linux/sched/mm.h memalloc_noreclaim_restore()."""
    task.flags = task.flags & ~PF_MEMALLOC | had
