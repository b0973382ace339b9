"""A capture replayed from end to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.mm.restore import Field, restore
from memsim.mm.slub.restore import address_in, restore_slab
from memsim.mm.vmalloc.restore import restore_vmalloc
from memsim.replay.pages.base import Result
from memsim.replay.pages.compare import Comparison, Tally, compare_end
from memsim.replay.pages.tracepoints import Stream
from memsim.replay.rows.capture import Capture
from memsim.replay.rows.fates import settle_frees
from memsim.replay.rows.inputs import Kind
from memsim.replay.rows.reader import Progress as Reading
from memsim.replay.rows.rows_of import rows_of_capture
from memsim.replay.run import Replay
from memsim.replay.slab.closed import ClosedSlabRun
from memsim.replay.slab.compare import CacheTally, compare_caches
from memsim.replay.slab.run import RecordedRandom, SlabResult, SlabRun
from memsim.replay.vmalloc.closed import ClosedVmallocRun
from memsim.replay.vmalloc.compare import compare_vmalloc
from memsim.replay.vmalloc.run import VmallocResult, VmallocRun
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
    #: The slab allocator; None where the recording tells nothing of it.
    slab: SlabResult | None = None
    caches: CacheTally = field(default_factory=CacheTally)
    #: vmalloc, and its last sets of areas; None where the recording tells nothing of it.
    vmalloc: VmallocResult | None = None
    areas: dict[str, Tally] = field(default_factory=dict)

    @property
    def all_exact(self) -> bool:
        """Every page, every object, every list and every counter; and no event was lost."""
        return self.pages_exact and self.slab_exact and self.vmalloc_exact

    @property
    def pages_exact(self) -> bool:
        """Every page, and all of the page allocator's last state; and no event was lost."""
        tallies = self.comparison.tallies().values()
        same_end = all(tally.equal == tally.total for tally in tallies)
        return self.result.exact == self.result.requests and same_end and not self.lost

    @property
    def slab_exact(self) -> bool:
        """Every object, every cache."""
        slab = self.slab
        same_end = self.caches.equal == self.caches.total
        return slab is None or (slab.exact == slab.requests and same_end)

    @property
    def vmalloc_exact(self) -> bool:
        """Every address, every set of areas."""
        vmalloc = self.vmalloc
        same_end = all(tally.equal == tally.total for tally in self.areas.values())
        return vmalloc is None or (vmalloc.exact == vmalloc.requests and same_end)


def replay_capture(
    folder: Path,
    progress: Progress | None = None,
    reading: Reading | None = None,
    *,
    closed: bool = False,
    make_replay: Callable[..., Replay] = Replay,
) -> Outcome:
    """Replay the capture in a folder. progress is called with (rows done, rows in all).

    closed: slabs and areas of vmalloc ask memsim's page allocator, what they asked in the recording
    is not fed in.

    reading is called with the lines read so far, while the trace is parsed. make_replay: for who
    wants to look on.

    BadInput names the file, and the line or field, that cannot be read.
    """
    started = time.monotonic()
    capture = Capture(folder)
    vm = _restore(capture)
    has_slab, has_vmalloc = (
        name in capture.start and name in capture.end for name in ("slab", "vmalloc")
    )
    if closed and not has_slab and not has_vmalloc:
        what = "its snapshots have neither slab nor vmalloc: there is no loop to close"
        raise BadInput(f"{folder}: {what}")
    rows = rows_of_capture(capture, _vmemmap_base(capture), reading, slab=has_slab)
    settle_frees(rows, vm.max_pfn)
    replay = make_replay(vm, rows, *_addresses(capture, vm), str(capture.trace))
    if has_slab:
        replay.slab = _slab_run(capture, replay, closed)
    if has_vmalloc:
        replay.vmalloc = _vmalloc_run(capture, replay, closed)
    name, kernel = capture.name, capture.kernel
    capture.start = {}  # its memory is wanted back
    for done in replay.run():
        if progress is not None:
            progress(done, len(rows))
    comparison = _compare(capture, vm)
    outcome = Outcome(
        name, kernel, rows.facts.events, 0.0, replay.result, comparison,
        replay.tracepoints.streams, rows.facts.lost,
    )  # fmt: skip
    if replay.slab is not None:
        outcome.slab = replay.slab.result
        outcome.caches = _compare_slab(capture, replay.slab)
    if replay.vmalloc is not None:
        outcome.vmalloc = replay.vmalloc.result
        outcome.areas = _compare_vmalloc(capture, vm)
    outcome.seconds = time.monotonic() - started
    return outcome


def _slab_run(capture: Capture, replay: Replay, closed: bool) -> SlabRun:
    """The slab allocator as the first snapshot has it."""
    start = Field(capture.start, "")
    try:
        addresses = restore_slab(replay.vm, start["slab"], RecordedRandom())
        base = address_in(start["page_offset_base"])
    except BadInput as error:
        raise BadInput(f"{capture.folder / 'snapshot_start.json.xz'}: {error}") from None
    parts = (replay.vm, replay.rows, addresses, replay.pages, base, replay.where)
    if not closed:
        return SlabRun(*parts)
    run = ClosedSlabRun(*parts)
    run.open(
        replay._mm_page_alloc,
        {
            Kind.mm_page_free: replay._mm_page_free,
            Kind.free_then_batched: replay._free_prepared,
            Kind.free_then_direct: replay._free_prepared,
        },
    )
    return run


def _vmalloc_run(capture: Capture, replay: Replay, closed: bool) -> VmallocRun:
    """vmalloc as the first snapshot has it."""
    start = Field(capture.start, "")
    try:
        lazy = start["vars"].get("vmap_lazy_nr", 0).integer(0)
        restore_vmalloc(replay.vm, start["vmalloc"], lazy)
    except BadInput as error:
        raise BadInput(f"{capture.folder / 'snapshot_start.json.xz'}: {error}") from None
    if not closed:
        return VmallocRun(replay.vm, replay.rows)
    run = ClosedVmallocRun(replay.vm, replay.rows)
    run.open(replay, replay.handlers_of_pages())
    return run


def _compare_vmalloc(capture: Capture, vm: Vm) -> dict[str, Tally]:
    try:
        return compare_vmalloc(vm.vmalloc, Field(capture.end, "")["vmalloc"])
    except BadInput as error:
        raise BadInput(f"{capture.folder / 'snapshot_end.json.xz'}: {error}") from None


def _compare_slab(capture: Capture, slab: SlabRun) -> CacheTally:
    told, result = Field(capture.end, "")["slab"], slab.result
    try:
        return compare_caches(slab.addresses, told, result.asked, result.missed)
    except BadInput as error:
        raise BadInput(f"{capture.folder / 'snapshot_end.json.xz'}: {error}") from None


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
        for zone, told in zip(pgdat.node_zones, node["zones"].items(), strict=True):
            zones[_signed(_address(told["addr"]))] = zone
    return zones, pgdats
