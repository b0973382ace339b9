"""Requests for pages, and the comparison of memsim's answer with the kernel's."""

from __future__ import annotations

from memsim.mm.page_alloc.alloc import fast_path
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.page_alloc.highatomic import unreserve_highatomic_pageblock
from memsim.mm.page_alloc.slowpath import _alloc_pages_slowpath
from memsim.mm.page_alloc.zone_walk import AllocContext, get_page_from_freelist
from memsim.replay.pages.base import Base, Miss, Request
from memsim.replay.pages.misses import why_page
from memsim.words.alloc_flags import ALLOC_KSWAPD, ALLOC_NO_WATERMARKS
from memsim.words.gfp import gfp_migratetype
from memsim.words.mmzone import MIGRATE_HIGHATOMIC, MIGRATE_PCPTYPES, NULL


class Requests(Base):
    """Rows that ask: mm_page_alloc, and the slow path's attempts."""

    def _apn(self, row: int, nid: int, *_: int) -> None:
        """A request begins, with this preferred node.

        Its task may move to another CPU before it takes a page: it is the CPU that logs the end
        whose pcp list served it.
        """
        self.node(row, nid)
        self.preferred[self.rows.context[row]] = nid

    def _gpf(self, row: int, gfp_mask: int, order: int, alloc_flags: int, *_: int) -> None:
        """A slow-path attempt. The fast path was tried right before the first one."""
        order = self.order(row, order)
        context = self.rows.context[row]
        request = self.requests.get(context)
        if request is None or request.order != order:
            self._drop_request(context)
            ac = self.context(row, gfp_mask)
            request = Request(ac, order, fast_path(self.vm, gfp_mask, order, ac))
            self.requests[context] = request
        if request.page == NULL:
            request.page = get_page_from_freelist(order, alloc_flags, request.ac)

    def _drop_request(self, context: int) -> None:
        """A request that the trace does not end: its page, if it had one, is given back."""
        request = self.requests.pop(context, None)
        if request is not None:
            self.result.notes["slow paths that do not end"] += 1
            if request.page != NULL:
                free_unref_page(self.vm, request.page, request.order)

    def _mm_page_alloc(
        self, row: int, pfn: int, order: int, migratetype: int, gfp_mask: int, *_: int
    ) -> None:
        if pfn != NULL:
            self.block(row, pfn, order)
        else:
            self.order(row, order)
        if not 0 <= migratetype < MIGRATE_PCPTYPES:
            what = f"migratetype {migratetype}: a request has 0 to {MIGRATE_PCPTYPES - 1}"
            raise self.bad(row, what)
        context = self.rows.context[row]
        self.bulk.pop(context, None)
        self.bulk_open.pop(context, None)
        self.compactions.request_ended(context)
        if context in self.requests and self.requests[context].order != order:
            self._drop_request(context)
        request = self.requests.pop(context, None)
        page = self._answer(row, order, gfp_mask, pfn) if request is None else request.page
        self.preferred.pop(context, None)
        self._compare(row, page, pfn, order, gfp_mask)
        if pfn != NULL:
            self.pages.allocated(pfn, page, order)
        elif page != NULL:
            free_unref_page(self.vm, page, order)

    def _answer(self, row: int, order: int, gfp_mask: int, pfn: int) -> int:
        """A request whose slow path, if any, is not in the trace."""
        ac = self.context(row, gfp_mask)
        page = fast_path(self.vm, gfp_mask, order, ac)
        if page == NULL:
            self.result.notes["slow paths not traced"] += 1
            page = self._slow_path(gfp_mask, order, ac)
        if page == NULL and pfn != NULL:
            # the kernel found a page all the same: its task may use every reserve (PF_MEMALLOC)
            alloc_flags = ALLOC_NO_WATERMARKS | gfp_mask & ALLOC_KSWAPD
            page = get_page_from_freelist(order, alloc_flags, ac)
        return page

    def _slow_path(self, gfp_mask: int, order: int, ac: AllocContext) -> int:
        """The slow path of a request whose attempts the trace does not show."""
        return _alloc_pages_slowpath(self.vm, gfp_mask, order, ac)

    def _compare(self, row: int, page: int, pfn: int, order: int, gfp_mask: int) -> None:
        result = self.result
        result.requests += 1
        if page == pfn:
            result.exact += 1
            return
        result.causes[why_page(self.pages, page, pfn, order)] += 1
        if result.first_miss is None:
            result.first_miss = Miss(
                result.requests, self.rows.line[row], self.vm.cpu, order,
                gfp_migratetype(gfp_mask), gfp_mask, pfn, page, self._around(),
            )  # fmt: skip

    def _around(self) -> list[str]:
        """The state that the missed request met, a line for each zone."""
        lines = []
        for zone in self.vm.zones:
            if zone.present_pages:
                pcp = zone.per_cpu_pageset[self.vm.cpu]
                lines.append(
                    f"{zone.name}: free {zone.vm_stat[0]} watermarks {zone._watermark} "
                    f"boost {zone.watermark_boost} flags {zone.flags} "
                    f"nr_free {[area.nr_free for area in zone.free_area]} "
                    f"pcp count {pcp.count} high {pcp.high}"
                )
        return lines

    def _movepb(
        self, row: int, address: int, _start: int, old_mt: int, new_mt: int, *_: int
    ) -> None:
        """A request about to fail gives a HIGHATOMIC pageblock back; which one, memsim says."""
        if old_mt != MIGRATE_HIGHATOMIC or not 0 <= new_mt < MIGRATE_PCPTYPES:
            return
        zone = self.zone(row, address)
        request = self.requests.get(self.rows.context[row])
        zonelist = [zone] if request is None else request.ac.zonelist
        if not unreserve_highatomic_pageblock(zonelist, new_mt, False):
            unreserve_highatomic_pageblock(zonelist, new_mt, True)
