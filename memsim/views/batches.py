"""The size of a batch under a slider: how often a CPU takes zone->lock for a thousand pages."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from memsim.views.controls import FULL, Controls, status
from memsim.views.lesson03 import (
    Work,
    ping_pong,
    take,
    take_and_give,
    with_pcp,
    without_pcp,
    work_of,
)

#: What can be measured, by what it is called.
RUNS = {
    "take 1,000 pages": lambda machine: take(machine, 1000),
    "take 1,000 pages, then give them back": lambda machine: take_and_give(machine, 1000),
    "take a page and give it back, 1,000 times": lambda machine: ping_pong(machine, 1000),
}
#: Refills that are spelled out; more are counted.
SPELLED = 6
#: Trips are few when more than this many operations come to each.
FEW = 8


class Batches(Controls):
    """A batch by slider, a workload by choice, pcp lists on or off; shows every trip."""

    def __init__(self, batch: int = 31) -> None:
        wide = widgets.Layout(**FULL)
        self.batch = widgets.IntSlider(
            min=1, max=63, value=batch, description="batch", continuous_update=False, layout=wide
        )
        self.run = widgets.RadioButtons(options=list(RUNS), description="workload", layout=wide)
        self.pcp = widgets.Checkbox(value=True, description="pcp lists", indent=False)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        for control in (self.batch, self.run, self.pcp):
            control.observe(self._show, names="value")
        self._show()
        super().__init__([self.batch, self.run, self.pcp, self.picture])

    def _show(self, _: Any = None) -> None:
        machine = with_pcp(self.batch.value) if self.pcp.value else without_pcp()
        self.batch.disabled = not self.pcp.value
        self.work = work_of(machine, RUNS[self.run.value])
        self.picture.value = _picture(self.work) + status(self.text())

    def text(self) -> str:
        """What is shown, in words."""
        kept = f"batch {self.batch.value}" if self.pcp.value else "no pcp lists"
        return f"{kept}, {self.run.value}: {self.work}. {_blocks(self.work)}"


def _blocks(work: Work) -> str:
    """How many blocks each trip moved."""
    sizes = [trip.blocks for trip in work.trips]
    if len(set(sizes)) == 1:
        return f"Blocks moved by each trip: {sizes[0]}."
    end = ", …" if len(sizes) > SPELLED else "."
    return f"Blocks moved by each trip: {', '.join(map(str, sizes[:SPELLED]))}{end}"


def _picture(work: Work) -> str:
    """All operations from left to right; a line where one took zone->lock.

    Where lines are many, each is as wide as its operation, so that every third is not all.
    """
    path = "".join(f"M{trip.operation + 0.5} 0V10" for trip in work.trips)
    few = len(work.trips) * FEW < work.operations
    width = 'stroke-width="2" vector-effect="non-scaling-stroke"' if few else 'stroke-width="1"'
    return (
        '<div aria-hidden="true" style="max-width: 48em; margin: 6px 0">'
        f'<svg viewBox="0 0 {work.operations} 10" preserveAspectRatio="none" '
        'style="display: block; width: 100%; height: 44px; border: 1px solid #808080; '
        'box-sizing: border-box">'
        f'<path d="{path}" stroke="#d55e00" {width}/>'
        f"</svg><small>operation 1 to {work.operations}; a line: zone->lock taken</small></div>"
    )
