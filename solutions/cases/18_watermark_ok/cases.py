"""Requests to zones, each with a mark that it just passes or just misses.

What is right comes from memsim's own _zone_watermark_ok().
"""

from types import SimpleNamespace

from memsim.mm.page_alloc.watermark import (
    _zone_watermark_ok,
    _zone_watermark_unusable_free,
    min_for_reserves,
)
from memsim.words.alloc_flags import (
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
    ALLOC_RESERVES,
)
from memsim.words.mmzone import MIGRATE_HIGHATOMIC, NR_PAGE_ORDERS

TYPES = MIGRATE_HIGHATOMIC + 1
_SOME = -1
ATOMIC = ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK


class RIGHT:
    """The model, and a zone as it wants it: a list is its head alone, or head and something."""

    def __init__(self, zone):
        self.free_pages = zone["free_pages"]
        self.vm = SimpleNamespace(MIGRATE_CMA=-1)
        self.nr_free_highatomic = zone["nr_free_highatomic"]
        self.lowmem_reserve = zone["lowmem_reserve"]
        self.next, self.free_area = [], []
        for counts in zone["free_area"]:
            heads = list(range(len(self.next), len(self.next) + TYPES))
            self.next += [_SOME if nr else head for head, nr in zip(heads, counts, strict=True)]
            self.free_area.append(SimpleNamespace(nr_free=sum(counts), free_list=heads))

    def watermark_ok(self, *request):
        return _zone_watermark_ok(self, *request, self.free_pages)


class Mistaken:
    """All steps, each of which a mistake can spoil."""

    enough, types, block, highatomic, reserve = False, TYPES - 1, True, True, True

    def __init__(self, zone):
        self.zone = zone

    def low(self, mark, alloc_flags):
        return min_for_reserves(mark, alloc_flags)

    def watermark_ok(self, order, mark, highest_zoneidx, alloc_flags):
        zone = self.zone
        free = zone["free_pages"] - (1 << order) + 1
        if self.highatomic and not alloc_flags & ALLOC_RESERVES:
            free -= zone["nr_free_highatomic"]
        needed = self.low(mark, alloc_flags)
        needed += zone["lowmem_reserve"][highest_zoneidx] if self.reserve else 0
        if free < needed or (free == needed and not self.enough):
            return False
        usable = TYPES if alloc_flags & (ALLOC_HIGHATOMIC | ALLOC_OOM) else self.types
        blocks = any(any(counts[:usable]) for counts in zone["free_area"][order:])
        return not order or not self.block or blocks


class MarkIsEnough(Mistaken):
    enough = True


class NowaitLowers(Mistaken):
    def low(self, mark, alloc_flags):
        low = min_for_reserves(mark, alloc_flags & ~ALLOC_NON_BLOCK)
        return low - low // 4 if alloc_flags & ALLOC_NON_BLOCK else low


class AnyBlock(Mistaken):
    types = TYPES


class NoBlock(Mistaken):
    block = False


class HighatomicIsFree(Mistaken):
    highatomic = False


class NoReserve(Mistaken):
    reserve = False


MISTAKES = {
    "mark_is_enough": MarkIsEnough,
    "nowait_lowers": NowaitLowers,
    "any_block": AnyBlock,
    "no_block": NoBlock,
    "highatomic_is_free": HighatomicIsFree,
    "no_reserve": NoReserve,
}


def draw(rng):
    single, reserves, blocks = ("one page", "who may go below min", "more than one page")
    told = [(single, 3, True), (reserves, 7, True), (blocks, 8, True)]
    told += [(single, 6, False), (reserves, 7, False), (blocks, 8, False)]
    cases = [_case(rng, *entry) for entry in told]
    zones = [case["script"][0][2][0] for case in cases if case["visible"]]
    return {"shown": "\n".join(map(_shown, zones, [1, 2, 3])), "cases": cases}


def _shown(zone, number):
    free, reserved = zone["free_pages"], zone["nr_free_highatomic"]
    head = f"zone of case {number}: free_pages {free}, nr_free_highatomic {reserved}"
    rows = [f"  free_area[{o}] {row}" for o, row in enumerate(zone["free_area"]) if any(row)]
    return "\n".join([head, f"  lowmem_reserve {zone['lowmem_reserve']}", *rows])


