"""/proc/zoneinfo of a machine with two CPUs: what is in each zone?

The marks and limits are the model's own; DMA has the sizes of a recorded kernel.
"""

from functools import cache

from memsim import Machine
from memsim.mm.page_alloc.setup import (
    min_free_kbytes_for,
    setup_per_zone_lowmem_reserve,
    setup_per_zone_wmarks,
)
from memsim.proc.zoneinfo import write_zoneinfo, zoneinfo_of
from memsim.proc.zoneinfo_parse import parse_zoneinfo

NAMES = ("DMA", "DMA32", "Normal")
PAGES = ("free", "min", "low", "high", "spanned", "present", "managed")
QUESTIONS = (
    "MiB of Normal above low", "pages of DMA32 that were never managed",
    "pages of Normal on pcp lists", "pages of holes in DMA32", "MiB of DMA32 above low",
    "pages of Normal that somebody holds", "pages of DMA32 that somebody holds",
    "pages on all pcp lists",
)  # fmt: skip
#: These are handed out: the most telling questions.
VISIBLE = (0, 1, 5)
HINTS = (
    "Which two of the lines are asked for? Pages become MiB at the end.",
    "What is on a pcp list is in no zone's free, and nobody holds it.",
)


def RIGHT(given):
    z = given["zones"]
    return [
        _mib(z["Normal"]["free"] - z["Normal"]["low"]),
        z["DMA32"]["present"] - z["DMA32"]["managed"],
        sum(z["Normal"]["count"]),
        z["DMA32"]["spanned"] - z["DMA32"]["present"],
        _mib(z["DMA32"]["free"] - z["DMA32"]["low"]),
        _held(z["Normal"]),
        _held(z["DMA32"]),
        sum(sum(zone["count"]) for zone in z.values()),
    ]


def _mib(pages):
    return pages // 256


def _held(zone):
    return zone["managed"] - zone["free"] - sum(zone["count"])


def whole_free(given):
    return RIGHT({"zones": {name: zone | {"low": 0} for name, zone in given["zones"].items()}})


def holes_counted(given):
    zones = given["zones"].items()
    return RIGHT({"zones": {name: zone | {"present": zone["spanned"]} for name, zone in zones}})


def one_cpu(given):
    zones = given["zones"].items()
    return RIGHT({"zones": {name: zone | {"count": zone["count"][:1]} for name, zone in zones}})


def pcp_is_held(given):
    zones = given["zones"]
    found = [zones[name]["managed"] - zones[name]["free"] for name in ("Normal", "DMA32")]
    return [*RIGHT(given)[:5], *found, RIGHT(given)[7]]


MISTAKES = {
    "whole_free": whole_free,
    "holes_counted": holes_counted,
    "one_cpu": one_cpu,
    "pcp_is_held": pcp_is_held,
}


def draw(rng):
    text = write_zoneinfo([_shorter(zone, rng) for zone in _zones(rng)])
    cases = [
        {"name": f"{row + 1}. {name}", "pick": row, "visible": row in VISIBLE,
         "group": "pages of a zone", "hint": HINTS[row > 4]}
        for row, name in enumerate(QUESTIONS)
    ]  # fmt: skip
    zones = {told.zone: _numbers(told) for told in parse_zoneinfo(text)}
    return {"shown": text, "given": {"zones": zones}, "cases": cases}


def _numbers(told):
    pages = {name: told.pages[name] for name in PAGES}
    return pages | {"count": [pageset.numbers["count"] for pageset in told.pagesets]}


@cache
def _machine():
    return Machine("8 GiB", cpus=2, steps=False)


def _zones(rng):
    """zoneinfo of a machine of this draw's size, before anything is allocated."""
    vm = _machine().vm
    dma32, normal = rng.randrange(700_000, 780_000), rng.randrange(1, 29) << 18
    sizes = {
        "DMA": (4095, 3998, 3840),
        "DMA32": (1_044_480, dma32, dma32 - rng.randrange(15_000, 60_000)),
        "Normal": (normal, normal, normal - normal // 64 - rng.randrange(2_000, 20_000)),
    }
    for zone in vm.zones:
        numbers = sizes.get(zone.name, (0, 0, 0))
        zone.spanned_pages, zone.present_pages, zone.managed_pages = numbers
    vm.min_free_kbytes = min_free_kbytes_for(4 * sum(zone.managed_pages for zone in vm.zones))
    setup_per_zone_wmarks(vm)
    setup_per_zone_lowmem_reserve(vm)
    return [told for told in zoneinfo_of(vm) if told.zone in sizes]


def _shorter(told, rng):
    """What is asked for, with pages that are taken and pages that CPUs keep."""
    managed, low = told.pages["managed"], told.pages["low"]
    told.pages = {name: told.pages[name] for name in PAGES}
    busy = told.zone != "DMA"
    told.pages["free"] = rng.randrange(low + 600, managed * 2 // 3) if busy else 3840
    told.stats = {"nr_free_pages": told.pages["free"]}
    told.node_stats = None
    for pageset in told.pagesets:
        batch = pageset.numbers["batch"]
        pageset.numbers["high"] = batch * rng.randrange(6, 30) if busy else 0
        pageset.numbers["count"] = rng.randrange(1, pageset.numbers["high"]) if busy else 0
        pageset.stat_threshold = None
    return told
