"""All checks in a row, as a text for people, as JSON for programs, and folded in a notebook."""

from __future__ import annotations

import html
import sys
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from memsim.doctor.check import Check
from memsim.doctor.own_machine import check_kernel, check_proc, check_tracing
from memsim.doctor.packages import check_front_ends, check_packages, check_python
from memsim.doctor.tools import check_memory, check_model, check_programs


@dataclass(frozen=True, repr=False)
class Report:
    """What was found; shows itself."""

    checks: list[Check]

    @property
    def can_run(self) -> bool:
        """Can the course run here?"""
        return not any(check.blocks for check in self.checks)

    @property
    def summary(self) -> str:
        """The answer in one sentence."""
        if self.can_run:
            return "The course can run here."
        names = ", ".join(check.name for check in self.checks if check.blocks)
        return f"The course cannot run here yet. Missing: {names}."

    def by_purpose(self) -> dict[str, list[Check]]:
        """The checks, by what they are for."""
        groups = groupby(self.checks, key=lambda check: check.purpose)
        return {purpose: list(checks) for purpose, checks in groups}

    def __repr__(self) -> str:
        lines = []
        for purpose, checks in self.by_purpose().items():
            lines += [f"For {purpose}", *(f"  {check.text()}" for check in checks)]
        return "\n".join([*lines, self.summary])

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        checks = [{**check._asdict(), "blocks": check.blocks} for check in self.checks]
        return {"can_run": self.can_run, "summary": self.summary, "checks": checks}

    def _repr_html_(self) -> str:
        parts = [_details(purpose, checks) for purpose, checks in self.by_purpose().items()]
        return f"<p><b>{html.escape(self.summary)}</b></p>{''.join(parts)}"


def _details(purpose: str, checks: list[Check]) -> str:
    """One group, unfolded if the course does not run because of it."""
    nr_ok = sum(check.is_ok for check in checks)
    is_open = " open" if any(check.blocks for check in checks) else ""
    items = "".join(f"<li>{html.escape(check.text())}</li>" for check in checks)
    return (
        f"<details{is_open}><summary>For {html.escape(purpose)}: {nr_ok} of {len(checks)} ok"
        f"</summary><ul>{items}</ul></details>"
    )


def doctor() -> Report:
    """Look at everything. Starts nothing, changes nothing, asks no network."""
    if sys.platform == "emscripten":
        return in_browser()
    course = [check_python(), *check_packages("course"), *check_front_ends()]
    tests = [*check_packages("test"), *check_programs()]
    own = [check_kernel(), *check_proc(), check_tracing()]
    return Report([*course, check_model(), check_memory(), *tests, *own])


def in_browser() -> Report:
    """The same where the browser runs Python: it brings its own JupyterLab, and has no programs."""
    packages = [check for check in check_packages("course") if check.name != "jupyterlab"]
    return Report([*packages, check_model()])
