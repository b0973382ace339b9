#!/usr/bin/env python3
"""The model's compaction scanners beside the recorded ones: do they take the same pages?

    python tools/compactions.py CAPTURE...

While a capture is replayed, the model's isolate_freepages() and isolate_migratepages() run in the
state where the kernel's began, and are undone. Compared are what both trace: where each scan began
and ended, how many pages it scanned and took; which free blocks, for the free scanner; and what a
fast search looked at. Prints a Markdown table, then every kind of difference with its first line,
the trace's, and with a likely reason.

Told by the recording: where the scanners stand when a compaction begins, how many pages still
need a target, skip marks. Assumed: order -1 ignores skip marks, and kcompactd does not; every page
on an LRU list can move, as nobody holds it; a call is made at once, whoever ran meanwhile; all that
was isolated before a call has been used. After a difference the rest of that call is not compared
where it began with a fast search (its scans count as different), else a new call begins there.
Not compared: compaction by a request itself.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from memsim.mm.apply import undo_steps
from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.free_scanner import isolate_freepages
from memsim.mm.compaction.migrate_scanner import isolate_migratepages
from memsim.mm.folio import FILE, new_mapping, reclaim_init, set_word
from memsim.mm.journal import start_steps, step_fields
from memsim.mm.mm_inline import lruvec_add_folio
from memsim.mm.mmzone import PG_INUSE, PG_LRU, PG_ORDER, Vm
from memsim.replay.outcome import replay_capture
from memsim.replay.pages.compactions import Compaction, Compactions
from memsim.replay.run import Replay
from memsim.trace.compaction_events import (
    MM_COMPACTION_FAST_ISOLATE_FREEPAGES,
    MM_COMPACTION_ISOLATE_FREEPAGES,
    MM_COMPACTION_ISOLATE_MIGRATEPAGES,
)
from memsim.trace.events import TP_COMPACTION
from memsim.trace.folio_steps import WORD_MAPPING, WORD_REFCOUNT
from memsim.trace.ring import Record, Ring
from memsim.words.mmzone import NR_PAGE_ORDERS, NULL

FREE, FAST, MIGRATE = "free scan", "fast search", "migrate scan"
_EVENTS = {
    MM_COMPACTION_ISOLATE_FREEPAGES: FREE,
    MM_COMPACTION_FAST_ISOLATE_FREEPAGES: FAST,
    MM_COMPACTION_ISOLATE_MIGRATEPAGES: MIGRATE,
}


class Scan(NamedTuple):
    """A scan; of a fast search `start` is its min_pfn, `end` where the scanner stood."""

    kind: str
    start: int
    end: int
    scanned: int
    taken: int


@dataclass
class Counts:
    """Of one capture, by kind of scan: recorded and alike."""

    recorded: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    pages: str = ""
    #: By kind of difference: how many, and the line of the first.
    differences: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def differs(self, what: str, line: int) -> None:
        """One more difference of this kind."""
        self.differences[what] += 1
        self.first.setdefault(what, line)


class Scans(Ring):
    """In the place of the ring: the scans of a call."""

    def __init__(self) -> None:
        super().__init__(1)
        self.found: list[Scan] = []

    def write(self, record: Record) -> None:
        """Keep it if it is one."""
        kind = _EVENTS.get(record[1] & 0xFF)
        if kind is not None:
            self.found.append(Scan(kind, *record[2:6]))


class Trials:
    """Calls of the model that are undone at once.

    A replay has no folios. For the migrate scanner, pages on LRU lists are clean ones of one file.
    """

    def __init__(self, vm: Vm) -> None:
        reclaim_init(vm)
        self._vm = vm
        self._file = new_mapping(vm, FILE, "folios")
        self._folios = vm.folios
        del vm.folios

    def free(self, cc: CompactControl) -> list[Scan]:
        """What isolate_freepages() does: its search and its scans. cc has the blocks."""
        return self._undone(lambda: isolate_freepages(cc))

    def migrate(self, cc: CompactControl) -> Scan | None:
        """What isolate_migratepages() does: its scan, if it makes one.

        Where it begins is found out first, without folios: only those of its pageblock are made.
        """
        found = self._undone(lambda: isolate_migratepages(own_lists(cc)))
        if not found:
            return None
        start = found[0].start
        self._vm.folios = self._folios
        found = self._undone(lambda: self._migrate(cc, start))
        del self._vm.folios
        return found[0]

    def _migrate(self, cc: CompactControl, start: int) -> None:
        pfn = start
        while pfn < cc.block_end(start):
            state = self._vm.page_state[pfn]
            if (state & (PG_INUSE | PG_LRU)) == PG_INUSE | PG_LRU:
                self._join(pfn)
            pfn += 1 << (state & PG_ORDER) if state & PG_INUSE else 1
        isolate_migratepages(cc)

    def _join(self, folio: int) -> None:
        set_word(self._folios, WORD_MAPPING, folio, self._file.id)
        set_word(self._folios, WORD_REFCOUNT, folio, 1)
        lruvec_add_folio(self._vm, folio)

    def _undone(self, call: Callable[[], object]) -> list[Scan]:
        vm, trace = self._vm, self._vm.trace
        kept, nr_steps = (trace.mask, trace.ring, trace.seq), len(trace.journal)
        trace.ring = scans = Scans()
        trace.mask = TP_COMPACTION
        start_steps(vm)
        call()
        for zone in vm.zones:
            step_fields(zone)
        undo_steps(vm, list(trace.journal.read(nr_steps)))
        trace.journal.cut(nr_steps)
        trace.mask, trace.ring, trace.seq = kept
        return scans.found


def own_lists(cc: CompactControl) -> CompactControl:
    """A copy with empty lists."""
    cc = copy(cc)
    cc.freepages = [[] for _ in range(NR_PAGE_ORDERS)]
    cc.migratepages = []
    cc.nr_freepages = cc.nr_migratepages = 0
    # the replay says 0 where the kernel says -1
    cc.order = cc.order or -1
    cc.ignore_skip_hint = cc.ignore_skip_hint or cc.order < 0
    return cc


@dataclass
class Call:
    """One call of the model, from this row on, and what of it is still to be compared."""

    row: int
    cc: CompactControl
    scans: deque[Scan]
    #: The block that the recorded fast search took, and those of the scan so far.
    fast: int = NULL
    blocks: list[int] = field(default_factory=list)

    def blocks_of(self, scan: Scan) -> list[int]:
        """Those that the model's scan took, in the order of their pfns."""
        blocks = (block for blocks in self.cc.freepages for block in blocks)
        return sorted(b for b in blocks if scan.start <= b < scan.end and b != self.fast)


