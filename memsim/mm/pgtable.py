"""The kernel's page tables: from a virtual address to a pfn, level by level.

A table is a page of 512 entries, with 32 bits of 1024; only those that are not empty are kept. An
entry is a pfn, shifted by PAGE_SHIFT, and flags. The topmost table, swapper_pg_dir, is part of the
kernel's image. With 32 bits there are two levels; the topmost table is then that of pmds.

NOT MODELLED: five levels, PAE; the entries' accessed and dirty bits change only where Linux sets
them.

Kernel: arch/x86/include/asm/pgtable_types.h, include/linux/pgtable.h, mm/memory.c __pmd_alloc()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, signed
from memsim.mm.mempolicy import alloc_pages_noprof
from memsim.mm.mmzone import Vm
from memsim.mm.page_alloc.free import free_unref_page
from memsim.trace.events import TP_STEPS
from memsim.trace.vmalloc_steps import PTE_SET, TABLE_GONE, TABLE_NEW
from memsim.words.gfp import __GFP_COMP, __GFP_ZERO, GFP_KERNEL
from memsim.words.mmzone import NULL
from memsim.words.vmalloc import VmallocLayout

_PAGE_PRESENT = 1 << 0
_PAGE_RW = 1 << 1
_PAGE_PCD = 1 << 4
_PAGE_ACCESSED = 1 << 5
_PAGE_DIRTY = 1 << 6
_PAGE_PSE = 1 << 7
_PAGE_GLOBAL = 1 << 8
_PAGE_NX = 1 << 63
#: An entry that leads to a table, and one that maps memory of the kernel.
_KERNPG_TABLE = _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY
PAGE_KERNEL = _KERNPG_TABLE | _PAGE_GLOBAL | _PAGE_NX
#: Memory of a device, as ioremap() maps it: uncached, but for what an MTRR says.
PAGE_KERNEL_IO = PAGE_KERNEL | _PAGE_PCD
_PFN_MASK = (1 << 52) - (1 << PAGE_SHIFT)

PTE, PMD, PUD, PGD = range(4)
LEVEL_NAMES = ("pte", "pmd", "pud", "pgd")
#: Of x86-64.
PMD_SHIFT = PAGE_SHIFT + 9
PMD_SIZE = 1 << PMD_SHIFT
PUD_SHIFT = PMD_SHIFT + 9
GFP_PGTABLE_KERNEL = GFP_KERNEL | __GFP_ZERO


class Table:
    """A page table of one level: entries by index. Its page is pfn; NULL for swapper_pg_dir."""

    __slots__ = ("entries", "level", "pfn")

    def __init__(self, pfn: int, level: int) -> None:
        self.pfn = pfn
        self.level = level
        self.entries: dict[int, int] = {}


class Entry(NamedTuple):
    """One level of a walk: which table, which of its entries, and what that holds."""

    level: int
    table_pfn: int
    number: int
    value: int

    @property
    def pfn(self) -> int:
        """What the entry leads to: the next table, or the page; NULL when it is empty."""
        return entry_pfn(self.value) if self.value & _PAGE_PRESENT else NULL


class PageTables:
    """All tables of the kernel's address space, by pfn. Kernel: init_mm.

    entry_mask: the bits that an entry has; with 32 there is no _PAGE_NX.
    """

    __slots__ = ("entry_mask", "index_bits", "pgd", "tables")

    def __init__(self, layout: VmallocLayout) -> None:
        self.index_bits = layout.index_bits
        self.entry_mask = layout.ULONG_MAX
        self.pgd = Table(NULL, layout.levels - 1)
        self.tables: dict[int, Table] = {NULL: self.pgd}

    def shift_of(self, level: int) -> int:
        """An entry of this level stands for 2**shift bytes. Kernel: PMD_SHIFT and the like."""
        return PAGE_SHIFT + self.index_bits * level

    def index_of(self, address: int, level: int) -> int:
        """Which entry of a table stands for address. Kernel: pmd_index() and the like."""
        return address >> self.shift_of(level) & (1 << self.index_bits) - 1

    def leaf(self, pfn: int, prot: int) -> int:
        """The entry that maps pfn. Kernel: pfn_pte()."""
        return pfn << PAGE_SHIFT | prot & self.entry_mask

    def parts(self, address: int, end: int, level: int) -> Iterator[tuple[int, int]]:
        """The range cut where entries of this level begin. Kernel: pmd_addr_end()."""
        size = 1 << self.shift_of(level)
        while address < end:
            next_address = min(end, (address // size + 1) * size)
            yield address, next_address
            address = next_address


def entry_pfn(value: int) -> int:
    """The pfn in an entry. Kernel: pte_pfn()."""
    return (value & _PFN_MASK) >> PAGE_SHIFT


def is_leaf(value: int) -> bool:
    """Does an entry above the last level map memory itself? Kernel: pmd_leaf()."""
    return value & _PAGE_PSE != 0


def set_entry(vm: Vm, table: Table, index: int, value: int) -> None:
    """Write an entry; 0 empties it. Kernel: set_pte(), set_pmd()."""
    old = table.entries.get(index, 0)
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(PTE_SET, table.pfn, index, signed(old), signed(value))
    put_entry(table, index, value)


def put_entry(table: Table, index: int, value: int) -> None:
    """The change alone."""
    if value:
        table.entries[index] = value
    else:
        table.entries.pop(index, None)


def table_below(vm: Vm, table: Table, address: int) -> Table | None:
    """The table that address's entry leads to; None if it leads to none. Kernel: pmd_offset()."""
    mm = vm.vmalloc.init_mm
    value = table.entries.get(mm.index_of(address, table.level), 0)
    return mm.tables[entry_pfn(value)] if value and not is_leaf(value) else None


