"""Any trace of page events replayed on a Vm whose counts are known, not its positions.

Which page answers a request is then memsim's own choice, and no answer is compared. What can be
held against the recording is how much was asked, freed, refused and stolen, and what is left.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from memsim.mm.mmzone import Vm, Zone, page_zone
from memsim.mm.vmstat_work import refresh_cpu_vm_stats
from memsim.replay.inexact.samples import Sample, take_sample
from memsim.replay.inexact.standins import StandIns
from memsim.replay.pages.tracepoints import Stream
from memsim.replay.rows.fates import settle_frees
from memsim.replay.rows.inputs import Facts, Kind, Rows
from memsim.replay.rows.reader import Progress as Reading
from memsim.replay.rows.rows_of import rows_of_trace
from memsim.replay.run import Replay
from memsim.trace.events import TRACED_ON_THE_WAY
from memsim.words.errors import BadInput
from memsim.words.mmzone import MIGRATE_MOVABLE, MIGRATE_UNMOVABLE, NULL

#: How often memory is looked at, besides before the first event.
NR_SAMPLES = 20
#: Machines with more page frames are refused: bookkeeping takes up to 12 bytes for each.
MAX_PFN = 1 << 27

#: Seconds between two rounds of a CPU's vmstat worker, when they are not traced.
#: Kernel: mm/vmstat.c sysctl_stat_interval
VMSTAT_INTERVAL = 1.0

Progress = Callable[[int, int], None]


@dataclass
class Counts:
    """Requests by what they asked for and where they were served; frees; failures.

    Zones are named "Node 0 DMA32". order_frees and orders count blocks.
    """

    requests: int = 0
    frees: int = 0
    failed: int = 0
    failed_in_memsim: int = 0
    orders: Counter[int] = field(default_factory=Counter)
    order_frees: Counter[int] = field(default_factory=Counter)
    migratetypes: Counter[int] = field(default_factory=Counter)
    gfp_masks: Counter[int] = field(default_factory=Counter)
    zones: Counter[str] = field(default_factory=Counter)
    zones_in_memsim: Counter[str] = field(default_factory=Counter)
    failed_orders: Counter[int] = field(default_factory=Counter)
    failed_orders_in_memsim: Counter[int] = field(default_factory=Counter)
    nr_pages: int = 0
    nr_pages_freed: int = 0


@dataclass
class InexactOutcome:
    """What the replay of a trace found. `seconds` are those that the replay took."""

    trace: str
    seed: int
    facts: Facts
    nr_rows: int
    seconds: float
    counts: Counts
    streams: dict[Kind, Stream]
    samples: list[Sample]
    stood_in: int
    none_left: int
    untraced: int
    notes: Counter[str]


class InexactReplay(Replay):
    """The replay loop, with stand-ins for pages that no snapshot tells of."""

    source = "the copies of /proc"

    def __init__(self, vm: Vm, rows: Rows, where: str, seed: int) -> None:
        super().__init__(vm, rows, {}, {}, where)
        self.stand_ins = self.pages = StandIns(vm, seed)
        self.counts = Counts()
        self._next_update = rows.facts.first + VMSTAT_INTERVAL

    def _do(self, row: int) -> None:
        """A row; and when a second has passed, the vmstat worker's round on each CPU."""
        now = self.rows.time[row]
        if now >= self._next_update and self.rows.facts.in_seconds:
            self._next_update = now + VMSTAT_INTERVAL
            for cpu in range(self.vm.nr_cpus):
                self.vm.set_cpu(cpu)
                refresh_cpu_vm_stats(self.vm, True)
        super()._do(row)

    def block(self, row: int, pfn: int, order: int) -> tuple[int, int]:
        """A recorded block, which must lie in a zone."""
        if page_zone(self.vm, pfn) is None:
            page = f"pfn {pfn & (1 << 64) - 1:#x}"
            raise self.bad(row, f"{page} is in no zone of {self.source}: are both of one machine?")
        return super().block(row, pfn, order)

    def freed(self, row: int, pfn: int, order: int) -> tuple[Zone, int] | None:
        """memsim's page for a freed one. A guess: batches free MOVABLE pages, others UNMOVABLE."""
        batched = self.rows.kind[row] == Kind.free_then_batched
        self.stand_ins.wanted = MIGRATE_MOVABLE if batched else MIGRATE_UNMOVABLE
        self.counts.frees += 1
        self.counts.order_frees[order] += 1
        self.counts.nr_pages_freed += 1 << self.order(row, order)
        return super().freed(row, pfn, order)

    def _mm_page_alloc(
        self, row: int, pfn: int, order: int, migratetype: int, gfp_mask: int, *_: int
    ) -> None:
        """The node that served it is taken for the preferred one, which the trace does not tell."""
        zone = None if pfn == NULL else page_zone(self.vm, self.block(row, pfn, order)[0])
        self.counts.migratetypes[migratetype] += 1
        if zone is not None:
            self.preferred[self.rows.context[row]] = zone.node
        super()._mm_page_alloc(row, pfn, order, migratetype, gfp_mask)

    def _compare(self, row: int, page: int, pfn: int, order: int, gfp_mask: int) -> None:
        """Count instead."""
        counts = self.counts
        counts.requests += 1
        counts.orders[order] += 1
        counts.gfp_masks[gfp_mask] += 1
        counts.nr_pages += 1 << order if pfn != NULL else 0
        if pfn == NULL:
            counts.failed += 1
            counts.failed_orders[order] += 1
        else:
            counts.zones[_zone_name(self.vm, pfn)] += 1
        if page == NULL:
            counts.failed_in_memsim += 1
            counts.failed_orders_in_memsim[order] += 1
        else:
            counts.zones_in_memsim[_zone_name(self.vm, page)] += 1

    def _compared(self, row: int, *fields: int) -> None:
        """The events on the way also tell which pages were not in use."""
        pfn, order = fields[:2]
        if 0 <= pfn < self.vm.max_pfn and self.rows.kind[row] != Kind.mm_page_alloc_extfrag:
            self.stand_ins.was_free(pfn, self.order(row, order))
        super()._compared(row, *fields)


