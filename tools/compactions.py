#!/usr/bin/env python3
"""The model's compaction scanners beside the recorded ones: do they take the same pages?

    python tools/compactions.py CAPTURE...

While a capture is replayed, the model's isolate_freepages() and isolate_migratepages() run in the
state where the kernel's began, and are undone. Compared is what both trace: where each scan began
and ended, how many pages it looked at and took; what a fast search looked at; and which blocks a
free scan took. Prints a Markdown table, then every kind of difference with its likely reason and
its first line in the trace.

The recording tells where the scanners stand when a compaction begins, how many pages still need a
target, and skip marks. Assumed: order -1 ignores skip marks, kcompactd's own compaction does not;
every page on an LRU list can move, as nobody holds it; nobody runs during a call; what was isolated
before it is used up. After a difference a new call begins at the next scan; with a fast search, at
the next search, and scans until then count as different. Not compared: direct compaction.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from compaction_trials import FAST, FREE, MIGRATE, Scan, Trials, own_lists
from of_captures import run_of_captures

from memsim.mm.compaction.control import CompactControl
from memsim.replay.outcome import replay_capture
from memsim.replay.pages.compactions import Compaction, Compactions
from memsim.replay.run import Replay
from memsim.words.mmzone import NULL


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

    def others_take(self, context: int) -> bool:
        """Does another task's compaction hold pages that it migrates?"""
        return any(run.taken for who, run in self._running.items() if who != context)

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
        self.kinds_of_pages = frozenset(self.handlers_of_pages())
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
        if run is None or run.cc.direct_compaction:
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
            is_equal = self._differs(row, call.row, FREE, "takes other blocks")
        call.blocks.clear()
        if not is_equal:
            del self.calls[context]
        elif not call.scans:
            self.free_pfns[context] = self.calls.pop(context).cc.free_pfn

    def _stopped(self, row: int) -> None:
        """isolate_freepages() is over: the model's should be too."""
        call = self.calls.pop(self.rows.context[row], None)
        if call is not None and call.scans:
            self._differs(row, call.row, call.scans[0].kind, "the model makes one more")

    # The migrate scanner

    def _compaction_finished(self, row: int, *numbers: int) -> None:
        context, self.row = self.rows.context[row], row
        self._stopped(row)
        begun, scan = self.sources.pop(context, (row, None))
        if scan is not None:
            self._differs(row, begun, MIGRATE, "the model makes one more")
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
        return self._differs(row, begun, scan.kind, difference(scan, model))

    def _differs(self, row: int, begun: int, kind: str, what: str) -> bool:
        """False. begun: the row where the model made its call."""
        why = self._why(row, begun, kind)
        self.counts.differs(f"{kind}: {what} ({why})", self.rows.line[row])
        return False

    def _why(self, row: int, begun: int, kind: str) -> str:
        """The likely reason."""
        contexts, kinds = self.rows.context, self.rows.kind
        if self.watched.others_take(contexts[row]):
            return "another compaction takes pages at the same time"
        between = [other for other in range(begun, row) if contexts[other] != contexts[row]]
        if any(kinds[other] in self.kinds_of_pages for other in between):
            return "others ran since the call began"
        if kind == MIGRATE:
            return "what is on LRU lists, and who holds it, the recording tells in part"
        return "no reason known"


def difference(scan: Scan, model: Scan | None) -> str:
    """What the kernel's does otherwise than the model's."""
    if model is None:
        return "the model makes none"
    if scan.kind != model.kind or scan.start != model.start:
        return "begins elsewhere"
    if scan.taken == model.taken:
        return "looks at other pages"
    return "takes more pages" if scan.taken > model.taken else "takes fewer pages"


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
    return run_of_captures(__doc__, compactions, table)


if __name__ == "__main__":
    sys.exit(main())
