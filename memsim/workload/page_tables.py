"""The page tables of a process: four levels, of which each table is a page."""

from __future__ import annotations

from memsim.words.gfp import __GFP_ACCOUNT, __GFP_COMP, __GFP_ZERO, GFP_KERNEL
from memsim.workload.gather import MmuGather
from memsim.workload.request import Path
from memsim.workload.requester import Requester

#: Kernel: include/asm-generic/pgalloc.h
GFP_PGTABLE_USER = GFP_KERNEL | __GFP_ZERO | __GFP_ACCOUNT
#: What pagetable_alloc() makes of it.
GFP_TABLE = GFP_PGTABLE_USER | __GFP_COMP
#: Two pages: one for the kernel, one for user mode, with CONFIG_MITIGATION_PAGE_TABLE_ISOLATION.
#: Kernel: arch/x86/include/asm/pgalloc.h
PGD_ALLOCATION_ORDER = 1
#: Bits of a page's number below an entry of the PTE, PMD and PUD table; 4 levels: no P4D.
PTE, PMD, PUD = 1, 2, 3
BITS_PER_LEVEL = 9

PGD_ALLOC = Path(
    "process", "topmost page table",
    "kernel/fork.c mm_alloc_pgd() -> arch/x86/mm/pgtable.c pgd_alloc() -> __get_free_pages()",
    "fork() or execve() returns ENOMEM",
)  # fmt: skip
TABLE_ALLOC = {
    PUD: Path(
        "process", "page table, PUD",
        "mm/memory.c __pud_alloc() -> pud_alloc_one() -> pagetable_alloc()",
        "the fault finds no memory: OOM; a fork returns ENOMEM",
    ),
    PMD: Path(
        "process", "page table, PMD",
        "mm/memory.c __pmd_alloc() -> pmd_alloc_one() -> pagetable_alloc()",
        "the fault finds no memory: OOM; a fork returns ENOMEM",
    ),
    PTE: Path(
        "process", "page table, PTE",
        "mm/memory.c __pte_alloc() -> arch/x86/mm/pgtable.c pte_alloc_one() -> pagetable_alloc()",
        "the fault finds no memory: OOM; a fork returns ENOMEM",
    ),
}  # fmt: skip


class PageTables:
    """A tree of pages, held by the topmost, the PGD. A virtual page is its number, vpn.

    NOT MODELLED: their entries; what is mapped is in the vm_area_structs (mm.py).
    """

    def __init__(self, requester: Requester) -> None:
        self.requester = requester
        self.pgd: int | None = None
        #: (level, vpn >> 9 * level): pfn
        self.tables: dict[tuple[int, int], int] = {}

    def pgd_alloc(self) -> bool:
        """The topmost table; True when there was memory."""
        self.pgd = self.requester.alloc_pages(PGD_ALLOC, GFP_PGTABLE_USER, PGD_ALLOCATION_ORDER)
        return self.pgd is not None

    def pgd_free(self) -> None:
        """Free the topmost table, which is the last. Kernel: arch/x86/mm/pgtable.c pgd_free()."""
        if self.pgd is not None:
            self.requester.free_pages(self.pgd, PGD_ALLOCATION_ORDER)
        self.pgd = None

    def alloc(self, vpn: int, level: int = PTE) -> bool:
        """Every table on the way down to this level; True when there was memory."""
        for each in range(PUD, level - 1, -1):
            key = each, vpn >> BITS_PER_LEVEL * each
            if key not in self.tables:
                pfn = self.alloc_one(each)
                if pfn is None:
                    return False
                self.tables[key] = pfn
        return True

    def alloc_one(self, level: int = PTE) -> int | None:
        """A page for a table. Kernel: include/linux/mm.h pagetable_alloc()."""
        return self.requester.alloc_pages(TABLE_ALLOC[level], GFP_TABLE)

    def free_range(self, tlb: MmuGather, vpn: int, nr_pages: int, floor: int, ceiling: int) -> None:
        """Free tables of a range, but those that reach below page floor or beyond ceiling.

        By address; those below a table before itself. Kernel: mm/memory.c free_pgd_range()
        """
        gone = []
        for level, index in self.tables:
            first, end = (each << BITS_PER_LEVEL * level for each in (index, index + 1))
            if vpn < end and first < vpn + nr_pages and floor <= first and end <= ceiling:
                gone.append((end, level, index))
        for _, level, index in sorted(gone):
            tlb.tlb_remove_table(self.tables.pop((level, index)))

    def has_table(self, vpn: int) -> bool:
        """Is there a PTE table for this page?"""
        return (PTE, vpn >> BITS_PER_LEVEL) in self.tables
