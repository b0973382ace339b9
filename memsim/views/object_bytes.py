"""The bytes of an object and of what debugging keeps around it; a widget that spoils one."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.lib.bits import align_down
from memsim.mm.slub.debug_report import padding_offset, size_from_object
from memsim.mm.slub.debug_track import freeptr_outside_object, get_info_end, slub_debug_orig_size
from memsim.mm.slub.slab import KmemCache
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.views.lesson10 import ASKED, KMALLOC, MINE, Debugged
from memsim.words.slab import SIZEOF_POINTER, SIZEOF_TRACK, SLAB_RED_ZONE, SLAB_STORE_USER

LEFT, OBJECT, RIGHT = "left red zone", "object", "right red zone"
SLACK = "kmalloc red zone"
POINTER, ALIGNMENT, PADDING = "free pointer", "alignment", "padding"
ALLOCATED, FREED, SIZE = "who allocated it", "who freed it", "bytes asked for"

#: Of each kind: a colour that black can be read on, and how its lower edge is hatched.
_STYLES = {
    LEFT: ("#f5b5ae", "45deg, #8c1c13 0 2px, transparent 2px 5px"),
    OBJECT: ("#a5d5f5", "90deg, #003a5c 0 100%"),
    RIGHT: ("#f5b5ae", "-45deg, #8c1c13 0 2px, transparent 2px 5px"),
    SLACK: ("#f9d2cd", "0deg, #8c1c13 0 1px, transparent 1px 3px"),
    POINTER: ("#f6dc8c", "90deg, #8a5a00 0 3px, transparent 3px 6px"),
    ALLOCATED: ("#c5e5bd", "90deg, #1d5c10 0 1px, transparent 1px 4px"),
    FREED: ("#dcefd8", "0deg, #1d5c10 0 1px, transparent 1px 3px"),
    SIZE: ("#e3c8ee", "90deg, #5b2a6e 0 6px, transparent 6px 9px"),
    ALIGNMENT: ("#cfcfcf", "45deg, #333 0 1px, transparent 1px 4px"),
    PADDING: ("#e6e6e6", "-45deg, #333 0 1px, transparent 1px 6px"),
}
_ROW = 16

LETTERS = {
    "F": "F: sanity checks",
    "Z": "Z: red zones",
    "P": "P: poison",
    "U": "U: users",
}
OBJECTS = {
    "24 bytes of a cache of their own": MINE,
    "kmalloc(20), which is an object of kmalloc-32": KMALLOC,
}
IN_USE, FREE = "in use", "free"
WRITES: dict[str, Callable[[int], int]] = {
    "add 1 to it": lambda byte: (byte + 1) % 256,
    "0x00": lambda byte: 0,
    "0x41, an A": lambda byte: 0x41,
}
REQUEST, VALIDATE = "it is freed, or asked for again", "root writes 1 to …/validate"


class Span(NamedTuple):
    """Bytes of one kind, from start to end; counted from the object's first byte."""

    kind: str
    start: int
    end: int


def spans_of(s: KmemCache, is_free: bool) -> list[Span]:
    """What stands where in the `size` bytes of an object, first to last, without gaps.

    Kernel: mm/slub.c, the comment "Object layout" before check_pad_bytes()
    """
    is_red = s.flags & SLAB_RED_ZONE
    tracks = get_info_end(s)
    edges = [(LEFT, -s.red_left_pad if is_red else 0), *_object(s, is_free)]
    edges += [(RIGHT if is_red else ALIGNMENT, s.object_size), (POINTER, s.inuse)]
    if s.flags & SLAB_STORE_USER:
        edges += [(ALLOCATED, tracks), (FREED, tracks + SIZEOF_TRACK)]
        edges.append((SIZE, tracks + 2 * SIZEOF_TRACK))
    edges.append((PADDING, padding_offset(s)))
    ends = [start for _, start in edges[1:]] + [size_from_object(s)]
    spans = [Span(kind, start, end) for (kind, start), end in zip(edges, ends, strict=True)]
    return [span for span in spans if span.start < span.end]


