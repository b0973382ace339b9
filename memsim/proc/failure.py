"""A report of a failed request or of the OOM killer as data: read from a log, written as by 6.12.

Kernel: mm/page_alloc.c warn_alloc(), mm/oom_kill.c dump_header()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from memsim.mm.mem_info import MemInfo
from memsim.mm.oom_kill.badness import oom_badness
from memsim.mm.oom_kill.lines import (
    TASKS_HEAD,
    Chosen,
    Invoked,
    Killed,
    MemcgUse,
    Reaped,
    TaskRow,
)
from memsim.mm.oom_kill.task import Mm, OomState, Task, add_process
from memsim.mm.show_mem import K, failure_line
from memsim.words.oom import PAGE_COUNTER_MAX

#: The name of the OOM killer's reports; others are named by what failed.
OOM = "oom"
SLABS_HEAD = ("Unreclaimable slab info:", "Name                      Used          Total")


class SlabRow(NamedTuple):
    """A cache of "Unreclaimable slab info", in kB."""

    name: str
    used: int
    total: int

    def line(self) -> str:
        """As dump_unreclaimable_slab() prints it."""
        return f"{self.name:<17} {self.used:10d}KB {self.total:10d}KB"


@dataclass
class FailureReport:
    """One report. What a log does not tell is None, "" or empty.

    `what`: OOM, or what failed ("page allocation failure: order:4"). gfp_mask: by its names, as
    the reference kernel numbers them; told_mask: the number in the log. `line` is its first, and
    `lines` tells where its parts are: "zone 0 DMA32", "tasks", "chosen" and so on; "mem":
    the last about memory.
    """

    what: str
    comm: str
    order: int
    gfp_mask: int
    told_mask: int
    line: int = 0
    oom_score_adj: int = 0
    nodemask: str = "(null)"
    cpuset: str = ""
    mems_allowed: str = ""
    pid: int | None = None
    mem: MemInfo | None = None
    memcg: MemcgUse | None = None
    memcg_path: str = ""
    memcg_stat: list[tuple[str, int]] = field(default_factory=list)
    slabs: list[SlabRow] = field(default_factory=list)
    tasks: list[TaskRow] = field(default_factory=list)
    chosen: Chosen | None = None
    killed: list[Killed] = field(default_factory=list)
    reaped: list[Reaped] = field(default_factory=list)
    panic: str = ""
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def is_oom(self) -> bool:
        """Of the OOM killer, and not of a request that failed?"""
        return self.what == OOM


def write_report(report: FailureReport) -> list[str]:
    """The report as 6.12 lays it out, without its stack."""
    lines = [_first_line(report)]
    if report.memcg is not None:
        lines += report.memcg.lines(report.memcg_path, report.memcg_stat)
    if report.mem is not None:
        lines += report.mem.lines()
    if report.slabs:
        lines += [*SLABS_HEAD, *(row.line() for row in report.slabs)]
    if report.tasks:
        lines += [*TASKS_HEAD, *(row.line() for row in report.tasks)]
    if report.chosen is not None:
        lines.append(report.chosen.line())
    lines += [killed.line() for killed in report.killed]
    return lines + [reaped.line() for reaped in report.reaped]


def _first_line(report: FailureReport) -> str:
    if report.is_oom:
        return Invoked(report.comm, report.told_mask, report.order, report.oom_score_adj).line()
    return failure_line(
        report.comm, report.what, report.told_mask, report.nodemask, report.cpuset,
        report.mems_allowed,
    )  # fmt: skip


def add_tasks(oom: OomState, report: FailureReport) -> list[Task]:
    """Give a model the tasks of the report, in their order."""
    return [_process(oom, row) for row in report.tasks]


def _process(oom: OomState, row: TaskRow) -> Task:
    mm = Mm(
        row.total_vm, row.rss_anon, row.rss_file, row.rss_shmem, row.swapents, row.pgtables_bytes
    )
    # kernels before 6.8 tell the sum alone
    mm.anonpages += row.rss - row.rss_anon - row.rss_file - row.rss_shmem
    task = add_process(oom, row.tgid, row.name, mm, uid=row.uid, oom_score_adj=row.oom_score_adj)
    task.pid = row.pid
    return task


def totalpages(report: FailureReport) -> int:
    """What 1000 of oom_score_adj weigh, in pages: memory and swap, or a memcg's limit.

    A memcg whose swap has no limit may use all of the machine's, which its report does not tell:
    that counts as none.
    """
    if report.memcg is not None:
        swap = report.memcg.swap_limit
        swap = swap if 0 <= swap < K(PAGE_COUNTER_MAX) else 0
        return max((report.memcg.limit + swap) // K(1), 1)
    last = report.mem.last if report.mem is not None else {}
    managed = last.get("ram", 0) - last.get("reserved", 0)
    return managed + last.get("total_swap", 0) // K(1)


def points(report: FailureReport) -> list[tuple[TaskRow, int]]:
    """Each task's oom_badness(), in the table's order; LONG_MIN: never killed.

    NOT MODELLED: pages that are larger than 4 KiB, as arm64 may have them.
    """
    total = totalpages(report)
    tasks = add_tasks(OomState(), report)
    return [(row, oom_badness(task, total)) for row, task in zip(report.tasks, tasks, strict=True)]
