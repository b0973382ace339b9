"""The vmalloc pane: every area, the tree of free ones, and a walk through the page tables.

vmalloc.js draws it, and makes the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from math import log2
from typing import Any, ClassVar

from memsim.lib.rbtree import rb_nodes
from memsim.lib.sizes import show_size
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import LEVEL_NAMES, Entry, Table, entry_pfn, is_leaf, walk
from memsim.mm.restore import restore
from memsim.mm.snapshot import Snapshot
from memsim.mm.vmalloc.apply import apply_vmalloc_step
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.whole import restore_whole_vmalloc
from memsim.trace.steps import Step
from memsim.trace.trace import Trace
from memsim.trace.vmalloc_steps import FIELDS, PteSet, VmallocStep
from memsim.views.cells import Cells, Key
from memsim.words.mmzone import NULL

NOTHING = "this machine has no vmalloc"
NO_AREA = "no busy area to walk to"
TREE = "tree of free areas, root first"
#: So many entries the pane has, of whole page tables, those of the upper levels first.
MAX_ENTRIES = 2048
LEFT_OUT = "not kept for this picture"
#: Trees of a vmap_node, and what their areas are called.
KINDS = {"busy": "busy", "lazy": "lazy", "purge_list": "being purged", "decay": "leaving a pool"}


class VmallocScene:
    """vmalloc of one machine, at one moment. `address` is what is walked to; "" the first busy.

    `steps` are those that led to this moment, and that may be undone.
    """

    TITLE: ClassVar[str] = "vmalloc: areas, lowest first; tree; page-table walk"

    def __init__(
        self,
        snapshot: Snapshot,
        data: Mapping[str, Any],
        address: str = "",
        steps: Iterable[Step] = (),
    ) -> None:
        self.vm: Vm | None = None
        self.address = address
        self._entries: dict[Key, Any] = {}
        #: Page tables whose entries the pane has not, by pfn, and how many they are.
        self._left_out: dict[int, int] = {}
        if data:
            self.vm = restore(snapshot, Trace(mask=0, capacity=1), mid_operation=True)
            state = restore_whole_vmalloc(self.vm, dict(data))
            self._left_out = left_out(state.init_mm.tables.values(), steps)
            for table in state.init_mm.tables.values():
                for index, value in table.entries.items():
                    self._set_entry(table.pfn, index, value)

    def _set_entry(self, pfn: int, index: int, value: int) -> None:
        if pfn in self._left_out:
            return
        key = "vmalloc", "entry", pfn, index
        self._entries.pop(key, None)
        if value:
            self._entries[key] = [entry_pfn(value), int(is_leaf(value))]

    def apply(self, step: Step, *, backwards: bool = False) -> None:
        """One step, forwards or backwards; those of other things change nothing."""
        if self.vm is None or not isinstance(step, VmallocStep):
            return
        apply_vmalloc_step(self.vm, step, backwards)
        if isinstance(step, PteSet):
            self._set_entry(step.pfn, step.index, step.old if backwards else step.new)

    def cells(self) -> dict[Key, Any]:
        """Areas as [kind, log2 of bytes, words], tree nodes, numbers, and page table entries."""
        if self.vm is None:
            return {}
        state = self.vm.vmalloc
        cells: dict[Key, Any] = {}
        for va, kind, where in self._areas():
            cells["vmalloc", "area", hex(va.va_start)] = [
                kind, round(log2(va_size(va)), 2), area_words(va, kind, where),
            ]  # fmt: skip
        for va in rb_nodes(state.free_vmap_area_root):
            cells["vmalloc", "node", hex(va.va_start)] = [
                _start(va.rb_left), _start(va.rb_right), int(va.rb_red), node_words(va),
            ]  # fmt: skip
        cells["vmalloc", "root"] = _start(state.free_vmap_area_root.rb_node)
        for name in FIELDS:
            cells["vmalloc", "number", name] = int(getattr(state, name))
        return cells | self._entries

    def _areas(self) -> Iterator[tuple[VmapArea, str, str]]:
        """Each area by address, its kind, and in words where it is."""
        assert self.vm is not None
        state = self.vm.vmalloc
        where = dict.fromkeys(rb_nodes(state.free_vmap_area_root), ("free", "free"))
        for vn in state.vmap_nodes:
            for tree, kind in KINDS.items():
                for va in rb_nodes(getattr(vn, tree)):
                    where[va] = kind, f"{kind}, vmap_node {vn.id}"
            for pages, pool in enumerate(vn.pool, 1):
                for va in pool:
                    where[va] = "pool", f"in the pool of {pages} pages of vmap_node {vn.id}"
        for start in sorted(state.areas):
            va = state.areas[start]
            yield va, *where.get(va, ("none", "in no tree"))

    def lines(self) -> list[str]:
        """Numbers, areas, the tree and the walk."""
        if self.vm is None:
            return [NOTHING]
        state = self.vm.vmalloc
        return [
            ", ".join(f"{name} {int(getattr(state, name))}" for name in FIELDS),
            *(area_words(va, kind, where) for va, kind, where in self._areas()),
            TREE,
            *_tree_lines(state.free_vmap_area_root.rb_node, 1, ""),
            *self._walk_lines(),
            *filter(None, [self._more()]),
        ]

    def _walk_lines(self) -> list[str]:
        assert self.vm is not None
        address = int(self.address, 16) if self.address else self._first_busy()
        if address == NULL:
            return [NO_AREA]
        lines = [f"walk to {address:#x}"]
        for entry in walk(self.vm, address):
            if entry.table_pfn in self._left_out:
                return [*lines, f"  {_where(entry)} is {LEFT_OUT}"]
            lines.append(f"  {_entry(entry)}")
        return lines

    def _more(self) -> str:
        """How many entries the pane has not; "" where it has them all."""
        if not self._left_out:
            return ""
        nr_tables, more = len(self._left_out), sum(self._left_out.values())
        return f"… and {more:,} more entries, of {nr_tables:,} page tables, {LEFT_OUT}"

    def _first_busy(self) -> int:
        busy = (va.va_start for va, kind, _ in self._areas() if kind == "busy")
        return next(busy, NULL)

    def layout(self, cells: Cells) -> dict[str, Any]:
        """Which cell is which, by what it shows: {"area": [[va_start, cell], ...], ...}."""
        found: dict[str, Any] = {"area": [], "node": [], "root": [], "number": [], "entry": []}
        for (_, what, *key), number in cells.of("vmalloc").items():
            found[what].append([*key, number])
        left = {"left_out": list(self._left_out), "more": self._more()}
        return {**found, **self._levels(), **left}

    def _levels(self) -> dict[str, Any]:
        """[name, shift] of each level of a walk, the topmost first, and the mask of an index."""
        if self.vm is None:
            return {"levels": [], "mask": 0}
        mm = self.vm.vmalloc.init_mm
        levels = range(mm.pgd.level, -1, -1)
        return {
            "levels": [[LEVEL_NAMES[level], mm.shift_of(level)] for level in levels],
            "mask": (1 << mm.index_bits) - 1,
        }


def _start(va: VmapArea | None) -> str:
    return "" if va is None else hex(va.va_start)


def area_words(va: VmapArea, kind: str, where: str) -> str:
    """An area: addresses, size, where it is, and while it is in use what for."""
    words = f"{va.va_start:#x} to {va.va_end:#x}, {show_size(va_size(va))}: {where}"
    if va.vm is not None and kind == KINDS["busy"]:
        words += f", for {va.vm.caller or 'nobody'}, {va.vm.nr_pages} pages"
    return words


def node_words(va: VmapArea) -> str:
    """A node of the tree of free areas."""
    colour = "red" if va.rb_red else "black"
    largest = show_size(va.subtree_max_size)
    return f"{va.va_start:#x}, {colour}, {show_size(va_size(va))}; subtree_max_size {largest}"


def _tree_lines(va: VmapArea | None, depth: int, side: str) -> Iterator[str]:
    if va is None:
        return
    yield f"{'  ' * depth}{side}{node_words(va)}"
    yield from _tree_lines(va.rb_left, depth + 1, "left: ")
    yield from _tree_lines(va.rb_right, depth + 1, "right: ")


def left_out(tables: Iterable[Table], steps: Iterable[Step]) -> dict[int, int]:
    """What is over MAX_ENTRIES: page tables by pfn, and how many entries of each are ever set."""
    used = {table.pfn: set(table.entries) for table in sorted(tables, key=lambda t: -t.level)}
    for step in steps:
        if isinstance(step, PteSet):
            used.setdefault(step.pfn, set()).add(step.index)
    totals = accumulate(map(len, used.values()))
    return {
        pfn: len(indexes)
        for (pfn, indexes), total in zip(used.items(), totals, strict=True)
        if total > MAX_ENTRIES
    }


def _where(entry: Entry) -> str:
    table = "swapper_pg_dir" if entry.table_pfn == NULL else f"the table at pfn {entry.table_pfn}"
    return f"{LEVEL_NAMES[entry.level]}: entry {entry.number} of {table}"


def _entry(entry: Entry) -> str:
    words = _where(entry)
    if entry.pfn == NULL:
        return f"{words} is empty"
    maps = entry.level == 0 or is_leaf(entry.value)
    return f"{words} {'maps' if maps else 'leads to'} pfn {entry.pfn}"
