"""Tasks, their memory and their memory cgroups: what the OOM killer looks at.

A process is a thread group: its threads share a Signal, and as a rule an Mm. Masks of nodes are
ints with bit n for node n; NULL where there is none.

Kernel: include/linux/sched.h, include/linux/mm_types.h, include/linux/sched/signal.h
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from memsim.words.mempolicy import MAX_NUMNODES, MPOL_DEFAULT
from memsim.words.mmzone import NULL
from memsim.words.oom import MMF_MULTIPROCESS

if TYPE_CHECKING:
    from memsim.mm.memcontrol.state import MemCgroup
    from memsim.mm.oom_kill.journal import Tasks


@dataclass(slots=True, eq=False)
class Mm:
    """struct mm_struct: an address space. Sizes are pages, pgtables_bytes is bytes.

    shared_filepages of the filepages are in mappings with VM_SHARED, as are all shmempages: the
    reaper leaves those. `pages` are pfns of order-0 pages that unmapping gives back, if the model
    has them; `areas` are regions, (number of the mapping, pages), whose folios it gives back.
    `mmap_locked`: somebody holds mmap_lock for writing.
    """

    total_vm: int = 0
    anonpages: int = 0
    filepages: int = 0
    shmempages: int = 0
    swapents: int = 0
    pgtables_bytes: int = 0
    shared_filepages: int = 0
    flags: int = 0
    mm_users: int = 0
    mmap_locked: bool = False
    pages: list[int] = field(default_factory=list)
    areas: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Signal:
    """struct signal_struct: what the threads of a process share. oom_mm: set in a victim."""

    oom_score_adj: int = 0
    oom_mm: Mm | None = None
    oom_flag_origin: bool = False
    group_exit: bool = False
    core_state: bool = False
    threads: list[Task] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class TaskPolicy:
    """task_struct's mempolicy, il_prev and il_weight. `nodes` is a mask; MPOL_DEFAULT is no policy.

    il_prev: the node that interleaving took last; il_weight: how many pages more it may give.
    """

    mode: int = MPOL_DEFAULT
    nodes: int = 0
    il_prev: int = MAX_NUMNODES - 1
    il_weight: int = 0


@dataclass(slots=True, eq=False)
class Task:
    """struct task_struct: one thread. mm is None for a kernel thread, and when it has exited.

    mems_allowed: the nodes of its cpuset; NULL is all.
    vfork_parent: whom it lets wait, until it execs. memcg None is the root. uninterruptible: it
    waits for a device, and cannot die meanwhile. oom_reaper_timer: when the reaper may come.
    """

    pid: int
    comm: str
    signal: Signal
    mm: Mm | None = None
    uid: int = 0
    flags: int = 0
    mempolicy: TaskPolicy = field(default_factory=TaskPolicy)
    mems_allowed: int = NULL
    cpuset: str = "/"
    memcg: MemCgroup | None = None
    vfork_parent: Task | None = None
    memdie: bool = False
    fatal_signal: bool = False
    cpu: int = 0
    uninterruptible: bool = False
    oom_reaper_timer: int = 0

    @property
    def tgid(self) -> int:
        """The pid of the group's leader."""
        return self.signal.threads[0].pid


class OomState:
    """The globals of mm/oom_kill.c, the tasks, and the log. Swap sizes are pages.

    `processes` are leaders in the order of for_each_process(): that of their start. `current` is
    the running task. `notifier_freed`: pages that the notifiers give back when they are called.
    `waiting` are victims whose two seconds are not over, `reaper_list` those that the reaper will
    take, last come first. `panic` is what the kernel dies of, or "".
    """

    __slots__ = (
        "processes", "current", "panic_on_oom", "oom_kill_allocating_task", "oom_dump_tasks",
        "oom_killer_disabled", "oom_victims", "notifier_freed", "total_swap_pages",
        "free_swap_pages", "waiting", "reaper_list", "nr_oom_kill", "log", "panic", "next_pid",
        "before", "dying",
    )  # fmt: skip

    def __init__(self) -> None:
        self.processes: list[Task] = []
        self.panic_on_oom = 0
        self.oom_kill_allocating_task = 0
        self.oom_dump_tasks = 1
        self.oom_killer_disabled = False
        self.oom_victims = 0
        self.notifier_freed = 0
        self.total_swap_pages = self.free_swap_pages = 0
        self.waiting: list[Task] = []
        self.reaper_list: list[Task] = []
        self.nr_oom_kill = 0
        self.log: list[str] = []
        self.panic = ""
        #: Below it are the kernel's own threads, and what boot started.
        self.next_pid = 100
        #: Somebody was killed who is still there.
        self.dying = False
        #: Tasks as they were before the operation that runs changed one: journal.py.
        self.before: Tasks | None = None
        self.current = add_process(self, 1, "init", Mm())


def add_process(
    oom: OomState,
    pid: int,
    comm: str,
    mm: Mm | None,
    *,
    uid: int = 0,
    oom_score_adj: int = 0,
    flags: int = 0,
    memcg: MemCgroup | None = None,
    vfork_parent: Task | None = None,
) -> Task:
    """A new process of one thread, the last in the list. mm may be another process's too."""
    task = Task(pid, comm, Signal(oom_score_adj), mm, uid, flags, memcg=memcg)
    task.vfork_parent = vfork_parent
    if mm is not None and mm.mm_users and vfork_parent is None:
        mm.flags |= MMF_MULTIPROCESS
    oom.processes.append(_joined(task))
    return task


def add_thread(leader: Task, pid: int, comm: str) -> Task:
    """A new thread of the leader's process, in the same address space."""
    policy = replace(leader.mempolicy)
    return _joined(
        replace(leader, pid=pid, comm=comm, mempolicy=policy, vfork_parent=None, memdie=False)
    )


def _joined(task: Task) -> Task:
    """The task, in its group and among the users of its mm."""
    task.signal.threads.append(task)
    if task.mm is not None:
        task.mm.mm_users += 1
    return task


def get_mm_rss(mm: Mm) -> int:
    """Resident pages. Kernel: include/linux/mm.h get_mm_rss()."""
    return mm.filepages + mm.anonpages + mm.shmempages


def is_global_init(task: Task) -> bool:
    """Is it in the process with pid 1? Kernel: include/linux/pid.h is_global_init()."""
    return task.tgid == 1


def task_of_pid(oom: OomState, pid: int) -> Task | None:
    """The thread with this number, if there is one."""
    threads = [task for process in oom.processes for task in process.signal.threads]
    return next((task for task in threads if task.pid == pid), None)


def owner_of_area(oom: OomState, number: int) -> Task | None:
    """The process that has a region, by the number of its mapping. Kernel: vma->vm_mm->owner."""
    for process in oom.processes:
        if process.mm is not None and number in [area for area, _ in process.mm.areas]:
            return process
    return None


def tsk_is_oom_victim(task: Task) -> bool:
    """Was its process chosen before? Kernel: include/linux/oom.h tsk_is_oom_victim()."""
    return task.signal.oom_mm is not None


def process_shares_mm(process: Task, mm: Mm) -> bool:
    """Does the first thread that still has an mm have this one?

    Kernel: mm/oom_kill.c process_shares_mm()
    """
    return next((t.mm for t in process.signal.threads if t.mm is not None), None) is mm


def find_lock_task_mm(process: Task) -> Task | None:
    """The first thread that still has an mm. Kernel: mm/oom_kill.c find_lock_task_mm()."""
    return next((task for task in process.signal.threads if task.mm is not None), None)
