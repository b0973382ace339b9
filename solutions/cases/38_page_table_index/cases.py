"""Addresses of x86-64: the index in each table, as memsim's page tables have it."""

from memsim.mm.pgtable import PGD, PMD, PTE, PUD, PageTables
from memsim.words.vmalloc import LAYOUT_64

#: Levels, what lies there, first address, and how many bits of it are drawn.
KINDS = (
    (4, "vmalloc's range", 0xFFFFC90000000000, 44), (4, "direct map", 0xFFFF888000000000, 43),
    (5, "direct map", 0xFF11000000000000, 52), (4, "a program's stack", 0x00007FFC00000000, 34),
    (4, "struct pages", 0xFFFFEA0000000000, 38), (5, "vmalloc's range", 0xFFA0000000000000, 51),
    (4, "the kernel's code", 0xFFFFFFFF80000000, 29),
    (5, "a program's heap", 0x0000555500000000, 37),
)  # fmt: skip
MASK = 511


def RIGHT(given):
    return [_indexes(*row) for row in given["rows"]]


def _indexes(levels, address):
    mm = PageTables(LAYOUT_64)
    p4d, pud, pmd, pte = (mm.index_of(address, level) for level in (PGD, PUD, PMD, PTE))
    # five levels are not modelled: the p4d takes the place of the pgd, which is nine bits further
    top = [p4d, 0] if levels == 4 else [address >> 48 & MASK, p4d]
    return [*top, pud, pmd, pte, address & 4095]


def sign_kept(given):
    shifts = [39 if levels == 4 else 48 for levels, _ in given["rows"]]
    found = zip(RIGHT(given), given["rows"], shifts, strict=True)
    return [[address >> shift, *row[1:]] for row, (_, address), shift in found]


def reversed_order(given):
    return [[*row[4::-1], row[5]] for row in RIGHT(given)]


def always_five(given):
    return [_indexes(5, address) for _, address in given["rows"]]


MISTAKES = {"sign_kept": sign_kept, "reversed": reversed_order, "always_five": always_five}


def draw(rng):
    drawn = [
        (levels, what, start + rng.randrange(1 << bits)) for levels, what, start, bits in KINDS
    ]
    rows = [[levels, address] for levels, _, address in drawn]
    cases = [
        {"name": f"row {row + 1}, {address:#x}, {levels} levels", "pick": row, "visible": row < 3,
         "group": "addresses", "hint": "Nine bits each, from bit 12 up; mind the number of levels."}
        for row, (levels, address) in enumerate(rows)
    ]  # fmt: skip
    lines = [
        f"{n}. {levels} levels   {address:#018x}   {what}"
        for n, (levels, what, address) in enumerate(drawn, 1)
    ]
    return {"shown": "\n".join(lines), "given": {"rows": rows}, "cases": cases}
