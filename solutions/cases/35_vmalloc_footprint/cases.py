"""Areas of vmalloc's range, as calls and as lines of /proc/vmallocinfo: what does each take?"""

from memsim.mm.pgtable import PMD, PMD_SIZE, PageTables
from memsim.proc.vmallocinfo import VmallocinfoArea, write_vmallocinfo
from memsim.words.vmalloc import LAYOUT_64, VMALLOC_START

PAGE = 4096
#: Who asks for up to so many pages; symbols without the offset that a kernel prints behind them.
CALLERS = ((40, "pcpu_create_chunk"), (1 << 20, "kernel_read_file"))
MAPPER = "nvme_remap_bar"


def RIGHT(given):
    return [_takes(*row) for row in given["rows"]]


def _takes(what, address, size):
    """`size`: of a call what is asked for, of a line all its addresses."""
    pages = -(-size // PAGE) if what == "call" else size // PAGE - 1
    tables = PageTables(LAYOUT_64).parts(address, address + pages * PAGE, PMD)
    memory = 0 if what == "ioremap" else pages
    return [memory, (pages + 1) * PAGE, len(list(tables))]


def no_guard(given):
    return [[memory, addresses - PAGE, tables] for memory, addresses, tables in RIGHT(given)]


def guard_is_memory(given):
    return [
        [addresses // PAGE if memory else 0, addresses, tables]
        for memory, addresses, tables in RIGHT(given)
    ]


def tables_by_size(given):
    return [
        [memory, addresses, -(-(addresses - PAGE) // PMD_SIZE)]
        for memory, addresses, tables in RIGHT(given)
    ]


def guard_mapped(given):
    rows = zip(given["rows"], RIGHT(given), strict=True)
    return [
        [memory, addresses, _takes("call", address, addresses)[2]]
        for (_, address, _), (memory, addresses, _) in rows
    ]


def device_is_memory(given):
    return [[addresses // PAGE - 1, addresses, tables] for _, addresses, tables in RIGHT(given)]


MISTAKES = {
    "no_guard": no_guard,
    "guard_is_memory": guard_is_memory,
    "tables_by_size": tables_by_size,
    "guard_mapped": guard_mapped,
    "device_is_memory": device_is_memory,
}


def draw(rng):
    rows = [
        _up_to_border(rng),
        _ioremap(rng),
        ["vmalloc", _before_border(rng, 3), _few_more(rng) * PAGE],
        ["call", _before_border(rng, rng.randrange(1, 6)), rng.randrange(7, 40) * PAGE - 1],
        ["call", _anywhere(rng), rng.randrange(5, PAGE)],
        ["call", _anywhere(rng), rng.randrange(3 << 20, 24 << 20)],
        ["vmalloc", _anywhere(rng), rng.randrange(520, 3000) * PAGE],
        ["vmalloc", _before_border(rng, 2), rng.randrange(5, 500) * PAGE],
    ]
    cases = [
        {"name": f"row {row + 1}, {what} at {address:#x}", "pick": row, "visible": row < 3,
         "group": "areas", "hint": "Whose memory is it? Where does a piece of 2 MiB begin?"}
        for row, (what, address, _) in enumerate(rows)
    ]  # fmt: skip
    shown = "\n".join(f"{n}. {_text(rng, *row)}" for n, row in enumerate(rows, 1))
    return {"shown": shown, "given": {"rows": rows}, "cases": cases}


def _anywhere(rng):
    return VMALLOC_START + rng.randrange(1 << 24) * PAGE


def _before_border(rng, pages):
    """So many pages before a multiple of 2 MiB."""
    return VMALLOC_START + rng.randrange(1, 1 << 15) * PMD_SIZE - pages * PAGE


def _up_to_border(rng):
    """An area whose guard page alone lies beyond the border."""
    pages = rng.randrange(2, 40)
    return ["call", _before_border(rng, pages), pages * PAGE - rng.randrange(1, PAGE)]


def _few_more(rng):
    """Pages, and the guard page, that lie in one table more than their number tells."""
    return rng.randrange(1, 5) * 512 + rng.randrange(10, 500)


def _ioremap(rng):
    """It begins at a multiple of its size, as the kernel aligns such areas."""
    pages = 1 << rng.randrange(1, 8)
    return ["ioremap", _anywhere(rng) // (pages * PAGE) * pages * PAGE, (pages + 1) * PAGE]


def _text(rng, what, address, size):
    if what == "call":
        return f"vmalloc({size}) returned {address:#x}"
    pages = size // PAGE - 1
    caller = next(name for most, name in CALLERS if pages <= most)
    told = {"caller": caller, "pages": pages, "words": ("vmalloc",)}
    if what == "ioremap":
        phys = 0xFE000000 + rng.randrange(64) * pages * PAGE
        told = {"caller": MAPPER, "phys": phys, "words": ("ioremap",)}
    return write_vmallocinfo([VmallocinfoArea(address, address + size, size, **told)]).rstrip()
