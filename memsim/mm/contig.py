"""alloc_contig_range(): a range of pages that was in use is emptied, and becomes the caller's.

Its pageblocks are isolated, what is in use there moves away, then the free pages are taken.

Kernel: mm/page_alloc.c __alloc_contig_migrate_range() to free_contig_range()
"""

from __future__ import annotations

from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.free_block import isolate_freepages_range
from memsim.mm.compaction.migrate_block import isolate_migratepages_range
from memsim.mm.folio import set_word
from memsim.mm.journal import set_page_state
from memsim.mm.migrate import Targets, folio_order, migrate_pages, putback_movable_pages
from memsim.mm.mmzone import PG_INUSE, Vm, Zone, is_highmem, page_zone
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.page_alloc.pageblock import find_large_buddy
from memsim.mm.page_alloc.pcp import drain_all_pages
from memsim.mm.page_isolation import (
    start_isolate_page_range,
    test_pages_isolated,
    undo_isolate_page_range,
)
from memsim.mm.swap import folio_put, lru_add_drain, lru_add_drain_all
from memsim.mm.vmscan.clean_pages import reclaim_clean_pages_from_list
from memsim.trace.compaction_events import MM_ALLOC_CONTIG_MIGRATE_RANGE_INFO
from memsim.trace.events import TP_COMPACTION
from memsim.trace.folio_steps import WORD_REFCOUNT
from memsim.words.compaction import MIGRATE_SYNC, MR_CONTIG_RANGE
from memsim.words.errno import EAGAIN, EBUSY, EINVAL, ENOMEM
from memsim.words.gfp import (
    __GFP_COMP,
    __GFP_FS,
    __GFP_HARDWALL,
    __GFP_HIGHMEM,
    __GFP_IO,
    __GFP_MOVABLE,
    __GFP_NOWARN,
    __GFP_RECLAIM,
    __GFP_RECLAIMABLE,
    __GFP_RETRY_MAYFAIL,
    __GFP_THISNODE,
    __GFP_WRITE,
    __GFP_ZERO,
    __GFP_ZEROTAGS,
    GFP_TRANSHUGE,
    GFP_ZONEMASK,
)
from memsim.words.mmzone import NULL

_RECLAIM_MASK = __GFP_IO | __GFP_FS | __GFP_RECLAIM
_CC_ACTION_MASK = __GFP_RETRY_MAYFAIL | __GFP_NOWARN
_ACTION_MASK = _CC_ACTION_MASK | __GFP_ZERO | __GFP_ZEROTAGS
_IGNORED = (
    GFP_ZONEMASK | __GFP_RECLAIMABLE | __GFP_WRITE | __GFP_HARDWALL | __GFP_THISNODE
    | __GFP_MOVABLE
)  # fmt: skip
#: A folio that is still there after so many attempts makes the range busy.
_MAX_TRIES = 5


class MigrationTargetControl(Targets):
    """struct migration_target_control: targets are what a request of gfp_mask gets on node nid."""

    __slots__ = ("gfp_mask", "nid", "vm")

    def __init__(self, vm: Vm, nid: int, gfp_mask: int) -> None:
        self.vm = vm
        self.nid = nid
        self.gfp_mask = gfp_mask

    def get_new_folio(self, src: int) -> int:
        """A folio as large as src, or NULL."""
        return alloc_migration_target(self, src)

    def put_new_folio(self, dst: int) -> None:
        """It is freed."""
        folio_put(self.vm, dst)


def alloc_migration_target(mtc: MigrationTargetControl, src: int) -> int:
    """A folio as large as src, or NULL. Kernel: mm/migrate.c alloc_migration_target()."""
    vm, gfp_mask = mtc.vm, mtc.gfp_mask
    order = folio_order(vm, src)
    if order:
        gfp_mask = gfp_mask & ~__GFP_RECLAIM | GFP_TRANSHUGE
    zone = page_zone(vm, src)
    assert zone is not None
    if is_highmem(zone) or zone.idx == vm.arch.ZONE_MOVABLE:
        gfp_mask |= __GFP_HIGHMEM
    dst = alloc_pages(vm, gfp_mask | __GFP_COMP, order, mtc.nid)
    if dst != NULL:
        set_word(vm.folios, WORD_REFCOUNT, dst, 1)
    return dst


def contig_gfp_mask(gfp_mask: int) -> int:
    """The mask for targets of a range asked for with this one; 0 when that is not allowed.

    NOT MODELLED: __GFP_COMP, for which the kernel makes one folio of the range.
    Kernel: mm/page_alloc.c __alloc_contig_verify_gfp_mask()
    """
    gfp_mask &= ~_IGNORED
    if gfp_mask & ~(_RECLAIM_MASK | _ACTION_MASK):
        return 0
    wanted = gfp_mask & (_RECLAIM_MASK | _CC_ACTION_MASK)
    return wanted | __GFP_HARDWALL | __GFP_MOVABLE | __GFP_RETRY_MAYFAIL


