"""Red-black trees against a sorted list, and against shapes that the kernel's own code gave."""

from __future__ import annotations

import zlib
from bisect import insort

from hypothesis import given, settings
from hypothesis import strategies as st

from memsim.lib.rbtree import (
    LEFT,
    RIGHT,
    RbNode,
    RbRoot,
    child_of,
    rb_erase,
    rb_first,
    rb_insert,
    rb_last,
    rb_next,
    rb_nodes,
    rb_prev,
    rb_propagate,
    rb_violations,
)


class Item(RbNode):
    """A node with a key, a size, and the largest size of its subtree."""

    __slots__ = ("key", "largest", "size")

    def __init__(self, key: int, size: int) -> None:
        super().__init__()
        self.key, self.size, self.largest = key, size, 0


class Tree(RbRoot[Item]):
    """Each node keeps the largest size of its subtree."""

    def compute(self, node: Item) -> bool:
        below = [child.largest for child in (node.rb_left, node.rb_right) if child]
        largest = max([node.size, *below])
        changed, node.largest = node.largest != largest, largest
        return changed

    def copy(self, old: Item, new: Item) -> None:
        new.largest = old.largest


def add(tree: Tree, item: Item) -> None:
    """Insert by key."""
    parent, side, node = None, LEFT, tree.rb_node
    while node is not None:
        parent, side = node, LEFT if item.key < node.key else RIGHT
        node = child_of(node, side)
    rb_insert(tree, item, parent, side)
    rb_propagate(tree, item, None)


def shown(node: Item | None) -> str:
    """The whole shape: colour, key, largest size, children."""
    if node is None:
        return "."
    colour = "r" if node.rb_red else "b"
    return f"{colour}{node.key}:{node.largest}({shown(node.rb_left)}{shown(node.rb_right)})"


def largest_below(node: Item) -> int:
    """By looking at all of them."""
    below = [largest_below(child) for child in (node.rb_left, node.rb_right) if child]
    return max([node.size, *below])


def sound(node: Item | None, parent: Item | None = None) -> int:
    """Black nodes on every way down, counted here and not by rb_violations(); 0 for none."""
    if node is None:
        return 0
    assert node.rb_parent is parent
    assert not (node.rb_red and (parent is None or parent.rb_red))
    assert node.largest == largest_below(node)
    left, right = sound(node.rb_left, node), sound(node.rb_right, node)
    assert left == right
    return left + (not node.rb_red)


def walked(tree: Tree) -> tuple[list[int], list[int]]:
    """All keys by rb_next(), and by rb_prev()."""
    forwards, backwards = [], []
    node = rb_first(tree)
    while node is not None:
        forwards.append(node.key)
        node = rb_next(node)
    node = rb_last(tree)
    while node is not None:
        backwards.append(node.key)
        node = rb_prev(node)
    return forwards, backwards


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=200))
def test_against_a_sorted_list(operations: list[tuple[int, int]]) -> None:
    """A key that is there is erased, one that is not is inserted; checked after each."""
    tree, items, keys = Tree(), {}, []
    for key, size in operations:
        if key in items:
            rb_erase(tree, items.pop(key))
            keys.remove(key)
        else:
            items[key] = Item(key, size)
            add(tree, items[key])
            insort(keys, key)
        assert rb_violations(tree) == []
        assert walked(tree) == (keys, keys[::-1])
        assert [node.key for node in rb_nodes(tree)] == keys
        sound(tree.rb_node)


def lives(seed: int, count: int, keys: int) -> list[tuple[int, int]]:
    """Operations from a linear congruence: (key, size)."""
    operations = []
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        operations.append((seed >> 8) % keys)
    return [(key, key % 97 + 1) for key in operations]


#: CRC-32 of all shapes of a life, one behind the other: of lib/rbtree.c of Linux 6.12, compiled
#: with RB_DECLARE_CALLBACKS_MAX and driven by the same operations.
KERNELS_SHAPES = {
    (1, 300, 20): 0x4AD03522,
    (2, 800, 100): 0x20E559B0,
    (3, 1500, 1000): 0xD6CFFF91,
}


def test_shapes_are_the_kernels() -> None:
    for (seed, count, keys), expected in KERNELS_SHAPES.items():
        tree, items, crc = Tree(), {}, 0
        for key, size in lives(seed, count, keys):
            if key in items:
                rb_erase(tree, items.pop(key))
            else:
                items[key] = Item(key, size)
                add(tree, items[key])
            crc = zlib.crc32(f"{shown(tree.rb_node)}\n".encode(), crc)
        assert crc == expected


def test_violations_are_told() -> None:
    """A check that finds nothing wrong in a broken tree would be none."""
    tree = Tree()
    items = [Item(key, 1) for key in range(7)]
    for item in items:
        add(tree, item)
    root = tree.rb_node
    assert root is not None
    root.rb_red = True
    assert "the root is red" in rb_violations(tree)
    root.rb_red = False
    leaf = rb_first(tree)
    assert leaf is not None
    leaf.rb_red = not leaf.rb_red
    assert rb_violations(tree)
