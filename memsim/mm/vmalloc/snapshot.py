"""vmalloc's state as plain data, in the form of a recorded kernel's snapshot.

A recorded one says nothing of the trees' shapes. memsim's own has them beside, so that a Machine
restored from it goes on exactly as the first would have.
"""

from __future__ import annotations

from typing import Any

from memsim.lib.rbtree import rb_nodes
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.state import VmallocState, VmapNode
from memsim.mm.vmalloc.tree import AreaTree


def vmalloc_lists(state: VmallocState) -> dict[str, Any]:
    """All areas, as [va_start, va_end] or [va_start, va_end, flags]; trees in address order."""
    return {
        "free": [[hex(va.va_start), hex(va.va_end)] for va in rb_nodes(state.free_vmap_area_root)],
        "nodes": [_node(vn) for vn in state.vmap_nodes],
        "shape": shape_of(state.free_vmap_area_root),
    }


def _node(vn: VmapNode) -> dict[str, Any]:
    trees = {name: getattr(vn, name) for name in ("busy", "lazy", "purge_list")}
    return {
        **{name: [_area(va) for va in rb_nodes(tree)] for name, tree in trees.items()},
        "pool": {
            str(pages): [_area(va) for va in pool] for pages, pool in enumerate(vn.pool, 1) if pool
        },
        "shape": {name: shape_of(tree) for name, tree in trees.items()},
    }


def _area(va: VmapArea) -> list[Any]:
    return [hex(va.va_start), hex(va.va_end), va.flags]


def shape_of(tree: AreaTree) -> list[int]:
    """Of each area, in address order: its depth, the root's is 0; negative less one if red.

    A tree has no other with the same depths.
    """
    depths: dict[VmapArea, int] = {}
    stack = [] if tree.rb_node is None else [(tree.rb_node, 0)]
    while stack:
        node, depth = stack.pop()
        depths[node] = depth
        stack += [(child, depth + 1) for child in (node.rb_left, node.rb_right) if child]
    return [-depths[va] - 1 if va.rb_red else depths[va] for va in rb_nodes(tree)]
