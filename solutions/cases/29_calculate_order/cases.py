"""Sizes of objects on machines with few CPUs and many: which order do the slabs have?

What is right comes from memsim's own calculate_order().
"""

from functools import cache

from memsim.lib.bits import PAGE_SIZE, get_order
from memsim.mm.slub.sizes import calculate_order as RIGHT
from memsim.words.mmzone import MAX_PAGE_ORDER
from memsim.words.slab import SLUB_MAX_ORDER


def first_order_first(size, nr_cpus):
    """The loops the other way round: orders outside, fractions inside; 1/2 is all that counts."""
    return _mistaken(fractions=(2,))(size, nr_cpus)


def _no_minus_one(size, nr_cpus):
    order = RIGHT(size, nr_cpus)
    return get_order(size) if order < 0 else order


def _mistaken(
    log=False, cpus=True, least=False, clamped=True, strict=False, fractions=(16, 8, 4, 2)
):
    def calculate_order(size, nr_cpus):
        most = max((PAGE_SIZE << SLUB_MAX_ORDER) // size, 1)
        wanted = 4 * (nr_cpus.bit_length() + (not log)) if cpus else 1
        orders = range(get_order((min(wanted, most) if clamped else wanted) * size), 4)
        if least and orders:
            return min(orders, key=lambda order: (PAGE_SIZE << order) % size / (1 << order))
        for fraction in fractions:
            for order in orders:
                if (PAGE_SIZE << order) % size + strict <= (PAGE_SIZE << order) // fraction:
                    return order
        order = get_order(size)
        return order if order <= MAX_PAGE_ORDER else -1

    return calculate_order


MISTAKES = {
    "less_than": _mistaken(strict=True),
    "one_bit_less": _mistaken(log=True),
    "no_cpus": _mistaken(cpus=False),
    "least_waste": _mistaken(least=True),
    "never_clamped": _mistaken(clamped=False),
    "sixteenth_only": _mistaken(fractions=(16,)),
    "first_order_first": first_order_first,
    "no_minus_one": _no_minus_one,
}


@cache
def _telling(wrong, nr_cpus):
    """All sizes up to an order at which a mistake shows that seldom does."""
    sizes = range(64, 16_384, 16)
    return [size for size in sizes if wrong(size, nr_cpus) != RIGHT(size, nr_cpus)]


_no_half = _mistaken(fractions=(16, 8, 4))


def draw(rng):
    few, many = rng.choice([1, 2, 3]), rng.choice([16, 24, 64, 224])
    some = rng.choice([4, 6, 8, 12])
    told = [
        (_small(rng, few), few, ""),
        (_small(rng, many) + _large(rng, many), many, ""),
        ([*_large(rng, few), *_rare(rng, few)], few, ""),
        (_huge(rng), rng.choice([2, 4]), ""),
        (_small(rng, some) + _large(rng, some), some, "other machines"),
        (_small(rng, 128) + _large(rng, 128), 128, "other machines"),
        (_huge(rng), some, "larger than a slab of order 3"),
        (_huge(rng), 1, "larger than a slab of order 3"),
    ]
    return {"cases": [_case(*entry) for entry in told]}


_HINTS = {
    "other machines": "Compute min_objects and min_order by hand for one size.",
    "larger than a slab of order 3": "No order up to 3 holds one. Which one does; is there one?",
}


def _case(sizes, nr_cpus, group):
    cpus = "1 CPU" if nr_cpus == 1 else f"{nr_cpus} CPUs"
    return {
        "name": f"{cpus}, objects of {', '.join(map(str, sizes))} bytes",
        "script": [["call", "calculate_order", [size, nr_cpus]] for size in sizes],
        "every": True,
        "visible": not group,
        "group": group,
        "hint": _HINTS.get(group, ""),
    }


def _small(rng, nr_cpus):
    """Sizes at which the number of CPUs counts, and sizes at which waste does."""
    return [
        _told_apart(rng, nr_cpus, (64, 4096), wrong) for wrong in ("one_bit_less", "least_waste")
    ] + [_told_apart(rng, nr_cpus, (600, 4096), "no_cpus")]


def _large(rng, nr_cpus):
    """Sizes of which few fit into a slab."""
    return [
        _told_apart(rng, nr_cpus, (1500, 12_000), "never_clamped"),
        _told_apart(rng, nr_cpus, (1500, 16_000), "sixteenth_only"),
        rng.randrange(1500, 30_000) & ~7,
    ]


def _rare(rng, nr_cpus):
    told = [
        _telling(wrong, nr_cpus) for wrong in (first_order_first, MISTAKES["less_than"], _no_half)
    ]
    return [rng.choice(sizes) for sizes in told if sizes]


def _told_apart(rng, nr_cpus, sizes, wrong):
    """A size where that mistake shows, if one is soon found."""
    for _ in range(60):
        size = rng.randrange(*sizes) & ~7
        if MISTAKES[wrong](size, nr_cpus) != RIGHT(size, nr_cpus):
            break
    return size


def _huge(rng):
    sizes = [rng.randrange(33_000, 4 << 20) & ~7 for _ in range(2)]
    return [*sizes, 4 << 20, (4 << 20) + rng.choice([8, 4096]), 32_768, 32_776]
