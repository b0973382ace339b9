"""A folio in use: a block of pages with a count of those who hold it."""

from __future__ import annotations

from memsim.workload.requester import Requester


class Folio:
    """2**order pages from pfn on.

    refcount: holders; each page table entry is one, the page cache is one. mapcount: the page
    table entries among them. anon: it belongs to no file; else index is its first page there.
    Kernel: include/linux/mm_types.h struct
    folio. NOT MODELLED: the page cache and a PMD entry hold a large folio once for each page in
    the kernel, or count apart; here each counts once.
    """

    __slots__ = ("pfn", "order", "anon", "index", "refcount", "mapcount")

    def __init__(self, pfn: int, order: int, anon: bool, index: int = 0) -> None:
        self.pfn = pfn
        self.order = order
        self.anon = anon
        self.index = index
        self.refcount = 1
        self.mapcount = 0


def folio_put(requester: Requester, folio: Folio) -> None:
    """Let go of a folio; the last one frees it. Kernel: include/linux/mm.h folio_put()."""
    folio.refcount -= 1
    if not folio.refcount:
        requester.free_pages(folio.pfn, folio.order)