_HINTS = {
    "one page": "Which pages can it not use? Is what is left more than the mark and the reserve?",
    "who may go below min": "Take each part off what is left of the mark, in the kernel's order.",
    "more than one page": "Which lists may the request take from, and of which orders?",
}


def _case(rng, group, nr, visible):
    zone, largest = _zone(rng)
    kinds = {"one page": _single, "who may go below min": _reserves, "more than one page": _blocks}
    requests = kinds[group](rng, zone, largest)
    while len(requests) < nr:
        requests += kinds[group](rng, zone, largest)
    requests = requests[:nr]
    rng.shuffle(requests)
    return {
        "name": f"{group}: {nr} requests to a zone with {zone['free_pages']} free pages",
        "script": [
            ["new", "Zone", [zone]],
            *(["do", "watermark_ok", request] for request in requests),
        ],
        "every": True,
        "visible": visible,
        "group": group,
        "hint": _HINTS[group],
    }


def _zone(rng):
    """Scattered pages, small blocks up to an order, and larger ones of MIGRATE_HIGHATOMIC."""
    largest = rng.randrange(1, 4)
    areas = [[0] * TYPES for _ in range(NR_PAGE_ORDERS)]
    for order in range(largest + 1):
        areas[order][: TYPES - 1] = [rng.randrange(1, 900 >> order) for _ in range(TYPES - 1)]
    areas[largest + rng.randrange(2, 4)][MIGRATE_HIGHATOMIC] = rng.randrange(1, 6)
    areas[0][MIGRATE_HIGHATOMIC] = rng.randrange(40)
    free = sum(sum(counts) << order for order, counts in enumerate(areas))
    kept = sum(counts[MIGRATE_HIGHATOMIC] << order for order, counts in enumerate(areas))
    reserve = rng.randrange(30, free // 3)
    zone = {
        "free_pages": free,
        "nr_free_highatomic": kept,
        "lowmem_reserve": [0, 0, reserve, reserve, reserve],
        "free_area": areas,
    }
    return zone, largest


def _single(rng, zone, _):
    """At the mark, one above it, and passing only with the pages of MIGRATE_HIGHATOMIC."""
    return [
        _at(rng, zone, 0, 0, 0),
        _at(rng, zone, 0, 0, -1),
        _at(rng, zone, 0, 0, rng.randrange(1, zone["nr_free_highatomic"])),
    ]


def _reserves(rng, zone, _):
    """GFP_NOWAIT, __GFP_HIGH, GFP_ATOMIC, an OOM victim; at their marks or one above."""
    told = [(ALLOC_NON_BLOCK, 0), (ALLOC_MIN_RESERVE, 0), (ALLOC_OOM | ALLOC_MIN_RESERVE, -1)]
    told += [(flags, above) for flags in (ATOMIC, ALLOC_OOM) for above in (-1, 0)]
    return [_at(rng, zone, 0, *entry) for entry in told]


def _blocks(rng, zone, largest):
    """Of an order that there is, and of one that only MIGRATE_HIGHATOMIC has, or nobody."""
    top = max(o for o, counts in enumerate(zone["free_area"]) if counts[MIGRATE_HIGHATOMIC])
    high = ATOMIC | ALLOC_HIGHATOMIC
    few = -(2 << NR_PAGE_ORDERS - 5)
    return [
        _at(rng, zone, largest, 0, few),
        _at(rng, zone, top, 0, few),
        _at(rng, zone, top, high, few),
        _at(rng, zone, top + 1, high, few),
        _at(rng, zone, rng.randrange(1, largest + 1), ALLOC_MIN_RESERVE, 0),
        _at(rng, zone, largest + 1, high, few),
        _at(rng, zone, top, ALLOC_OOM, few),
        _at(rng, zone, top, ALLOC_MIN_RESERVE, few),
    ]


def _at(rng, zone, order, alloc_flags, above):
    """A request whose lowered mark and reserve are what it can use, and so many pages more."""
    highest = rng.choice([1, 2])
    unusable = _zone_watermark_unusable_free(RIGHT(zone), order, alloc_flags)
    low = zone["free_pages"] - unusable - zone["lowmem_reserve"][highest] + above
    mark = low
    while min_for_reserves(mark, alloc_flags) < low:
        mark += max(1, low - min_for_reserves(mark, alloc_flags))
    return [order, mark, highest, alloc_flags]
