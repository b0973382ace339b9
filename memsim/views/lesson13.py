"""What lesson 13 runs more than once: who has vmalloc's pages, and what a refusal logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from memsim.machine import Machine
from memsim.proc.vmallocinfo import VmallocinfoArea
from memsim.words.errors import PageAllocationFailure


def pages_by_caller(rows: Iterable[VmallocinfoArea]) -> list[tuple[str, int]]:
    """Who has how many pages by vmalloc(), the most first; offsets in functions are left out."""
    pages: Counter[str] = Counter()
    for row in rows:
        pages[row.caller.partition("+")[0]] += row.pages
    return [(caller, nr) for caller, nr in pages.most_common() if nr]


def refusal(machine: Machine, call: str, size: int) -> str:
    """The first line that the kernel logs when this call is refused; empty if it logs nothing.

    ValueError if it is not refused.
    """
    try:
        address = getattr(machine, call)(size)
    except PageAllocationFailure as failure:
        return failure.report.partition("\n")[0]
    raise ValueError(f"{call}({size}) gives {address:#x}")
