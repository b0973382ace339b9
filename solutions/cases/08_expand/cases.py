"""Requests to an allocator of one zone without pcp lists: which page, and which lists after it?

What is right comes from memsim's own page allocator.
"""

from memsim import GFP_HIGHUSER_MOVABLE, Machine, PageAllocationFailure
from memsim.mm.mmzone import list_pages
from memsim.mm.page_alloc.free_list import list_all_deferred
from memsim.words.mmzone import MIGRATE_MOVABLE

LARGEST = 5


class RIGHT:
    """The model, with the methods that are asked for."""

    def __init__(self, largest):
        self.largest = largest
        self.machine = Machine.of_pages(1 << largest)
        (self.zone,) = (zone for zone in self.machine.vm.zones if zone.managed_pages)
        list_all_deferred(self.zone)

    def alloc(self, order):
        try:
            return self.machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order)
        except PageAllocationFailure:
            return None

    def free_lists(self):
        areas = self.zone.free_area[: self.largest + 1]
        return [list_pages(self.zone, area.free_list[MIGRATE_MOVABLE]) for area in areas]


class Mistaken:
    """What the mistakes have in common."""

    def __init__(self, largest):
        self.free_area = [[] for _ in range(largest)] + [[0]]

    def free_lists(self):
        return self.free_area

    def alloc(self, order):
        for high in range(order, len(self.free_area)):
            if self.free_area[high]:
                return self.expand(self.free_area[high].pop(0), order, high)
        return None

    def expand(self, pfn, order, high):
        while high > order:
            high -= 1
            self.free_area[high].insert(0, pfn + (1 << high))
        return pfn


class KeepsUpperHalf(Mistaken):
    def expand(self, pfn, order, high):
        while high > order:
            high -= 1
            self.free_area[high].insert(0, pfn)
            pfn += 1 << high
        return pfn


class TakesLargest(Mistaken):
    def alloc(self, order):
        for high in reversed(range(order, len(self.free_area))):
            if self.free_area[high]:
                return self.expand(self.free_area[high].pop(0), order, high)
        return None


class SplitsOnce(Mistaken):
    def expand(self, pfn, order, high):
        if high > order:
            self.free_area[high - 1].insert(0, pfn + (1 << (high - 1)))
        return pfn


MISTAKES = {
    "keeps_upper_half": KeepsUpperHalf,
    "takes_largest": TakesLargest,
    "splits_once": SplitsOnce,
}


def draw(rng):
    lives = [[0], [1, 1, 0, 0], [0, 3, 2, 0], *([_orders(rng) for _ in range(5)])]
    return {"cases": [_case(n, orders) for n, orders in enumerate(lives)]}


def _orders(rng):
    """Requests until nothing is left, small ones in between larger ones."""
    return [rng.choice([0, 0, 1, 1, 2, 3]) for _ in range(rng.randrange(8, 15))] + [LARGEST]


def _case(number, orders):
    script = [["new", "Buddy", [LARGEST]], ["do", "free_lists", []]]
    for order in orders:
        script += [["do", "alloc", [order]], ["do", "free_lists", []]]
    return {
        "name": f"requests of order {', '.join(map(str, orders))}",
        "script": script,
        "every": True,
        "visible": number < 4,
        "group": "long lives",
        "hint": "Look at the smallest order first; every half goes back.",
        "player": {"lists": "free_lists", "pages": 1 << LARGEST},
    }
