"""A hardened free pointer, taken apart byte by byte; a widget over the free objects of a slab."""

from __future__ import annotations

from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.mm.slub.alloc import chain_of
from memsim.mm.slub.debug_requests import page_fault
from memsim.mm.slub.freelist import freelist_ptr_encode
from memsim.mm.slub.memory import obj_to_ptr
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.views.lesson10 import chained, encode_before_5_7
from memsim.words.slab import SIZEOF_POINTER

#: What an attacker would like to be handed out as an object: somewhere in the kernel's data.
TARGET = 0xFFFFFFFF82B3C2A0

_SAME = "outline: 2px solid #d00000; font-weight: bold;"


class Pointer(NamedTuple):
    """A free pointer: where it is kept, what is kept there, and what it decodes to.

    `mixed` is what the address adds: its bytes swapped, or before 5.7 itself.
    """

    address: int
    kept: int
    random: int
    mixed: int
    ptr: int


def swab(value: int) -> int:
    """The eight bytes of a number, last to first. Kernel: include/linux/swab.h swab().

    >>> hex(swab(0x0102030405060708))
    '0x807060504030201'
    """
    return int.from_bytes(value.to_bytes(SIZEOF_POINTER, "little"), "big")


def same_bytes(one: int, other: int) -> int:
    """How many bytes two numbers have in common, from the highest on.

    >>> same_bytes(0x1122334455667788, 0x1122334400000000)
    4
    """
    pairs = zip(*(value.to_bytes(SIZEOF_POINTER, "big") for value in (one, other)), strict=True)
    return next((nr for nr, (a, b) in enumerate(pairs) if a != b), SIZEOF_POINTER)


class FreePointers:
    """The free objects of a slab, in the order of its list."""

    def __init__(self) -> None:
        machine, self.cache, addresses = chained()
        slab = machine.slab_at(addresses[0])
        assert slab is not None
        self.objects = [obj_to_ptr(slab, obj) for obj in chain_of(slab, slab.freelist)]

    def pointer(self, number: int, swabbed: bool = True, overwritten: bool = False) -> Pointer:
        """The free pointer of one of the objects, as it is or with TARGET written over it."""
        random, address = self.cache.random, self.objects[number] + self.cache.offset
        following = [*self.objects, 0][number + 1]
        encode = freelist_ptr_encode if swabbed else encode_before_5_7
        kept = TARGET if overwritten else encode(random, following, address)
        mixed = swab(address) if swabbed else address
        return Pointer(address, kept, random, mixed, encode(random, kept, address))

    def leads_to(self, ptr: int) -> str:
        """What a decoded pointer is."""
        if not ptr:
            return "NULL: the list ends here"
        if ptr in self.objects:
            return f"object {self.objects.index(ptr)} of the list"
        return f"no object of the slab. Who follows it dies: {page_fault(ptr + self.cache.offset)}"


class DecodePointer(Controls):
    """Which object by slider; with swab() or not, overwritten or not; shows the three terms."""

    def __init__(self) -> None:
        wide = widgets.Layout(**FULL)
        self.pointers = FreePointers()
        last = len(self.pointers.objects) - 1
        self.object = widgets.IntSlider(min=0, max=last, description="object", layout=wide)
        self.swab = widgets.Checkbox(
            value=True, description="swab() of the address (in v5.7)", indent=False, layout=wide
        )
        self.overwritten = widgets.Checkbox(
            description=f"somebody writes {TARGET:#x} over it", indent=False, layout=wide
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="auto"))
        controls = [self.object, self.swab, self.overwritten]
        for control in controls:
            control.observe(self._show, names="value")
        self._show()
        super().__init__([*controls, self.picture])

    def _show(self, _: Any = None) -> None:
        self.pointer = self.pointers.pointer(
            self.object.value, self.swab.value, self.overwritten.value
        )
        self.picture.value = picture(self.pointer, self.swab.value) + status(self.said())

    def said(self) -> str:
        """Where the pointer leads, and what the kept bytes give away."""
        p = self.pointer
        same = 0 if self.overwritten.value else same_bytes(p.kept, p.random)
        leak = f" The first {same} bytes in memory are those of random." if same > 1 else ""
        return f"Decoded: {p.ptr:#018x}, {self.pointers.leads_to(p.ptr)}.{leak}"

    def text(self) -> str:
        """What is shown, in words."""
        lines = [
            f"{name:20} {_bytes(value)}" for name, value in _terms(self.pointer, self.swab.value)
        ]
        return "\n".join([*lines, self.said()])


def _terms(p: Pointer, swabbed: bool) -> list[tuple[str, int]]:
    told = "its address, swabbed" if swabbed else "its address"
    return [("kept in memory", p.kept), ("random", p.random), (told, p.mixed), ("XOR", p.ptr)]


def _bytes(value: int) -> str:
    return value.to_bytes(SIZEOF_POINTER, "big").hex(" ")


def picture(p: Pointer, swabbed: bool) -> str:
    """The terms below each other, the highest byte first; below the line their XOR. HTML."""
    same = same_bytes(p.kept, p.random)
    rows = ""
    for name, value in _terms(p, swabbed):
        line = "border-top: 2px solid currentColor;" if name == "XOR" else ""
        cells = "".join(
            f'<td style="padding: 2px 5px; {line} '
            f'{_SAME if place < same > 1 and name in ("kept in memory", "random") else ""}">'
            f"{byte}</td>"
            for place, byte in enumerate(_bytes(value).split())
        )
        rows += (
            f'<tr><th scope="row" style="font-weight: normal; text-align: right; '
            f'padding-right: 12px">{name}</th>{cells}</tr>'
        )
    table = (
        '<table style="border-collapse: separate; border-spacing: 3px; border: 0; '
        f'font: 13px/1.5 monospace">{rows}</table>'
    )
    return scrolling(table, 'aria-hidden="true"')
