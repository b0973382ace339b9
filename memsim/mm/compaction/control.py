"""struct compact_control: one compaction under way, of a zone or, by kcompactd, of several.

Kernel: mm/internal.h
"""

from __future__ import annotations

from memsim.mm.mmzone import Zone
from memsim.mm.page_alloc.pageblock import pageblock_start_pfn
from memsim.words.compaction import MIGRATE_SYNC_LIGHT
from memsim.words.gfp import GFP_KERNEL
from memsim.words.mmzone import MIGRATE_UNMOVABLE, NR_PAGE_ORDERS


class CompactControl:
    """struct compact_control: compaction of `zone` for a block of `order`; -1: for all.

    migrate_pfn and free_pfn are where the two scanners stand. freepages[order] has free blocks that
    wait for pages, first to be used first; migratepages has folios that are to move, in the order
    of the kernel's list. fast_search_fail counts failed searches since the last good one;
    search_order is where the next search starts.
    NOT MODELLED: contended, as no lock is.
    """

    __slots__ = (
        "zone", "order", "migratetype", "mode", "gfp_mask", "alloc_flags", "highest_zoneidx",
        "direct_compaction", "proactive_compaction", "whole_zone", "ignore_skip_hint",
        "no_set_skip_hint", "ignore_block_suitable", "alloc_contig",
        "migrate_pfn", "free_pfn", "search_order", "fast_search_fail", "fast_start_pfn",
        "freepages", "migratepages", "nr_freepages", "nr_migratepages", "finish_pageblock",
        "last_migrated_pfn", "total_migrate_scanned", "total_free_scanned",
    )  # fmt: skip

    def __init__(self, zone: Zone, order: int, migrate_pfn: int = 0, free_pfn: int = 0) -> None:
        self.zone = zone
        self.order = self.search_order = order
        self.migratetype = MIGRATE_UNMOVABLE
        self.mode = MIGRATE_SYNC_LIGHT
        self.gfp_mask = GFP_KERNEL
        self.alloc_flags = self.highest_zoneidx = 0
        self.direct_compaction = self.proactive_compaction = self.whole_zone = False
        self.ignore_skip_hint = self.no_set_skip_hint = self.ignore_block_suitable = False
        self.alloc_contig = False
        self.migrate_pfn = migrate_pfn
        self.free_pfn = free_pfn
        self.fast_search_fail = 0
        #: Lowest block that a search for a source found; -1 (the kernel's ULONG_MAX): used up.
        self.fast_start_pfn = 0
        self.freepages: list[list[int]] = [[] for _ in range(NR_PAGE_ORDERS)]
        self.migratepages: list[int] = []
        self.nr_freepages = self.nr_migratepages = 0
        self.finish_pageblock = False
        #: Start of the pageblock that pages were last migrated from.
        self.last_migrated_pfn = 0
        self.total_migrate_scanned = self.total_free_scanned = 0

    def block_start(self, pfn: int) -> int:
        """First pfn of pfn's pageblock."""
        return pageblock_start_pfn(self.zone, pfn)

    def block_end(self, pfn: int) -> int:
        """First pfn behind pfn's pageblock."""
        return self.block_start(pfn) + self.zone.vm.pageblock_nr_pages


def is_via_compact_memory(order: int) -> bool:
    """Does somebody ask for all memory to be compacted? Kernel: is_via_compact_memory()."""
    return order == -1


def block_start_pfn(pfn: int, order: int) -> int:
    """First pfn of the aligned block of this order that holds pfn. Kernel: block_start_pfn()."""
    return pfn & -(1 << order)


def block_end_pfn(pfn: int, order: int) -> int:
    """First pfn behind the aligned block that holds pfn. Kernel: block_end_pfn()."""
    return block_start_pfn(pfn, order) + (1 << order)


def compact_scanners_met(cc: CompactControl) -> bool:
    """Are both scanners in one pageblock, or past each other? Kernel: compact_scanners_met()."""
    pageblock_order = cc.zone.vm.pageblock_order
    return cc.free_pfn >> pageblock_order <= cc.migrate_pfn >> pageblock_order