def _object(s: KmemCache, is_free: bool) -> list[tuple[str, int]]:
    """Where the kinds of bytes that lie in the object itself begin."""
    if is_free and not freeptr_outside_object(s):
        return [(OBJECT, 0), (POINTER, s.offset), (OBJECT, s.offset + SIZEOF_POINTER)]
    if not is_free and s.flags & SLAB_RED_ZONE and slub_debug_orig_size(s):
        return [(OBJECT, 0), (SLACK, ASKED)]
    return [(OBJECT, 0)]


def bytes_text(debugged: Debugged, address: int, is_free: bool) -> str:
    """The bytes of each span, a line each."""
    return "\n".join(
        f"{span.start:4} {span.kind:16} "
        + _shortened(debugged.machine.read_memory(address + span.start, span.end - span.start))
        for span in spans_of(debugged.cache, is_free)
    )


def _shortened(data: bytes) -> str:
    """Bytes in hexadecimal; of many the first and the last."""
    if len(data) <= _ROW:
        return data.hex(" ")
    return f"{data[:6].hex(' ')} .. {data[-6:].hex(' ')}, {len(data)} bytes"


class Spoilt(NamedTuple):
    """An object of which a byte was written, and what came of it.

    `data` are its `size` bytes, spoilt, before the kernel looks; b"" where none are kept. `before`
    and `after` are the byte's values, `log` all that the kernel said, `place` where the slab is
    in the end.
    """

    spans: list[Span]
    at: int
    kind: str
    before: int
    after: int
    data: bytes
    log: list[str]
    place: str


def spoil(
    letters: str, name: str, is_free: bool, at: int, write: Callable[[int], int], then: str
) -> Spoilt:
    """Take an object, perhaps free it, write to a byte at an offset, and go on."""
    debugged = Debugged(letters, name)
    address = debugged.take()
    if is_free:
        debugged.free(address)
    spans = spans_of(debugged.cache, is_free)
    kind = next(span.kind for span in spans if span.start <= at < span.end)
    if not letters:
        return Spoilt(spans, at, kind, 0, 0, b"", [], debugged.place(address))
    (before,) = debugged.machine.read_memory(address + at, 1)
    after = write(before)
    debugged.poke(address + at, bytes([after]))
    first = spans[0].start
    data = debugged.machine.read_memory(address + first, spans[-1].end - first)
    if then == VALIDATE:
        debugged.machine.validate_slab_cache(debugged.cache)
    elif is_free:
        debugged.take()
    else:
        debugged.free(address)
    place = debugged.place(address)
    return Spoilt(spans, at, kind, before, after, data, debugged.log(), place)


def spoilt_text(spoilt: Spoilt) -> str:
    """What was done, and whether anybody noticed."""
    where = f"Byte {spoilt.at}, {spoilt.kind}"
    if not spoilt.data:
        return f"{where}. No flag: the kernel keeps no bytes that it knows, and notices nothing."
    was = f"{where}: 0x{spoilt.before:02x}"
    if spoilt.before == spoilt.after:
        return f"{was} already. Nothing is changed."
    nr = len(spoilt.log)
    noticed = f"Noticed, in {nr} lines" if nr else "Nobody notices"
    return f"{was} becomes 0x{spoilt.after:02x}. {noticed}. The slab is {spoilt.place}."


