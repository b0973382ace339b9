"""Compaction, as far as it touches free lists: isolation, putting back, searches, capture."""

from __future__ import annotations

from memsim.mm.journal import set_page_state
from memsim.mm.mmzone import PG_BUDDY, PG_INUSE, Zone, get_pageblock_migratetype, page_zone
from memsim.mm.page_alloc.buddy import free_one_page
from memsim.mm.page_alloc.isolate import _isolate_free_page, _putback_isolated_page
from memsim.mm.page_alloc.zone_walk import prep_new_page
from memsim.replay.pages.frees import Frees
from memsim.words.mmzone import FPI_NONE, MAX_PAGE_ORDER, NULL


class Compacting(Frees):
    """Rows of compaction."""

    def _isolate(self, row: int, pfn: int, order: int, *_: int) -> None:
        self.isolating[self.rows.context[row]] = self.block(row, pfn, order)

    def _isolate_ret(self, row: int, fast: int, returned: int, *_: int) -> None:
        """Compaction took a free block off its list, or was refused by the min watermark."""
        pfn, order = self.isolating.pop(self.rows.context[row], (NULL, 0))
        zone = page_zone(self.vm, pfn)
        if fast:
            self.fast[self.rows.context[row]] = pfn
            return
        if zone is None or zone.page_state[pfn] != PG_BUDDY | order:
            self.result.notes["isolated blocks that memsim does not have free"] += 1
            return
        if _isolate_free_page(zone, pfn, order):
            self._targets(zone, pfn, pfn, order)

    def _targets(self, zone: Zone, pfn: int, page: int, order: int) -> None:
        """Pages of an isolated block are in use from here on: migration targets, one by one."""
        set_page_state(zone, page, 1 << order, PG_INUSE)
        for offset in range(min(1 << order, self.vm.max_pfn - pfn)):
            self.pages.allocated(pfn + offset, page + offset, 0)
        self.pages.taken(page, order)

    def _compaction_begin(
        self, row: int, _zone_start: int, migrate_pfn: int, free_pfn: int, *_: int
    ) -> None:
        self.compactions.begin(self.rows.context[row], migrate_pfn, free_pfn)

    def _try_to_compact(self, row: int, order: int, gfp_mask: int, priority: int, *_: int) -> None:
        order = self.order(row, order)
        self.compactions.try_to_compact(self.rows.context[row], order, gfp_mask, priority)

    def _compaction_end(self, row: int, *_: int) -> None:
        """A captured block is the answer to the request that compacted for it."""
        context = self.rows.context[row]
        page, order = self.compactions.end(context)
        request = self.requests.get(context)
        waits = request is not None and request.page == NULL and request.order == order
        zone = page_zone(self.vm, page)
        if zone is not None and request is not None and waits:
            prep_new_page(zone, page, order)
            request.page = page
        elif zone is not None:
            free_one_page(zone, page, order, FPI_NONE)

    def _compaction_finished(self, row: int, _nid: int, order: int, goes_on: int, *_: int) -> None:
        self.compactions.finished(self.rows.context[row], min(order, MAX_PAGE_ORDER), goes_on)

    def _migrate_scanned(
        self, row: int, _start: int, end: int, _scanned: int, taken: int, *_: int
    ) -> None:
        self.compactions.migrate_scanned(self.rows.context[row], end, taken)

    def _free_scanned(
        self, row: int, start: int, end: int, _scanned: int, taken: int, *_: int
    ) -> None:
        self.compactions.free_scanned(self.rows.context[row], start, end, taken)

    def _fast_isolate(self, row: int, _min_pfn: int, free_pfn: int, *_: int) -> None:
        """Compaction searched the free lists for a target: which block, memsim says."""
        context = self.rows.context[row]
        page, order = self.compactions.fast_isolate(context, free_pfn)
        expected = self.fast.pop(context, NULL)
        zone = page_zone(self.vm, page)
        if zone is not None and expected == NULL:
            _putback_isolated_page(zone, page, order, get_pageblock_migratetype(zone, page))
        elif zone is not None:
            self._targets(zone, expected, page, order)
        if page != expected:
            self.result.notes["fast searches of compaction that found another block"] += 1

    def _migrated(self, row: int, nr_migrated: int, *_: int) -> None:
        self.compactions.migrated(self.rows.context[row], nr_migrated)

    def _setpb(self, row: int, flags: int, pfn: int, mask: int, *_: int) -> None:
        """PB_migrate_skip of a pageblock was set or cleared."""
        block = pfn >> self.vm.pageblock_order
        if mask & 8 and 0 <= block < len(self.vm.pageblock_skip):
            self.vm.pageblock_skip[block] = int(flags & 8 != 0)
            if not flags & 8:
                self.compactions.skip_cleared()

    def _putback(self, row: int, pfn: int, order: int, migratetype: int, *_: int) -> None:
        """An isolated block is put back, as the type that its pageblock has in memsim."""
        if not 0 <= migratetype < self.vm.MIGRATE_TYPES:
            raise self.bad(row, f"migratetype {migratetype} does not exist")
        freed = self.freed(row, pfn, order)
        if freed is not None:
            zone, page = freed
            set_page_state(zone, page, 1 << order, 0)
            _putback_isolated_page(zone, page, order, get_pageblock_migratetype(zone, page))
