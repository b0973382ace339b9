"""Sizes that are asked of kmalloc(): what memsim's kmalloc_size_roundup() says, and the waste."""

from functools import cache

from memsim import Machine
from memsim.mm.kmalloc import kmalloc_size_roundup


@cache
def _state():
    return Machine("16 MiB", slab=True, steps=False).vm.slab


def RIGHT(given):
    return [_right(size) for size in given["sizes"]]


def _right(size):
    return _of(size, kmalloc_size_roundup(_state(), size))


def _of(size, taken):
    return [taken, taken - size]


def powers_only(given):
    return [_of(size, max(8, 1 << (size - 1).bit_length())) for size in given["sizes"]]


def whole_pages(given):
    return [
        _right(size) if size <= 8192 else _of(size, -(-size // 4096) * 4096)
        for size in given["sizes"]
    ]


def header(given):
    return [_of(size, kmalloc_size_roundup(_state(), size + 8)) for size in given["sizes"]]


MISTAKES = {"powers_only": powers_only, "whole_pages": whole_pages, "header": header}


def draw(rng):
    between = [rng.randrange(66, 89), rng.randrange(130, 185)]
    rng.shuffle(between)
    pages = rng.choice([3, 5, 6, 7, 9, 11, 13, 20, 25])
    sizes = [
        between[0],
        1 << rng.randrange(5, 13),
        pages * 4096 - rng.randrange(4000),
        between[1],
        rng.choice([rng.randrange(97, 129), rng.randrange(193, 250)]),
        rng.choice([3, 5, 6, 7, 12, 24]) * 4096,
        rng.randrange(1025, 8192),
        rng.randrange(1 << 20, 4 << 20),
    ]
    cases = [
        {"name": f"row {row + 1}, kmalloc({size})", "pick": row, "visible": row < 4,
         "group": "sizes", "hint": "Two classes are no powers of two; large ones are blocks."}
        for row, size in enumerate(sizes)
    ]  # fmt: skip
    shown = "\n".join(f"{n}. kmalloc({size:>8})" for n, size in enumerate(sizes, 1))
    return {"shown": shown, "given": {"sizes": sizes}, "cases": cases}
