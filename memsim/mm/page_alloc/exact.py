"""As many pages as are needed, and not the next power of two. Sizes are in bytes.

Kernel: mm/page_alloc.c alloc_pages_exact_noprof(), make_alloc_exact()
"""

from __future__ import annotations

from memsim.lib.bits import get_order, nr_pages_of
from memsim.mm.mempolicy import alloc_pages_noprof
from memsim.mm.mmzone import Vm, page_zone
from memsim.mm.page_alloc.alloc import alloc_pages, split_page
from memsim.mm.page_alloc.free import _free_pages_ok, free_unref_page
from memsim.words.gfp import __GFP_COMP, __GFP_HIGHMEM
from memsim.words.mmzone import FPI_TO_TAIL, NULL

_NOT_EXACT = __GFP_COMP | __GFP_HIGHMEM


def alloc_pages_exact(vm: Vm, size: int, gfp_mask: int) -> int:
    """Allocate just the pages that size bytes need: the first pfn, or NULL.

    Where, the task's memory policy says. Kernel: mm/page_alloc.c alloc_pages_exact_noprof()
    """
    order = get_order(size)
    page = alloc_pages_noprof(vm, gfp_mask & ~_NOT_EXACT, order)
    return make_alloc_exact(vm, page, order, size)


def alloc_pages_exact_nid(vm: Vm, nid: int, size: int, gfp_mask: int) -> int:
    """The same from this node first. Kernel: mm/page_alloc.c alloc_pages_exact_nid_noprof()."""
    order = get_order(size)
    page = alloc_pages(vm, gfp_mask & ~_NOT_EXACT, order, nid)
    return make_alloc_exact(vm, page, order, size)


def make_alloc_exact(vm: Vm, page: int, order: int, size: int) -> int:
    """Split a block and free what size bytes do not need, to the lists' tails; NULL stays NULL.

    Kernel: mm/page_alloc.c make_alloc_exact()
    """
    zone = page_zone(vm, page)
    if page == NULL or zone is None:
        return NULL
    split_page(zone, page, order)
    for surplus in range(page + nr_pages_of(size), page + (1 << order)):
        _free_pages_ok(zone, surplus, 0, FPI_TO_TAIL)
    return page


def free_pages_exact(vm: Vm, page: int, size: int) -> None:
    """Free what alloc_pages_exact() gave, page by page.

    Kernel: mm/page_alloc.c free_pages_exact()
    """
    for pfn in range(page, page + nr_pages_of(size)):
        free_unref_page(vm, pfn, 0)
