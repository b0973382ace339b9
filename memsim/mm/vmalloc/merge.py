"""An area joins a tree, or its neighbours there.

Kernel: mm/vmalloc.c __merge_or_add_vmap_area()
"""

from __future__ import annotations

from memsim.lib.rbtree import rb_propagate
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.state import VmallocState
from memsim.mm.vmalloc.tree import (
    AreaTree,
    FreeTree,
    find_va_links,
    link_va,
    neighbours,
    unlink_va,
)
from memsim.mm.vmalloc.update import clip_area, forget_area


def merge_or_add_vmap_area(state: VmallocState, va: VmapArea, root: AreaTree) -> VmapArea | None:
    """Put an area into a tree, as one with the neighbours that it touches.

    Gives the area that now has these addresses; None if they overlap with one in the tree.
    Kernel: mm/vmalloc.c __merge_or_add_vmap_area()
    """
    links = find_va_links(va, root)
    if links is None:
        return None
    before, behind = neighbours(*links)
    merged = va
    if behind is not None and behind.va_start == va.va_end:
        merged = _join(state, va, behind, va.va_start, behind.va_end)
    if before is not None and before.va_end == va.va_start:
        if merged is not va:
            unlink_va(merged, root)
        merged = _join(state, merged, before, before.va_start, merged.va_end)
    if merged is va:
        link_va(va, root, *links)
    return merged


def _join(
    state: VmallocState, va: VmapArea, sibling: VmapArea, va_start: int, va_end: int
) -> VmapArea:
    """sibling takes va's addresses; va's struct is freed."""
    forget_area(state, va)
    clip_area(state, sibling, va_start, va_end)
    return sibling


def merge_or_add_vmap_area_augment(
    state: VmallocState, va: VmapArea, root: FreeTree
) -> VmapArea | None:
    """Give an area's addresses back to the free ones.

    Kernel: mm/vmalloc.c merge_or_add_vmap_area_augment()
    """
    merged = merge_or_add_vmap_area(state, va, root)
    rb_propagate(root, merged, None)
    return merged