class WatchedCompactions(Compactions):
    """Compactions of a recording, for who wants to look on."""

    look_on: Callable[[int, CompactControl], None]

    def of(self, context: int) -> Compaction | None:
        """The one under way."""
        return self._running.get(context)

    def search_source(self, context: int, cc: CompactControl) -> None:
        """Told before the lists are rotated."""
        self.look_on(context, cc)
        super().search_source(context, cc)


class CompactionsReplay(Replay):
    """A replay in which the model makes each recorded scan too."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts[:-1])
        self.counts: Counts = parts[-1]
        self.compactions = self.watched = WatchedCompactions(self.vm)
        self.watched.look_on = self._source
        self.trials = Trials(self.vm)
        self.row = 0
        #: By context: isolate_freepages() under way, and where the last one left the scanner.
        self.calls: dict[int, Call] = {}
        self.free_pfns: dict[int, int] = {}
        #: By context: isolate_migratepages(), and from which row on.
        self.sources: dict[int, tuple[int, Scan | None]] = {}
        self.rescans: dict[int, tuple[int, Scan | None]] = {}

    # The free scanner

    def _fast_isolate(self, row: int, *numbers: int) -> None:
        context = self.rows.context[row]
        self._stopped(row)
        call = self._begin_call(row)
        if call is not None:
            call.fast = self.fast.get(context, NULL)
            self._compare_free(row, call, Scan(FAST, *numbers[:4]))
        super()._fast_isolate(row, *numbers)

    def _isolate_ret(self, row: int, fast: int, returned: int, *rest: int) -> None:
        context = self.rows.context[row]
        call = None if fast else self._call(row)
        if call is not None and returned:
            call.blocks.append(self.isolating.get(context, (NULL, 0))[0])
        super()._isolate_ret(row, fast, returned, *rest)

    def _free_scanned(self, row: int, *numbers: int) -> None:
        call = self._call(row)
        if call is not None:
            self._compare_free(row, call, Scan(FREE, *numbers[:4]))
        elif self._is_watched(row):
            self.counts.recorded[FREE] += 1
            self.counts.differs(
                f"{FREE}: not compared, behind another difference", self.rows.line[row]
            )
        super()._free_scanned(row, *numbers)

    def _call(self, row: int) -> Call | None:
        """The one under way; else one that begins here, unless that is with a fast search."""
        call = self.calls.get(self.rows.context[row])
        run = self.watched.of(self.rows.context[row])
        if call is None and run is not None and run.cc.order <= 0:
            return self._begin_call(row)
        return call

    def _begin_call(self, row: int) -> Call | None:
        context = self.rows.context[row]
        run = self.watched.of(context)
        if run is None or not self._is_watched(row):
            return None
        cc = own_lists(run.cc)
        cc.nr_migratepages = run.nr_migratepages()
        cc.free_pfn = self.free_pfns.pop(context, cc.free_pfn)
        call = self.calls[context] = Call(row, cc, deque(self.trials.free(cc)))
        return call

    def _compare_free(self, row: int, call: Call, scan: Scan) -> None:
        context, model = self.rows.context[row], call.scans.popleft() if call.scans else None
        is_equal = self._compare_scan(row, call.row, scan, model)
        if is_equal and scan.kind == FREE and sorted(call.blocks) != call.blocks_of(scan):
            self.counts.equal[FREE] -= 1
            is_equal = self._differs(row, call.row, f"{FREE}: other blocks, as many pages")
        call.blocks.clear()
        if not is_equal:
            del self.calls[context]
        elif not call.scans:
            self.free_pfns[context] = self.calls.pop(context).cc.free_pfn

    def _stopped(self, row: int) -> None:
        """isolate_freepages() is over: the model's should be too."""
        call = self.calls.pop(self.rows.context[row], None)
        if call is not None and call.scans:
            self._differs(row, call.row, f"{call.scans[0].kind}: the model makes one more")

    # The migrate scanner

    def _compaction_finished(self, row: int, *numbers: int) -> None:
        context, self.row = self.rows.context[row], row
        self._stopped(row)
        begun, scan = self.sources.pop(context, (row, None))
        if scan is not None:
            self._differs(row, begun, f"{MIGRATE}: the model makes one more")
        self.rescans.pop(context, None)
        super()._compaction_finished(row, *numbers)

    def _source(self, context: int, cc: CompactControl) -> None:
        """isolate_migratepages() begins."""
        if self._is_watched(self.row):
            self.sources[context] = self.row, self.trials.migrate(own_lists(cc))

    def _migrated(self, row: int, nr_migrated: int, nr_failed: int, *rest: int) -> None:
        """The rest of a pageblock is scanned at once when a page could not move."""
        context = self.rows.context[row]
        self._stopped(row)
        super()._migrated(row, nr_migrated, nr_failed, *rest)
        run = self.watched.of(context)
        if run is not None and nr_failed and self._is_watched(row):
            cc = own_lists(run.cc)
            cc.finish_pageblock = True
            self.rescans[context] = row, self.trials.migrate(cc)

    def _migrate_scanned(self, row: int, *numbers: int) -> None:
        context, scan = self.rows.context[row], Scan(MIGRATE, *numbers[:4])
        rescan = self.rescans.pop(context, (row, None))
        begun, model = self.sources.pop(context, rescan)
        if self._is_watched(row):
            self._compare_scan(row, begun, scan, model)
        super()._migrate_scanned(row, *numbers)

    # Both

    def _compaction_begin(self, row: int, *numbers: int) -> None:
        for known in (self.calls, self.free_pfns, self.sources, self.rescans):
            known.pop(self.rows.context[row], None)
        super()._compaction_begin(row, *numbers)

    def _compaction_end(self, row: int, *numbers: int) -> None:
        self._stopped(row)
        super()._compaction_end(row, *numbers)

    def _is_watched(self, row: int) -> bool:
        """Does a compaction run here that no request makes for itself?"""
        run = self.watched.of(self.rows.context[row])
        return run is not None and not run.cc.direct_compaction

    def _compare_scan(self, row: int, begun: int, scan: Scan, model: Scan | None) -> bool:
        self.counts.recorded[scan.kind] += 1
        if scan == model:
            self.counts.equal[scan.kind] += 1
            return True
        return self._differs(row, begun, f"{scan.kind}: {difference(scan, model)}")

    def _differs(self, row: int, begun: int, what: str) -> bool:
        """False; others may be the reason that ran between both rows."""
        contexts = self.rows.context
        if any(contexts[between] != contexts[row] for between in range(begun, row)):
            what += " (others ran since the call began)"
        self.counts.differs(what, self.rows.line[row])
        return False


