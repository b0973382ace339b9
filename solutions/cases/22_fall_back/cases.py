"""Free lists in which a type has nothing left: claim or steal, and which block? memsim decides."""

from textwrap import fill

from memsim import Machine
from memsim.lib.list import INIT_LIST_HEAD
from memsim.mm.mmzone import PG_INUSE, PG_LRU
from memsim.mm.page_alloc.fallback import RMQUEUE_NORMAL, _rmqueue_from_fallbacks
from memsim.mm.page_alloc.free_list import _add_to_free_list
from memsim.trace.events import TP_MM_PAGE_ALLOC_EXTFRAG
from memsim.words.mmzone import NULL

TYPES = ["Unmovable", "Movable", "Reclaimable"]
FALLBACKS = {
    "Unmovable": ["Reclaimable", "Movable"],
    "Movable": ["Reclaimable", "Unmovable"],
    "Reclaimable": ["Unmovable", "Movable"],
}
ORDERS = 11
NR_BLOCKS = 4
MACHINE = Machine.of_pages(512 * NR_BLOCKS, steps=False)
ZONE = MACHINE.zone()
ZONE.deferred_pfn = ZONE.deferred_end
MACHINE.vm.trace.mask = TP_MM_PAGE_ALLOC_EXTFRAG


def RIGHT(free, pageblocks, start_type, order):
    _set_up(free, pageblocks)
    page, _ = _rmqueue_from_fallbacks(ZONE, order, TYPES.index(start_type), 0, RMQUEUE_NORMAL)
    if page == NULL:
        return None
    event = MACHINE.events(MACHINE.vm.trace.ring.written - 1)[-1].event
    fallback = TYPES[event.fallback_migratetype]
    how = "claim" if event.change_ownership else "steal"
    return [how, fallback, event.fallback_order, free[fallback][event.fallback_order][0]]


def _set_up(free, pageblocks):
    """The model's zone, with these blocks free and so many pages of each pageblock movable."""
    for area in ZONE.free_area:
        area.nr_free = 0
        for head in area.free_list:
            INIT_LIST_HEAD(ZONE.next, ZONE.prev, head)
    for number, told in enumerate(pageblocks):
        ZONE.pageblock[number] = TYPES.index(told["type"])
    ZONE.page_state[:] = bytes([PG_LRU | PG_INUSE]) * len(ZONE.page_state)
    blocks = [(pfn, k, TYPES.index(name)) for name, lists in free.items()
              for k, pfns in enumerate(lists) for pfn in pfns]  # fmt: skip
    for pfn, order, migratetype in blocks:
        ZONE.page_state[pfn : pfn + (1 << order)] = bytes(1 << order)
        _add_to_free_list(ZONE, pfn, order, migratetype, True)
    for number, told in enumerate(pageblocks):
        _pin(range(512 * number, 512 * number + 512), 512 - told["free"] - told["movable"])


def _pin(pages, nr_pages):
    """So many pages of a pageblock that are in use cannot be moved: the first ones."""
    for page in pages:
        if nr_pages and ZONE.page_state[page] == PG_LRU | PG_INUSE:
            ZONE.page_state[page] = PG_INUSE
            nr_pages -= 1


def _alike(told, name, start_type):
    if start_type == "Movable":
        return told["movable"]
    return 512 - told["free"] - told["movable"] if name == "Movable" else 0


def _answer(free, pageblocks, start_type, order, small=4, up=False, check=True, alike=_alike,
            largest=False, least=None, who=("Movable",)):  # fmt: skip
    """A right answer, and what the mistakes change of it."""
    claims = range(order, ORDERS) if up else range(ORDERS - 1, order - 1, -1)
    if least is not None:
        claims = range(ORDERS - 1, least - 1, -1)
    for current in claims:
        name = _fallback(free, start_type, current)
        if name and start_type in who and current < small:
            break
        if name:
            pfn = free[name][current][0]
            told = pageblocks[pfn >> 9]
            if current >= 9 or not check or told["free"] + alike(told, name, start_type) >= 256:
                return ["claim", name, current, pfn]
    for current in range(ORDERS - 1, order - 1, -1) if largest else range(order, ORDERS):
        name = _fallback(free, start_type, current)
        if name:
            return ["steal", name, current, free[name][current][0]]
    return None


def _fallback(free, start_type, order):
    return next((name for name in FALLBACKS[start_type] if free[name][order]), None)


MISTAKES = {
    "always_claims": lambda *args: _answer(*args, check=False),
    "free_only": lambda *args: _answer(*args, alike=lambda *_: 0),
    "claims_smallest": lambda *args: _answer(*args, up=True),
    "steals_largest": lambda *args: _answer(*args, largest=True),
    "movable_claims_all": lambda *args: _answer(*args, small=0),
}


def _sorted(free, *others, key):
    """The answer if each list had another block as its head."""
    lists = {name: [sorted(p, key=key(p)) for p in free[name]] for name in TYPES}
    return _answer(lists, *others)


def _swapped(free, pageblocks, start_type, order):
    """The answer if the second type came first."""
    first, second = FALLBACKS[start_type]
    told = _answer(
        {**free, first: free[second], second: free[first]}, *(pageblocks, start_type, order)
    )
    return told and [told[0], second if told[1] == first else first, *told[2:]]


