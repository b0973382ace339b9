"""Red-black trees, with a value that each node keeps of its subtree ("augmented").

The shape after each insertion and each erasure is the kernel's. A tree changes in five ways only:
a node is linked, unlinked, changes places with its successor, is rotated, is painted. Who wants
to follow a tree (to draw it, to undo it) overrides these five.

Invariants, as rb_violations() checks them: the root is black; a red node's children are black;
every path from a node down to a missing child has the same number of black nodes.

Kernel: lib/rbtree.c, include/linux/rbtree_augmented.h
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Self, TypeVar

LEFT = 0
RIGHT = 1


class RbNode:
    """What a thing needs to be in a tree. Kernel: struct rb_node."""

    __slots__ = ("rb_left", "rb_parent", "rb_red", "rb_right")

    rb_parent: Self | None
    rb_left: Self | None
    rb_right: Self | None
    rb_red: bool

    def __init__(self) -> None:
        self.rb_parent = self.rb_left = self.rb_right = None
        self.rb_red = False


N = TypeVar("N", bound=RbNode)


class RbRoot(Generic[N]):
    """A tree. Kernel: struct rb_root."""

    __slots__ = ("rb_node",)

    def __init__(self) -> None:
        self.rb_node: N | None = None

    def compute(self, node: N) -> bool:
        """Compute the node's value of its subtree anew; False when it is what it was.

        Kernel: RB_DECLARE_CALLBACKS()
        """
        return False

    def copy(self, old: N, new: N) -> None:
        """new stands where old stood: it gets old's value. Kernel: rb_augment_callbacks.copy()."""

    def link(self, node: N, parent: N | None, side: int) -> None:
        """Hang a red node without children under parent; None: it becomes the root."""
        node.rb_parent, node.rb_left, node.rb_right, node.rb_red = parent, None, None, True
        self._put(node, parent, side)

    def unlink(self, node: N) -> None:
        """Take out a node that has one child at most, which takes its place."""
        child = node.rb_left or node.rb_right
        parent = node.rb_parent
        self._put(child, parent, side_of(node))
        if child is not None:
            child.rb_parent = parent
        node.rb_parent = node.rb_left = node.rb_right = None

    def swap(self, node: N, successor: N) -> None:
        """Let a node with two children and its successor change places, and colours."""
        parent, side = node.rb_parent, side_of(node)
        below, below_side = successor.rb_parent, side_of(successor)
        left, right, child = node.rb_left, node.rb_right, successor.rb_right
        self._put(successor, parent, side)
        successor.rb_parent = parent
        self._hang(successor, LEFT, left)
        if below is node:
            self._hang(successor, RIGHT, node)
        else:
            self._hang(successor, RIGHT, right)
            assert below is not None
            self._hang(below, below_side, node)
        self._hang(node, LEFT, None)
        self._hang(node, RIGHT, child)
        node.rb_red, successor.rb_red = successor.rb_red, node.rb_red
        self.copy(node, successor)

    def rotate(self, node: N, side: int) -> None:
        """Let node sink to this side; its child on the other side takes its place."""
        top = child_of(node, 1 - side)
        assert top is not None
        parent, node_side = node.rb_parent, side_of(node)
        self._hang(node, 1 - side, child_of(top, side))
        self._hang(top, side, node)
        self._put(top, parent, node_side)
        top.rb_parent = parent
        self.copy(node, top)
        self.compute(node)

    def paint(self, node: N, red: bool) -> None:
        """Colour a node."""
        node.rb_red = red

    def _put(self, node: N | None, parent: N | None, side: int) -> None:
        if parent is None:
            self.rb_node = node
        elif side == LEFT:
            parent.rb_left = node
        else:
            parent.rb_right = node

    def _hang(self, parent: N, side: int, node: N | None) -> None:
        self._put(node, parent, side)
        if node is not None:
            node.rb_parent = parent


def side_of(node: RbNode) -> int:
    """On which side of its parent a node hangs; LEFT for the root."""
    parent = node.rb_parent
    return LEFT if parent is None or parent.rb_left is node else RIGHT


def child_of(node: N, side: int) -> N | None:
    """The child on this side."""
    return node.rb_left if side == LEFT else node.rb_right


def rb_propagate(root: RbRoot[N], node: N | None, stop: N | None) -> None:
    """Compute values anew from node upwards, as far as they change, and not at stop.

    Kernel: the propagate callback of RB_DECLARE_CALLBACKS()
    """
    while node is not stop and node is not None and root.compute(node):
        node = node.rb_parent


def rb_insert(root: RbRoot[N], node: N, parent: N | None, side: int) -> None:
    """Put a new node on the free side of parent, and restore the balance. Cost: O(log n).

    Kernel: include/linux/rbtree.h rb_link_node(); lib/rbtree.c rb_insert_color();
    include/linux/rbtree_augmented.h rb_insert_augmented()
    """
    root.link(node, parent, side)
    while True:
        parent = node.rb_parent
        if parent is None:
            root.paint(node, red=False)
            return
        if not parent.rb_red:
            return
        grandparent = parent.rb_parent
        assert grandparent is not None
        parent_side = side_of(parent)
        uncle = child_of(grandparent, 1 - parent_side)
        if uncle is None or not uncle.rb_red:
            _rotate_red_pair(root, node, parent, grandparent)
            return
        root.paint(uncle, red=False)
        root.paint(parent, red=False)
        root.paint(grandparent, red=True)
        node = grandparent