def _zone_name(vm: Vm, pfn: int) -> str:
    zone = page_zone(vm, pfn)
    return "none" if zone is None else f"Node {zone.node} {zone.name}"


def replay_trace(
    trace: Path,
    vm: Vm,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    reading: Reading | None = None,
) -> InexactOutcome:
    """Replay a trace on a Vm in about the state that it began in; the Vm is changed.

    progress and reading as in replay_capture(). BadInput names the line that cannot be.
    """
    started = time.monotonic()
    if vm.max_pfn > MAX_PFN:
        raise BadInput(f"{trace}: memory of up to {MAX_PFN >> 18} GiB is replayed")
    rows = rows_of_trace(trace, reading)
    if not len(rows):
        raise BadInput(
            f"{trace}: no page event in it: record kmem:mm_page_alloc and kmem:mm_page_free"
        )
    settle_frees(rows, vm.max_pfn)
    vm.trace.mask = TRACED_ON_THE_WAY
    replay = InexactReplay(vm, rows, str(trace), seed)
    samples = [take_sample(vm, 0, rows.facts.first)]
    every = -(-len(rows) // NR_SAMPLES)
    for done in replay.run(every):
        if done:
            samples.append(take_sample(vm, done, rows.time[done]))
        if progress is not None:
            progress(done, len(rows))
    samples.append(take_sample(vm, len(rows), rows.facts.last))
    pages = replay.stand_ins
    return InexactOutcome(
        str(trace), seed, rows.facts, len(rows), time.monotonic() - started, replay.counts,
        replay.tracepoints.streams, samples, pages.stood_in, pages.none_left, pages.untraced,
        replay.result.notes,
    )  # fmt: skip
