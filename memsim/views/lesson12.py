"""What lesson 12 runs more than once: tables counted, pages scattered, lazy frees and flushes."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SIZE
from memsim.machine import Machine
from memsim.mm.mmzone import Vm, populated_zones
from memsim.mm.vmalloc.alloc import alloc_vmap_area, find_unlink_vmap_area
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.init import vmap_init_free_space, vmap_init_nodes
from memsim.mm.vmalloc.lazy import drain_vmap_area_work, free_vmap_area_noflush
from memsim.mm.vmalloc.state import lazy_max_pages
from memsim.mm.vmstat import nr_free_by_order
from memsim.trace.trace import Trace
from memsim.views.controls import FULL, Controls, status
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import __GFP_MEMALLOC, __GFP_NOWARN, GFP_KERNEL
from memsim.words.slab import PAGE_OFFSET
from memsim.words.vmalloc import VMALLOC_END, VMALLOC_START


def free_pages(machine: Machine) -> int:
    """Pages that the page allocator has, none of them on a CPU's list."""
    machine.drain_all_pages()
    return sum(
        count << order
        for zone in populated_zones(machine.vm)
        for order, count in enumerate(nr_free_by_order(zone))
    )


def nr_tables(machine: Machine) -> int:
    """Pages that are page tables; swapper_pg_dir is none of them."""
    return len(machine.vm.vmalloc.init_mm.tables) - 1


def virt_to_phys(address: int) -> int:
    """What x86's virt_to_phys() computes. Right for the direct map alone.

    NOT MODELLED: addresses of the kernel's image. Kernel: arch/x86/mm/physaddr.c __phys_addr()
    """
    return address - PAGE_OFFSET


def hold_one_of(machine: Machine, n: int) -> list[int]:
    """Take all memory, below the watermarks too, and keep only every nth page.

    The pages that are kept: no block of n pages or more is free.
    """
    pages: list[int] = []
    while len(got := machine.alloc_pages_bulk(GFP_KERNEL, 1 << 10)) > 1:
        pages += got
    pages += got
    with suppress(PageAllocationFailure):
        while True:
            pages.append(machine.alloc_pages(GFP_KERNEL | __GFP_MEMALLOC | __GFP_NOWARN))
    pages.sort()
    held = pages[::n]
    for pfn in sorted(set(pages) - set(held)):
        machine.free_pages(pfn)
    machine.drain_all_pages()
    return held


def scattered(nr_pages: int) -> list[int]:
    """The pfns behind an area of so many pages, where every second page of memory is in use."""
    machine = Machine("64 MiB", vmalloc=True, steps=False)
    hold_one_of(machine, 2)
    address = machine.vmalloc(nr_pages * PAGE_SIZE)
    return [machine.vmalloc_to_pfn(address + page * PAGE_SIZE) for page in range(nr_pages)]


# Lazy frees


class Flushes(NamedTuple):
    """nr areas were freed: how often all CPUs had to forget addresses; lazy pages left, limit."""

    freed: int
    cpus: int
    lazily: int
    left: int
    limit: int

    def __str__(self) -> str:
        return (
            f"{self.freed:,} areas freed, {self.cpus} CPU{'' if self.cpus == 1 else 's'}. "
            f"TLB flushes: {self.freed:,} if each vfree() did one, {self.lazily} lazily; "
            f"{self.left:,} of {self.limit:,} pages wait"
        )


def flushes(nr: int, pages: int = 4, cpus: int = 1) -> Flushes:
    """Take and free nr areas of so many pages, one behind the other; nothing is mapped."""
    vm = Vm(1024, cpus, 1, Trace(mask=0))
    vmap_init_nodes(vm)
    vmap_init_free_space(vm)
    for _ in range(nr):
        _take_and_free(vm, pages + 1)  # with the guard page
    state = vm.vmalloc
    return Flushes(nr, cpus, state.nr_tlb_flushes, state.vmap_lazy_nr, lazy_max_pages(cpus))


def _take_and_free(vm: Vm, pages: int) -> None:
    va = alloc_vmap_area(vm, pages * PAGE_SIZE, 1, VMALLOC_START, VMALLOC_END)
    assert isinstance(va, VmapArea)
    assert find_unlink_vmap_area(vm, va.va_start) is va
    free_vmap_area_noflush(vm, va)
    if vm.vmalloc.drain_vmap_work:
        drain_vmap_area_work(vm)


class LazyFlushes(Controls):
    """How many areas are freed, how large, on how many CPUs; and the TLB flushes that costs."""

    def __init__(self, freed: int = 1000) -> None:
        full = widgets.Layout(**FULL)
        self.freed = widgets.IntSlider(
            value=freed, min=0, max=5000, step=100, description="vfree()s", layout=full,
            continuous_update=False,
        )  # fmt: skip
        self.pages = widgets.IntSlider(
            value=4, min=1, max=64, description="pages", layout=full, continuous_update=False
        )
        self.cpus = widgets.SelectionSlider(
            options=[1 << n for n in range(9)], description="CPUs", layout=full,
            continuous_update=False,
        )  # fmt: skip
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        for control in (self.freed, self.pages, self.cpus):
            control.observe(self._show, names="value")
        self._show()
        super().__init__([self.freed, self.pages, self.cpus, self.picture])

    def _show(self, _: Any = None) -> None:
        self.flushes = flushes(self.freed.value, self.pages.value, self.cpus.value)
        share = 100 * self.flushes.left // self.flushes.limit
        gauge = (
            '<div aria-hidden="true" style="max-width: 48em; border: 1px solid #808080; '
            'margin: 4px 0; background: transparent">'
            '<div style="height: 18px; background: radial-gradient(#444 1px, #e4e4e4 1.5px) 0 0 / '
            f'6px 6px; width: {min(share, 100)}%"></div></div>'
        )
        self.picture.value = gauge + status(self.text())

    def text(self) -> str:
        """What is shown, in words."""
        return f"{self.flushes}."


# Recorded


class Purge(NamedTuple):
    """A recorded purge: the addresses that it had forgotten, and how many areas."""

    start: int
    end: int
    num_purged: int


_PURGE = re.compile(r"purge_vmap_area_lazy: start=(0x\w+) end=(0x\w+) num_purged=(\d+)")
_FREE = re.compile(r"free_vmap_area_noflush: va_start=\w+ nr_lazy=(\d+) nr_lazy_max=(\d+)")


def recorded_purges(path: Path) -> tuple[list[Purge], int, int]:
    """The purges of a trace, and nr_lazy and nr_lazy_max of the last free in it."""
    text = path.read_text(encoding="utf-8")
    purges = [Purge(int(m[1], 16), int(m[2], 16), int(m[3])) for m in _PURGE.finditer(text)]
    nr_lazy, nr_lazy_max = _FREE.findall(text)[-1]
    return purges, int(nr_lazy), int(nr_lazy_max)
