"""The kernel's tracepoints of reclaim and of LRU lists: names, fields, and the one-line text form.

Some have more fields than a record has room for: all are packed into its six numbers.

Kernel: include/trace/events/vmscan.h, include/trace/events/pagemap.h
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from memsim.words.gfp import parse_gfp_flags, show_gfp_flags
from memsim.words.mmzone import SIZEOF_STRUCT_PAGE, VMEMMAP_START

if TYPE_CHECKING:
    from memsim.trace.trace import Trace

#: The number of the first; its bit in Trace.mask lies above TP_STEPS.
FIRST_VMSCAN = 32
_NUMBER_BITS = 60
_RECORD_BITS = 6 * _NUMBER_BITS

RECLAIM_WB_ANON, RECLAIM_WB_FILE, RECLAIM_WB_ASYNC = 1, 2, 8
_RECLAIM_FLAGS = ((1, "RECLAIM_WB_ANON"), (2, "RECLAIM_WB_FILE"), (8, "RECLAIM_WB_ASYNC"))
_LRU = ("inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable")
_THROTTLE = (
    "VMSCAN_THROTTLE_WRITEBACK", "VMSCAN_THROTTLE_ISOLATED", "VMSCAN_THROTTLE_NOPROGRESS",
    "VMSCAN_THROTTLE_CONGESTED",
)  # fmt: skip
#: Bits of MmLruInsertion.flags, and the letter for each when set and when not.
PAGEMAP_MAPPED, PAGEMAP_ANONYMOUS, PAGEMAP_FILE = 1, 2, 4
PAGEMAP_SWAPCACHE, PAGEMAP_SWAPBACKED, PAGEMAP_MAPPEDDISK, PAGEMAP_BUFFERS = 8, 16, 32, 64
_PAGEMAP_LETTERS = (
    (PAGEMAP_MAPPED, "M"), (PAGEMAP_ANONYMOUS, "a"), (PAGEMAP_SWAPCACHE, "s"),
    (PAGEMAP_SWAPBACKED, "b"), (PAGEMAP_MAPPEDDISK, "d"), (PAGEMAP_BUFFERS, "B"),
)  # fmt: skip


def trace_reclaim_flags(file: bool) -> int:
    """Kernel: include/trace/events/vmscan.h trace_reclaim_flags()."""
    return (RECLAIM_WB_FILE if file else RECLAIM_WB_ANON) | RECLAIM_WB_ASYNC


def _show_reclaim_flags(flags: int) -> str:
    return "|".join(name for bit, name in _RECLAIM_FLAGS if flags & bit) or "RECLAIM_WB_NONE"


def _folio(pfn: int) -> str:
    return f"{VMEMMAP_START + pfn * SIZEOF_STRUCT_PAGE:016x} pfn=0x{pfn:x}"


@dataclass(frozen=True, slots=True)
class MmVmscanKswapdSleep:
    """kswapd goes to sleep. Kernel: trace_mm_vmscan_kswapd_sleep()."""

    NAME: ClassVar[str] = "mm_vmscan_kswapd_sleep"
    nid: int

    def text(self) -> str:
        """What follows `mm_vmscan_kswapd_sleep: ` in a trace."""
        return f"nid={self.nid}"


@dataclass(frozen=True, slots=True)
class MmVmscanKswapdWake:
    """kswapd begins to reclaim. Kernel: trace_mm_vmscan_kswapd_wake()."""

    NAME: ClassVar[str] = "mm_vmscan_kswapd_wake"
    nid: int
    zid: int
    order: int

    def text(self) -> str:
        """What follows `mm_vmscan_kswapd_wake: ` in a trace."""
        return f"nid={self.nid} order={self.order}"


@dataclass(frozen=True, slots=True)
class MmVmscanDirectReclaimBegin:
    """A request reclaims for itself. Kernel: trace_mm_vmscan_direct_reclaim_begin()."""

    NAME: ClassVar[str] = "mm_vmscan_direct_reclaim_begin"
    order: int
    gfp_flags: int

    def text(self) -> str:
        """What follows `mm_vmscan_direct_reclaim_begin: ` in a trace."""
        return f"order={self.order} gfp_flags={show_gfp_flags(self.gfp_flags)}"


@dataclass(frozen=True, slots=True)
class MmVmscanDirectReclaimEnd:
    """It has freed so many pages. Kernel: trace_mm_vmscan_direct_reclaim_end()."""

    NAME: ClassVar[str] = "mm_vmscan_direct_reclaim_end"
    nr_reclaimed: int

    def text(self) -> str:
        """What follows `mm_vmscan_direct_reclaim_end: ` in a trace."""
        return f"nr_reclaimed={self.nr_reclaimed}"


@dataclass(frozen=True, slots=True)
class MmShrinkSlabStart:
    """A shrinker is asked; `shrink` is the number of its name.

    The kernel's text has the shrinker's address too, which is none here.
    Kernel: trace_mm_shrink_slab_start()
    """

    NAME: ClassVar[str] = "mm_shrink_slab_start"
    shrink: int
    nid: int
    nr_objects_to_shrink: int
    gfp_flags: int
    cache_items: int
    delta: int
    total_scan: int
    priority: int

    def text(self) -> str:
        """What follows `mm_shrink_slab_start: ` in a trace, without the shrinker."""
        return (
            f"nid: {self.nid} objects to shrink {self.nr_objects_to_shrink} "
            f"gfp_flags {show_gfp_flags(self.gfp_flags)} cache items {self.cache_items} "
            f"delta {self.delta} total_scan {self.total_scan} priority {self.priority}"
        )


@dataclass(frozen=True, slots=True)
class MmShrinkSlabEnd:
    """A shrinker was asked. Kernel: trace_mm_shrink_slab_end()."""

    NAME: ClassVar[str] = "mm_shrink_slab_end"
    shrink: int
    nid: int
    unused_scan: int
    new_scan: int
    total_scan: int
    retval: int

    def text(self) -> str:
        """What follows `mm_shrink_slab_end: ` in a trace, without the shrinker."""
        return (
            f"nid: {self.nid} unused scan count {self.unused_scan} "
            f"new scan count {self.new_scan} total_scan {self.total_scan} "
            f"last shrinker return val {self.retval}"
        )


@dataclass(frozen=True, slots=True)
class MmVmscanLruIsolate:
    """A batch was taken off a list. Kernel: trace_mm_vmscan_lru_isolate()."""

    NAME: ClassVar[str] = "mm_vmscan_lru_isolate"
    highest_zoneidx: int
    order: int
    nr_requested: int
    nr_scanned: int
    nr_skipped: int
    nr_taken: int
    lru: int

    def text(self) -> str:
        """What follows `mm_vmscan_lru_isolate: ` in a trace."""
        return (
            f"classzone={self.highest_zoneidx} order={self.order} "
            f"nr_requested={self.nr_requested} nr_scanned={self.nr_scanned} "
            f"nr_skipped={self.nr_skipped} nr_taken={self.nr_taken} lru={_LRU[self.lru]}"
        )


@dataclass(frozen=True, slots=True)
class MmVmscanWriteFolio:
    """A folio is written to swap. Kernel: trace_mm_vmscan_write_folio()."""

    NAME: ClassVar[str] = "mm_vmscan_write_folio"
    pfn: int
    reclaim_flags: int

    def text(self) -> str:
        """What follows `mm_vmscan_write_folio: ` in a trace."""
        return f"page={_folio(self.pfn)} flags={_show_reclaim_flags(self.reclaim_flags)}"


@dataclass(frozen=True, slots=True)
class MmVmscanLruShrinkInactive:
    """A batch of an inactive list is done. Kernel: trace_mm_vmscan_lru_shrink_inactive()."""

    NAME: ClassVar[str] = "mm_vmscan_lru_shrink_inactive"
    nid: int
    nr_scanned: int
    nr_reclaimed: int
    nr_dirty: int
    nr_writeback: int
    nr_congested: int
    nr_immediate: int
    nr_activate0: int
    nr_activate1: int
    nr_ref_keep: int
    nr_unmap_fail: int
    priority: int
    reclaim_flags: int

    def text(self) -> str:
        """What follows `mm_vmscan_lru_shrink_inactive: ` in a trace."""
        return (
            f"nid={self.nid} nr_scanned={self.nr_scanned} nr_reclaimed={self.nr_reclaimed} "
            f"nr_dirty={self.nr_dirty} nr_writeback={self.nr_writeback} "
            f"nr_congested={self.nr_congested} nr_immediate={self.nr_immediate} "
            f"nr_activate_anon={self.nr_activate0} nr_activate_file={self.nr_activate1} "
            f"nr_ref_keep={self.nr_ref_keep} nr_unmap_fail={self.nr_unmap_fail} "
            f"priority={self.priority} flags={_show_reclaim_flags(self.reclaim_flags)}"
        )


@dataclass(frozen=True, slots=True)
class MmVmscanLruShrinkActive:
    """A batch of an active list is done. Kernel: trace_mm_vmscan_lru_shrink_active()."""

    NAME: ClassVar[str] = "mm_vmscan_lru_shrink_active"
    nid: int
    nr_taken: int
    nr_active: int
    nr_deactivated: int
    nr_referenced: int
    priority: int
    reclaim_flags: int

    def text(self) -> str:
        """What follows `mm_vmscan_lru_shrink_active: ` in a trace."""
        return (
            f"nid={self.nid} nr_taken={self.nr_taken} nr_active={self.nr_active} "
            f"nr_deactivated={self.nr_deactivated} nr_referenced={self.nr_referenced} "
            f"priority={self.priority} flags={_show_reclaim_flags(self.reclaim_flags)}"
        )


@dataclass(frozen=True, slots=True)
class MmVmscanThrottled:
    """A reclaimer has waited. Kernel: trace_mm_vmscan_throttled()."""

    NAME: ClassVar[str] = "mm_vmscan_throttled"
    nid: int
    usec_timeout: int
    usec_delayed: int
    reason: int

    def text(self) -> str:
        """What follows `mm_vmscan_throttled: ` in a trace; `usect` is the kernel's own."""
        return (
            f"nid={self.nid} usec_timeout={self.usec_timeout} usect_delayed={self.usec_delayed} "
            f"reason={_THROTTLE[self.reason.bit_length() - 1]}"
        )


