"""A zone as a tank: its free pages under a slider, and who is refused at which level."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets

from memsim.lib.sizes import show_size
from memsim.machine import Machine
from memsim.views.controls import FULL, Controls, status
from memsim.views.lesson05 import NO_WATERMARK, REQUESTERS, Answer, Tank, ask, marks
from memsim.words.mmzone import MAX_PAGE_ORDER, PAGE_SHIFT

#: Size of the machine and the zone, by what they are called.
TANKS = {
    "1 GiB: zone DMA32": ("1 GiB", "DMA32"),
    "1 GiB: zone DMA": ("1 GiB", "DMA"),
    "8 GiB: zone Normal": ("8 GiB", "Normal"),
    "8 GiB: zone DMA32": ("8 GiB", "DMA32"),
    "8 GiB: zone DMA": ("8 GiB", "DMA"),
}
SCALE_FACTORS = (10, 20, 50, 100, 200)
#: Of the kinds of a level in a tank, from its bottom.
_FREE = "background: #56b4e9;"
_KEPT = "background: repeating-linear-gradient(45deg, #f6c860 0 4px, #8a5a00 4px 6px);"
_ROWS = "font-size: 13px; line-height: 1.35; padding-right: 10px;"
#: A name, and beside it the tank; in a narrow window below it.
_ROW = "display: flex; flex-wrap: wrap; gap: 0 10px; margin-bottom: 6px;"


class TankGauge(Controls):
    """A zone, its free pages, the order asked for and watermark_scale_factor: who gets a page?"""

    def __init__(self, kind: str = "1 GiB: zone DMA32") -> None:
        wide = widgets.Layout(**FULL)
        self.kind = widgets.Dropdown(
            options=list(TANKS), value=kind, description="tank", layout=wide
        )
        self.level = widgets.IntSlider(
            max=0, description="free pages", continuous_update=False, layout=wide
        )
        self.order = widgets.IntSlider(max=MAX_PAGE_ORDER, description="order", layout=wide)
        self.scattered = widgets.Checkbox(
            description="scattered: no two side by side", indent=False, layout=wide
        )
        self.scale = widgets.SelectionSlider(
            options=SCALE_FACTORS, description="scale factor", layout=wide
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._booting = False
        self._listen()
        self._boot()
        super().__init__(
            [self.kind, self.level, self.order, self.scattered, self.scale, self.picture]
        )

    def _listen(self) -> None:
        for control in (self.kind, self.scale):
            control.observe(self._boot, names="value")
        for control in (self.level, self.scattered):
            control.observe(self._pour, names="value")
        self.order.observe(self._show, names="value")

    def _boot(self, _: Any = None) -> None:
        """Another machine, its tank filled to its low mark."""
        ram, zone = TANKS[self.kind.value]
        machine = Machine(ram, watermark_scale_factor=self.scale.value, pcp=False, steps=False)
        self.tank = Tank(machine, zone)
        self._booting = True
        self.level.max = self._top()
        self.level.step = max(1, self.level.max // 200)
        self.level.value = min(marks(self.tank.zone)["low"], self.level.max)
        self._booting = False
        self._pour()

    def _top(self) -> int:
        """A little more than the most that anybody needs, if there is so much."""
        zone = self.tank.zone
        most = max(zone.lowmem_reserve) + marks(zone)["promo"]
        return min(most + most // 8 + 1, self.tank.free)

    def _pour(self, _: Any = None) -> None:
        """So many pages are free as the slider says; scattered, at most half of the zone."""
        if self._booting:
            return
        pour = self.tank.scatter if self.scattered.value else self.tank.set_free
        self.free = pour(self.level.value)
        self._show()

    def _show(self, _: Any = None) -> None:
        if not self._booting:
            self.picture.value = self._picture() + status(self.text())

    def answers(self) -> dict[str, Answer]:
        """What the zone says to each requester."""
        return {
            name: ask(self.tank.zone, gfp_mask, self.order.value)
            for name, gfp_mask in REQUESTERS.items()
        }

    def served(self) -> list[str]:
        """Who gets a page."""
        return [name for name, answer in self.answers().items() if answer.served]

    def text(self) -> str:
        """What is shown, in words."""
        zone = self.tank.zone
        size = show_size(self.free << PAGE_SHIFT)
        told = ", ".join(f"{name} {pages}" for name, pages in marks(zone).items())
        who = "; ".join(f"{name}: {answer}" for name, answer in self.answers().items())
        return (
            f"Zone {zone.name}: {self.free} pages free, {size}. {told}. "
            f"Order {self.order.value}: {who}."
        )

    def _picture(self) -> str:
        """The tank with its marks, then a tank for each requester, who may drain it to a floor."""
        top = max(self.level.max, self.free, 1)
        lines = [(f"{name} {pages}", pages) for name, pages in marks(self.tank.zone).items()]
        rows = [_row("watermarks", _tank(self.free, top, 0, [pages for _, pages in lines]))]
        rows.append(_row("", _names(lines)))
        for name, answer in self.answers().items():
            bar = _tank(self.free, top, _floor(answer), [])
            sign = "✓" if answer.served else "✗" if answer.attempts else "–"
            rows.append(_row(name, f"{bar}<div>{sign} {html.escape(str(answer))}</div>"))
        return (
            f'<div aria-hidden="true" style="max-width: 60em"><div style="{_ROWS}">'
            f"{''.join(rows)}</div>{_legend()}</div>"
        )


def _floor(answer: Answer) -> int:
    """Pages that are kept from the request whatever it does; -1: it never asks here."""
    if not answer.attempts:
        return -1
    last = answer.attempts[-1]
    return 0 if last.mark == NO_WATERMARK else last.needed


def _row(name: str, cell: str) -> str:
    return (
        f'<div style="{_ROW}"><div style="flex: 0 1 16em">{html.escape(name)}</div>'
        f'<div style="flex: 1 1 14em; min-width: 0">{cell}</div></div>'
    )


def _tank(free: int, top: int, floor: int, lines: list[int]) -> str:
    """A bar from no page to `top`: what is free, what of it is kept, a line for each mark."""
    if floor < 0:
        return ""
    parts = _part(_FREE, 0, free, top) + _part(_KEPT, 0, min(floor, free), top)
    if floor:
        lines = [*lines, floor]
    for pages in lines:
        left = 100 * min(pages, top) / top
        parts += (
            f'<div style="position: absolute; left: calc({left:.2f}% - 1px); height: 100%; '
            'width: 3px; background: #d55e00; outline: 1px solid #fff"></div>'
        )
    return (
        '<div style="position: relative; height: 20px; border: 1px solid #808080; '
        f'box-sizing: border-box; overflow: hidden">{parts}</div>'
    )


def _part(style: str, start: int, end: int, top: int) -> str:
    left, width = 100 * start / top, 100 * (end - start) / top
    return (
        f'<div style="position: absolute; left: {left:.2f}%; width: {width:.2f}%; height: 100%; '
        f'{style}"></div>'
    )


def _names(lines: list[tuple[str, int]]) -> str:
    return " · ".join(name for name, _ in lines)


def _legend() -> str:
    keys = {
        _FREE: "free",
        _KEPT: "free, but kept from this request",
        "background: #d55e00; width: 4px;": "a mark; more than this must be free",
    }
    spans = "".join(
        '<span style="margin-right: 1.2em"><span style="display: inline-block; width: 22px; '
        f'height: 13px; border: 1px solid #808080; {style}"></span> {name}</span>'
        for style, name in keys.items()
    )
    return f'<div style="margin: 8px 0; font-size: 13px; line-height: 1.6">{spans}</div>'
