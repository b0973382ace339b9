"""Memory put in order, and ranges of it taken whole: compaction, alloc_contig_range(), CMA.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", cma="8 MiB", reclaim=True)
>>> pfn = machine.cma_alloc(256)
>>> machine.cma_release(pfn, 256)
>>> machine.compact_memory()
"""

from __future__ import annotations

from memsim.machine.checks import check_cpu, check_nid, check_switch, whole
from memsim.machine.daemons import Daemons
from memsim.mm import cma, contig
from memsim.mm.cma_area import Cma
from memsim.mm.compaction import kcompactd
from memsim.mm.mmzone import (
    PG_INUSE,
    PG_ORDER,
    get_pageblock_migratetype,
    page_zone,
)
from memsim.mm.page_alloc.zone_walk import request_migratetype
from memsim.words.errno import EBUSY
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL

#: CONFIG_CMA_ALIGNMENT and more: the largest alignment anybody may ask for.
_MAX_ALIGN = 20
_ERRORS = {EBUSY: "EBUSY: pages are in use there that cannot be moved"}


class CompactionRequests(Daemons):
    """The part of a Machine that compacts, and takes ranges."""

    def compact_memory(self, *, cpu: int = 0) -> None:
        """Compact all memory, as `echo 1 > /proc/sys/vm/compact_memory` does.

        Kernel: mm/compaction.c compact_nodes()
        """
        self._can_move()
        check_cpu(self.vm, cpu)
        self._do("compact_memory()", cpu, lambda: kcompactd.compact_nodes(self.vm))

    def kcompactd(self, nid: int = 0, *, cpu: int = 0) -> int:
        """One round of a node's kcompactd: what it is asked for, or proactive compaction.

        Returns the milliseconds until it looks again by itself. Without this it runs behind the
        operation that woke it, and never unasked. Kernel: mm/compaction.c kcompactd()
        """
        self._can_move()
        check_cpu(self.vm, cpu)
        check_nid(self.vm, nid)
        if nid < 0:
            raise BadRequest(f"nid={nid}: should be a node's number")
        return self._run_kcompactd(self.vm.nodes[nid], cpu)

    def alloc_contig_range(self, start: int, end: int, *, cpu: int = 0) -> None:
        """Take the pages [start, end), whoever has them; free_contig_range() gives them back.

        PageAllocationFailure when they cannot be emptied. Kernel: alloc_contig_range_noprof()
        """
        check_cpu(self.vm, cpu)
        self._check_range(start, end)
        migratetype = self._type_of(start)
        name = f"alloc_contig_range({start}, {end})"
        call = contig.alloc_contig_range
        ret = self._do(name, cpu, lambda: call(self.vm, start, end, migratetype, GFP_KERNEL))
        if ret:
            raise PageAllocationFailure(f"pfn {start} to {end - 1}: {_error(ret)}", "")

    def free_contig_range(self, pfn: int, nr_pages: int, *, cpu: int = 0) -> None:
        """Give pages of alloc_contig_range() back. Kernel: mm/page_alloc.c free_contig_range()."""
        check_cpu(self.vm, cpu)
        self._check_pages(pfn, nr_pages)
        self._check_single_pages(pfn, nr_pages)
        name = f"free_contig_range({pfn}, {nr_pages})"
        self._do(name, cpu, lambda: contig.free_contig_range(self.vm, pfn, nr_pages))

    def cma_alloc(
        self, nr_pages: int, align: int = 0, *, area: int = 0, no_warn: bool = False, cpu: int = 0
    ) -> int:
        """Take nr_pages pages of a CMA area, aligned to order `align`: the first pfn.

        PageAllocationFailure when no range of the area can be emptied. Kernel: cma_alloc()
        """
        check_cpu(self.vm, cpu)
        check_switch("no_warn", no_warn, BadRequest)
        cma_area = self._cma_area(area)
        self._pages(nr_pages)
        whole("align", align)
        if not 0 <= align <= _MAX_ALIGN:
            raise BadRequest(f"align={align}: should be an order, 0 to {_MAX_ALIGN}")
        name = f"cma_alloc({cma_area.name}, {nr_pages}, align={align})"
        page, ret = self._do(
            name, cpu, lambda: cma.cma_alloc(self.vm, cma_area, nr_pages, align, no_warn)
        )
        if page < 0:
            text = f"cma_alloc: {cma_area.name}: alloc failed, req-size: {nr_pages} pages"
            raise PageAllocationFailure(f"{text}, ret: {ret}", "")
        return page

    def cma_release(self, pfn: int, nr_pages: int, *, area: int = 0, cpu: int = 0) -> None:
        """Give pages of cma_alloc() back. Kernel: mm/cma.c cma_release()."""
        check_cpu(self.vm, cpu)
        cma_area = self._cma_area(area)
        self._check_pages(pfn, nr_pages)
        first, end = cma_area.base_pfn, cma_area.base_pfn + cma_area.count
        if not first <= pfn <= pfn + nr_pages <= end:
            text = f"pfn {pfn} to {pfn + nr_pages - 1}: area {cma_area.name} has"
            raise BadFree(f"{text} {first} to {end - 1}")
        bit = (pfn - first) >> cma_area.order_per_bit
        if not cma_area.bitmap[bit]:
            raise BadFree(f"pfn {pfn} was not taken by cma_alloc()")
        self._check_single_pages(pfn, nr_pages)
        name = f"cma_release({cma_area.name}, pfn {pfn}, {nr_pages})"
        self._do(name, cpu, lambda: cma.cma_release(self.vm, cma_area, pfn, nr_pages))

    def cma_free(self, area: int = 0) -> int:
        """Pages of a CMA area that nobody has taken by cma_alloc(); others may have borrowed them.

        Kernel: mm/cma.c cma_debug_show_areas()
        """
        cma_area = self._cma_area(area)
        return cma_area.bitmap.count(0) << cma_area.order_per_bit

    # Inside

    def _can_move(self) -> None:
        if not hasattr(self.vm, "folios"):
            raise BadRequest("nothing can move: this machine has no reclaim=True")

    def _pages(self, nr_pages: int) -> int:
        whole("nr_pages", nr_pages)
        if not 0 < nr_pages <= self.vm.max_pfn:
            raise BadRequest(f"nr_pages={nr_pages}: should be 1 to {self.vm.max_pfn}")
        return nr_pages

    def _check_pages(self, pfn: int, nr_pages: int) -> None:
        """BadRequest unless nr_pages pages from pfn on lie in one zone."""
        whole("pfn", pfn)
        self._check_range(pfn, pfn + self._pages(nr_pages))

    def _cma_area(self, area: int) -> Cma:
        whole("area", area)
        areas = self.vm.cma_areas
        if not areas:
            raise BadRequest("this machine has no CMA area: boot it with cma=")
        if not 0 <= area < len(areas):
            raise BadRequest(f"area={area}: should be 0 to {len(areas) - 1}")
        return areas[area]

    def _check_range(self, start: int, end: int) -> None:
        """BadRequest unless [start, end) lies in one zone."""
        whole("start", start)
        whole("end", end)
        zone = page_zone(self.vm, start)
        if zone is None or start >= end or page_zone(self.vm, end - 1) is not zone:
            raise BadRequest(f"pfn {start} to {end - 1} should lie in one zone")

    def _type_of(self, pfn: int) -> int:
        """MIGRATE_CMA for a page of a CMA area, else MIGRATE_MOVABLE."""
        zone = page_zone(self.vm, pfn)
        assert zone is not None
        if get_pageblock_migratetype(zone, pfn) == self.vm.MIGRATE_CMA:
            return self.vm.MIGRATE_CMA
        return request_migratetype(self.vm, GFP_HIGHUSER_MOVABLE)

    def _check_single_pages(self, pfn: int, nr_pages: int) -> None:
        """BadFree unless all of them are single pages in use, which nobody has a mapping for."""
        for page in range(pfn, pfn + nr_pages):
            state = self.vm.page_state[page]
            mapped = hasattr(self.vm, "folios") and self.vm.folios.mapping[page]
            if (state & (PG_INUSE | PG_ORDER)) != PG_INUSE or mapped:
                raise BadFree(f"pfn {page} is not a page of a range that was taken")


def _error(ret: int) -> str:
    """What the kernel's error says."""
    return _ERRORS.get(-ret, f"error {-ret}")
