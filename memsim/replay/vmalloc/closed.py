"""The closed loop of vmalloc: areas get their pages and page tables from memsim's page allocator.

What the recorded vmalloc asked for is not fed in: how many pages an area still needs is memsim's
own count, which tables are missing memsim's own page tables tell, and an area that is freed gives
back the pages that memsim gave it. Taken from the recording are the moments, and the gfp_mask and
nid of whoever called vmalloc(), which no event of vmalloc tells.

The recording shows the pages of a bulk request only when they are freed: they are compared then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, align_up, unsigned
from memsim.lib.rbtree import rb_nodes
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import (
    GFP_PGTABLE_KERNEL,
    PMD,
    PTE,
    Table,
    hang_table,
    table_below,
)
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.map import vmap_pages_range, vunmap_range_noflush
from memsim.replay.pages.base import Base
from memsim.replay.rows.inputs import Kind
from memsim.replay.slab.run import SlabRun
from memsim.replay.vmalloc.run import VmallocRun
from memsim.words.gfp import __GFP_COMP
from memsim.words.mmzone import NULL
from memsim.words.slab import SIZEOF_POINTER

Handler = Callable[..., None]

_FREES = (Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct)
_GFP_TABLE = GFP_PGTABLE_KERNEL | __GFP_COMP
#: A bulk request of vm_area_alloc_pages() is for so many pages at most.
_MOST_AT_ONCE = 100


@dataclass(eq=False)
class Filling:
    """A busy area and the pages it got; `nr_pages` is how many it needs."""

    va: VmapArea
    nr_pages: int
    pages: list[int] = field(default_factory=list)

    @property
    def lacks(self) -> int:
        """Pages still to come."""
        return self.nr_pages - len(self.pages)


class ClosedVmallocRun(VmallocRun):
    """VmallocRun, whose areas are filled and mapped. open() it first."""

    def open(self, base: Base, handlers: dict[int, Handler]) -> None:
        """base: the page allocator's part of the replay; handlers: what it does, by kind of row."""
        self._base = base
        self._pages_part = handlers
        #: Areas that got pages, or may still get them, by their va_start.
        self._filled: dict[int, Filling] = {}
        #: By context: areas being filled; the last one holds page pointers of the one before.
        self._filling: dict[int, list[Filling]] = {}
        #: By context: pages of the area that it freed last, and has still to free.
        self._due: dict[int, deque[int]] = {}
        _tables_of_areas(self.vm)

    def handlers(self, slab: SlabRun | None) -> dict[int, Handler]:
        """Those of every VmallocRun, and those for rows of pages that may be vmalloc's."""
        return super().handlers(slab) | {
            Kind.bulk: self._bulk,
            Kind.bulk_ret: self._bulk_ret,
            Kind.mm_page_alloc: self._mm_page_alloc,
            **dict.fromkeys(_FREES, self._mm_page_free),
        }

    def _open_loop(self, row: int, *fields: int) -> None:
        """The row is none of vmalloc's."""
        self._pages_part[self.rows.kind[row]](row, *fields)

    # An area is made, and filled

    def made(self, row: int, va: VmapArea) -> None:
        """An area is busy from here on."""
        context = self.rows.context[row]
        new = Filling(va, (va_size(va) >> PAGE_SHIFT) - 1)
        stack = self._filling.setdefault(context, [])
        while stack and not _holds_pointers_of(new, stack[-1]):
            self._map(stack.pop())
        stack.append(new)
        self._filled[va.va_start] = new

    def _top(self, row: int) -> Filling | None:
        """The area that the row's context fills or maps now."""
        stack = self._filling.get(self.rows.context[row])
        return stack[-1] if stack else None

    def _lacking(self, row: int) -> Filling | None:
        """The area that the row's context has to fill now; one that is full gets mapped."""
        stack = self._filling.get(self.rows.context[row], [])
        while stack and not stack[-1].lacks:
            self._map(stack.pop())
        return stack[-1] if stack else None

    def _bulk(self, row: int, gfp_mask: int, nid: int, nr_pages: int, *rest: int) -> None:
        """A request for several pages: if an area lacks pages, for as many as it lacks."""
        area = self._lacking(row)
        wanted = min(_MOST_AT_ONCE, area.lacks) if area is not None else 0
        if area is None or wanted != nr_pages:
            self.result.notes["bulk requests that no area makes"] += 1
            self._open_loop(row, gfp_mask, nid, nr_pages, *rest)
            return
        self._base.bulk_given[self.rows.context[row]] = area.pages
        self._open_loop(row, gfp_mask, nid, wanted, *rest)

    def _bulk_ret(self, row: int, *fields: int) -> None:
        self._open_loop(row, *fields)
        self._base.bulk_given.pop(self.rows.context[row], None)

    def _mm_page_alloc(
        self, row: int, pfn: int, order: int, migratetype: int, gfp_mask: int, *rest: int
    ) -> None:
        """A page: of an area that lacks some, or a page table, or nothing of vmalloc's."""
        area = self._top(row)
        if area is None:
            self._open_loop(row, pfn, order, migratetype, gfp_mask, *rest)
        elif gfp_mask == _GFP_TABLE and not order and not (area.pages and area.lacks):
            self._table(row, area, pfn, migratetype)
        else:
            self._single(row, pfn, order, migratetype, gfp_mask, *rest)

    def _single(self, row: int, pfn: int, order: int, *rest: int) -> None:
        """Where a bulk request gave too little, pages are asked for one by one."""
        self._open_loop(row, pfn, order, *rest)
        context = self.rows.context[row]
        area = self._lacking(row)
        if area is None or pfn == NULL or not (area.pages or context in self._base.bulk_given):
            return
        page, order = self._base.pages.block_of(pfn)
        if 1 << order <= area.lacks:
            area.pages.extend(range(page, page + (1 << order)))

    # It is mapped

    def _table(self, row: int, area: Filling, pfn: int, migratetype: int) -> None:
        """The recorded mapping asks for a page table: memsim does if it misses one too."""
        missing = _missing_table(self.vm, area)
        tables = self.result.tables
        tables.total += 1
        tables.equal += missing is not None
        self._open_loop(row, pfn, 0, migratetype, _GFP_TABLE, 0)
        page, _ = self._base.pages.block_of(pfn) if pfn != NULL else (NULL, 0)
        if missing is not None and page != NULL:
            hang_table(self.vm, *missing, page)

    def _map(self, area: Filling) -> None:
        """Map an area. A table that is still missing was there when the recording began."""
        while (missing := _missing_table(self.vm, area)) is not None:
            _there_before(self.vm, *missing)
            self.result.notes["page tables found in place at first use"] += 1
        vmap_pages_range(self.vm, area.va.va_start, area.pages, PAGE_SHIFT)

    # It is freed

    def _free_vmap_area_noflush(self, row: int, recorded: int, *rest: int) -> None:
        """Its pages are freed by rows that follow in this context."""
        address = unsigned(recorded)
        area = self._filled.pop(self._own.get(address, address), None)
        if area is not None:
            self._finish_filling(area)
            vunmap_range_noflush(self.vm, area.va.va_start, area.va.va_end)
            self._due[self.rows.context[row]] = deque(area.pages)
        super()._free_vmap_area_noflush(row, recorded, *rest)

    def _finish_filling(self, area: Filling) -> None:
        for stack in self._filling.values():
            if area in stack:
                stack.remove(area)
                self._map(area)

    def _mm_page_free(self, row: int, pfn: int, order: int, *rest: int) -> None:
        """If the context has pages of an area to free, it is the next of memsim's that goes."""
        due = self._due.get(self.rows.context[row])
        if due and not order:
            page = due.popleft()
            self._base.block(row, pfn, 0)
            self._base.pages.tell(pfn, page)
            freed = self.result.freed
            freed.total += 1
            freed.equal += page == pfn
        self._open_loop(row, pfn, order, *rest)


