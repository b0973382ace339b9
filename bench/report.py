"""The findings as tables for people and as JSON for programs."""

from __future__ import annotations

import math
from typing import Any

from bench import model
from bench.boot import BootRow
from bench.captures import CaptureRow
from bench.compare import Row
from bench.figures import Spread
from bench.levels import LevelRow
from bench.slab import WORKLOADS as SLAB_WORKLOADS
from bench.slab import Row as SlabRow
from bench.workloads import WORKLOADS

#: On these the model is meant to be at most so many times slower than its twin.
LIMIT = 300
LIMITED = ("churn", "mixed", "ping-pong")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as they must be; the first flush left, the others right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _with_spread(figures: Spread | None, form: str) -> str:
    if figures is None:
        return "-"
    return f"{figures.median:{form}} ({figures.low:{form}} to {figures.high:{form}})"


def of_workloads(rows: list[Row]) -> str:
    """Speeds in million operations a CPU second, and the ratios."""
    cells = [
        [
            f"{row.name}{', pcp' if row.pcp else ''}",
            f"{row.nr_operations:,}",
            f"{row.memsim.median:.3f}",
            f"{row.dict_buddy.median:.2f}",
            f"{row.twin.median:.1f}" if row.twin else "-",
            _with_spread(row.ratio, ".0f"),
            "-" if row.extfrag is None else f"{row.extfrag}",
            f"{row.failures}",
            row.hash,
        ]
        for row in rows
    ]
    head = [
        "million operations/s", "operations", "memsim", "dict", "twin in C", "twin/memsim",
        "fallbacks", "failed", "hash of pfns",
    ]  # fmt: skip
    what = "\n".join(f"  {w.name:10} {w.what}" for w in WORKLOADS)
    return f"{table(head, cells)}\n\n{what}\n\n{_verdict(rows)}"


def _verdict(rows: list[Row]) -> str:
    judged = [row for row in rows if row.ratio and row.name in LIMITED]
    if not judged:
        return "Without a C compiler there is no twin: nothing to compare with."
    slow = [
        f"{row.name}{', pcp' if row.pcp else ''} (1/{row.ratio.median:.0f})"
        for row in judged
        if row.ratio and row.ratio.median > LIMIT
    ]
    if slow:
        return f"Slower than 1/{LIMIT} of the twin: {', '.join(slow)}."
    return f"{', '.join(LIMITED)}: nowhere slower than 1/{LIMIT} of the twin."


def of_slab(rows: list[SlabRow]) -> str:
    """Speeds of the slab allocators in million operations a CPU second, and their ratio."""
    cells = [
        [
            row.name, f"{row.nr_operations:,}", f"{row.memsim.median:.3f}",
            f"{row.twin.median:.1f}" if row.twin else "-", _with_spread(row.ratio, ".0f"),
            f"{row.slabs}", row.hash,
        ]
        for row in rows
    ]  # fmt: skip
    head = [
        "slab, million operations/s", "operations", "memsim", "twin in C", "twin/memsim", "slabs",
        "hash of addresses",
    ]  # fmt: skip
    what = "\n".join(f"  {w.name:10} {w.what}" for w in SLAB_WORKLOADS)
    return f"{table(head, cells)}\n\n{what}"


def of_levels(rows: list[LevelRow]) -> str:
    """Microseconds an operation at each level, and how many times those of the first."""
    cells = [
        [row.name]
        + [
            f"{figures.median:.2f} (×{figures.median / row.microseconds['functions'].median:.1f})"
            for figures in row.microseconds.values()
        ]
        for row in rows
    ]
    what = "\n".join(f"  {level:10} {meaning}" for level, meaning in model.LEVELS.items())
    return f"{table(['CPU µs/operation', *model.LEVELS], cells)}\n\n{what}"


def of_boot(rows: list[BootRow]) -> str:
    """Boot: milliseconds, MB and bytes a page."""
    cells = [
        [
            row.ram, f"{row.pages:,}", _with_spread(Spread(*(1e3 * s for s in row.seconds)), ".0f"),
            f"{row.grown / 1e6:.1f}", f"{row.bytes_per_page:.2f}",
            f"{row.array_bytes_per_page:.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    head = ["boot", "pages", "CPU ms", "MB", "bytes a page", "at most"]
    return table(head, cells)


def of_captures(rows: list[CaptureRow]) -> str:
    """Parse and replay: rates, and all seconds against the kernel's."""
    cells = [
        [
            row.name, f"{row.lines:,}", f"{row.lines / row.parse:,.0f}", f"{row.events:,}",
            f"{row.events / row.replay:,.0f}", f"{row.whole:.1f}",
            "-" if math.isnan(row.guest) else f"{row.guest:.1f}",
            "-" if math.isnan(row.guest) else f"{row.guest / row.whole:.1f}",
            "yes" if row.all_exact else "no",
        ]
        for row in rows
    ]  # fmt: skip
    head = [
        "capture", "lines", "parsed lines/s", "events", "replayed events/s", "CPU s",
        "the kernel's s", "kernel/memsim", "all exact",
    ]  # fmt: skip
    return table(head, cells)


def as_data(value: Any) -> Any:
    """Rows as dicts and lists, nan as null: for json."""
    if hasattr(value, "_asdict"):
        return {name: as_data(inside) for name, inside in value._asdict().items()}
    if isinstance(value, dict):
        return {name: as_data(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [as_data(inside) for inside in value]
    return None if isinstance(value, float) and math.isnan(value) else value
