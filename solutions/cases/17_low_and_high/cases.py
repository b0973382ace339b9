"""Zones with their min, and a scale factor: low and high, as the model sets them up."""

from functools import cache

from memsim import Machine
from memsim.mm.page_alloc.setup import setup_per_zone_wmarks
from memsim.words.mmzone import PAGE_SIZE, WMARK_HIGH, WMARK_LOW

#: Zone, MiB at least and at most, and which of the two decides.
KINDS = (
    ("Normal", 4096, 60_000, "share"), ("DMA32", 400, 3000, "quarter"),
    ("Normal", 8192, 200_000, "large factor"), ("DMA", 15, 16, "quarter"),
    ("Normal", 1024, 9000, "quarter"), ("DMA32", 1500, 3000, "share"),
    ("DMA32", 500, 3000, "large factor"), ("Normal", 900, 30_000, "near"),
)  # fmt: skip

#: How many times the zone's share min is: above 4 its quarter decides.
TIMES = {"share": (0.3, 3.5), "quarter": (4.5, 40), "large factor": (0.03, 0.4), "near": (3, 5)}


@cache
def _machine():
    return Machine.of_pages(64, steps=False)


def RIGHT(given):
    return [_marks(*row[1:]) for row in given["rows"]]


def _marks(managed, minimum, factor):
    """One zone alone: all of min_free_kbytes is its own."""
    vm = _machine().vm
    zone = _machine().zone()
    zone.managed_pages = managed
    vm.min_free_kbytes, vm.watermark_scale_factor = minimum * PAGE_SIZE >> 10, factor
    setup_per_zone_wmarks(vm)
    return [zone._watermark[WMARK_LOW], zone._watermark[WMARK_HIGH]]


def adds_both(given):
    return _with(given, lambda managed, low, factor: low // 4 + managed * factor // 10000)


def quarter_only(given):
    return _with(given, lambda managed, low, factor: low // 4)


def per_mille(given):
    return _with(given, lambda managed, low, factor: max(low // 4, managed * factor // 1000))


def _with(given, gap_of):
    gaps = [gap_of(*row[1:]) for row in given["rows"]]
    marks = zip(given["rows"], gaps, strict=True)
    return [[minimum + gap, minimum + 2 * gap] for (_, _, minimum, _), gap in marks]


MISTAKES = {"adds_both": adds_both, "quarter_only": quarter_only, "per_mille": per_mille}


def draw(rng):
    rows = [_zone(rng, *kind) for kind in KINDS]
    cases = [
        {"name": f"row {row + 1}, {name}, min {minimum}, factor {factor}", "pick": row,
         "visible": row < 3, "group": "zones",
         "hint": "Which of the two is larger: min / 4, or the share of the zone?"}
        for row, (name, _, minimum, factor) in enumerate(rows)
    ]  # fmt: skip
    lines = [f"   {'zone':8} {'managed':>10} {'min':>8} {'watermark_scale_factor':>24}"]
    lines += [
        f"{n}. {name:8} {managed:10} {low:8} {factor:24}"
        for n, (name, managed, low, factor) in enumerate(rows, 1)
    ]
    return {"shown": "\n".join(lines), "given": {"rows": rows}, "cases": cases}


def _zone(rng, name, least, most, decides):
    managed = rng.randrange(least, most) * 256 - rng.randrange(250)
    factor = rng.choice([50, 100, 125, 200, 300]) if decides == "large factor" else 10
    share = managed * factor // 10000
    least, most = TIMES[decides]
    minimum = int(share * rng.uniform(least, most)) + rng.randrange(4, 12)
    return [name, managed, minimum, factor]