class CorruptByte(Controls):
    """Flags by check boxes, an object, a byte by slider, what is written; shows bytes and log."""

    def __init__(self, letters: str = "FZPU") -> None:
        wide = widgets.Layout(**FULL)
        self.flags = {
            letter: widgets.Checkbox(
                value=letter in letters,
                description=text,
                indent=False,
                layout=widgets.Layout(width="auto", margin="0 18px 0 0"),
            )
            for letter, text in LETTERS.items()
        }
        self.object = widgets.Dropdown(options=OBJECTS, description="object", layout=wide)
        self.state = widgets.RadioButtons(
            options=[IN_USE, FREE],
            value=FREE,
            description="it is",
            layout=widgets.Layout(width="12em"),
        )
        self.byte = widgets.IntSlider(min=0, max=0, description="byte", layout=wide)
        self.write = widgets.Dropdown(options=WRITES, description="write", layout=wide)
        self.then = widgets.RadioButtons(
            options=[REQUEST, VALIDATE],
            description="then",
            layout=widgets.Layout(width="auto"),
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="auto"))
        boxes = list(self.flags.values())
        choices = [self.object, self.state, self.then, self.write, self.byte]
        for control in [*boxes, *choices]:
            control.observe(self._show, names="value")
        self._show()
        side_by_side = widgets.Layout(flex_flow="row wrap", **FULL)
        flags = widgets.Box(boxes, layout=side_by_side)
        when = widgets.Box([self.state, self.then], layout=side_by_side)
        super().__init__([flags, self.object, when, self.write, self.byte, self.picture])

    @property
    def letters(self) -> str:
        """The letters of slab_debug= that are chosen."""
        return "".join(letter for letter, box in self.flags.items() if box.value)

    def _show(self, _: Any = None) -> None:
        cache = Debugged(self.letters, self.object.value).cache
        spans = spans_of(cache, self.state.value == FREE)
        self.byte.min, self.byte.max = spans[0].start, spans[-1].end - 1
        self.spoilt = spoil(
            self.letters,
            self.object.value,
            self.state.value == FREE,
            self.byte.value,
            self.write.value,
            self.then.value,
        )
        self.picture.value = status(self.said()) + picture(self.spoilt) + log_html(self.spoilt.log)

    def said(self) -> str:
        """What was done, in a few sentences."""
        boot = f"slab_debug={self.letters},{self.object.value}. " if self.letters else ""
        return boot + spoilt_text(self.spoilt)

    def text(self) -> str:
        """What is shown, in words, with what the kernel logged."""
        return "\n".join([self.said(), *self.spoilt.log])


def log_html(log: list[str]) -> str:
    """Lines of the kernel's log, as they are; wide ones scroll."""
    if not log:
        return ""
    lines = (
        '<pre style="margin: 8px 0; padding: 6px; border: 1px solid #808080; width: max-content; '
        f'white-space: pre; font-size: 12px; line-height: 1.35">{html.escape(chr(10).join(log))}'
        "</pre>"
    )
    region = 'tabindex="0" role="region" aria-label="what the kernel logs"'
    return scrolling(lines, region)


def picture(spoilt: Spoilt) -> str:
    """The bytes, 16 in a row, those of a kind in one colour; the written one framed. HTML."""
    first, end = spoilt.spans[0].start, spoilt.spans[-1].end
    kinds = [span.kind for span in spoilt.spans for _ in range(span.start, span.end)]
    rows = "".join(
        f'<tr><th scope="row" style="font-weight: normal; text-align: right; padding-right: 8px">'
        f"{row}</th>{''.join(_cell(spoilt, kinds, at) for at in range(row, row + _ROW))}</tr>"
        for row in range(align_down(first, _ROW), end, _ROW)
    )
    used = dict.fromkeys(kinds)
    keys = "".join(
        '<span style="display: inline-block; margin-right: 1.2em">'
        '<span style="display: inline-block; width: 22px; height: 15px; vertical-align: middle; '
        f'{_style(kind)}"></span> {kind}</span>'
        for kind in used
    )
    table = (
        '<table style="border-collapse: separate; border-spacing: 2px; margin: 6px 0; border: 0; '
        f'font: 12px/1.5 monospace">{rows}</table>'
    )
    legend = f'<div aria-hidden="true" style="font-size: 13px; line-height: 1.8">{keys}</div>'
    return scrolling(table, 'aria-hidden="true"') + legend


def _style(kind: str) -> str:
    colour, hatching = _STYLES[kind]
    pattern = f"repeating-linear-gradient({hatching})"
    return f"background: {pattern} bottom / 100% 4px no-repeat, {colour};"


def _cell(spoilt: Spoilt, kinds: list[str], at: int) -> str:
    place = at - spoilt.spans[0].start
    if not 0 <= place < len(kinds):
        return "<td></td>"
    shown = f"{spoilt.data[place]:02x}" if spoilt.data else "··"
    frame = "outline: 3px solid #d00000; font-weight: bold;" if at == spoilt.at else ""
    return (
        f'<td title="byte {at}: {kinds[place]}" style="{_style(kinds[place])} color: #000; '
        f'padding: 0 3px 5px; {frame}">{shown}</td>'
    )
