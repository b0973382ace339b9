"""One pageblock scanned for pages that can move: each is taken off its LRU list.

Kernel: mm/compaction.c too_many_isolated() to isolate_migratepages_range()
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl, block_end_pfn, is_via_compact_memory
from memsim.mm.compaction.skip import (
    isolation_suitable,
    pageblock_pfn_to_page,
    test_and_set_skip,
    update_cached_migrate,
)
from memsim.mm.compaction.state import set_pageblock_skip
from memsim.mm.folio import folio_get
from memsim.mm.migrate import count_isolated, putback_movable_pages
from memsim.mm.mm_inline import folio_test_clear_lru, lruvec_del_folio
from memsim.mm.mmzone import PG_INUSE, PG_LRU, PG_ORDER, PageBuddy, Zone, buddy_order
from memsim.mm.rmap import folio_test_anon
from memsim.trace.compaction_events import MM_COMPACTION_ISOLATE_MIGRATEPAGES
from memsim.trace.events import TP_COMPACTION
from memsim.words.compaction import (
    COMPACT_CLUSTER_MAX,
    ISOLATE_ASYNC_MIGRATE,
    ISOLATE_UNEVICTABLE,
    MIGRATE_ASYNC,
)
from memsim.words.errno import EAGAIN
from memsim.words.gfp import __GFP_FS
from memsim.words.mmzone import NULL
from memsim.words.page_flags import (
    NR_ISOLATED_ANON,
    NR_ISOLATED_FILE,
    NR_LRU_BASE,
    PG_dirty,
    PG_locked,
    PG_swapcache,
    PG_unevictable,
    PG_writeback,
)


def too_many_isolated(cc: CompactControl) -> bool:
    """Are more pages isolated than half of those on LRU lists; with __GFP_FS, than a sixteenth?

    Kernel: mm/compaction.c too_many_isolated()
    """
    vm = cc.zone.vm
    if not hasattr(vm, "folios"):
        return False
    vm_stat = vm.nodes[cc.zone.node].vm_stat
    inactive = vm_stat[NR_LRU_BASE] + vm_stat[NR_LRU_BASE + 2]
    active = vm_stat[NR_LRU_BASE + 1] + vm_stat[NR_LRU_BASE + 3]
    if cc.gfp_mask & __GFP_FS:
        inactive >>= 3
        active >>= 3
    return vm_stat[NR_ISOLATED_ANON] + vm_stat[NR_ISOLATED_FILE] > (inactive + active) // 2


def skip_isolation_on_order(zone: Zone, order: int, target_order: int) -> bool:
    """Is a folio of this order too large to be moved for a block of target_order?

    Kernel: mm/compaction.c skip_isolation_on_order()
    """
    if not is_via_compact_memory(target_order) and order >= target_order:
        return True
    return order >= zone.vm.pageblock_order


class BlockScan:
    """The scan of a pageblock, or of the rest of one: where it is, and what it has found.

    skip_on_failure: one page that cannot move spoils its block of cc.order, so what was isolated
    there is put back and the scan goes on behind it, at next_skip_pfn. valid_page: the pageblock's
    first page, if the scan began there; skip_updated: its skip mark was set, or seen.
    """

    __slots__ = (
        "cc", "end_pfn", "low_pfn", "mode", "next_skip_pfn", "nr_isolated", "nr_scanned",
        "skip_on_failure", "skip_updated", "valid_page",
    )  # fmt: skip

    def __init__(self, cc: CompactControl, low_pfn: int, end_pfn: int, mode: int) -> None:
        self.cc = cc
        self.low_pfn = low_pfn
        self.end_pfn = end_pfn
        self.mode = mode
        self.nr_scanned = self.nr_isolated = 0
        self.skip_on_failure = cc.direct_compaction and cc.mode == MIGRATE_ASYNC
        self.next_skip_pfn = block_end_pfn(low_pfn, cc.order) if self.skip_on_failure else 0
        self.valid_page = NULL
        self.skip_updated = False


def isolate_migratepages_block(cc: CompactControl, low_pfn: int, end_pfn: int, mode: int) -> int:
    """Isolate folios of [low_pfn, end_pfn), in one pageblock, onto cc.migratepages: 0, or -EAGAIN.

    It stops with COMPACT_CLUSTER_MAX pages, unless the pageblock is to be finished; cc.migrate_pfn
    says where. Found nothing, or finished: the pageblock is marked to be skipped.
    NOT MODELLED: reclaim_throttle(), fatal signals, contended locks, hugetlb, movable pages outside
    of LRU lists. Kernel: mm/compaction.c isolate_migratepages_block()
    """
    cc.migrate_pfn = low_pfn
    if too_many_isolated(cc) and (cc.nr_migratepages or cc.mode == MIGRATE_ASYNC):
        return -EAGAIN
    scan = BlockScan(cc, low_pfn, end_pfn, mode)
    while scan.low_pfn < end_pfn:
        if not _scan_page(scan):
            break
        scan.low_pfn += 1
    scan.low_pfn = min(scan.low_pfn, end_pfn)
    if scan.low_pfn == end_pfn and (not scan.nr_isolated or cc.finish_pageblock):
        if not cc.no_set_skip_hint and scan.valid_page != NULL and not scan.skip_updated:
            set_pageblock_skip(cc.zone, scan.valid_page)
        update_cached_migrate(cc, scan.low_pfn)
    if cc.zone.trace.mask & TP_COMPACTION:
        cc.zone.trace.emit(
            MM_COMPACTION_ISOLATE_MIGRATEPAGES, low_pfn, scan.low_pfn, scan.nr_scanned,
            scan.nr_isolated,
        )  # fmt: skip
    cc.total_migrate_scanned += scan.nr_scanned
    cc.migrate_pfn = scan.low_pfn
    return 0


def _scan_page(scan: BlockScan) -> bool:
    """Look at one page, and move to its block's last; False when the scan is to end."""
    cc, pfn = scan.cc, scan.low_pfn
    if scan.skip_on_failure and pfn >= scan.next_skip_pfn:
        if scan.nr_isolated:
            return False
        scan.next_skip_pfn = block_end_pfn(pfn, cc.order)
    scan.nr_scanned += 1
    if scan.valid_page == NULL and pfn in (cc.block_start(pfn), cc.zone.zone_start_pfn):
        if not isolation_suitable(cc, pfn):
            scan.low_pfn = scan.end_pfn
            return False
        scan.valid_page = pfn
    if PageBuddy(cc.zone, pfn):
        _pass_over(scan, buddy_order(cc.zone, pfn))
        return True
    order = _compound_order(cc.zone, pfn)
    if order and not cc.alloc_contig and skip_isolation_on_order(cc.zone, order, cc.order):
        _pass_over(scan, order)
        return _failed(scan)
    if not _may_isolate(scan, pfn):
        return _failed(scan)
    return _isolate(scan, pfn, order)


