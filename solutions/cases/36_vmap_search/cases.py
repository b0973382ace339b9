"""Free areas, as a list and as the kernel's tree: where a request goes, and which nodes it sees.

What is right comes from memsim's own is_within_this_va(), and from find_vmap_lowest_match() that
is watched while it runs.
"""

from textwrap import fill

from memsim.lib.bits import PAGE_SIZE, align_up
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.tree import FreeTree, insert_vmap_area_augment, is_within_this_va
from memsim.trace.trace import Trace
from memsim.trace.vmalloc_steps import FREE, tree_code
from memsim.views.vmalloc_search import Request, search
from memsim.words.vmalloc import VMALLOC_START

_TRACE = Trace(mask=0, capacity=1)


def _address(page):
    return VMALLOC_START + page * PAGE_SIZE


def _page(address):
    return (address - VMALLOC_START) // PAGE_SIZE


class RIGHT:
    """The model; the tree is the one that is told."""

    def __init__(self, areas, root):
        self.areas = [VmapArea(*map(_address, area)) for area in areas]
        self.tree = FreeTree(_TRACE, tree_code(FREE, 0))
        self.tree.rb_node = self._node(root)

    def _node(self, told):
        if told is None:
            return None
        node = VmapArea(_address(told["va_start"]), _address(told["va_end"]))
        node.subtree_max_size = told["subtree_max_size"] * PAGE_SIZE
        node.rb_left, node.rb_right = self._node(told["left"]), self._node(told["right"])
        for child in filter(None, (node.rb_left, node.rb_right)):
            child.rb_parent = node
        return node

    def lowest(self, size, align, vstart):
        size, align, vstart = size * PAGE_SIZE, align * PAGE_SIZE, _address(vstart)
        for va in self.areas:
            if is_within_this_va(va, size, align, vstart):
                return _page(align_up(max(va.va_start, vstart), align))
        return None

    def path(self, size):
        _, steps = search(self.tree, Request(size * PAGE_SIZE))
        return [_page(step.area.va_start) for step in steps[:-1]]


class Plain:
    """The same without the model, each step of which a mistake can spoil."""

    def __init__(self, areas, root):
        self.areas, self.root = areas, root

    def starts(self, size, align, vstart):
        """(size of the area, where the request would begin), of each area that it fits in."""
        for start, end in self.areas:
            at = align_up(max(start, vstart), align)
            if at + size <= end:
                yield end - start, at

    def lowest(self, size, align, vstart):
        return next((at for _, at in self.starts(size, align, vstart)), None)

    def goes(self, node, size):
        return node is not None and node["subtree_max_size"] >= size

    def stays(self, node, size):
        return node["va_end"] - node["va_start"] >= size

    def to_left(self, node, size):
        return self.goes(node["left"], size)

    def path(self, size):
        node, path = self.root, []
        while node is not None:
            path.append(node["va_start"])
            if self.to_left(node, size):
                node = node["left"]
            elif self.stays(node, size):
                break
            else:
                node = node["right"] if self.goes(node["right"], size) else None
        return path


class BestFit(Plain):
    def lowest(self, *request):
        return min(self.starts(*request), default=(0, None))[1]


class NoRoomToAlign(Plain):
    def starts(self, size, align, vstart):
        for start, end in self.areas:
            if end - start >= size and end > vstart:
                yield end - start, align_up(max(start, vstart), align)


class SkipsBegun(Plain):
    def starts(self, size, align, vstart):
        return (
            (end - start, align_up(start, align))
            for start, end in self.areas
            if start >= vstart and align_up(start, align) + size <= end
        )


class LooksAtAll(Plain):
    def path(self, size):
        fits = [end - start >= size for start, end in self.areas]
        nr = fits.index(True) + 1 if any(fits) else len(fits)
        return [start for start, _ in self.areas[:nr]]


class OwnSize(Plain):
    def goes(self, node, size):
        return node is not None and node["va_end"] - node["va_start"] >= size


class StrictFit(Plain):
    def starts(self, size, align, vstart):
        for start, end in self.areas:
            at = align_up(max(start, vstart), align)
            if at + size < end:
                yield end - start, at


class RoundsVaStart(Plain):
    def starts(self, size, align, vstart):
        for start, end in self.areas:
            at = max(align_up(start, align), vstart)
            if at + size <= end:
                yield end - start, at


class StaysFirst(Plain):
    def to_left(self, node, size):
        return super().to_left(node, size) and not self.stays(node, size)


class StaysBySubtree(Plain):
    def stays(self, node, size):
        return node["subtree_max_size"] >= size


class ForNothing(Plain):
    """What path() returns where nothing is large enough."""

    nothing = None

    def path(self, size):
        return super().path(size) if self.goes(self.root, size) else self.nothing


class EmptyForNothing(ForNothing):
    nothing = ()


