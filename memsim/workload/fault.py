"""Page faults: what a process gets for touching a page. Kernel: mm/memory.c, huge_memory.c."""

from __future__ import annotations

from enum import Enum

from memsim.words.gfp import (
    __GFP_COMP,
    __GFP_DIRECT_RECLAIM,
    __GFP_NORETRY,
    __GFP_THISNODE,
    __GFP_ZERO,
    GFP_HIGHUSER_MOVABLE,
    GFP_TRANSHUGE_LIGHT,
)
from memsim.words.mmzone import HPAGE_PMD_ORDER
from memsim.workload.folio import Folio, folio_put
from memsim.workload.mm import HPAGE_PMD_NR, Mm, Pmd, Pte, Vma
from memsim.workload.page_tables import PMD
from memsim.workload.request import Path

ANON_PAGE = Path(
    "process", "anonymous page",
    "mm/memory.c do_anonymous_page() -> alloc_anon_folio() -> folio_prealloc()"
    " -> vma_alloc_folio()",
    "the fault finds no memory: OOM",
)  # fmt: skip
THP = Path(
    "process", "transparent huge page",
    "mm/huge_memory.c do_huge_pmd_anonymous_page() -> vma_alloc_folio()",
    "falls back to a single page",
)  # fmt: skip
COPY = Path(
    "process", "copy on write",
    "mm/memory.c do_wp_page() -> wp_page_copy() -> folio_prealloc() -> vma_alloc_folio()",
    "the fault finds no memory: OOM",
)  # fmt: skip
COW_FAULT = Path(
    "process", "private copy of a file's page",
    "mm/memory.c do_cow_fault() -> folio_prealloc() -> vma_alloc_folio()",
    "the fault finds no memory: OOM",
)  # fmt: skip


class Fault(Enum):
    """What came of a fault. Kernel: include/linux/mm_types.h enum vm_fault_reason."""

    OK = "ok"
    SIGSEGV = "nothing is mapped there"
    OOM = "no memory"


class Thp(Enum):
    """/sys/kernel/mm/transparent_hugepage/enabled; its defrag is "madvise", the default."""

    ALWAYS = "always"
    MADVISE = "madvise"
    NEVER = "never"


