"""A gfp_mask taken apart: by name, by text or bit by bit; says what each bit makes of a request."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from memsim.lib.text import one_line
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.views.lesson06 import BITS, FORBIDDEN, GROUPS, ZoneRow, zone_name, zone_table
from memsim.words import gfp
from memsim.words.arch import ARCHES, X86_64, Arch, arch_of
from memsim.words.gfp import (
    __GFP_BITS_MASK,
    __GFP_DIRECT_RECLAIM,
    __GFP_HIGH,
    __GFP_IO,
    __GFP_KSWAPD_RECLAIM,
    __GFP_MEMALLOC,
    __GFP_NOFAIL,
    __GFP_NOMEMALLOC,
    GFP_ZONEMASK,
    gfp_migratetype,
    parse_gfp_flags,
    show_gfp_flags,
)
from memsim.words.mmzone import MIGRATE_PCPTYPES, MIGRATETYPE_NAMES

#: Combinations that have a name.
NAMED: dict[str, int] = {
    name: getattr(gfp, name)
    for name in (
        "GFP_KERNEL", "GFP_KERNEL_ACCOUNT", "GFP_NOFS", "GFP_NOIO", "GFP_NOWAIT", "GFP_ATOMIC",
        "GFP_USER", "GFP_HIGHUSER", "GFP_HIGHUSER_MOVABLE", "GFP_TRANSHUGE", "GFP_TRANSHUGE_LIGHT",
        "GFP_DMA", "GFP_DMA32",
    )
}  # fmt: skip
OTHER = "(no name)"


class GfpMask(Controls):
    """A mask by name, by text (names or a number) or by its bits; each moves the others.

    What is no mask is said in one line; the last good one stays.
    """

    def __init__(self, gfp_mask: int = gfp.GFP_KERNEL) -> None:
        wide = widgets.Layout(**FULL)
        self.named = widgets.Dropdown(options=[*NAMED, OTHER], description="named", layout=wide)
        self.mask = widgets.Text(description="mask", continuous_update=False, layout=wide)
        self.arch = widgets.RadioButtons(
            options=[arch.name for arch in ARCHES], description="zones of", layout=wide
        )
        self.bits = {
            name: widgets.Checkbox(
                description=f"__GFP_{name}", indent=False, layout=widgets.Layout(width="16em")
            )
            for name in BITS
        }
        self.said = widgets.HTML(layout=wide)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._moving = False
        self._listen()
        self._go(gfp_mask)
        groups = [self._group(name) for name in GROUPS]
        super().__init__([self.named, self.mask, *groups, self.said, self.arch, self.picture])

    def _group(self, name: str) -> widgets.Box:
        wrap = widgets.Layout(flex_flow="row wrap", align_items="center")
        title = widgets.HTML(f"<b>{name}</b>", layout=widgets.Layout(width="100%"))
        return widgets.Box([title, *(self.bits[bit] for bit in GROUPS[name])], layout=wrap)

    def _listen(self) -> None:
        """Each control moves the others."""
        self.named.observe(self._on(self._choose), names="value")
        self.mask.observe(self._on(self._read), names="value")
        self.arch.observe(self._on(lambda _: self._go(self.gfp_mask)), names="value")
        for box in self.bits.values():
            box.observe(self._on(lambda _: self._go(self._ticked())), names="value")

    def _on(self, action: Callable[[Any], None]) -> Callable[[Any], None]:
        def react(change: Any) -> None:
            if not self._moving:
                action(change["new"])

        return react

    def _choose(self, name: str) -> None:
        if name != OTHER:
            self._go(NAMED[name])

    def _ticked(self) -> int:
        """The mask that the boxes say; bits that have no box stay."""
        mask = self.gfp_mask & ~sum(BITS.values())
        return mask | sum(BITS[name] for name, box in self.bits.items() if box.value)

    def _read(self, text: str) -> None:
        mask = read_mask(text)
        if mask is None:
            shown = one_line(text, 30)
            self.said.value = status(
                f"'{shown}' is no mask: write it like 0xcc0, or GFP_KERNEL|__GFP_ZERO."
            )
            return
        self._go(mask)

    def _go(self, gfp_mask: int) -> None:
        """Show this mask in every control."""
        self.gfp_mask = gfp_mask
        self._moving = True
        self.named.value = next((n for n, mask in NAMED.items() if mask == gfp_mask), OTHER)
        self.mask.value = f"{gfp_mask:#x}"
        for name, box in self.bits.items():
            box.value = bool(gfp_mask & BITS[name])
        self._moving = False
        arch = arch_of(self.arch.value) or X86_64
        self.said.value = status(self.text())
        self.picture.value = zone_picture(gfp_mask & GFP_ZONEMASK, arch)

    def text(self) -> str:
        """What the mask means, in words."""
        return mask_text(self.gfp_mask, arch_of(self.arch.value) or X86_64)


def read_mask(text: str) -> int | None:
    """A mask that somebody wrote, as a number or in the kernel's names; None if it is none."""
    text = text.strip()
    try:
        mask = int(text, 0) if text[:1].isdigit() else parse_gfp_flags(text.replace(" ", ""))
    except ValueError:
        return None
    return mask if 0 <= mask <= __GFP_BITS_MASK else None


