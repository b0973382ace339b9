"""Who asks, what for, and which allocator answered: a table made from the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from memsim.words.gfp import show_gfp_flags
from memsim.workload.request import Path, Request


class _Kind(NamedTuple):
    """What requests of one row have in common."""

    path: Path
    allocator: str
    gfp_mask: int
    order: int


class Row(NamedTuple):
    """Requests alike: of one path, with one mask, of one order (pages) or up to `size` bytes."""

    who: str
    what: str
    kernel: str
    allocator: str
    gfp: str
    order: int
    size: int
    asked: int
    failed: int


def rows(log: Iterable[Request]) -> list[Row]:
    """A row for each kind of request, in the order in which each kind first came.

    Cost: one pass.
    """
    found: dict[_Kind, list[int]] = {}
    for request in log:
        kind = _Kind(request.path, request.allocator, request.gfp_mask, request.order)
        counts = found.setdefault(kind, [0, 0, 0])
        counts[0] += 1
        counts[1] += request.result is None
        counts[2] = max(counts[2], request.size)
    return [_row(kind, *counts) for kind, counts in found.items()]


def as_text(table: list[Row]) -> str:
    """The table, a line for each row."""
    head = ("who asks", "what for", "allocator", "order/bytes", "asked", "failed", "gfp_mask")
    lines = [head]
    for row in table:
        amount = f"order {row.order}" if row.order >= 0 else f"{row.size} B"
        lines.append(
            (row.who, row.what, row.allocator, amount, str(row.asked), str(row.failed), row.gfp)
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(_line(line, widths) for line in lines)


def _row(kind: _Kind, asked: int, failed: int, size: int) -> Row:
    path, allocator, gfp_mask, order = kind
    gfp = show_gfp_flags(gfp_mask)
    return Row(path.who, path.what, path.kernel, allocator, gfp, order, size, asked, failed)


def _line(line: tuple[str, ...], widths: list[int]) -> str:
    cells = (
        cell.rjust(width) if 3 <= column <= 5 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join(cells).rstrip()
