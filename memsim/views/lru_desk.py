"""The LRU lists of a file's pages under buttons: read, shrink a list, and see who goes."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from memsim.machine import Machine
from memsim.mm.folio_validate import lru_folios
from memsim.mm.vmscan.scan_control import DEACTIVATE_FILE, ScanControl
from memsim.mm.vmscan.shrink_list import shrink_list
from memsim.views.controls import FULL, Controls, status
from memsim.words.gfp import GFP_KERNEL
from memsim.words.page_flags import LRU_ACTIVE_FILE, LRU_INACTIVE_FILE, PG_referenced

#: Pages of the file, and how many a press of a button scans.
PAGES, SCANNED = 12, 3
LISTS = {"active": LRU_ACTIVE_FILE, "inactive": LRU_INACTIVE_FILE}
_BOX = (
    "display: inline-block; min-width: 2.4em; margin: 2px; padding: 2px 4px; text-align: center; "
    "border: 1px solid #808080; color: #000; font-size: 14px;"
)
_COLOURS = {"active": "#56b4e9", "inactive": "#f6c860"}


class LruDesk(Controls):
    """A file of twelve pages on a machine of its own; the lists from head to tail."""

    def __init__(self) -> None:
        self.index = widgets.IntSlider(
            max=PAGES - 1, description="page", layout=widgets.Layout(**FULL)
        )
        actions: dict[str, Callable[[], str]] = {
            "read(page)": self._read,
            "shrink_active_list()": lambda: self._shrink("active"),
            "shrink_inactive_list()": lambda: self._shrink("inactive"),
            "start over": self._start_over,
        }
        self.buttons = {name: self._button(name, action) for name, action in actions.items()}
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.said = self._start_over()
        self._show()
        wrap = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [self.index, widgets.HBox(list(self.buttons.values()), layout=wrap), self.picture]
        )

    def press(self, name: str, *pages: int) -> str:
        """Press a button, by how its name begins, once for each page; what is shown then."""
        for page in pages or (self.index.value,):
            self.index.value = page
            next(b for text, b in self.buttons.items() if text.startswith(name)).click()
        return self.text()

    def still(self) -> str:
        """The picture, and what it shows in words."""
        return str(self.picture.value)

    def text(self) -> str:
        """What is shown, in words: r means referenced."""
        lines = [f"{name}, head first: {' '.join(self._named(name)) or 'empty'}" for name in LISTS]
        lines.append(f"evicted, a shadow is left: {self._shadows()}")
        return "\n".join([self.said, *lines])

    def _named(self, name: str) -> list[str]:
        """The pages on a list by their index; "3r" is referenced."""
        folios = self.machine.vm.folios
        listed = lru_folios(self.machine.vm, 0, LISTS[name])
        marks = ("r" if folios.flags[pfn] & PG_referenced else "" for pfn in listed)
        return [f"{folios.index[pfn]}{mark}" for pfn, mark in zip(listed, marks, strict=True)]

    def _shadows(self) -> str:
        entries = self.machine.vm.folios.mappings[self.file.id].i_pages
        gone = [str(index) for index in sorted(entries) if entries[index] < 0]
        return " ".join(gone) or "none"

    def _button(self, name: str, action: Callable[[], str]) -> widgets.Button:
        button = widgets.Button(description=name, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self._run(action))
        return button

    def _run(self, action: Callable[[], str]) -> None:
        self.said = action()
        self._show()

    def _read(self) -> str:
        page = self.index.value
        entry = self.machine.vm.folios.mappings[self.file.id].i_pages.get(page, -1)
        self.machine.read(self.file, page)
        self.machine.lru_add_drain_all()
        if entry >= 0:
            return f"read({page}): it is in the page cache."
        what = "a refault: its shadow was there" if entry < -1 else "from the disk"
        return f"read({page}): {what}."

    def _shrink(self, name: str) -> str:
        scanned = min(SCANNED, len(self._named(name)))
        before = len(self._named("active")) + len(self._named("inactive"))
        self.machine._do(f"shrink_{name}_list()", 0, lambda: self._scan(LISTS[name]))
        evicted = before - len(self._named("active")) - len(self._named("inactive"))
        return f"shrink_{name}_list(): {scanned} scanned from the tail, {evicted} evicted."

    def _scan(self, lru: int) -> None:
        vm = self.machine.vm
        sc = ScanControl(SCANNED, GFP_KERNEL, 3, 0)
        sc.may_deactivate = DEACTIVATE_FILE
        shrink_list(vm, lru, SCANNED, vm.nodes[0].lruvec, sc)

    def _start_over(self) -> str:
        self.machine = Machine("16 MiB", reclaim=True)
        self.file = self.machine.open("file", PAGES << 12)
        return "Nothing is read yet."

    def _show(self, _: Any = None) -> None:
        rows = "".join(
            f'<div style="margin: 4px 0"><span style="display: inline-block; width: 6em">{name}'
            f"</span>{self._boxes(name)}</div>"
            for name in LISTS
        )
        self.picture.value = (
            '<div aria-hidden="true" style="max-width: 60em">'
            f"{rows}<small>Head on the left, tail on the right; r: referenced.</small></div>"
            f"{status(self.text())}"
        )

    def _boxes(self, name: str) -> str:
        return "".join(
            f'<span style="{_BOX} background: {_COLOURS[name]}">{html.escape(page)}</span>'
            for page in self._named(name)
        )
