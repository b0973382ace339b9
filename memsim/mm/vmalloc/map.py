"""Pages are mapped to addresses, and unmapped.

Kernel: mm/vmalloc.c, "Page table manipulation functions"
"""

from __future__ import annotations

from collections.abc import Sequence

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import (
    _PAGE_PSE,
    PAGE_KERNEL,
    PMD,
    PMD_SHIFT,
    PMD_SIZE,
    PTE,
    Table,
    alloc_table,
    free_table,
    index_of,
    is_leaf,
    parts,
    set_entry,
    table_below,
)
from memsim.words.errno import EBUSY, ENOMEM


def vmap_pages_range(vm: Vm, addr: int, pages: Sequence[int], page_shift: int) -> int:
    """Map pages, which are pfns, one behind the other: 0, or -ENOMEM, -EBUSY.

    page_shift: PMD_SHIFT if they are contiguous in so large blocks. What was mapped before an
    error stays. Kernel: mm/vmalloc.c vmap_pages_range(), vmap_small_pages_range_noflush()
    """
    if page_shift == PAGE_SHIFT:
        return _map_small(vm, addr, pages)
    step = 1 << page_shift - PAGE_SHIFT
    for number in range(0, len(pages), step):
        start = addr + number * PAGE_SIZE
        err = vmap_page_range(vm, start, start + (1 << page_shift), pages[number], page_shift)
        if err:
            return err
    return 0


def _map_small(vm: Vm, addr: int, pages: Sequence[int]) -> int:
    for start, end in parts(addr, addr + len(pages) * PAGE_SIZE, PMD):
        first = (start - addr) >> PAGE_SHIFT
        err = _vmap_pages_pte_range(vm, start, pages[first : first + (end - start >> PAGE_SHIFT)])
        if err:
            return err
    return 0


def _vmap_pages_pte_range(vm: Vm, addr: int, pages: Sequence[int]) -> int:
    """Pages whose entries are in one table. Kernel: vmap_pages_pte_range()."""
    table = _table_of(vm, addr, PTE)
    if table is None:
        return -ENOMEM
    for number, pfn in enumerate(pages):
        index = index_of(addr, PTE) + number
        if table.entries.get(index):
            return -EBUSY
        set_entry(vm, table, index, pfn << PAGE_SHIFT | PAGE_KERNEL)
    return 0


def _table_of(vm: Vm, addr: int, level: int) -> Table | None:
    """The table of this level for addr; those above it and itself are made if need be."""
    table: Table | None = vm.vmalloc.init_mm.pgd
    while table is not None and table.level > level:
        table = alloc_table(vm, table, addr)
    return table


def vmap_page_range(vm: Vm, addr: int, end: int, pfn: int, max_page_shift: int) -> int:
    """Map contiguous memory from pfn on, by entries as large as may be: 0 or -ENOMEM.

    NOT MODELLED: entries of a whole PUD. Kernel: mm/vmalloc.c vmap_range_noflush()
    """
    for start, stop in parts(addr, end, PMD):
        at = pfn + (start - addr >> PAGE_SHIFT)
        pmd = _table_of(vm, start, PMD)
        if pmd is None:
            return -ENOMEM
        if _vmap_try_huge_pmd(vm, pmd, start, stop, at, max_page_shift):
            continue
        pages = range(at, at + (stop - start >> PAGE_SHIFT))
        err = _vmap_pages_pte_range(vm, start, pages)
        if err:
            return err
    return 0


def _vmap_try_huge_pmd(
    vm: Vm, pmd: Table, addr: int, end: int, pfn: int, max_page_shift: int
) -> bool:
    """One entry for 2 MiB, if memory and addresses are aligned so. Kernel: vmap_try_huge_pmd()."""
    aligned = addr % PMD_SIZE == 0 and pfn % (PMD_SIZE >> PAGE_SHIFT) == 0
    if max_page_shift < PMD_SHIFT or end - addr != PMD_SIZE or not aligned:
        return False
    if pmd.entries.get(index_of(addr, PMD)):
        free_table(vm, pmd, addr)
    set_entry(vm, pmd, index_of(addr, PMD), pfn << PAGE_SHIFT | PAGE_KERNEL | _PAGE_PSE)
    return True


def vunmap_range_noflush(vm: Vm, start: int, end: int) -> None:
    """Empty the entries of a range. Tables stay. Kernel: mm/vmalloc.c __vunmap_range_noflush()."""
    for addr, stop in parts(start, end, PMD):
        pmd: Table | None = vm.vmalloc.init_mm.pgd
        while pmd is not None and pmd.level > PMD:
            pmd = table_below(vm, pmd, addr)
        if pmd is None:
            continue
        value = pmd.entries.get(index_of(addr, PMD), 0)
        if is_leaf(value):
            set_entry(vm, pmd, index_of(addr, PMD), 0)
        elif value:
            _vunmap_pte_range(vm, pmd, addr, stop)


def _vunmap_pte_range(vm: Vm, pmd: Table, addr: int, end: int) -> None:
    table = table_below(vm, pmd, addr)
    assert table is not None
    first = index_of(addr, PTE)
    for index in range(first, first + (end - addr >> PAGE_SHIFT)):
        if index in table.entries:
            set_entry(vm, table, index, 0)
