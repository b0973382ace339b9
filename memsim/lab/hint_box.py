"""A button that gives one hint more each time it is pressed."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from memsim.lab.hints import Hints
from memsim.views.controls import FULL, status


class HintBox(widgets.VBox):
    """Hints taken so far stay in sight."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self.button = widgets.Button(layout=widgets.Layout(width="16em"))
        self.said = widgets.HTML(layout=widgets.Layout(**FULL))
        self.button.on_click(self._pressed)
        super().__init__([self.button, self.said])
        self._show()

    def _pressed(self, button: Any) -> None:
        self._hints.next()
        self._show()

    def _show(self) -> None:
        self.said.value = "".join(map(status, self._hints.taken()))
        self.button.description = f"A hint ({self._hints.used} of 3 taken)"
        self.button.disabled = self._hints.used == 3
