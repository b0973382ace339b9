"""A capture replayed from end to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.mm.restore import Field, restore
from memsim.replay.base import Result
from memsim.replay.capture import Capture
from memsim.replay.compare import Comparison, compare_end
from memsim.replay.fates import settle_frees
from memsim.replay.inputs import Kind
from memsim.replay.reader import Progress as Reading
from memsim.replay.rows_of import rows_of_capture
from memsim.replay.run import Replay
from memsim.replay.tracepoints import Stream
from memsim.trace.events import TRACED_ON_THE_WAY
from memsim.trace.trace import Trace
from memsim.words.errors import BadInput

Progress = Callable[[int, int], None]


@dataclass
class Outcome:
    """What a replay found. `events` are the lines in the window, `seconds` are of all of it."""

    capture: str
    kernel: str
    events: int
    seconds: float
    result: Result
    comparison: Comparison
    streams: dict[Kind, Stream]
    #: Events that the trace says are missing.
    lost: int = 0

    @property
    def all_exact(self) -> bool:
        """Every request, every list and every counter; and no event was lost."""
        tallies = self.comparison.tallies().values()
        same_end = all(tally.equal == tally.total for tally in tallies)
        return self.result.exact == self.result.requests and same_end and not self.lost


def replay_capture(
    folder: Path, progress: Progress | None = None, reading: Reading | None = None
) -> Outcome:
    """Replay the capture in a folder. progress is called with (rows done, rows in all).

    reading is called with the lines read so far, while the trace is parsed.

    BadInput names the file, and the line or field, that cannot be read.
    """
    started = time.monotonic()
    capture = Capture(folder)
    vm = _restore(capture)
    rows = rows_of_capture(capture, _vmemmap_base(capture), reading)
    settle_frees(rows, vm.max_pfn)
    replay = Replay(vm, rows, *_addresses(capture, vm), str(capture.trace))
    name, kernel = capture.name, capture.kernel
    capture.start = {}  # its memory is wanted back
    for done in replay.run():
        if progress is not None:
            progress(done, len(rows))
    comparison = _compare(capture, vm)
    return Outcome(
        name, kernel, rows.facts.events, time.monotonic() - started, replay.result,
        comparison, replay.tracepoints.streams, rows.facts.lost,
    )  # fmt: skip


def _restore(capture: Capture) -> Vm:
    try:
        return restore(capture.start, Trace(mask=TRACED_ON_THE_WAY))
    except BadInput as error:
        raise BadInput(f"{capture.folder / 'snapshot_start.json.xz'}: {error}") from None


def _compare(capture: Capture, vm: Vm) -> Comparison:
    try:
        return compare_end(vm, capture.end)
    except BadInput as error:
        raise BadInput(f"{capture.folder / 'snapshot_end.json.xz'}: {error}") from None


def _vmemmap_base(capture: Capture) -> int:
    return _address(Field(capture.start, "")["vmemmap_base"])


def _address(value: Field) -> int:
    """A kernel address written in hexadecimal."""
    text = value.value
    if not isinstance(text, str) or len(text) > 18:
        raise value.bad("should be an address such as '0xffffea0000000000'")
    try:
        return int(text, 16)
    except ValueError:
        raise value.bad(f"{text!r} is not an address") from None


def _signed(address: int) -> int:
    """As the trace's columns hold 64-bit numbers."""
    return address - (1 << 64) if address >> 63 else address


def _addresses(capture: Capture, vm: Vm) -> tuple[dict[int, Zone], dict[int, PglistData]]:
    """Zones and nodes by the addresses that probes print."""
    zones: dict[int, Zone] = {}
    pgdats: dict[int, PglistData] = {}
    nodes = Field(capture.start, "")["nodes"].items()
    for pgdat, node in zip(vm.nodes, nodes, strict=True):
        pgdats[_signed(_address(node["addr"]))] = pgdat
        for zone, field in zip(pgdat.node_zones, node["zones"].items(), strict=True):
            zones[_signed(_address(field["addr"]))] = zone
    return zones, pgdats
