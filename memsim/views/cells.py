"""What a pane shows, as values of cells: the browser puts them in, and takes them back.

A pane's own scene follows the steps in Python; here its values before and after each frame are
compared. So what a tree or a chain of slabs becomes is computed in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from memsim.trace.steps import Step

#: The kind of an encoded step that changes a cell: [CELL, number, old value, new value].
CELL = 8

#: What a cell is called; it begins with the name of its pane.
Key = tuple[Any, ...]


class PaneScene(Protocol):
    """What a pane shows, taken along by steps."""

    TITLE: ClassVar[str]

    def apply(self, step: Step, *, backwards: bool = False) -> None:
        """One step."""

    def cells(self) -> Mapping[Key, Any]:
        """The value of each cell that has one, as JSON can hold it; keys begin with the pane."""

    def lines(self) -> list[str]:
        """The pane in words."""

    def layout(self, cells: Cells) -> dict[str, Any]:
        """What the browser has to know besides the values: which cell is which."""


class Cells:
    """The cells of all panes, by number; a value is None while there is nothing to show."""

    def __init__(self) -> None:
        self.first: list[Any] = []
        self._numbers: dict[Key, int] = {}
        self._now: list[Any] = []

    def number(self, key: Key) -> int:
        """The cell of this key."""
        if key not in self._numbers:
            self._numbers[key] = len(self.first)
            self.first.append(None)
            self._now.append(None)
        return self._numbers[key]

    def of(self, pane: str) -> dict[Key, int]:
        """The cells of a pane, by key."""
        return {key: number for key, number in self._numbers.items() if key[0] == pane}

    def begin(self, values: Mapping[Key, Any]) -> None:
        """What the cells hold before the first step."""
        for key, value in values.items():
            number = self.number(key)
            self.first[number] = self._now[number] = value

    def change(self, pane: str, values: Mapping[Key, Any]) -> list[list[Any]]:
        """The encoded steps that lead from what was last seen of a pane to these values."""
        encoded = []
        for key in dict.fromkeys([*self.of(pane), *values]):
            number, value = self.number(key), values.get(key)
            if value != self._now[number]:
                encoded.append([CELL, number, self._now[number], value])
                self._now[number] = value
        return encoded


def back_to_start(scene: PaneScene, steps: Iterable[Step]) -> None:
    """Undo all steps."""
    for step in reversed(list(steps)):
        scene.apply(step, backwards=True)
