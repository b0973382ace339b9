"""Compaction that no request waits for: kcompactd, and whoever asks for all memory.

Kernel: mm/compaction.c compact_node() to kcompactd()
"""

from __future__ import annotations

from memsim.mm.compaction.compact_zone import compact_zone
from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.defer import (
    compaction_defer_reset,
    compaction_deferred,
    defer_compaction,
)
from memsim.mm.compaction.finished import (
    fragmentation_score_node,
    should_proactive_compact_node,
)
from memsim.mm.compaction.state import set_node_compact
from memsim.mm.compaction.suitable import compaction_suit_allocation_order
from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.mm.page_alloc.pcp import drain_all_pages
from memsim.mm.swap import lru_add_drain_all
from memsim.trace.compaction_events import (
    MM_COMPACTION_KCOMPACTD_SLEEP,
    MM_COMPACTION_KCOMPACTD_WAKE,
    MM_COMPACTION_WAKEUP_KCOMPACTD,
)
from memsim.trace.events import TP_COMPACTION
from memsim.words.alloc_flags import ALLOC_WMARK_MIN
from memsim.words.compaction import (
    COMPACT_COMPLETE,
    COMPACT_CONTINUE,
    COMPACT_MAX_DEFER_SHIFT,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_SUCCESS,
    MIGRATE_SYNC,
    MIGRATE_SYNC_LIGHT,
)

#: How often kcompactd looks whether to compact unasked.
HPAGE_FRAG_CHECK_INTERVAL_MSEC = 500


def nr_zones(pgdat: PglistData) -> int:
    """One more than the highest zone that has pages. Kernel: pgdat->nr_zones."""
    return 1 + max((zone.idx for zone in pgdat.node_zones if zone.present_pages), default=0)


def kcompactd_run(vm: Vm) -> None:
    """Each node's kcompactd starts, and has nothing to do. Kernel: kcompactd_init()."""
    for pgdat in vm.nodes:
        pgdat.kcompactd_max_order = 0
        pgdat.kcompactd_highest_zoneidx = nr_zones(pgdat) - 1


def _populated(pgdat: PglistData, highest_zoneidx: int) -> list[Zone]:
    return [zone for zone in pgdat.node_zones[: highest_zoneidx + 1] if zone.present_pages]


def compact_node(vm: Vm, pgdat: PglistData, proactive: bool) -> None:
    """Compact all zones of a node: proactive until they are fragmented less, else to the end.

    Kernel: mm/compaction.c compact_node()
    """
    for zone in _populated(pgdat, len(pgdat.node_zones)):
        cc = CompactControl(zone, -1)
        cc.mode = MIGRATE_SYNC_LIGHT if proactive else MIGRATE_SYNC
        cc.ignore_skip_hint = cc.whole_zone = True
        cc.proactive_compaction = proactive
        compact_zone(cc, None)


def compact_nodes(vm: Vm) -> None:
    """What writing 1 to /proc/sys/vm/compact_memory does. Kernel: compact_nodes()."""
    lru_add_drain_all(vm)
    for pgdat in vm.nodes:
        compact_node(vm, pgdat, False)


def kcompactd_node_suitable(pgdat: PglistData) -> bool:
    """Is there a zone that lacks a block, and could have one? Kernel: mm/compaction.c."""
    highest_zoneidx = pgdat.kcompactd_highest_zoneidx
    for zone in _populated(pgdat, highest_zoneidx):
        ret = compaction_suit_allocation_order(
            zone, pgdat.kcompactd_max_order, highest_zoneidx, ALLOC_WMARK_MIN
        )
        if ret == COMPACT_CONTINUE:
            return True
    return False


def wakeup_kcompactd(vm: Vm, pgdat: PglistData, order: int, highest_zoneidx: int) -> bool:
    """Ask kcompactd for a block of this order in zones up to this one; is it woken now?

    Kernel: mm/compaction.c wakeup_kcompactd()
    """
    if not order:
        return False
    if pgdat.kcompactd_max_order < order:
        set_node_compact(pgdat, vm, "kcompactd_max_order", order)
    if pgdat.kcompactd_highest_zoneidx > highest_zoneidx:
        set_node_compact(pgdat, vm, "kcompactd_highest_zoneidx", highest_zoneidx)
    if pgdat.kcompactd_awake or not kcompactd_node_suitable(pgdat):
        return False
    set_node_compact(pgdat, vm, "kcompactd_awake", 1)
    if vm.trace.mask & TP_COMPACTION:
        vm.trace.emit(MM_COMPACTION_WAKEUP_KCOMPACTD, pgdat.nid, order, highest_zoneidx)
    return True


def kcompactd_do_work(vm: Vm, pgdat: PglistData) -> None:
    """Make a block of the order asked for in each zone. Kernel: kcompactd_do_work()."""
    order, highest = pgdat.kcompactd_max_order, pgdat.kcompactd_highest_zoneidx
    if vm.trace.mask & TP_COMPACTION:
        vm.trace.emit(MM_COMPACTION_KCOMPACTD_WAKE, pgdat.nid, order, highest)
    # one for all zones: whole_zone, once set, and failed searches go on to the next
    cc = CompactControl(pgdat.node_zones[0], order)
    cc.highest_zoneidx = highest
    for zone in _populated(pgdat, highest):
        if compaction_deferred(zone, order):
            continue
        ret = compaction_suit_allocation_order(zone, order, zone.idx, ALLOC_WMARK_MIN)
        if ret == COMPACT_CONTINUE:
            cc.zone = zone
            _compact(cc)
    if pgdat.kcompactd_max_order <= order:
        set_node_compact(pgdat, vm, "kcompactd_max_order", 0)
    if pgdat.kcompactd_highest_zoneidx >= highest:
        set_node_compact(pgdat, vm, "kcompactd_highest_zoneidx", nr_zones(pgdat) - 1)


def _compact(cc: CompactControl) -> None:
    """One zone; what comes of it defers the next compaction, or does so no longer."""
    status = compact_zone(cc, None)
    if status == COMPACT_SUCCESS:
        compaction_defer_reset(cc.zone, cc.order, False)
    elif status in (COMPACT_PARTIAL_SKIPPED, COMPACT_COMPLETE):
        drain_all_pages(cc.zone.vm, cc.zone)
        defer_compaction(cc.zone, cc.order)


def kcompactd(vm: Vm, pgdat: PglistData) -> int:
    """One round of a node's kcompactd: what it was woken for, else proactive compaction.

    Returns the milliseconds after which it wakes by itself. Kernel: mm/compaction.c kcompactd()
    """
    timeout = HPAGE_FRAG_CHECK_INTERVAL_MSEC
    set_node_compact(pgdat, vm, "kcompactd_awake", 0)
    if pgdat.kcompactd_max_order and not pgdat.proactive_compact_trigger:
        kcompactd_do_work(vm, pgdat)
    else:
        if should_proactive_compact_node(vm, pgdat):
            before = fragmentation_score_node(pgdat)
            compact_node(vm, pgdat, True)
            if fragmentation_score_node(pgdat) >= before:
                timeout <<= COMPACT_MAX_DEFER_SHIFT
        set_node_compact(pgdat, vm, "proactive_compact_trigger", 0)
    if vm.trace.mask & TP_COMPACTION:
        vm.trace.emit(MM_COMPACTION_KCOMPACTD_SLEEP, pgdat.nid)
    return timeout
