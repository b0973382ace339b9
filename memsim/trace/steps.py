"""Steps: what the kernel has no tracepoint for. memsim's own, every name starts with `sim:`.

Steps are complete. Applied to a snapshot, in order, they give the next snapshot; undone, in
reverse order, the one before. The player, undo, narration and graders stand on them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from memsim.words.mmzone import NUMA_STAT_ITEMS, WMARK_NAMES

#: Integers in a record: sequence number, kind, then six arguments.
STEP_RECORD = 8

LIST_ADD = 0
LIST_DEL = 1
PAGES = 2
PAGEBLOCK = 3
FIELD = 4
SPLIT = 5
MERGE = 6


class ListName(NamedTuple):
    """Which list: zone_id is an index into Vm.zones.

    where is "free_area" (x the order, y the migratetype) or "pcp" (x the CPU, y the pindex).
    """

    zone_id: int
    where: str
    x: int
    y: int


def free_list_code(zone_id: int, order: int, migratetype: int) -> int:
    """zone->free_area[order].free_list[migratetype] as one integer."""
    return zone_id << 20 | order << 8 | migratetype


def pcp_list_code(zone_id: int, cpu: int, pindex: int) -> int:
    """The pcp list of that CPU and pindex as one integer."""
    return zone_id << 20 | 1 << 19 | cpu << 8 | pindex


def list_name(code: int) -> ListName:
    """The list behind free_list_code() or pcp_list_code()."""
    where = "pcp" if code >> 19 & 1 else "free_area"
    return ListName(code >> 20, where, code >> 8 & 0x7FF, code & 0xFF)


@dataclass(frozen=True, slots=True)
class ListMove:
    """A block and its place on a list: right behind `after` (a pfn; -1: at the head)."""

    seq: int
    list: ListName
    pfn: int
    after: int
    old_state: int
    new_state: int


@dataclass(frozen=True, slots=True)
class ListAdd(ListMove):
    """A block joined a list."""

    NAME: ClassVar[str] = "sim:list_add"


@dataclass(frozen=True, slots=True)
class ListDel(ListMove):
    """A block left a list."""

    NAME: ClassVar[str] = "sim:list_del"


@dataclass(frozen=True, slots=True)
class Pages:
    """nr_pages pages from pfn changed their state byte, all from `old` to `new`."""

    NAME: ClassVar[str] = "sim:pages"
    seq: int
    pfn: int
    nr_pages: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Pageblock:
    """The pageblock that starts at pfn changed its migratetype."""

    NAME: ClassVar[str] = "sim:pageblock"
    seq: int
    pfn: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Field:
    """A number changed: `field` of the zone (cpu -1) or of that CPU's pcp or counters there."""

    NAME: ClassVar[str] = "sim:field"
    seq: int
    zone_id: int
    cpu: int
    field: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Split:
    """expand() is about to halve the block at pfn, of this order. Changes nothing by itself."""

    NAME: ClassVar[str] = "sim:split"
    seq: int
    pfn: int
    order: int


@dataclass(frozen=True, slots=True)
class Merge:
    """Two free buddies of this order became one. Changes nothing by itself."""

    NAME: ClassVar[str] = "sim:merge"
    seq: int
    pfn: int
    buddy_pfn: int
    order: int


Step = ListAdd | ListDel | Pages | Pageblock | Field | Split | Merge

#: Fields of a zone and of a CPU in a zone, by the number that stands in a record. The names
#: are those of a snapshot; vm_stat_diff is that of NR_FREE_PAGES and NR_FREE_CMA_PAGES.
FIELD_NAMES = (
    "NR_FREE_PAGES", "NR_FREE_CMA_PAGES", "watermark_boost", "flags", "nr_reserved_highatomic",
    "nr_free_highatomic", *WMARK_NAMES, *NUMA_STAT_ITEMS,
    "pcp.count", "pcp.high", "pcp.high_min", "pcp.high_max", "pcp.batch", "pcp.flags",
    "pcp.alloc_factor", "pcp.free_count", "pcp.expire",
    "stat_threshold", "diff.NR_FREE_PAGES", "diff.NR_FREE_CMA_PAGES",
)  # fmt: skip
#: The first this many belong to the zone, the rest to a CPU in the zone.
NR_ZONE_FIELDS = FIELD_NAMES.index("pcp.count")


class Journal:
    """Every step since the journal was last cut, oldest first."""

    __slots__ = ("_ints",)

    def __init__(self) -> None:
        self._ints = array("q")

    def __len__(self) -> int:
        return len(self._ints) // STEP_RECORD

    def write(self, seq: int, kind: int, *arguments: int) -> None:
        """Append one record; missing arguments are 0. Cost: O(1)."""
        record = (seq, kind, *arguments, 0, 0, 0, 0, 0, 0)
        self._ints.extend(record[:STEP_RECORD])

    def cut(self, length: int) -> None:
        """Forget all steps from number `length` on."""
        del self._ints[length * STEP_RECORD :]

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Step]:
        """Steps start to stop (default: all), decoded."""
        for index in range(start, len(self) if stop is None else stop):
            at = index * STEP_RECORD
            yield decode(self._ints[at : at + STEP_RECORD])


def decode(record: array[int]) -> Step:
    """The step that a record of the journal stands for."""
    seq, kind, a, b, c, d, e, _ = record
    if kind == LIST_ADD:
        return ListAdd(seq, list_name(a), b, c, d, e)
    if kind == LIST_DEL:
        return ListDel(seq, list_name(a), b, c, d, e)
    if kind == PAGES:
        return Pages(seq, a, b, c, d)
    if kind == PAGEBLOCK:
        return Pageblock(seq, a, b, c)
    if kind == FIELD:
        return Field(seq, a, b, FIELD_NAMES[c], d, e)
    return Split(seq, a, b) if kind == SPLIT else Merge(seq, a, b, c)
