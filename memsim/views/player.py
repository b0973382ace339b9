"""The player: a recording, shown in address order and in list order, stepped both ways.

In JupyterLab it is an anywidget; `step` and `selected` come back when the reader rests. Without a
kernel the same page stands in an <iframe>, and `text()` says the same in words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import traitlets

from memsim.views.film import Film
from memsim.views.page import Page
from memsim.views.payload import DEFAULT_PANES, Recording


class Player(Page):
    """Shows a recording; step 0 is before the first step.

    `step` is how many steps are done, `selected` the pfn that the reader follows (-1: none).
    Setting them moves the picture; what is out of range moves it as far as it goes. `panes` are
    those beside pages and lists: "code", "zones", "predict", "slab", "vmalloc". With "predict",
    `answers` has what the reader predicted, by the operation's number; with "vmalloc", `address`
    is where the page-table walk leads, "0xffffc90000000000", or "": to the first busy area.
    """

    HERE = ("step", "selected", "answers", "address")

    selected = traitlets.Int(-1)
    answers = traitlets.Dict()
    address = traitlets.Unicode("")

    def __init__(
        self, recording: Recording, title: str = "", *, panes: Sequence[str] = DEFAULT_PANES
    ) -> None:
        self._film = Film(recording, title, panes)
        super().__init__(self._film.payload)

    def show(self, recording: Recording, title: str = "", *, at_end: bool = False) -> None:
        """Another recording in the same place, from its beginning or at its end."""
        self._film = Film(recording, title, self._film.panes)
        at = self._film.last if at_end else 0
        self._show(self._film.payload, step=at, selected=-1, answers={})

    @property
    def last_step(self) -> int:
        """How many steps there are."""
        return self._film.last

    @traitlets.validate("selected")
    def _known_pfn(self, proposal: Any) -> int:
        pfn = int(proposal["value"])
        return pfn if self._made["start"] <= pfn < self._made["end"] else -1

    @traitlets.validate("address")
    def _hexadecimal(self, proposal: Any) -> str:
        digits = re.fullmatch(r"\s*(?:0x)?([0-9a-f]{1,16})\s*", proposal["value"].lower())
        return hex(int(digits[1], 16)) if digits else ""

    def narration(self, step: int | None = None) -> str:
        """What that step (default: the present one) did, in one sentence."""
        return self._film.narration(self._number(step))

    def text(self, step: int | None = None) -> str:
        """The picture after that step (default: the present one) in words; always the same."""
        return self._film.text(self._number(step), self.address)

    def svg(self, step: int | None = None) -> str:
        """The picture after that step (default: the present one) as SVG, for paper."""
        return self._film.svg(self._number(step))

    def _on_paper(self) -> dict[str, str]:
        """Where the reader is; at first, where it ends."""
        return {"image/svg+xml": self.svg(self.step or self.last_step)}

    def code(self, step: int | None = None) -> str:
        """Where that step (default: the present one) came from: file, line, function, callers."""
        return self._film.code(self._number(step))

    @property
    def score(self) -> tuple[int, int]:
        """How many predictions were right, and how many were made."""
        asked = self._made.get("questions", [])
        given = {int(n): choice for n, choice in self.answers.items() if str(n).isdecimal()}
        made = [(asked[n][3], given[n]) for n in given if n < len(asked) and asked[n]]
        return sum(right == choice for right, choice in made), len(made)
