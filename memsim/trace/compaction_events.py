"""The kernel's tracepoints of compaction, migration, isolation and CMA, and their text form.

Kernel: include/trace/events/compaction.h, migrate.h, page_isolation.h, cma.h
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from memsim.words.arch import X86_64
from memsim.words.compaction import COMPACTION_STATUS, MIGRATE_MODE, MIGRATE_REASON
from memsim.words.gfp import show_gfp_flags
from memsim.words.mmzone import SIZEOF_STRUCT_PAGE, VMEMMAP_START

_ZONE_TYPE = X86_64.zone_names


def _page(pfn: int) -> str:
    return f"{0 if pfn < 0 else VMEMMAP_START + pfn * SIZEOF_STRUCT_PAGE:016x}"


@dataclass(frozen=True, slots=True)
class Isolate:
    """Pages start_pfn to end_pfn were scanned, and so many of them taken."""

    start_pfn: int
    end_pfn: int
    nr_scanned: int
    nr_taken: int

    def text(self) -> str:
        """What follows the event's name in a trace."""
        return (
            f"range=({self.start_pfn:#x} ~ {self.end_pfn:#x}) "
            f"nr_scanned={self.nr_scanned} nr_taken={self.nr_taken}"
        )


@dataclass(frozen=True, slots=True)
class MmCompactionIsolateMigratepages(Isolate):
    """Pages to migrate were taken. Kernel: mm/compaction.c isolate_migratepages_block()."""

    NAME: ClassVar[str] = "mm_compaction_isolate_migratepages"


@dataclass(frozen=True, slots=True)
class MmCompactionIsolateFreepages(Isolate):
    """Free pages were taken. Kernel: mm/compaction.c isolate_freepages_block()."""

    NAME: ClassVar[str] = "mm_compaction_isolate_freepages"


@dataclass(frozen=True, slots=True)
class MmCompactionFastIsolateFreepages(Isolate):
    """Free lists were searched for a target. Kernel: mm/compaction.c fast_isolate_freepages()."""

    NAME: ClassVar[str] = "mm_compaction_fast_isolate_freepages"


@dataclass(frozen=True, slots=True)
class MmCompactionMigratepages:
    """migrate_pages() ended. Kernel: mm/compaction.c compact_zone()."""

    NAME: ClassVar[str] = "mm_compaction_migratepages"
    nr_migrated: int
    nr_failed: int

    def text(self) -> str:
        """What follows `mm_compaction_migratepages: ` in a trace."""
        return f"nr_migrated={self.nr_migrated} nr_failed={self.nr_failed}"


@dataclass(frozen=True, slots=True)
class MmCompactionBegin:
    """compact_zone() starts, with its scanners here. Kernel: mm/compaction.c compact_zone()."""

    NAME: ClassVar[str] = "mm_compaction_begin"
    zone_start: int
    migrate_pfn: int
    free_pfn: int
    zone_end: int
    sync: int

    def text(self) -> str:
        """What follows `mm_compaction_begin: ` in a trace."""
        return (
            f"zone_start={self.zone_start:#x} migrate_pfn={self.migrate_pfn:#x} "
            f"free_pfn={self.free_pfn:#x} zone_end={self.zone_end:#x}, "
            f"mode={'sync' if self.sync else 'async'}"
        )


@dataclass(frozen=True, slots=True)
class MmCompactionEnd:
    """compact_zone() ends: where its scanners are, and what came of it."""

    NAME: ClassVar[str] = "mm_compaction_end"
    zone_start: int
    migrate_pfn: int
    free_pfn: int
    zone_end: int
    sync: int
    status: int

    def text(self) -> str:
        """What follows `mm_compaction_end: ` in a trace."""
        return (
            f"zone_start={self.zone_start:#x} migrate_pfn={self.migrate_pfn:#x} "
            f"free_pfn={self.free_pfn:#x} zone_end={self.zone_end:#x}, "
            f"mode={'sync' if self.sync else 'async'} status={COMPACTION_STATUS[self.status]}"
        )


@dataclass(frozen=True, slots=True)
class MmCompactionTryToCompactPages:
    """A request compacts for itself. Kernel: mm/compaction.c try_to_compact_pages()."""

    NAME: ClassVar[str] = "mm_compaction_try_to_compact_pages"
    order: int
    gfp_mask: int
    prio: int

    def text(self) -> str:
        """What follows `mm_compaction_try_to_compact_pages: ` in a trace."""
        flags = show_gfp_flags(self.gfp_mask)
        return f"order={self.order} gfp_mask={flags} priority={self.prio}"


