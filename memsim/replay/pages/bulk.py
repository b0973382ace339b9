"""Bulk requests: traced by when they begin and end and how many pages they gave, not by which.

On several CPUs a request that refills its pcp list more than once lets others have zone->lock in
between: it is done in parts, each at the time of a refill.
"""

from __future__ import annotations

from memsim.mm.mmzone import numa_node_id
from memsim.mm.page_alloc.alloc import NO_LIMIT, prepare_bulk, take_bulk
from memsim.replay.pages.base import Base, BulkRequest

#: Pages that one bulk request may give. The kernel asks for some hundreds.
_MAX_BULK = 1 << 16


class Bulk(Base):
    """Rows of bulk requests. One page at a time they come by mm_page_alloc, and are not here."""

    def _bulk_begin(self, row: int, gfp_mask: int, nid: int, nr_pages: int, *_: int) -> None:
        self.context(row, gfp_mask)
        nid = nid if 0 <= nid < len(self.vm.nodes) else numa_node_id(self.vm)
        self.bulk[self.rows.context[row]] = (gfp_mask, nid, nr_pages)

    def bulk_part(self, row: int, refill_pages: int) -> None:
        """The request refills its list, with so many pages, while it has zone->lock."""
        request = self._opened(row)
        if request is not None:
            self._take(row, request, request.seen + refill_pages)

    def _bulk_ret(self, row: int, nr_pages: int, returned: int, *_: int) -> None:
        """The request ended: it takes what is left of the pages that it gave."""
        if not 0 <= returned <= _MAX_BULK:
            raise self.bad(row, f"bulk request of {returned} pages")
        request = self._opened(row)
        self.bulk_open.pop(self.rows.context[row], None)
        self.bulk.pop(self.rows.context[row], None)
        if request is not None:
            request.wanted = min(request.wanted, request.wanted + returned - nr_pages)
            self._take(row, request, NO_LIMIT)

    def _opened(self, row: int) -> BulkRequest | None:
        """The context's bulk request; its zone is chosen when it first takes pages."""
        context = self.rows.context[row]
        if context not in self.bulk_open and context in self.bulk:
            gfp_mask, nid, nr_pages = self.bulk[context]
            if 1 < nr_pages <= _MAX_BULK:
                chosen = prepare_bulk(self.vm, gfp_mask, nid, nr_pages)
                self.bulk_open[context] = BulkRequest(*chosen, nr_pages)
        return self.bulk_open.get(context)

    def _take(self, row: int, request: BulkRequest, refill_pages: int) -> None:
        if request.zone is None:
            return
        pages, request.seen = take_bulk(
            request.zone, request.migratetype, request.alloc_flags, request.wanted, refill_pages
        )
        request.wanted -= len(pages)
        self.result.notes["pages given by bulk requests"] += len(pages)
        self.bulk_given.get(self.rows.context[row], []).extend(pages)
        for page in pages:
            self.pages.allocated_untraced(page)
