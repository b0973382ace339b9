"""A map of pageblocks, and blocks that cannot be moved: where do they do least harm?"""

ORDERS = range(10)
PAGES = 512
#: Of an unmovable block in a pageblock that is wholly free, or has movable pages alone.
HARM_FREE, HARM_MOVABLE = 2, 1


def room(block, order):
    """How many blocks of that order the free blocks of a pageblock yield."""
    return sum(block["free"][n] << n - order for n in ORDERS if n >= order)


def harm(block):
    """What the first unmovable block in it costs."""
    if block["unmovable"]:
        return 0
    return HARM_MOVABLE if block["movable"] else HARM_FREE


def least_harm(given):
    """The least harm of any placement: for each harm, the most that can be placed."""
    most = [0] * (HARM_FREE * len(given["pageblocks"]) + 1)
    for block in given["pageblocks"]:
        cost, fits = harm(block), room(block, given["order"])
        for at in reversed(range(cost, len(most))):
            most[at] = max(most[at], most[at - cost] + fits)
    return next(at for at, fits in enumerate(most) if fits >= given["blocks"])


def _fill(given, key, rooms):
    """Pageblocks filled one after the other, those with the least key first."""
    placed, left = [0] * len(rooms), given["blocks"]
    for at in sorted(range(len(rooms)), key=lambda at: key(given["pageblocks"][at], rooms[at])):
        placed[at] = min(rooms[at], left)
        left -= placed[at]
    return placed


def most_free_first(given):
    return _fill(given, lambda block, fits: -fits, _rooms(given))


def by_type(given):
    def key(block, fits):
        return block["type"] != "Unmovable", -fits

    return _fill(given, key, _rooms(given))


def counts_pages(given):
    return _fill(given, lambda block, fits: (harm(block), -fits), _pages(given))


def _pages(given):
    """Free pages for each pageblock, in blocks of that order, however they lie."""
    return [sum(n << at for at, n in enumerate(block["free"])) >> given["order"]
            for block in given["pageblocks"]]  # fmt: skip


def greedy(given):
    return _fill(given, lambda block, fits: (harm(block), -fits), _rooms(given))


def _rooms(given):
    return [room(block, given["order"]) for block in given["pageblocks"]]


MISTAKES = {
    "most_free_first": most_free_first, "by_type": by_type, "counts_pages": counts_pages,
    "greedy": greedy,
}  # fmt: skip


def draw(rng):
    cases = [_case(rng, number) for number in range(4)]
    shown = "\n\n".join("\n".join(_text(case["args"][0])) for case in cases if case["visible"])
    return {"shown": shown, "cases": cases}


def _case(rng, number):
    given = _map(rng)
    while not _is_a_puzzle(given):
        given = _map(rng)
    return {
        "name": f"{given['blocks']} blocks of order {given['order']} in "
        f"{len(given['pageblocks'])} pageblocks",
        "call": "place", "args": [given], "visible": number < 2,
        "expected": given | {"least": least_harm(given)},
        "group": "another map", "hint": "A greedy choice is not always the best: try combinations.",
    }  # fmt: skip


def _is_a_puzzle(given):
    """None of the mistakes does well here, and there is room enough."""
    if sum(_rooms(given)) < given["blocks"] + 4:
        return False
    costs = [_cost(given, wrong(given)) for wrong in (most_free_first, by_type, greedy)]
    least = least_harm(given)
    over = zip(counts_pages(given), _rooms(given), _pages(given), strict=True)
    return least >= 3 and min(costs) > least and any(fits < n == pages for n, fits, pages in over)


def _cost(given, placed):
    return sum(harm(b) for b, n in zip(given["pageblocks"], placed, strict=True) if n)


def _map(rng):
    order = rng.randrange(2, 5)
    kinds = ["Unmovable", "Unmovable", "Movable poisoned", "free", "free"] + ["Movable"] * 6
    rng.shuffle(kinds)
    blocks = [_block(rng, kind) for kind in kinds]
    given = {"order": order, "pageblocks": blocks, "blocks": 0}
    costless = sum(room(b, order) for b in blocks if not harm(b))
    given["blocks"] = costless + (rng.randrange(520, 900) >> order)
    return given


def _block(rng, kind):
    if kind == "free":
        return {"type": "Movable", "movable": 0, "unmovable": 0, "free": [0] * 9 + [1]}
    most = 200 if kind != "Movable" else 360
    free, left = [0] * 10, rng.randrange(60, most)
    for order in (8, 7, 6, 5, 4, 3, 2, 1, 0):
        free[order] = rng.randrange(min(left >> order, 1 + (order < 5) * 6) + 1)
        left -= free[order] << order
    used = PAGES - sum(n << order for order, n in enumerate(free))
    unmovable = {"Unmovable": used, "Movable poisoned": rng.randrange(1, 4)}.get(kind, 0)
    return {"type": kind.split()[0], "movable": used - unmovable, "unmovable": unmovable,
            "free": free}  # fmt: skip


def _text(given):
    orders = " ".join(f"{order:>3}" for order in ORDERS)
    yield f"place {given['blocks']} blocks of order {given['order']}"
    yield ""
    yield f"{'':27} pages in use      free blocks of order"
    yield f"{'pageblock':>9} {'type':<12} {'movable':>9} {'unmovable':>9}    {orders}"
    for at, block in enumerate(given["pageblocks"]):
        free = " ".join(f"{n:>3}" for n in block["free"])
        head = f"{at:>9} {block['type']:<12} {block['movable']:>9} {block['unmovable']:>9}"
        yield f"{head}    {free}"
