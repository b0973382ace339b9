"""Requests to a zone whose pcp lists are empty at first. What is right comes from memsim.

The pcp keeps its batch: high is twice the batch, so that nr_pcp_alloc() never doubles it.
"""

from memsim import Machine
from memsim.lib.list import INIT_LIST_HEAD
from memsim.mm.mmzone import list_pages
from memsim.mm.page_alloc.free_list import _add_to_free_list
from memsim.mm.page_alloc.pcp import _rmqueue_pcplist, order_to_pindex
from memsim.words.mmzone import MIGRATE_MOVABLE, NULL

LARGEST = 6
PCP_ORDERS = 4
MACHINE = Machine.of_pages(1 << LARGEST, pcp=True, steps=False)
ZONE, PCP = MACHINE.zone(), MACHINE.zone().per_cpu_pageset[0]
PCP_HEADS = [PCP.lists[order_to_pindex(MIGRATE_MOVABLE, order)] for order in range(PCP_ORDERS)]
HEADS = [area.free_list[MIGRATE_MOVABLE] for area in ZONE.free_area]


class RIGHT:
    """The model's zone, with these blocks free and nothing on pcp lists."""

    def __init__(self, free, batch):
        ZONE.page_state[:] = bytes(len(ZONE.page_state))
        for head in PCP_HEADS + HEADS:
            INIT_LIST_HEAD(ZONE.next, ZONE.prev, head)
        for order, area in enumerate(ZONE.free_area):
            area.nr_free = 0
            for pfn in free[order] if order < len(free) else ():
                _add_to_free_list(ZONE, pfn, order, MIGRATE_MOVABLE, True)
        PCP.count = PCP.alloc_factor = PCP.free_count = PCP.flags = 0
        MACHINE.pageset_update(batch, 2 * batch, 2 * batch)

    def alloc(self, order):
        pfn = _rmqueue_pcplist(ZONE, order, MIGRATE_MOVABLE, 0, PCP)
        return None if pfn == NULL else pfn

    def pcp_lists(self):
        return [list_pages(ZONE, head) for head in PCP_HEADS]

    def free_lists(self):
        return [list_pages(ZONE, head) for head in HEADS[: LARGEST + 1]]


class Mistaken:
    """A right answer, and what the mistakes change of it."""

    def __init__(self, free, batch):
        self.free_area, self.batch = free, batch
        self.pcp = [[] for _ in range(PCP_ORDERS)]

    def free_lists(self):
        return self.free_area

    def pcp_lists(self):
        return self.pcp

    def alloc(self, order):
        if not self.pcp[order]:
            self.refill(order)
        return self.pcp[order].pop(0) if self.pcp[order] else None

    def refill(self, order):
        for _ in range(self.blocks(order)):
            pfn = self.rmqueue(order)
            if pfn is None:
                break
            self.add(self.pcp[order], pfn)

    def blocks(self, order):
        return max(self.batch >> order, 2)

    def add(self, pfns, pfn):
        pfns.append(pfn)

    def rmqueue(self, order):
        for high in range(order, LARGEST + 1):
            if self.free_area[high]:
                pfn = self.free_area[high].pop(0)
                while high > order:
                    high -= 1
                    self.free_area[high].insert(0, pfn + (1 << high))
                return pfn
        return None


class AtHead(Mistaken):
    def add(self, pfns, pfn):
        pfns.insert(0, pfn)


class BatchOfBlocks(Mistaken):
    def blocks(self, order):
        return self.batch


class AllOrNothing(Mistaken):
    """Takes one block that is large enough for the whole batch, and cuts it up."""

    def refill(self, order):
        nr = self.blocks(order)
        whole = order + (nr - 1).bit_length()
        pfn = self.rmqueue(min(whole, LARGEST))
        if pfn is not None:
            self.pcp[order] += [pfn + (n << order) for n in range(1 << whole - order)]


