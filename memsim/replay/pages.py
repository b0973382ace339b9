"""Which of memsim's pages stands for a page of the recording.

A page in use when the recording began stands for itself. An allocation's page is whatever memsim
answered. So a wrong answer is counted once, and the replay goes on with memsim's own page.
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm, list_pages, populated_zones
from memsim.mm.page_alloc.pcp import pindex_to_order
from memsim.words.mmzone import MAX_PAGE_ORDER, NULL


class Pages:
    """The recording's pfns of live allocations -> (memsim's pfn, order)."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._live: dict[int, tuple[int, int]] = {}
        self._gone: set[int] = set()
        self._untraced: dict[int, None] = {}
        self._free_at_start = _free_pages(vm)

    def allocated(self, pfn: int, page: int, order: int) -> None:
        """The recording's allocation of pfn is memsim's page (NULL when memsim gave none)."""
        self._live[pfn] = (page, order)
        self._gone.discard(pfn)

    def allocated_untraced(self, page: int) -> None:
        """memsim gave a page whose recorded pfn is not traced: bulk requests."""
        self._untraced[page] = None

    def page_of(self, pfn: int, order: int) -> int:
        """memsim's page for a recorded page that is in use; NULL when there is none."""
        if not 0 <= pfn < self._vm.max_pfn:
            return NULL
        for head_order in range(order, MAX_PAGE_ORDER + 1):
            head = pfn & -(1 << head_order)
            live = self._live.get(head)
            if live is not None and live[1] >= head_order:
                return NULL if live[0] == NULL else live[0] + pfn - head
        if pfn in self._untraced:
            return pfn
        if pfn not in self._gone and self._in_use_from_start(pfn):
            return pfn
        return NULL

    def _in_use_from_start(self, pfn: int) -> bool:
        """Was the page in use when the recording began? Whoever frees it first asks this once."""
        return not self._free_at_start[pfn]

    def freed(self, pfn: int, order: int) -> int:
        """page_of() a page that the recording frees, and forget it."""
        page = self.page_of(pfn, order)
        if page == NULL and self._untraced and 0 <= pfn < self._vm.max_pfn:
            page = next(iter(self._untraced))
        self._untraced.pop(page, None)
        self._forget(pfn, order)
        return page

    def _forget(self, pfn: int, order: int) -> None:
        """Drop the allocation, or cut what is freed out of a larger one."""
        for head_order in range(order, MAX_PAGE_ORDER + 1):
            head = pfn & -(1 << head_order)
            live = self._live.get(head)
            if live is not None and live[1] >= head_order:
                self._cut(head, *live, pfn, order)
                break
        self._gone.add(pfn)

    def _cut(self, head: int, page: int, live_order: int, pfn: int, order: int) -> None:
        """Keep the halves of a live block that do not hold pfn, down to order."""
        del self._live[head]
        while live_order > order:
            live_order -= 1
            half = 1 << live_order
            other_page = page + half if page != NULL else NULL
            if pfn & half:
                self._live[head] = (page, live_order)
                head, page = head + half, other_page
            else:
                self._live[head + half] = (other_page, live_order)


def _free_pages(vm: Vm) -> bytearray:
    """1 for each page that is on a free list or a pcp list."""
    free = bytearray(vm.max_pfn)
    for zone in populated_zones(vm):
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
