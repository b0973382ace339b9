"""An address taken apart, and walked through the page tables to its pfn."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.machine import Machine
from memsim.mm.pgtable import LEVEL_NAMES, PGD, PTE, Entry, PageTables, is_leaf
from memsim.views.controls import FULL, Controls, status
from memsim.words.mmzone import NULL

#: Of Okabe and Ito, the four levels and the offset; each is also named in words.
COLOURS = {"pgd": "#56b4e9", "pud": "#e69f00", "pmd": "#009e73", "pte": "#cc79a7", "": "#b0b0b0"}
ADDRESS_BITS = 48


def bits_of(mm: PageTables, address: int, last_level: int = PTE) -> list[tuple[str, int, int]]:
    """The parts of an address: of which level, how many bits, their value; "" is the offset."""
    parts = [
        (LEVEL_NAMES[level], mm.index_bits, mm.index_of(address, level))
        for level in range(PGD, last_level - 1, -1)
    ]
    shift = mm.shift_of(last_level)
    return [*parts, ("", shift, address & (1 << shift) - 1)]


def bits_text(mm: PageTables, address: int, last_level: int = PTE) -> str:
    """The lower 48 bits in groups: pgd 110010010 (402) and so on."""
    return ", ".join(
        f"{name or 'offset'} {value:0{bits}b} ({value})"
        for name, bits, value in bits_of(mm, address, last_level)
    )


def entry_text(entry: Entry) -> str:
    """One level of a walk in words."""
    name = LEVEL_NAMES[entry.level]
    table = "swapper_pg_dir" if entry.table_pfn == NULL else f"the table at pfn {entry.table_pfn}"
    where = f"{name}: entry {entry.number} of {table}"
    if not entry.value:
        return f"{where} is empty: nothing is mapped"
    if entry.level == PTE:
        return f"{where} leads to the page at pfn {entry.pfn}"
    if is_leaf(entry.value):
        return f"{where} maps 2 MiB from pfn {entry.pfn} on"
    return f"{where} leads to the table at pfn {entry.pfn}"


def walk_text(machine: Machine, address: int) -> str:
    """The walk in words: the address, a line for each level, and where it ends."""
    entries, mm = machine.walk(address), machine.vm.vmalloc.init_mm
    bits = bits_text(mm, address, entries[-1].level)
    lines = [f"  {entry_text(entry)}" for entry in entries]
    return "\n".join([f"{address:#x}: {bits}", *lines, f"  {_end(mm, address, entries[-1])}"])


def _end(mm: PageTables, address: int, last: Entry) -> str:
    if last.pfn == NULL:
        return "Page fault."
    shift = mm.shift_of(last.level)
    physical = (last.pfn << PAGE_SHIFT) + (address & (1 << shift) - 1)
    pfn, offset = physical >> PAGE_SHIFT, physical % PAGE_SIZE
    return f"So it is byte {offset} of pfn {pfn}, physical address {physical:#x}."


def four_areas() -> tuple[Machine, dict[str, tuple[int, int]]]:
    """A machine, and on it areas by name: their address, and pages with the guard page."""
    machine = Machine("64 MiB", slab=True, vmalloc=True)
    sizes = {"vmalloc(16384)": 16384, "vmalloc(3 MiB)": 3 << 20}
    areas = {name: (machine.vmalloc(size), size // PAGE_SIZE + 1) for name, size in sizes.items()}
    areas["vmalloc_huge(4 MiB)"] = machine.vmalloc_huge(4 << 20), 1025
    freed = machine.vmalloc(16384)
    machine.vfree(freed)
    areas["16384 bytes, freed again"] = freed, 5
    return machine, areas


class WalkAddress(Controls):
    """An address under sliders, its bits, and the entry of each table that it leads through."""

    def __init__(self) -> None:
        self.machine, self.areas = four_areas()
        full = widgets.Layout(**FULL)
        self.area = widgets.Dropdown(options=list(self.areas), description="area", layout=full)
        self.page = widgets.IntSlider(min=0, max=4, description="page", layout=full)
        self.byte = widgets.IntSlider(min=0, max=PAGE_SIZE - 1, description="byte", layout=full)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.area.observe(self._choose, names="value")
        for control in (self.page, self.byte):
            control.observe(self._show, names="value")
        self._show()
        super().__init__([self.area, self.page, self.byte, self.picture])

    @property
    def address(self) -> int:
        """The address that the controls say."""
        start, _ = self.areas[self.area.value]
        offset: int = self.page.value * PAGE_SIZE + self.byte.value
        return start + offset

    def _choose(self, _: Any) -> None:
        self.page.max = self.areas[self.area.value][1] - 1
        self.page.value = 0
        self._show()

    def _show(self, _: Any = None) -> None:
        entries, mm = self.machine.walk(self.address), self.machine.vm.vmalloc.init_mm
        drawn = bits_html(mm, self.address, entries[-1].level)
        rows = "".join(f"<li>{html.escape(entry_text(entry))}</li>" for entry in entries)
        said = status(f"{self.address:#x}. {_end(mm, self.address, entries[-1])}")
        self.picture.value = f"{drawn}<ol>{rows}</ol>{said}"

    def text(self) -> str:
        """What is shown, in words."""
        return walk_text(self.machine, self.address)


def bits_html(mm: PageTables, address: int, last_level: int) -> str:
    """The bits of an address in boxes, a box for each level. HTML."""
    boxes = "".join(
        '<span style="display: inline-block; text-align: center; margin-right: 4px">'
        f'<span style="display: block; font-family: monospace; padding: 3px 5px; color: #000; '
        f'background: {COLOURS[name]}">{value:0{bits}b}</span>'
        f"{name or 'offset'} {value}</span>"
        for name, bits, value in bits_of(mm, address, last_level)
    )
    return (
        '<div aria-hidden="true" style="padding: 4px 0; font-size: 13px">'
        f'<span style="display: inline-block; text-align: center; margin-right: 4px">'
        f'<span style="display: block; font-family: monospace; padding: 3px 5px">'
        f"{address >> ADDRESS_BITS:b}</span>bit 47, 16 times</span>{boxes}</div>"
    )
