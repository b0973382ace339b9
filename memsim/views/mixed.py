"""A whole machine at work: who asks most, and which allocator answers; presets under controls."""

from __future__ import annotations

import html
from collections import Counter
from typing import Any

import ipywidgets as widgets

from memsim.machine import Machine
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.workload import PRESETS, Row, Workload

#: Names of the log, as the lesson has them.
ALLOCATORS = {"pages": "page allocator", "slab": "slab", "kmalloc": "slab", "vmalloc": "vmalloc"}
#: Rows of the table that are shown, the most frequent first.
MAX_ROWS = 12


def worked(preset: str, steps: int, seed: int = 1) -> Workload:
    """A machine of 512 MiB and two CPUs that has worked so many steps."""
    machine = Machine("512 MiB", cpus=2, slab=True, vmalloc=True, steps=False)
    workload = Workload(machine, preset, seed)
    workload.run(steps)
    return workload


def by_allocator(workload: Workload) -> dict[str, int]:
    """Requests that each allocator was asked."""
    counts = Counter(ALLOCATORS[request.allocator] for request in workload.log)
    return {name: counts[name] for name in dict.fromkeys(ALLOCATORS.values())}


def by_order(workload: Workload) -> dict[int, int]:
    """Requests to the page allocator by order."""
    counts = Counter(r.order for r in workload.log if r.allocator == "pages")
    return dict(sorted(counts.items()))


class MixedMachine(Controls):
    """A preset and a number of steps; the requests by allocator, and the most frequent ones."""

    def __init__(self, preset: str = "desktop", steps: int = 300) -> None:
        full = widgets.Layout(**FULL)
        self.preset = widgets.Dropdown(
            options=list(PRESETS), value=preset, description="preset", layout=full
        )
        self.steps = widgets.IntSlider(
            value=steps, min=100, max=2000, step=100, description="steps", layout=full,
            continuous_update=False,
        )  # fmt: skip
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        for control in (self.preset, self.steps):
            control.observe(self._show, names="value")
        self._show()
        super().__init__([self.preset, self.steps, self.picture])

    def _show(self, _: Any = None) -> None:
        self.workload = worked(self.preset.value, self.steps.value)
        most = sorted(self.workload.rows(), key=lambda row: -row.asked)[:MAX_ROWS]
        heads = "".join(
            f'<th style="text-align: left; padding: 2px 8px">{head}</th>'
            for head in ("who", "what for", "allocator", "amount", "asked")
        )
        table = f"<table><tr>{heads}</tr>{''.join(_row(row) for row in most)}</table>"
        region = 'role="region" tabindex="0" aria-label="most frequent requests"'
        self.picture.value = scrolling(table, region) + status(self.text())

    def text(self) -> str:
        """What is shown, in words; the table left out."""
        counts = by_allocator(self.workload)
        total = sum(counts.values())
        told = ", ".join(f"{name} {nr:,} ({100 * nr / total:.1f} %)" for name, nr in counts.items())
        vain = sum(request.result is None for request in self.workload.log)
        what = f"{self.preset.value}, {self.steps.value:,} steps"
        return f"{what}: {total:,} requests. {told}. {vain:,} in vain."


def _row(row: Row) -> str:
    amount = f"order {row.order}" if row.order >= 0 else f"{row.size:,} bytes"
    cells = (row.who, row.what, ALLOCATORS[row.allocator], amount, f"{row.asked:,}")
    data = "".join(
        f'<td style="text-align: left; padding: 2px 8px">{html.escape(cell)}</td>' for cell in cells
    )
    return f'<tr title="{html.escape(row.kernel)}">{data}</tr>'
