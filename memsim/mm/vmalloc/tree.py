"""Trees of areas by address; that of free areas finds the lowest one that is large enough.

The kernel keeps a list beside each tree, for the neighbours; here they are the tree's own order.

Kernel: mm/vmalloc.c, from __find_vmap_area() to find_vmap_lowest_match()
"""

from __future__ import annotations

from memsim.lib.bits import align_up, signed
from memsim.lib.rbtree import (
    LEFT,
    RIGHT,
    RbRoot,
    child_of,
    rb_erase,
    rb_insert,
    rb_next,
    rb_prev,
    rb_propagate,
    side_of,
)
from memsim.mm.vmalloc.area import VmapArea
from memsim.trace.events import TP_STEPS
from memsim.trace.trace import Trace
from memsim.trace.vmalloc_steps import (
    VMAP_LINK,
    VMAP_PAINT,
    VMAP_ROTATE,
    VMAP_SWAP,
    VMAP_UNLINK,
)
from memsim.words.mmzone import NULL
from memsim.words.vmalloc import ULONG_MAX


class AreaTree(RbRoot[VmapArea]):
    """Areas by address. Each change of the tree is a step; `code` says which tree it is."""

    __slots__ = ("code", "trace")

    def __init__(self, trace: Trace, code: int) -> None:
        super().__init__()
        self.trace = trace
        self.code = code

    def _step(self, kind: int, node: VmapArea, *arguments: int) -> None:
        if self.trace.mask & TP_STEPS:
            self.trace.step(kind, self.code, signed(node.va_start), *arguments)

    def link(self, node: VmapArea, parent: VmapArea | None, side: int) -> None:
        """Hang a red area under parent."""
        self._step(VMAP_LINK, node, start_of(parent), side)
        super().link(node, parent, side)

    def unlink(self, node: VmapArea) -> None:
        """Take out an area that has one child at most."""
        child = node.rb_left or node.rb_right
        below = LEFT if node.rb_left else RIGHT
        sides = side_of(node) | below << 1 | node.rb_red << 2
        self._step(VMAP_UNLINK, node, start_of(node.rb_parent), start_of(child), sides)
        super().unlink(node)

    def swap(self, node: VmapArea, successor: VmapArea) -> None:
        """Let an area and its successor change places."""
        self._step(VMAP_SWAP, node, start_of(successor))
        super().swap(node, successor)

    def rotate(self, node: VmapArea, side: int) -> None:
        """Let an area sink to this side."""
        top = child_of(node, 1 - side)
        self._step(VMAP_ROTATE, node, start_of(top), side)
        super().rotate(node, side)

    def paint(self, node: VmapArea, red: bool) -> None:
        """Colour an area."""
        if node.rb_red != red:
            self._step(VMAP_PAINT, node, red)
            super().paint(node, red)


class FreeTree(AreaTree):
    """The free areas, where each keeps the largest size of its subtree.

    Kernel: mm/vmalloc.c free_vmap_area_root, free_vmap_area_rb_augment_cb
    """

    __slots__ = ()

    def compute(self, node: VmapArea) -> bool:
        """Compute subtree_max_size anew; False when it is what it was."""
        left, right, largest = node.rb_left, node.rb_right, node.va_end - node.va_start
        if left is not None and left.subtree_max_size > largest:
            largest = left.subtree_max_size
        if right is not None and right.subtree_max_size > largest:
            largest = right.subtree_max_size
        if node.subtree_max_size == largest:
            return False
        node.subtree_max_size = largest
        return True

    def copy(self, old: VmapArea, new: VmapArea) -> None:
        """new stands where old stood."""
        new.subtree_max_size = old.subtree_max_size


def start_of(va: VmapArea | None) -> int:
    """The area's address, as steps name it; NULL for none."""
    return NULL if va is None else signed(va.va_start)


def find_in_tree(addr: int, root: AreaTree) -> VmapArea | None:
    """The area that holds addr. Cost: O(log n). Kernel: __find_vmap_area()."""
    node = root.rb_node
    while node is not None:
        if addr < node.va_start:
            node = node.rb_left
        elif addr >= node.va_end:
            node = node.rb_right
        else:
            return node
    return None


