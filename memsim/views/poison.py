"""One page in use poisons a block: the reader says where it lies, the model what is left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.machine import Machine
from memsim.mm.mmzone import PageBuddy, buddy_order
from memsim.views.controls import FULL, Controls, status
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE

#: Pages of the machine: two pageblocks, one block of order 10.
NR_PAGES = 1024
MAX_USED = 8


class Run(NamedTuple):
    """A free block, or (order -1) a page in use."""

    pfn: int
    order: int

    @property
    def nr_pages(self) -> int:
        """How many pages it has."""
        return 1 << max(self.order, 0)


def used_pages(first: int, count: int) -> list[int]:
    """So many pages, at even distances, the first one here."""
    return sorted((first + number * NR_PAGES // count) % NR_PAGES for number in range(count))


def poisoned(used: list[int]) -> Machine:
    """A machine in which just these pages are in use."""
    machine = Machine.of_pages(NR_PAGES, steps=False)
    for pfn in [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(NR_PAGES)]:
        if pfn not in used:
            machine.free_pages(pfn)
    return machine


def runs_of(machine: Machine) -> list[Run]:
    """All pages in address order."""
    zone, runs, pfn = machine.zone(), [], 0
    while pfn < NR_PAGES:
        runs.append(Run(pfn, buddy_order(zone, pfn) if PageBuddy(zone, pfn) else -1))
        pfn += runs[-1].nr_pages
    return runs


class Poisoned(Controls):
    """The page in use by slider, and how many there are; shows the free blocks around them."""

    def __init__(self, pfn: int = 300) -> None:
        wide = widgets.Layout(**FULL)
        self.pfn = widgets.IntSlider(
            min=0, max=NR_PAGES - 1, value=pfn, description="page in use",
            continuous_update=False, layout=wide,
        )  # fmt: skip
        self.count = widgets.IntSlider(
            min=1, max=MAX_USED, value=1, description="how many", continuous_update=False,
            layout=wide,
        )  # fmt: skip
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        for slider in (self.pfn, self.count):
            slider.observe(self._show, names="value")
        self._show()
        super().__init__([self.pfn, self.count, self.picture])

    def _show(self, _: Any = None) -> None:
        self.used = used_pages(self.pfn.value, self.count.value)
        self.machine = poisoned(self.used)
        self.picture.value = picture(runs_of(self.machine)) + status(self.text())

    def text(self) -> str:
        """What is shown, in words."""
        return poisoned_text(self.machine, self.used)


def poisoned_text(machine: Machine, used: list[int]) -> str:
    """Free blocks of each order, and both indexes."""
    blocks = ", ".join(_counted(machine.nr_free()))
    unusable = machine.unusable_index(9) / 1000
    return (
        f"In use: pfn {', '.join(map(str, used))}. Free: {NR_PAGES - len(used)} of {NR_PAGES} "
        f"pages; blocks: {blocks}. unusable_index for order 9: {unusable:.3f}. "
        f"{_extfrag_text(machine)}"
    )


def _counted(nr_free: list[int]) -> Iterator[str]:
    """Free blocks of each order in words, neighbours of the same number together."""
    for blocks, run in groupby(enumerate(nr_free), key=itemgetter(1)):
        orders = [order for order, _ in run]
        if blocks and len(orders) > 1:
            yield f"{blocks} of each order from {orders[0]} to {orders[-1]}"
        elif blocks:
            yield f"{blocks} of order {orders[0]}"


def _extfrag_text(machine: Machine) -> str:
    index = machine.extfrag_index(9)
    if index < 0:
        return "extfrag_index for order 9: -1.000, there is such a block."
    return f"extfrag_index for order 9: {index / 1000:.3f}, it would fail by fragmentation."


def picture(runs: list[Run]) -> str:
    """All pages from left to right, a free block with its order, a page in use black. HTML."""
    return (
        '<div aria-hidden="true" style="max-width: 60em; margin: 8px 0">'
        '<svg viewBox="0 0 1024 70" style="display: block; width: 100%">'
        f"{''.join(_free(run) for run in runs if run.order >= 0)}"
        f"{''.join(_used(run) for run in runs if run.order < 0)}"
        '<path d="M512 0V58" stroke="#808080" stroke-width="2" stroke-dasharray="5 4"/></svg>'
        "<small>Blue: a free block, with its order. ▼: a page in use. Dashed: a pageblock ends."
        "</small></div>"
    )


def _free(run: Run) -> str:
    label = ""
    if run.nr_pages >= 16:
        x = run.pfn + run.nr_pages / 2
        label = (
            f'<text x="{x}" y="40" text-anchor="middle" font-size="15" fill="#000">'
            f"{run.order}</text>"
        )
    shade = 0.35 + 0.065 * run.order
    return (
        f'<rect x="{run.pfn}" y="12" width="{run.nr_pages}" height="46" fill="#ffffff"/>'
        f'<rect x="{run.pfn}" y="12" width="{run.nr_pages}" height="46" fill="#56b4e9" '
        f'fill-opacity="{shade:.2f}" stroke="#003a5c" stroke-width="0.8"/>{label}'
    )


def _used(run: Run) -> str:
    x = run.pfn + 0.5
    return (
        f'<rect x="{run.pfn - 1}" y="12" width="3" height="46" fill="#d55e00"/>'
        f'<path d="M{x - 7} 0h14l-7 12z" fill="#d55e00"/>'
    )
