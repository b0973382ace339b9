"""The page cache of one file: folios by index, and readahead.

Indexes, sizes and windows are in pages.
"""

from __future__ import annotations

from collections.abc import Iterator

from memsim.lib.bits import align_down
from memsim.words.gfp import (
    __GFP_COMP,
    __GFP_FS,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_WRITE,
    GFP_HIGHUSER_MOVABLE,
)
from memsim.words.mmzone import HPAGE_PMD_ORDER
from memsim.workload.checks import between
from memsim.workload.folio import Folio, folio_put, folios_put
from memsim.workload.request import Path
from memsim.workload.requester import Requester
from memsim.workload.xarray import XArray

#: 128 KiB, what most disks get. Kernel: include/linux/pagemap.h VM_READAHEAD_PAGES
RA_PAGES = 32
#: 16 TiB, as ext4 has them with blocks of 4 KiB.
MAX_FILE_PAGES = 1 << 32
#: Kernel: include/linux/pagemap.h MAX_PAGECACHE_ORDER
MAX_PAGECACHE_ORDER = HPAGE_PMD_ORDER
#: mapping_gfp_mask() of a file, as filemap_alloc_folio() passes it on.
GFP_MAPPING = GFP_HIGHUSER_MOVABLE | __GFP_COMP
GFP_WRITE_BEGIN = GFP_MAPPING | __GFP_WRITE
#: readahead_gfp_mask(), within memalloc_nofs_save().
GFP_READAHEAD = (GFP_MAPPING | __GFP_NORETRY | __GFP_NOWARN) & ~__GFP_FS

READAHEAD = Path(
    "filesystem", "page cache, read ahead",
    "mm/readahead.c page_cache_ra_unbounded() -> mm/filemap.c filemap_alloc_folio()",
    "readahead stops there",
)  # fmt: skip
READAHEAD_ORDER = Path(
    "filesystem", "page cache, large folio read ahead",
    "mm/readahead.c page_cache_ra_order() -> ra_alloc_folio() -> mm/filemap.c"
    " filemap_alloc_folio()",
    "reads ahead in single pages instead",
)  # fmt: skip
READ = Path(
    "filesystem", "page cache, one page",
    "mm/filemap.c filemap_get_pages() -> filemap_create_folio() -> filemap_alloc_folio()",
    "read() returns ENOMEM",
)  # fmt: skip
FAULT = Path(
    "filesystem", "page cache, one page",
    "mm/filemap.c filemap_fault() -> __filemap_get_folio() -> filemap_alloc_folio()",
    "the fault finds no memory: OOM",
)  # fmt: skip
WRITE = Path(
    "filesystem", "page cache, to be written",
    "fs/ext4/inode.c ext4_da_write_begin() -> mm/filemap.c __filemap_get_folio()"
    " -> filemap_alloc_folio()",
    "write() returns ENOMEM",
)  # fmt: skip


