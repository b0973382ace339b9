"""Who was killed, and why: the table of tasks by the kernel's own measure."""

from __future__ import annotations

from memsim.mm.oom_kill.lines import TaskRow
from memsim.proc.explain.finding import Finding, size_of
from memsim.proc.failure import FailureReport, points, totalpages
from memsim.words.oom import LONG_MIN, OOM_SCORE_ADJ_MIN

#: What limits each kind of request.
_CONSTRAINTS = {
    "CONSTRAINT_NONE": "nothing limited the request: all of memory was short",
    "CONSTRAINT_CPUSET": "the cpuset's nodes were short; others may have had memory",
    "CONSTRAINT_MEMORY_POLICY": "the nodes of the task's memory policy were short; others may "
    "have had memory",
    "CONSTRAINT_MEMCG": "a memory cgroup was at its limit; the machine may have had memory",
}


def worst(report: FailureReport) -> TaskRow | None:
    """Who has most points; of equals the last, as the kernel takes it."""
    scored = [(score, at) for at, (_, score) in enumerate(points(report)) if score != LONG_MIN]
    return report.tasks[max(scored)[1]] if scored else None


def victim_findings(report: FailureReport, *, total_known: bool = True) -> list[Finding]:
    """About the table of tasks, the choice, the kill, and what the reaper got.

    total_known: without totalpages() nobody's points can be told.
    """
    points_finding = _points(report) if total_known else []
    return [*_table(report), *_choice(report), *points_finding, *_killed(report)]


def _table(report: FailureReport) -> list[Finding]:
    if not report.tasks:
        return []
    rss = sum(row.rss for row in report.tasks)
    spared = [row for row in report.tasks if row.oom_score_adj == OOM_SCORE_ADJ_MIN]
    says = f"{len(report.tasks)} processes, {size_of(rss)} resident; shared pages count in each."
    if spared:
        most = max(spared, key=lambda row: row.rss)
        says += (
            f" {len(spared)} of them may not be killed (oom_score_adj -1000); of those "
            f"{most.name} ({most.pid}) has most: {size_of(most.rss)}."
        )
    return [Finding(report.lines.get("tasks", 0), "tasks", says)]


def _choice(report: FailureReport) -> list[Finding]:
    chosen = report.chosen
    if chosen is None:
        return []
    says = f"{_CONSTRAINTS.get(chosen.constraint, chosen.constraint)}. Victim: "
    says += f"{chosen.task} ({chosen.pid})."
    return [Finding(report.lines.get("chosen", 0), "choice", says)]


def _points(report: FailureReport) -> list[Finding]:
    if not report.tasks:
        return []
    return [Finding(report.lines.get("tasks", 0), "points", _points_said(report))]


def _points_said(report: FailureReport) -> str:
    """The sums of the victim and of who comes next."""
    scored = {row.pid: (row, score) for row, score in points(report) if score != LONG_MIN}
    if not scored:
        return "No process in the table may be killed."
    ranked = sorted(scored.values(), key=lambda pair: pair[1], reverse=True)
    first = worst(report)
    assert first is not None
    says = f"Most points: {_sum_said(first, scored[first.pid][1], report)}."
    others = [pair for pair in ranked if pair[0].pid != first.pid]
    if others:
        says += f" Next: {others[0][0].name} ({others[0][0].pid}) with {others[0][1]}."
    chosen = report.chosen
    if chosen is not None and chosen.pid != first.pid:
        says += (
            f" The kernel took {chosen.task} ({chosen.pid}): the table was not yet what it saw, or "
            "sysctl vm.oom_kill_allocating_task is on, or that task asked to be first."
        )
    return says


def _sum_said(row: TaskRow, score: int, report: FailureReport) -> str:
    weight = totalpages(report) // 1000
    return (
        f"{row.name} ({row.pid}) with {row.rss} rss + {row.swapents} swap + "
        f"{row.pgtables_bytes // 4096} page tables + oom_score_adj {row.oom_score_adj} × {weight} "
        f"= {score}"
    )


def _killed(report: FailureReport) -> list[Finding]:
    found = [
        Finding(
            report.lines.get("killed", 0),
            "kill",
            f"{killed.comm} ({killed.pid}) gets SIGKILL; it had {killed.anon_rss} kB anonymous, "
            f"{killed.file_rss} kB of files, {killed.shmem_rss} kB shared memory.",
        )
        for killed in report.killed
    ]
    found += [
        Finding(
            report.lines.get("reaped", 0),
            "reaper",
            f"two seconds later {reaped.comm} ({reaped.pid}) was still there: its private memory "
            "was taken; shared mappings stay until it exits.",
        )
        for reaped in report.reaped
    ]
    if report.panic:
        found.append(Finding(report.lines.get("panic", 0), "panic", report.panic + "."))
    return found
