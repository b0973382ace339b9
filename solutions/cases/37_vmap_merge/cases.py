"""Areas that are freed, one by one or in a batch: what each becomes, and what is free then.

What is right comes from memsim's own merge_or_add_vmap_area_augment().
"""

from bisect import bisect_left
from textwrap import fill

from memsim.lib.rbtree import rb_next
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.merge import merge_or_add_vmap_area_augment
from memsim.mm.vmalloc.state import VmallocState
from memsim.mm.vmalloc.tree import find_va_links, insert_vmap_area_augment
from memsim.mm.vmalloc.update import new_area
from memsim.trace.trace import Trace

_TRACE = Trace(mask=0, capacity=1)


class RIGHT:
    """The model's tree of free areas."""

    def __init__(self, areas):
        self.state = VmallocState(_TRACE, 1, 1)
        self.tree = self.state.free_vmap_area_root
        for area in areas:
            insert_vmap_area_augment(new_area(self.state, *area), None, self.tree)

    def add(self, start, end):
        if find_va_links(VmapArea(start, end), self.tree) is None:
            return None
        va = new_area(self.state, start, end)
        merged = merge_or_add_vmap_area_augment(self.state, va, self.tree)
        return [merged.va_start, merged.va_end]

    def free_areas(self):
        node, areas = self.tree.rb_node, []
        while node is not None and node.rb_left is not None:
            node = node.rb_left
        while node is not None:
            areas.append([node.va_start, node.va_end])
            node = rb_next(node)
        return areas


class Plain:
    """The same without the model, each step of which a mistake can spoil."""

    both, apart = True, 0

    def __init__(self, areas):
        self.areas = areas

    def free_areas(self):
        return self.areas

    def overlaps(self, start, end):
        return any(start < other_end and end > other for other, other_end in self.areas)

    def add(self, start, end):
        if self.overlaps(start, end):
            return None
        first = last = bisect_left(self.areas, [start, end])
        if last < len(self.areas) and self.areas[last][0] - end in (0, self.apart):
            end, last = self.areas[last][1], last + 1
        if first and start - self.areas[first - 1][1] in (0, self.apart):
            if self.both or last == first:
                start, first = self.areas[first - 1][0], first - 1
        self.areas[first:last] = [[start, end]]
        return [start, end]


class OneSide(Plain):
    both = False


class OnePageApart(Plain):
    apart = 1


class AtTheEnd(Plain):
    def add(self, start, end):
        if self.overlaps(start, end):
            return None
        for area in list(self.areas):
            if area[1] == start or area[0] == end:
                self.areas.remove(area)
                start, end = min(start, area[0]), max(end, area[1])
        self.areas.append([start, end])
        return [start, end]


class JoinsOverlapping(Plain):
    def add(self, start, end):
        joined = [area for area in self.areas if start <= area[1] and end >= area[0]]
        start = min([start, *(area[0] for area in joined)])
        end = max([end, *(area[1] for area in joined)])
        rest = [area for area in self.areas if area not in joined]
        self.areas = sorted([*rest, [start, end]])
        return [start, end]


class EitherInside(Plain):
    def overlaps(self, start, end):
        return any(
            other <= start < other_end or other < end <= other_end
            for other, other_end in self.areas
        )


MISTAKES = {
    "one_side": OneSide,
    "at_the_end": AtTheEnd,
    "joins_overlapping": JoinsOverlapping,
    "one_page_apart": OnePageApart,
    "either_inside": EitherInside,
}


def draw(rng):
    told = [
        ("areas between others that are free", 8, 0.6, 0, ""),
        ("a batch, in any order", 12, 0.2, 0, ""),
        ("some are freed twice", 8, 0.5, 4, ""),
        ("nothing is free at first", 10, 0.0, 0, "all come back"),
        ("a large batch, in any order", 20, 0.3, 0, "all come back"),
        ("some are freed twice", 14, 0.4, 4, "freed twice"),
    ]
    cases = [_case(rng, *entry) for entry in told]
    visible = [case["script"] for case in cases if case["visible"]]
    return {"shown": "\n".join(map(_shown, visible, [1, 2, 3])), "cases": cases}


def _shown(script, number):
    adds = [f"add({args[0]},{args[1]})" for _, name, args in script if name == "add"]
    listed = " ".join(f"[{start},{end}]" for start, end in script[0][2][0])
    free = fill(f"case {number}, free at first: {listed}", 80, subsequent_indent="  ")
    return "\n".join([free, fill(" ".join(adds), 80, initial_indent="  ", subsequent_indent="  ")])


_HINTS = {
    "all come back": "What if there is no neighbour on one side, or on both?",
    "freed twice": "Does it overlap with the free area before it, or with the one behind?",
}


def _case(rng, name, nr, share, twice, group):
    free, used = _cut(rng, nr, share)
    rng.shuffle(used)
    script = [["new", "FreeAreas", [free]], ["do", "free_areas", []]]
    plain, again = Plain([*free]), rng.sample(_AGAIN, len(_AGAIN))
    for number, area in enumerate(used):
        script.append(["do", "add", area])
        start, end = plain.add(*area)
        if twice and number % (len(used) // twice or 1) == 0:
            before, behind = again[number * twice // len(used) % len(again)]
            script.append(["do", "add", [start + before, end + behind]])
    script.insert(2 + len(used) // 2, ["do", "free_areas", []])
    return {
        "name": f"{name}: {len(free)} are free, {len(used)} come back",
        "script": [*script, ["do", "free_areas", []]],
        "every": True,
        "visible": not group,
        "group": group,
        "hint": _HINTS.get(group, ""),
    }


def _cut(rng, nr, share):
    """Addresses cut into areas: free ones, used ones, and now and then a page that stays in use."""
    free, used, page = [], [], rng.randrange(1, 50)
    while len(used) + len(free) < nr or len(used) < 4:
        end = page + rng.choice([2, 3, 5, 9, 17])
        touches = bool(free) and free[-1][1] == page
        (free if rng.random() < share and not touches else used).append([page, end])
        page = end + (rng.random() < 0.3)
    # a used area between two free ones, and a page in use behind them
    for kind, pages in ((free, 3), (used, 2), (free, 5)) if share else ():
        page += kind is free and bool(free) and free[-1][1] == page
        kind.append([page, page + pages])
        page += pages
    return free, [*used, [page + 1, page + 4]]


#: What is freed twice, beside the free area: the same, a page less and more on a side, or around.
_AGAIN = [(0, 0), (1, 1), (-1, -1), (-1, 1)]
