"""Lives in which one of the four bugs shows, and no other. What is right comes from memsim.

A bug is a method of its own, laid over the repaired allocator.
"""

from memsim import Machine
from memsim.lib.list import INIT_LIST_HEAD
from memsim.mm.mmzone import list_pages
from memsim.mm.page_alloc.buddy import _rmqueue_smallest, free_one_page
from memsim.mm.page_alloc.free_list import _add_to_free_list
from memsim.words.mmzone import FPI_NONE, MAX_PAGE_ORDER, MIGRATE_MOVABLE, NULL

ZONE = Machine.of_pages(4096, steps=False).zone()
ZONE.deferred_pfn = ZONE.deferred_end


class RIGHT:
    """The model's zone, in which nothing is free but what the case says."""

    def __init__(self, free):
        ZONE.page_state[:] = bytes(len(ZONE.page_state))
        for area in ZONE.free_area:
            area.nr_free = 0
            INIT_LIST_HEAD(ZONE.next, ZONE.prev, area.free_list[MIGRATE_MOVABLE])
        for pfn, order in free:
            _add_to_free_list(ZONE, pfn, order, MIGRATE_MOVABLE, True)

    def alloc(self, order):
        pfn = _rmqueue_smallest(ZONE, order, MIGRATE_MOVABLE)
        return None if pfn == NULL else pfn

    def free(self, pfn, order):
        free_one_page(ZONE, pfn, order, FPI_NONE)

    def free_lists(self):
        heads = [area.free_list[MIGRATE_MOVABLE] for area in ZONE.free_area]
        return [list_pages(ZONE, head) for head in heads]


class Fixed:
    """The notebook's allocator without its bugs."""

    def __init__(self, free):
        self.free_area = [[] for _ in range(MAX_PAGE_ORDER + 1)]
        for pfn, order in free:
            self.free_area[order].append(pfn)

    def free_lists(self):
        return self.free_area

    def alloc(self, order):
        high = self.smallest(order)
        return None if high is None else self.expand(self.free_area[high].pop(0), order, high)

    def smallest(self, order):
        return next((k for k in range(order, MAX_PAGE_ORDER + 1) if self.free_area[k]), None)

    def expand(self, pfn, low, high):
        while high > low:
            high -= 1
            self.free_area[high].insert(0, pfn + (1 << high))
        return pfn

    def is_free(self, pfn, order):
        return pfn in self.free_area[order]

    def free(self, pfn, order):
        while order < MAX_PAGE_ORDER and self.is_free(pfn ^ (1 << order), order):
            self.take_off(pfn ^ (1 << order))
            pfn = self.merged(pfn, order)
            order += 1
        self.put(pfn, order)

    def merged(self, pfn, order):
        return pfn & ~(1 << order)

    def take_off(self, pfn):
        for pfns in self.free_area:
            if pfn in pfns:
                pfns.remove(pfn)

    def put(self, pfn, order):
        higher = (pfn & ~(1 << order)) ^ (2 << order)
        likely = order + 1 < MAX_PAGE_ORDER and self.is_free(higher, order + 1)
        self.free_area[order].insert(len(self.free_area[order]) if likely else 0, pfn)


class Exclusive:
    def smallest(self, order):
        return next((k for k in range(order, MAX_PAGE_ORDER) if self.free_area[k]), None)


class Leaks:
    def expand(self, pfn, low, high):
        return super().expand(pfn, low + 1, high)


class AnyOrder:
    def is_free(self, pfn, order):
        return any(pfn in pfns for pfns in self.free_area)


class Upper:
    def merged(self, pfn, order):
        return pfn


BUGS = {"exclusive": Exclusive, "leaks": Leaks, "any_order": AnyOrder, "upper": Upper}
MISTAKES = {name: type(name, (bug, Fixed), {}) for name, bug in BUGS.items()}
#: This bug repaired, the three others left.
OTHERS = {
    name: type(name, (*(bug for other, bug in BUGS.items() if other != name), Fixed), {})
    for name in BUGS
}
HINTS = {
    "exclusive": "Ask until nothing is left. Is really nothing left?",
    "leaks": "Count the pages before and after: free ones, and those handed out.",
    "any_order": "Free a block whose buddy is in pieces.",
    "upper": "Free the two halves of a block, each of them last once.",
}


def draw(rng):
    return {"cases": [_case(rng, bug, n) for n in range(3) for bug in BUGS]}


def _case(rng, bug, number):
    free, calls = _life(rng, bug)
    while not _shows(bug, free, calls):
        free, calls = _life(rng, bug)
    told = ", ".join(f"{name}({', '.join(map(str, args))})" for name, args in calls)
    blocks = ", ".join(f"{pfn} ({order})" for pfn, order in free)
    return {
        "name": f"free are pfn (order) {blocks}; then {told}",
        "script": _script(free, calls),
        "every": True,
        "visible": number == 0,
        "group": f"bug {list(BUGS).index(bug) + 1}",
        "hint": HINTS[bug],
    }


def _script(free, calls):
    script = [["new", "Buddy", [free]]]
    for name, args in calls:
        script += [["do", name, args], ["do", "free_lists", []]]
    return script


def _life(rng, bug):
    """Blocks that are free, in list order, and calls."""
    if bug == "exclusive":
        free = [[1024 * n, 10] for n in rng.sample(range(4), rng.randrange(1, 3))]
        return free, [["alloc", [10]] for _ in range(len(free) + rng.randrange(2))]
    blocks = _blocks(rng, 64 * rng.randrange(60), 5)
    rng.shuffle(blocks)
    free = [[pfn, order] for pfn, order, is_free in blocks if is_free]
    used = [[pfn, order] for pfn, order, is_free in blocks if not is_free]
    if bug == "leaks":
        return free, [["alloc", [rng.choice([0, 0, 1, 2])]] for _ in range(3)]
    return free, [["free", block] for block in used[:3]]


def _blocks(rng, pfn, order):
    """[pfn, order, is it free?]; no two free buddies."""
    if order > 3 or (order and rng.random() < 0.6):
        lower = _blocks(rng, pfn, order - 1)
        upper = _blocks(rng, pfn + (1 << (order - 1)), order - 1)
        if len(lower) == len(upper) == 1 and lower[0][2] and upper[0][2]:
            upper[0][2] = False
        return lower + upper
    return [[pfn, order, rng.random() < 0.5]]


def _shows(bug, free, calls):
    """Does this bug show, and none of the others?"""
    right = _lived(Fixed, free, calls)
    return _lived(MISTAKES[bug], free, calls) != right == _lived(OTHERS[bug], free, calls)


def _lived(kind, free, calls):
    buddy, after = kind(free), []
    for name, args in calls:
        after += [getattr(buddy, name)(*args), [list(pfns) for pfns in buddy.free_area]]
    return after