class File:
    """struct address_space of a file of nr_pages, with the readahead state of who reads it.

    large_folios: its filesystem asked for them (mapping_set_large_folios(): XFS does; ext4 not
    before v6.16). mappings: vm_area_structs that map it. NOT MODELLED: a state for each open
    file; writeback; io_pages; eviction of single folios.
    """

    def __init__(self, requester: Requester, nr_pages: int, large_folios: bool = False) -> None:
        between("nr_pages", nr_pages, 0, MAX_FILE_PAGES)
        self.requester = requester
        self.nr_pages = nr_pages
        self.large_folios = large_folios
        self.mappings = 0
        self.cached = 0
        self._folios: dict[int, Folio] = {}
        self._i_pages = XArray(requester)
        self._readahead_marks: set[int] = set()
        self._start = self._size = self._async_size = 0
        self._prev_index = -1

    # Who asks

    def filemap_read(self, index: int, count: int) -> int:
        """read(): pages that are there in the end, from index on. Kernel: mm/filemap.c."""
        first, last = index, min(index + count, self.nr_pages)
        while index < last:
            folio = self.folio_at(index)
            if folio is None:
                self.page_cache_sync_ra(index, last - index)
                folio = self.folio_at(index) or self._create_folio(READ, index)
            if folio is None:
                break
            self._notice(folio, last - index)
            index = folio.index + (1 << folio.order)
        self._prev_index = index - 1
        return min(index, last) - first

    def filemap_fault(self, index: int) -> Folio | None:
        """The folio with this page, read around it if need be; with a reference for the caller.

        Kernel: mm/filemap.c filemap_fault(). NOT MODELLED: ra->mmap_miss; map_pages().
        """
        folio = self.folio_at(index)
        if folio is not None:
            self._notice(folio, RA_PAGES)
        else:
            self._do_sync_mmap_readahead(index)
            folio = self.folio_at(index) or self._create_folio(FAULT, index)
        if folio is not None:
            folio.refcount += 1
        return folio

    def write_begin(self, index: int) -> Folio | None:
        """The folio that a write goes to, made if need be; the file grows.

        NOT MODELLED: large folios for writes (fgf_set_order()).
        """
        folio = self.folio_at(index)
        if folio is None:
            folio = self.filemap_add(WRITE, index, 0, GFP_WRITE_BEGIN)
        if folio is not None:
            self.nr_pages = max(self.nr_pages, index + 1)
        return folio

    def truncate(self) -> None:
        """Let go of every folio, in batches. Kernel: mm/truncate.c truncate_inode_pages_range()."""
        folios_put(self.requester, self.folios())
        self._folios.clear()
        self._readahead_marks.clear()
        self.cached = 0
        self._i_pages.destroy()

    def filemap_add(self, path: Path, index: int, order: int, gfp_mask: int) -> Folio | None:
        """A folio, in the cache and on the LRU. filemap_alloc_folio(), filemap_add_folio()."""
        pfn = self.requester.alloc_pages(path, gfp_mask, order)
        if pfn is None:
            return None
        folio = Folio(pfn, order, anon=False, index=index)
        if not self._i_pages.store(index, order, gfp_mask):
            folio_put(self.requester, folio)
            return None
        for each in range(index, index + (1 << order)):
            self._folios[each] = folio
        self.cached += 1 << order
        self.requester.machine.lru_add(pfn)
        return folio

    def folio_at(self, index: int) -> Folio | None:
        """The folio that has this page of the file."""
        return self._folios.get(index)

    def folios(self) -> Iterator[Folio]:
        """Every folio once, by index."""
        for index in sorted(self._folios):
            folio = self._folios[index]
            if folio.index == index:
                yield folio

    # Readahead. Kernel: mm/readahead.c

    def page_cache_sync_ra(self, index: int, req_count: int) -> None:
        """The page at index is not there, and somebody waits for it."""
        if index == 0 or req_count > RA_PAGES or 0 <= index - self._prev_index <= 1:
            self._start = index
            self._size = get_init_ra_size(req_count, RA_PAGES)
            more = self._size - req_count
            self._async_size = more if more > 0 else self._size >> 1
        else:
            contig_count = self._cached_before(index)
            if contig_count <= req_count:
                self.do_page_cache_ra(index, req_count, 0)
                return
            if contig_count == index:
                contig_count *= 2
            self._start = index
            self._size = min(contig_count + req_count, RA_PAGES)
            self._async_size = 1
        self.page_cache_ra_order(0)

    def page_cache_async_ra(self, folio: Folio, req_count: int) -> None:
        """A folio with the readahead mark was reached: read the next window."""
        index = folio.index
        expected = align_down(self._start + self._size - self._async_size, 1 << folio.order)
        if index == expected:
            self._start += self._size
            self._size = max(self._size, get_next_ra_size(self._size, RA_PAGES))
        else:
            start = index + 1
            while start in self._folios:
                start += 1
            if start - index > RA_PAGES:
                return
            self._start = start
            self._size = get_next_ra_size(start - index + req_count, RA_PAGES)
        self._async_size = self._size
        self.page_cache_ra_order(folio.order)

    def page_cache_ra_order(self, new_order: int) -> None:
        """Read the window in folios up to two orders larger than those of the last."""
        if not self.large_folios or self._size < 4:
            self.do_page_cache_ra(self._start, self._size, self._async_size)
            return
        index, mark = self._start, self._start + self._size - self._async_size
        limit = min(self.nr_pages - 1, index + self._size - 1)
        if new_order < MAX_PAGECACHE_ORDER:
            new_order += 2
        new_order = min(MAX_PAGECACHE_ORDER, new_order, self._size.bit_length() - 1)
        while index <= limit:
            order = _fitting_order(index, new_order, limit)
            if not self._ra_alloc_folio(index, mark, order):
                self.do_page_cache_ra(self._start, self._size, self._async_size)
                return
            index += 1 << order

    def do_page_cache_ra(self, index: int, nr_to_read: int, lookahead_size: int) -> None:
        """Read single pages; it stops where there is no memory. page_cache_ra_unbounded()."""
        mark = index + nr_to_read - lookahead_size
        for each in range(index, min(index + nr_to_read, self.nr_pages)):
            if each in self._folios:
                continue
            if self.filemap_add(READAHEAD, each, 0, GFP_READAHEAD) is None:
                return
            if each == mark:
                self._readahead_marks.add(each)

    # Inside

    def _ra_alloc_folio(self, index: int, mark: int, order: int) -> bool:
        if any(each in self._folios for each in range(index, index + (1 << order))):
            return False
        if self.filemap_add(READAHEAD_ORDER, index, order, GFP_READAHEAD) is None:
            return False
        if index == align_down(mark, 1 << order):
            self._readahead_marks.add(index)
        return True

    def _do_sync_mmap_readahead(self, index: int) -> None:
        self._start = max(0, index - RA_PAGES // 2)
        self._size = RA_PAGES
        self._async_size = RA_PAGES // 4
        self.page_cache_ra_order(0)

    def _notice(self, folio: Folio, req_count: int) -> None:
        """A folio was found: does its mark say to read on?"""
        if folio.index in self._readahead_marks:
            self._readahead_marks.remove(folio.index)
            self.page_cache_async_ra(folio, req_count)

    def _cached_before(self, index: int) -> int:
        """Pages in the cache right before index, RA_PAGES at most. page_cache_prev_miss()."""
        count = 0
        while count < RA_PAGES and index - count - 1 in self._folios:
            count += 1
        return count

    def _create_folio(self, path: Path, index: int) -> Folio | None:
        if index >= self.nr_pages:
            return None
        return self.filemap_add(path, index, 0, GFP_MAPPING)


def get_init_ra_size(size: int, maximum: int) -> int:
    """The first window for a request of size pages."""
    newsize = 1 << (size - 1).bit_length()
    if newsize <= maximum // 32:
        return newsize * 4
    return newsize * 2 if newsize <= maximum // 4 else maximum


def get_next_ra_size(size: int, maximum: int) -> int:
    """The window after one of size pages."""
    if size < maximum // 16:
        return 4 * size
    return 2 * size if size <= maximum // 2 else maximum


def _fitting_order(index: int, order: int, limit: int) -> int:
    """The largest order up to this one that is aligned at index and ends within limit."""
    if index & ((1 << order) - 1):
        order = (index & -index).bit_length() - 1
    while order and index + (1 << order) - 1 > limit:
        order -= 1
    return order