@dataclass(frozen=True, slots=True)
class Suitable:
    """What was found out about compacting a zone for this order."""

    nid: int
    idx: int
    order: int
    ret: int

    def text(self) -> str:
        """What follows the event's name in a trace."""
        return (
            f"node={self.nid} zone={_ZONE_TYPE[self.idx]:<8} order={self.order} "
            f"ret={COMPACTION_STATUS[self.ret]}"
        )


@dataclass(frozen=True, slots=True)
class MmCompactionFinished(Suitable):
    """Shall compaction go on? Kernel: mm/compaction.c compact_finished()."""

    NAME: ClassVar[str] = "mm_compaction_finished"


@dataclass(frozen=True, slots=True)
class MmCompactionSuitable(Suitable):
    """Is it worth while? Kernel: mm/compaction.c compaction_suitable()."""

    NAME: ClassVar[str] = "mm_compaction_suitable"


@dataclass(frozen=True, slots=True)
class Defer:
    """How compaction of a zone is put off: since which order, and up to how many times."""

    nid: int
    idx: int
    order: int
    considered: int
    defer_shift: int
    order_failed: int

    def text(self) -> str:
        """What follows the event's name in a trace."""
        return (
            f"node={self.nid} zone={_ZONE_TYPE[self.idx]:<8} order={self.order} "
            f"order_failed={self.order_failed} consider={self.considered} "
            f"limit={1 << self.defer_shift}"
        )


@dataclass(frozen=True, slots=True)
class MmCompactionDeferred(Defer):
    """Compaction was put off once more. Kernel: mm/compaction.c compaction_deferred()."""

    NAME: ClassVar[str] = "mm_compaction_deferred"


@dataclass(frozen=True, slots=True)
class MmCompactionDeferCompaction(Defer):
    """It failed: it will be put off longer. Kernel: mm/compaction.c defer_compaction()."""

    NAME: ClassVar[str] = "mm_compaction_defer_compaction"


@dataclass(frozen=True, slots=True)
class MmCompactionDeferReset(Defer):
    """It succeeded. Kernel: mm/compaction.c compaction_defer_reset()."""

    NAME: ClassVar[str] = "mm_compaction_defer_reset"


@dataclass(frozen=True, slots=True)
class MmCompactionKcompactdSleep:
    """kcompactd waits for work. Kernel: mm/compaction.c kcompactd()."""

    NAME: ClassVar[str] = "mm_compaction_kcompactd_sleep"
    nid: int

    def text(self) -> str:
        """What follows `mm_compaction_kcompactd_sleep: ` in a trace."""
        return f"nid={self.nid}"


@dataclass(frozen=True, slots=True)
class KcompactdWake:
    """kcompactd is to make a block of this order in zones up to this one."""

    nid: int
    order: int
    highest_zoneidx: int

    def text(self) -> str:
        """What follows the event's name in a trace."""
        zone = _ZONE_TYPE[self.highest_zoneidx]
        return f"nid={self.nid} order={self.order} classzone_idx={zone:<8}"


@dataclass(frozen=True, slots=True)
class MmCompactionWakeupKcompactd(KcompactdWake):
    """Somebody wakes kcompactd. Kernel: mm/compaction.c wakeup_kcompactd()."""

    NAME: ClassVar[str] = "mm_compaction_wakeup_kcompactd"


@dataclass(frozen=True, slots=True)
class MmCompactionKcompactdWake(KcompactdWake):
    """kcompactd begins its work. Kernel: mm/compaction.c kcompactd_do_work()."""

    NAME: ClassVar[str] = "mm_compaction_kcompactd_wake"


