"""Why an answer was not the kernel's: a sentence for each cause, told by what memsim has then.

A cause is looked for after the answer was compared, and changes nothing.
"""

from __future__ import annotations

from memsim.mm.slub.alloc import Object
from memsim.mm.slub.slab import KmemCache
from memsim.replay.pages.live import Pages
from memsim.replay.slab.objects import Objects
from memsim.words.mmzone import NULL

_NOT_FREED = (
    "was not free yet: its free is not in the trace, or an interrupt or another CPU freed it just "
    "before the request, and memsim took that to be after it"
)

#: What missed requests for a page have in common.
NO_PAGE = "memsim gave no page: a watermark refused it, or no block was large enough"
KERNEL_GAVE_NONE = "memsim gave a page where the kernel had none"
PAGE_IN_USE = "memsim gave the page to another request before: it follows from an earlier miss"
PAGE_NOT_FREED = f"the page {_NOT_FREED}"
PAGE_ELSEWHERE = "the page is free, but another came first: lists are in another order"

#: What missed requests for an object have in common.
NO_OBJECT = "memsim has no object, and the trace calls for no slab: it follows from an earlier miss"
NO_OBJECT_AT_FIRST = "memsim has no object, and the trace calls for no slab: no reason known"
NO_SLAB = "memsim has no slab at that address: its pages were others, or it was given back"
OTHER_CACHE = "the object is of another cache: the rules that tell caches told the wrong one"
OBJECT_IN_USE = "memsim gave the object to another request before: it follows from an earlier miss"
OBJECT_NOT_FREED = f"the object {_NOT_FREED}"
SAME_SLAB = (
    "another free object of the CPU's slab came first: the trace does not tell whether what an "
    "interrupt, or another CPU, freed or took there was before or after"
)
OTHER_SLAB = (
    "the object is free in another slab than the one the CPU allocates from: an interrupt or "
    "another CPU changed the partial lists before or after, or an earlier miss did"
)


def why_page(pages: Pages, page: int, pfn: int, order: int) -> str:
    """The cause of a missed request for a page: memsim's was `page`, the kernel's `pfn`."""
    if pfn == NULL:
        return KERNEL_GAVE_NONE
    if page == NULL:
        return NO_PAGE
    if pages.is_free(pfn, 1 << order):
        return PAGE_ELSEWHERE
    own = any(pages.page_of(held, 0) == held for held in range(pfn, pfn + (1 << order)))
    return PAGE_NOT_FREED if own else PAGE_IN_USE


def why_object(
    s: KmemCache, obj: Object | None, wanted: Object | None, objects: Objects, is_first: bool
) -> str:
    """The cause of a missed request for an object of s: memsim's was `obj`, the kernel's `wanted`.

    wanted: None if memsim has no slab there. is_first: no object was missed before.
    """
    if obj is None:
        return NO_OBJECT_AT_FIRST if is_first else NO_OBJECT
    if wanted is None:
        return NO_SLAB
    if wanted[0].slab_cache is not s:
        return OTHER_CACHE
    if objects.in_use(wanted):
        return OBJECT_IN_USE if objects.is_elsewhere(wanted) else OBJECT_NOT_FREED
    return SAME_SLAB if wanted[0] is obj[0] else OTHER_SLAB
