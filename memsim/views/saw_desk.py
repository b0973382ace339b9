"""Free pages while a film is read that does not fit: how late kswapd is, where marks are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ipywidgets as widgets

from memsim.views.controls import FULL, Controls, status
from memsim.views.lesson15 import Saw, film

SCALE_FACTORS = (10, 50, 100, 200, 500)
#: The part of the film that is drawn, and the picture's size.
FIRST, WIDTH, HEIGHT = 3700, 900, 300
MARKS = {"high": "2 4", "low": "8 5", "min": ""}


class SawDesk(Controls):
    """A film is read again whenever a slider moves; the picture is its end."""

    def __init__(self) -> None:
        wide = widgets.Layout(**FULL)
        self.late = widgets.SelectionSlider(
            options=[1, 20, 40, 60, 80, 120], description="late by", layout=wide,
            continuous_update=False,
        )  # fmt: skip
        self.scale = widgets.SelectionSlider(
            options=SCALE_FACTORS, description="scale factor", layout=wide, continuous_update=False
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._read()
        for slider in (self.late, self.scale):
            slider.observe(self._read, names="value")
        super().__init__([self.late, self.scale, self.picture])

    def _read(self, _: Any = None) -> None:
        self.saw = film(self.late.value, watermark_scale_factor=self.scale.value)
        self.picture.value = picture(self.saw) + status(self.text())

    def still(self) -> str:
        """The picture, and what it shows in words."""
        return str(self.picture.value)

    def text(self) -> str:
        """What is shown, in words."""
        marks = ", ".join(f"{name} {self.saw.marks[name]}" for name in ("min", "low", "high"))
        return f"{marks}. {self.saw}."


def picture(saw: Saw) -> str:
    """Free pages, the three marks, a triangle for kswapd and a cross for direct reclaim. HTML."""
    shown = saw.free[FIRST:]
    span = min([*shown, saw.marks["min"]]) * 0.9, max([*shown, saw.marks["high"]]) * 1.05
    points = " ".join(f"{_x(n, shown)},{_y(free, span)}" for n, free in enumerate(shown))
    lines = "".join(_mark(name, saw.marks[name], span) for name in MARKS)
    daemons = _signs(saw.kswapd, shown, span, "M-6 5h12l-6-10z", "#0072b2")
    direct = _signs(saw.direct, shown, span, "M-6-6l12 12M6-6l-12 12", "#d55e00")
    return (
        '<div aria-hidden="true" style="max-width: 60em; margin: 8px 0; color: '
        'var(--jp-ui-font-color1, currentColor)">'
        f'<svg viewBox="0 -8 {WIDTH + 80} {HEIGHT + 16}" style="display: block; width: 100%">'
        f'{lines}<polyline points="{points}" fill="none" stroke="#e69f00" stroke-width="2"/>'
        f"{daemons}{direct}</svg><small>Yellow: free pages behind each request, from {FIRST:,} on. "
        "▲: kswapd has run. ✕: direct reclaim.</small></div>"
    )


def _x(number: int, shown: list[int]) -> float:
    return round(WIDTH * number / len(shown), 1)


def _y(pages: int, span: tuple[float, float]) -> float:
    bottom, top = span
    return round(HEIGHT * (top - pages) / (top - bottom), 1)


def _mark(name: str, pages: int, span: tuple[float, float]) -> str:
    y = _y(pages, span)
    return (
        f'<path d="M0 {y}h{WIDTH}" stroke="currentColor" stroke-dasharray="{MARKS[name]}"/>'
        f'<text x="{WIDTH + 6}" y="{y + 5}" font-size="15" fill="currentColor">{name} {pages}'
        "</text>"
    )


def _signs(
    at: Iterable[int], shown: list[int], span: tuple[float, float], shape: str, colour: str
) -> str:
    return "".join(
        f'<path transform="translate({_x(n - FIRST, shown)} {_y(shown[n - FIRST], span)})" '
        f'd="{shape}" fill="{colour}" stroke="{colour}" stroke-width="3"/>'
        for n in at
        if n >= FIRST
    )