def handle_mm_fault(mm: Mm, vpn: int, write: bool, thp: Thp) -> Fault:
    """Make page vpn accessible. Kernel: mm/memory.c handle_mm_fault(), __handle_mm_fault()."""
    vma = mm.find_vma(vpn)
    if vma is None:
        return Fault.SIGSEGV
    pmd = vma.pmds.get(vpn // HPAGE_PMD_NR)
    if pmd is not None:
        if not write or pmd.writable or do_huge_pmd_wp_page(mm, vma, vpn):
            return Fault.OK
    elif vpn not in vma.ptes:
        if not mm.page_tables.alloc(vpn, PMD):
            return Fault.OOM
        if write and _huge_pmd_fits(mm, vma, vpn, thp):
            fault = do_huge_pmd_anonymous_page(mm, vma, vpn)
            if fault is not None:
                return fault
    return handle_pte_fault(mm, vma, vpn, write)


def handle_pte_fault(mm: Mm, vma: Vma, vpn: int, write: bool) -> Fault:
    """One page. Kernel: mm/memory.c handle_pte_fault()."""
    pte = vma.ptes.get(vpn)
    if pte is not None:
        return do_wp_page(mm, vma, vpn, pte) if write and not pte.writable else Fault.OK
    if vma.file is None:
        return do_anonymous_page(mm, vma, vpn, write)
    return do_cow_fault(mm, vma, vpn) if write else do_read_fault(mm, vma, vpn)


def do_anonymous_page(mm: Mm, vma: Vma, vpn: int, write: bool) -> Fault:
    """A page of zeros: the zero page for a read, a page of one's own for a write.

    NOT MODELLED: folios between one page and a huge page (mTHP); by default there are none.
    """
    if not mm.page_tables.alloc(vpn):
        return Fault.OOM
    if not write:
        mm.set_pte(vma, vpn, Pte(None, 0, False))
        return Fault.OK
    folio = _anon_folio(mm, vma, ANON_PAGE, GFP_HIGHUSER_MOVABLE | __GFP_ZERO)
    if folio is None:
        return Fault.OOM
    mm.set_pte(vma, vpn, Pte(folio, 0, True))
    return Fault.OK


def do_huge_pmd_anonymous_page(mm: Mm, vma: Vma, vpn: int) -> Fault | None:
    """A huge page; None to go on with a single one.

    NOT MODELLED: khugepaged's mm_slot; the huge zero page for a read.
    """
    if not vma.anon_vma.anon_vma_prepare():
        return Fault.OOM
    folio = _alloc_thp(mm, vma)
    if folio is None:
        return None
    deposit = mm.page_tables.alloc_one()
    if deposit is None:
        folio_put(mm.requester, folio)
        return Fault.OOM
    mm.requester.machine.lru_add(folio.pfn)
    mm.set_pmd(vma, vpn // HPAGE_PMD_NR, Pmd(folio, True, deposit))
    return Fault.OK


def do_huge_pmd_wp_page(mm: Mm, vma: Vma, vpn: int) -> bool:
    """A write to a shared huge page: keep it if it is mapped once only, else split the mapping.

    False: go on with single pages. Kernel: mm/huge_memory.c do_huge_pmd_wp_page()
    """
    index = vpn // HPAGE_PMD_NR
    pmd = vma.pmds[index]
    if pmd.folio.refcount == 1:
        vma.pmds[index] = pmd._replace(writable=True)
        return True
    mm.split_huge_pmd(vma, index)
    return False


def do_wp_page(mm: Mm, vma: Vma, vpn: int, pte: Pte) -> Fault:
    """A write to a page that others may share: keep it if nobody does, else copy it."""
    old = pte.folio
    if old is not None and old.anon and not old.order and old.refcount == 1:
        vma.ptes[vpn] = pte._replace(writable=True)
        return Fault.OK
    zeroed = __GFP_ZERO if old is None else 0
    folio = _anon_folio(mm, vma, COPY, GFP_HIGHUSER_MOVABLE | zeroed)
    if folio is None:
        return Fault.OOM
    mm.clear_pte(vma, vpn)
    mm.set_pte(vma, vpn, Pte(folio, 0, True))
    if old is not None:
        folio_put(mm.requester, old)
    return Fault.OK


def do_read_fault(mm: Mm, vma: Vma, vpn: int) -> Fault:
    """Map a page of the page cache. NOT MODELLED: do_fault_around()."""
    if vma.file is None or not mm.page_tables.alloc(vpn):
        return Fault.OOM
    index = vma.pgoff + vpn - vma.vpn
    folio = vma.file.filemap_fault(index)
    if folio is None:
        return Fault.OOM
    mm.set_pte(vma, vpn, Pte(folio, index - folio.index, False))
    return Fault.OK


def do_cow_fault(mm: Mm, vma: Vma, vpn: int) -> Fault:
    """The first touch of a private file page is a write: a copy at once."""
    folio = _anon_folio(mm, vma, COW_FAULT, GFP_HIGHUSER_MOVABLE, on_lru=False)
    if folio is None or vma.file is None:
        return Fault.OOM
    source = vma.file.filemap_fault(vma.pgoff + vpn - vma.vpn)
    mapped = source is not None and mm.page_tables.alloc(vpn)
    if source is not None:
        folio_put(mm.requester, source)
    if not mapped:
        folio_put(mm.requester, folio)
        return Fault.OOM
    mm.requester.machine.lru_add(folio.pfn)
    mm.set_pte(vma, vpn, Pte(folio, 0, True))
    return Fault.OK


def vma_thp_gfp_mask(vma: Vma) -> int:
    """defrag=madvise: compact at once for who called madvise(), not at all for others.

    Kernel: mm/huge_memory.c vma_thp_gfp_mask()
    """
    return GFP_TRANSHUGE_LIGHT | (__GFP_DIRECT_RECLAIM if vma.hugepage else 0)


def _huge_pmd_fits(mm: Mm, vma: Vma, vpn: int, thp: Thp) -> bool:
    """May this page be one of a huge page? thp_vma_allowable_order(), and an empty PMD entry."""
    if vma.file is not None or thp is Thp.NEVER or (thp is Thp.MADVISE and not vma.hugepage):
        return False
    index = vpn // HPAGE_PMD_NR
    inside = vma.vpn <= index * HPAGE_PMD_NR and (index + 1) * HPAGE_PMD_NR <= vma.end
    return inside and not mm.page_tables.has_table(vpn)


def _alloc_thp(mm: Mm, vma: Vma) -> Folio | None:
    """First of the own node, without effort; then as the mask says, if it may reclaim.

    Kernel: mm/mempolicy.c alloc_pages_mpol_noprof()
    """
    mask = vma_thp_gfp_mask(vma)
    local = mask | __GFP_THISNODE | __GFP_NORETRY
    pfn = mm.requester.alloc_pages(THP, local, HPAGE_PMD_ORDER)
    if pfn is None and mask & __GFP_DIRECT_RECLAIM:
        pfn = mm.requester.alloc_pages(THP, mask, HPAGE_PMD_ORDER)
    return None if pfn is None else Folio(pfn, HPAGE_PMD_ORDER, anon=True)


def _anon_folio(
    mm: Mm, vma: Vma, path: Path, gfp_mask: int, *, on_lru: bool = True
) -> Folio | None:
    """A page of the area's own. Kernel: mm/memory.c vmf_anon_prepare(), folio_prealloc()."""
    if not vma.anon_vma.anon_vma_prepare():
        return None
    pfn = mm.requester.alloc_pages(path, gfp_mask | __GFP_COMP)
    if pfn is None:
        return None
    if on_lru:
        mm.requester.machine.lru_add(pfn)
    return Folio(pfn, 0, anon=True)
