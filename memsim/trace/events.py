"""The kernel's tracepoints of the page allocator: names, fields, and the one-line text form.

A frozen class for each event; its fields are the kernel's, in the kernel's order. Numbers and texts
only: an event outlives the page it speaks of. Those of slab, vmalloc and the OOM killer have files
of their own.

Kernel: include/trace/events/kmem.h
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.trace.compaction_events import COMPACTION_EVENTS, CompactionEvent, compaction_event
from memsim.trace.oom_events import OOM_EVENT_CLASSES, OomEvent
from memsim.trace.pressure_events import PRESSURE_EVENT_CLASSES, PressureEvent, pressure_event
from memsim.trace.slab_events import Kfree, Kmalloc, KmemCacheAlloc, KmemCacheFree, SlabEvent
from memsim.trace.vmalloc_events import VMALLOC_EVENT_CLASSES, VmallocEvent, vmalloc_event
from memsim.trace.vmscan_events import (
    FIRST_VMSCAN,
    TP_VMSCAN,
    VmscanEvent,
    vmscan_event,
)
from memsim.words.gfp import show_gfp_flags
from memsim.words.mmzone import PAGEBLOCK_ORDER, SIZEOF_STRUCT_PAGE, VMEMMAP_START

MM_PAGE_ALLOC = 0
MM_PAGE_ALLOC_ZONE_LOCKED = 1
MM_PAGE_ALLOC_EXTFRAG = 2
MM_PAGE_PCPU_DRAIN = 3
MM_PAGE_FREE = 4
MM_PAGE_FREE_BATCHED = 5
KMALLOC = 6
KFREE = 7
KMEM_CACHE_ALLOC = 8
KMEM_CACHE_FREE = 9
ALLOC_VMAP_AREA = 10
PURGE_VMAP_AREA_LAZY = 11
FREE_VMAP_AREA_NOFLUSH = 12
MM_VMSCAN_WAKEUP_KSWAPD = 13
RECLAIM_RETRY_ZONE = 14
COMPACT_RETRY = 15
OOM_SCORE_ADJ_UPDATE = 16
MARK_VICTIM = 17
WAKE_REAPER = 18
START_TASK_REAPING = 19
FINISH_TASK_REAPING = 20
SKIP_TASK_REAPING = 21

#: Bits of Trace.mask. The last one turns steps on.
TP_MM_PAGE_ALLOC = 1 << MM_PAGE_ALLOC
TP_MM_PAGE_ALLOC_ZONE_LOCKED = 1 << MM_PAGE_ALLOC_ZONE_LOCKED
TP_MM_PAGE_ALLOC_EXTFRAG = 1 << MM_PAGE_ALLOC_EXTFRAG
TP_MM_PAGE_PCPU_DRAIN = 1 << MM_PAGE_PCPU_DRAIN
TP_MM_PAGE_FREE = 1 << MM_PAGE_FREE
TP_MM_PAGE_FREE_BATCHED = 1 << MM_PAGE_FREE_BATCHED
TP_KMALLOC = 1 << KMALLOC
TP_KFREE = 1 << KFREE
TP_KMEM_CACHE_ALLOC = 1 << KMEM_CACHE_ALLOC
TP_KMEM_CACHE_FREE = 1 << KMEM_CACHE_FREE
TP_ALLOC_VMAP_AREA = 1 << ALLOC_VMAP_AREA
TP_PURGE_VMAP_AREA_LAZY = 1 << PURGE_VMAP_AREA_LAZY
TP_FREE_VMAP_AREA_NOFLUSH = 1 << FREE_VMAP_AREA_NOFLUSH
TP_MM_VMSCAN_WAKEUP_KSWAPD = 1 << MM_VMSCAN_WAKEUP_KSWAPD
TP_RECLAIM_RETRY_ZONE = 1 << RECLAIM_RETRY_ZONE
TP_COMPACT_RETRY = 1 << COMPACT_RETRY
TP_OOM_SCORE_ADJ_UPDATE = 1 << OOM_SCORE_ADJ_UPDATE
TP_MARK_VICTIM = 1 << MARK_VICTIM
TP_WAKE_REAPER = 1 << WAKE_REAPER
TP_START_TASK_REAPING = 1 << START_TASK_REAPING
TP_FINISH_TASK_REAPING = 1 << FINISH_TASK_REAPING
TP_SKIP_TASK_REAPING = 1 << SKIP_TASK_REAPING
#: What happens between a request or a free and the free lists.
TRACED_ON_THE_WAY = TP_MM_PAGE_ALLOC_ZONE_LOCKED | TP_MM_PAGE_ALLOC_EXTFRAG | TP_MM_PAGE_PCPU_DRAIN
#: All of compaction, migration, isolation and CMA, as events/compaction/enable has it.
TP_COMPACTION = 1 << 24
TP_KERNEL_EVENTS = (1 << 22) - 1 | TP_COMPACTION | TP_VMSCAN
TP_STEPS = 1 << 29


def page_pointer(pfn: int) -> str:
    """Address of the struct page of pfn, as %p prints it; (null) has sixteen zeros."""
    return f"{0 if pfn < 0 else VMEMMAP_START + pfn * SIZEOF_STRUCT_PAGE:016x}"


def page_and_pfn(pfn: int) -> str:
    """How kmem tracepoints begin; no page is (null) and 0x0."""
    return f"page={page_pointer(pfn)} pfn={max(pfn, 0):#x}"


@dataclass(frozen=True, slots=True)
class MmPageAlloc:
    """A request ended, with a page or (pfn -1) without. Kernel: trace_mm_page_alloc()."""

    NAME: ClassVar[str] = "mm_page_alloc"
    pfn: int
    order: int
    gfp_flags: int
    migratetype: int

    def text(self) -> str:
        """What follows `mm_page_alloc: ` in a trace."""
        return (
            f"{page_and_pfn(self.pfn)} order={self.order} "
            f"migratetype={self.migratetype} gfp_flags={show_gfp_flags(self.gfp_flags)}"
        )


@dataclass(frozen=True, slots=True)
class MmPageAllocZoneLocked:
    """A block left the free lists of its own migratetype. Kernel: __rmqueue_smallest()."""

    NAME: ClassVar[str] = "mm_page_alloc_zone_locked"
    pfn: int
    order: int
    migratetype: int
    percpu_refill: int

    def text(self) -> str:
        """What follows `mm_page_alloc_zone_locked: ` in a trace."""
        return (
            f"{page_and_pfn(self.pfn)} order={self.order} "
            f"migratetype={self.migratetype} percpu_refill={self.percpu_refill}"
        )


@dataclass(frozen=True, slots=True)
class MmPageAllocExtfrag:
    """Another type's block served a request. Kernel: __rmqueue_claim(), __rmqueue_steal()."""

    NAME: ClassVar[str] = "mm_page_alloc_extfrag"
    pfn: int
    alloc_order: int
    fallback_order: int
    alloc_migratetype: int
    fallback_migratetype: int
    change_ownership: int

    def text(self) -> str:
        """What follows `mm_page_alloc_extfrag: ` in a trace."""
        return (
            f"{page_and_pfn(self.pfn)} "
            f"alloc_order={self.alloc_order} fallback_order={self.fallback_order} "
            f"pageblock_order={PAGEBLOCK_ORDER} alloc_migratetype={self.alloc_migratetype} "
            f"fallback_migratetype={self.fallback_migratetype} "
            f"fragmenting={int(self.fallback_order < PAGEBLOCK_ORDER)} "
            f"change_ownership={self.change_ownership}"
        )