@dataclass(frozen=True, slots=True)
class MmMigratePages:
    """migrate_pages() ended; numbers are base pages, those of thp folios.

    Kernel: mm/migrate.c migrate_pages()
    """

    NAME: ClassVar[str] = "mm_migrate_pages"
    succeeded: int
    failed: int
    thp_succeeded: int
    thp_failed: int
    thp_split: int
    large_folio_split: int
    mode: int
    reason: int

    def text(self) -> str:
        """What follows `mm_migrate_pages: ` in a trace."""
        return (
            f"nr_succeeded={self.succeeded} nr_failed={self.failed} "
            f"nr_thp_succeeded={self.thp_succeeded} nr_thp_failed={self.thp_failed} "
            f"nr_thp_split={self.thp_split} nr_split={self.large_folio_split} "
            f"mode={MIGRATE_MODE[self.mode]} reason={MIGRATE_REASON[self.reason]}"
        )

    def record(self) -> tuple[int, ...]:
        """The fields as a record holds them: eight in six, small ones side by side."""
        split = self.thp_split | self.large_folio_split << 32
        how = self.mode | self.reason << 8
        return self.succeeded, self.failed, self.thp_succeeded, self.thp_failed, split, how

    @classmethod
    def of(cls, record: Sequence[int]) -> MmMigratePages:
        """The event that these fields of a record stand for."""
        succeeded, failed, thp_succeeded, thp_failed, split, how = record[:6]
        splits = (split & (1 << 32) - 1, split >> 32)
        return cls(succeeded, failed, thp_succeeded, thp_failed, *splits, how & 0xFF, how >> 8)


@dataclass(frozen=True, slots=True)
class MmMigratePagesStart:
    """migrate_pages() begins. Kernel: mm/migrate.c migrate_pages()."""

    NAME: ClassVar[str] = "mm_migrate_pages_start"
    mode: int
    reason: int

    def text(self) -> str:
        """What follows `mm_migrate_pages_start: ` in a trace."""
        return f"mode={MIGRATE_MODE[self.mode]} reason={MIGRATE_REASON[self.reason]}"


@dataclass(frozen=True, slots=True)
class MmAllocContigMigrateRangeInfo:
    """A range was migrated away, or not.

    6.12 hands over migratetype, migrated, reclaimed, mapped where these four fields stand: what a
    trace shows as nr_migrated is the migratetype, and so on. So it is here.
    Kernel: mm/page_alloc.c __alloc_contig_migrate_range()
    """

    NAME: ClassVar[str] = "mm_alloc_contig_migrate_range_info"
    start: int
    end: int
    nr_migrated: int
    nr_reclaimed: int
    nr_mapped: int
    migratetype: int

    def text(self) -> str:
        """What follows `mm_alloc_contig_migrate_range_info: ` in a trace."""
        return (
            f"start={self.start:#x} end={self.end:#x} migratetype={self.migratetype} "
            f"nr_migrated={self.nr_migrated} nr_reclaimed={self.nr_reclaimed} "
            f"nr_mapped={self.nr_mapped}"
        )


@dataclass(frozen=True, slots=True)
class TestPagesIsolated:
    """Are all pages of the range free? fin_pfn is the first that is not, or behind the range.

    Kernel: mm/page_isolation.c test_pages_isolated()
    """

    NAME: ClassVar[str] = "test_pages_isolated"
    start_pfn: int
    end_pfn: int
    fin_pfn: int

    def text(self) -> str:
        """What follows `test_pages_isolated: ` in a trace."""
        return (
            f"start_pfn={self.start_pfn:#x} end_pfn={self.end_pfn:#x} fin_pfn={self.fin_pfn:#x} "
            f"ret={'success' if self.end_pfn <= self.fin_pfn else 'fail'}"
        )


@dataclass(frozen=True, slots=True)
class CmaAllocStart:
    """cma_alloc() begins: count pages, aligned to order `align`. Kernel: mm/cma.c."""

    NAME: ClassVar[str] = "cma_alloc_start"
    name: str
    count: int
    align: int

    def text(self) -> str:
        """What follows `cma_alloc_start: ` in a trace."""
        return f"name={self.name} count={self.count} align={self.align}"


@dataclass(frozen=True, slots=True)
class CmaAllocFinish:
    """cma_alloc() ends, with pages or (page -1) without; pfn is the last range tried, -1: none."""

    NAME: ClassVar[str] = "cma_alloc_finish"
    name: str
    pfn: int
    page: int
    count: int
    align: int
    errorno: int

    def text(self) -> str:
        """What follows `cma_alloc_finish: ` in a trace."""
        return (
            f"name={self.name} pfn={self.pfn & (1 << 64) - 1:#x} page={_page(self.page)} "
            f"count={self.count} align={self.align} errorno={self.errorno}"
        )