@dataclass(frozen=True, slots=True)
class MmLruInsertion:
    """A folio joins its first LRU list. Kernel: trace_mm_lru_insertion()."""

    NAME: ClassVar[str] = "mm_lru_insertion"
    pfn: int
    lru: int
    flags: int

    def text(self) -> str:
        """What follows `mm_lru_insertion: ` in a trace."""
        letters = [
            letter if self.flags & bit else "f" if bit == PAGEMAP_ANONYMOUS else " "
            for bit, letter in _PAGEMAP_LETTERS
        ]
        return f"folio={_folio(self.pfn)} lru={self.lru} flags={''.join(letters)}"


@dataclass(frozen=True, slots=True)
class MmLruActivate:
    """A folio joins the active list. Kernel: trace_mm_lru_activate()."""

    NAME: ClassVar[str] = "mm_lru_activate"
    pfn: int

    def text(self) -> str:
        """What follows `mm_lru_activate: ` in a trace."""
        return f"folio={_folio(self.pfn)}"


@dataclass(frozen=True, slots=True)
class MmVmscanMemcgReclaimBegin:
    """A memcg has too much. Kernel: trace_mm_vmscan_memcg_reclaim_begin()."""

    NAME: ClassVar[str] = "mm_vmscan_memcg_reclaim_begin"
    order: int
    gfp_flags: int

    def text(self) -> str:
        """What follows `mm_vmscan_memcg_reclaim_begin: ` in a trace."""
        return f"order={self.order} gfp_flags={show_gfp_flags(self.gfp_flags)}"


