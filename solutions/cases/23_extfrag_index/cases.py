"""Rows of buddyinfo, each with extfrag_index for every order. What is right comes from memsim."""

from memsim.mm.vmstat import _fragmentation_index, contig_page_info

ORDERS = 11


def RIGHT(nr_free, order):
    return _fragmentation_index(order, contig_page_info(nr_free, order))


def _index(nr_free, order, pages=None, suits=None):
    """What the mistakes have in common."""
    pages = sum(n << k for k, n in enumerate(nr_free)) if pages is None else pages
    suits = any(nr_free[order:]) if suits is None else suits
    if not any(nr_free):
        return 0
    return -1000 if suits else 1000 - (1000 + pages * 1000 // (1 << order)) // sum(nr_free)


def never_minus(nr_free, order):
    return _index(nr_free, order, suits=False)


def blocks_as_pages(nr_free, order):
    return _index(nr_free, order, pages=sum(nr_free))


def this_order_only(nr_free, order):
    return _index(nr_free, order, suits=bool(nr_free[order]))


def one_division(nr_free, order):
    exact = _index(nr_free, order)
    if not any(nr_free) or exact == -1000:
        return exact
    pages = sum(n << k for k, n in enumerate(nr_free))
    return int(1000 - (1000 + pages * 1000 / (1 << order)) / sum(nr_free))


def divides_first(nr_free, order):
    pages = sum(n << k for k, n in enumerate(nr_free))
    return _index(nr_free, order, pages=pages >> order << order)


MISTAKES = {
    "never_minus": never_minus,
    "blocks_as_pages": blocks_as_pages,
    "this_order_only": this_order_only,
    "one_division": one_division,
    "divides_first": divides_first,
}


def draw(rng):
    rows = [_row(rng, largest) for largest in (5, 3, 7, 6, 8)]
    while all(divides_first(rows[0], order) == RIGHT(rows[0], order) for order in range(ORDERS)):
        rows[0] = _row(rng, 5)
    none = [0] * ORDERS
    rows.insert(2, none)
    cases = [_case(n, f"nr_free {row}", [row]) for n, row in enumerate(rows)]
    few = [none, [1] + [0] * (ORDERS - 1), [0, 0, 1] + [0] * (ORDERS - 3)]
    cases.append(_case(len(rows), "no block is free, or a single one", few))
    shown = "\n".join(
        f"Node 0, zone {zone:>8} " + "".join(f"{blocks:6d} " for blocks in row)
        for zone, row in zip(("DMA32", "Normal", "Movable"), rows[:3], strict=True)
    )
    return {"shown": shown, "cases": cases}


def _row(rng, largest):
    """Many small blocks, few large ones, some orders with none, and none above the largest."""
    row = [0] * ORDERS
    for order in range(largest):
        row[order] = rng.choice([0, 1, 1]) * rng.randrange(1, 4000 >> (order + order // 2))
    row[largest] = rng.randrange(1, 5)
    row[largest - 1] = 0
    return row


def _case(number, name, rows):
    calls = [["call", "extfrag_index", [row, order]] for row in rows for order in range(ORDERS)]
    return {
        "name": name,
        "script": calls,
        "every": True,
        "visible": number < 3,
        "group": "other zones" if number < 6 else "hardly anything free",
        "hint": "Whole numbers only, divided twice." if number < 6 else "What if no block is free?",
    }
