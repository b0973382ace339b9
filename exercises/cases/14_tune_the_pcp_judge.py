"""Runs a trace on memsim's per-CPU lists and counts the trips to zone->lock."""

from memsim import GFP_HIGHUSER_MOVABLE, Machine
from memsim.lab.compare import Judged
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page

NR_PAGES = 1024
MAX_BATCH, MAX_HIGH = 63, 512


def seldom_locked(expected, got):
    """1 for the fewest trips that are possible within the bound, 0 for three times as many."""
    wrong = _wrong(got)
    if wrong:
        return Judged(0.0, wrong)
    batch, high = got
    trips, held = _run(expected["trace"], batch, high)
    told = f"batch {batch}, high {high}: {trips} trips, at most {held} pages held"
    if held > expected["bound"]:
        return Judged(0.0, f"{told}; {expected['bound']} are allowed", "over_the_bound")
    none, full = expected["none"], expected["full"]
    score = min(max((none - trips) / (none - full), 0.0), 1.0)
    mistake = ""
    if score < 1 and held < expected["bound"] // 2:
        mistake = "holds_too_little"
    elif score < 1 and high == expected["bound"]:
        mistake = "high_is_bound"
    elif score < 1 and batch in (1, (expected["bound"] + 1) // 4):
        mistake = "smallest_batch" if batch == 1 else "largest_batch"
    return Judged(score, f"{told}; {full} trips are possible", mistake)


def _wrong(got):
    if not isinstance(got, list) or len(got) != 2 or any(type(n) is not int for n in got):
        return "should be two whole numbers, [batch, high]"
    batch, high = got
    if not 1 <= batch <= MAX_BATCH:
        return f"batch {batch}: should be 1 to {MAX_BATCH}"
    if not 4 * batch <= high <= MAX_HIGH:
        return f"high {high}: should be at least 4 * batch, and at most {MAX_HIGH}"
    return ""


def _run(trace, batch, high):
    """(trips to zone->lock, the most pages that the CPU held)."""
    machine = Machine.of_pages(NR_PAGES, pcp=True, steps=False)
    machine.pageset_update(batch, high, high)
    vm, pcp = machine.vm, machine.zone().per_cpu_pageset[0]
    vm.trace.mask = 0
    pages, trips, held = [], 0, 0
    for burst in trace:
        for _ in range(abs(burst)):
            before = pcp.count
            if burst > 0:
                pages.append(alloc_pages(vm, GFP_HIGHUSER_MOVABLE, 0, 0))
                trips += before == 0
            else:
                free_unref_page(vm, pages.pop(), 0)
                trips += pcp.count != before + 1
            held = max(held, pcp.count)
    return trips, held
