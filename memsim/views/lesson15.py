"""What lesson 15 runs more than once: a film that does not fit, lists, a zone that is scattered."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple

import plotly.graph_objects as go

from memsim.machine import LateKswapd, Machine
from memsim.mm.compaction.finished import fragmentation_score_node
from memsim.mm.mmzone import populated_zones
from memsim.mm.vmstat import zone_page_state
from memsim.trace.compaction_events import MmCompactionBegin
from memsim.trace.text import parse_line_event
from memsim.trace.vmscan_events import (
    MmVmscanDirectReclaimEnd,
    MmVmscanLruShrinkInactive,
)
from memsim.views import charts
from memsim.views.lesson05 import marks
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import GFP_KERNEL
from memsim.words.mmzone import NR_FREE_PAGES
from memsim.words.page_flags import LRU_NAMES, NODE_STAT_ITEMS


class Saw(NamedTuple):
    """Free pages behind each request, and at which requests who reclaimed how much."""

    free: list[int]
    marks: dict[str, int]
    kswapd: dict[int, int]
    direct: dict[int, int]

    def __str__(self) -> str:
        kswapd, direct = sum(self.kswapd.values()), sum(self.direct.values())
        return (
            f"{len(self.free):,} requests: kswapd {len(self.kswapd)} times, {kswapd:,} pages; "
            f"direct reclaim {len(self.direct)} times, {direct:,} pages; "
            f"never fewer than {min(self.free)} free"
        )


def film(late: int = 1, requests: int = 4600, **how: Any) -> Saw:
    """16 MiB of RAM, and a file that does not fit is read from its beginning, page by page."""
    machine = LateKswapd("16 MiB", late, **how)
    zone, file = machine.zone(), machine.open("film", "64 MiB")
    saw = Saw([], marks(zone), {}, {})
    for index in range(requests):
        since = machine.vm.trace.ring.written
        machine.read(file, index)
        saw.free.append(zone_page_state(zone, NR_FREE_PAGES))
        kswapd, direct = _reclaimed(machine, since)
        saw.kswapd.update({index: kswapd} if kswapd else {})
        saw.direct.update({index: direct} if direct else {})
    return saw


def _reclaimed(machine: Machine, since: int) -> tuple[int, int]:
    """Pages that kswapd and direct reclaim took back since then."""
    events = [traced.event for traced in machine.events(since)]
    ends = [event.nr_reclaimed for event in events if isinstance(event, MmVmscanDirectReclaimEnd)]
    batches = [e.nr_reclaimed for e in events if isinstance(e, MmVmscanLruShrinkInactive)]
    return sum(batches) - sum(ends), sum(ends)


def saw_chart(saw: Saw, first: int, title: str) -> go.Figure:
    """Free pages from request `first` on, the three marks, and who reclaimed where."""
    shown = len(saw.free) - first
    groups = {"free": saw.free[first:]}
    groups |= {name: [saw.marks[name]] * shown for name in ("high", "low", "min")}
    figure = charts.lines(groups, title, f"requests, from {first:,} on", "pages")
    for name, at, symbol, colour in (
        ("kswapd", saw.kswapd, "triangle-up", "#56b4e9"),
        ("direct reclaim", saw.direct, "x", "#d55e00"),
    ):
        seen = [index for index in at if index >= first]
        figure.add_scatter(
            x=[index - first for index in seen], y=[saw.free[index] for index in seen], name=name,
            mode="markers", marker={"symbol": symbol, "color": colour, "size": 11},
        )  # fmt: skip
    return figure


def recorded_reclaims(trace: str) -> Counter[str]:
    """Lines of a recorded trace: how often each event; and pages of direct reclaim's ends."""
    found: Counter[str] = Counter()
    for line in trace.splitlines():
        event = parse_line_event(line.split(": ", 1)[1])
        found[event.NAME] += 1
        if isinstance(event, MmVmscanDirectReclaimEnd):
            found["pages"] += event.nr_reclaimed
    return found