@dataclass(frozen=True, slots=True)
class MmPagePcpuDrain:
    """A block went from a pcp list to the free lists. Kernel: free_pcppages_bulk()."""

    NAME: ClassVar[str] = "mm_page_pcpu_drain"
    pfn: int
    order: int
    migratetype: int

    def text(self) -> str:
        """What follows `mm_page_pcpu_drain: ` in a trace."""
        return f"{page_and_pfn(self.pfn)} order={self.order} migratetype={self.migratetype}"


@dataclass(frozen=True, slots=True)
class MmPageFree:
    """A block is freed; where it goes is not known yet. Kernel: free_pages_prepare()."""

    NAME: ClassVar[str] = "mm_page_free"
    pfn: int
    order: int

    def text(self) -> str:
        """What follows `mm_page_free: ` in a trace."""
        return f"{page_and_pfn(self.pfn)} order={self.order}"


@dataclass(frozen=True, slots=True)
class MmPageFreeBatched:
    """A folio of a batch joins a pcp list; the event always says order 0.

    Kernel: free_unref_folios()
    """

    NAME: ClassVar[str] = "mm_page_free_batched"
    pfn: int

    def text(self) -> str:
        """What follows `mm_page_free_batched: ` in a trace."""
        return f"{page_and_pfn(self.pfn)} order=0"


