"""What `memsim explain` prints, for people and for programs."""

from __future__ import annotations

import textwrap
from typing import Any

from memsim.lib.text import one_line
from memsim.proc.explain.explanation import PROBLEMS, Explanation
from memsim.proc.explain.zones import Verdict

_WIDTH = 100


def as_text(explained: list[Explanation]) -> str:
    """Each report under its title, each finding with the line of the log that it is about."""
    return "\n\n".join(_report_text(explanation) for explanation in explained)


def _report_text(explanation: Explanation) -> str:
    lines = [one_line(f"line {explanation.report.line}: {explanation.title}")]
    for finding in explanation.findings:
        where = f"line {finding.line}, {finding.about}" if finding.line else finding.about
        lines += _wrapped(f"{where}: {finding.says}", "  ")
    if explanation.remedies:
        lines.append("  What can be done:")
    for number, remedy in enumerate(explanation.remedies, 1):
        lines += _wrapped(f"{number}. {remedy.do}: {remedy.why}.", "    ")
    return "\n".join(lines)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        one_line(text, 4000), _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def as_json(explained: list[Explanation]) -> dict[str, Any]:
    """The same as plain data. Numbers of zones are pages."""
    return {"reports": [_report_json(explanation) for explanation in explained]}


def _report_json(explanation: Explanation) -> dict[str, Any]:
    report = explanation.report
    victims = [{"pid": killed.pid, "comm": killed.comm} for killed in report.killed]
    return {
        "line": report.line,
        "kind": "oom" if report.is_oom else "allocation failure",
        "what": report.what,
        "comm": report.comm,
        "pid": report.pid,
        "order": report.order,
        "gfp_mask": report.told_mask,
        "problem": explanation.problem,
        "says": PROBLEMS[explanation.problem],
        "constraint": report.chosen.constraint if report.chosen else None,
        "killed": victims,
        "zones": [_zone_json(verdict) for verdict in explanation.zones],
        "findings": [finding._asdict() for finding in explanation.findings],
        "remedies": [remedy._asdict() for remedy in explanation.remedies],
    }


def _zone_json(verdict: Verdict) -> dict[str, Any]:
    told = verdict._asdict()
    zone = told.pop("zone")
    return {"node": zone.node, "zone": zone.name} | told | {"missing": verdict.missing}
