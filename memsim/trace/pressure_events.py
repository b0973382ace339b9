"""The kernel's tracepoints of the slow path: names, fields, and the one-line text form.

Kernel: include/trace/events/vmscan.h, include/trace/events/oom.h
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.words.arch import X86_64
from memsim.words.compaction import COMPACTION_FEEDBACK, COMPACTION_PRIORITY
from memsim.words.gfp import parse_gfp_flags, show_gfp_flags


@dataclass(frozen=True, slots=True)
class MmVmscanWakeupKswapd:
    """A request woke a node's kswapd. The text leaves out zid, the highest zone that is wanted.

    Kernel: trace_mm_vmscan_wakeup_kswapd()
    """

    NAME: ClassVar[str] = "mm_vmscan_wakeup_kswapd"
    nid: int
    zid: int
    order: int
    gfp_flags: int

    def text(self) -> str:
        """What follows `mm_vmscan_wakeup_kswapd: ` in a trace."""
        return f"nid={self.nid} order={self.order} gfp_flags={show_gfp_flags(self.gfp_flags)}"


@dataclass(frozen=True, slots=True)
class ReclaimRetryZone:
    """Would a zone do, with all that is reclaimable? Kernel: trace_reclaim_retry_zone().

    `where` holds node, zone_idx and order: see retry_zone(). The others are pages, rounds, a bool.
    """

    NAME: ClassVar[str] = "reclaim_retry_zone"
    where: int
    reclaimable: int
    available: int
    min_wmark: int
    no_progress_loops: int
    wmark_check: int

    def text(self) -> str:
        """What follows `reclaim_retry_zone: ` in a trace. Zones are named as x86-64 names them."""
        node, zone_idx, order = self.where >> 16, self.where >> 8 & 0xFF, self.where & 0xFF
        return (
            f"node={node} zone={X86_64.zone_names[zone_idx]:<8} order={order} "
            f"reclaimable={self.reclaimable} available={self.available} "
            f"min_wmark={self.min_wmark} no_progress_loops={self.no_progress_loops} "
            f"wmark_check={self.wmark_check}"
        )


def retry_zone(node: int, zone_idx: int, order: int) -> int:
    """The field `where` of ReclaimRetryZone."""
    return node << 16 | zone_idx << 8 | order


@dataclass(frozen=True, slots=True)
class CompactRetry:
    """Is compaction worth another round? result is 1 to 3, as in COMPACTION_FEEDBACK.

    Kernel: trace_compact_retry()
    """

    NAME: ClassVar[str] = "compact_retry"
    order: int
    priority: int
    result: int
    retries: int
    max_retries: int
    ret: int

    def text(self) -> str:
        """What follows `compact_retry: ` in a trace."""
        return (
            f"order={self.order} priority={COMPACTION_PRIORITY[self.priority]} "
            f"compaction_result={COMPACTION_FEEDBACK[self.result - 1]} "
            f"retries={self.retries} max_retries={self.max_retries} should_retry={self.ret}"
        )


PressureEvent = MmVmscanWakeupKswapd | ReclaimRetryZone | CompactRetry
PRESSURE_EVENT_CLASSES: tuple[type[PressureEvent], ...] = (
    MmVmscanWakeupKswapd, ReclaimRetryZone, CompactRetry,
)  # fmt: skip


def pressure_event(number: int, arguments: Sequence[int]) -> PressureEvent:
    """The event of this number, of a record's arguments."""
    event = PRESSURE_EVENT_CLASSES[number]
    return event(*arguments[: len(event.__slots__)])


def pressure_event_of(cls: type[PressureEvent], words: Mapping[str, str]) -> PressureEvent:
    """The event of a text's `name=word`. A zid, which no text has, is -1. KeyError: no such word.

    ValueError says what is no word of the kernel's.
    """
    if cls is MmVmscanWakeupKswapd:
        gfp_flags = parse_gfp_flags(words["gfp_flags"])
        return MmVmscanWakeupKswapd(int(words["nid"]), -1, int(words["order"]), gfp_flags)
    if cls is ReclaimRetryZone:
        zone_idx = X86_64.zone_names.index(words["zone"])
        where = retry_zone(int(words["node"]), zone_idx, int(words["order"]))
        return ReclaimRetryZone(where, *(int(words[name]) for name in cls.__slots__[1:]))
    return CompactRetry(
        int(words["order"]),
        COMPACTION_PRIORITY.index(words["priority"]),
        1 + COMPACTION_FEEDBACK.index(words["compaction_result"]),
        int(words["retries"]), int(words["max_retries"]), int(words["should_retry"]),
    )  # fmt: skip
