"""Caches by object_size, align, constructor and order: memsim's own calculate_sizes() answers."""

from functools import cache

from memsim import Machine
from memsim.mm.slub.sizes import calculate_sizes
from memsim.mm.slub.slab import KmemCache

CPUS = 4
#: align, constructor, and bytes at least and at most.
KINDS = (
    (64, 0, 600, 2000), (8, 1, 200, 1500), (32, 1, 300, 1800), (8, 0, 20, 250),
    (16, 0, 300, 3000), (64, 1, 70, 500), (8, 0, 1100, 3500), (128, 0, 100, 2500),
)  # fmt: skip


@cache
def _vm():
    return Machine("16 MiB", slab=True, steps=False).vm


def _cache(object_size, align, ctor):
    s = KmemCache(_vm(), "new", object_size, align, 0)
    s.ctor = bool(ctor)
    calculate_sizes(s, -1, CPUS)
    return s


def RIGHT(given):
    return [_right(*row) for row in given["rows"]]


def _right(object_size, align, ctor, order):
    s = _cache(object_size, align, ctor)
    return _answer(object_size, s.size, order)


def _answer(object_size, size, order):
    slab = 4096 << order
    return [size, slab // size, slab - slab // size * object_size]


def no_align(given):
    return [
        _answer(object_size, -(-object_size // 8) * 8 + 8 * ctor, order)
        for object_size, _, ctor, order in given["rows"]
    ]


def no_rounding(given):
    return [
        _answer(object_size, object_size + 8 * ctor, order)
        for object_size, _, ctor, order in given["rows"]
    ]


def end_only(given):
    rows = zip(given["rows"], RIGHT(given), strict=True)
    return [[size, n, (4096 << order) % size] for (*_, order), (size, n, _) in rows]


def pointer_not_waste(given):
    rows = zip(given["rows"], RIGHT(given), strict=True)
    return [[size, n, waste - 8 * ctor * n] for (_, _, ctor, _), (size, n, waste) in rows]


def one_page(given):
    return [_right(object_size, align, ctor, 0) for object_size, align, ctor, _ in given["rows"]]


def pointer_forgotten(given):
    return [_right(object_size, align, 0, order) for object_size, align, _, order in given["rows"]]


MISTAKES = {
    "no_align": no_align,
    "one_page": one_page,
    "pointer_forgotten": pointer_forgotten,
    "no_rounding": no_rounding,
    "end_only": end_only,
    "pointer_not_waste": pointer_not_waste,
}


def draw(rng):
    rows = [_row(rng, *kind) for kind in KINDS]
    cases = [
        {"name": f"row {row + 1}, {size} bytes, align {align}, {'ctor, ' * ctor}order {order}",
         "pick": row, "visible": row < 3,
         "group": "caches", "hint": "Round up; a constructor costs 8 bytes; 2^order pages."}
        for row, (size, align, ctor, order) in enumerate(rows)
    ]  # fmt: skip
    lines = ["    object_size  align  constructor  order"]
    lines += [
        f"{n}.  {size:11} {align:6} {'yes' if ctor else 'no':>12} {order:6}"
        for n, (size, align, ctor, order) in enumerate(rows, 1)
    ]
    return {"shown": "\n".join(lines), "given": {"rows": rows}, "cases": cases}


def _row(rng, align, ctor, least, most):
    """A size that is no multiple of align, where the free pointer costs bytes; and its order."""
    while True:
        object_size = rng.randrange(least, most)
        size = -(-object_size // 8) * 8
        if object_size % align and (not ctor or (size - 1) // align < (size + 7) // align):
            return [object_size, align, ctor, _cache(object_size, align, ctor).oo[0]]
