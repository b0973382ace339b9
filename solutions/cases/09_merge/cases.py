"""Blocks freed to an allocator of one zone in which nothing is free: every list, after each free.

What is right comes from memsim's own free_one_page().
"""

from memsim import Machine
from memsim.lib.list import INIT_LIST_HEAD
from memsim.mm.mmzone import list_pages
from memsim.mm.page_alloc.buddy import free_one_page
from memsim.words.mmzone import FPI_NONE, MIGRATE_MOVABLE

LARGEST = 5
ZONE = Machine.of_pages(1 << LARGEST, steps=False).zone()


class RIGHT:
    """The model's zone, with nothing free in it."""

    def __init__(self, largest):
        self.zone = ZONE
        ZONE.page_state[:] = bytes(len(ZONE.page_state))
        for area in ZONE.free_area:
            area.nr_free = 0
            INIT_LIST_HEAD(ZONE.next, ZONE.prev, area.free_list[MIGRATE_MOVABLE])

    def free(self, pfn, order):
        free_one_page(self.zone, pfn, order, FPI_NONE)

    def free_lists(self):
        areas = self.zone.free_area[: LARGEST + 1]
        return [list_pages(self.zone, area.free_list[MIGRATE_MOVABLE]) for area in areas]


class Mistaken:
    """A right answer, and what the mistakes change of it."""

    def __init__(self, largest):
        self.largest = largest
        self.free_area = [[] for _ in range(largest + 1)]

    def free_lists(self):
        return self.free_area

    def free(self, pfn, order):
        while order < self.largest and pfn ^ (1 << order) in self.free_area[order]:
            self.free_area[order].remove(pfn ^ (1 << order))
            pfn = self.merged(pfn, order)
            order += 1
        pfns = self.free_area[order]
        pfns.insert(len(pfns) if self.to_tail(pfn, order) else 0, pfn)

    def merged(self, pfn, order):
        return pfn & ~(1 << order)

    def to_tail(self, pfn, order):
        higher = (pfn & ~(1 << order)) ^ (2 << order)
        return order + 1 < self.largest and higher in self.free_area[order + 1]


class AlwaysHead(Mistaken):
    def to_tail(self, pfn, order):
        return False


class MergesOnce(Mistaken):
    def free(self, pfn, order):
        buddy = pfn ^ (1 << order)
        if order < self.largest and buddy in self.free_area[order]:
            self.free_area[order].remove(buddy)
            pfn, order = pfn & buddy, order + 1
        pfns = self.free_area[order]
        pfns.insert(len(pfns) if self.to_tail(pfn, order) else 0, pfn)


class NeverLower(Mistaken):
    def merged(self, pfn, order):
        return pfn


class OwnOrder(Mistaken):
    """Looks for the next block of the same order, where the larger buddy should be."""

    def to_tail(self, pfn, order):
        higher = (pfn & ~(1 << order)) ^ (2 << order)
        return order + 1 < self.largest and higher in self.free_area[order]


class AlwaysTail(Mistaken):
    def to_tail(self, pfn, order):
        return True


class AnyOrder(Mistaken):
    """Merges with what lies where the buddy begins."""

    def free(self, pfn, order):
        while order < self.largest and (found := self.lists_with(pfn ^ (1 << order))):
            for pfns in found:
                pfns.remove(pfn ^ (1 << order))
            pfn, order = self.merged(pfn, order), order + 1
        pfns = self.free_area[order]
        pfns.insert(len(pfns) if self.to_tail(pfn, order) else 0, pfn)

    def lists_with(self, pfn):
        return [pfns for pfns in self.free_area if pfn in pfns]


class LowerAndHead(NeverLower, AlwaysHead):
    """Two mistakes at once."""


MISTAKES = {
    "always_head": AlwaysHead,
    "merges_once": MergesOnce,
    "never_lower": NeverLower,
    "own_order": OwnOrder,
    "always_tail": AlwaysTail,
    "any_order": AnyOrder,
    "lower_and_head": LowerAndHead,
}


def draw(rng):
    lower = 4 * rng.randrange(8)
    upper, half = rng.randrange(2), 4 * rng.randrange(8)
    lives = [
        [[lower + n, 0] for n in rng.choice([[0, 2, 1, 3], [2, 0, 3, 1], [1, 2, 3, 0]])],
        _tail(rng, upper),
        _tail(rng, 1 - upper, order=1),
        rng.choice(
            [[[half, 0], [half + 2, 1], [half + 1, 0]], [[half + 2, 0], [half, 1], [half + 3, 0]]]
        ),
        *[_life(rng) for _ in range(2)],
    ]
    return {"cases": [_case(n, frees) for n, frees in enumerate(lives)]}


def _tail(rng, upper, order=0):
    """A larger buddy becomes free, then a block that waits for it, then one that does not.

    upper: 1, the block that waits is the upper one of two buddies; 0, the lower.
    """
    size = 1 << order
    base = 8 * size * rng.randrange(2)
    waits, other = base + size * upper, base + 4 * size + size * rng.randrange(2)
    frees = [[other, order], [base + 3 * size, order], [base + 2 * size, order], [waits, order]]
    return [*frees, [other ^ (2 * size), order]]


def _life(rng):
    """Everything comes back, in blocks of small orders, in any order."""
    blocks, pfn = [], 0
    while pfn < 1 << LARGEST:
        order = rng.choice([0, 0, 0, 1, 2])
        while pfn & ((1 << order) - 1):
            order -= 1
        blocks.append([pfn, order])
        pfn += 1 << order
    rng.shuffle(blocks)
    return blocks


def _case(number, frees):
    script = [["new", "Buddy", [LARGEST]]]
    for pfn, order in frees:
        script += [["do", "free", [pfn, order]], ["do", "free_lists", []]]
    told = ", ".join(f"{pfn} ({order})" for pfn, order in frees)
    return {
        "name": f"freed pfn (order): {told if number < 4 else 'all 32 pages'}",
        "script": script,
        "every": True,
        "visible": number < 4,
        "group": "everything comes back",
        "hint": "Merge until the buddy is not free; only then decide between head and tail.",
        "player": {"lists": "free_lists", "pages": 1 << LARGEST},
    }
