"""The rows of a trace: out of the columns beside it, or parsed, and then kept beside it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from memsim.replay.rows import columns
from memsim.replay.rows.capture import Capture
from memsim.replay.rows.inputs import Rows
from memsim.replay.rows.reader import Progress, read_rows
from memsim.replay.rows.unxz import STDIN, line_lists


def rows_of_capture(
    capture: Capture, vmemmap_base: int, progress: Progress | None, *, slab: bool = False
) -> Rows:
    """The rows between a capture's snapshots. BadInput names the line that cannot be read.

    slab: with those of the slab allocator.
    """
    window, per_cpu, trace = capture.window(), capture.lines_per_cpu(), capture.trace
    question = [window, vmemmap_base, per_cpu, slab]
    key = _key(trace, question)
    rows = None if key is None else columns.load(trace, key)
    if rows is None:
        lines = capture.lines()
        rows = read_rows(lines, window, vmemmap_base, str(trace), per_cpu, progress, slab=slab)
        if key is not None and key == _key(trace, question):
            columns.save(trace, key, rows)
    return rows


def rows_of_trace(trace: Path, progress: Progress | None) -> Rows:
    """The rows of any trace; Path("-") is standard input, beside which nothing is kept."""
    key = None if trace == STDIN else _key(trace, None)
    rows = None if key is None else columns.load(trace, key)
    if rows is None:
        rows = read_rows(line_lists(trace), None, 0, str(trace), {}, progress)
        if key is not None and key == _key(trace, None):
            columns.save(trace, key, rows)
    return rows


def _key(trace: Path, question: object) -> str | None:
    """The key of the columns; None where there can be none: the reader says what is wrong."""
    with suppress(OSError, ValueError):
        return columns.key_of(trace, question) if trace.is_file() else None
    return None