def alloc_table(vm: Vm, table: Table, address: int) -> Table | None:
    """The table that address's entry leads to, made if need be; None without memory for it.

    Kernel: mm/memory.c __pud_alloc(), __pmd_alloc(), __pte_alloc_kernel()
    """
    below = table_below(vm, table, address)
    if below is not None:
        return below
    pfn = alloc_pages_noprof(vm, GFP_PGTABLE_KERNEL | __GFP_COMP, 0)
    return None if pfn == NULL else hang_table(vm, table, address, pfn)


def hang_table(vm: Vm, table: Table, address: int, pfn: int) -> Table:
    """Let address's entry lead to a new table in page pfn. Kernel: pmd_populate_kernel()."""
    level = table.level - 1
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(TABLE_NEW, pfn, level)
    mm = vm.vmalloc.init_mm
    below = mm.tables[pfn] = Table(pfn, level)
    index = mm.index_of(address, table.level)
    set_entry(vm, table, index, pfn << PAGE_SHIFT | _KERNPG_TABLE)
    return below


def free_table(vm: Vm, table: Table) -> None:
    """Free a table that no entry leads to any more, and its page."""
    for index in list(table.entries):
        set_entry(vm, table, index, 0)
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(TABLE_GONE, table.pfn, table.level)
    del vm.vmalloc.init_mm.tables[table.pfn]
    free_unref_page(vm, table.pfn, 0)


def walk(vm: Vm, address: int) -> list[Entry]:
    """The entries from the topmost table down to the one that maps address, or is empty."""
    mm = vm.vmalloc.init_mm
    table: Table | None = mm.pgd
    entries = []
    while table is not None:
        index = mm.index_of(address, table.level)
        entries.append(Entry(table.level, table.pfn, index, table.entries.get(index, 0)))
        table = table_below(vm, table, address) if table.level > PTE else None
    return entries


def vmalloc_to_pfn(vm: Vm, address: int) -> int:
    """The pfn that address is mapped to; NULL if it is mapped to none.

    Kernel: mm/vmalloc.c vmalloc_to_page(), vmalloc_to_pfn()
    """
    last = walk(vm, address)[-1]
    if not last.value & _PAGE_PRESENT:
        return NULL
    inside = (address & (1 << vm.vmalloc.init_mm.shift_of(last.level)) - 1) // PAGE_SIZE
    return last.pfn + inside