def _alloc_contig_migrate_range(cc: CompactControl, start: int, end: int, migratetype: int) -> int:
    """Move what is in [start, end) away: 0, or -EBUSY, -ENOMEM.

    Clean pages of files are dropped instead. lru_cache_disable(): nothing waits in a batch.
    Kernel: mm/page_alloc.c __alloc_contig_migrate_range()
    """
    vm, zone = cc.zone.vm, cc.zone
    targets = MigrationTargetControl(vm, zone.node, cc.gfp_mask)
    if hasattr(vm, "folios"):
        lru_add_drain_all(vm)
    pfn, ret, tries, mapped, migrated, reclaimed = start, 0, 0, 0, 0, 0
    while pfn < end or cc.migratepages:
        if not cc.migratepages:
            cc.nr_migratepages = 0
            ret = isolate_migratepages_range(cc, pfn, end)
            if ret and ret != -EAGAIN:
                break
            pfn, tries = cc.migrate_pfn, 0
        else:
            tries += 1
            if tries == _MAX_TRIES:
                ret = -EBUSY
                break
        nr_reclaimed = reclaim_clean_pages_from_list(zone, cc.migratepages)
        cc.nr_migratepages -= nr_reclaimed
        reclaimed += nr_reclaimed
        mapped += _mapped(vm, cc.migratepages)
        ret, _ = migrate_pages(vm, cc.migratepages, targets, cc.mode, MR_CONTIG_RANGE)
        if hasattr(vm, "folios"):
            lru_add_drain(vm)
        if not ret:
            migrated += cc.nr_migratepages
        if ret == -ENOMEM:
            break
    if ret < 0:
        putback_movable_pages(vm, cc.migratepages)
    if vm.trace.mask & TP_COMPACTION:
        # in 6.12 the last four are not in the order of the event's fields
        values = (migratetype, migrated, reclaimed, mapped)
        vm.trace.emit(MM_ALLOC_CONTIG_MIGRATE_RANGE_INFO, start, end, *values)
    return min(ret, 0)


def _mapped(vm: Vm, folios: list[int]) -> int:
    """Pages of those folios that ptes map."""
    return sum(1 << folio_order(vm, folio) for folio in folios if vm.folios.mapcount[folio])


def alloc_contig_range(vm: Vm, start: int, end: int, migratetype: int, gfp_mask: int) -> int:
    """Allocate the pages [start, end), of pageblocks of this type: 0, or the kernel's error.

    They are single pages, for free_contig_range(). On failure all is as it was, but for what moved.
    Kernel: mm/page_alloc.c alloc_contig_range_noprof()
    """
    zone = page_zone(vm, start)
    mask = contig_gfp_mask(gfp_mask)
    if zone is None or not mask:
        return -EINVAL
    cc = CompactControl(zone, -1)
    cc.mode, cc.gfp_mask = MIGRATE_SYNC, mask
    cc.ignore_skip_hint = cc.no_set_skip_hint = cc.alloc_contig = True
    ret = start_isolate_page_range(vm, start, end, migratetype)
    if not ret:
        drain_all_pages(vm, zone)
        ret = _alloc_contig_migrate_range(cc, start, end, migratetype)
        # a busy page may be free by now: what counts is whether all are
        if ret in (0, -EBUSY):
            ret = _take(cc, start, end)
    undo_isolate_page_range(vm, start, end, migratetype)
    return ret


def _take(cc: CompactControl, start: int, end: int) -> int:
    """Take the free pages [start, end) off the lists, and give back what a block has beyond them.

    Kernel: mm/page_alloc.c alloc_contig_range_noprof(), its end; split_free_pages()
    """
    zone = cc.zone
    outer_start = find_large_buddy(zone, start)
    if test_pages_isolated(zone, outer_start, end):
        return -EBUSY
    outer_end = isolate_freepages_range(cc, outer_start, end)
    if not outer_end:
        return -EBUSY
    _split_free_pages(zone, cc.freepages)
    if start != outer_start:
        free_contig_range(zone.vm, outer_start, start - outer_start)
    if end != outer_end:
        free_contig_range(zone.vm, end, outer_end - end)
    return 0


def _split_free_pages(zone: Zone, freepages: list[list[int]]) -> None:
    """Isolated blocks become single pages in use. Kernel: mm/page_alloc.c split_free_pages()."""
    for order, blocks in enumerate(freepages):
        for page in blocks:
            set_page_state(zone, page, 1 << order, PG_INUSE)


def free_contig_range(vm: Vm, pfn: int, nr_pages: int) -> None:
    """Free pages of alloc_contig_range(), one by one, first to last.

    Kernel: mm/page_alloc.c free_contig_range()
    """
    for page in range(pfn, pfn + nr_pages):
        free_unref_page(vm, page, 0)