PageEvent = (
    MmPageAlloc
    | MmPageAllocZoneLocked
    | MmPageAllocExtfrag
    | MmPagePcpuDrain
    | MmPageFree
    | MmPageFreeBatched
)
PressedEvent = PressureEvent | OomEvent | VmscanEvent | CompactionEvent
Event = PageEvent | SlabEvent | VmallocEvent | PressedEvent

#: The class of each event number.
PAGE_EVENT_CLASSES: tuple[type[PageEvent], ...] = (
    MmPageAlloc, MmPageAllocZoneLocked, MmPageAllocExtfrag, MmPagePcpuDrain, MmPageFree,
    MmPageFreeBatched,
)  # fmt: skip
SLAB_EVENT_CLASSES: tuple[type[SlabEvent], ...] = (Kmalloc, Kfree, KmemCacheAlloc, KmemCacheFree)
EVENT_CLASSES: tuple[type[Event], ...] = (
    *PAGE_EVENT_CLASSES, *SLAB_EVENT_CLASSES, *VMALLOC_EVENT_CLASSES, *PRESSURE_EVENT_CLASSES,
    *OOM_EVENT_CLASSES,
)  # fmt: skip
_NR_FIELDS = tuple(len(cls.__slots__) for cls in PAGE_EVENT_CLASSES)


@dataclass(frozen=True, slots=True)
class Traced:
    """An event with when (sequence number) and where (CPU) it fired."""

    seq: int
    cpu: int
    event: Event

    def text(self, comm: str = "memsim", pid: int = 1) -> str:
        """The whole line, as /sys/kernel/tracing/trace prints it; a seq counts as a microsecond."""
        seconds, micro = divmod(self.seq, 1_000_000)
        return (
            f"{comm:>16}-{pid:<7} [{self.cpu:03d}] ..... {seconds:5d}.{micro:06d}: "
            f"{self.event.NAME}: {self.event.text()}"
        )


def decode(record: array[int], names: Sequence[str]) -> Traced:
    """The event that a record of the ring stands for; names: Trace.names."""
    number = record[1] & 0xFF
    event: Event
    if number >= COMPACTION_EVENTS:
        event = compaction_event(number, record[2:], names)
    elif number >= FIRST_VMSCAN:
        event = vmscan_event(number - FIRST_VMSCAN, record[2:])
    elif number >= OOM_SCORE_ADJ_UPDATE:
        event = OOM_EVENT_CLASSES[number - OOM_SCORE_ADJ_UPDATE].of(record[2:], names)
    elif number >= MM_VMSCAN_WAKEUP_KSWAPD:
        event = pressure_event(number - MM_VMSCAN_WAKEUP_KSWAPD, record[2:])
    elif number >= ALLOC_VMAP_AREA:
        event = vmalloc_event(number - ALLOC_VMAP_AREA, record[2:])
    elif number >= KMALLOC:
        event = SLAB_EVENT_CLASSES[number - KMALLOC].of(record[2:], names)
    else:
        event = PAGE_EVENT_CLASSES[number](*record[2 : 2 + _NR_FIELDS[number]])
    return Traced(record[0], record[1] >> 8, event)
