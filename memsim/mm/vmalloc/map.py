"""Pages are mapped to addresses, and unmapped.

Kernel: mm/vmalloc.c, "Page table manipulation functions"
"""

from __future__ import annotations

from collections.abc import Sequence

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import (
    PAGE_KERNEL,
    PMD,
    PTE,
    PUD,
    Table,
    alloc_table,
    is_leaf,
    set_entry,
    table_below,
)
from memsim.mm.vmalloc.huge import vmap_try_huge
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
    for start, end in vm.vmalloc.init_mm.parts(addr, addr + len(pages) * PAGE_SIZE, PMD):
        first, nr = (start - addr) >> PAGE_SHIFT, end - start >> PAGE_SHIFT
        err = _vmap_pages_pte_range(vm, start, pages[first : first + nr], PAGE_KERNEL)
        if err:
            return err
    return 0


def _vmap_pages_pte_range(vm: Vm, addr: int, pages: Sequence[int], prot: int) -> int:
    """Pages whose entries are in one table. Kernel: vmap_pages_pte_range(), vmap_pte_range()."""
    mm, table = vm.vmalloc.init_mm, _table_of(vm, addr, PTE)
    if table is None:
        return -ENOMEM
    first = mm.index_of(addr, PTE)
    for index, pfn in enumerate(pages, first):
        if table.entries.get(index):
            return -EBUSY
        set_entry(vm, table, index, mm.leaf(pfn, prot))
    return 0


def _table_of(vm: Vm, addr: int, level: int) -> Table | None:
    """The table of this level for addr; those above it and itself are made if need be."""
    table: Table | None = vm.vmalloc.init_mm.pgd
    while table is not None and table.level > level:
        table = alloc_table(vm, table, addr)
    return table


def vmap_page_range(
    vm: Vm, addr: int, end: int, pfn: int, max_page_shift: int, prot: int = PAGE_KERNEL
) -> int:
    """Map contiguous memory from pfn on, by entries as large as may be: 0 or -ENOMEM.

    NOT MODELLED: MTRRs, which forbid a large entry over memory of two kinds.
    Kernel: mm/vmalloc.c vmap_range_noflush()
    """
    for start, stop in vm.vmalloc.init_mm.parts(addr, end, PUD):
        at = pfn + (start - addr >> PAGE_SHIFT)
        pud = _table_of(vm, start, PUD)
        if pud is None:
            return -ENOMEM
        if vmap_try_huge(vm, pud, start, stop, at, max_page_shift, prot):
            continue
        err = _vmap_pmd_range(vm, start, stop, at, max_page_shift, prot)
        if err:
            return err
    return 0


def _vmap_pmd_range(
    vm: Vm, addr: int, end: int, pfn: int, max_page_shift: int, prot: int
) -> int:  # fmt: skip
    """A range within one table of pmds. Kernel: mm/vmalloc.c vmap_pmd_range()."""
    for start, stop in vm.vmalloc.init_mm.parts(addr, end, PMD):
        at = pfn + (start - addr >> PAGE_SHIFT)
        pmd = _table_of(vm, start, PMD)
        if pmd is None:
            return -ENOMEM
        if vmap_try_huge(vm, pmd, start, stop, at, max_page_shift, prot):
            continue
        pages = range(at, at + (stop - start >> PAGE_SHIFT))
        err = _vmap_pages_pte_range(vm, start, pages, prot)
        if err:
            return err
    return 0


def vunmap_range_noflush(vm: Vm, start: int, end: int) -> None:
    """Empty the entries of a range. Tables stay. Kernel: mm/vmalloc.c __vunmap_range_noflush()."""
    mm = vm.vmalloc.init_mm
    for addr, stop in mm.parts(start, end, PMD):
        table, below = mm.pgd, table_below(vm, mm.pgd, addr)
        while below is not None and below.level >= PMD:
            table, below = below, table_below(vm, below, addr)
        index = mm.index_of(addr, table.level)
        if below is not None:
            _vunmap_pte_range(vm, below, addr, stop)
        elif is_leaf(table.entries.get(index, 0)):
            set_entry(vm, table, index, 0)


def _vunmap_pte_range(vm: Vm, table: Table, addr: int, end: int) -> None:
    first = vm.vmalloc.init_mm.index_of(addr, PTE)
    for index in range(first, first + (end - addr >> PAGE_SHIFT)):
        if index in table.entries:
            set_entry(vm, table, index, 0)
