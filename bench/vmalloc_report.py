"""What the bench found of vmalloc, as a table, and how it grows with the live areas."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from bench.report import table
from bench.vmalloc import VmallocRow

#: What is said of each row to grow, and how it is found.
COSTS: dict[str, Callable[[VmallocRow], float]] = {
    "lines": lambda row: row.lines,
    "addresses": lambda row: row.areas.median,
    "whole": lambda row: row.whole.median,
    "first fit": lambda row: row.first_fit.median,
}


def of_vmalloc(rows: list[VmallocRow]) -> str:
    """Microseconds an operation, beside how many live areas there are; and the growth."""
    cells = [
        [
            f"{row.live:,}", f"{row.holes:,}", f"{row.height}", f"{row.areas.median:.1f}",
            f"{row.whole.median:.1f}", f"{row.first_fit.median:.1f}", f"{row.lines:.0f}",
            f"{row.looked_at:,.0f}", row.hash,
        ]
        for row in rows
    ]  # fmt: skip
    head = [
        "vmalloc, CPU µs/operation: live areas", "free", "tree's height", "addresses", "whole",
        "first fit", "lines", "looked at", "hash of addresses",
    ]  # fmt: skip
    what = (
        "  addresses  areas without pages; whole: vmalloc() and vfree(), 1 to 64 pages\n"
        "  lines      of Python that memsim runs for an operation on addresses, purges too\n"
        "  looked at  free areas that first fit looks at for a request"
    )
    return f"{table(head, cells)}\n\n{what}\n\n{summary(rows)}"


def summary(rows: list[VmallocRow]) -> str:
    """By how much each tenfold of live areas multiplies costs, and the verdict."""
    growth = "; ".join(
        f"{name} {', '.join(f'×{ratio:.2f}' for ratio in ratios(rows, cost))}"
        for name, cost in COSTS.items()
    )
    slow = faster_than_logarithm(rows)
    verdict = (
        f"Lines grow faster than the logarithm at {', '.join(f'{live:,}' for live in slow)}."
        if slow
        else "Lines grow no faster than the logarithm of the live areas."
    )
    return f"Cost ratio per tenfold of areas: {growth}.\n{verdict}"


def ratios(rows: list[VmallocRow], cost: Callable[[VmallocRow], float]) -> list[float]:
    """What a row costs, by what the one before it costs."""
    return [cost(behind) / cost(row) for row, behind in pairwise(rows)]


def faster_than_logarithm(rows: list[VmallocRow]) -> list[int]:
    """The live areas at which lines have grown by more than their logarithm has."""
    return [
        behind.live
        for row, behind in pairwise(rows)
        if behind.lines * math.log(row.live) > row.lines * math.log(behind.live)
    ]
