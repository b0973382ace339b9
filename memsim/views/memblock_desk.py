"""memblock on 64 pages of addresses: add, reserve, allocate, and see both arrays."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SHIFT
from memsim.mm.memblock.add import memblock_add, memblock_reserve
from memsim.mm.memblock.alloc import memblock_alloc
from memsim.mm.memblock.region import Memblock, MemblockType, memblock_search
from memsim.mm.memblock.remove import memblock_phys_free
from memsim.views.controls import FULL, Controls, status
from memsim.views.vmalloc_map import cell

PAGES = 64
NO_RAM, FREE, RESERVED = "no RAM", "free RAM", "reserved"
STYLES = {
    NO_RAM: "background: repeating-linear-gradient(45deg, #9a9a9a 0 3px, #3a3a3a 3px 5px);",
    FREE: "background: transparent;",
    RESERVED: "background: #56b4e9;",
}


def regions_text(type_: MemblockType) -> str:
    """An array in words, in pages: "memory.cnt = 2: [0, 40) [48, 64)"."""
    parts = [f"[{r.base >> PAGE_SHIFT}, {r.end >> PAGE_SHIFT})" for r in type_.regions]
    return f"{type_.name}.cnt = {len(parts)}: {' '.join(parts) or 'nothing'}"


def two_banks() -> Memblock:
    """RAM of 40 and of 16 pages with a hole between, and two ranges in use."""
    memblock = Memblock()
    for base, size in ((0, 40), (48, 16)):
        memblock_add(memblock, base << PAGE_SHIFT, size << PAGE_SHIFT)
    for base, size in ((0, 4), (20, 6)):
        memblock_reserve(memblock, base << PAGE_SHIFT, size << PAGE_SHIFT)
    return memblock


class MemblockDesk(Controls):
    """Both arrays under buttons; a checkbox lets memblock look from the bottom up."""

    def __init__(self) -> None:
        wide = widgets.Layout(**FULL)
        self.base = widgets.IntSlider(value=26, max=PAGES - 1, description="base", layout=wide)
        self.size = widgets.IntSlider(value=4, min=1, max=16, description="size", layout=wide)
        self.align = widgets.SelectionSlider(
            options=[1, 2, 4, 8, 16], description="align", layout=wide
        )
        self.bottom_up = widgets.Checkbox(description="bottom_up", indent=False)
        actions: dict[str, Callable[[], str]] = {
            "memblock_add(base, size)": self._add,
            "memblock_reserve(base, size)": self._reserve,
            "memblock_phys_free(base, size)": self._free,
            "memblock_alloc(size, align)": self._alloc,
            "start over": self._start_over,
        }
        self.buttons = {name: self._button(name, action) for name, action in actions.items()}
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.said = self._start_over()
        self._show()
        wrap = widgets.Layout(flex_flow="row wrap")
        buttons = widgets.HBox(list(self.buttons.values()), layout=wrap)
        super().__init__([self.base, self.size, self.align, self.bottom_up, buttons, self.picture])

    def press(self, name: str) -> str:
        """Press a button, by how its name begins; what is shown then, in words."""
        next(b for text, b in self.buttons.items() if text.startswith(name)).click()
        return self.text()

    def text(self) -> str:
        """What is shown, in words."""
        arrays = (self.memblock.memory, self.memblock.reserved)
        return "\n".join([self.said, *map(regions_text, arrays)])

    def _button(self, name: str, action: Callable[[], str]) -> widgets.Button:
        button = widgets.Button(description=name, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self._run(action))
        return button

    def _run(self, action: Callable[[], str]) -> None:
        self.said = action()
        self._show()

    def _range(self) -> tuple[int, int]:
        """Base and size in bytes; the bar ends at page 64."""
        base = self.base.value
        size = min(self.size.value, PAGES - base)
        return base << PAGE_SHIFT, size << PAGE_SHIFT

    def _add(self) -> str:
        memblock_add(self.memblock, *self._range())
        return f"memblock_add({self._told()}): it is RAM."

    def _reserve(self) -> str:
        memblock_reserve(self.memblock, *self._range())
        return f"memblock_reserve({self._told()}): it is in use."

    def _free(self) -> str:
        memblock_phys_free(self.memblock, *self._range())
        return f"memblock_phys_free({self._told()}): it is in use no more."

    def _alloc(self) -> str:
        self.memblock.bottom_up = self.bottom_up.value
        size, align = self.size.value, self.align.value
        found = memblock_alloc(self.memblock, size << PAGE_SHIFT, align << PAGE_SHIFT)
        if not found:
            return f"memblock_alloc({size}, {align}): NULL, no gap is large enough."
        order = "lowest" if self.bottom_up.value else "highest"
        return (
            f"memblock_alloc({size}, {align}): page {found >> PAGE_SHIFT}, the {order} that fits."
        )

    def _start_over(self) -> str:
        self.memblock = two_banks()
        return "Two banks of RAM, a hole between them, two ranges in use."

    def _told(self) -> str:
        base, size = self._range()
        return f"{base >> PAGE_SHIFT}, {size >> PAGE_SHIFT}"

    def _show(self, _: Any = None) -> None:
        kinds = [self._kind(page) for page in range(PAGES)]
        boxes = "".join(cell(STYLES[kind], 12, f"page {n}: {kind}") for n, kind in enumerate(kinds))
        keys = " ".join(f"{cell(style, 22)} {html.escape(k)}" for k, style in STYLES.items())
        self.picture.value = (
            f'<div aria-hidden="true" style="max-width: 60em"><div style="display: flex; '
            f'flex-wrap: wrap; row-gap: 4px">{boxes}</div><div style="margin: 6px 0">{keys}</div>'
            f"</div>{status(self.text())}"
        )

    def _kind(self, page: int) -> str:
        address = page << PAGE_SHIFT
        if memblock_search(self.memblock.reserved, address) >= 0:
            return RESERVED
        return FREE if memblock_search(self.memblock.memory, address) >= 0 else NO_RAM
