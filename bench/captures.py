"""Recorded kernels: how fast their traces are parsed and replayed, against what the kernel took."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.figures import tell
from memsim.replay.outcome import replay_capture
from memsim.replay.rows.capture import Capture
from memsim.replay.rows.columns import SUFFIX
from memsim.replay.rows.reader import read_rows
from memsim.replay.rows.unxz import lines as trace_lines
from memsim.words.errors import BadInput, MemsimError

#: What a parse leaves behind.
KEPT = shutil.ignore_patterns(f"*{SUFFIX}")
RECORDED = Path(__file__).resolve().parents[1] / "tests" / "data" / "captures"


class CaptureRow(NamedTuple):
    """Lines of the trace, events in its window, CPU seconds, and the seconds the kernel took.

    `parse` is unpacking and parsing; `replay` is requests fed and answers compared; `whole` is
    `memsim replay` from the first byte on, with the columns written.
    """

    name: str
    lines: int
    events: int
    parse: float
    replay: float
    whole: float
    guest: float
    all_exact: bool


def folders(given: list[Path]) -> list[Path]:
    """The captures in the folders given: a folder is a capture, or holds captures."""
    found = []
    for folder in given:
        inside = sorted(meta.parent for meta in folder.glob("*/meta.json"))
        found += [folder] if (folder / "meta.json").exists() or not inside else inside
    return found


def measure(folder: Path) -> CaptureRow:
    """Parse and replay one capture, from a copy: nothing that a parse left behind is used."""
    tell(f"replay: {folder.name}")
    with TemporaryDirectory() as copies:
        copy = Path(shutil.copytree(folder, Path(copies) / folder.name, ignore=KEPT))
        try:
            return _measure(copy)
        except MemsimError as error:
            raise BadInput(str(error).replace(str(copy), str(folder))) from None


def _measure(folder: Path) -> CaptureRow:
    started = fed = time.process_time()

    def progress(done: int, total: int) -> None:
        nonlocal fed
        if done == 0:
            fed = time.process_time()
        tell(f"replay: {folder.name}, {done} of {total} events", detail=True)

    outcome = replay_capture(folder, progress)
    ended = time.process_time()
    capture = Capture(folder)
    lines = sum(1 for _ in trace_lines(capture.trace))
    guest = float(capture.meta.get("window_seconds_guest", "nan"))
    return CaptureRow(
        folder.name, lines, outcome.events, _parse(capture), ended - fed, ended - started,
        guest, outcome.all_exact,
    )  # fmt: skip


def _parse(capture: Capture) -> float:
    """CPU seconds to unpack and parse the trace of a capture that could be replayed."""
    vmemmap_base = int(capture.start["vmemmap_base"], 16)
    started = time.process_time()
    read_rows(
        capture.lines(), capture.window(), vmemmap_base, str(capture.trace),
        capture.lines_per_cpu(), None,
    )  # fmt: skip
    return time.process_time() - started
