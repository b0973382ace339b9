"""The trace as columns: one row for each event the replay needs, all numbers.

A row is a request, one of the further inputs that a replay may take (see the table INPUTS), or a
tracepoint to compare with.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, auto
from itertools import compress
from struct import Struct

#: A trace with more rows than this is refused. So many of them, on two CPUs, with the largest
#: machine, take under 480 MB in all.
MAX_ROWS = 1_800_000
ARGUMENTS = 6
_ARGUMENTS_OF_ROW = Struct(f"{ARGUMENTS}q")


class Kind(IntEnum):
    """What a row is. Names are those of the trace's events."""

    mm_page_alloc = 0
    mm_page_free = auto()
    mm_page_free_batched = auto()
    mm_page_alloc_zone_locked = auto()
    mm_page_alloc_extfrag = auto()
    mm_page_pcpu_drain = auto()
    mm_lru_insertion = auto()
    direct = auto()
    bulk = auto()
    bulk_ret = auto()
    refresh = auto()
    decay = auto()
    drain_zone = auto()
    drain_pages = auto()
    gpf = auto()
    apn = auto()
    isolate = auto()
    isolate_ret = auto()
    putback = auto()
    balance = auto()
    balance_ret = auto()
    mm_vmscan_kswapd_wake = auto()
    mm_vmscan_kswapd_sleep = auto()
    movepb = auto()
    pcpfree = auto()
    mm_compaction_try_to_compact_pages = auto()
    mm_compaction_begin = auto()
    mm_compaction_end = auto()
    mm_compaction_finished = auto()
    mm_compaction_isolate_migratepages = auto()
    mm_compaction_isolate_freepages = auto()
    mm_compaction_fast_isolate_freepages = auto()
    mm_compaction_migratepages = auto()
    setpb = auto()
    kmem_cache_alloc = auto()
    kmem_cache_free = auto()
    kmalloc = auto()
    kfree = auto()
    newslab = auto()
    newslab_ret = auto()
    rnd = auto()
    shrink = auto()
    flushcpu = auto()
    putcpup = auto()
    putpart = auto()
    deact = auto()
    bulk_free = auto()
    bulk_alloc = auto()
    #: Some of the objects of the bulk_free or bulk_alloc that follows in the same context.
    objects = auto()
    alloc_vmap_area = auto()
    free_vmap_area_noflush = auto()
    purge_vmap_area_lazy = auto()
    vmpurge = auto()
    vmdecay = auto()
    #: An isolation by compaction's fast search: the model finds the block itself.
    isolate_fast = auto()
    #: A free whose block went to its list later: by the batch, or straight to the buddy.
    free_then_batched = auto()
    free_then_direct = auto()
    #: An mm_page_free of compaction giving a target back to itself: nothing is freed.
    free_of_nothing = auto()
    #: Never in a row: an event whose name was not met before.
    unknown = auto()


#: The last kind that a trace has; those behind it the replay makes of others.
LAST_TRACED = Kind.vmdecay
#: Rows of the slab allocator.
FIRST_SLAB, LAST_SLAB = Kind.kmem_cache_alloc, Kind.objects
SLAB_KINDS = frozenset(kind for kind in Kind if FIRST_SLAB <= kind <= LAST_SLAB)
#: Rows of vmalloc.
FIRST_VMALLOC, LAST_VMALLOC = Kind.alloc_vmap_area, Kind.vmdecay
#: Rows of pages: of neither.
OF_PAGES = frozenset(kind for kind in Kind if not FIRST_SLAB <= kind <= LAST_VMALLOC)

