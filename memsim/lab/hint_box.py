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
        self.button = widgets.Button(
            description=f"A hint ({hints.used} of 3 taken)", layout=widgets.Layout(width="16em")
        )
        self.said = widgets.HTML(layout=widgets.Layout(**FULL))
        self.button.on_click(self._pressed)
        super().__init__([self.button, self.said])

    def _pressed(self, button: Any) -> None:
        lines = str(self._hints.next()).splitlines()
        if len(lines) > 1:
            self.said.value = ""
        self.said.value += "".join(status(line) for line in lines)
        self.button.description = f"A hint ({self._hints.used} of 3 taken)"
