"""Runs a file that does not fit through a machine whose kswapd is late, and counts stalls."""

from memsim import GFP_KERNEL
from memsim.lab.compare import Judged
from memsim.machine import LateKswapd
from memsim.mm.vmstat import high_wmark_pages
from memsim.trace.vmscan_events import TP_VMSCAN, MmVmscanDirectReclaimBegin

#: Requests with full memory, and blocks of order 10 that are taken first: so it is full sooner.
REQUESTS, TAKEN = 400, 2
MAX_FACTOR = 3000
#: Pages that the text wants left for counters that lag.
LAG = 8


def no_stalls(expected, got):
    """1 where nobody reclaims for himself and high is the least; 0 for three times as high."""
    wrong = _wrong(expected, got)
    if wrong:
        mistake = "below_reserve" if "reserve" in wrong else ""
        return Judged(0.0, wrong, mistake)
    high, least = _high(expected, *got), _high(expected, *expected["right"])
    told = f"high is {high} pages, {least} would do"
    if high >= 3 * least:  # and a high above what is left behind TAKEN could never be reached
        return Judged(0.0, told, _too_much(expected, got))
    stalls = _stalls(expected, *got)
    told += f"; requests that reclaimed: {stalls}"
    if stalls:
        return Judged(0.0, told, "stalls")
    distance, needed = _distance(expected, *got), expected["late"] + LAG
    if distance < needed:
        told = f"none reclaimed; from min to low are {distance} pages, {needed} should be"
        return Judged(0.5, told, "no_lag")
    if high <= least + 4:
        return Judged(1.0, told)
    return Judged(min((3 * least - high) / (2 * least), 0.95), told, _too_much(expected, got))


def _too_much(given, got):
    return "min_instead" if got[0] > 2 * given["reserve"] else "far_too_much"


def _wrong(given, got):
    if not isinstance(got, list) or len(got) != 2 or any(type(n) is not int for n in got):
        return "should be two whole numbers, [min_free_kbytes, watermark_scale_factor]"
    kbytes, factor = got
    if not 1 <= factor <= MAX_FACTOR:
        return f"watermark_scale_factor {factor}: should be 1 to {MAX_FACTOR}"
    if kbytes > given["managed"]:
        return f"min_free_kbytes {kbytes}: should be at most a quarter of memory"
    if kbytes < given["reserve"]:
        return f"min_free_kbytes {kbytes}: less than the reserve, {given['reserve']}"
    return ""


def _high(given, kbytes, factor):
    return kbytes // 4 + 2 * _distance(given, kbytes, factor)


def _distance(given, kbytes, factor):
    """From min to low, and from low to high."""
    return max(kbytes // 4 // 4, given["managed"] * factor // 10_000)


def _stalls(given, kbytes, factor):
    """Requests that reclaimed for themselves."""
    machine = LateKswapd(
        given["ram"], given["late"], pcp=False, min_free_kbytes=kbytes,
        watermark_scale_factor=factor,
    )  # fmt: skip
    machine.vm.trace.mask = 0
    for _ in range(TAKEN):
        machine.alloc_pages(GFP_KERNEL, order=10)
    film, high = machine.open("film", "64 MiB"), high_wmark_pages(machine.zone())
    full = max(given["managed"] - (TAKEN << 10) - high, 0)
    for index in range(full):
        machine.read(film, index)
    machine.vm.trace.mask = TP_VMSCAN
    for index in range(full, full + REQUESTS + 2 * high):
        machine.read(film, index)
    events = [traced.event for traced in machine.events()]
    return sum(isinstance(event, MmVmscanDirectReclaimBegin) for event in events)
