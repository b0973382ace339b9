"""A page by its address, its pfn or its struct page: the other two, and its zone."""

from memsim.lib.pfn import PFN_PHYS, PHYS_PFN
from memsim.trace.events import page_pointer
from memsim.words.arch import X86_64
from memsim.words.mmzone import SIZEOF_STRUCT_PAGE, VMEMMAP_START

#: (what is told, what is asked), the visible ones first.
ROWS = (
    ("physical address", "struct page"), ("struct page", "physical address"), ("pfn", "zone"),
    ("struct page", "zone"), ("pfn", "struct page"), ("physical address", "pfn"),
    ("physical address", "zone"), ("struct page", "pfn"),
)  # fmt: skip


def RIGHT(given):
    return [_asked(_pfn(told, value), asked) for told, value, asked in given["rows"]]


def _pfn(told, value):
    if told == "physical address":
        return PHYS_PFN(value)
    return value if told == "pfn" else (value - VMEMMAP_START) // SIZEOF_STRUCT_PAGE


def _asked(pfn, asked):
    return {
        "pfn": pfn,
        "physical address": PFN_PHYS(pfn),
        "struct page": int(page_pointer(pfn), 16),
        "zone": _zone(pfn),
    }[asked]


def _zone(pfn):
    borders = zip(X86_64.zone_names, X86_64.max_zone_pfns, strict=False)
    return next(name for name, end in borders if pfn < end)


def bytes_not_structs(given):
    found = []
    for told, value, asked in given["rows"]:
        pfn = value - VMEMMAP_START if told == "struct page" else _pfn(told, value)
        found.append(VMEMMAP_START + pfn if asked == "struct page" else _asked(pfn, asked))
    return found


def pfn_as_address(given):
    return [
        _zone(PHYS_PFN(_pfn(told, value))) if asked == "zone" else _asked(_pfn(told, value), asked)
        for told, value, asked in given["rows"]
    ]


def offset_kept(given):
    found = RIGHT(given)
    for row, (told, value, asked) in enumerate(given["rows"]):
        if told == "physical address" and asked == "struct page":
            found[row] = VMEMMAP_START + (value >> 6)
    return found


MISTAKES = {
    "bytes_not_structs": bytes_not_structs,
    "pfn_as_address": pfn_as_address,
    "offset_kept": offset_kept,
}


def draw(rng):
    rows = [[told, _value(rng, told, asked), asked] for told, asked in ROWS]
    cases = [
        {"name": f"row {row + 1}, {asked} of {told} {value:#x}", "pick": row, "visible": row < 3,
         "group": "pages of 16 GiB", "hint": "Go by way of the pfn; look at the units of a border."}
        for row, (told, value, asked) in enumerate(rows)
    ]  # fmt: skip
    lines = [
        f"{n}. {told:>16} {value:#20x}   {asked}?" for n, (told, value, asked) in enumerate(rows, 1)
    ]
    return {"shown": "\n".join(lines), "given": {"rows": rows}, "cases": cases}


def _value(rng, told, asked):
    """A page anywhere in 16 GiB; where the zone is asked, also low, but never in DMA if visible."""
    border = rng.choice([0x100000, 0x400000]) if asked == "zone" else 0x400000
    first = 0x1000 if (told, asked) != ("struct page", "zone") else 0x10
    if first == 0x10:
        border = rng.choice([0x1000, 0x100000, 0x400000])
    pfn = rng.randrange(first, border)
    if told == "physical address":
        return PFN_PHYS(pfn) + rng.randrange(64, 4096)
    return pfn if told == "pfn" else int(page_pointer(pfn), 16)