def _compound_order(zone: Zone, pfn: int) -> int:
    """Order of the allocated block that begins at pfn; 0 for a page behind its first."""
    state = zone.page_state[pfn]
    return state & PG_ORDER if state & PG_INUSE else 0


def _pass_over(scan: BlockScan, order: int) -> None:
    """Go to the last page of a block."""
    scan.low_pfn += (1 << order) - 1
    scan.nr_scanned += (1 << order) - 1


def _may_isolate(scan: BlockScan, pfn: int) -> bool:
    """Is it the first page of a folio on an LRU list that nobody keeps from moving?

    NOT MODELLED: mappings without ->migrate_folio, mapping_inaccessible().
    """
    vm, mode = scan.cc.zone.vm, scan.mode
    state = vm.page_state[pfn]
    if (state & (PG_LRU | PG_INUSE)) != PG_LRU | PG_INUSE:
        return False
    # without a mapping it is somebody's page, as if it were pinned
    if not hasattr(vm, "folios") or not vm.folios.mapping[pfn]:
        return False
    flags = vm.folios.flags[pfn]
    mapping = flags & PG_swapcache != 0 or not folio_test_anon(vm, pfn)
    if not mapping and vm.folios.refcount[pfn] > vm.folios.mapcount[pfn]:
        return False
    if mapping and not scan.cc.gfp_mask & __GFP_FS:
        return False
    is_unevictable = flags & PG_unevictable != 0
    if is_unevictable and not mode & ISOLATE_UNEVICTABLE:
        return False
    is_async = mode & ISOLATE_ASYNC_MIGRATE != 0
    if is_async and flags & PG_writeback:
        return False
    needs_lock = (is_async and flags & PG_dirty != 0) or (mapping and is_unevictable)
    return not (needs_lock and flags & PG_locked)


def _isolate(scan: BlockScan, folio: int, order: int) -> bool:
    """Take a folio off its LRU list; False when the scan is to end."""
    cc, vm = scan.cc, scan.cc.zone.vm
    if not scan.skip_updated and scan.valid_page != NULL:
        scan.skip_updated = True
        if test_and_set_skip(cc, scan.valid_page) and not cc.finish_pageblock:
            scan.low_pfn = scan.end_pfn
            return False
    folio_get(vm.folios, folio)
    folio_test_clear_lru(vm, folio)
    _pass_over(scan, order)
    lruvec_del_folio(vm, folio)
    count_isolated(vm, folio, 1)
    cc.migratepages.insert(0, folio)
    cc.nr_migratepages += 1 << order
    scan.nr_isolated += 1 << order
    if cc.nr_migratepages >= COMPACT_CLUSTER_MAX and not cc.finish_pageblock:
        scan.low_pfn += 1
        return False
    return True


def _failed(scan: BlockScan) -> bool:
    """A page cannot move: with skip_on_failure its block of cc.order is given up. The scan goes on.

    Kernel: mm/compaction.c isolate_migratepages_block(), isolate_fail
    """
    if not scan.skip_on_failure:
        return True
    cc = scan.cc
    if scan.nr_isolated:
        putback_movable_pages(cc.zone.vm, cc.migratepages)
        cc.nr_migratepages = scan.nr_isolated = 0
    if scan.low_pfn < scan.next_skip_pfn:
        scan.low_pfn = scan.next_skip_pfn - 1
        scan.next_skip_pfn += 1 << cc.order
    return True


def isolate_migratepages_range(cc: CompactControl, start_pfn: int, end_pfn: int) -> int:
    """isolate_migratepages_block() pageblock by pageblock, up to COMPACT_CLUSTER_MAX pages.

    Kernel: mm/compaction.c isolate_migratepages_range()
    """
    pfn = start_pfn
    while pfn < end_pfn:
        block_start = max(cc.block_start(pfn), cc.zone.zone_start_pfn)
        block_end = min(cc.block_end(pfn), end_pfn)
        if pageblock_pfn_to_page(cc.zone, block_start, block_end) != NULL:
            ret = isolate_migratepages_block(cc, pfn, block_end, ISOLATE_UNEVICTABLE)
            if ret:
                return ret
            if cc.nr_migratepages >= COMPACT_CLUSTER_MAX:
                break
        pfn = block_end
    return 0
