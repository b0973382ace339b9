"""fork()'s copy of an address space: areas, tables, entries; the pages themselves are shared."""

from __future__ import annotations

from memsim.workload.mm import HPAGE_PMD_NR, Mm, Pmd, Pte, Vma
from memsim.workload.page_tables import PMD


def dup_mmap(mm: Mm, oldmm: Mm) -> bool:
    """Copy each area, and what of it a fault could not bring back.

    False when there was no memory: exit_mmap() frees what there is. Kernel: kernel/fork.c
    dup_mmap()
    """
    for old in oldmm.vmas:
        vma = mm.vm_area_alloc(old.vpn, old.nr_pages, old.file, old.pgoff, old.hugepage)
        if vma is None:
            return False
        mm.insert(vma)
        if not vma.anon_vma.anon_vma_fork(old.anon_vma):
            return False
        if vma_needs_copy(old) and not copy_page_range(mm, oldmm, vma, old):
            return False
    return True


def vma_needs_copy(old: Vma) -> bool:
    """Pages of a file are found again in the page cache. Kernel: mm/memory.c."""
    return old.anon_vma.own is not None


def copy_page_range(mm: Mm, oldmm: Mm, vma: Vma, old: Vma) -> bool:
    """Share every page that is mapped, in both read-only. Kernel: mm/memory.c."""
    for vpn in sorted([*old.ptes, *(index * HPAGE_PMD_NR for index in old.pmds)]):
        if vpn in old.ptes:
            copied = copy_present_pte(mm, vma, old, vpn)
        else:
            copied = copy_huge_pmd(mm, vma, old, vpn // HPAGE_PMD_NR)
        if not copied:
            return False
    return True


def copy_present_pte(mm: Mm, vma: Vma, old: Vma, vpn: int) -> bool:
    """One more holder of the page. Kernel: mm/memory.c copy_present_ptes()."""
    if not mm.page_tables.alloc(vpn):
        return False
    pte = old.ptes[vpn]
    old.ptes[vpn] = pte._replace(writable=False)
    if pte.folio is not None:
        pte.folio.refcount += 1
    mm.set_pte(vma, vpn, Pte(pte.folio, pte.at, False))
    return True


def copy_huge_pmd(mm: Mm, vma: Vma, old: Vma, index: int) -> bool:
    """One more holder of the huge page; the copy keeps a table for its own split.

    Kernel: mm/huge_memory.c copy_huge_pmd()
    """
    deposit = None
    if mm.page_tables.alloc(index * HPAGE_PMD_NR, PMD):
        deposit = mm.page_tables.alloc_one()
    if deposit is None:
        return False
    pmd = old.pmds[index]
    old.pmds[index] = pmd._replace(writable=False)
    pmd.folio.refcount += 1
    mm.set_pmd(vma, index, Pmd(pmd.folio, False, deposit))
    return True
