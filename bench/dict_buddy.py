"""The yardstick: a buddy allocator in plain Python, one dict of free blocks for each order.

No zones, pcp lists, types or watermarks; freed blocks always go to the head. `popitem()` takes
what was put in last, so that a dict is a LIFO list from which any block can be taken.
"""

from __future__ import annotations

MAX_PAGE_ORDER = 10


class DictBuddy:
    """nr_pages pages from 0, all free; a multiple of 1024. Blocks are given the highest first."""

    def __init__(self, nr_pages: int) -> None:
        self.free_area: list[dict[int, None]] = [{} for _ in range(MAX_PAGE_ORDER + 1)]
        self.free_area[MAX_PAGE_ORDER] = dict.fromkeys(range(0, nr_pages, 1 << MAX_PAGE_ORDER))

    def alloc(self, gfp_mask: int, order: int, nid: int) -> int:
        for current_order in range(order, MAX_PAGE_ORDER + 1):
            if self.free_area[current_order]:
                page, _ = self.free_area[current_order].popitem()
                while current_order > order:
                    current_order -= 1
                    self.free_area[current_order][page + (1 << current_order)] = None
                return page
        return -1

    def free(self, page: int, order: int) -> None:
        while order < MAX_PAGE_ORDER and page ^ 1 << order in self.free_area[order]:
            del self.free_area[order][page ^ 1 << order]
            page &= ~(1 << order)
            order += 1
        self.free_area[order][page] = None

    def nr_free_pages(self) -> int:
        return sum(len(blocks) << order for order, blocks in enumerate(self.free_area))
