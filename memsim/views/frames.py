"""Where a physical address lies: its page frame, zone, pageblock and struct page."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.lib.pfn import PFN_PHYS, PHYS_PFN
from memsim.lib.sizes import show_size
from memsim.lib.text import one_line
from memsim.trace.events import page_pointer
from memsim.views.controls import FULL, Controls, status
from memsim.views.ram_map import (
    GIVEN,
    HOLE,
    KEPT,
    KIND_NAMES,
    Span,
    ZoneMap,
    find_span,
    pc_ram_map,
)
from memsim.words.mmzone import PAGEBLOCK_ORDER, SIZEOF_STRUCT_PAGE

SIZES = (
    "16 MiB", "64 MiB", "256 MiB", "1 GiB", "2 GiB", "4 GiB", "8 GiB", "16 GiB", "64 GiB", "1 TiB",
)  # fmt: skip

#: The largest physical address of x86-64, in bits.
ADDRESS_BITS = 52

_STYLES = {
    HOLE: "border: 1px dashed #808080;",
    KEPT: "background: repeating-linear-gradient(45deg, #c9c9c9 0 5px, #7d7d7d 5px 7px);",
    GIVEN: "background: #56b4e9;",
}


class Frames(Controls):
    """A machine by slider, an address or a pfn by hand or by slider; says all that follows from it.

    What is no address is said in one line; the last good one stays.
    """

    def __init__(self, ram: str = "1 GiB", address: int = 0x12345678) -> None:
        self.ram = widgets.SelectionSlider(options=SIZES, value=ram, description="RAM")
        self.pageblock = widgets.IntSlider(description="pageblock", readout=False)
        self.address = widgets.Text(description="address", continuous_update=False)
        self.pfn = widgets.Text(description="pfn", continuous_update=False)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.said = widgets.HTML(layout=widgets.Layout(**FULL))
        for slider in (self.ram, self.pageblock):
            slider.layout = widgets.Layout(**FULL)
        self.at = address
        self._moving = False
        self._size()
        self._listen()
        wrap = widgets.Layout(flex_flow="row wrap")
        boxes = widgets.HBox([self.address, self.pfn], layout=wrap)
        super().__init__([self.ram, self.pageblock, boxes, self.picture, self.said])

    def _listen(self) -> None:
        """Each control moves the others."""
        self.ram.observe(self._on(lambda _: self._size()), names="value")
        self.pageblock.observe(
            self._on(lambda block: self._go(PFN_PHYS(block << PAGEBLOCK_ORDER))), names="value"
        )
        self.address.observe(self._on(lambda text: self._read("address", text, 0)), names="value")
        self.pfn.observe(self._on(lambda text: self._read("pfn", text, PAGE_SHIFT)), names="value")

    def _on(self, action: Callable[[Any], None]) -> Callable[[Any], None]:
        """What a control does, unless it is being moved by another one."""

        def react(change: Any) -> None:
            if not self._moving:
                action(change["new"])

        return react

    def _size(self) -> None:
        """Another machine; the address stays where it is as long as there is memory."""
        self.zones = pc_ram_map(self.ram.value)
        last = self.zones[-1].end - 1
        self._moving = True
        self.pageblock.max = last >> PAGEBLOCK_ORDER
        self._moving = False
        self._go(min(self.at, PFN_PHYS(last)))

    def _read(self, name: str, text: str, shift: int) -> None:
        """A number that somebody wrote, as people write addresses."""
        try:
            value = int(text.strip(), 0) << shift
        except ValueError:
            value = -1
        if not 0 <= value >> ADDRESS_BITS < 1:
            shown = one_line(text, 30)
            self._say(f"'{shown}' is no {name}: write it like 4096 or 0x1000, below 2^52 bytes.")
            return
        self._go(value)

    def _go(self, address: int) -> None:
        """Show this address in every control."""
        self.at = address
        pfn = PHYS_PFN(address)
        self._moving = True
        self.address.value, self.pfn.value = f"{address:#x}", str(pfn)
        self.pageblock.value = pfn >> PAGEBLOCK_ORDER
        self._moving = False
        self.picture.value = _picture(self.zones, pfn)
        self._say(self.text())

    def _say(self, text: str) -> None:
        self.said.value = status(text)

    def text(self) -> str:
        """The picture in a few sentences."""
        return f"{machine_text(self.ram.value, self.zones)} {address_text(self.zones, self.at)}"


def machine_text(ram: str, zones: list[ZoneMap]) -> str:
    """How many page frames, and what their struct pages cost."""
    present = sum(zone.nr_pages(KEPT, GIVEN) for zone in zones)
    share = f"{100 * SIZEOF_STRUCT_PAGE / PAGE_SIZE:.1f} %"
    memmap = show_size(present * SIZEOF_STRUCT_PAGE)
    return f"{ram}: {present} page frames; their struct pages are {memmap}, {share}."


def address_text(zones: list[ZoneMap], address: int) -> str:
    """Everything that follows from a physical address."""
    pfn = PHYS_PFN(address)
    words = f"Address {address:#x} is byte {address % PAGE_SIZE} of pfn {pfn} ({pfn:#x})"
    found = find_span(zones, pfn)
    if found is None:
        return f"{words}, which is in no zone."
    zone, span = found
    first = pfn >> PAGEBLOCK_ORDER << PAGEBLOCK_ORDER
    block = f"pageblock {pfn >> PAGEBLOCK_ORDER}, pfn {first} to {first + 511}"
    where = f"{words}: zone {zone.name}, {block}. It is {KIND_NAMES[span.kind]}"
    return f"{where}." if span.kind == HOLE else f"{where}; its struct page: {page_pointer(pfn)}."


def _picture(zones: list[ZoneMap], pfn: int) -> str:
    """A bar for each zone, at a scale of its own, with a mark at the page frame."""
    return f'<div aria-hidden="true">{"".join(_bar(z, pfn) for z in zones)}{_legend()}</div>'


def _bar(zone: ZoneMap, pfn: int) -> str:
    size = show_size(PFN_PHYS(zone.end - zone.start))
    spans = "".join(_span(zone, span) for span in zone.spans)
    mark = ""
    if zone.start <= pfn < zone.end:
        left = 100 * (pfn - zone.start) / (zone.end - zone.start)
        mark = (
            f'<div style="position: absolute; left: {left:.3f}%; top: -5px; bottom: -5px; width: '
            'calc(max(3px, 0.2%)); background: #d55e00; outline: 1px solid #fff"></div>'
        )
    return (
        f'<div style="margin: 8px 0 2px">zone {zone.name}: pfn {zone.start} to {zone.end - 1}, '
        f'{size}</div><div style="position: relative; height: 24px; max-width: 48em">'
        f"{spans}{mark}</div>"
    )


def _span(zone: ZoneMap, span: Span) -> str:
    scale = 100 / (zone.end - zone.start)
    left, width = (span.start - zone.start) * scale, (span.end - span.start) * scale
    title = html.escape(f"pfn {span.start} to {span.end - 1}: {KIND_NAMES[span.kind]}")
    return (
        f'<div title="{title}" style="position: absolute; left: {left:.3f}%; width: {width:.3f}%; '
        f'min-width: 1px; height: 100%; box-sizing: border-box; {_STYLES[span.kind]}"></div>'
    )


def _legend() -> str:
    keys = "".join(
        '<span style="display: inline-block; margin-right: 1.2em">'
        '<span style="display: inline-block; box-sizing: border-box; width: 22px; height: 13px; '
        f'{_STYLES[kind]}"></span> {KIND_NAMES[kind]}</span>'
        for kind in (GIVEN, KEPT, HOLE)
    )
    return f'<div style="margin: 8px 0; font-size: 13px; line-height: 1.6">{keys}</div>'
