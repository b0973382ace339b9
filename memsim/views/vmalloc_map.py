"""vmalloc's addresses as a picture: free, busy, guard pages, lazily freed, in a pool.

The scale is condensed: a span is as wide as the logarithm of its pages, so that a page and 32 TiB
are both to be seen.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SIZE
from memsim.lib.rbtree import rb_nodes
from memsim.lib.sizes import show_size
from memsim.machine import Machine
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.state import VmallocState
from memsim.proc.vmallocinfo import UNPURGED, VmallocinfoArea
from memsim.views.controls import FULL, Controls, status
from memsim.words.errors import MemsimError
from memsim.words.vmalloc import VM_NO_GUARD, VMALLOC_END, VMALLOC_START

FREE, BUSY, GUARD, LAZY, POOL = "free", "busy", "guard page", "lazily freed", "in a pool"
STYLES = {
    FREE: "background: transparent;",
    BUSY: "background: #56b4e9;",
    GUARD: "background: repeating-linear-gradient(45deg, #d55e00 0 3px, #5a2800 3px 5px);",
    LAZY: "background: radial-gradient(#444 1px, #e4e4e4 1.5px) 0 0 / 6px 6px;",
    POOL: "background: repeating-linear-gradient(90deg, #f6c860 0 4px, #8a5a00 4px 6px);",
}
#: Spans that a picture has at most; the text says how many are left out.
MAX_SPANS = 300


class Span(NamedTuple):
    """Addresses of one kind, from start to end - 1; `of` is whom they are for."""

    start: int
    end: int
    kind: str
    of: str = ""

    def __str__(self) -> str:
        size = show_size(self.end - self.start)
        return f"{offset_of(self.start)} to {offset_of(self.end)}: {size} {self.kind}" + (
            f", {self.of}" if self.of else ""
        )


def offset_of(address: int) -> str:
    """An address as its distance from VMALLOC_START: "+0x5000"."""
    return f"{address - VMALLOC_START:+#x}"


def spans_of(state: VmallocState) -> list[Span]:
    """All of vmalloc's range, in address order."""
    spans: list[Span] = []
    for kind, areas in _by_kind(state).items():
        for va in areas:
            spans += _with_guard(va) if kind == BUSY else [Span(va.va_start, va.va_end, kind)]
    return clipped(sorted(spans))


def _by_kind(state: VmallocState) -> dict[str, list[VmapArea]]:
    nodes = state.vmap_nodes
    return {
        FREE: list(rb_nodes(state.free_vmap_area_root)),
        BUSY: [va for vn in nodes for va in rb_nodes(vn.busy)],
        LAZY: [va for vn in nodes for va in rb_nodes(vn.lazy)],
        POOL: [va for vn in nodes for pool in vn.pool for va in pool],
    }


def _with_guard(va: VmapArea) -> list[Span]:
    if va.vm is None or va.vm.flags & VM_NO_GUARD:
        return [Span(va.va_start, va.va_end, BUSY)]
    guard = va.va_end - PAGE_SIZE
    asked = f"{va.vm.requested_size} bytes asked for"
    return [Span(va.va_start, guard, BUSY, asked), Span(guard, va.va_end, GUARD)]


def clipped(spans: Iterable[Span]) -> list[Span]:
    """Only what is in vmalloc's range."""
    limited = (
        span._replace(start=max(span.start, VMALLOC_START), end=min(span.end, VMALLOC_END + 1))
        for span in spans
    )
    return [span for span in limited if span.start < span.end]


def spans_of_rows(rows: Iterable[VmallocinfoArea]) -> list[Span]:
    """The spans that a copy of /proc/vmallocinfo tells of, and what is free between them."""
    spans: list[Span] = []
    at = VMALLOC_START
    for row in sorted(rows, key=lambda row: row.start):
        if not VMALLOC_START <= row.start < VMALLOC_END:
            continue
        spans += [Span(at, row.start, FREE)] if at < row.start else []
        if row.words == (UNPURGED,):
            spans.append(Span(row.start, row.end, LAZY))
        else:
            guard = row.end - PAGE_SIZE
            spans += [Span(row.start, guard, BUSY, row.caller), Span(guard, row.end, GUARD)]
        at = row.end
    return [*spans, Span(at, VMALLOC_END + 1, FREE)]


def map_text(spans: list[Span]) -> str:
    """The picture in words, a line for each span."""
    more = len(spans) - MAX_SPANS
    lines = [str(span) for span in spans[:MAX_SPANS]]
    return "\n".join(lines if more <= 0 else [*lines, f"and {more} more"])


