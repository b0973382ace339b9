"""/proc/buddyinfo of a server with four nodes: free memory, largest block, requests that fit."""

from memsim.proc.buddyinfo import BuddyinfoZone, write_buddyinfo

ZONES = ((0, "DMA"), (0, "DMA32"), (0, "Normal"), (1, "Normal"), (2, "Normal"), (3, "Normal"))
#: These are handed out: the most telling rows.
VISIBLE = (1, 2, 4)


def RIGHT(given):
    return [_right(row, given["order"]) for row in given["rows"]]


def _right(row, order):
    zone = BuddyinfoZone(0, "", tuple(row))
    return [zone.free_pages // 256, _largest(row), _served(row, order)]


def _largest(row):
    return max(order for order, blocks in enumerate(row) if blocks)


def _served(row, order):
    return sum(blocks << j - order for j, blocks in enumerate(row) if j >= order)


def blocks_as_pages(given):
    return [[sum(row) // 256, *_right(row, given["order"])[1:]] for row in given["rows"]]


def own_column(given):
    order = given["order"]
    return [[*_right(row, order)[:2], row[order]] for row in given["rows"]]


def pages_divided(given):
    order = given["order"]
    pages = [sum(n << j for j, n in enumerate(row)) for row in given["rows"]]
    return [
        [*_right(row, order)[:2], n >> order] for row, n in zip(given["rows"], pages, strict=True)
    ]


MISTAKES = {
    "blocks_as_pages": blocks_as_pages,
    "own_column": own_column,
    "pages_divided": pages_divided,
}


def draw(rng):
    order = rng.randrange(2, 6)
    rows = [[0, 0, 0, 0, 0, 1, 1, rng.randrange(2), 0, 1, 3]]
    rows += [_row(rng, order) for _ in ZONES[1:]]
    zones = [BuddyinfoZone(*name, tuple(row)) for name, row in zip(ZONES, rows, strict=True)]
    cases = [
        {"name": f"Node {node}, zone {zone}", "pick": row, "visible": row in VISIBLE,
         "group": "rows", "hint": "Blocks or pages? And which columns serve the order?"}
        for row, (node, zone) in enumerate(ZONES)
    ]  # fmt: skip
    shown = f"{write_buddyinfo(zones)}\nrequests of order {order}: how many?"
    return {"shown": shown, "given": {"rows": rows, "order": order}, "cases": cases}


def _row(rng, order):
    """Many small blocks, few large ones, none above some order; the order has neighbours."""
    largest = rng.randrange(order + 1, 11)
    row = [rng.randrange(600, 9000) >> (2 * j if j < 5 else 8) for j in range(largest)]
    row += [rng.randrange(1, 40)] + [0] * (10 - largest)
    row[rng.randrange(1, order)] += 1 << order
    return row
