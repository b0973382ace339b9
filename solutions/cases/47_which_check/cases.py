"""Logs of failed requests, made by memsim on machines short in four ways: what was lacking?"""

import re
import textwrap
from functools import cache
from random import Random

from memsim import (
    GFP_ATOMIC,
    GFP_DMA32,
    GFP_KERNEL,
    Machine,
    PageAllocationFailure,
)
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.proc.explain import explain_log
from memsim.proc.explain.zones import ORDER
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_DMA,
    __GFP_MEMALLOC,
    __GFP_MOVABLE,
    __GFP_NORETRY,
)
from memsim.words.mmzone import NULL

LACKS = ("time", "memory", "block", "dying")
NORETRY = GFP_KERNEL | __GFP_NORETRY
NORETRY_DMA32 = GFP_KERNEL | GFP_DMA32 | __GFP_NORETRY


def RIGHT(given):
    return [_explained(log) for log in given["logs"]]


def _explained(log):
    """By memsim's own reading of the last report of a log."""
    explained = explain_log(log)[-1]
    missing = min(zone.missing for zone in explained.zones)
    if explained.problem == "killed before":
        return ["dying", missing]
    if explained.problem == ORDER:
        return ["block", 0]
    sleeps = explained.report.gfp_mask & __GFP_DIRECT_RECLAIM
    return ["memory" if sleeps else "time", missing]


