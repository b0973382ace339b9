"""compact_zone(): the two scanners at work, until they meet or a block has been made.

Kernel: mm/compaction.c compact_zone()
"""

from __future__ import annotations

from memsim.mm.compaction.control import (
    CompactControl,
    block_start_pfn,
    compact_scanners_met,
    is_via_compact_memory,
)
from memsim.mm.compaction.defer import compaction_restarting
from memsim.mm.compaction.finished import compact_finished
from memsim.mm.compaction.free_block import release_free_list
from memsim.mm.compaction.migrate_scanner import (
    ISOLATE_ABORT,
    ISOLATE_NONE,
    isolate_migratepages,
)
from memsim.mm.compaction.skip import _reset_isolation_suitable
from memsim.mm.compaction.state import set_cached_migrate_pfn, set_zone_compact
from memsim.mm.compaction.suitable import compaction_suit_allocation_order
from memsim.mm.compaction.targets import CompactionTargets
from memsim.mm.migrate import migrate_pages, putback_movable_pages
from memsim.mm.mmzone import CaptureControl
from memsim.mm.page_alloc.pcp import drain_pages_zone
from memsim.mm.page_alloc.zone_walk import request_migratetype
from memsim.mm.swap import lru_add_drain, lru_add_drain_cpu
from memsim.trace.compaction_events import (
    MM_COMPACTION_BEGIN,
    MM_COMPACTION_END,
    MM_COMPACTION_MIGRATEPAGES,
)
from memsim.trace.events import TP_COMPACTION
from memsim.words.compaction import (
    COMPACT_CONTENDED,
    COMPACT_CONTINUE,
    COMPACT_SUCCESS,
    COMPACTION_HPAGE_ORDER,
    MIGRATE_ASYNC,
    MIGRATE_SYNC,
    MR_COMPACTION,
)
from memsim.words.errno import ENOMEM
from memsim.words.mmzone import NR_PAGE_ORDERS, NULL


def compact_zone(cc: CompactControl, capc: CaptureControl | None) -> int:
    """Compact a zone: a compact_result. capc: what the request captures on the way.

    NOT MODELLED: what compaction counts (COMPACTISOLATED and others).
    Kernel: mm/compaction.c compact_zone()
    """
    vm = cc.zone.vm
    cc.total_migrate_scanned = cc.total_free_scanned = 0
    cc.nr_migratepages = cc.nr_freepages = 0
    cc.freepages, cc.migratepages = [[] for _ in range(NR_PAGE_ORDERS)], []
    cc.migratetype = request_migratetype(vm, cc.gfp_mask)
    if not is_via_compact_memory(cc.order):
        ret = compaction_suit_allocation_order(
            cc.zone, cc.order, cc.highest_zoneidx, cc.alloc_flags
        )
        if ret != COMPACT_CONTINUE:
            return ret
    if compaction_restarting(cc.zone, cc.order):
        _reset_isolation_suitable(cc.zone)
    _place_scanners(cc)
    _trace(cc, MM_COMPACTION_BEGIN)
    lru_add_drain(vm)
    ret = _Rounds(cc, capc).run()
    if cc.nr_freepages > 0:
        _release(cc)
    _trace(cc, MM_COMPACTION_END, ret)
    return ret


def _trace(cc: CompactControl, event: int, *status: int) -> None:
    zone = cc.zone
    if zone.trace.mask & TP_COMPACTION:
        sync = int(cc.mode != MIGRATE_ASYNC)
        ends = (zone.zone_start_pfn, cc.migrate_pfn, cc.free_pfn, zone.zone_end_pfn)
        zone.trace.emit(event, *ends, sync, *status)


def _place_scanners(cc: CompactControl) -> None:
    """Where the scanners start: at both ends, or where the last compaction has left them."""
    zone = cc.zone
    start_pfn, end_pfn = zone.zone_start_pfn, zone.zone_end_pfn
    cc.fast_start_pfn = 0
    if cc.whole_zone:
        cc.migrate_pfn, cc.free_pfn = start_pfn, cc.block_start(end_pfn - 1)
        return
    cc.migrate_pfn = zone.compact_cached_migrate_pfn[cc.mode != MIGRATE_ASYNC]
    cc.free_pfn = zone.compact_cached_free_pfn
    if not start_pfn <= cc.free_pfn < end_pfn:
        cc.free_pfn = cc.block_start(end_pfn - 1)
        set_zone_compact(zone, "compact_cached_free_pfn", cc.free_pfn)
    if not start_pfn <= cc.migrate_pfn < end_pfn:
        cc.migrate_pfn = start_pfn
        set_cached_migrate_pfn(zone, start_pfn)
    if cc.migrate_pfn <= zone.compact_init_migrate_pfn:
        cc.whole_zone = True


