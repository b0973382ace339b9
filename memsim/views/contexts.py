"""Can I sleep here? Who asks, with which mask, and with how much memory free: what happens then.

The page, or its refusal, is the live model's answer. What a sleep does in that place follows from
what the context may do.

NOT MODELLED: the sleep itself. Where a real kernel would reclaim and try again, this says "waits".
"""

from __future__ import annotations

import html
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.views.lesson06 import MAX_FREE, MIN, Answer, ask, at_level
from memsim.words.arch import X86_64
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_FS,
    __GFP_IO,
    __GFP_NOFAIL,
    GFP_ATOMIC,
    GFP_DMA32,
    GFP_KERNEL,
    GFP_NOFS,
    GFP_NOIO,
    GFP_NOWAIT,
    gfp_zone,
)


class Context(NamedTuple):
    """Where code runs, and what it may do there. highest_zone: what its device can reach."""

    name: str
    may_sleep: bool = True
    may_fs: bool = True
    may_io: bool = True
    highest_zone: int = X86_64.ZONE_MOVABLE


CONTEXTS = (
    Context("a system call"),
    Context("it holds a spinlock", may_sleep=False),
    Context("an interrupt handler", may_sleep=False),
    Context("a filesystem in a transaction", may_fs=False),
    Context("a driver that writes pages out", may_fs=False, may_io=False),
    Context("a device of 32 address bits", highest_zone=X86_64.ZONE_DMA32),
)
MASKS = {
    "GFP_KERNEL": GFP_KERNEL,
    "GFP_NOFS": GFP_NOFS,
    "GFP_NOIO": GFP_NOIO,
    "GFP_NOWAIT": GFP_NOWAIT,
    "GFP_ATOMIC": GFP_ATOMIC,
    "GFP_KERNEL | __GFP_NOFAIL": GFP_KERNEL | __GFP_NOFAIL,
    "GFP_KERNEL | GFP_DMA32": GFP_KERNEL | GFP_DMA32,
}

PAGE = "a page"
LUCK = "a page, by luck"
WAITS = "waits"
REFUSED = "NULL"
SLEEPS = "BUG: sleeps"
DEADLOCK = "deadlock"
OUT_OF_REACH = "out of reach"

#: What each outcome means, in a sentence.
MEANS = {
    PAGE: "Right here, at this level",
    LUCK: "With less memory free this same line waits for itself",
    WAITS: (
        "It sleeps while memory is reclaimed, then tries again, which is right here "
        "(NOT MODELLED: the wait)"
    ),
    REFUSED: "At once: the caller must be able to go on without",
    SLEEPS: (
        "“BUG: sleeping function called from invalid context”, however much is free: might_alloc() "
        "asks before anything else, if the kernel has CONFIG_DEBUG_ATOMIC_SLEEP. Without that it "
        "goes well for as long as memory is free, and then the scheduler finds it"
    ),
    DEADLOCK: "Reclaim, on this task's behalf, waits for what only this task can finish",
    OUT_OF_REACH: "The page may lie above 4 GiB, where the device cannot reach it: Normal will do",
}
_STYLES = {
    PAGE: "",
    LUCK: "background: repeating-linear-gradient(90deg, transparent 0 6px, #e69f0080 6px 9px)",
    WAITS: "background: repeating-linear-gradient(0deg, transparent 0 4px, #56b4e970 4px 7px)",
    REFUSED: "background: radial-gradient(#80808090 1.5px, transparent 2px) 0 0 / 7px 7px",
    SLEEPS: "background: repeating-linear-gradient(45deg, transparent 0 5px, #d55e0080 5px 8px)",
    DEADLOCK: (
        "background: repeating-linear-gradient(45deg, transparent 0 5px, #d55e0080 5px 7px), "
        "repeating-linear-gradient(-45deg, transparent 0 5px, #d55e0080 5px 7px)"
    ),
    OUT_OF_REACH: (
        "background: repeating-linear-gradient(-45deg, transparent 0 5px, #cc79a780 5px 8px)"
    ),
}


def outcome(context: Context, gfp_mask: int, answer: Answer) -> str:
    """What happens to a request of this context, whose mask the model answered so."""
    sleeps = bool(gfp_mask & __GFP_DIRECT_RECLAIM)
    if sleeps and not context.may_sleep:
        return SLEEPS
    if gfp_zone(gfp_mask) > context.highest_zone:
        return OUT_OF_REACH
    if answer.served:
        return LUCK if sleeps and recurses(context, gfp_mask) else PAGE
    if not sleeps:
        return REFUSED
    return DEADLOCK if recurses(context, gfp_mask) else WAITS


