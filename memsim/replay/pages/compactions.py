"""Compactions of the recording, followed closely enough to make the model's fast searches.

The trace tells when a compaction starts, goes on, scans and migrates: which pages can move depends
on who holds them, and of that it says nothing. Which free block a fast search takes, and how it
leaves the lists, is the model's own answer. So is the block that a task which compacts for itself
captures.
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.fast_search import (
    TargetSearch,
    fast_find_migrateblock,
    search_free_lists,
)
from memsim.mm.mmzone import CaptureControl, Vm, page_zone
from memsim.words.compaction import MIN_COMPACT_PRIORITY
from memsim.words.gfp import gfp_migratetype
from memsim.words.mmzone import MIGRATE_PCPTYPES, MIGRATE_UNMOVABLE, NULL


class Compaction:
    """One compact_zone(): its compact_control, and pages isolated and migrated so far."""

    def __init__(self, cc: CompactControl) -> None:
        self.cc = cc
        self.isolated = 0
        self.succeeded = 0
        self.taken = 0

    def nr_migratepages(self) -> int:
        """Pages of this round that still need a target, once all targets so far were used."""
        return max(0, self.taken - (self.isolated - self.succeeded))


class Compactions:
    """The compaction under way of each task, by its context."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._running: dict[int, Compaction] = {}
        self._direct: dict[int, tuple[int, int, int]] = {}
        self._was_reset = False
        #: What a task that compacts for itself captures, by its context.
        self.captures: dict[int, CaptureControl] = {}

    def try_to_compact(self, context: int, order: int, gfp_mask: int, priority: int) -> None:
        """A request compacts for itself: zone after zone, with this order and priority."""
        migratetype = gfp_migratetype(gfp_mask)
        if migratetype >= MIGRATE_PCPTYPES:
            migratetype = MIGRATE_UNMOVABLE
        self._direct[context] = (order, migratetype, priority)

    def begin(self, context: int, migrate_pfn: int, free_pfn: int) -> None:
        """compact_zone() starts. kcompactd's order is told by the first mm_compaction_finished."""
        zone = page_zone(self._vm, migrate_pfn)
        if zone is None:
            return
        cc = CompactControl(zone, 0, migrate_pfn, free_pfn)
        self._running[context] = Compaction(cc)
        if self._was_reset:
            zone.compact_init_free_pfn, self._was_reset = free_pfn, False
        if context in self._direct:
            order, cc.migratetype, priority = self._direct[context]
            cc.order = cc.search_order = order
            cc.direct_compaction = True
            # only the highest priority ignores skip bits
            cc.ignore_skip_hint = priority == MIN_COMPACT_PRIORITY
            self.captures[context] = CaptureControl(zone, order, cc.migratetype)

    def skip_cleared(self) -> None:
        """PB_migrate_skip was cleared: __reset_isolation_suitable() moved the starting points.

        The next compaction starts at the new one. NOT MODELLED: several zones reset at once.
        """
        self._was_reset = True

    def end(self, context: int) -> tuple[int, int]:
        """compact_zone() ends: the block that its task captured, or NULL, and its order."""
        self._running.pop(context, None)
        capc = self.captures.pop(context, None)
        return (NULL, 0) if capc is None else (capc.page, capc.order)

    def request_ended(self, context: int) -> None:
        """The request that compacted for itself has its answer."""
        self._direct.pop(context, None)

    def finished(self, context: int, order: int, goes_on: int) -> None:
        """compact_finished() was asked. If compaction goes on, a migration source is searched."""
        running = self._running.get(context)
        if running is None or not goes_on:
            return
        cc = running.cc
        if cc.order == 0 < order:
            cc.order = cc.search_order = order
        _drain_check(cc)
        cc.finish_pageblock = cc.block_start(cc.last_migrated_pfn) == cc.block_start(cc.migrate_pfn)
        self.search_source(context, cc)

    def search_source(self, context: int, cc: CompactControl) -> None:
        """isolate_migratepages() begins: where it scans then, the recording tells."""
        fast_find_migrateblock(cc)

    def migrate_scanned(self, context: int, end_pfn: int, nr_taken: int) -> None:
        """isolate_migratepages_block() scanned up to end_pfn and took nr_taken pages."""
        running = self._running.get(context)
        if running is None:
            return
        cc = running.cc
        cc.migrate_pfn = end_pfn
        running.taken = nr_taken
        if nr_taken:
            cc.last_migrated_pfn = max(cc.zone.zone_start_pfn, cc.block_start(end_pfn - 1))

    def free_scanned(self, context: int, start_pfn: int, end_pfn: int, taken: int) -> None:
        """isolate_freepages_block() scanned [start_pfn, end_pfn)."""
        running = self._running.get(context)
        if running is None:
            return
        cc = running.cc
        running.isolated += taken
        at_block_end = end_pfn == cc.block_start(end_pfn)
        block = cc.block_start(start_pfn)
        cc.free_pfn = block - (1 << self._vm.pageblock_order) if at_block_end else end_pfn

    def fast_isolate(self, context: int, free_pfn: int) -> tuple[int, int]:
        """The fast search for a target ran: (block or NULL, its order) as the model answers."""
        running = self._running.get(context)
        if running is None:
            return NULL, 0
        cc = running.cc
        cc.free_pfn = free_pfn
        cc.nr_freepages = 0
        cc.nr_migratepages = max(1, running.nr_migratepages())
        page = search_free_lists(cc, TargetSearch(cc)) if cc.order > 0 else NULL
        if page == NULL:
            cc.fast_search_fail += 1
        for blocks in cc.freepages:
            blocks.clear()
        running.isolated += cc.nr_freepages
        return page, cc.nr_freepages.bit_length() - 1 if page != NULL else 0

    def migrated(self, context: int, nr_succeeded: int) -> None:
        """migrate_pages() ended."""
        running = self._running.get(context)
        if running is not None:
            running.succeeded += nr_succeeded
            running.taken = 0


def _drain_check(cc: CompactControl) -> None:
    """Once the scanner leaves the block that pages were migrated from, that is forgotten."""
    if cc.order > 0 and cc.last_migrated_pfn < cc.migrate_pfn & -(1 << cc.order):
        cc.last_migrated_pfn = 0