def _not_movable(told, name, start_type):
    return told["movable"] if start_type == "Movable" else 512 - told["free"] - told["movable"]


#: Rules that are wrong, too: nearly all show in the visible cases.
TRAPS = [
    lambda *args: _sorted(*args, key=lambda pfns: lambda pfn: -pfns.index(pfn)),
    lambda *args: _sorted(*args, key=lambda pfns: None),
    _swapped,
    lambda *args: _answer(*args, alike=_not_movable),
    lambda *args: _answer(*args, alike=lambda told, *_: told["movable"]),
    lambda *args: _answer(*args, small=ORDERS),
    lambda *args: _answer(*args, small=3),
    lambda *args: _answer(*args, who=TYPES),
    lambda *args: _answer(*args, least=0),
]


def _telling(rng, requests):
    """Two requests more, in which those of TRAPS show that do not show in these."""
    traps, told = TRAPS, []
    for found in [[request] for request in requests] + [None, None]:
        found = found or [_request(rng, rng.choice(TYPES)) for _ in range(_TRIES)]
        left = [[t for t in traps if t(*request) == _answer(*request)] for request in found]
        traps = min(left, key=len)
        told.append(found[left.index(traps)])
    return told


_TRIES = 16


def draw(rng):
    alone = _telling(rng, [_alone(rng, name) for name in MISTAKES])
    cases = [_case([request], number) for number, request in enumerate(alone, 1)]
    again = [_alone(rng, name) for name in rng.sample(list(MISTAKES), len(MISTAKES))]
    edges = [_request(rng, rng.choice(TYPES), at_hand=k) for k in (9, 10, -1)]
    cases += [_case(again[:3]), _case(again[3:]), _case(edges)]
    tables = [
        f"{case['name']}\n{_table(request)}" for case, request in zip(cases, alone, strict=False)
    ]
    return {"shown": "\n\n".join(tables), "cases": cases}


def _alone(rng, name):
    """A request to which this mistake gives another answer, and no other mistake does."""
    while True:
        start = "Movable" if name == "movable_claims_all" else rng.choice(TYPES)
        request = _request(rng, start)
        right = _answer(*request)
        if MISTAKES[name](*request) == right:
            continue
        if all(kind(*request) == right for key, kind in MISTAKES.items() if key != name):
            return request


def _request(rng, start_type, at_hand=8):
    """at_hand 9 or 10: the last block of that order is free; -1: nothing is."""
    free = {name: [[] for _ in range(ORDERS)] for name in TYPES}
    pageblocks = []
    for number in range(NR_BLOCKS):
        name = rng.choice(FALLBACKS[start_type])
        largest = rng.choice([2, 3, 5, 7, 8, 8] if start_type != "Movable" else [2, 3, 3, 6, 8])
        if at_hand == 10 and number == 3:
            name = pageblocks[2]["type"]
        if at_hand > 8 and number >= (3 if at_hand == 9 else 2):
            nr_free = 512
        else:
            nr_free = _fill(rng, free[name], 512 * number, largest) if at_hand >= 0 else 0
        movable = rng.choice([0, 512 - nr_free, rng.randrange(512 - nr_free + 1)])
        pageblocks.append({"type": name, "free": nr_free, "movable": movable})
    if at_hand > 8:
        free[name][at_hand] = [512 * NR_BLOCKS - (1 << at_hand)]
    for pfns in [pfns for lists in free.values() for pfns in lists if len(pfns) > 1]:
        rng.shuffle(pfns)
    return [free, pageblocks, start_type, rng.choice([0, 0, 1, 2, 3])]


def _fill(rng, lists, start, largest):
    """Free blocks in one pageblock, no two of them buddies; returns their pages."""
    pfn = nr_free = 0
    for _ in range(rng.randrange(4)):
        order = rng.randrange(largest + 1)
        pfn = -(-pfn >> order) << order
        if pfn + (1 << order) <= 512 and start + pfn ^ (1 << order) not in lists[order]:
            lists[order].append(start + pfn)
            nr_free += 1 << order
        pfn += (1 << order) + rng.randrange(1, 40)
    return nr_free


def _case(requests, number=0):
    """A visible case has a number, and one request only."""
    told = [f"{start} request, order {order}" for _, _, start, order in requests]
    return {
        "name": f"{number}: {told[0]}" if number else "; ".join(told),
        "script": [["call", "fall_back", request] for request in requests],
        "every": not number,
        "visible": bool(number),
        "group": "more free lists",
        "hint": "Claim from the largest order down; then steal from the smallest up.",
    }


def _table(request):
    free, pageblocks, _, _ = request
    lines = []
    for name in TYPES:
        told = [f"order {k}: {pfns}" for k, pfns in enumerate(free[name]) if pfns]
        listed = f"free {name}: {', '.join(told) or 'nothing'}"
        lines.append(fill(listed, 96, subsequent_indent="  "))
    for number, told in enumerate(pageblocks):
        counts = f"{told['free']} free, {told['movable']} movable"
        lines.append(f"pageblock {number}: {told['type']}, {counts}")
    return "\n".join(lines)
