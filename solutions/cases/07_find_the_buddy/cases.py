"""Pieces of a page array in which blocks are freed: with which block may each of them merge?

What is right comes from memsim's own find_buddy_page_pfn().
"""

from collections import defaultdict
from types import SimpleNamespace

from memsim.mm.mmzone import PG_BUDDY, PG_INUSE
from memsim.mm.page_alloc.buddy import find_buddy_page_pfn

STATES = ("free", "used", "pcp")
#: What a case asks for, once each: why a block merges, or not.
ASKED = ("lower", "upper", "pcp", "smaller", "zone", "used")


def RIGHT(pfn, order, blocks):
    (zone,) = [zone for start, _, _, zone in blocks if start == pfn]
    inside = [row for row in blocks if row[3] == zone]
    states = {start: _byte(state, k) for start, k, state, _ in blocks}
    model = SimpleNamespace(
        zone_start_pfn=inside[0][0],
        zone_end_pfn=inside[-1][0] + (1 << inside[-1][1]),
        page_state=defaultdict(int, states),
    )
    found = find_buddy_page_pfn(model, pfn, order)
    return None if found < 0 else found


def _byte(state, order):
    """A page on a pcp list has no state of its own: it is not PageBuddy."""
    return {"free": PG_BUDDY | order, "used": PG_INUSE | order, "pcp": 0}[state]


def xor_only(pfn, order, blocks):
    return pfn ^ (1 << order)


def _if(pfn, order, blocks, states=("free",), same_order=True, same_zone=True, buddy=None):
    """The buddy, if it has what is looked at."""
    buddy = pfn ^ (1 << order) if buddy is None else buddy
    at = {row[0]: row for row in blocks}
    if buddy not in at or at[buddy][2] not in states:
        return None
    if same_order and at[buddy][1] != order:
        return None
    return None if same_zone and at[buddy][3] != at[pfn][3] else buddy


MISTAKES = {
    "xor_only": xor_only,
    "any_order": lambda *args: _if(*args, same_order=False),
    "pcp_is_free": lambda *args: _if(*args, states=("free", "pcp")),
    "any_zone": lambda *args: _if(*args, same_zone=False),
    "next_block": lambda pfn, order, blocks: _if(pfn, order, blocks, buddy=pfn + (1 << order)),
}


def draw(rng):
    cases = [_case(rng, n, pages) for n, pages in enumerate((32, 64, 128, 128))]
    tables = [f"{case['name']}\n{_table(blocks)}" for case, blocks in cases if case["visible"]]
    return {"shown": "\n\n".join(tables), "cases": [case for case, _ in cases]}


def _table(blocks):
    rows = [f"{pfn:>6} {order:>6}  {state:6} {zone}" for pfn, order, state, zone in blocks]
    return "\n".join([f"{'pfn':>6} {'order':>6}  {'state':6} zone", *rows])


def _case(rng, number, pages):
    blocks, asked = [], {}
    while asked.keys() != set(ASKED):
        blocks = _blocks(rng, pages)
        used = [row for row in blocks if row[2] == "used"]
        rng.shuffle(used)
        at = {row[0]: row for row in blocks}
        asked = {_why(pfn, order, at): (pfn, order) for pfn, order, _, _ in used}
        asked.pop("", None)
    freed = list(asked.values())
    rng.shuffle(freed)
    case = {
        "name": f"{number + 1}: freed, each by itself: {', '.join(str(pfn) for pfn, _ in freed)}",
        "script": [["call", "find_buddy", [pfn, order, blocks]] for pfn, order in freed],
        "every": True,
        "visible": number < 2,
        "group": "larger tables",
        "hint": "Free, the same order, the same zone: a block must be all three.",
    }
    return case, blocks


def _why(pfn, order, at):
    """Why this block merges or not; at: the blocks by their pfns."""
    _, k, state, zone = at.get(pfn ^ (1 << order), [0, -1, "", ""])
    if k != order:
        return "smaller" if state == "free" and zone == at[pfn][3] else ""
    if zone != at[pfn][3]:
        return "zone" if state == "free" else ""
    return state if state != "free" else "upper" if pfn & (1 << order) else "lower"


def _blocks(rng, pages):
    """A page array in which two nodes meet anywhere; free buddies of one zone are merged in it."""
    base = pages * rng.randrange(2, 60)
    near = rng.randrange(3)
    border = base + (2 * rng.randrange(pages // 8 >> near, 3 * pages // 8 >> near) + 1 << near)
    blocks = _split(rng, base, pages.bit_length() - 1, border, near)
    at = {row[0]: row for row in blocks}
    _set_states(rng, blocks, at)
    for row in blocks:
        if row[2] == "free" and _why(row[0], row[1], at) in ("upper", "lower"):
            row[2] = "used"
    return blocks


def _set_states(rng, blocks, at):
    """By chance, but some pairs of buddies are as a case needs them."""
    for row in blocks:
        row[2] = rng.choices(STATES, (4, 5, 2))[0]
    pairs = [(row, at.get(row[0] + (1 << row[1]))) for row in blocks if not row[0] >> row[1] & 1]
    pairs = [(a, b) for a, b in pairs if b and a[1] == b[1]]
    rng.shuffle(pairs)
    pairs.sort(key=lambda pair: pair[0][3] == pair[1][3])
    across = rng.choice([("free", "used"), ("used", "free")])
    wanted = [across, ("used", "free"), ("free", "used"), ("used", "pcp"), ("used", "used")]
    for (lower, upper), states in zip(pairs, wanted, strict=False):
        lower[2], upper[2] = states


def _split(rng, pfn, order, border, near):
    end = pfn + (1 << order)
    at_border = order == near and border in (pfn, end)
    if order > 3 or pfn < border < end or (order and not at_border and rng.random() < 0.55):
        lower = _split(rng, pfn, order - 1, border, near)
        return lower + _split(rng, pfn + (1 << (order - 1)), order - 1, border, near)
    return [[pfn, order, "", "node 0, Normal" if end <= border else "node 1, Normal"]]
