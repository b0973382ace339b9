"""What the firmware says of memory: ranges and types. They may overlap, and then one type wins.

Ranges are bytes [start, end). Kernel: arch/x86/kernel/e820.c
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from memsim.lib.bits import PAGE_SIZE
from memsim.mm.memblock.add import memblock_add, memblock_reserve
from memsim.mm.memblock.region import Memblock
from memsim.mm.memblock.remove import memblock_trim_memory

E820_TYPE_RAM = 1
E820_TYPE_RESERVED = 2
E820_TYPE_ACPI = 3
E820_TYPE_NVS = 4
E820_TYPE_UNUSABLE = 5
E820_TYPE_PMEM = 7
E820_TYPE_PRAM = 12
E820_TYPE_SOFT_RESERVED = 0xEFFFFFFF
#: As the kernel's log names them. Kernel: arch/x86/kernel/e820.c e820_print_type()
E820_TYPE_NAMES = {
    E820_TYPE_RAM: "usable",
    E820_TYPE_RESERVED: "reserved",
    E820_TYPE_ACPI: "ACPI data",
    E820_TYPE_NVS: "ACPI NVS",
    E820_TYPE_UNUSABLE: "unusable",
    E820_TYPE_PMEM: "persistent (type 7)",
    E820_TYPE_PRAM: "persistent (type 12)",
    E820_TYPE_SOFT_RESERVED: "soft reserved",
}

_BIOS_BEGIN, _BIOS_END = 0xA0000, 0x100000


class E820Entry(NamedTuple):
    """Bytes [start, end) of a type. Kernel: struct e820_entry."""

    start: int
    end: int
    type: int


def e820_update_table(entries: Iterable[E820Entry]) -> list[E820Entry]:
    """Sorted and without overlaps: where ranges overlap, the greatest type number wins.

    So what one entry calls reserved is not RAM, whatever another says. NOT MODELLED: that
    neighbours of persistent and soft reserved memory stay apart. Cost: n log n.
    Kernel: arch/x86/kernel/e820.c e820__update_table()
    """
    begin: dict[int, list[int]] = {}
    end_: dict[int, list[int]] = {}
    for entry in entries:
        if entry.start < entry.end:
            begin.setdefault(entry.start, []).append(entry.type)
            end_.setdefault(entry.end, []).append(entry.type)
    overlapping: Counter[int] = Counter()
    table: list[E820Entry] = []
    for start, end in pairwise(sorted(begin.keys() | end_.keys())):
        overlapping.update(begin.get(start, ()))
        overlapping.subtract(end_.get(start, ()))
        current_type = max(+overlapping, default=0)
        if not current_type:
            continue
        before = table[-1] if table else None
        if before and before.end == start and before.type == current_type:
            table[-1] = before._replace(end=end)
        else:
            table.append(E820Entry(start, end, current_type))
    return table


def _range_update(table: list[E820Entry], start: int, end: int, new: int) -> list[E820Entry]:
    """What is RAM in a range is of another type; 0: of none. Kernel: e820__range_update()."""
    found = []
    for entry in table:
        first, last = max(entry.start, start), min(entry.end, end)
        if entry.type != E820_TYPE_RAM or first >= last:
            found.append(entry)
            continue
        parts = (E820Entry(entry.start, first, entry.type), E820Entry(last, entry.end, entry.type))
        found += [part for part in parts if part.start < part.end]
        if new:
            found.append(E820Entry(first, last, new))
    return e820_update_table(found)


def trim_bios_range(table: list[E820Entry]) -> list[E820Entry]:
    """The first page is the firmware's, whatever it says, and 640 KiB to 1 MiB is no RAM.

    Kernel: arch/x86/kernel/setup.c trim_bios_range()
    """
    table = _range_update(table, 0, PAGE_SIZE, E820_TYPE_RESERVED)
    return _range_update(table, _BIOS_BEGIN, _BIOS_END, 0)


def e820_memblock_setup(memblock: Memblock, table: Iterable[E820Entry]) -> None:
    """RAM, whole pages of it, becomes memblock's. Kernel: e820.c e820__memblock_setup()."""
    memblock.can_resize = True
    for entry in table:
        if entry.type == E820_TYPE_SOFT_RESERVED:
            memblock_reserve(memblock, entry.start, entry.end - entry.start)
        elif entry.type == E820_TYPE_RAM:
            memblock_add(memblock, entry.start, entry.end - entry.start)
    memblock_trim_memory(memblock, PAGE_SIZE)
