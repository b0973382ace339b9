"""Requests of programs and of the kernel, short and long: which list serves each of them?"""

PAGES = 12 * 512
#: who asks, order, movable, lives for so many requests (0: for good), of 100 requests
_KINDS = [
    ("a program's pages", (4, 5), True, (20, 50), 16),
    ("a file's pages", (5, 6), True, (0, 0), 18),
    ("packets on their way", (5, 6), False, (45, 90), 42),
    ("a module's tables", (2, 3, 4), False, (0, 0), 24),
]


def RIGHT(given):
    return [_list_for(request) for request in given["requests"]]


def _list_for(request):
    if request["movable"]:
        return "Movable"
    return "Reclaimable" if request["lives"] else "Unmovable"


def all_alike(given):
    return ["Unmovable"] * len(given["requests"])


def by_movability(given):
    return ["Movable" if r["movable"] else "Unmovable" for r in given["requests"]]


def by_lifetime(given):
    return ["Movable" if r["lives"] else "Unmovable" for r in given["requests"]]


MISTAKES = {"all_alike": all_alike, "by_movability": by_movability, "by_lifetime": by_lifetime}


def draw(rng):
    cases = [_case(rng, visible=number == 0) for number in range(2)]
    return {"shown": _text(cases[0]["args"][0]["requests"]), "cases": cases}


def _case(rng, visible):
    requests = [_request(rng) for _ in range(rng.randrange(100, 116))]
    for_good = sum(1 << r["order"] for r in requests if not r["movable"] and not r["lives"])
    given = {"pages": PAGES, "requests": requests}
    return {
        "name": f"{len(requests)} requests, {PAGES} pages", "call": "choose", "args": [given],
        "expected": given | {"least": -(-for_good // 512)}, "visible": visible,
        "group": "another day", "hint": "Choose by what a request says of itself.",
    }  # fmt: skip


def _request(rng):
    (kind,) = rng.choices(_KINDS, [kind[-1] for kind in _KINDS])
    who, orders, movable, (least, most), _ = kind
    lives = rng.randrange(least, most + 1)
    return {"who": who, "order": rng.choice(orders), "movable": movable, "lives": lives}


def _text(requests):
    lines = [
        f"{PAGES} pages, {PAGES // 512} pageblocks; {len(requests)} requests, the first 16:",
        f"{'':>3} {'who':<22} {'order':>5} {'movable':>8} {'lives':>6}",
    ]
    for number, r in enumerate(requests[:16]):
        lives = r["lives"] or "-"
        lines.append(f"{number:>3} {r['who']:<22} {r['order']:>5} {r['movable']!s:>8} {lives:>6}")
    return "\n".join(lines)