def map_html(spans: list[Span], chosen: int = -1) -> str:
    """The picture: a box for each span, the chosen one framed."""
    boxes = "".join(_box(span, number == chosen) for number, span in enumerate(spans[:MAX_SPANS]))
    keys = "".join(
        f'<span style="display: inline-block; margin-right: 1.2em">{cell(style, 22)} {kind}</span>'
        for kind, style in STYLES.items()
    )
    return (
        '<div aria-hidden="true" style="max-width: 60em">'
        f'<div style="display: flex; flex-wrap: wrap; row-gap: 8px; padding: 4px">{boxes}</div>'
        f'<div style="margin: 6px 0; font-size: 13px">{keys}</div></div>'
    )


def _box(span: Span, is_chosen: bool) -> str:
    pages = (span.end - span.start) // PAGE_SIZE
    width = 14 + 10 * pages.bit_length()
    frame = "outline: 3px solid var(--jp-brand-color1, #0b62c4); z-index: 1;" if is_chosen else ""
    return cell(f"{STYLES[span.kind]} position: relative; {frame}", width, html.escape(str(span)))


def cell(style: str, width: int, title: str = "") -> str:
    """A box of a picture; title is what the mouse is told. HTML."""
    return (
        f'<span title="{title}" style="display: inline-block; width: {width}px; max-width: 100%; '
        f"height: 24px; border: 1px solid #808080; box-sizing: border-box; vertical-align: middle; "
        f'{style}"></span>'
    )


#: What the widget's slider asks for.
SIZES = (1, 4096, 4097, 16384, 100_000, 1 << 20, 16 << 20)


def three_areas() -> Machine:
    """A machine with three areas behind one another."""
    machine = Machine("64 MiB", slab=True, vmalloc=True)
    for size in (4096, 16384, 100_000):
        machine.vmalloc(size)
    return machine


class AddressSpace(Controls):
    """vmalloc's addresses on a live machine: ask, free, purge; each span told by the slider."""

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or three_areas()
        self.size = widgets.SelectionSlider(
            options=[(f"{size:,} bytes", size) for size in SIZES],
            value=4096, description="size", layout=widgets.Layout(**FULL),
        )  # fmt: skip
        self.span = widgets.IntSlider(
            min=0, max=0, description="span", layout=widgets.Layout(**FULL)
        )
        self.vmalloc = self._button("vmalloc()", self._vmalloc)
        self.vfree = self._button("vfree() this span", self._vfree)
        self.purge = self._button("purge", self._purge)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.said = "Nothing is done yet."
        self.spans: list[Span] = []
        self._show()
        self.span.observe(self._show, names="value")
        wrap = widgets.Layout(flex_flow="row wrap")
        buttons = widgets.HBox([self.vmalloc, self.vfree, self.purge], layout=wrap)
        super().__init__([self.size, self.span, buttons, self.picture])

    def _button(self, name: str, action: Callable[[], str]) -> widgets.Button:
        button = widgets.Button(description=name, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self._run(action))
        return button

    def _run(self, action: Callable[[], str]) -> None:
        """One operation; a refusal is a line of text."""
        try:
            self.said = action()
        except MemsimError as error:
            self.said = f"Refused: {error}"
        self._show()

    def _vmalloc(self) -> str:
        address = self.machine.vmalloc(self.size.value)
        self.spans = spans_of(self.machine.vm.vmalloc)
        self._choose(address)
        return f"vmalloc({self.size.value:,}) gives {address:#x}."

    def _vfree(self) -> str:
        span = self.spans[self.span.value]
        self.machine.vfree(span.start)
        self.spans = spans_of(self.machine.vm.vmalloc)
        self._choose(span.start)
        return f"vfree({span.start:#x})."

    def _purge(self) -> str:
        flushes = self.machine.vm.vmalloc.nr_tlb_flushes
        self.machine.purge_vmap_area_lazy()
        done = self.machine.vm.vmalloc.nr_tlb_flushes - flushes
        return f"Purged, with {done} TLB flush{'' if done == 1 else 'es'}."

    def _choose(self, address: int) -> None:
        """Let the slider stand at the span that begins there."""
        at = [i for i, span in enumerate(self.spans) if span.start <= address < span.end]
        self.span.max = len(self.spans) - 1
        self.span.value = at[0] if at else 0

    def _show(self, _: Any = None) -> None:
        self.spans = spans_of(self.machine.vm.vmalloc)
        self.span.max = len(self.spans) - 1
        self.picture.value = map_html(self.spans, self.span.value) + status(self.told())

    def told(self) -> str:
        """What was done last, and the span under the slider."""
        at = self.span.value
        return f"{self.said} Span {at} of {len(self.spans) - 1}: {self.spans[at]}."

    def text(self) -> str:
        """What is shown, in words."""
        return f"{self.told()}\n{map_text(self.spans)}"