def vmstat(text: str) -> dict[str, int]:
    """A copy of /proc/vmstat."""
    return {name: int(value) for name, value in map(str.split, text.splitlines())}


def node_stat(machine: Machine, name: str) -> int:
    """A counter of node 0."""
    return machine.vm.nodes[0].vm_stat[NODE_STAT_ITEMS.index(name)]


def lists(machine: Machine) -> dict[str, int]:
    """Folios on each LRU list of node 0."""
    return {name.removeprefix("LRU_").lower(): node_stat(machine, f"NR_{name[4:]}")
            for name in LRU_NAMES[:4]}  # fmt: skip


def heap_and_film(swappiness: int, passes: int) -> Machine:
    """16 MiB of RAM and swap: a heap of 6 MiB is touched, then a film of 12 MiB is read."""
    machine = Machine("16 MiB", reclaim=True, swap="32 MiB", swappiness=swappiness, steps=False)
    heap, seen = machine.mmap("heap", "6 MiB"), machine.open("film", "12 MiB")
    for index in range(heap.nr_pages):
        machine.touch(heap, index)
    for index in [*range(seen.nr_pages)] * passes:
        machine.read(seen, index)
    return machine


def swapped(machine: Machine) -> int:
    """Pages of the swap device that are in use."""
    swap = machine.vm.folios.swap
    return swap.total_swap_pages - swap.nr_swap_pages


class Boosted(NamedTuple):
    """A claim that boosted the watermarks: free pages and high, before kswapd ran, and after."""

    free: int
    high: int
    free_after: int
    high_after: int


def first_boost() -> Boosted:
    """GFP_KERNEL pages on a machine full of movable ones, until kswapd is woken by a boost."""
    machine = Machine("16 MiB", reclaim=True)
    zone, file = machine.zone(), machine.open("film", "12 MiB")
    for index in range(file.nr_pages):
        machine.read(file, index)
    while not machine.history[-1].daemon:
        machine.alloc_pages(GFP_KERNEL)
    after = zone_page_state(zone, NR_FREE_PAGES), marks(zone)["high"]
    machine.undo()  # kswapd's run
    return Boosted(zone_page_state(zone, NR_FREE_PAGES), marks(zone)["high"], *after)


def half_free(ram: str, order: int = 2, steps: bool = False) -> Machine:
    """All memory is taken in blocks of an order, by who never moves; every second is given back."""
    machine, taken = Machine(ram, reclaim=True, steps=steps), []
    with suppress(PageAllocationFailure):
        while True:
            taken.append(machine.alloc_pages(GFP_KERNEL, order))
    for pfn in taken:
        if pfn >> order & 1:
            machine.free_pages(pfn)
    return machine


def compactions(machine: Machine, requests: int, order: int = 4) -> list[int]:
    """Of so many requests in vain those, by number, for which the highest zone was compacted."""
    start = populated_zones(machine.vm)[-1].zone_start_pfn
    found = []
    for number in range(1, requests + 1):
        since = machine.vm.trace.ring.written
        with suppress(PageAllocationFailure):
            machine.alloc_pages(GFP_KERNEL, order)
        events = [traced.event for traced in machine.events(since)]
        if any(isinstance(e, MmCompactionBegin) and e.zone_start == start for e in events):
            found.append(number)
    return found


def shortened(told: str) -> list[str]:
    """What the slow path decided, a line each, with what flags say left out."""
    lines = [re.sub(r" with ALLOC_WMARK_MIN[^:]*", " at min", line) for line in told.splitlines()]
    return [f"{number:2} {line}" for number, line in enumerate(lines, 1)]


def fragmentation_score(machine: Machine) -> int:
    """Node 0's score: percent of its free memory in pieces smaller than a huge page."""
    return fragmentation_score_node(machine.vm.nodes[0])
