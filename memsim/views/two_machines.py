"""Two machines after rounds of the same requests: grouping by mobility on and off."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from memsim.views.controls import FULL, Controls, status
from memsim.views.lesson07 import (
    PAGES_PER_BLOCK,
    ROUNDS,
    AfterRound,
    Block,
    history,
)

#: Of 64 requests, how many are the kernel's own.
SHARES = (1, 2, 4, 8)
NAMES = {True: "grouping on", False: "grouping off"}


class TwoMachines(Controls):
    """The round and the kernel's share by slider; shows every pageblock of both machines."""

    def __init__(self, kernel_in_64: int = 1) -> None:
        wide = widgets.Layout(**FULL)
        self.round = widgets.IntSlider(min=1, max=ROUNDS, value=1, description="round", layout=wide)
        self.share = widgets.SelectionSlider(
            options=SHARES, value=kernel_in_64, description="kernel's, of 64",
            continuous_update=False, layout=wide, style={"description_width": "initial"},
        )  # fmt: skip
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        for slider in (self.round, self.share):
            slider.observe(self._show, names="value")
        self._show()
        super().__init__([self.round, self.share, self.picture])

    def _show(self, _: Any = None) -> None:
        self.after = {
            group: history(self.share.value, group)[self.round.value - 1] for group in NAMES
        }
        strips = "".join(strip(NAMES[group], after) for group, after in self.after.items())
        drawn = f'<div aria-hidden="true" style="max-width: 60em">{strips}{_legend()}</div>'
        self.picture.value = drawn + status(self.text())

    def text(self) -> str:
        """What is shown, in words."""
        said = " ".join(after_text(NAMES[group], after) for group, after in self.after.items())
        return f"After round {self.round.value}, {self.share.value} of 64 the kernel's. {said}"


def after_text(name: str, after: AfterRound) -> str:
    """A machine after a round, in a sentence."""
    held = sum(block.unmovable > 0 for block in after.blocks)
    pages = sum(block.unmovable for block in after.blocks)
    return (
        f"{name.capitalize()}: {pages} unmovable pages in {held} of {len(after.blocks)} "
        f"pageblocks; {huge_pages(after)} left, unusable_index {after.unusable / 1000:.3f}."
    )


def huge_pages(after: AfterRound) -> str:
    """How many blocks of order 9 there are, in words."""
    return f"{after.huge_pages} block{'s' * (after.huge_pages != 1)} of order 9"


def strip(name: str, after: AfterRound) -> str:
    """One machine's pageblocks from left to right. HTML."""
    cells = "".join(_cell(number, block) for number, block in enumerate(after.blocks))
    return (
        f'<div style="margin: 10px 0 2px"><b>{name}</b>: {huge_pages(after)}</div>'
        f'<div style="display: grid; grid-template-columns: repeat(auto-fit, minmax(38px, 1fr)); '
        f'gap: 3px">{cells}</div>'
    )


_POISON = "background: repeating-linear-gradient(45deg, #e69f00 0 4px, #7a4a00 4px 6px)"


def _cell(number: int, block: Block) -> str:
    """A pageblock: blue as far as it is free, above it what is in use; its type and unmovables."""
    share = 100 * block.free / PAGES_PER_BLOCK
    band = max(10, 100 - share) if block.unmovable else 0
    title = (
        f"pageblock {number}: {block.migratetype}, {block.free} free, {block.unmovable} unmovable"
    )
    count = block.unmovable or ""
    return (
        f'<div title="{title}" style="position: relative; height: 64px; border: 1px solid #808080; '
        f'background: #a6d8f3; color: #000; text-align: center; font-size: 12px">'
        f'<div style="position: absolute; inset: 0 0 auto 0; height: {band:.0f}%; {_POISON}"></div>'
        f'<div style="position: absolute; bottom: 2px; width: 100%"><span style="background: #fff">'
        f"{block.migratetype[0]}<br><b>{count}</b></span></div></div>"
    )


def _legend() -> str:
    return (
        '<div style="margin: 8px 0; font-size: 13px; line-height: 1.6">Each box is a pageblock, '
        "512 pages. Blue: free. Hatched: it holds unmovable pages, as many as the number says. "
        "M, U: its type, Movable or Unmovable.</div>"
    )