def _release(cc: CompactControl) -> None:
    """Free pages that were not used go back, and the next free scanner starts above them."""
    free_pfn = cc.block_start(release_free_list(cc.zone, cc.freepages))
    cc.nr_freepages = 0
    if free_pfn > cc.zone.compact_cached_free_pfn:
        set_zone_compact(cc.zone, "compact_cached_free_pfn", free_pfn)


class _Rounds:
    """The loop of compact_zone(): isolate, migrate, drain, until compact_finished() says so.

    update_cached: async compaction has found no page yet, so sync compaction may start there too.
    """

    __slots__ = ("capc", "cc", "targets", "update_cached")

    def __init__(self, cc: CompactControl, capc: CaptureControl | None) -> None:
        self.cc = cc
        self.capc = capc
        self.targets = CompactionTargets(cc)
        cached_async, cached_sync = cc.zone.compact_cached_migrate_pfn
        self.update_cached = cc.mode == MIGRATE_ASYNC and cached_async == cached_sync
        cc.last_migrated_pfn = 0

    def run(self) -> int:
        """All rounds: a compact_result."""
        cc = self.cc
        while True:
            ret = compact_finished(cc)
            if ret != COMPACT_CONTINUE:
                return ret
            # a second visit finishes the pageblock, and marks it to be skipped
            last = cc.block_start(cc.last_migrated_pfn)
            cc.finish_pageblock = last == cc.block_start(cc.migrate_pfn)
            ret = self._round()
            if ret != COMPACT_CONTINUE:
                return ret

    def _round(self) -> int:
        """Isolate and migrate; what is left of a pageblock at once if a page could not move."""
        while True:
            isolated = isolate_migratepages(self.cc)
            if isolated == ISOLATE_ABORT:
                return self._abort()
            if isolated == ISOLATE_NONE:
                self._found_nothing()
                break
            rescan, ret = self._migrate()
            if ret != COMPACT_CONTINUE:
                return ret
            if not rescan:
                if self.capc is not None and self.capc.page != NULL:
                    return COMPACT_SUCCESS
                break
        self._check_drain()
        return COMPACT_CONTINUE

    def _abort(self) -> int:
        putback_movable_pages(self.cc.zone.vm, self.cc.migratepages)
        self.cc.nr_migratepages = 0
        return COMPACT_CONTENDED

    def _found_nothing(self) -> None:
        if self.update_cached:
            zone = self.cc.zone
            position = zone.compact_cached_migrate_pfn[0]
            set_zone_compact(zone, "compact_cached_migrate_pfn[1]", position)

    def _migrate(self) -> tuple[bool, int]:
        """(is the rest of the pageblock to be scanned at once?, COMPACT_CONTINUE or the end)."""
        cc, vm = self.cc, self.cc.zone.vm
        self.update_cached = False
        last = cc.block_start(cc.migrate_pfn - 1)
        cc.last_migrated_pfn = max(cc.zone.zone_start_pfn, last)
        nr_migratepages = cc.nr_migratepages
        err, nr_succeeded = migrate_pages(vm, cc.migratepages, self.targets, cc.mode, MR_COMPACTION)
        if vm.trace.mask & TP_COMPACTION:
            failed = nr_migratepages - nr_succeeded
            vm.trace.emit(MM_COMPACTION_MIGRATEPAGES, nr_succeeded, failed)
        cc.nr_migratepages = 0
        if not err:
            return False, COMPACT_CONTINUE
        putback_movable_pages(vm, cc.migratepages)
        if err == -ENOMEM and not compact_scanners_met(cc):
            return False, COMPACT_CONTENDED
        inside = cc.migrate_pfn % vm.pageblock_nr_pages
        if not inside or cc.ignore_skip_hint or cc.finish_pageblock or cc.mode == MIGRATE_SYNC:
            return False, COMPACT_CONTINUE
        cc.finish_pageblock = True
        # a drain would not make a huge page of a pageblock that keeps a page
        if cc.order == COMPACTION_HPAGE_ORDER:
            cc.last_migrated_pfn = 0
        return True, COMPACT_CONTINUE

    def _check_drain(self) -> None:
        """Once the scanner has left the block it emptied, pages on their way are drained."""
        cc = self.cc
        if cc.order <= 0 or not cc.last_migrated_pfn:
            return
        if cc.last_migrated_pfn < block_start_pfn(cc.migrate_pfn, cc.order):
            vm = cc.zone.vm
            lru_add_drain_cpu(vm, vm.cpu)
            drain_pages_zone(vm.cpu, cc.zone)
            cc.last_migrated_pfn = 0