#: Rows that are inputs, and what they tell besides the requests themselves.
INPUTS = {
    Kind.mm_page_alloc: "requests: order, gfp_mask",
    Kind.mm_page_free: "frees: which allocation",
    Kind.free_then_batched: "frees that a batch commits later",
    Kind.free_then_direct: "frees that go straight to the buddy",
    Kind.free_of_nothing: "compaction keeping a target: nothing is freed",
    Kind.mm_page_free_batched: "when a batch commits",
    Kind.direct: "when, and to which end, a free goes straight to the buddy",
    Kind.mm_lru_insertion: "pages that join an LRU list",
    Kind.bulk_ret: "bulk requests: how many pages were asked for",
    Kind.refresh: "when the vmstat worker folds counters",
    Kind.decay: "when the vmstat worker lets pcp lists decay",
    Kind.drain_zone: "when it drains a list of another node",
    Kind.drain_pages: "when pcp lists are drained",
    Kind.apn: "the preferred node of requests",
    Kind.gpf: "slow-path attempts: alloc_flags",
    Kind.isolate: "free blocks that compaction isolates",
    Kind.putback: "isolated blocks put back",
    Kind.balance: "when kswapd starts",
    Kind.balance_ret: "when kswapd ends",
    Kind.mm_vmscan_kswapd_wake: "when kswapd leaves its sleep",
    Kind.mm_vmscan_kswapd_sleep: "when kswapd goes to sleep",
    Kind.setpb: "pageblocks that compaction skips",
    Kind.mm_compaction_try_to_compact_pages: "requests that compact for themselves",
    Kind.mm_compaction_begin: "where compaction starts",
    Kind.mm_compaction_finished: "when compaction goes on, and for which order",
    Kind.mm_compaction_isolate_migratepages: "where the migration scanner stands",
    Kind.mm_compaction_isolate_freepages: "where the free scanner stands",
    Kind.mm_compaction_fast_isolate_freepages: "when the fast search runs",
    Kind.mm_compaction_migratepages: "pages that compaction migrated",
    Kind.movepb: "when HIGHATOMIC pageblocks are given back",
    Kind.kmem_cache_alloc: "requests for an object of a cache: sizes, who asked",
    Kind.kmalloc: "requests for memory by size: size, gfp_mask",
    Kind.bulk_alloc: "requests for several objects: cache, how many",
    Kind.kmem_cache_free: "objects freed: which allocation",
    Kind.kfree: "memory freed: which allocation",
    Kind.bulk_free: "several objects freed: which allocations",
    Kind.newslab: "when a request needs a new slab",
    Kind.newslab_ret: "when it has one",
    Kind.rnd: "random starts of new slabs",
    Kind.shrink: "when a cache is shrunk",
    Kind.flushcpu: "when a CPU's slabs are flushed",
    Kind.alloc_vmap_area: "requests for addresses: size, alignment, between which",
    Kind.free_vmap_area_noflush: "areas of addresses freed: which",
    Kind.vmpurge: "when a purge of lazily freed areas begins",
    Kind.vmdecay: "when pools of areas decay, and whether wholly",
}


@dataclass
class Facts:
    """What a trace tells besides its rows.

    events: lines inside the window, whether they made a row or not. first, last: times of the
    first and the last of them, in seconds if in_seconds is 1, else ticks of an unknown clock.
    lost: events that markers in the trace say are missing (a marker without a number counts 1);
    overwritten: events that the buffer no longer held. backwards: lines with an earlier time
    than the line above. hex_flags: requests whose gfp_flags are a bare number.
    interrupts: how many hold rows. way_back: microseconds that it takes at least from an
    interrupt's last line to the next of whom it came into, 0 when too few tell.
    """

    events: int = 0
    first: float = 0.0
    last: float = 0.0
    in_seconds: int = 1
    lost: int = 0
    overwritten: int = 0
    backwards: int = 0
    hex_flags: int = 0
    interrupts: int = 0
    way_back: int = 0


class Rows:
    """Rows in the trace's order: kind, CPU, context, task, line, time, arguments.

    A context is a number for a task or an interrupt; `task` is that of the task which runs, or
    which was interrupted. `interrupts`: see interrupts.py, flat; facts tell how many.
    """

    __slots__ = (
        "arguments", "context", "cpu", "facts", "interrupts", "kind", "line", "task", "time",
    )  # fmt: skip

    def __init__(self) -> None:
        self.kind = bytearray()
        self.cpu = array("H")
        self.context = array("i")
        self.task = array("i")
        self.line = array("i")
        self.arguments = array("q")
        self.time = array("d")
        self.interrupts = array("i")
        self.facts = Facts()

    def __len__(self) -> int:
        return len(self.kind)

    def of_kinds(self, kinds: Iterable[int]) -> Iterator[int]:
        """Numbers of the rows that are of these kinds now. The others cost next to nothing."""
        wanted = bytearray(256)
        for kind in kinds:
            wanted[kind] = 1
        return compress(range(len(self)), self.kind.translate(wanted))

    def complete(self, kind: Kind) -> None:
        """Rows of this kind, alike the last one, for all arguments that have no row yet."""
        for _ in range(len(self.arguments) // ARGUMENTS - len(self.kind)):
            self.kind.append(kind)
            self.time.append(self.time[-1])
            for column in (self.cpu, self.context, self.task, self.line):
                column.append(column[-1])

    def argument(self, row: int, number: int) -> int:
        """One of the row's arguments."""
        return self.arguments[row * ARGUMENTS + number]

    def __getitem__(self, row: int) -> tuple[int, ...]:
        return _ARGUMENTS_OF_ROW.unpack_from(self.arguments, row * _ARGUMENTS_OF_ROW.size)
