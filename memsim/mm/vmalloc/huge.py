"""Entries above the last level that map memory themselves, and the tables that make way for them.

Kernel: mm/vmalloc.c vmap_try_huge_pmd(), vmap_try_huge_pud(), arch/x86/mm/pgtable.c
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT
from memsim.mm.mempolicy import alloc_pages_noprof
from memsim.mm.mmzone import Vm
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.pgtable import _PAGE_PSE, PTE, Table, entry_pfn, free_table, set_entry
from memsim.mm.vmalloc.update import flush_tlb_kernel_range
from memsim.words.gfp import GFP_KERNEL
from memsim.words.mmzone import NULL


def vmap_try_huge(
    vm: Vm, table: Table, addr: int, end: int, pfn: int, max_page_shift: int, prot: int
) -> bool:
    """One entry of table for all from addr to end, if it stands for just that, and pfn is aligned.

    Kernel: mm/vmalloc.c vmap_try_huge_pmd(), vmap_try_huge_pud()
    """
    mm = vm.vmalloc.init_mm
    shift = mm.shift_of(table.level)
    if max_page_shift < shift or end - addr != 1 << shift or pfn % (1 << shift - PAGE_SHIFT):
        return False
    index = mm.index_of(addr, table.level)
    if table.entries.get(index) and not _make_way(vm, table, index):
        return False
    set_entry(vm, table, index, mm.leaf(pfn, prot | _PAGE_PSE))
    return True


def _make_way(vm: Vm, table: Table, index: int) -> bool:
    """Free the table that an entry leads to, and those below; False without a page for a list.

    Kernel: arch/x86/mm/pgtable.c pmd_free_pte_page(), pud_free_pmd_page()
    """
    below = _table_at(vm, table, index)
    spare = NULL
    if below.level > PTE:
        spare = alloc_pages_noprof(vm, GFP_KERNEL, 0)
        if spare == NULL:
            return False
    lower = [_table_at(vm, below, i) for i in sorted(below.entries)] if below.level > PTE else []
    set_entry(vm, table, index, 0)
    for number in sorted(below.entries):
        set_entry(vm, below, number, 0)
    flush_tlb_kernel_range(vm.vmalloc)
    for pte_table in lower:
        free_table(vm, pte_table)
    if spare != NULL:
        free_unref_page(vm, spare, 0)
    free_table(vm, below)
    return True


def _table_at(vm: Vm, table: Table, index: int) -> Table:
    return vm.vmalloc.init_mm.tables[entry_pfn(table.entries[index])]
