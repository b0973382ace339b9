"""A cache's geometry under sliders: what an object takes, what a slab holds, what is wasted."""

from __future__ import annotations

from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SIZE
from memsim.machine import Machine
from memsim.mm.slab_common import calculate_alignment
from memsim.mm.slub.sizes import calculate_sizes
from memsim.mm.slub.slab import KmemCache
from memsim.views.controls import FULL, Controls, status
from memsim.words.slab import (
    SIZEOF_POINTER,
    SLAB_HWCACHE_ALIGN,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
)

#: Flags of a cache and whether it has a constructor, by what that is called.
KINDS = {
    "no flags": (0, False),
    "SLAB_HWCACHE_ALIGN": (SLAB_HWCACHE_ALIGN, False),
    "a constructor": (0, True),
    "debugging: SLAB_RED_ZONE, SLAB_POISON, SLAB_STORE_USER": (
        SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER,
        False,
    ),
}
ALIGNS = (8, 16, 32, 64, 128, 256, 512, 1024)
CPUS = (1, 2, 4, 8, 16, 32, 64, 128)
MAX_SIZE = 8192

OBJECT, POINTER, BESIDE, LEFT_OVER = "object", "free pointer", "beside it", "left over"
_STYLES = {
    OBJECT: "background: #56b4e9;",
    POINTER: "background: repeating-linear-gradient(45deg, #f6c860 0 4px, #8a5a00 4px 6px);",
    BESIDE: "background: radial-gradient(#444 1px, #e4e4e4 1.5px) 0 0 / 6px 6px;",
    LEFT_OVER: "background: repeating-linear-gradient(-45deg, #d9d9d9 0 5px, #5f5f5f 5px 7px);",
}


class Geometry(NamedTuple):
    """What calculate_sizes() says of a cache. All but order and objects are bytes."""

    object_size: int
    align: int
    #: Of the object, with what is kept beside it.
    size: int
    #: Of the free pointer, from the object's first byte.
    offset: int
    red_left_pad: int
    order: int
    objects: int

    @property
    def slab_size(self) -> int:
        """Bytes of a slab."""
        return PAGE_SIZE << self.order

    @property
    def left_over(self) -> int:
        """Bytes behind the slab's last object."""
        return self.slab_size - self.objects * self.size

    @property
    def waste(self) -> int:
        """Bytes of a full slab that are in no object."""
        return self.slab_size - self.objects * self.object_size


def geometry_of(s: KmemCache) -> Geometry:
    """The geometry of a cache that is there."""
    order, objects = s.oo
    return Geometry(s.object_size, s.align, s.size, s.offset, s.red_left_pad, order, objects)


def geometry(
    object_size: int, align: int = 0, flags: int = 0, *, ctor: bool = False, cpus: int = 1
) -> Geometry:
    """The geometry that a new cache would have, if it shared none. ValueError if no slab fits."""
    vm = Machine("16 MiB", slab=True, steps=False).vm
    align = calculate_alignment(flags, align, object_size)
    s = KmemCache(vm, "new", object_size, align, flags)
    s.ctor = ctor
    if not calculate_sizes(s, -1, cpus):
        raise ValueError(f"no slab holds an object of {object_size} bytes")
    return geometry_of(s)


class Part(NamedTuple):
    """Bytes from start to end, of one kind."""

    kind: str
    start: int
    end: int


def parts_of(g: Geometry) -> list[Part]:
    """What stands where in the `size` bytes of an object, first to last, without gaps."""
    start, end = g.red_left_pad, g.red_left_pad + g.object_size
    pointer = start + g.offset
    behind = min(pointer + SIZEOF_POINTER, g.size)
    parts = [
        Part(BESIDE, 0, start),
        Part(OBJECT, start, min(pointer, end)),
        Part(BESIDE, end, pointer),
        Part(POINTER, pointer, behind),
        Part(OBJECT, behind, end),
        Part(BESIDE, max(behind, end), g.size),
    ]
    return [part for part in parts if part.start < part.end]


