"""Flip one bit of a pfn and the buddy lights up: the widget of the XOR rule."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from memsim.mm.page_alloc.buddy import _find_buddy_pfn
from memsim.views.controls import FULL, Controls, status

#: Blocks narrower than this many to a row carry their pfn.
LABELLED = 16

_BLOCK = "background: #56b4e9; color: #000; outline: 2px solid #000; outline-offset: -2px;"
_BUDDY = (
    "background: repeating-linear-gradient(45deg, #f6c860 0 9px, #e69f00 9px 11px); color: #000; "
    "outline: 2px dashed #000; outline-offset: -2px;"
)
_FLIPPED = "background: #f6c860; color: #000; outline: 3px dashed #000; outline-offset: -3px;"


class Buddies(Controls):
    """A pfn and an order by slider; shows the block, the bit that is flipped, and the buddy."""

    def __init__(self, nr_pages: int = 64) -> None:
        self.nr_bits = (nr_pages - 1).bit_length()
        self.pfn = widgets.IntSlider(
            min=0, max=nr_pages - 1, value=12, description="pfn", layout=widgets.Layout(**FULL)
        )
        self.order = widgets.IntSlider(
            min=0, max=self.nr_bits - 1, value=2, description="order", layout=widgets.Layout(**FULL)
        )
        self.flip = widgets.Button(
            description="Flip the bit", tooltip="go to the buddy; once more, and you are back"
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.flip.on_click(self._flip)
        for slider in (self.pfn, self.order):
            slider.observe(self._show, names="value")
        self._show()
        super().__init__([self.pfn, self.order, self.flip, self.picture])

    @property
    def block(self) -> int:
        """First pfn of the block of this order that holds the chosen pfn."""
        return int(self.pfn.value) & -(1 << int(self.order.value))

    @property
    def buddy(self) -> int:
        """First pfn of its buddy."""
        return _find_buddy_pfn(self.block, self.order.value)

    def text(self) -> str:
        """The picture in one sentence."""
        order, block, buddy = self.order.value, self.block, self.buddy
        inside = "" if self.pfn.value == block else f"pfn {self.pfn.value} is in this block. "
        return (
            f"{inside}Block: pfn {block} = {self._binary(block)}, order {order}. Flip bit {order}, "
            f"worth {1 << order}: the buddy is pfn {buddy} = {self._binary(buddy)}. Together they "
            f"are the block at pfn {block & buddy}, order {order + 1}."
        )

    def _binary(self, pfn: int) -> str:
        return f"0b{pfn:0{self.nr_bits}b}"

    def _flip(self, _: Any) -> None:
        self.pfn.value = self.buddy

    def _show(self, _: Any = None) -> None:
        self.picture.value = self._bits() + self._pages() + status(self.text())

    def _bits(self) -> str:
        """The block's pfn, a box for each bit; the one that is flipped stands out."""
        boxes = []
        for bit in reversed(range(self.nr_bits)):
            style = _FLIPPED if bit == self.order.value else "border: 1px solid currentColor;"
            boxes.append(
                f'<span style="display: inline-block; text-align: center; margin-right: 4px">'
                f'<span style="display: block; width: 2em; padding: 3px 0; {style}">'
                f"{self.block >> bit & 1}</span><small>bit {bit}</small></span>"
            )
        return f'<div aria-hidden="true" style="margin: 4px 0">{"".join(boxes)}</div>'

    def _pages(self) -> str:
        """All blocks of this order in address order."""
        size = 1 << self.order.value
        nr_blocks = (self.pfn.max + 1) // size
        cells = [self._cell(index * size, nr_blocks) for index in range(nr_blocks)]
        return (
            f'<div aria-hidden="true" style="display: grid; margin: 6px 0; max-width: 48em; '
            f'grid-template-columns: repeat({nr_blocks}, minmax(0, 1fr))">{"".join(cells)}</div>'
        )

    def _cell(self, pfn: int, nr_blocks: int) -> str:
        style = {self.block: _BLOCK, self.buddy: _BUDDY}.get(pfn, "")
        words = {self.block: "block", self.buddy: "buddy"}.get(pfn, "")
        label = f"{pfn}<br>{words}" if nr_blocks <= LABELLED else "<br>"
        return (
            f'<div title="pfn {pfn} {words}" style="border: 1px solid #808080; padding: 4px 0; '
            f'overflow: hidden; text-align: center; font-size: 12px; line-height: 1.3; {style}">'
            f"{label}</div>"
        )
