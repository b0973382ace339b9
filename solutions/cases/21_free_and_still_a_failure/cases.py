"""Reports of failed requests, made by memsim: much is free. What refuses?"""

import re
import textwrap
from functools import cache
from random import Random

from memsim import (
    GFP_ATOMIC,
    GFP_DMA32,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    Machine,
    PageAllocationFailure,
)
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.vmstat import zone_page_state
from memsim.words.mmzone import NR_FREE_CMA_PAGES, NR_FREE_PAGES, NULL

CAUSES = ("watermark", "lowmem_reserve", "highatomic", "cma", "type", "fragmentation")


def RIGHT(given):
    return [_why(text, zone) for text, zone in given["reports"]]


def _why(text, name, unit=4, counts_order=True, reserves=True, lowers=True):
    """[cause, usable pages, mark] from the text of a report."""
    order = int(re.search(r"order:(\d+)", text)[1])
    atomic, dma32 = "(GFP_ATOMIC)" in text, "(GFP_DMA32)" in text
    line = re.search(rf"Node 0 {name} free:.*", text)[0]
    kib = {key: int(n) // unit for key, n in re.findall(r"(\S+?):(\d+)k?[BK]", line)}
    reserve = re.findall(r"lowmem_reserve\[\]: (.*)", text[text.index(line) :])[0].split()
    reserve = int(reserve[1 if dma32 else 2]) * reserves
    base = kib["free"] - counts_order * ((1 << order) - 1)
    usable = base - kib["free_cma"] - (0 if atomic else kib["reserved_highatomic"])
    low = kib["min"]
    if atomic and lowers:
        low -= low // 2
        low -= low // 4
    mark = low + reserve
    return [_cause(text, name, order, (base, usable, low, mark), kib), usable, mark]


def _cause(text, name, order, numbers, kib):
    base, usable, low, mark = numbers
    if usable > mark:
        blocks = re.search(rf"Node 0 {name}: (.*) =", text)[1].split()
        sizes = [int(n.split("*")[0]) for n in blocks if "*" in n]
        return "type" if any(sizes[order:]) else "fragmentation"
    if base > mark:
        return "cma" if kib["free_cma"] else "highatomic"
    return "lowmem_reserve" if usable > low else "watermark"


def kib_for_pages(given):
    return [_why(text, zone, unit=1) for text, zone in given["reports"]]


def forgets_the_order(given):
    return [_why(text, zone, counts_order=False) for text, zone in given["reports"]]


def forgets_the_reserve(given):
    return [_why(text, zone, reserves=False) for text, zone in given["reports"]]


def atomic_is_not_lower(given):
    return [_why(text, zone, lowers=False) for text, zone in given["reports"]]


def lists_first(given):
    told = RIGHT(given)
    return [["type" if cause in ("cma", "highatomic") else cause, *rest] for cause, *rest in told]


def fragmented(given):
    return [["fragmentation", *_why(text, zone)[1:]] for text, zone in given["reports"]]


MISTAKES = {
    "kib_for_pages": kib_for_pages, "forgets_the_order": forgets_the_order,
    "forgets_the_reserve": forgets_the_reserve, "atomic_is_not_lower": atomic_is_not_lower,
    "lists_first": lists_first, "fragmented": fragmented,
}  # fmt: skip
#: Reports of these three come first, so that every mistake shows in a visible case.
_VISIBLE = 3


def draw(rng):
    reports = _drawn(rng)
    given = {"reports": reports}
    wrong = {key: mistaken(given) for key, mistaken in MISTAKES.items()}
    cases = [
        {"name": f"report {row}, zone {reports[row][1]}", "visible": row < _VISIBLE,
         "expected": {"row": row, "reports": len(reports), "right": right,
                      "wrong": {key: told[row][1:] for key, told in wrong.items()}},
         "group": "another report", "hint": "Compute usable and mark first; they tell the cause."}
        for row, right in enumerate(RIGHT(given))
    ]  # fmt: skip
    shown = "\n\n".join(f"report {n}: why not from zone {zone}?\n{_folded(text)}"
                        for n, (text, zone) in enumerate(reports))  # fmt: skip
    return {"shown": shown, "given": given, "cases": cases}


def _drawn(rng):
    """Seven reports, no two alike; among the first three lowmem_reserve, cma and GFP_ATOMIC."""
    pool = {cause: _others(reports, []) for cause, reports in _pool().items()}
    listed = rng.choice(["type", "fragmentation"])
    atomic = [report for report in pool[listed] if "(GFP_ATOMIC)" in report[0]]
    first = [rng.choice(reports) for reports in (pool["lowmem_reserve"], pool["cma"], atomic)]
    causes = [cause for cause in CAUSES if cause not in ("lowmem_reserve", "cma", listed)]
    rest = [rng.choice(pool[cause]) for cause in causes]
    rest.append(rng.choice(_others(pool[rng.choice(CAUSES)], first + rest)))
    rng.shuffle(first)
    rng.shuffle(rest)
    return first + rest


def _others(reports, taken):
    """Each of them once, without those."""
    return [r for n, r in enumerate(reports) if r not in reports[:n] and r not in taken]


def _folded(text):
    """The same in lines that fit a cell; the types stay with their blocks."""
    whole = text.replace(" (", "\xa0(").splitlines()
    lines = [textwrap.fill(line, 98, subsequent_indent="    ") for line in whole]
    return "\n".join(lines).replace("\xa0", " ")


# The reports: machines that run full, each in another way.


@cache
def _pool():
    """Some reports for each cause, [text, zone]."""
    pool = {cause: [] for cause in CAUSES}
    rng = Random(21)
    for make in [_full, _full_6_gib, _cma, _scattered, _scattered_cma, _highatomic] * 3:
        machine, requests = make(rng)
        for gfp_mask, order in requests:
            for text, name in _failures(machine, gfp_mask, order):
                if _is_plain(machine, text, name):
                    pool[_why(text, name)[0]].append([text, name])
    return pool


def _failures(machine, gfp_mask, order):
    """The report of a request that fails, with each zone that might have served it."""
    try:
        machine.free_pages(machine.alloc_pages(gfp_mask, order))
    except PageAllocationFailure as failure:
        text = _short(failure.report)
        zones = re.findall(r"Node 0 (\w+) free", text)
        yield from ((text, name) for name in zones if len(zones) == 2 or name != "DMA")


def _is_plain(machine, text, name):
    """Does the text tell what the kernel computes with? Of HIGHATOMIC it tells what is reserved."""
    zone = machine.zone(name)
    order = int(re.search(r"order:(\d+)", text)[1])
    unusable = (1 << order) - 1 + zone_page_state(zone, NR_FREE_CMA_PAGES)
    unusable += 0 if "(GFP_ATOMIC)" in text else zone.nr_free_highatomic
    return _why(text, name)[1] == zone_page_state(zone, NR_FREE_PAGES) - unusable


def _short(report):
    """The request and the zones, without counters that nobody needs here."""
    useless = (
        r" (low|high|present|managed|active|inactive|unevictable|writepending|mlocked|bounce"
        r"|local|free_pcp)(_\w+)?:\S*"
    )
    head, *lines = (re.sub(useless, "", line) for line in report.splitlines())
    kept = [line for line in lines if re.match("Node 0 (DMA|Normal)|lowmem_reserve", line)]
    return "\n".join([re.sub(", *nodemask.*", "", head), *kept])


def _take(machine, gfp_mask, *orders, at_most=10_000):
    """Blocks until the request fails, or so many, for one order after the other."""
    taken = []
    for order in orders:
        for _ in range(at_most):
            pfn = alloc_pages(machine.vm, gfp_mask, order, 0)
            if pfn == NULL:
                break
            taken.append((pfn, order))
    return taken


def _give(machine, blocks):
    for pfn, order in blocks:
        free_unref_page(machine.vm, pfn, order)


def _machine(mib, **options):
    machine = Machine(f"{mib} MiB", pcp=False, steps=False, **options)
    machine.vm.trace.mask = 0
    return machine


def _full(rng):
    """The last pages are with those who may go below min."""
    machine = _machine(rng.randrange(200, 400), min_free_kbytes=rng.randrange(2000, 9000))
    _take(machine, GFP_KERNEL, 10, 5, 2)
    _take(machine, GFP_ATOMIC, 0, at_most=rng.randrange(20, 900))
    return machine, [(GFP_KERNEL, rng.randrange(1, 4)), (GFP_DMA32, 2), (GFP_ATOMIC, 7)]


def _full_6_gib(rng):
    """Normal is used up; DMA32 is kept for those who can use nothing else."""
    machine = _machine(6144, min_free_kbytes=rng.randrange(20_000, 60_000))
    _take(machine, GFP_KERNEL, 10)
    if rng.random() < 0.5:
        _take(machine, GFP_KERNEL, 9)
        return machine, [(GFP_KERNEL, 9), (GFP_ATOMIC, 10)]
    return machine, [(GFP_KERNEL, 10)]


def _cma(rng):
    """What is free belongs to CMA, and the request cannot be moved out of there."""
    machine = _machine(rng.randrange(500, 600), cma=f"{4 * rng.randrange(20, 60)} MiB")
    _take(machine, GFP_KERNEL, 10, 6, 3)
    return machine, [(GFP_KERNEL, order) for order in (rng.randrange(3, 7), 10)]


def _scattered(rng, **options):
    """Of some MiB every other small block is free."""
    machine = _machine(rng.randrange(300, 400), **options)
    _give(machine, _take(machine, GFP_KERNEL, 10)[-8:])
    order = rng.randrange(3, 6)
    _give(machine, _take(machine, GFP_KERNEL, order)[rng.randrange(2) :: 2])
    _take(machine, GFP_KERNEL, 10, 9, 8, 7, 6, 5, order + 1)
    return machine, [(GFP_KERNEL, order + n) for n in (1, 3)] + [(GFP_ATOMIC, order + 1)]


def _scattered_cma(rng):
    return _scattered(rng, cma=f"{4 * rng.randrange(8, 35)} MiB")


def _highatomic(rng):
    """Pageblocks that GFP_ATOMIC had reserved are free; the rest is used up."""
    machine = _machine(rng.randrange(300, 500), min_free_kbytes=rng.randrange(9000, 16_000))
    small = _take(machine, GFP_HIGHUSER_MOVABLE, 0, at_most=400)
    _take(machine, GFP_KERNEL, 10)
    _take(machine, GFP_HIGHUSER_MOVABLE, 0)
    _give(machine, _take(machine, GFP_ATOMIC, 3, at_most=rng.randrange(1, 100)))
    _give(machine, small[: rng.randrange(200, 400)])
    return machine, [(GFP_KERNEL, order) for order in (3, rng.randrange(4, 8))]