def _read(log, wrong=""):
    """From the text, with one mistake in it."""
    failed = log[log.index("page allocation failure") :]
    order, names = re.search(r"order:(\d+), mode:0x\w+\(([\w|]+)\)", failed).groups()
    flags, order = names.split("|"), int(order)
    pid = re.search(r"PID: (\d+) ", failed)[1]
    dying = f"Killed process {pid} " in log and wrong != "ignores_the_kill"
    highest = 1 if "GFP_DMA32" in flags and wrong != "entry_of_others" else 2
    told = []
    for zone, free, low, keeps in _zones(failed):
        blocks = re.search(rf"Node 0 {zone}: (.*) =", failed)[1]
        large = any(int(n) for n in re.findall(r"(\d+)\*", blocks)[order:])
        unit = 1 if wrong == "kib_for_pages" else 4
        usable = free // unit - (0 if wrong == "forgets_the_order" else (1 << order) - 1)
        floor = _floor(low // unit, "GFP_ATOMIC" in flags, dying, wrong)
        floor += 0 if wrong == "forgets_the_reserve" else keeps[highest]
        told.append((usable - floor, large))
    return _lacks(told, "GFP_ATOMIC" not in flags, dying, wrong)


def _zones(failed):
    pattern = r"Node 0 (\w+) free:(\d+)kB .*?min:(\d+)kB.*\nlowmem_reserve\[\]: (.*)"
    for zone, free, low, keeps in re.findall(pattern, failed):
        yield zone, int(free), int(low), [int(n) for n in keeps.split()]


def _floor(low, atomic, dying, wrong):
    if wrong == "always_min":
        return low
    if atomic:
        low -= low // 2
        low -= low // 4
    return low - low // 2 if dying else low


def _lacks(told, sleeps, dying, wrong):
    missing = min(max(1 - over, 0) for over, _ in told)
    if wrong == "adds_up":
        missing = sum(max(1 - over, 0) for over, _ in told)
    if dying:
        return ["dying", missing]
    if any(over > 0 and not large for over, large in told):
        return ["block", 0]
    if wrong == "time_for_all":
        return ["time", missing]
    return ["memory" if sleeps else "time", missing]


def _mistaken(wrong):
    return lambda given: [_read(log, wrong) for log in given["logs"]]


MISTAKES = {
    wrong: _mistaken(wrong)
    for wrong in (
        "kib_for_pages", "forgets_the_reserve", "always_min", "adds_up", "ignores_the_kill",
        "entry_of_others", "time_for_all",
    )
}  # fmt: skip
_VISIBLE = 4


def draw(rng):
    logs = _drawn(rng)
    given = {"logs": logs}
    wrong = {key: mistaken(given) for key, mistaken in MISTAKES.items()}
    cases = [
        {"name": f"log {row}", "visible": row < _VISIBLE,
         "expected": {"row": row, "logs": len(logs), "right": right,
                      "wrong": wrong},
         "group": "another log", "hint": "Each zone that the mask reaches: free, mark, blocks."}
        for row, right in enumerate(RIGHT(given))
    ]  # fmt: skip
    shown = "\n\n".join(f"log {n}\n{_folded(log)}" for n, log in enumerate(logs))
    return {"shown": shown, "given": given, "cases": cases}


def _drawn(rng):
    """Six logs: what each lacks, one twice; of the first four each mistake gets one wrong."""
    while not _told_apart(logs := _some(rng)):
        pass
    return logs


def _told_apart(logs):
    """Does each mistake answer the visible logs in its own way?"""
    given = {"logs": logs[:_VISIBLE]}
    ways = [answers(given) for answers in (RIGHT, *MISTAKES.values())]
    return all(way not in ways[:at] for at, way in enumerate(ways))


def _some(rng):
    pool = _pool()
    first = [rng.choice(pool[lacks]) for lacks in ("time", "memory", "dying")]
    first.append(rng.choice([log for log in pool["memory"] if "GFP_DMA32" in log]))
    rest = [rng.choice(pool["block"]), rng.choice(pool[rng.choice(("time", "dying"))])]
    rng.shuffle(first)
    rng.shuffle(rest)
    return first + rest


def _folded(log):
    whole = log.replace(" (", "\xa0(").splitlines()
    lines = [textwrap.fill(line, 98, subsequent_indent="    ") for line in whole]
    return "\n".join(lines).replace("\xa0", " ")


# The logs: machines that run full, each in another way.


@cache
def _pool():
    """Some logs for each lack."""
    pool = {lacks: [] for lacks in LACKS}
    rng = Random(47)
    for make in [_burst, _used_up, _scattered, _low, _dying] * 4:
        log = make(rng)
        pool[_explained(log)[0]].append(log)
    return pool


def _log(rng, machine, gfp_mask, order, victim=False):
    """What the log has of this request: its report, and a kill in front of it."""
    pid, other = rng.sample(range(200, 4000), 2)
    comm = rng.choice(["eth0-rx", "kworker/u8:2", "modprobe", "java", "cp"])
    try:
        machine.alloc_pages(gfp_mask, order)
    except PageAllocationFailure as failure:
        report = failure.report
    killed = (
        "java invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, "
        "oom_score_adj=0\n"
        f"Out of memory: Killed process {pid if victim else other} (java) total-vm:{other * 40}kB, "
        f"anon-rss:{other * 20}kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:88kB "
        "oom_score_adj:0\n"
    )
    first, rest = report.split("\n", 1)
    first = first.replace("memsim:", "java:" if victim else f"{comm}:")
    first = re.sub(r", *nodemask.*", "", first)
    info = f"CPU: 0 UID: 0 PID: {pid} Comm: {'java' if victim else comm} Not tainted 6.12.107\n"
    return (killed if victim or rng.random() < 0.5 else "") + f"{first}\n{info}{_short(rest)}"


def _short(rest):
    """The zones, without counters that nobody needs here."""
    useless = (
        r" (boost|reserved_highatomic|active|inactive|unevictable|writepending|present|managed"
        r"|mlocked|bounce|free_pcp|local|free_cma)(_\w+)?:\S*"
    )
    lines = [re.sub(useless, "", line) for line in rest.splitlines()]
    kept = [line for line in lines if re.match("Mem-Info|Node 0 DMA|Node 0 Nor|lowmem", line)]
    return "\n".join(kept)


def _take(machine, gfp_mask, *orders):
    """Blocks until the request fails, for one order after the other.

    Movable ones: others would break into pageblocks and raise the marks for a while (the boost).
    """
    taken = []
    for order in orders:
        while (pfn := alloc_pages(machine.vm, gfp_mask, order, 0)) != NULL:
            taken.append((pfn, order))
    return taken


_ALL = (10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)


def _machine(rng, least=300, most=900):
    """Of some even zone DMA is used up."""
    ram = f"{rng.randrange(least, most)} MiB"
    machine = Machine(ram, pcp=False, min_free_kbytes=rng.randrange(3000, 9000), steps=False)
    if rng.random() < 0.5:
        _take(machine, GFP_KERNEL | __GFP_MOVABLE | __GFP_DMA, *_ALL)
    return machine


def _burst(rng):
    machine = _machine(rng)
    _take(machine, GFP_ATOMIC | __GFP_MOVABLE, *_ALL)
    return _log(rng, machine, GFP_ATOMIC, 0)


def _used_up(rng):
    machine = _machine(rng)
    _take(machine, GFP_KERNEL | __GFP_MOVABLE, *_ALL)
    return _log(rng, machine, NORETRY, rng.choice([0, 0, 1]))


def _dying(rng):
    machine = _machine(rng)
    _take(machine, GFP_ATOMIC | __GFP_MOVABLE, *_ALL)
    return _log(rng, machine, NORETRY, 0, victim=True)


def _low(rng):
    """6 GiB: what is below 4 GiB is used up, zone Normal is not."""
    machine = Machine("6 GiB", pcp=False, min_free_kbytes=rng.randrange(9000, 16_000), steps=False)
    _take(machine, GFP_KERNEL | __GFP_MOVABLE | GFP_DMA32, *_ALL)
    return _log(rng, machine, NORETRY_DMA32, 0)


def _scattered(rng):
    """Of each so many pages one is in use."""
    machine = _machine(rng, 40, 90)
    order = rng.randrange(2, 4)
    for pfn, _ in _take(machine, GFP_KERNEL | __GFP_MEMALLOC, 0):
        if pfn % (1 << order) != 1:
            free_unref_page(machine.vm, pfn, 0)
    return _log(rng, machine, rng.choice([NORETRY, GFP_ATOMIC]), order + rng.randrange(2))
