"""The tree of free areas against a sorted list: subtree_max_size, the lowest match."""

from __future__ import annotations

from bisect import insort

from hypothesis import given, settings
from hypothesis import strategies as st

from memsim.lib.bits import PAGE_SIZE
from memsim.lib.rbtree import rb_nodes, rb_propagate, rb_violations
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.tree import (
    FreeTree,
    find_in_tree,
    find_vmap_lowest_match,
    insert_vmap_area_augment,
    unlink_va,
)
from memsim.trace.trace import Trace

#: (what, where, how many pages): areas lie between page 1 and page 300.
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put in", "put in", "take out", "cut left", "cut right"]),
        st.integers(1, 300), st.integers(1, 12),
    ),
    max_size=120,
)  # fmt: skip


def blacks(node: VmapArea | None) -> int:
    """Black nodes on every way down; checks each node's links, colour and subtree_max_size."""
    if node is None:
        return 0
    heights = []
    for child in (node.rb_left, node.rb_right):
        assert child is None or child.rb_parent is node
        assert not (child and child.rb_red and node.rb_red)
        heights.append(blacks(child))
    assert heights[0] == heights[1]
    assert node.subtree_max_size == max(va_size(va) for va in below(node))
    return heights[0] + (not node.rb_red)


def below(node: VmapArea | None) -> list[VmapArea]:
    """A node and all nodes under it."""
    return [] if node is None else [*below(node.rb_left), node, *below(node.rb_right)]


def lowest(areas: list[tuple[int, int]], size: int, vstart: int) -> int | None:
    """First fit, by looking at one after the other: where the area begins."""
    for start, end in areas:
        if max(start, vstart) + size <= end:
            return start
    return None


@settings(deadline=None, max_examples=150)
@given(OPERATIONS, st.integers(1, 14), st.integers(1, 300))
def test_against_a_sorted_list(
    operations: list[tuple[str, int, int]], asked: int, from_page: int
) -> None:
    root, areas = FreeTree(Trace(), 0), list[tuple[int, int]]()
    for what, where, pages in operations:
        change(root, areas, what, where * PAGE_SIZE, pages * PAGE_SIZE)
        assert [(va.va_start, va.va_end) for va in rb_nodes(root)] == areas
        assert rb_violations(root) == []
        blacks(root.rb_node)
        for size in (PAGE_SIZE, asked * PAGE_SIZE):
            for vstart in (1, from_page * PAGE_SIZE):
                found = find_vmap_lowest_match(root, size, 1, vstart, adjust_search_size=False)
                expected = lowest(areas, size, vstart)
                assert (None if found is None else found.va_start) == expected


def change(root: FreeTree, areas: list[tuple[int, int]], what: str, addr: int, size: int) -> None:
    """Do it to the tree and to the list; what overlaps is refused, what is not there is nothing."""
    if what == "put in":
        free = all(end <= addr or start >= addr + size for start, end in areas)
        assert insert_vmap_area_augment(VmapArea(addr, addr + size), None, root) == free
        if free:
            insort(areas, (addr, addr + size))
        return
    va = find_in_tree(addr, root)
    assert (va is not None) == any(start <= addr < end for start, end in areas)
    if va is None:
        return
    areas.remove((va.va_start, va.va_end))
    if what == "take out" or va_size(va) <= size:
        unlink_va(va, root)
        return
    if what == "cut left":
        va.va_start += size
    else:
        va.va_end -= size
    rb_propagate(root, va, None)
    insort(areas, (va.va_start, va.va_end))
