"""Which of memsim's pages stands for a page of the recording.

A page in use when the recording began stands for itself. An allocation's page is whatever memsim
answered. So a wrong answer is counted once, and the replay goes on with memsim's own page. Every
pfn given in must be below max_pfn, with the block behind it.
"""

from __future__ import annotations

from memsim.lib.flat import Bytes, Ints, zeroed_bytes, zeroed_ints
from memsim.mm.mmzone import Vm, list_pages
from memsim.mm.page_alloc.pcp import pindex_to_order
from memsim.words.mmzone import MAX_PAGE_ORDER, NULL

#: Pages of bulk requests whose recorded pfn is not known yet: more than this, and no more is kept.
MAX_UNTRACED = 1 << 20


class Pages:
    """The recording's pfns of live allocations -> (memsim's pfn, order). Arrays by pfn."""

    def __init__(self, vm: Vm) -> None:
        #: By recorded pfn of a live block: memsim's pfn plus 2; 1 when memsim gave none.
        self._live: Ints = zeroed_ints(vm.max_pfn)
        self._order: Bytes = zeroed_bytes(vm.max_pfn)
        self._gone: Bytes = zeroed_bytes(vm.max_pfn)
        self._untraced: dict[int, None] = {}
        self._free_at_start = _free_pages(vm)
        #: By memsim's pfn: 1 while nobody has the page.
        self._free = bytearray(self._free_at_start)

    def allocated(self, pfn: int, page: int, order: int) -> None:
        """The recording's allocation of pfn is memsim's page (NULL when memsim gave none)."""
        self._live[pfn] = page + 2
        self._order[pfn] = order
        self._gone[pfn] = 0
        self.taken(page, order)

    def allocated_untraced(self, page: int) -> None:
        """memsim gave a page whose recorded pfn is not traced: bulk requests."""
        self.taken(page, 0)
        if len(self._untraced) < MAX_UNTRACED:
            self._untraced[page] = None

    def tell(self, pfn: int, page: int) -> None:
        """The recorded pfn of a page that a bulk request gave is known now: it is memsim's page."""
        if self._head(pfn, 0)[0] == NULL:
            self._set(pfn, page, 0)
            self._gone[pfn] = 0
            self._untraced.pop(page, None)

    def taken(self, page: int, order: int) -> None:
        """memsim's block is in use from here on."""
        if page != NULL:
            self._free[page : page + (1 << order)] = bytes(1 << order)

    def given_back(self, page: int, order: int) -> bool:
        """memsim's block is about to be freed. False: some of it is free, and nothing happens."""
        end = page + (1 << order)
        if 1 in self._free[page:end]:
            return False
        self._free[page:end] = b"\1" * (1 << order)
        return True

    def is_free(self, page: int, nr_pages: int) -> bool:
        """Is one of these pages of memsim's free?"""
        return 1 in self._free[page : page + nr_pages]

    def _head(self, pfn: int, order: int) -> tuple[int, int]:
        """(recorded pfn, order) of the live block that holds this one; (NULL, 0) if none does."""
        for head_order in range(order, MAX_PAGE_ORDER + 1):
            head = pfn & -(1 << head_order)
            if self._live[head] and self._order[head] >= head_order:
                return head, self._order[head]
        return NULL, 0

    def page_of(self, pfn: int, order: int) -> int:
        """memsim's page for a recorded page that is in use; NULL when there is none."""
        return self._page_in(self._head(pfn, order)[0], pfn)

    def _page_in(self, head: int, pfn: int) -> int:
        """memsim's page for a recorded one in the live block at head, which may be NULL."""
        if head == NULL:
            return self._of_no_block(pfn)
        page = self._live[head] - 2
        return NULL if page == NULL else page + pfn - head

    def _of_no_block(self, pfn: int) -> int:
        """memsim's page for one whose allocation the recording does not show."""
        if pfn in self._untraced:
            return pfn
        return NULL if self._gone[pfn] or self._free_at_start[pfn] else pfn

    def block_of(self, pfn: int) -> tuple[int, int]:
        """memsim's page and the order of a recorded allocation; (NULL, 0) if it is none."""
        page = self._live[pfn] - 2
        return (page, self._order[pfn]) if page >= 0 else (NULL, 0)

    def freed(self, pfn: int, order: int) -> int:
        """page_of() a page that the recording frees, and forget it, or cut it out of its block."""
        head, live_order = self._head(pfn, order)
        page = self._page_in(head, pfn)
        if page == NULL and self._untraced:
            page = next(iter(self._untraced))
        self._untraced.pop(page, None)
        if head != NULL:
            self._cut(head, self._live[head] - 2, live_order, pfn, order)
        self._gone[pfn] = 1
        return page

    def _cut(self, head: int, page: int, live_order: int, pfn: int, order: int) -> None:
        """Keep the halves of a live block that do not hold pfn, down to order."""
        self._live[head] = 0
        while live_order > order:
            live_order -= 1
            half = 1 << live_order
            other_page = page + half if page != NULL else NULL
            if pfn & half:
                self._set(head, page, live_order)
                head, page = head + half, other_page
            else:
                self._set(head + half, other_page, live_order)

    def _set(self, head: int, page: int, order: int) -> None:
        self._live[head] = page + 2
        self._order[head] = order


def _free_pages(vm: Vm) -> bytearray:
    """1 for each page that is on a free list or a pcp list."""
    free = bytearray(vm.max_pfn)
    for zone in vm.zones:
        blocks = [
            (page, order)
            for order, area in enumerate(zone.free_area)
            for head in area.free_list
            for page in list_pages(zone, head)
        ]
        blocks += [
            (page, pindex_to_order(pindex))
            for pcp in zone.per_cpu_pageset
            for pindex, head in enumerate(pcp.lists)
            for page in list_pages(zone, head)
        ]
        for page, order in blocks:
            free[page : page + (1 << order)] = b"\1" * (1 << order)
    return free
