"""Zonelists with zones that are more or less full. Each zone is judged by memsim's own check."""

from memsim.lib.list import INIT_LIST_HEAD, list_insert_after
from memsim.mm.mmzone import Vm, Zone
from memsim.mm.page_alloc.zone_walk import AllocContext, _zone_has_room
from memsim.trace.trace import Trace
from memsim.words.alloc_flags import ALLOC_WMARK_LOW, ALLOC_WMARK_MIN
from memsim.words.mmzone import MIGRATE_MOVABLE, NR_FREE_PAGES

ORDERS = 11
ZONES = ("DMA", "DMA32", "Normal")
#: One zone of the model; each zone of a case is put into it in turn.
ZONE = Zone(Vm(ORDERS, 1, 1, Trace(mask=0)), 0, 0, 2, "Normal")


def RIGHT(zonelist, highest, order):
    context = AllocContext([], highest, MIGRATE_MOVABLE)
    for mark, flag in (("low", ALLOC_WMARK_LOW), ("min", ALLOC_WMARK_MIN)):
        for told in zonelist:
            if told["idx"] <= highest and _zone_has_room(_model(told), order, flag, context):
                return [told["node"], told["name"], mark]
    return None


def _model(told):
    """The model's zone with these counters; page k stands for the free blocks of order k."""
    ZONE.flags, ZONE.lowmem_reserve = 0, told["lowmem_reserve"]
    ZONE._watermark = [told["min"], told["low"], 2 * told["low"] - told["min"], 0]
    ZONE.vm_stat[NR_FREE_PAGES] = told["free"]
    for order, area in enumerate(ZONE.free_area):
        area.nr_free = told["nr_free"][order]
        head = area.free_list[MIGRATE_MOVABLE]
        INIT_LIST_HEAD(ZONE.next, ZONE.prev, head)
        if area.nr_free:
            list_insert_after(ZONE.next, ZONE.prev, order, head)
    return ZONE


def _walk(zonelist, highest, order, skip=True, **how):
    """A right walk, and what the mistakes change of it."""
    for mark in ("low", "min"):
        for zone in zonelist:
            allowed = zone["idx"] <= highest or not skip
            if allowed and _has_room(zone, highest, order, mark, **how):
                return [zone["node"], zone["name"], mark]
    return None


def _has_room(zone, highest, order, mark, reserve=True, blocks=True, over=1, less=1, larger=True):
    needed = zone[mark] + (zone["lowmem_reserve"][highest] if reserve else 0)
    if zone["free"] - (1 << order) + less < needed + over:
        return False
    return not order or not blocks or any(zone["nr_free"][order : None if larger else order + 1])


def zone_by_zone(zonelist, highest, order):
    for zone in zonelist:
        for mark in ("low", "min"):
            if zone["idx"] <= highest and _has_room(zone, highest, order, mark):
                return [zone["node"], zone["name"], mark]
    return None


MISTAKES = {
    "no_reserve": lambda *args: _walk(*args, reserve=False),
    "free_is_enough": lambda *args: _walk(*args, blocks=False),
    "zone_by_zone": zone_by_zone,
    "at_the_mark": lambda *args: _walk(*args, over=0),
    "too_high": lambda *args: _walk(*args, skip=False),
}


def _highest_only(zonelist, highest, order):
    return _walk([zone for zone in zonelist if zone["idx"] == highest], highest, order)


#: Rules that are wrong, too: nearly all show in the visible cases.
TRAPS = [
    lambda *args: _walk(*args, less=0),
    lambda zonelist, highest, order: _walk(zonelist, highest, order, less=1 << order),
    lambda *args: _walk(*args, larger=False),
    _highest_only,
]


def _telling(rng, requests):
    """Two requests more, in which those of TRAPS show that do not show in these."""
    traps, told = TRAPS, []
    for found in [[request] for request in requests] + [None, None]:
        found = found or [_request(rng) for _ in range(_TRIES)]
        left = [[t for t in traps if t(*request) == _walk(*request)] for request in found]
        traps = min(left, key=len)
        told.append(found[left.index(traps)])
    return told