def mask_text(gfp_mask: int, arch: Arch = X86_64) -> str:
    """Everything that follows from a mask, in a few sentences."""
    said = [f"{gfp_mask:#x}, which a trace prints as {show_gfp_flags(gfp_mask)}."]
    said += [_zone_text(gfp_mask, arch), _type_text(gfp_mask), _sleep_text(gfp_mask)]
    return " ".join([*said, _reserve_text(gfp_mask)])


def _zone_text(gfp_mask: int, arch: Arch) -> str:
    zone = zone_name(gfp_mask, arch)
    if zone == FORBIDDEN:
        return "Forbidden: its zone bits exclude each other."
    return f"Highest zone: {zone}."


def _type_text(gfp_mask: int) -> str:
    migratetype = gfp_migratetype(gfp_mask)
    if migratetype >= MIGRATE_PCPTYPES:
        return "Forbidden: both __GFP_MOVABLE and __GFP_RECLAIMABLE."
    return f"Migratetype: {MIGRATETYPE_NAMES[migratetype]}."


def _sleep_text(gfp_mask: int) -> str:
    """May it sleep, and what may reclaim do meanwhile?"""
    if not gfp_mask & __GFP_DIRECT_RECLAIM:
        wakes = "wakes kswapd" if gfp_mask & __GFP_KSWAPD_RECLAIM else "wakes nobody"
        nofail = " __GFP_NOFAIL is not obeyed." if gfp_mask & __GFP_NOFAIL else ""
        return f"Never sleeps; when memory is low it {wakes}.{nofail}"
    io = "start I/O" if gfp_mask & __GFP_IO else ""
    fs = "call into filesystems" if gfp_mask & gfp.__GFP_FS else ""
    may = " and ".join(word for word in (io, fs) if word)
    return f"May sleep: reclaim for it may {may or 'neither start I/O nor call into filesystems'}."


def _reserve_text(gfp_mask: int) -> str:
    """How deep may a request for one page go?

    Kernel: mm/page_alloc.c gfp_to_alloc_flags(), __zone_watermark_ok()
    """
    if gfp_mask & __GFP_MEMALLOC and not gfp_mask & __GFP_NOMEMALLOC:
        return "Reserves: all, to the last page."
    if gfp_mask & __GFP_HIGH:
        blocks = gfp_mask & (__GFP_DIRECT_RECLAIM | __GFP_NOMEMALLOC)
        return f"Reserves: down to {'1/2' if blocks else '3/8'} of min."
    nofail = gfp_mask & __GFP_NOFAIL and gfp_mask & __GFP_DIRECT_RECLAIM
    if nofail:
        return "Reserves: down to 1/2 of min, after everything else has failed."
    return "Reserves: none, it stops at min."


def zone_picture(bits: int, arch: Arch) -> str:
    """The zone table, with the row of these bits marked. HTML."""
    rows = "".join(_row(row, row.bits == bits) for row in zone_table(arch))
    head = "".join(f'<th scope="col" style="{_CELL}">{word}</th>' for word in _HEAD)
    caption = f"The zone table of {html.escape(arch.name)}"
    return scrolling(
        f'<table style="border-collapse: collapse; font-size: 13px"><caption style="text-align: '
        f'left">{caption}</caption><tr>{head}</tr>{rows}</table>',
        f'role="region" aria-label="{caption}" tabindex="0"',
    )


_HEAD = ("bits", "which of DMA, HIGHMEM, DMA32, MOVABLE", "highest zone", "")
_CELL = "border: 1px solid #808080; padding: 1px 10px; text-align: left"
_HATCH = "background: repeating-linear-gradient(45deg, transparent 0 5px, #80808070 5px 7px)"


def _row(row: ZoneRow, is_current: bool) -> str:
    mark = "outline: 3px solid #d55e00; outline-offset: -2px" if is_current else ""
    hatch = _HATCH if row.zone == FORBIDDEN else ""
    here = "◀ this mask" if is_current else ""
    cells = (f"{row.bits:#x}", row.names, row.zone, here)
    body = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    return f'<tr style="{hatch}; {mark}">{body}</tr>'
