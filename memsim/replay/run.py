"""The replay loop: each row of the recording is done to the model, and the answers are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from memsim.replay.order.holds import runs_of_holds
from memsim.replay.order.lock_order import operation_order
from memsim.replay.pages.bulk import Bulk
from memsim.replay.pages.compacting import Compacting
from memsim.replay.pages.requests import Requests
from memsim.replay.pages.tracepoints import COMPARED
from memsim.replay.pages.workers import Workers
from memsim.replay.rows.inputs import INPUTS, Kind
from memsim.replay.slab.run import SlabRun
from memsim.replay.vmalloc.run import VmallocRun


class Replay(Requests, Bulk, Workers, Compacting):
    """All kinds of rows, and the loop that does them one after the other."""

    #: By kind of row; None where nothing is to be done.
    _handlers: list[Callable[..., None] | None]
    #: The slab allocator's part, where the recording tells of it.
    slab: SlabRun | None = None
    vmalloc: VmallocRun | None = None
    #: By row: what is done instead of what its kind says.
    _instead: Mapping[int, Callable[..., None]] = MappingProxyType({})

    def run(self, every: int = 8192) -> Iterator[int]:
        """Do every row. Yields how many are done, each `every` rows, from 1 on."""
        self._check_cpus()
        self._count_inputs()
        handlers = self.handlers_of_pages()
        if self.slab is not None:
            handlers |= self.slab.handlers()
            self._instead = self.slab.instead
        if self.vmalloc is not None:
            handlers |= self.vmalloc.handlers(self.slab)
        self._handlers = [handlers.get(kind) for kind in range(256)]
        order, self.locked_out = operation_order(self.rows)
        self.runs = runs_of_holds(self.rows)
        self.shows_drains = Kind.mm_page_pcpu_drain in self.rows.kind
        for done, row in enumerate(order):
            self._do(row)
            if done % every == 0:
                self.tracepoints.match()
                yield done
        self.tracepoints.match()

    def handlers_of_pages(self) -> dict[int, Callable[..., None]]:
        """The method for each kind of row that the page allocator has a part in."""
        return {int(kind): getattr(self, name) for kind, name in _HANDLERS.items()}

    def _check_cpus(self) -> None:
        cpus = self.rows.cpu
        if max(cpus, default=0) >= self.vm.nr_cpus:
            row = next(row for row, cpu in enumerate(cpus) if cpu >= self.vm.nr_cpus)
            raise self.bad(row, f"CPU {cpus[row]} is not in {self.source}")

    def _count_inputs(self) -> None:
        for kind in INPUTS:
            if kind in self.rows.kind:
                self.result.inputs[kind.name] = self.rows.kind.count(kind)

    def _do(self, row: int) -> None:
        rows, vm, captures = self.rows, self.vm, self.compactions.captures
        if rows.cpu[row] != vm.cpu:
            vm.set_cpu(rows.cpu[row])
        vm.capture_control = captures.get(rows.task[row]) if captures else None
        if self.runs[row]:
            self._part(row)
        handler = self._handlers[rows.kind[row]]
        if row in self._instead:
            handler = self._instead[row]
        if handler is None:
            return
        if self.locked_out[row]:
            self._locked_out(handler, row)
        else:
            handler(row, *rows[row])

    def _part(self, row: int) -> None:
        """A run of events under zone->lock begins here: see runs_of_holds()."""
        if self.rows.kind[row] == Kind.mm_page_pcpu_drain:
            self.drain_part(self.rows.context[row], self.runs[row])
        else:
            self.bulk_part(row, self.runs[row])

    def _locked_out(self, handler: Callable[..., None], row: int) -> None:
        """Do a row that found the locks of its CPU's pcps taken; one page refills a batch of 1."""
        pcps = [zone.per_cpu_pageset[self.vm.cpu] for zone in self.vm.zones]
        for pcp in pcps:
            pcp.locked = pcp.batch > 1
        handler(row, *self.rows[row])
        for pcp in pcps:
            pcp.locked = False

    def _compared(self, row: int, *fields: int) -> None:
        self.tracepoints.recorded(self.rows.kind[row], fields)


#: The method for each kind of row that has one.
_HANDLERS: dict[int, str] = {
    Kind.gpf: "_gpf",
    Kind.apn: "_apn",
    Kind.mm_page_alloc: "_mm_page_alloc",
    Kind.bulk: "_bulk_begin",
    Kind.bulk_ret: "_bulk_ret",
    Kind.mm_page_free: "_mm_page_free",
    Kind.free_then_batched: "_free_prepared",
    Kind.free_then_direct: "_free_prepared",
    Kind.mm_page_free_batched: "_mm_page_free_batched",
    Kind.direct: "_direct",
    Kind.mm_lru_insertion: "_lru_insertion",
    Kind.refresh: "_refresh",
    Kind.decay: "_decay",
    Kind.drain_zone: "_drain_zone",
    Kind.drain_pages: "_drain_pages",
    Kind.balance: "_balance",
    Kind.balance_ret: "_balance_ret",
    Kind.mm_vmscan_kswapd_wake: "_kswapd_wake",
    Kind.mm_vmscan_kswapd_sleep: "_kswapd_sleep",
    Kind.isolate: "_isolate",
    Kind.isolate_ret: "_isolate_ret",
    Kind.putback: "_putback",
    Kind.movepb: "_movepb",
    Kind.mm_compaction_try_to_compact_pages: "_try_to_compact",
    Kind.mm_compaction_begin: "_compaction_begin",
    Kind.mm_compaction_end: "_compaction_end",
    Kind.mm_compaction_finished: "_compaction_finished",
    Kind.mm_compaction_isolate_migratepages: "_migrate_scanned",
    Kind.mm_compaction_isolate_freepages: "_free_scanned",
    Kind.mm_compaction_fast_isolate_freepages: "_fast_isolate",
    Kind.mm_compaction_migratepages: "_migrated",
    Kind.setpb: "_setpb",
    **dict.fromkeys(COMPARED, "_compared"),
}