@dataclass(frozen=True, slots=True)
class CmaAllocBusyRetry:
    """A range could not be emptied; cma_alloc() tries another."""

    NAME: ClassVar[str] = "cma_alloc_busy_retry"
    name: str
    pfn: int
    page: int
    count: int
    align: int

    def text(self) -> str:
        """What follows `cma_alloc_busy_retry: ` in a trace."""
        return (
            f"name={self.name} pfn={self.pfn:#x} page={_page(self.page)} "
            f"count={self.count} align={self.align}"
        )


@dataclass(frozen=True, slots=True)
class CmaRelease:
    """Pages were given back to their CMA area. Kernel: mm/cma.c cma_release()."""

    NAME: ClassVar[str] = "cma_release"
    name: str
    pfn: int
    page: int
    count: int

    def text(self) -> str:
        """What follows `cma_release: ` in a trace."""
        return f"name={self.name} pfn={self.pfn:#x} page={_page(self.page)} count={self.count}"


CompactionEvent = (
    MmCompactionIsolateMigratepages | MmCompactionIsolateFreepages
    | MmCompactionFastIsolateFreepages | MmCompactionMigratepages | MmCompactionBegin
    | MmCompactionEnd | MmCompactionTryToCompactPages | MmCompactionFinished
    | MmCompactionSuitable | MmCompactionDeferred | MmCompactionDeferCompaction
    | MmCompactionDeferReset | MmCompactionKcompactdSleep | MmCompactionWakeupKcompactd
    | MmCompactionKcompactdWake | MmMigratePages | MmMigratePagesStart
    | MmAllocContigMigrateRangeInfo | TestPagesIsolated | CmaAllocStart | CmaAllocFinish
    | CmaAllocBusyRetry | CmaRelease
)  # fmt: skip

#: The number of the first; the others follow in this order.
COMPACTION_EVENTS = 64
COMPACTION_EVENT_CLASSES: tuple[type[CompactionEvent], ...] = (
    MmCompactionIsolateMigratepages, MmCompactionIsolateFreepages,
    MmCompactionFastIsolateFreepages, MmCompactionMigratepages, MmCompactionBegin,
    MmCompactionEnd, MmCompactionTryToCompactPages, MmCompactionFinished, MmCompactionSuitable,
    MmCompactionDeferred, MmCompactionDeferCompaction, MmCompactionDeferReset,
    MmCompactionKcompactdSleep, MmCompactionWakeupKcompactd, MmCompactionKcompactdWake,
    MmMigratePages, MmMigratePagesStart, MmAllocContigMigrateRangeInfo, TestPagesIsolated,
    CmaAllocStart, CmaAllocFinish, CmaAllocBusyRetry, CmaRelease,
)  # fmt: skip
(
    MM_COMPACTION_ISOLATE_MIGRATEPAGES, MM_COMPACTION_ISOLATE_FREEPAGES,
    MM_COMPACTION_FAST_ISOLATE_FREEPAGES, MM_COMPACTION_MIGRATEPAGES, MM_COMPACTION_BEGIN,
    MM_COMPACTION_END, MM_COMPACTION_TRY_TO_COMPACT_PAGES, MM_COMPACTION_FINISHED,
    MM_COMPACTION_SUITABLE, MM_COMPACTION_DEFERRED, MM_COMPACTION_DEFER_COMPACTION,
    MM_COMPACTION_DEFER_RESET, MM_COMPACTION_KCOMPACTD_SLEEP, MM_COMPACTION_WAKEUP_KCOMPACTD,
    MM_COMPACTION_KCOMPACTD_WAKE, MM_MIGRATE_PAGES, MM_MIGRATE_PAGES_START,
    MM_ALLOC_CONTIG_MIGRATE_RANGE_INFO, TEST_PAGES_ISOLATED, CMA_ALLOC_START, CMA_ALLOC_FINISH,
    CMA_ALLOC_BUSY_RETRY, CMA_RELEASE,
) = range(COMPACTION_EVENTS, COMPACTION_EVENTS + len(COMPACTION_EVENT_CLASSES))  # fmt: skip


def compaction_event(number: int, record: Sequence[int], names: Sequence[str]) -> CompactionEvent:
    """The event of this number that a record's fields stand for; names: Trace.names."""
    cls = COMPACTION_EVENT_CLASSES[number - COMPACTION_EVENTS]
    if cls is MmMigratePages:
        return MmMigratePages.of(record)
    values: list[Any] = list(record[: len(fields(cls))])
    if number >= CMA_ALLOC_START:
        values[0] = names[values[0]]
    return cls(*values)
