"""Free lists of 64 pages and a request: which page, and how many blocks of each order then?

What comes of a request is memsim's own answer.
"""

from functools import cache

from memsim import GFP_HIGHUSER_MOVABLE, Machine, PageAllocationFailure
from memsim.mm.mmzone import list_pages
from memsim.words.mmzone import MIGRATE_MOVABLE

LARGEST = 6
ROWS = 6


def upper_half(given):
    return [_by_hand(**row, upper=True) for row in given["rows"]]


def takes_largest(given):
    return [_by_hand(**row, largest=True) for row in given["rows"]]


def halves_forgotten(given):
    return [_by_hand(**row, back=False) for row in given["rows"]]


def both_free(given):
    return [_by_hand(**row, kept=1) for row in given["rows"]]


def lowest_pfn(given):
    return [
        _by_hand([sorted(pfns) for pfns in row["lists"]], row["order"]) for row in given["rows"]
    ]


MISTAKES = {
    "upper_half": upper_half,
    "takes_largest": takes_largest,
    "halves_forgotten": halves_forgotten,
    "both_free": both_free,
    "lowest_pfn": lowest_pfn,
}


def _by_hand(lists, order, upper=False, largest=False, back=True, kept=0):
    have = [high for high in range(order, len(lists)) if lists[high]]
    high = have[-1] if largest else have[0]
    nr_free = [len(pfns) for pfns in lists]
    nr_free[high] -= 1
    for left in range(order, high) if back else ():
        nr_free[left] += 1
    nr_free[order] += kept if high > order else 0
    pfn = lists[high][0]
    return [pfn + (1 << high) - (1 << order) if upper else pfn, nr_free]


@cache
def _machine():
    return Machine.of_pages(1 << LARGEST, steps=False)


def draw(rng):
    machine = _machine()
    held, rows, cases = [], [], []
    headed = rng.randrange(3)
    for row in range(ROWS):
        order = _shake(machine, rng, held, _is_headed if row == headed else TELLING[row < 3])
        rows.append({"lists": _lists(machine), "order": order})
        pfn = machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order)
        held.append(pfn)
        cases.append(
            {"name": f"row {row + 1}, order {order}", "pick": row, "visible": row < 3,
             "expected": [pfn, [len(pfns) for pfns in _lists(machine)]],
             "group": "requests", "hint": "The smallest that will do; each split puts a half back."}
        )  # fmt: skip
    for pfn in held:
        machine.free_pages(pfn)
    shown = "\n\n".join(_text(n, **row) for n, row in enumerate(rows, 1))
    return {"shown": shown, "given": {"rows": rows}, "cases": cases}


def _shake(machine, rng, held, telling):
    """Allocate and free until an order can be served that tells what it should."""
    for _ in range(2000):
        rng.shuffle(held)
        for pfn in held[rng.randrange(len(held) + 1) :]:
            machine.free_pages(pfn)
            held.remove(pfn)
        for _ in range(rng.randrange(4, 9)):
            _take(machine, rng, held)
        lists = _lists(machine)
        orders = [order for order in range(4) if telling(lists, order)]
        if orders:
            return rng.choice(orders)
    raise AssertionError("no such lists were found")


def _take(machine, rng, held):
    try:
        held.append(machine.alloc_pages(GFP_HIGHUSER_MOVABLE, rng.choice([0, 0, 1, 1, 2, 3])))
    except PageAllocationFailure:
        return


def _is_served(lists, order):
    return any(lists[order:])


def _is_split(lists, order):
    """It needs a split, and there is a choice of blocks to split."""
    return not lists[order] and sum(map(bool, lists[order:])) > 1


def _is_headed(lists, order):
    """The same, and the list to take from is not sorted: its head is not its lowest pfn."""
    chosen = next(filter(None, lists[order:]), [0])
    return _is_split(lists, order) and chosen[0] > min(chosen)


TELLING = (_is_served, _is_split)


def _lists(machine):
    zone = machine.zone()
    heads = [zone.free_area[order].free_list[MIGRATE_MOVABLE] for order in range(LARGEST + 1)]
    return [list_pages(zone, head) for head in heads]


def _text(number, lists, order):
    lines = [f"row {number}: a request of order {order}"]
    lines += [f"  order {n}: {' '.join(map(str, pfns)) or '-'}" for n, pfns in enumerate(lists)]
    return "\n".join(lines)
