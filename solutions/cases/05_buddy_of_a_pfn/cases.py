"""Blocks anywhere in 16 GiB: where is the buddy, and where does the merged block begin?"""


def RIGHT(given):
    pairs = [(pfn, pfn ^ (1 << order)) for pfn, order in given["blocks"]]
    return [[buddy, min(pfn, buddy)] for pfn, buddy in pairs]


def next_block(given):
    return [[pfn + (1 << order), pfn] for pfn, order in given["blocks"]]


def order_as_pages(given):
    return [[pfn ^ order, min(pfn, pfn ^ order)] for pfn, order in given["blocks"]]


def never_lower(given):
    return [[pfn ^ (1 << order), pfn] for pfn, order in given["blocks"]]


MISTAKES = {
    "next_block": next_block,
    "order_as_pages": order_as_pages,
    "never_lower": never_lower,
}


def draw(rng):
    blocks = [_block(rng, row % 2 == 1, order) for row, order in enumerate(_orders(rng))]
    rows = [f"{n}. {pfn:>8} {order:>6}" for n, (pfn, order) in enumerate(blocks, 1)]
    cases = [
        {"name": f"row {row + 1}, pfn {pfn}, order {order}", "pick": row, "visible": row < 3,
         "group": "one bit", "hint": "Flip one bit, 1 << order; the merged block begins lower."}
        for row, (pfn, order) in enumerate(blocks)
    ]  # fmt: skip
    shown = "\n".join([f"   {'pfn':>8} {'order':>6}", *rows])
    return {"shown": shown, "given": {"blocks": blocks}, "cases": cases}


def _orders(rng):
    return [rng.randrange(2, 5), rng.randrange(3, 6), 0, *(rng.randrange(1, 10) for _ in range(5))]


def _block(rng, upper, order):
    """A block that is the upper or the lower one of its pair."""
    pair = rng.randrange(1 << 22 - order - 1) if order > 4 else rng.randrange(1, 60)
    return [(2 * pair + upper) << order, order]
