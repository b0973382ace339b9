"""Requests that reclaimed in vain; memsim's _zone_watermark_ok() says which zone would do."""

from types import SimpleNamespace

from memsim.mm.page_alloc.watermark import _zone_watermark_ok
from memsim.words.mmzone import (
    MAX_RECLAIM_RETRIES,
    MIGRATE_HIGHATOMIC,
    NR_PAGE_ORDERS,
    PAGE_ALLOC_COSTLY_ORDER,
)

TYPES = MIGRATE_HIGHATOMIC + 1
NAMES = ("DMA", "DMA32", "Normal")


class _Zone:
    """A zone as the model wants it: a list is its head alone, or head and something."""

    def __init__(self, zone):
        self.vm = SimpleNamespace(MIGRATE_CMA=-1)
        self.nr_free_highatomic, self.lowmem_reserve = 0, zone["lowmem_reserve"]
        self.next, self.free_area = [], []
        for nr in zone["nr_free"]:
            heads = list(range(len(self.next), len(self.next) + TYPES))
            self.next += [-1 if nr else heads[0], *heads[1:]]
            self.free_area.append(SimpleNamespace(nr_free=nr, free_list=heads))


def RIGHT(request, zones):
    loops = _loops(request)
    ok = loops <= MAX_RECLAIM_RETRIES and any(_could_do(request, zone) for zone in zones)
    return [ok, loops]


def _loops(request):
    if request["progress"] and request["order"] <= PAGE_ALLOC_COSTLY_ORDER:
        return 0
    return request["loops"] + 1


def _could_do(request, zone):
    available = zone["free"] + zone["reclaimable"]
    return _zone_watermark_ok(
        _Zone(zone), request["order"], zone["min"], request["highest_zoneidx"], 0, available
    )


def _mistaken(
    limit=16, costly=3, reclaimable=True, reserve=True, at_the_mark=False, block=True,
    exact=False, zones_asked=99, whole=0,
):  # fmt: skip
    """The decision with one of its parts spoilt."""

    def another_round(request, zones):
        order = request["order"]
        loops = 0 if request["progress"] and order <= costly else request["loops"] + 1
        if loops > limit:
            return [False, loops]
        for zone in zones[:zones_asked]:
            available = zone["free"] - (1 << order) + 1 - whole
            available += zone["reclaimable"] if reclaimable else 0
            needed = zone["min"] - at_the_mark
            needed += zone["lowmem_reserve"][request["highest_zoneidx"]] if reserve else 0
            blocks = zone["nr_free"][order : order + 1 if exact else NR_PAGE_ORDERS]
            if available > needed and (not order or not block or any(blocks)):
                return [True, loops]
        return [False, loops]

    return another_round


MISTAKES = {
    "progress_resets": _mistaken(costly=99), "late_limit": _mistaken(limit=17),
    "early_limit": _mistaken(limit=15), "free_only": _mistaken(reclaimable=False),
    "no_reserve": _mistaken(reserve=False),
    "at_the_mark": _mistaken(at_the_mark=True), "no_block": _mistaken(block=False),
    "exact_block": _mistaken(exact=True), "first_zone": _mistaken(zones_asked=1),
    "whole_block": _mistaken(whole=1),
}  # fmt: skip
#: How each mistake is told from all that are right.
TOLD = {
    "progress_resets": "progress with a costly order", "late_limit": "the 17th round",
    "early_limit": "the 16th round",
    "free_only": "little is free, much can be", "no_reserve": "a reserve is kept",
    "at_the_mark": "exactly the mark", "no_block": "no block of the order",
    "exact_block": "a larger block", "first_zone": "the second zone",
    "whole_block": "one page makes the difference",
}  # fmt: skip
#: Rounds before the last that is allowed, and before the first that is not.
LAST_ROUNDS = {"early_limit": 15, "late_limit": 16}


def draw(rng):
    cases = []
    for wrong in MISTAKES:
        for visible in (True, False):
            request, zones = _telling(rng, wrong)
            cases.append({
                "name": TOLD[wrong] + ("" if visible else ", another"),
                "call": "another_round", "args": [request, zones], "visible": visible,
                "group": "" if visible else TOLD[wrong],
                "hint": "" if visible else "The count, the limit, then each zone with all freed.",
            })  # fmt: skip
    shown = "\n".join(_shown(case) for case in cases if case["visible"])
    return {"shown": shown, "cases": cases}


def _shown(case):
    request, zones = case["args"]
    told = "; ".join(
        f"free {z['free']} + {z['reclaimable']} reclaimable, min {z['min']}, reserve "
        f"{z['lowmem_reserve'][request['highest_zoneidx']]}, blocks that large "
        f"{sum(z['nr_free'][request['order']:])}" for z in zones
    )  # fmt: skip
    return (
        f"{case['name']}: order {request['order']}, progress {request['progress']}, loops "
        f"{request['loops']}; {told}"
    )


def _telling(rng, wrong):
    """A request that this mistake gets wrong, and no other one in the same way, if it may be."""
    for _ in range(4000):
        request, zones = _request(rng, wrong)
        right = RIGHT(request, zones)
        answer = MISTAKES[wrong](request, zones)
        others = [one(request, zones) for name, one in MISTAKES.items() if name != wrong]
        if answer != right and all(other == right for other in others):
            return request, zones
    raise AssertionError(wrong)


def _request(rng, wrong):
    order = rng.choice([0, 0, 1, 2, 3, 4, 5])
    if wrong in ("no_block", "exact_block"):
        order = rng.choice([1, 2, 3, 4])
    if wrong == "progress_resets":
        order = rng.choice([4, 5, 6])
    loops = LAST_ROUNDS.get(wrong, rng.randrange(0, 12))
    progress = rng.choice([0, rng.randrange(1, 90)])
    if wrong in LAST_ROUNDS:
        progress = 0
    if wrong == "progress_resets":
        progress = rng.randrange(1, 90)
    request = {"order": order, "progress": progress, "loops": loops, "highest_zoneidx": 2}
    return request, [_zone(rng, order, index, wrong) for index in (2, 1)]


def _zone(rng, order, index, wrong):
    reserve = [0, 0, 0] if index == 2 else [0, 0, rng.randrange(40, 300)]
    low = rng.randrange(60, 400)
    edge = {"at_the_mark": 0, "whole_block": 1}.get(wrong)
    over = rng.choice([-30, -1, 5, 40]) if edge is None else rng.choice([edge, edge, -20])
    available = low + reserve[2] + (1 << order) - 1 + over
    free = rng.randrange(0, available + 1)
    blocks = [rng.choice([0, 0, 1, 3]) for _ in range(NR_PAGE_ORDERS)]
    if rng.random() < 0.5:
        blocks[order:] = [0] * (NR_PAGE_ORDERS - order)
        blocks[rng.randrange(order, NR_PAGE_ORDERS)] += rng.choice([0, 1])
    return {
        "name": NAMES[index], "free": free, "reclaimable": available - free, "min": low,
        "lowmem_reserve": reserve, "nr_free": blocks,
    }  # fmt: skip
