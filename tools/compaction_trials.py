"""Calls of the model's compaction scanners that are undone at once, and what they trace."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import NamedTuple

from memsim.mm.apply import undo_steps
from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.free_scanner import isolate_freepages
from memsim.mm.compaction.migrate_scanner import isolate_migratepages
from memsim.mm.folio import FILE, new_mapping, reclaim_init, set_word
from memsim.mm.journal import start_steps, step_fields
from memsim.mm.mm_inline import lruvec_add_folio
from memsim.mm.mmzone import PG_INUSE, PG_LRU, PG_ORDER, Vm
from memsim.trace.compaction_events import (
    MM_COMPACTION_FAST_ISOLATE_FREEPAGES,
    MM_COMPACTION_ISOLATE_FREEPAGES,
    MM_COMPACTION_ISOLATE_MIGRATEPAGES,
)
from memsim.trace.events import TP_COMPACTION
from memsim.trace.folio_steps import WORD_MAPPING, WORD_REFCOUNT
from memsim.trace.ring import Record, Ring
from memsim.words.mmzone import NR_PAGE_ORDERS

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
    """A copy for the model, with empty lists; order -1, for all memory, the replay writes as 0."""
    cc = copy(cc)
    cc.freepages = [[] for _ in range(NR_PAGE_ORDERS)]
    cc.migratepages = []
    cc.nr_freepages = cc.nr_migratepages = 0
    cc.order = cc.order or -1
    cc.ignore_skip_hint = cc.ignore_skip_hint or cc.order < 0
    return cc
