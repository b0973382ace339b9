"""The lines that the OOM killer prints, as data that a recorded log can be read into too.

Kernel: mm/oom_kill.c
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.words.gfp import show_gfp_flags

TASKS_HEAD = (
    "Tasks state (memory values in pages):",
    "[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents "
    "oom_score_adj name",
)


class Invoked(NamedTuple):
    """Who asked for what. Kernel: mm/oom_kill.c dump_header()."""

    comm: str
    gfp_mask: int
    order: int
    oom_score_adj: int

    def line(self) -> str:
        """The first line of a report."""
        return (
            f"{self.comm} invoked oom-killer: gfp_mask={self.gfp_mask:#x}"
            f"({show_gfp_flags(self.gfp_mask)}), order={self.order}, "
            f"oom_score_adj={self.oom_score_adj}"
        )


class MemcgUse(NamedTuple):
    """What a memcg has and may have, in kB. Kernel: mm/memcontrol.c mem_cgroup_print_oom_meminfo().

    A swap_limit below 0: the log is of a kernel that does not tell it.
    """

    usage: int
    limit: int
    failcnt: int
    swap_usage: int = 0
    swap_limit: int = -1
    swap_failcnt: int = 0

    def lines(self, path: str, stat: list[tuple[str, int]]) -> list[str]:
        """As they are printed; stat has the rows of memory.stat."""
        return [
            f"memory: usage {self.usage}kB, limit {self.limit}kB, failcnt {self.failcnt}",
            f"swap: usage {self.swap_usage}kB, limit {self.swap_limit}kB, "
            f"failcnt {self.swap_failcnt}",
            f"Memory cgroup stats for {path}:",
            *(f"{name} {value}" for name, value in stat),
        ]


class TaskRow(NamedTuple):
    """A row of the table of tasks, sizes in pages. Kernel: mm/oom_kill.c dump_task()."""

    pid: int
    uid: int
    tgid: int
    total_vm: int
    rss: int
    rss_anon: int
    rss_file: int
    rss_shmem: int
    pgtables_bytes: int
    swapents: int
    oom_score_adj: int
    name: str

    def line(self) -> str:
        """As it is printed."""
        return (
            f"[{self.pid:7d}] {self.uid:5d} {self.tgid:5d} {self.total_vm:8d} {self.rss:8d} "
            f"{self.rss_anon:8d} {self.rss_file:8d} {self.rss_shmem:9d} "
            f"{self.pgtables_bytes:8d} {self.swapents:8d}         {self.oom_score_adj:5d} "
            f"{self.name}"
        )


class Chosen(NamedTuple):
    """The line that sums up: limits, and the victim. oom_memcg "": no memcg is over its limit.

    Kernel: mm/oom_kill.c dump_oom_victim(), mm/memcontrol.c mem_cgroup_print_oom_context()
    """

    constraint: str
    nodemask: str
    cpuset: str
    mems_allowed: str
    oom_memcg: str
    task_memcg: str
    task: str
    pid: int
    uid: int

    def line(self) -> str:
        """As it is printed."""
        domain = f"oom_memcg={self.oom_memcg}" if self.oom_memcg else "global_oom"
        return (
            f"oom-kill:constraint={self.constraint},nodemask={self.nodemask},"
            f"cpuset={self.cpuset},mems_allowed={self.mems_allowed},{domain},"
            f"task_memcg={self.task_memcg},task={self.task},pid={self.pid},uid={self.uid}"
        )


class Killed(NamedTuple):
    """Who was killed, and what it had, in kB. Kernel: mm/oom_kill.c __oom_kill_process()."""

    message: str
    pid: int
    comm: str
    total_vm: int
    anon_rss: int
    file_rss: int
    shmem_rss: int
    uid: int
    pgtables: int
    oom_score_adj: int

    def line(self) -> str:
        """As it is printed."""
        return (
            f"{self.message}: Killed process {self.pid} ({self.comm}) "
            f"total-vm:{self.total_vm}kB, anon-rss:{self.anon_rss}kB, "
            f"file-rss:{self.file_rss}kB, shmem-rss:{self.shmem_rss}kB, UID:{self.uid} "
            f"pgtables:{self.pgtables}kB oom_score_adj:{self.oom_score_adj}"
        )


class Reaped(NamedTuple):
    """What the victim still has, in kB. Kernel: mm/oom_kill.c oom_reap_task_mm()."""

    pid: int
    comm: str
    anon_rss: int
    file_rss: int
    shmem_rss: int

    def line(self) -> str:
        """As it is printed."""
        return (
            f"oom_reaper: reaped process {self.pid} ({self.comm}), now anon-rss:{self.anon_rss}kB, "
            f"file-rss:{self.file_rss}kB, shmem-rss:{self.shmem_rss}kB"
        )