class OneMore(Mistaken):
    """The page that was asked for does not count as one of the batch."""

    def alloc(self, order):
        if self.pcp[order]:
            return self.pcp[order].pop(0)
        pfn = self.rmqueue(order)
        self.refill(order)
        return pfn


class NoLeast(Mistaken):
    def blocks(self, order):
        return self.batch >> order


class Mirrored(AtHead):
    """The tail is at index 0, and the head at the end."""

    def alloc(self, order):
        if not self.pcp[order]:
            self.refill(order)
        return self.pcp[order].pop() if self.pcp[order] else None


class KeepsNone(Mistaken):
    def refill(self, order):
        self.pcp[order] += [self.rmqueue(order) for _ in range(self.blocks(order))]


class GivesUp(Mistaken):
    def alloc(self, order):
        if self.pcp[order]:
            return self.pcp[order].pop(0)
        self.refill(order)
        is_short = len(self.pcp[order]) < self.blocks(order)
        return None if is_short else self.pcp[order].pop(0)


MISTAKES = {
    "at_head": AtHead,
    "batch_of_blocks": BatchOfBlocks,
    "one_block": AllOrNothing,
    "one_more": OneMore,
    "no_least": NoLeast,
    "mirrored": Mirrored,
    "keeps_none": KeepsNone,
    "gives_up": GivesUp,
}


def draw(rng):
    one, two = 8 * rng.randrange(1, 4), 32 + 8 * rng.randrange(4)
    lives = [
        (rng.choice([3, 7]), [0] * 3, _free(rng)),
        (rng.choice([5, 7]), [1] * 2, _free(rng)),
        (3, [0, 1, 0], _free(rng, 4)),
        (rng.choice([5, 6, 7]), [0] * 4, _few([one], [two])),
        (rng.choice([4, 5]), [1, 0], _few(rng.sample([one, two], 2))),
        *[(rng.choice([5, 7]), _orders(rng), _free(rng)) for _ in range(2)],
    ]
    cases = [_case(n, *life) for n, life in enumerate(lives)]
    tables = [_table(case) for case in cases if case["visible"]]
    return {"shown": "\n\n".join(tables), "cases": cases}


def _orders(rng):
    return [rng.choice([0, 0, 0, 1, 1, 2, 3]) for _ in range(rng.randrange(9, 12))]


def _few(*free):
    """Free lists with these blocks of order 0, 1 and so on, and with no others."""
    return [*free, *([] for _ in range(LARGEST + 1 - len(free)))]


def _case(number, batch, orders, free):
    script = [["new", "Zone", [free, batch]]]
    for order in orders:
        script += [["do", "alloc", [order]], ["do", "pcp_lists", []], ["do", "free_lists", []]]
    return {
        "name": f"{number + 1}: batch {batch}, requests of order {', '.join(map(str, orders))}",
        "script": script,
        "every": True,
        "visible": number < 5,
        "group": "until nothing is left",
        "hint": "A refill ends early where no list has a block; what came until then stays.",
    }


def _table(case):
    _, _, (free, _) = case["script"][0]
    lines = [f"  free, order {order}: {pfns}" for order, pfns in enumerate(free) if pfns]
    return "\n".join([case["name"], *lines])


def _free(rng, least=0):
    """Free lists with some blocks of each small order, in any order, and no free buddies.

    least: so many blocks of order 1 or more, if not more.
    """
    free = [[] for _ in range(LARGEST + 1)]
    for start in range(0, 1 << LARGEST, 16):
        at = start
        for order in rng.choice([[0, 1, 2], [1, 2, 3], [0, 2, 1], [3, 0], [2, 3], [4], [0, 1, 3]]):
            at = -(-at >> order) << order
            if at + (1 << order) <= start + 16 and at ^ (1 << order) not in free[order]:
                free[order].append(at)
            at += (1 << order) + rng.choice([0, 1, 2])
    for pfns in free:
        rng.shuffle(pfns)
    return free if sum(map(len, free[1:])) >= least else _free(rng, least)
