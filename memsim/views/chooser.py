"""kmalloc(), vmalloc(), vmalloc_huge() and kvmalloc() of one size on a fragmented zone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.lib.sizes import show_size
from memsim.machine import Machine
from memsim.mm.mmzone import populated_zones
from memsim.mm.vmalloc.state import is_vmalloc_addr
from memsim.mm.vmalloc.vm_area import find_vm_area
from memsim.mm.vmstat import nr_free_by_order
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.views.lesson12 import hold_one_of
from memsim.words.errors import PageAllocationFailure
from memsim.words.slab import PAGE_OFFSET

CALLS = ("kmalloc", "vmalloc", "vmalloc_huge", "kvmalloc")
#: The direct map has entries of 2 MiB at least.
_PAGES_OF_DIRECT_ENTRY = 512
SIZES = (
    1000, 4096, 8192, 12 << 10, 16 << 10, 64 << 10, 100 << 10, 512 << 10, 1 << 20, 1280 << 10,
    2 << 20, 4 << 20, 6 << 20,
)  # fmt: skip
#: One page of so many is held; 0: none is.
HELD = (0, 1024, 256, 64, 16, 4, 2)


class Got(NamedTuple):
    """What one call gave: bytes of memory, in how many pieces, under how many TLB entries.

    taken is 0 when it was refused. by_vmalloc: the address is one of vmalloc's.
    """

    call: str
    size: int
    taken: int
    pieces: int
    tlb_entries: int
    by_vmalloc: bool

    def __str__(self) -> str:
        what = f"{self.call}({self.size:,})"
        if not self.taken:
            return f"{what}: refused"
        by = "" if self.call != "kvmalloc" else " by vmalloc" if self.by_vmalloc else " by kmalloc"
        pieces = "one piece" if self.pieces == 1 else f"{self.pieces:,} pieces"
        entries = "1 TLB entry" if self.tlb_entries == 1 else f"{self.tlb_entries:,} TLB entries"
        return f"{what}:{by} {show_size(self.taken)} in {pieces}, {entries}"


def fragmented(held: int, ram: str = "32 MiB", steps: bool = False) -> Machine:
    """A machine one page of so many of which is held by somebody and cannot move; 0: none is."""
    machine = Machine(ram, slab=True, vmalloc=True, steps=steps)
    if held:
        hold_one_of(machine, held)
    return machine


def largest_order(machine: Machine) -> int:
    """The order of the largest free block in any zone; -1 if there is none."""
    zones = populated_zones(machine.vm)
    return max(
        (k for zone in zones for k, nr in enumerate(nr_free_by_order(zone)) if nr), default=-1
    )


def got(machine: Machine, call: str, size: int) -> Got:
    """Make one call, look at what it gave, and free it."""
    try:
        address = getattr(machine, call)(size)
    except PageAllocationFailure:
        return Got(call, size, 0, 0, 0, by_vmalloc=False)
    seen = _seen(machine, call, size, address)
    machine.kvfree(address)
    machine.purge_vmap_area_lazy()
    machine.drain_all_pages()
    return seen


def _seen(machine: Machine, call: str, size: int, address: int) -> Got:
    pages = range(address, address + size, PAGE_SIZE)
    if is_vmalloc_addr(machine.vm.vmalloc, address):
        leaves = {machine.walk(page)[-1] for page in pages}
        pfns = [machine.vmalloc_to_pfn(page) for page in pages]
        area = find_vm_area(machine.vm, address)
        taken = area.nr_pages * PAGE_SIZE if area else 0
        return Got(call, size, taken, _runs(pfns), len(leaves), by_vmalloc=True)
    first = (address - PAGE_OFFSET) >> PAGE_SHIFT
    last = (address + size - 1 - PAGE_OFFSET) >> PAGE_SHIFT
    entries = last // _PAGES_OF_DIRECT_ENTRY - first // _PAGES_OF_DIRECT_ENTRY + 1
    return Got(call, size, machine.ksize(address), 1, entries, by_vmalloc=False)


def _runs(pfns: Iterable[int]) -> int:
    """Pieces of memory: how often the next page is not the one behind."""
    return 1 + sum(other != one + 1 for one, other in pairwise(pfns))


class Chooser(Controls):
    """Size and fragmentation under sliders; each call's answer and what it costs."""

    def __init__(self, size: int = 64 << 10, held: int = 16) -> None:
        self._machines: dict[int, Machine] = {}
        full = widgets.Layout(**FULL)
        self.size = widgets.SelectionSlider(
            options=[(f"{size:,} bytes", size) for size in SIZES], value=size,
            description="size", layout=full, continuous_update=False,
        )  # fmt: skip
        self.held = widgets.SelectionSlider(
            options=[(f"one page of {n}" if n else "none", n) for n in HELD], value=held,
            description="held", layout=full, continuous_update=False,
        )  # fmt: skip
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        for control in (self.size, self.held):
            control.observe(self._show, names="value")
        self._show()
        super().__init__([self.size, self.held, self.picture])

    @property
    def machine(self) -> Machine:
        """The machine that is as fragmented as the slider says."""
        held = self.held.value
        if held not in self._machines:
            self._machines[held] = fragmented(held)
        return self._machines[held]

    def _show(self, _: Any = None) -> None:
        self.got = [got(self.machine, call, self.size.value) for call in CALLS]
        rows = "".join(_row(answer) for answer in self.got)
        heads = "".join(
            f'<th style="text-align: left; padding: 2px 12px">{head}</th>'
            for head in ("call", "memory", "pieces", "TLB entries")
        )
        region = 'role="region" tabindex="0" aria-label="calls"'
        table = scrolling(f"<table><tr>{heads}</tr>{rows}</table>", region)
        self.picture.value = table + status(self.text())

    def text(self) -> str:
        """What is shown, in words."""
        largest = largest_order(self.machine)
        held = f"one page of {self.held.value} held" if self.held.value else "nothing held"
        told = "; ".join(str(answer) for answer in self.got)
        return f"{held[0].upper()}{held[1:]}, largest free block order {largest}. {told}."


def _row(answer: Got) -> str:
    if not answer.taken:
        cells = [answer.call, "refused", "–", "–"]
    else:
        by = f" ({'vmalloc' if answer.by_vmalloc else 'kmalloc'})"
        call = answer.call + (by if answer.call == "kvmalloc" else "")
        pieces, entries = f"{answer.pieces:,}", f"{answer.tlb_entries:,}"
        cells = [call, show_size(answer.taken), pieces, entries]
    data = "".join(f'<td style="text-align: left; padding: 2px 12px">{cell}</td>' for cell in cells)
    return f"<tr>{data}</tr>"