def _rotate_red_pair(root: RbRoot[N], node: N, parent: N, grandparent: N) -> None:
    """A red node under a red parent, whose sibling is black: the middle one goes on top."""
    side = side_of(parent)
    if side_of(node) != side:
        root.rotate(parent, side)
        node, parent = parent, node
    root.rotate(grandparent, 1 - side)
    root.paint(parent, red=False)
    root.paint(grandparent, red=True)


def rb_erase(root: RbRoot[N], node: N) -> None:
    """Take a node out, and restore the balance. Cost: O(log n).

    Kernel: lib/rbtree.c rb_erase(); include/linux/rbtree_augmented.h rb_erase_augmented()
    """
    successor = None
    if node.rb_left is not None and node.rb_right is not None:
        successor = rb_leftmost(node.rb_right)
        root.swap(node, successor)
    child = node.rb_left or node.rb_right
    parent, side, red = node.rb_parent, side_of(node), node.rb_red
    root.unlink(node)
    rb_propagate(root, parent, successor)
    rb_propagate(root, successor, None)
    if child is not None:
        root.paint(child, red=False)
    elif not red and parent is not None:
        _erase_color(root, parent, side)


def _erase_color(root: RbRoot[N], parent: N | None, side: int) -> None:
    """Paths through this side of parent lack a black node. Kernel: ____rb_erase_color()."""
    while parent is not None:
        sibling = child_of(parent, 1 - side)
        assert sibling is not None
        if sibling.rb_red:
            sibling = _raise_red_sibling(root, parent, sibling, side)
        if _is_red(child_of(sibling, LEFT)) or _is_red(child_of(sibling, RIGHT)):
            _rotate_to_short_side(root, parent, sibling, side)
            return
        root.paint(sibling, red=True)
        if parent.rb_red:
            root.paint(parent, red=False)
            return
        side, parent = side_of(parent), parent.rb_parent


def _raise_red_sibling(root: RbRoot[N], parent: N, sibling: N, side: int) -> N:
    """Let a red sibling take parent's place; the new sibling is black."""
    root.rotate(parent, side)
    root.paint(sibling, red=False)
    root.paint(parent, red=True)
    black = child_of(parent, 1 - side)
    assert black is not None
    return black


def _rotate_to_short_side(root: RbRoot[N], parent: N, sibling: N, side: int) -> None:
    """The sibling has a red child: it, or that child, takes parent's place and colour."""
    outer = child_of(sibling, 1 - side)
    if outer is None or not outer.rb_red:
        outer = sibling
        root.rotate(sibling, 1 - side)
        top = sibling.rb_parent
        assert top is not None
        sibling = top
    red = parent.rb_red
    root.rotate(parent, side)
    root.paint(sibling, red)
    root.paint(parent, red=False)
    root.paint(outer, red=False)


def _is_red(node: RbNode | None) -> bool:
    return node is not None and node.rb_red


def rb_leftmost(node: N) -> N:
    """The first node of a subtree."""
    while node.rb_left is not None:
        node = node.rb_left
    return node


def rb_first(root: RbRoot[N]) -> N | None:
    """The first node in order. Kernel: rb_first()."""
    return None if root.rb_node is None else rb_leftmost(root.rb_node)


def rb_last(root: RbRoot[N]) -> N | None:
    """The last node in order. Kernel: rb_last()."""
    node = root.rb_node
    while node is not None and node.rb_right is not None:
        node = node.rb_right
    return node


def rb_next(node: N) -> N | None:
    """The node that follows in order. Kernel: rb_next()."""
    if node.rb_right is not None:
        return rb_leftmost(node.rb_right)
    parent = node.rb_parent
    while parent is not None and node is parent.rb_right:
        node, parent = parent, parent.rb_parent
    return parent


def rb_prev(node: N) -> N | None:
    """The node before it in order. Kernel: rb_prev()."""
    before = node.rb_left
    if before is not None:
        while before.rb_right is not None:
            before = before.rb_right
        return before
    parent = node.rb_parent
    while parent is not None and node is parent.rb_left:
        node, parent = parent, parent.rb_parent
    return parent


def rb_nodes(root: RbRoot[N]) -> Iterator[N]:
    """All nodes in order."""
    node = rb_first(root)
    while node is not None:
        yield node
        node = rb_next(node)


def rb_violations(root: RbRoot[N]) -> list[str]:
    """A sentence for each invariant that does not hold; none for a sound tree."""
    wrong: list[str] = []
    if root.rb_node is not None:
        if root.rb_node.rb_red:
            wrong.append("the root is red")
        if root.rb_node.rb_parent is not None:
            wrong.append("the root has a parent")
    heights: dict[int, int] = {}
    for node in _children_first(root):
        wrong += _node_violations(node, heights)
        left, right = (heights.get(id(child), 0) for child in (node.rb_left, node.rb_right))
        heights[id(node)] = left + (not node.rb_red)
        if left != right:
            wrong.append(f"{left} black nodes to the left of a node, {right} to its right")
    return wrong


def _node_violations(node: RbNode, heights: dict[int, int]) -> list[str]:
    wrong = []
    for child in (node.rb_left, node.rb_right):
        if child is not None and child.rb_parent is not node:
            wrong.append("a child names another parent")
        if node.rb_red and _is_red(child):
            wrong.append("a red node has a red child")
    return wrong


def _children_first(root: RbRoot[N]) -> list[N]:
    """All nodes, each behind its children; told from the links downwards."""
    nodes: list[N] = []
    stack = [] if root.rb_node is None else [root.rb_node]
    while stack:
        node = stack.pop()
        nodes.append(node)
        stack += [child for child in (node.rb_left, node.rb_right) if child is not None]
    nodes.reverse()
    return nodes