@dataclass(frozen=True, slots=True)
class MmVmscanMemcgReclaimEnd:
    """It has so many pages less. Kernel: trace_mm_vmscan_memcg_reclaim_end()."""

    NAME: ClassVar[str] = "mm_vmscan_memcg_reclaim_end"
    nr_reclaimed: int

    def text(self) -> str:
        """What follows `mm_vmscan_memcg_reclaim_end: ` in a trace."""
        return f"nr_reclaimed={self.nr_reclaimed}"


@dataclass(frozen=True, slots=True)
class MmVmscanNodeReclaimBegin:
    """A request reclaims on a node first. Kernel: trace_mm_vmscan_node_reclaim_begin()."""

    NAME: ClassVar[str] = "mm_vmscan_node_reclaim_begin"
    nid: int
    order: int
    gfp_flags: int

    def text(self) -> str:
        """What follows `mm_vmscan_node_reclaim_begin: ` in a trace."""
        return f"nid={self.nid} order={self.order} gfp_flags={show_gfp_flags(self.gfp_flags)}"


@dataclass(frozen=True, slots=True)
class MmVmscanNodeReclaimEnd:
    """It has freed so many pages. Kernel: trace_mm_vmscan_node_reclaim_end()."""

    NAME: ClassVar[str] = "mm_vmscan_node_reclaim_end"
    nr_reclaimed: int

    def text(self) -> str:
        """What follows `mm_vmscan_node_reclaim_end: ` in a trace."""
        return f"nr_reclaimed={self.nr_reclaimed}"


