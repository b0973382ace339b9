"""What lesson 11 runs more than once: holes, a range that runs out, footprints, the four fits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.lib.rbtree import rb_nodes
from memsim.machine import Machine
from memsim.mm.mmzone import Vm, populated_zones
from memsim.mm.vmalloc.alloc import alloc_vmap_area, free_vmap_area
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.clip import FitType, classify_va_fit_type, va_clip
from memsim.mm.vmalloc.init import vmap_init_free_space, vmap_init_nodes
from memsim.mm.vmalloc.tree import FreeTree, find_in_tree
from memsim.mm.vmalloc.vm_area import get_vm_area_node, get_vm_area_size
from memsim.mm.vmstat import zone_page_state_snapshot
from memsim.proc.vmallocinfo import VmallocinfoArea
from memsim.trace.trace import Trace
from memsim.views.controls import FULL, Controls, status
from memsim.views.vmalloc_map import BUSY, FREE, GUARD, STYLES, cell
from memsim.views.vmalloc_search import pages_of
from memsim.words.errors import PageAllocationFailure
from memsim.words.mmzone import NR_FREE_PAGES
from memsim.words.vmalloc import VM_ALLOC, VMALLOC_END, VMALLOC_START


def with_holes(purged: bool = True) -> Machine:
    """A machine with holes of 3, 6, 4, 8 and 13 pages, in this order; behind them all is free."""
    machine = Machine("64 MiB", slab=True, vmalloc=True)
    sizes = (4, 1, 2, 1, 5, 1, 3, 1, 7, 1, 9, 2, 4)
    areas = [machine.vmalloc(pages * PAGE_SIZE) for pages in sizes]
    for number in (2, 4, 6, 8, 10, 11):
        machine.vfree(areas[number])
    if purged:
        machine.purge_vmap_area_lazy()
    return machine


def free_tree(machine: Machine) -> FreeTree:
    """The tree of free areas."""
    return machine.vm.vmalloc.free_vmap_area_root


class Exhausted(NamedTuple):
    """A range of addresses that was filled, a quarter of it freed, and a request that it refused.

    left, largest: bytes of all its holes, and of the largest. nr_free: free pages of memory.
    """

    areas: int
    left: int
    largest: int
    nr_free: int
    log: list[str]


#: Bytes of the range in the question: from 0xf1000000 to 0xf5110000.
RANGE = 0xF5110000 - 0xF1000000


def exhausted(size: int = 64 << 10, refused: int = 4 << 20) -> Exhausted:
    """Fill RANGE with areas of size bytes, free every fourth, then ask for a large one."""
    machine = Machine("256 MiB", slab=True, vmalloc=True, steps=False)
    end = VMALLOC_START + RANGE
    areas = _fill(machine, size, end)
    for address in areas[::4]:
        machine.vfree(address)
    machine.purge_vmap_area_lazy()
    logged = len(machine.vmalloc_log())
    assert not _fill(machine, refused, end)
    holes = [
        min(va.va_end, end) - max(va.va_start, VMALLOC_START)
        for va in rb_nodes(free_tree(machine))
        if va.va_start < end
    ]
    zones = populated_zones(machine.vm)
    nr_free = sum(zone_page_state_snapshot(zone, NR_FREE_PAGES) for zone in zones)
    nr_areas = len(areas) - len(areas[::4])
    return Exhausted(nr_areas, sum(holes), max(holes), nr_free, machine.vmalloc_log()[logged:])


def _fill(machine: Machine, size: int, end: int) -> list[int]:
    """Ask for areas below end until there are none."""
    areas = []
    while True:
        try:
            areas.append(machine.vmalloc_node_range(size, 1, VMALLOC_START, end))
        except PageAllocationFailure:
            return areas


# A real machine


def holes_between(rows: list[VmallocinfoArea]) -> list[int]:
    """Bytes that are free between one area and the next, where there are any."""
    inside = sorted(
        (row for row in rows if VMALLOC_START <= row.start < VMALLOC_END), key=lambda row: row.start
    )
    return [b.start - a.end for a, b in pairwise(inside) if b.start > a.end]


# Footprint


class Footprint(NamedTuple):
    """Bytes asked for, the pages that they need, and from one such area's begin to the next's."""

    size: int
    pages: int
    stride: int

    def __str__(self) -> str:
        waste = self.stride - self.size
        return (
            f"{self.size:,} bytes: {self.pages} page{'' if self.pages == 1 else 's'} of memory, "
            f"{self.stride // PAGE_SIZE} of addresses; {waste:,} bytes of addresses more than asked"
        )


def without_memory() -> Vm:
    """A Vm with all addresses free; nothing can be mapped in it."""
    vm = Vm(1024, 1, 1, Trace(mask=0))
    vmap_init_nodes(vm)
    vmap_init_free_space(vm)
    return vm


def footprint(size: int, align: int = 1) -> Footprint:
    """Two areas one behind the other tell what each takes. Kernel: __get_vm_area_node()."""
    vm = without_memory()
    one, other = (
        get_vm_area_node(vm, size, align, PAGE_SHIFT, VM_ALLOC, VMALLOC_START, VMALLOC_END)
        for _ in range(2)
    )
    assert one is not None
    assert other is not None
    return Footprint(size, get_vm_area_size(one) >> PAGE_SHIFT, other.addr - one.addr)


class FootprintSlider(Controls):
    """What a request takes of memory and of addresses, under sliders."""

    def __init__(self, size: int = 4096) -> None:
        full = widgets.Layout(**FULL)
        self.size = widgets.IntSlider(
            value=size, min=1, max=1 << 17, step=1, description="bytes", layout=full
        )
        self.align = widgets.SelectionSlider(
            options=[(f"{PAGE_SIZE << order >> 10} KiB", PAGE_SIZE << order) for order in range(5)],
            description="alignment", layout=full,
        )  # fmt: skip
        self.said = widgets.HTML(layout=full)
        for control in (self.size, self.align):
            control.observe(self._show, names="value")
        self._show()
        super().__init__([self.size, self.align, self.said])

    def _show(self, _: Any = None) -> None:
        self.footprint = footprint(self.size.value, self.align.value)
        self.said.value = status(self.text())

    def text(self) -> str:
        """What is shown, in words."""
        return f"{self.footprint}."


# The four fits

HOLE_PAGES = 8


class Clipped(NamedTuple):
    """Pages taken out of a hole: how they lay in it, and what is left, as (first page, pages)."""

    fit: FitType
    left: list[tuple[int, int]]

    def __str__(self) -> str:
        told = " and ".join(
            f"pages {first} to {first + pages - 1}" if pages > 1 else f"page {first}"
            for first, pages in self.left
        )
        return f"{self.fit.name}: left over {told or 'nothing'}"


def clip(first: int, pages: int) -> Clipped:
    """Take pages out of a hole of HOLE_PAGES, from its page number first on."""
    vm = without_memory()
    hole = _hole(vm)
    start, root = hole.va_start, vm.vmalloc.free_vmap_area_root
    fit = classify_va_fit_type(hole, start + first * PAGE_SIZE, pages * PAGE_SIZE)
    va_clip(vm.vmalloc, hole, start + first * PAGE_SIZE, pages * PAGE_SIZE)
    end = start + HOLE_PAGES * PAGE_SIZE
    left = [va for va in rb_nodes(root) if start <= va.va_start < end]
    return Clipped(
        fit, [((va.va_start - start) >> PAGE_SHIFT, va_size(va) >> PAGE_SHIFT) for va in left]
    )


def _hole(vm: Vm) -> VmapArea:
    """A free area of HOLE_PAGES pages between two busy ones."""
    limits = VMALLOC_START, VMALLOC_END
    areas = [alloc_vmap_area(vm, n * PAGE_SIZE, 1, *limits) for n in (1, HOLE_PAGES, 1)]
    middle = areas[1]
    assert isinstance(middle, VmapArea)
    start = middle.va_start
    free_vmap_area(vm, middle)
    hole = find_in_tree(start, vm.vmalloc.free_vmap_area_root)
    assert hole is not None
    return hole


class FourFits(Controls):
    """Pages taken out of a hole, under sliders: which of the four fits it is, what is left."""

    def __init__(self) -> None:
        full = widgets.Layout(**FULL)
        self.first = widgets.IntSlider(
            min=0, max=HOLE_PAGES - 1, description="from page", layout=full
        )
        self.pages = widgets.IntSlider(
            value=3, min=1, max=HOLE_PAGES, description="pages", layout=full
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        for control in (self.first, self.pages):
            control.observe(self._show, names="value")
        self._show()
        super().__init__([self.first, self.pages, self.picture])

    def _show(self, _: Any = None) -> None:
        self.clipped = clip(self.first.value, self.pages.value)
        free = {page for first, pages in self.clipped.left for page in range(first, first + pages)}
        spans = [(GUARD, "busy: a neighbour")] + [
            (FREE, f"page {page}: free") if page in free else (BUSY, f"page {page}: taken")
            for page in range(HOLE_PAGES)
        ] + [(GUARD, "busy: a neighbour")]  # fmt: skip
        cells = "".join(cell(STYLES[kind], 40, told) for kind, told in spans)
        drawn = f'<div aria-hidden="true" style="padding: 4px">{cells}</div>'
        self.picture.value = drawn + status(self.text())

    def text(self) -> str:
        """What is shown, in words."""
        pages = pages_of(self.pages.value * PAGE_SIZE)
        return f"{pages} from page {self.first.value} on: {self.clipped}."