def geometry_text(g: Geometry, cpus: int) -> str:
    """The picture in a few sentences."""
    pages = f"{1 << g.order} page{'s' if g.order else ''}"
    where = "in the object" if g.offset < g.object_size else "behind the object"
    return (
        f"object_size {g.object_size}, align {g.align}: an object takes {g.size} bytes. While it "
        f"is free, the pointer to the next free one is at byte {g.offset}, {where}. "
        f"With {cpus} CPU{'s' if cpus > 1 else ''} a slab is a block of order {g.order}, {pages}: "
        f"{g.objects} objects, {g.left_over} bytes left over. "
        f"In no object: {g.waste} of {g.slab_size} bytes, {100 * g.waste / g.slab_size:.1f} %."
    )


class CacheGeometry(Controls):
    """Size, alignment and CPUs by slider, flags by choice; shows an object and a slab of them."""

    def __init__(self, object_size: int = 100) -> None:
        wide = widgets.Layout(**FULL)
        self.size = widgets.IntSlider(
            min=1, max=MAX_SIZE, value=object_size, description="object_size", layout=wide
        )
        self.align = widgets.SelectionSlider(options=ALIGNS, description="align", layout=wide)
        self.cpus = widgets.SelectionSlider(options=CPUS, description="CPUs", layout=wide)
        self.kind = widgets.RadioButtons(options=list(KINDS), description="flags", layout=wide)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        controls = [self.size, self.align, self.cpus, self.kind]
        for control in controls:
            control.observe(self._show, names="value")
        self._show()
        super().__init__([*controls, self.picture])

    def _show(self, _: Any = None) -> None:
        flags, ctor = KINDS[self.kind.value]
        self.geometry = geometry(
            self.size.value, self.align.value, flags, ctor=ctor, cpus=self.cpus.value
        )
        self.picture.value = picture(self.geometry) + status(self.text())

    def text(self) -> str:
        """What is shown, in words."""
        return geometry_text(self.geometry, self.cpus.value)


def picture(g: Geometry) -> str:
    """One object, byte by byte; below it a slab with all of them. HTML."""
    objects = g.objects * g.size
    slab = [Part(OBJECT, 0, objects), Part(LEFT_OVER, objects, g.slab_size)]
    one = f"one object: {g.size} bytes"
    all_of_them = f"a slab: {g.objects} of them in {g.slab_size} bytes; dashed: a page begins"
    return (
        '<div aria-hidden="true" style="max-width: 48em">'
        f"{_strip(one, parts_of(g), g.size, '')}"
        f"{_strip(all_of_them, slab, g.slab_size, _borders(g))}{_legend()}</div>"
    )


def _strip(title: str, parts: list[Part], size: int, over: str) -> str:
    cells = "".join(
        f'<div title="{part.kind}: byte {part.start} to {part.end - 1}" style="position: absolute; '
        f"left: {100 * part.start / size:.3f}%; width: {100 * (part.end - part.start) / size:.3f}%;"
        f' height: 100%; {_STYLES[part.kind]}"></div>'
        for part in parts
        if part.start < part.end
    )
    return (
        f'<div style="margin: 8px 0 2px">{title}</div><div style="position: relative; height: 34px;'
        f' border: 1px solid #808080; overflow: hidden">{cells}{over}</div>'
    )


def _borders(g: Geometry) -> str:
    """A line where each object ends, thin where they are many, and one where a page begins."""
    ends = "".join(f"M{number * g.size} 0V10" for number in range(1, g.objects + 1))
    pages = "".join(f"M{page * PAGE_SIZE} 0V10" for page in range(1, 1 << g.order))
    width = 1.5 if g.objects <= 128 else 0.5
    line = 'vector-effect="non-scaling-stroke"'
    return (
        f'<svg viewBox="0 0 {g.slab_size} 10" preserveAspectRatio="none" style="position: absolute;'
        ' width: 100%; height: 100%">'
        f'<path d="{ends}" stroke="#003a5c" stroke-width="{width}" {line}/>'
        f'<path d="{pages}" stroke="#000" stroke-width="3" stroke-dasharray="4 4" {line}/></svg>'
    )


def _legend() -> str:
    keys = "".join(
        '<span style="display: inline-block; margin-right: 1.2em">'
        '<span style="display: inline-block; width: 22px; height: 13px; border: 1px solid #808080; '
        f'{style}"></span> {kind}</span>'
        for kind, style in _STYLES.items()
    )
    return f'<div style="margin: 8px 0; font-size: 13px; line-height: 1.6">{keys}</div>'