def recurses(context: Context, gfp_mask: int) -> bool:
    """May reclaim, under this mask, call what this context is in the middle of?"""
    fs = gfp_mask & __GFP_FS and not context.may_fs
    io = gfp_mask & __GFP_IO and not context.may_io
    return bool(fs or io)


def outcomes(free: int) -> dict[tuple[str, str], str]:
    """What happens in each context with each mask, with so many pages free.

    What __GFP_NOFAIL may take beyond the others it gets only after reclaim has failed.
    """
    machine = at_level(free)
    answers = {name: ask(machine, mask & ~__GFP_NOFAIL) for name, mask in MASKS.items()}
    return {
        (context.name, name): outcome(context, mask, answers[name])
        for context in CONTEXTS
        for name, mask in MASKS.items()
    }


class CanISleep(Controls):
    """A context and a mask by choice, free memory by slider; shows all outcomes at that level."""

    def __init__(self, free: int = MAX_FREE) -> None:
        wide = widgets.Layout(**FULL)
        names = [context.name for context in CONTEXTS]
        self.context = widgets.Dropdown(options=names, description="context", layout=wide)
        self.mask = widgets.Dropdown(options=list(MASKS), description="mask", layout=wide)
        self.free = widgets.IntSlider(
            min=0, max=MAX_FREE, step=25, value=free, description="free pages",
            continuous_update=False, layout=wide,
        )  # fmt: skip
        self.said = widgets.HTML(layout=wide)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.free.observe(self._level, names="value")
        for control in (self.context, self.mask):
            control.observe(self._show, names="value")
        self._level()
        super().__init__([self.context, self.mask, self.free, self.said, self.picture])

    def _level(self, _: Any = None) -> None:
        """Another level: the machine answers each mask anew."""
        self.outcomes = outcomes(self.free.value)
        self._show()

    def _show(self, _: Any = None) -> None:
        self.said.value = status(self.text())
        self.picture.value = picture(self.outcomes, self.context.value, self.mask.value)

    @property
    def outcome(self) -> str:
        """What happens where the controls stand."""
        return self.outcomes[self.context.value, self.mask.value]

    def text(self) -> str:
        """What happens where the controls stand, in words."""
        where = f"{self.free.value} pages free, min {MIN}; {self.context.value}, {self.mask.value}"
        return f"{where}: {self.outcome}. {MEANS[self.outcome]}."


def outcomes_text(table: dict[tuple[str, str], str]) -> str:
    """The whole table in words, a line for each context."""
    return "\n".join(
        f"{context.name}: " + ", ".join(f"{mask} {table[context.name, mask]}" for mask in MASKS)
        for context in CONTEXTS
    )


def picture(table: dict[tuple[str, str], str], context: str, mask: str) -> str:
    """Contexts by masks; the one where the controls stand is marked. HTML."""
    head = "".join(f'<th scope="col" style="{_CELL}">{html.escape(name)}</th>' for name in MASKS)
    rows = "".join(
        f'<tr><th scope="row" style="{_WHO}">{html.escape(row.name)}</th>'
        + "".join(
            _cell(table[row.name, name], (row.name, name) == (context, mask)) for name in MASKS
        )
        + "</tr>"
        for row in CONTEXTS
    )
    return scrolling(
        '<table style="border-collapse: collapse; font-size: 12px; line-height: 1.3"><tr>'
        f'<th scope="col" style="{_CELL}">who asks</th>{head}</tr>{rows}</table>',
        'role="region" aria-label="outcomes by context and mask" tabindex="0"',
    )


_CELL = "border: 1px solid #808080; padding: 5px 4px; text-align: center; max-width: 8em"
_WHO = f"{_CELL}; text-align: left; min-width: 10em; font-weight: normal"


def _cell(what: str, is_current: bool) -> str:
    mark = "outline: 3px solid #d55e00; outline-offset: -2px" if is_current else ""
    text = f"<b>{what}</b>" if is_current else what
    plate = "background: var(--jp-layout-color0, Canvas); padding: 0 4px"
    return f'<td style="{_CELL}; {_STYLES[what]}; {mark}"><span style="{plate}">{text}</span></td>'
