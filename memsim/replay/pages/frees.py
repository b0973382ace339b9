"""Frees, at once, by batch or straight to the buddy; and pages that join an LRU list."""

from __future__ import annotations

from memsim.mm.journal import set_page_state
from memsim.mm.mmzone import PG_INUSE, PG_LRU, PG_ORDER, Zone, page_zone
from memsim.mm.page_alloc.buddy import free_one_page, pcp_allowed_order
from memsim.mm.page_alloc.free import commit_batched, free_pages_prepare, free_unref_page
from memsim.replay.pages.base import Base
from memsim.words.mmzone import NULL


class Frees(Base):
    """Rows that free."""

    def freed(self, row: int, pfn: int, order: int) -> tuple[Zone, int] | None:
        """memsim's page for a page that the recording frees, and its zone."""
        pfn, order = self.block(row, pfn, order)
        page = self.pages.freed(pfn, order)
        zone = page_zone(self.vm, page)
        if zone is None or page + (1 << order) > zone.zone_end_pfn or page & (1 << order) - 1:
            self.result.notes["frees of pages that memsim does not have"] += 1
            return None
        if not self.pages.given_back(page, order):
            self.result.notes["frees of pages that memsim has free"] += 1
            return None
        return zone, page

    def _mm_page_free(self, row: int, pfn: int, order: int, *_: int) -> None:
        freed = self.freed(row, pfn, order)
        if freed is not None:
            free_unref_page(self.vm, freed[1], order)

    def _free_prepared(self, row: int, pfn: int, order: int, *_: int) -> None:
        """Freed, but its block goes to a list later: nobody has it in the meantime."""
        freed = self.freed(row, pfn, order)
        if freed is not None:
            free_pages_prepare(freed[0], freed[1], order)
            self.prepared[pfn] = (freed[1], order)

    def _mm_page_free_batched(self, row: int, pfn: int, *_: int) -> None:
        """A folio of a batch is committed."""
        page, order = self.prepared.pop(pfn, (NULL, 0))
        zone = page_zone(self.vm, page)
        if zone is not None and pcp_allowed_order(self.vm, order):
            commit_batched(zone, page, order)

    def _direct(self, row: int, _zone: int, pfn: int, order: int, fpi_flags: int, *_: int) -> None:
        page, order = self.prepared.pop(pfn, (NULL, 0))
        zone = page_zone(self.vm, page)
        if zone is not None:
            free_one_page(zone, page, order, fpi_flags)

    def _lru_insertion(self, row: int, pfn: int, *_: int) -> None:
        """The folio is on an LRU list: all its pages count as PageLRU."""
        page = self.pages.page_of(self.block(row, pfn, 0)[0], 0)
        zone = page_zone(self.vm, page)
        if zone is None or self.pages.is_free(page, 1):
            self.result.notes["LRU insertions of pages that memsim does not have"] += 1
            return
        state = zone.page_state[page] or PG_INUSE
        nr_pages = min(1 << (state & PG_ORDER), zone.zone_end_pfn - page)
        if self.pages.is_free(page, nr_pages):
            nr_pages = 1
        set_page_state(zone, page, 1, state | PG_LRU)
        if nr_pages > 1:
            set_page_state(zone, page + 1, nr_pages - 1, PG_LRU)