MISTAKES = {
    "best_fit": BestFit,
    "no_room_to_align": NoRoomToAlign,
    "skips_begun": SkipsBegun,
    "looks_at_all": LooksAtAll,
    "own_size": OwnSize,
    "strict_fit": StrictFit,
    "rounds_va_start": RoundsVaStart,
    "stays_first": StaysFirst,
    "stays_by_subtree": StaysBySubtree,
    "none_for_nothing": ForNothing,
    "empty_for_nothing": EmptyForNothing,
}


def draw(rng):
    told = [
        ("no alignment", 7, _any_page, ""),
        ("alignments", 9, _aligned, ""),
        ("a lower limit and alignments", 9, _both, ""),
        ("no alignment, more areas", 14, _any_page, "paths"),
        ("alignments, more areas", 14, _aligned, "alignments"),
        ("both", 12, _both, "alignments"),
    ]
    cases = [_case(rng, *entry) for entry in told]
    visible = [case["script"][0][2] for case in cases if case["visible"]]
    return {"shown": "\n".join(map(_shown, visible, [1, 2, 3])), "cases": cases}


def _shown(told, number):
    areas, root = told
    listed = " ".join(f"[{start},{end}]" for start, end in areas)
    head = fill(f"areas of case {number}: {listed}", 80, subsequent_indent="  ")
    return "\n".join([head, *_rows(root, "root", "  ")])


def _rows(node, side, indent):
    """The tree, a node to a line, what is below it indented."""
    if node is None:
        return []
    head = f"{indent}{side} [{node['va_start']},{node['va_end']}]"
    return [
        f"{head} subtree_max_size {node['subtree_max_size']}",
        *_rows(node["left"], "left", indent + "  "),
        *_rows(node["right"], "right", indent + "  "),
    ]


_HINTS = {
    "paths": "Which subtrees can hold an area that is large enough?",
    "alignments": "Where in the area does the request begin, and does it end inside?",
}


def _case(rng, name, nr, ask, group):
    areas, root = _areas(rng, nr)
    plain = Plain(areas, root)
    telling = (BestFit, NoRoomToAlign, SkipsBegun, RoundsVaStart)
    requests = [_telling(rng, ask, plain, wrong) for wrong in telling[: 4 if ask is _both else 3]]
    telling = (LooksAtAll, OwnSize, StaysFirst, StaysBySubtree)
    sizes = [_telling(rng, _size, plain, wrong)[0] for wrong in telling]
    largest = root["subtree_max_size"]
    return {
        "name": f"{name}: {nr} free areas",
        "script": [
            ["new", "FreeAreas", [areas, root]],
            *(["do", "lowest", request] for request in [*requests, _exact(rng, areas)]),
            *(["do", "path", [size]] for size in [*sizes, largest, largest + rng.randrange(1, 9)]),
        ],
        "every": True,
        "visible": not group,
        "group": group,
        "hint": _HINTS.get(group, ""),
    }


def _areas(rng, nr):
    """So many, and their tree; the way to the largest goes to the right at least once."""
    areas, page = [], rng.randrange(8)
    for _ in range(nr):
        end = page + rng.choice([1, 2, 3, 5, 6, 9, 12, 20, 30])
        areas.append([page, end])
        page = end + rng.randrange(1, 12)
    root = _tree(rng, areas)
    largest = root["subtree_max_size"]
    goes_right = StaysBySubtree(areas, root).path(largest) != Plain(areas, root).path(largest)
    return (areas, root) if goes_right else _areas(rng, nr)


def _telling(rng, ask, plain, wrong):
    """A request that this mistake gets wrong, if one is soon found."""
    mistaken = wrong(plain.areas, plain.root)
    for _ in range(30):
        request = ask(rng, plain.areas)
        method = "path" if len(request) == 1 else "lowest"
        if getattr(mistaken, method)(*request) != getattr(plain, method)(*request):
            break
    return request


def _size(rng, areas):
    return [rng.randrange(1, 22)]


def _any_page(rng, areas):
    return [rng.randrange(1, 22), 1, 0]


def _aligned(rng, areas):
    return [rng.randrange(1, 16), rng.choice([4, 8, 16]), 0]


def _exact(rng, areas):
    """As many pages as an area has that is larger than all before it: it fits in exactly."""
    sizes = [end - start for start, end in areas]
    first = [size for n, size in enumerate(sizes) if size > max(sizes[:n], default=0)]
    return [rng.choice(first), 1, 0]


def _both(rng, areas):
    return [rng.randrange(1, 12), rng.choice([2, 4, 8]), rng.randrange(areas[-1][1])]


def _tree(rng, areas):
    """The kernel's tree, after the areas came in any order; as dicts."""
    tree = FreeTree(_TRACE, tree_code(FREE, 0))
    for start, end in rng.sample(areas, len(areas)):
        insert_vmap_area_augment(VmapArea(start, end), None, tree)
    return _told(tree.rb_node)


def _told(va):
    if va is None:
        return None
    return {
        "va_start": va.va_start,
        "va_end": va.va_end,
        "subtree_max_size": va.subtree_max_size,
        "left": _told(va.rb_left),
        "right": _told(va.rb_right),
    }
