"""Addresses are taken from a free area: the four ways in which they can lie in it.

Kernel: mm/vmalloc.c classify_va_fit_type(), va_clip(), va_alloc(), __alloc_vmap_area()
"""

from __future__ import annotations

from enum import IntEnum

from memsim.lib.bits import PAGE_SIZE, align_up
from memsim.lib.rbtree import rb_propagate
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.state import VmallocState
from memsim.mm.vmalloc.structs import take_preloaded
from memsim.mm.vmalloc.tree import find_vmap_lowest_match, insert_vmap_area_augment, unlink_va
from memsim.mm.vmalloc.update import clip_area, forget_area, new_area


class FitType(IntEnum):
    """Where the new area lies in the free one. Kernel: enum fit_type."""

    NOTHING_FIT = 0
    FL_FIT_TYPE = 1
    LE_FIT_TYPE = 2
    RE_FIT_TYPE = 3
    NE_FIT_TYPE = 4


def classify_va_fit_type(va: VmapArea, nva_start_addr: int, size: int) -> FitType:
    """All of it, its left edge, its right edge, no edge. Kernel: classify_va_fit_type()."""
    nva_end = nva_start_addr + size
    if nva_start_addr < va.va_start or nva_end > va.va_end:
        return FitType.NOTHING_FIT
    if va.va_start == nva_start_addr:
        return FitType.FL_FIT_TYPE if va.va_end == nva_end else FitType.LE_FIT_TYPE
    return FitType.RE_FIT_TYPE if va.va_end == nva_end else FitType.NE_FIT_TYPE


def va_clip(state: VmallocState, va: VmapArea, nva_start_addr: int, size: int) -> bool:
    """Take size bytes out of a free area; False when they are not all in it.

    Kernel: mm/vmalloc.c va_clip()
    """
    root = state.free_vmap_area_root
    nva_end = nva_start_addr + size
    match classify_va_fit_type(va, nva_start_addr, size):
        case FitType.NOTHING_FIT:
            return False
        case FitType.FL_FIT_TYPE:
            unlink_va(va, root)
            forget_area(state, va)
            return True
        case FitType.LE_FIT_TYPE:
            clip_area(state, va, nva_end, va.va_end)
            rb_propagate(root, va, None)
        case FitType.RE_FIT_TYPE:
            clip_area(state, va, va.va_start, nva_start_addr)
            rb_propagate(root, va, None)
        case FitType.NE_FIT_TYPE:
            object = take_preloaded(state)
            if object < 0:
                return False
            left = va.va_start
            clip_area(state, va, nva_end, va.va_end)
            lva = new_area(state, left, nva_start_addr, object=object)
            rb_propagate(root, va, None)
            insert_vmap_area_augment(lva, va, root)
    return True


def va_alloc(
    state: VmallocState, va: VmapArea, size: int, align: int, vstart: int, vend: int
) -> int:
    """Take size bytes out of va, as low as may be; vend when that would end above vend.

    Kernel: mm/vmalloc.c va_alloc()
    """
    nva_start_addr = align_up(max(va.va_start, vstart), align)
    if nva_start_addr + size > vend:
        return vend
    return nva_start_addr if va_clip(state, va, nva_start_addr, size) else vend


def take_free_area(state: VmallocState, size: int, align: int, vstart: int, vend: int) -> int:
    """The lowest free addresses from vstart to vend; vend when there are none.

    vend < vstart finds none: what lies at vstart ends above vend.

    Kernel: mm/vmalloc.c __alloc_vmap_area()
    """
    # areas begin at page borders; and a range that is just as large must fit as it is
    adjust_search_size = align > PAGE_SIZE and vend - vstart != size
    root = state.free_vmap_area_root
    va = find_vmap_lowest_match(root, size, align, vstart, adjust_search_size)
    return vend if va is None else va_alloc(state, va, size, align, vstart, vend)
