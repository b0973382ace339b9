"""The replay loop: each row of the recording is done to the model, and the answers are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from memsim.replay.bulk import Bulk
from memsim.replay.compacting import Compacting
from memsim.replay.holds import runs_of_holds
from memsim.replay.inputs import INPUTS, Kind
from memsim.replay.lock_order import operation_order
from memsim.replay.requests import Requests
from memsim.replay.tracepoints import COMPARED
from memsim.replay.workers import Workers


class Replay(Requests, Bulk, Workers, Compacting):
    """All kinds of rows, and the loop that does them one after the other."""

    def run(self) -> Iterator[int]:
        """Do every row. Yields the row number now and then, so that progress can be shown."""
        order, self.locked_out = operation_order(self.rows)
        self.refills, self.drained = runs_of_holds(self.rows)
        for done, row in enumerate(order):
            self._do(row)
            if done % 8192 == 0:
                self.tracepoints.match()
                yield done
        self.tracepoints.match()

    def _do(self, row: int) -> None:
        rows = self.rows
        kind = rows.kind[row]
        if rows.cpu[row] >= self.vm.nr_cpus:
            raise self.bad(row, f"CPU {rows.cpu[row]} is not in the snapshot")
        self.vm.set_cpu(rows.cpu[row])
        self.vm.capture_control = self.compactions.captures.get(rows.task[row])
        if kind in INPUTS:
            self.unlock(rows.context[row])
            self.drain_rest(rows.context[row])
            self.result.inputs[_NAMES[kind]] += 1
        if row in self.refills:
            self.bulk_part(row, self.refills[row])
        elif row in self.drained:
            self.drain_part(rows.context[row], self.drained[row])
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, row, *rows[row])
            self.tracepoints.collect()

    def _compared(self, row: int, *fields: int) -> None:
        self.tracepoints.recorded(Kind(self.rows.kind[row]), fields)


_NAMES = {int(kind): kind.name for kind in Kind}
_HANDLERS: dict[int, Callable[..., None]] = {
    Kind.gpf: Replay._gpf,
    Kind.apn: Replay._apn,
    Kind.mm_page_alloc: Replay._mm_page_alloc,
    Kind.bulk: Replay._bulk_begin,
    Kind.bulk_ret: Replay._bulk_ret,
    Kind.mm_page_free: Replay._mm_page_free,
    Kind.free_then_batched: Replay._free_prepared,
    Kind.free_then_direct: Replay._free_prepared,
    Kind.mm_page_free_batched: Replay._mm_page_free_batched,
    Kind.direct: Replay._direct,
    Kind.mm_lru_insertion: Replay._lru_insertion,
    Kind.refresh: Replay._refresh,
    Kind.decay: Replay._decay,
    Kind.drain_zone: Replay._drain_zone,
    Kind.drain_pages: Replay._drain_pages,
    Kind.balance: Replay._balance,
    Kind.balance_ret: Replay._balance_ret,
    Kind.mm_vmscan_kswapd_wake: Replay._kswapd_wake,
    Kind.mm_vmscan_kswapd_sleep: Replay._kswapd_sleep,
    Kind.isolate: Replay._isolate,
    Kind.isolate_ret: Replay._isolate_ret,
    Kind.putback: Replay._putback,
    Kind.movepb: Replay._movepb,
    Kind.mm_compaction_try_to_compact_pages: Replay._try_to_compact,
    Kind.mm_compaction_begin: Replay._compaction_begin,
    Kind.mm_compaction_end: Replay._compaction_end,
    Kind.mm_compaction_finished: Replay._compaction_finished,
    Kind.mm_compaction_isolate_migratepages: Replay._migrate_scanned,
    Kind.mm_compaction_isolate_freepages: Replay._free_scanned,
    Kind.mm_compaction_fast_isolate_freepages: Replay._fast_isolate,
    Kind.mm_compaction_migratepages: Replay._migrated,
    Kind.setpb: Replay._setpb,
    **dict.fromkeys(COMPARED, Replay._compared),
}
