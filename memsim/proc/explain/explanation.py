"""One report explained: findings line by line, what the problem is, and remedies."""

from __future__ import annotations

from dataclasses import dataclass

from memsim.mm.page_alloc.zone_walk import alloc_flags_of_mask
from memsim.proc.explain.damage import Damage, damages, is_total_known
from memsim.proc.explain.finding import Finding, size_of
from memsim.proc.explain.memory import memory_findings
from memsim.proc.explain.remedies import Remedy, remedies_for
from memsim.proc.explain.request import request_finding
from memsim.proc.explain.victim import victim_findings
from memsim.proc.explain.zones import (
    AMOUNT,
    ENOUGH,
    ORDER,
    RESERVE,
    TOO_HIGH,
    Verdict,
    verdicts,
)
from memsim.proc.failure import FailureReport
from memsim.proc.failure_parse import parse_reports
from memsim.words.alloc_flags import ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK

#: What each problem is, in a sentence.
PROBLEMS = {
    AMOUNT: "too little memory is free",
    ORDER: "enough is free, but not in one block: fragmentation",
    "memcg": "a memory cgroup is at its limit",
    "limit": "the nodes that the task may use are short",
    "killed before": "the task was being killed: its last requests fail",
    "past": "by the report's numbers the request would be granted: memory came free meanwhile",
    "unknown": "the report has no zone: it cannot be told who refused",
    "damaged": "the report is cut off or damaged: it cannot be told who refused",
}


@dataclass
class Explanation:
    """What a report says. `problem` is a key of PROBLEMS."""

    report: FailureReport
    problem: str
    zones: list[Verdict]
    findings: list[Finding]
    remedies: list[Remedy]

    @property
    def title(self) -> str:
        """What the report is of, and what is the matter."""
        what = "OOM killer" if self.report.is_oom else self.report.what
        return f"{what}: {PROBLEMS[self.problem]}"


def explain_log(text: str, name: str = "log") -> list[Explanation]:
    """Every report of a log. BadInput names the line that is wrong, or that there is none."""
    explained: list[Explanation] = []
    victims: set[int] = set()
    for report in parse_reports(text, name):
        explained.append(explain_failure(report, is_victim=report.pid in victims))
        victims |= {killed.pid for killed in report.killed}
    return explained


def explain_failure(report: FailureReport, *, is_victim: bool = False) -> Explanation:
    """A report line by line. is_victim: the log told before that its task was killed."""
    damaged = damages(report)
    zones = [
        verdict
        for verdict in verdicts(report, is_victim)
        if not any(verdict.zone is damage.zone for damage in damaged)
    ]
    problem = _problem(report, zones, is_victim, damaged)
    total_known = is_total_known(report, damaged)
    findings = [
        *(damage.finding() for damage in damaged),
        request_finding(report),
        *(memory_findings(report) if total_known else []),
        *(_zone_finding(report, verdict) for verdict in zones),
        *_blocks_findings(report, zones),
        *_memcg_findings(report),
        *victim_findings(report, total_known=total_known or report.memcg is not None),
    ]
    return Explanation(report, problem, zones, findings, remedies_for(report, problem, zones))


def _problem(
    report: FailureReport, zones: list[Verdict], is_victim: bool, damaged: list[Damage]
) -> str:
    constraint = report.chosen.constraint if report.chosen is not None else ""
    if report.memcg is not None or constraint == "CONSTRAINT_MEMCG":
        return "memcg"
    if constraint in ("CONSTRAINT_CPUSET", "CONSTRAINT_MEMORY_POLICY"):
        return "limit"
    if is_victim:
        return "killed before"
    if damaged:
        return "damaged"
    answers = {verdict.answer for verdict in zones} - {TOO_HIGH}
    if not answers:
        return "unknown"
    if ORDER in answers:
        return ORDER
    return "past" if ENOUGH in answers else AMOUNT


def _zone_finding(report: FailureReport, verdict: Verdict) -> Finding:
    zone = verdict.zone
    line = report.lines.get(f"zone {zone.node} {zone.name}", 0)
    return Finding(line, f"zone {zone.name} of node {zone.node}", _zone_said(report, verdict))


def _zone_said(report: FailureReport, verdict: Verdict) -> str:
    page_kb = verdict.zone.block_kb
    free = f"{size_of(verdict.free, page_kb)} free"
    if verdict.answer == TOO_HIGH:
        return f"{free}, but the request may not use this zone."
    if verdict.usable != verdict.free:
        free += f", {verdict.usable} of them for this request"
    floor = f"min {verdict.min}{_rights(report, verdict)}"
    if verdict.lowmem_reserve:
        floor += f" + lowmem_reserve {verdict.lowmem_reserve}"
    if verdict.answer == AMOUNT:
        return f"{free}; not over {floor}: refused, {verdict.missing} too few."
    if verdict.answer == RESERVE:
        return (
            f"{free}, over min; but with lowmem_reserve it needs more than {floor}: refused, "
            f"{verdict.missing} too few. What is left is for requests that can use no higher zone."
        )
    if verdict.answer == ORDER:
        return f"{free}, over {floor}: enough, but no free block is large enough: refused."
    return f"{free}, over {floor}: by these numbers it would be granted."


def _rights(report: FailureReport, verdict: Verdict) -> str:
    """How the request's rights lower min."""
    if verdict.floor == verdict.min:
        return ""
    flags = alloc_flags_of_mask(report.gfp_mask, max(report.order, 0))
    if not flags & (ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK):
        return f", for a task that is killed {verdict.floor}"
    return f", for __GFP_HIGH {verdict.floor}"


def _blocks_findings(report: FailureReport, zones: list[Verdict]) -> list[Finding]:
    """About free blocks by order, where the order matters."""
    if report.order <= 0:
        return []
    return [
        Finding(
            report.lines.get(f"blocks {verdict.zone.node} {verdict.zone.name}", 0),
            f"free blocks of {verdict.zone.name} of node {verdict.zone.node}",
            _blocks_said(report, verdict),
        )
        for verdict in zones
        if verdict.blocks is not None and verdict.answer != TOO_HIGH
    ]


def _blocks_said(report: FailureReport, verdict: Verdict) -> str:
    largest = max((at for at, nr in enumerate(verdict.zone.nr_free) if nr), default=-1)
    if verdict.blocks:
        says = f"{verdict.blocks} of order {report.order} or more: the order is not the problem."
    elif verdict.reserved:
        says = f"those of order {report.order} or more are all of types that others have."
    elif largest < 0:
        says = "none at all."
    else:
        says = (
            f"none of order {report.order} or more; the largest is of order {largest}. "
            f"Fragmentation index {verdict.extfrag_index / 1000:.3f}: "
            f"{'fragmentation' if verdict.extfrag_index > 500 else 'lack of memory'}."
        )
    return says


def _memcg_findings(report: FailureReport) -> list[Finding]:
    memcg = report.memcg
    if memcg is None:
        return []
    says = (
        f"{report.memcg_path or 'the group'} uses {memcg.usage} of {memcg.limit} kB, and ran into "
        f"its limit {memcg.failcnt} times."
    )
    return [Finding(report.lines.get("memcg", 0), "memcg", says)]