VmscanEvent = (
    MmVmscanKswapdSleep | MmVmscanKswapdWake | MmVmscanDirectReclaimBegin
    | MmVmscanDirectReclaimEnd | MmShrinkSlabStart | MmShrinkSlabEnd | MmVmscanLruIsolate
    | MmVmscanWriteFolio | MmVmscanLruShrinkInactive | MmVmscanLruShrinkActive
    | MmVmscanThrottled | MmLruInsertion | MmLruActivate | MmVmscanMemcgReclaimBegin
    | MmVmscanMemcgReclaimEnd | MmVmscanNodeReclaimBegin | MmVmscanNodeReclaimEnd
)  # fmt: skip
VMSCAN_EVENT_CLASSES: tuple[type[VmscanEvent], ...] = (
    MmVmscanKswapdSleep, MmVmscanKswapdWake, MmVmscanDirectReclaimBegin,
    MmVmscanDirectReclaimEnd, MmShrinkSlabStart, MmShrinkSlabEnd, MmVmscanLruIsolate,
    MmVmscanWriteFolio, MmVmscanLruShrinkInactive, MmVmscanLruShrinkActive,
    MmVmscanThrottled, MmLruInsertion, MmLruActivate, MmVmscanMemcgReclaimBegin,
    MmVmscanMemcgReclaimEnd, MmVmscanNodeReclaimBegin, MmVmscanNodeReclaimEnd,
)  # fmt: skip
(
    MM_VMSCAN_KSWAPD_SLEEP, MM_VMSCAN_KSWAPD_WAKE, MM_VMSCAN_DIRECT_RECLAIM_BEGIN,
    MM_VMSCAN_DIRECT_RECLAIM_END, MM_SHRINK_SLAB_START, MM_SHRINK_SLAB_END, MM_VMSCAN_LRU_ISOLATE,
    MM_VMSCAN_WRITE_FOLIO, MM_VMSCAN_LRU_SHRINK_INACTIVE, MM_VMSCAN_LRU_SHRINK_ACTIVE,
    MM_VMSCAN_THROTTLED, MM_LRU_INSERTION, MM_LRU_ACTIVATE, MM_VMSCAN_MEMCG_RECLAIM_BEGIN,
    MM_VMSCAN_MEMCG_RECLAIM_END, MM_VMSCAN_NODE_RECLAIM_BEGIN, MM_VMSCAN_NODE_RECLAIM_END,
) = range(FIRST_VMSCAN, FIRST_VMSCAN + len(VMSCAN_EVENT_CLASSES))  # fmt: skip

#: All of them, as events/vmscan/enable has it. Bits of a mask stay below 30: Python tests such ints
#: quicker, and every request tests some.
TP_VMSCAN = 1 << 25


#: Fields that the text calls otherwise.
_IN_TEXT = {
    "highest_zoneidx": "classzone", "nr_activate0": "nr_activate_anon",
    "nr_activate1": "nr_activate_file", "reclaim_flags": "flags", "usec_delayed": "usect_delayed",
}  # fmt: skip
#: Events that are read back from their text. NOT MODELLED: mm_shrink_slab_*, which name a function.
READ_FROM_TEXT = tuple(
    cls for cls in VMSCAN_EVENT_CLASSES if cls not in (MmShrinkSlabStart, MmShrinkSlabEnd)
)


def vmscan_event_of(cls: type[VmscanEvent], text: str) -> VmscanEvent:
    """The event of a text. A zid, which no text has, is 0. KeyError: no such word.

    ValueError says what is no word of the kernel's.
    """
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    if cls is MmLruInsertion:
        letters = text.partition("flags=")[2]
        flags = sum(bit for bit, letter in _PAGEMAP_LETTERS if letter in letters)
        flags |= 0 if flags & PAGEMAP_ANONYMOUS else PAGEMAP_FILE
        return MmLruInsertion(int(words["pfn"], 16), int(words["lru"]), flags)
    return cls(*(_field_of(name, words) for name in cls.__slots__))


def _field_of(name: str, words: dict[str, str]) -> int:
    if name == "zid":
        return 0
    word = words[_IN_TEXT.get(name, name)]
    if name == "gfp_flags":
        return parse_gfp_flags(word)
    if name == "reclaim_flags":
        return sum(bit for bit, flag in _RECLAIM_FLAGS if flag in word.split("|"))
    if name == "reason":
        return 1 << _THROTTLE.index(word)
    return _LRU.index(word) if name == "lru" else int(word, 0)


def _width(nr_fields: int) -> int:
    """Bits of each field of an event with so many."""
    return min(_NUMBER_BITS, _RECORD_BITS // nr_fields)


def emit(trace: Trace, event: int, *fields: int) -> None:
    """Fire an event with its fields in the kernel's order. One too large is as large as fits."""
    width, packed = _width(len(fields)), 0
    for field in reversed(fields):
        packed = packed << width | min(field, (1 << width) - 1)
    mask = (1 << _NUMBER_BITS) - 1
    trace.emit(event, *(packed >> _NUMBER_BITS * at & mask for at in range(6)))


def vmscan_event(number: int, arguments: Sequence[int]) -> VmscanEvent:
    """The event that a record's six numbers stand for."""
    event = VMSCAN_EVENT_CLASSES[number]
    width = _width(len(event.__slots__))
    packed = sum(word << _NUMBER_BITS * at for at, word in enumerate(arguments[:6]))
    fields = (packed >> width * at & (1 << width) - 1 for at in range(len(event.__slots__)))
    return event(*fields)