def _holds_pointers_of(new: Filling, area: Filling) -> bool:
    """Is new for the pointers to an area's pages, where they need more than a page?

    Kernel: mm/vmalloc.c __vmalloc_area_node()
    """
    size = area.nr_pages * SIZEOF_POINTER
    pages = align_up(size, PAGE_SIZE) >> PAGE_SHIFT
    return pages > 1 and not area.pages and new.nr_pages == pages


def _tables_of_areas(vm: Vm) -> None:
    """Hang tables for all areas in use. The snapshot does not tell their pages."""
    for va in _areas_in_use(vm):
        while (missing := _missing_table(vm, Filling(va, 0))) is not None:
            _there_before(vm, *missing)


def _areas_in_use(vm: Vm) -> Iterator[VmapArea]:
    for vn in vm.vmalloc.vmap_nodes:
        for tree in (vn.busy, vn.lazy):
            yield from rb_nodes(tree)
        for pool in vn.pool:
            yield from pool


def _missing_table(vm: Vm, area: Filling) -> tuple[Table, int] | None:
    """The first table that an area's entries need and that is not there.

    Gives the table that should lead to it, and for which address.
    """
    end = area.va.va_end - PAGE_SIZE
    for address, _ in vm.vmalloc.init_mm.parts(area.va.va_start, end, PMD):
        table: Table = vm.vmalloc.init_mm.pgd
        while table.level > PTE:
            below = table_below(vm, table, address)
            if below is None:
                return table, address
            table = below
    return None


def _there_before(vm: Vm, table: Table, address: int) -> None:
    """Hang a table whose page nobody knows: its number is above all pages of RAM."""
    hang_table(vm, table, address, vm.max_pfn + len(vm.vmalloc.init_mm.tables))