_TRIES = 24


def draw(rng):
    alone = _telling(rng, [_alone(rng, name) for name in MISTAKES])
    cases = [_case([request], number) for number, request in enumerate(alone, 1)]
    again = [_alone(rng, name) for name in rng.sample(list(MISTAKES), len(MISTAKES))]
    cases += [_case(again[:3]), _case(again[3:])]
    tables = [
        f"{case['name']}\n{_table(request[0])}" for case, request in zip(cases, alone, strict=False)
    ]
    return {"shown": "\n\n".join(tables), "cases": cases}


def _alone(rng, name):
    """A request of which this mistake makes another answer, and no other mistake does."""
    while True:
        request = _request(rng)
        right = _walk(*request)
        if MISTAKES[name](*request) == right:
            continue
        if all(walk(*request) == right for key, walk in MISTAKES.items() if key != name):
            return request


def _request(rng):
    order = rng.choice([0, 0, 1, 2, 3, 4, 5])
    highest = rng.choice([0, 1, 2, 2, 2])
    near, dma32, dma, far = rng.randrange(60_000, 900_000), 760_000, 3840, 1_500_000
    sizes = [(2, near, []), (1, dma32, [near]), (0, dma, [dma32, near])]
    low_zones = [_zone(rng, 0, *size, highest, order) for size in sizes]
    far = _zone(rng, 1, 2, far, [], highest, order)
    zonelist = [*low_zones, far] if rng.random() < 0.7 else [far, *low_zones]
    return [zonelist, highest, order]


def _zone(rng, node, idx, managed, above, highest, order):
    """A zone of which some pages more or less than enough are free."""
    reserve = [0] * (idx + 1) + [sum(above[: n + 1]) // 256 for n in range(len(above))]
    least = max(managed // 250, 8)
    low = least + max(least // 4, managed // 1000)
    mark = rng.choice([least, low, low]) + rng.choice([0, reserve[highest]])
    mark += (1 << order) - 1
    free = mark + rng.choice([-managed // 2000 - 3, -2, 0, 0, 1, 5, managed // 300])
    free = min(max(free, 0), managed)
    nr_free = _blocks(rng, free, rng.choice([order - 1, order + 1, 9]))
    return {
        "node": node, "name": ZONES[idx], "idx": idx, "free": free, "min": least, "low": low,
        "lowmem_reserve": reserve, "nr_free": nr_free,
    }  # fmt: skip


def _blocks(rng, free, largest):
    """How many blocks of each order these pages are in."""
    nr_free = [0] * ORDERS
    for order in range(max(largest, 0), 0, -1):
        nr_free[order] = rng.randrange((free >> order + 2) + 1)
        free -= nr_free[order] << order
    nr_free[0] = free
    if 1 < largest < 9 and nr_free[largest] and rng.random() < 0.5:
        # none of the order below: a larger block is there
        nr_free[0] += nr_free[largest - 1] << largest - 1
        nr_free[largest - 1] = 0
    return nr_free


def _case(requests, number=0):
    """A visible case has a number, and one request only."""
    told = [f"order {order}, up to {ZONES[highest]}" for _, highest, order in requests]
    return {
        "name": f"{number}: {told[0]}" if number else "; ".join(told),
        "script": [["call", "walk", request] for request in requests],
        "every": not number,
        "visible": bool(number),
        "group": "more zonelists",
        "hint": "All zones at low first, then all at min; more than mark and reserve; a block.",
    }


def _table(zonelist):
    lines = [f"{'node':>4} {'zone':7} {'free':>6} {'min':>6} {'low':>6}  lowmem_reserve, nr_free"]
    for zone in zonelist:
        numbers = f"{zone['free']:>6} {zone['min']:>6} {zone['low']:>6}"
        lists = f"{zone['lowmem_reserve']} {zone['nr_free']}"
        lines.append(f"{zone['node']:>4} {zone['name']:7} {numbers}  {lists}")
    return "\n".join(lines)
