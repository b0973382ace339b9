"""Putting compaction off: after each failure twice as many attempts are skipped, up to 64.

Kernel: mm/compaction.c defer_compaction() to compaction_restarting()
"""

from __future__ import annotations

from memsim.mm.compaction.state import set_zone_compact
from memsim.mm.mmzone import Zone
from memsim.trace.compaction_events import (
    MM_COMPACTION_DEFER_COMPACTION,
    MM_COMPACTION_DEFER_RESET,
    MM_COMPACTION_DEFERRED,
)
from memsim.trace.events import TP_COMPACTION
from memsim.words.compaction import COMPACT_MAX_DEFER_SHIFT


def _trace(zone: Zone, event: int, order: int) -> None:
    if zone.trace.mask & TP_COMPACTION:
        zone.trace.emit(
            event, zone.node, zone.idx, order, zone.compact_considered, zone.compact_defer_shift,
            zone.compact_order_failed,
        )  # fmt: skip


def defer_compaction(zone: Zone, order: int) -> None:
    """A compaction for this order failed. Kernel: mm/compaction.c defer_compaction()."""
    set_zone_compact(zone, "compact_considered", 0)
    shift = min(zone.compact_defer_shift + 1, COMPACT_MAX_DEFER_SHIFT)
    set_zone_compact(zone, "compact_defer_shift", shift)
    if order < zone.compact_order_failed:
        set_zone_compact(zone, "compact_order_failed", order)
    _trace(zone, MM_COMPACTION_DEFER_COMPACTION, order)


def compaction_deferred(zone: Zone, order: int) -> bool:
    """Is compaction for this order to be skipped this time?

    Kernel: mm/compaction.c compaction_deferred()
    """
    defer_limit = 1 << zone.compact_defer_shift
    if order < zone.compact_order_failed:
        return False
    considered = zone.compact_considered + 1
    set_zone_compact(zone, "compact_considered", min(considered, defer_limit))
    if considered >= defer_limit:
        return False
    _trace(zone, MM_COMPACTION_DEFERRED, order)
    return True


def compaction_defer_reset(zone: Zone, order: int, alloc_success: bool) -> None:
    """A request of this order succeeded, or is expected to (alloc_success False).

    Kernel: mm/compaction.c compaction_defer_reset()
    """
    if alloc_success:
        set_zone_compact(zone, "compact_considered", 0)
        set_zone_compact(zone, "compact_defer_shift", 0)
    if order >= zone.compact_order_failed:
        set_zone_compact(zone, "compact_order_failed", order + 1)
    _trace(zone, MM_COMPACTION_DEFER_RESET, order)


def compaction_restarting(zone: Zone, order: int) -> bool:
    """Is this the first attempt after the longest wait? Kernel: compaction_restarting()."""
    if order < zone.compact_order_failed:
        return False
    longest = zone.compact_defer_shift == COMPACT_MAX_DEFER_SHIFT
    return longest and zone.compact_considered >= 1 << zone.compact_defer_shift
