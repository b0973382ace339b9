"""The closed loop: slabs ask memsim's page allocator, and give their pages back to it.

What the recording's slabs asked for is not fed in: order and gfp_mask are the model's own, and
pages are freed only if the model discards a slab. Taken from the recording are the moments at which
requests and frees reach the page allocator, the attempts of its slow path, and whether a free found
pcp->lock taken and went straight to the buddy, all of which the model of slab cannot know.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.slub.alloc import Object, alloc_from_new
from memsim.mm.slub.pages import new_slab, page_requests
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.replay.rows.inputs import Kind, Rows
from memsim.replay.slab.run import Growing, SlabRun
from memsim.words.mmzone import NULL
from memsim.words.slab import SLAB_TYPESAFE_BY_RCU

_FREES = frozenset({Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct})


class ClosedSlabRun(SlabRun):
    """SlabRun, whose slabs come from and go to the page allocator. open() it first."""

    def open(self, ask: Callable[..., None], free: dict[int, Callable[..., None]]) -> None:
        """ask: what does a row of mm_page_alloc; free: what does a row that frees, by its kind."""
        self._ask = ask
        self._free_by_kind = free
        #: Slabs discarded whose pages are still to be freed: first pfn -> order.
        self._discarded: dict[int, int] = {}
        #: Those among them that wait for no grace period, by the context that discarded them.
        self._due: dict[int, list[int]] = {}
        self._context = -1
        asks, frees = rows_of_slabs(self.rows, set(self.vm.slab.page_slab))
        self.instead = {
            **dict.fromkeys(asks, self._page_alloc),
            **dict.fromkeys(frees, self._page_free),
        }

    def _page_alloc(
        self, row: int, pfn: int, order: int, migratetype: int, gfp_mask: int, *_: int
    ) -> None:
        """The recorded slab asks for pages: the model's slab does too, for what it needs."""
        grown = self.growing[self.rows.context[row]][-1] if self._grows(row) else None
        if grown is None or not grown.needs or grown.asked > 1:
            self.result.notes["page requests of slabs that memsim does not make"] += 1
            return
        wanted = page_requests(grown.cache, grown.gfp)[grown.asked]
        grown.asked += 1
        if (gfp_mask, order) != wanted:
            self.result.notes["page requests of slabs that are not the recorded ones"] += 1
        self._ask(row, pfn, wanted[1], migratetype, wanted[0])
        if pfn != NULL:
            grown.page, grown.order = self.pages.block_of(pfn)

    def _grows(self, row: int) -> bool:
        return bool(self.growing.get(self.rows.context[row]))

    def make_slab(self, grown: Growing, _pfn: int) -> Slab | None:
        """A slab of the pages that memsim gave it."""
        return None if grown.page == NULL else self.slab_of(grown, grown.page, grown.order)

    def grow_alone(self, s: KmemCache, gfp: int, node: int) -> Object | None:
        """A new slab that the recording does not call for."""
        slab = new_slab(s, gfp, node)
        if slab is None:
            return None
        self.pages.taken(slab.pfn, slab.order)
        return alloc_from_new(s, slab)

    def handlers(self) -> dict[int, Callable[..., None]]:
        """Those of every SlabRun, and before each: what its context discarded and did not free.

        A probe of put_cpu_partial() is within a free, which goes on to give pages back.
        """
        handlers = super().handlers()
        return {kind: partial(self._in_context, handlers[kind]) for kind in handlers}

    def _in_context(self, handler: Callable[..., None], row: int, *fields: int) -> None:
        self._context = self.rows.context[row]
        is_within = self.rows.kind[row] == Kind.putcpup
        for page in () if is_within else self._due.pop(self._context, ()):
            if page in self._discarded:
                self.result.notes["slabs that memsim gives back alone"] += 1
                self._give(page, self._discarded.pop(page))
        handler(row, *fields)

    def give_back(self, slab: Slab) -> None:
        """An empty slab: a row tells when its pages are freed, before its context's next, or RCU.

        Kernel: mm/slub.c free_slab()
        """
        self.objects.forget(slab)
        self._discarded[slab.pfn] = slab.order
        if not slab.slab_cache.flags & SLAB_TYPESAFE_BY_RCU:
            self._due.setdefault(self._context, []).append(slab.pfn)

    def _give(self, page: int, order: int) -> None:
        if self.pages.given_back(page, order):
            free_unref_page(self.vm, page, order)

    def _page_free(self, row: int, pfn: int, order: int, *_: int) -> None:
        """The recorded slab's pages are freed: memsim's are, if it discarded that slab too."""
        page = self.pages.page_of(pfn, order) if 0 <= pfn < self.vm.max_pfn else NULL
        if page in self._discarded:
            del self._discarded[page]
            self._free_by_kind[self.rows.kind[row]](row, *self.rows[row])
        elif page != NULL:
            self.pages.freed(pfn, order)
            self.result.notes["page frees of slabs that memsim keeps"] += 1


def rows_of_slabs(rows: Rows, slab_pages: set[int]) -> tuple[list[int], list[int]]:
    """Rows by which slabs ask for pages, and those by which they free them.

    slab_pages: recorded pfns that slabs have when the recording begins.
    """
    asks, frees = [], []
    growing: dict[int, int] = {}
    for row, kind in enumerate(rows.kind):
        context = rows.context[row]
        if kind == Kind.newslab:
            growing[context] = growing.get(context, 0) + 1
        elif kind == Kind.newslab_ret:
            growing[context] = max(0, growing.get(context, 0) - 1)
            slab_pages.add(rows[row][0])
        elif kind == Kind.mm_page_alloc:
            if growing.get(context):
                asks.append(row)
            else:
                slab_pages.discard(rows[row][0])
        elif kind in _FREES and rows[row][0] in slab_pages:
            slab_pages.discard(rows[row][0])
            frees.append(row)
    return asks, frees
