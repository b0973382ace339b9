"""Compactions of the recording, followed closely enough to make the model's fast searches.

The trace tells when a compaction starts, goes on, scans and migrates; which free block a fast
search takes, and how it leaves the lists, is the model's own answer.
"""

from __future__ import annotations

from memsim.mm.compaction import CompactControl, fast_find_migrateblock, fast_isolate_freepages
from memsim.mm.mmzone import Vm, page_zone
from memsim.words.mmzone import NULL


class Compactions:
    """The compaction under way in each context."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._running: dict[int, CompactControl] = {}
        self._was_reset = False

    def begin(self, context: int, migrate_pfn: int, free_pfn: int) -> None:
        """compact_zone() starts. Its order is told by the first mm_compaction_finished."""
        zone = page_zone(self._vm, migrate_pfn)
        if zone is not None:
            self._running[context] = CompactControl(zone, 0, migrate_pfn, free_pfn)
            if self._was_reset:
                zone.compact_init_free_pfn, self._was_reset = free_pfn, False

    def skip_cleared(self) -> None:
        """PB_migrate_skip was cleared: __reset_isolation_suitable() moved the starting points.

        The next compaction starts at the new one. NOT MODELLED: several zones reset at once.
        """
        self._was_reset = True

    def end(self, context: int) -> None:
        """compact_zone() ends."""
        self._running.pop(context, None)

    def finished(self, context: int, order: int, goes_on: int) -> None:
        """compact_finished() was asked. If compaction goes on, a migration source is searched."""
        cc = self._running.get(context)
        if cc is None or not goes_on:
            return
        if cc.order == 0 < order:
            cc.order = cc.search_order = order
        self._drain_check(cc)
        cc.finish_pageblock = cc.block_start(cc.last_migrated_pfn) == cc.block_start(cc.migrate_pfn)
        fast_find_migrateblock(cc)

    def _drain_check(self, cc: CompactControl) -> None:
        """Once the scanner leaves the block that pages were migrated from, that is forgotten."""
        if cc.order > 0 and cc.last_migrated_pfn < cc.migrate_pfn & -(1 << cc.order):
            cc.last_migrated_pfn = 0

    def migrate_scanned(self, context: int, end_pfn: int, nr_taken: int) -> None:
        """isolate_migratepages_block() scanned up to end_pfn and took nr_taken pages."""
        cc = self._running.get(context)
        if cc is None:
            return
        cc.migrate_pfn = end_pfn
        cc.nr_migratepages = nr_taken
        if nr_taken:
            cc.last_migrated_pfn = max(cc.zone.zone_start_pfn, cc.block_start(end_pfn - 1))

    def free_scanned(self, context: int, start_pfn: int, end_pfn: int, taken: int) -> None:
        """isolate_freepages_block() scanned [start_pfn, end_pfn)."""
        cc = self._running.get(context)
        if cc is None:
            return
        cc.nr_freepages += taken
        at_block_end = end_pfn == cc.block_start(end_pfn)
        block = cc.block_start(start_pfn)
        cc.free_pfn = block - (1 << self._vm.pageblock_order) if at_block_end else end_pfn

    def fast_isolate(self, context: int, free_pfn: int) -> tuple[int, int]:
        """The fast search for a target ran: (block or NULL, its order) as the model answers."""
        cc = self._running.get(context)
        if cc is None:
            return NULL, 0
        cc.free_pfn = free_pfn
        cc.nr_freepages = 0
        page = fast_isolate_freepages(cc)
        return page, cc.nr_freepages.bit_length() - 1 if page != NULL else 0

    def migrated(self, context: int) -> None:
        """migrate_pages() ended."""
        cc = self._running.get(context)
        if cc is not None:
            cc.nr_migratepages = 0