def find_va_links(
    va: VmapArea, root: AreaTree, start: VmapArea | None = None
) -> tuple[VmapArea | None, int] | None:
    """Under which area, and on which side, va belongs; None when it overlaps with one.

    start: where in the tree to begin. Kernel: mm/vmalloc.c find_va_links()
    """
    parent, side = None, LEFT
    node = start or root.rb_node
    while node is not None:
        if va.va_end <= node.va_start:
            side = LEFT
        elif va.va_start >= node.va_end:
            side = RIGHT
        else:
            return None
        parent, node = node, child_of(node, side)
    return parent, side


def insert_vmap_area(va: VmapArea, root: AreaTree) -> bool:
    """Put an area into a tree; False when it overlaps. Kernel: insert_vmap_area()."""
    links = find_va_links(va, root)
    if links is not None:
        rb_insert(root, va, *links)
    return links is not None


def insert_vmap_area_augment(va: VmapArea, start: VmapArea | None, root: FreeTree) -> bool:
    """Put an area into the tree of free ones; start: a node above its place.

    Kernel: mm/vmalloc.c insert_vmap_area_augment()
    """
    links = find_va_links(va, root, start)
    if links is not None:
        link_va(va, root, *links)
        rb_propagate(root, va, None)
    return links is not None


def link_va(va: VmapArea, root: AreaTree, parent: VmapArea | None, side: int) -> None:
    """Insert at a place that is known. Kernel: mm/vmalloc.c __link_va()."""
    rb_insert(root, va, parent, side)
    # nothing propagates from a value that is right already
    va.subtree_max_size = 0


def unlink_va(va: VmapArea, root: AreaTree) -> None:
    """Take an area out. Kernel: mm/vmalloc.c __unlink_va()."""
    rb_erase(root, va)


def neighbours(parent: VmapArea | None, side: int) -> tuple[VmapArea | None, VmapArea | None]:
    """The areas before and behind a place in a tree. Kernel: get_va_next_sibling()."""
    if parent is None:
        return None, None
    if side == LEFT:
        return rb_prev(parent), parent
    return parent, rb_next(parent)


def is_within_this_va(va: VmapArea, size: int, align: int, vstart: int) -> bool:
    """Do size bytes fit in, aligned, and not below vstart? Kernel: is_within_this_va()."""
    nva_start_addr = align_up(max(va.va_start, vstart), align)
    return nva_start_addr + size <= min(va.va_end, ULONG_MAX)


def find_vmap_lowest_match(
    root: FreeTree, size: int, align: int, vstart: int, adjust_search_size: bool
) -> VmapArea | None:
    """The lowest free area that size bytes fit in, aligned, and not below vstart.

    adjust_search_size: look for areas that hold them wherever they begin. Cost: O(log n), and
    more where vstart or an alignment leads into subtrees in vain.

    Kernel: mm/vmalloc.c find_vmap_lowest_match()
    """
    length = size + align - 1 if adjust_search_size else size
    node = root.rb_node
    while node is not None:
        left = node.rb_left
        if left is not None and left.subtree_max_size >= length and vstart < node.va_start:
            node = left
            continue
        if is_within_this_va(node, size, align, vstart):
            return node
        right = node.rb_right
        if right is not None and right.subtree_max_size >= length:
            node = right
            continue
        found, node, vstart = _roll_back(node, size, align, vstart, length)
        if found is not None:
            return found
    return None


def _roll_back(
    node: VmapArea, size: int, align: int, vstart: int, length: int
) -> tuple[VmapArea | None, VmapArea | None, int]:
    """Nothing below node: go up to one that fits, or to one whose right subtree may hold it.

    Gives the area that fits; else the node to go on from, and vstart moved forward, so that the
    subtree that was searched in vain is not entered again.
    """
    above = node.rb_parent
    while above is not None:
        if is_within_this_va(above, size, align, vstart):
            return above, None, vstart
        right = above.rb_right
        if right is not None and right.subtree_max_size >= length and vstart <= above.va_start:
            return None, right, above.va_start + 1
        above = above.rb_parent
    return None, None, vstart