def difference(scan: Scan, model: Scan | None) -> str:
    """What the kernel's did otherwise than the model's, and the likely reason."""
    if model is None:
        return "the model makes none"
    if scan.kind != model.kind or scan.start != model.start:
        return "begins elsewhere"
    if scan.kind == FAST or scan.taken == model.taken:
        return "looks at other pages"
    if scan.kind == FREE:
        return f"{'more' if scan.taken > model.taken else 'fewer'} pages taken"
    if scan.taken < model.taken:
        return "fewer pages taken (somebody holds them, a recording does not tell)"
    return "more pages taken (on LRU lists, though the recording does not tell)"


def compactions(folder: Path) -> Counts:
    """Replay a capture, and let the model make its scans."""
    counts = Counts()

    def make_replay(*parts: Any) -> CompactionsReplay:
        return CompactionsReplay(*parts, counts)

    result = replay_capture(folder, make_replay=make_replay).result
    counts.pages = f"{result.exact:,} of {result.requests:,}"
    return counts


def table(columns: list[tuple[str, Counts]]) -> str:
    """A row for each capture: alike, of those recorded; then the differences."""
    kinds = (FREE, FAST, MIGRATE)
    heads = ["free scans", "fast searches", "migrate scans", "pages exact"]
    lines = ["| capture | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, c in columns:
        cells = [f"{c.equal[kind]:,} of {c.recorded[kind]:,}" for kind in kinds]
        lines.append(f"| `{name}` | " + " | ".join(cells) + f" | {c.pages} |")
    for name, c in columns:
        for what, number in c.differences.most_common():
            lines.append(f"{name}: {number} × {what}, first in line {c.first[what]}")
    return "\n".join(lines)


def main() -> int:
    """The command."""
    folders = [Path(argument) for argument in sys.argv[1:]]
    if not folders or any(folder.name.startswith("-") for folder in folders):
        print(__doc__, file=sys.stderr)
        return 2
    print(table([(folder.name, compactions(folder)) for folder in folders]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
