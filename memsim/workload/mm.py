"""The address space of a process: its vm_area_structs and what they map.

A virtual page is its number, vpn: the address without its lower twelve bits.
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.lib.bits import align_down
from memsim.words.errors import BadRequest
from memsim.words.gfp import GFP_KERNEL
from memsim.workload.anon_vma import AnonVmaChains
from memsim.workload.folio import Folio
from memsim.workload.gather import MmuGather
from memsim.workload.page_cache import File
from memsim.workload.page_tables import PTE, PageTables
from memsim.workload.request import Path
from memsim.workload.requester import Requester

#: Pages under one entry of a PMD table: of a transparent huge page.
HPAGE_PMD_NR = 512
#: Where mmap() begins, downwards, and the end of user space, without ASLR.
#: Kernel: arch/x86/mm/mmap.c mmap_base(), arch/x86/include/asm/page_64_types.h TASK_SIZE_MAX
MMAP_BASE = 0x7FFF_F7FF_F
TASK_SIZE = 0x7FFF_FFFF_F

DUP_MM = Path(
    "process", "mm_struct",
    "kernel/fork.c copy_mm() -> dup_mm() -> allocate_mm() -> kmem_cache_alloc()",
    "fork() returns ENOMEM",
)  # fmt: skip
MM_ALLOC = Path(
    "process", "mm_struct",
    "fs/exec.c bprm_mm_init() -> kernel/fork.c mm_alloc() -> allocate_mm() -> kmem_cache_alloc()",
    "execve() returns ENOMEM",
)  # fmt: skip
VM_AREA = Path(
    "process", "vm_area_struct",
    "mm/mmap.c mmap_region() -> kernel/fork.c vm_area_alloc() -> kmem_cache_alloc()",
    "mmap() returns ENOMEM",
)  # fmt: skip
VM_AREA_DUP = Path(
    "process", "vm_area_struct",
    "kernel/fork.c dup_mmap() -> vm_area_dup() -> kmem_cache_alloc()",
    "fork() returns ENOMEM",
)  # fmt: skip
VMA_LOCK = Path(
    "process", "vma_lock",
    "kernel/fork.c vm_area_alloc() -> vma_lock_alloc() -> kmem_cache_alloc()",
    "mmap() or fork() returns ENOMEM",
)  # fmt: skip


class Pte(NamedTuple):
    """A page table entry: page `at` of a folio; no folio: the zero page."""

    folio: Folio | None
    at: int
    writable: bool

    @property
    def pfn(self) -> int:
        """The page itself; 0 stands for the zero page."""
        return 0 if self.folio is None else self.folio.pfn + self.at


class Pmd(NamedTuple):
    """An entry of a PMD table that maps a huge page; deposit: a page table kept for its split."""

    folio: Folio
    writable: bool
    deposit: int


class Vma:
    """struct vm_area_struct: nr_pages virtual pages from vpn on, alike in all.

    file, pgoff: what it maps, from which page on; None for anonymous memory. hugepage:
    madvise(MADV_HUGEPAGE) was called.
    """

    def __init__(
        self, objects: tuple[int, int], chains: AnonVmaChains, vpn: int, nr_pages: int,
        file: File | None, pgoff: int, hugepage: bool,
    ) -> None:  # fmt: skip
        self.objects = objects
        self.anon_vma = chains
        self.vpn = vpn
        self.nr_pages = nr_pages
        self.file = file
        self.pgoff = pgoff
        self.hugepage = hugepage
        self.ptes: dict[int, Pte] = {}
        self.pmds: dict[int, Pmd] = {}

    @property
    def end(self) -> int:
        """The first vpn behind it."""
        return self.vpn + self.nr_pages


class Mm:
    """struct mm_struct: vmas by address, page tables, and how many pages are mapped (rss).

    Its requests are those of the process it belongs to. NOT MODELLED: the maple tree's nodes;
    merging of areas.
    """

    def __init__(self, requester: Requester) -> None:
        self.requester = requester
        self.address: int | None = None
        self.page_tables = PageTables(requester)
        self.vmas: list[Vma] = []
        self.rss = 0

    def mm_init(self, path: Path) -> bool:
        """The struct and the topmost page table; True when there was memory. path: why.

        Kernel: kernel/fork.c mm_alloc(), mm_init()
        """
        self.address = self.requester.kmem_cache_alloc(path, "mm_struct", GFP_KERNEL)
        return self.address is not None and self.page_tables.pgd_alloc()

    def find_vma(self, vpn: int) -> Vma | None:
        """The area that holds this page. Kernel: mm/mmap.c find_vma() (but vpn is within it)."""
        for vma in self.vmas:
            if vma.vpn <= vpn < vma.end:
                return vma
        return None

    def mmap(
        self, nr_pages: int, file: File | None = None, pgoff: int = 0, *,
        vpn: int | None = None, hugepage: bool = False,
    ) -> Vma | None:  # fmt: skip
        """Map a file's pages, privately, or anonymous memory; None when there is no memory.

        vpn: where; else below what was mapped before, large anonymous areas aligned for huge
        pages. Kernel: mm/mmap.c do_mmap(). NOT MODELLED: holes are not looked for.
        """
        first = self._get_unmapped_area(nr_pages, file) if vpn is None else vpn
        if first < 0 or first + nr_pages > TASK_SIZE:
            raise BadRequest(f"mmap: pages {first:#x} to {first + nr_pages:#x} are not user space")
        if any(vma.vpn < first + nr_pages and first < vma.end for vma in self.vmas):
            raise BadRequest(f"mmap: something is mapped at page {first:#x} already")
        vma = self.vm_area_alloc(first, nr_pages, file, pgoff, hugepage)
        if vma is not None:
            self.insert(vma)
        return vma

    def vm_area_alloc(
        self, vpn: int, nr_pages: int, file: File | None, pgoff: int, hugepage: bool,
        path: Path = VM_AREA,
    ) -> Vma | None:  # fmt: skip
        """The struct and its lock. Kernel: kernel/fork.c vm_area_alloc(), vm_area_dup()."""
        area = self.requester.kmem_cache_alloc(path, "vm_area_struct", GFP_KERNEL)
        if area is None:
            return None
        lock = self.requester.kmem_cache_alloc(VMA_LOCK, "vma_lock", GFP_KERNEL)
        if lock is None:
            self.requester.kmem_cache_free("vm_area_struct", area)
            return None
        chains = AnonVmaChains(self.requester)
        return Vma((area, lock), chains, vpn, nr_pages, file, pgoff, hugepage)

    def insert(self, vma: Vma) -> None:
        """Put an area in its place by address."""
        self.vmas.append(vma)
        self.vmas.sort(key=lambda each: each.vpn)
        if vma.file is not None:
            vma.file.mappings += 1

    def munmap(self, vma: Vma) -> None:
        """Unmap an area as a whole. Kernel: mm/vma.c do_vmi_munmap(), unmap_region()."""
        tlb = MmuGather(self.requester)
        at = self.vmas.index(vma)
        floor = self.vmas[at - 1].end if at else 0
        self._unmap_vma(tlb, vma)
        vma.anon_vma.unlink_anon_vmas()
        self.page_tables.free_range(tlb, vma.vpn, vma.nr_pages, floor, self._ceiling(at))
        tlb.tlb_finish_mmu()
        self.vmas.remove(vma)
        self._remove_vma(vma)

    def exit_mmap(self) -> None:
        """Unmap everything, free the tables, the areas, the struct; also of what is half made.

        Kernel: mm/mmap.c exit_mmap(), kernel/fork.c __mmdrop()
        """
        tlb = MmuGather(self.requester)
        for vma in self.vmas:
            self._unmap_vma(tlb, vma)
        for at, vma in enumerate(self.vmas):
            vma.anon_vma.unlink_anon_vmas()
            self.page_tables.free_range(tlb, vma.vpn, vma.nr_pages, 0, self._ceiling(at))
        tlb.tlb_finish_mmu()
        for vma in self.vmas:
            self._remove_vma(vma)
        self.vmas = []
        self.page_tables.pgd_free()
        if self.address is not None:
            self.requester.kmem_cache_free("mm_struct", self.address)
        self.address = None

    # Mapping

    def set_pte(self, vma: Vma, vpn: int, pte: Pte) -> None:
        """Map a page; the caller's reference to the folio is the entry's from now on."""
        vma.ptes[vpn] = pte
        if pte.folio is not None:
            pte.folio.mapcount += 1
            self.rss += 1

    def clear_pte(self, vma: Vma, vpn: int) -> Folio | None:
        """Unmap a page; the caller has the entry's reference."""
        folio = vma.ptes.pop(vpn).folio
        if folio is not None:
            folio.mapcount -= 1
            self.rss -= 1
        return folio

    def set_pmd(self, vma: Vma, index: int, pmd: Pmd) -> None:
        """Map a huge page; the caller's reference is the entry's from now on."""
        vma.pmds[index] = pmd
        pmd.folio.mapcount += 1
        self.rss += HPAGE_PMD_NR

    def split_huge_pmd(self, vma: Vma, index: int) -> None:
        """Map the same pages by 512 entries of the table that was kept for this.

        Kernel: mm/huge_memory.c __split_huge_pmd()
        """
        folio, writable, deposit = vma.pmds.pop(index)
        self.page_tables.tables[PTE, index] = deposit
        for i in range(HPAGE_PMD_NR):
            vma.ptes[index * HPAGE_PMD_NR + i] = Pte(folio, i, writable)
        folio.refcount += HPAGE_PMD_NR - 1
        folio.mapcount += HPAGE_PMD_NR - 1

    # Inside

    def _get_unmapped_area(self, nr_pages: int, file: File | None) -> int:
        below = [vma.vpn for vma in self.vmas if vma.vpn <= MMAP_BASE]
        lowest = min([MMAP_BASE, *(vpn for vpn in below if vpn > MMAP_BASE // 2)])
        first = lowest - nr_pages
        huge = file is None and nr_pages >= HPAGE_PMD_NR
        return align_down(first, HPAGE_PMD_NR) if huge else first

    def _ceiling(self, at: int) -> int:
        """Where the next area begins; its tables stay. Kernel: mm/memory.c free_pgtables()."""
        return self.vmas[at + 1].vpn if at + 1 < len(self.vmas) else TASK_SIZE + 1

    def _unmap_vma(self, tlb: MmuGather, vma: Vma) -> None:
        """Kernel: mm/memory.c unmap_single_vma()."""
        for vpn in sorted([*vma.ptes, *(index * HPAGE_PMD_NR for index in vma.pmds)]):
            if vpn in vma.ptes:
                folio = self.clear_pte(vma, vpn)
                if folio is not None:
                    tlb.tlb_remove_folio(folio)
            else:
                self._zap_huge_pmd(tlb, vma, vpn // HPAGE_PMD_NR)

    def _zap_huge_pmd(self, tlb: MmuGather, vma: Vma, index: int) -> None:
        """Kernel: mm/huge_memory.c zap_huge_pmd(): the table kept for a split is freed at once."""
        folio, _, deposit = vma.pmds.pop(index)
        self.requester.free_pages(deposit)
        folio.mapcount -= 1
        self.rss -= HPAGE_PMD_NR
        tlb.tlb_remove_folio(folio)

    def _remove_vma(self, vma: Vma) -> None:
        if vma.file is not None:
            vma.file.mappings -= 1
        area, lock = vma.objects
        self.requester.kmem_cache_free("vma_lock", lock)
        self.requester.kmem_cache_free("vm_area_struct", area)
