"""A live machine on the bench: allocate, free, undo, and look at each operation step by step."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from memsim.machine import Machine, Recording
from memsim.views.controls import FULL, Controls, status
from memsim.views.player import Player
from memsim.views.scene import ALLOCATED, Scene
from memsim.words.errors import MemsimError
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE
from memsim.words.mmzone import MAX_PAGE_ORDER


class Bench(Controls):
    """Controls that drive a Machine, and a player with the last operation.

    A request that the machine refuses is said in one line, and changes nothing.
    """

    def __init__(self, machine: Machine, gfp_mask: int = GFP_HIGHUSER_MOVABLE) -> None:
        self.machine = machine
        self.gfp_mask = gfp_mask
        self.order = widgets.IntSlider(min=0, max=MAX_PAGE_ORDER, description="order")
        self.block = widgets.Dropdown(description="block")
        self.alloc = self._button("alloc_pages", self._alloc)
        self.free = self._button("free_pages", self._free)
        self.undo = self._button("Undo", self._undo)
        self.redo = self._button("Redo", self._redo)
        self.said = widgets.HTML(layout=widgets.Layout(**FULL))
        self.player = Player(self._look())
        self._update("Nothing is done yet.")
        wrap = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [
                widgets.HBox([self.order, self.alloc], layout=wrap),
                widgets.HBox([self.block, self.free], layout=wrap),
                widgets.HBox([self.undo, self.redo], layout=wrap),
                self.said,
                self.player,
            ]
        )

    def _button(self, name: str, action: Callable[[], str]) -> widgets.Button:
        button = widgets.Button(description=name)
        button.on_click(lambda _: self._run(action))
        return button

    def text(self) -> str:
        """What was said last, and the player's picture."""
        return f"{self._said}\n{self.player.text()}"

    def _run(self, action: Callable[[], str]) -> None:
        """One operation, recorded; a refusal is a line of text."""
        try:
            with self.machine.recording() as recording:
                said = action()
        except MemsimError as error:
            self._update(f"Refused: {error}")
            return
        if not recording.operations:
            recording = self._look()
        self.player.show(recording, at_end=True)
        self._update(said)

    def _look(self) -> Recording:
        """The present state, and no steps."""
        with self.machine.recording() as recording:
            pass
        return recording

    def _alloc(self) -> str:
        pfn = self.machine.alloc_pages(self.gfp_mask, self.order.value)
        return f"Allocated: pfn {pfn}, order {self.order.value}."

    def _free(self) -> str:
        if self.block.value is None:
            return "No block is allocated: there is nothing to free."
        pfn = self.block.value
        self.machine.free_pages(pfn)
        return f"Freed: pfn {pfn}."

    def _undo(self) -> str:
        return f"Undone: {self.machine.undo().name}."

    def _redo(self) -> str:
        return f"Done again: {self.machine.redo().name}."

    def _update(self, said: str) -> None:
        """What was said, and the blocks that can be freed now."""
        self._said = said
        self.said.value = status(said)
        blocks = [b for b in Scene(self.machine.snapshot()).blocks() if b.kind == ALLOCATED]
        chosen, pfns = self.block.value, [block.pfn for block in blocks]
        self.block.options = [(f"pfn {b.pfn}, order {b.order}", b.pfn) for b in blocks]
        self.block.value = chosen if chosen in pfns else next(iter(pfns), None)
