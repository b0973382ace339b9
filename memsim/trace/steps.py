"""Steps: what the kernel has no tracepoint for. memsim's own, every name starts with `sim:`.

Steps are complete. Applied to a snapshot, in order, they give the next snapshot; undone, in
reverse order, the one before. The player, undo, narration and graders stand on them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from memsim.trace.compaction_steps import CompactionStep, compaction_step, is_compaction_step
from memsim.trace.folio_steps import FolioStep, folio_step, is_folio_step
from memsim.trace.memcg_steps import MemcgStep, is_memcg_step, memcg_step
from memsim.trace.mempolicy_steps import MempolicyStep, is_mempolicy_step, mempolicy_step
from memsim.trace.mempool_steps import MempoolStep, is_mempool_step, mempool_step
from memsim.trace.slowpath_steps import SlowPathStep, is_slowpath_step, slowpath_step
from memsim.trace.vmalloc_steps import VmallocStep, is_vmalloc_step, vmalloc_step
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
FREEPOINTER = 7
SLAB_FREELIST = 8
CPU_FREELIST = 9
CPU_PARTIAL = 10
SLAB_CHAIN = 11
SLAB_ADD = 12
SLAB_DEL = 13
SLABS_NODE = 14
NEW_SLAB = 15
SLAB_GONE = 16
RANDOM = 17
CACHE = 18
SLAB_BYTES = 19
FULL_ADD = 20
FULL_DEL = 21


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


@dataclass(frozen=True, slots=True)
class Freepointer:
    """Free object `obj` of the slab at pfn is followed by `new` on its list; -1: by none."""

    NAME: ClassVar[str] = "sim:freepointer"
    seq: int
    pfn: int
    obj: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class SlabFreelist:
    """The slab at pfn changed its freelist and its counters: inuse << 1 | frozen."""

    NAME: ClassVar[str] = "sim:slab_freelist"
    seq: int
    pfn: int
    old_freelist: int
    new_freelist: int
    old_counters: int
    new_counters: int


@dataclass(frozen=True, slots=True)
class CpuFreelist:
    """A CPU changed the slab (a pfn, -1: none) and the lockless list it takes objects from."""

    NAME: ClassVar[str] = "sim:cpu_freelist"
    seq: int
    cache: int
    cpu: int
    old_slab: int
    new_slab: int
    old_freelist: int
    new_freelist: int


@dataclass(frozen=True, slots=True)
class CpuPartial:
    """A CPU's partial list begins with another slab."""

    NAME: ClassVar[str] = "sim:cpu_partial"
    seq: int
    cache: int
    cpu: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class SlabChain:
    """The slab at pfn is followed by another on a CPU's partial list, and counts so many."""

    NAME: ClassVar[str] = "sim:slab_chain"
    seq: int
    pfn: int
    old_next: int
    new_next: int
    old_slabs: int
    new_slabs: int


@dataclass(frozen=True, slots=True)
class SlabMove:
    """A slab and its place on a node's partial list: right behind `after`; -1: at the head."""

    seq: int
    cache: int
    nid: int
    pfn: int
    after: int


@dataclass(frozen=True, slots=True)
class SlabAdd(SlabMove):
    """A slab joined a node's partial list."""

    NAME: ClassVar[str] = "sim:slab_add"


@dataclass(frozen=True, slots=True)
class SlabDel(SlabMove):
    """A slab left a node's partial list."""

    NAME: ClassVar[str] = "sim:slab_del"


@dataclass(frozen=True, slots=True)
class FullAdd(SlabMove):
    """A slab without free objects joined a node's full list; only caches that track users do so."""

    NAME: ClassVar[str] = "sim:full_add"


@dataclass(frozen=True, slots=True)
class FullDel(SlabMove):
    """A slab left a node's full list."""

    NAME: ClassVar[str] = "sim:full_del"


@dataclass(frozen=True, slots=True)
class SlabBytes:
    """Four bytes changed in the slab at pfn, `at` bytes from its start; numbers as x86 has them."""

    NAME: ClassVar[str] = "sim:slab_bytes"
    seq: int
    pfn: int
    at: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class SlabsNode:
    """A node has so many slabs and objects of the cache more."""

    NAME: ClassVar[str] = "sim:slabs_node"
    seq: int
    cache: int
    nid: int
    slabs: int
    objects: int


@dataclass(frozen=True, slots=True)
class NewSlab:
    """The pages from pfn on became a slab, without a freelist yet."""

    NAME: ClassVar[str] = "sim:new_slab"
    seq: int
    cache: int
    nid: int
    pfn: int
    order: int


@dataclass(frozen=True, slots=True)
class SlabGone:
    """A slab that was on no list is pages again."""

    NAME: ClassVar[str] = "sim:slab_gone"
    seq: int
    cache: int
    nid: int
    pfn: int
    order: int


@dataclass(frozen=True, slots=True)
class Chance:
    """A random number was drawn: so many have been."""

    NAME: ClassVar[str] = "sim:random"
    seq: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class CacheField:
    """A number of a cache changed; `place` is that among all caches, -1 for one that is gone."""

    NAME: ClassVar[str] = "sim:cache"
    seq: int
    cache: int
    field: str
    old: int
    new: int


#: Fields of a cache, by the number that stands in a record.
CACHE_FIELD_NAMES = (
    "place", "refcount", "object_size", "inuse", "min_partial", "cpu_partial",
    "cpu_partial_slabs", "remote_node_defrag_ratio", "flags",
)  # fmt: skip

SlabStep = (
    Freepointer | SlabFreelist | CpuFreelist | CpuPartial | SlabChain | SlabAdd | SlabDel
    | SlabsNode | NewSlab | SlabGone | Chance | CacheField | SlabBytes | FullAdd | FullDel
)  # fmt: skip
#: Steps that name their cache.
OF_A_CACHE = (
    CpuFreelist, CpuPartial, SlabAdd, SlabDel, FullAdd, FullDel, SlabsNode, NewSlab, SlabGone,
    CacheField,
)  # fmt: skip
#: Steps that name a slab alone, by its pfn.
OF_A_SLAB = (Freepointer, SlabFreelist, SlabChain, SlabBytes)
Step = (
    ListAdd | ListDel | Pages | Pageblock | Field | Split | Merge | SlabStep | VmallocStep
    | CompactionStep | FolioStep | SlowPathStep | MemcgStep | MempolicyStep | MempoolStep
)  # fmt: skip

#: Steps of slabs by kind, and how many arguments their records have.
_SLAB_STEPS: dict[int, tuple[Callable[..., SlabStep], int]] = {
    FREEPOINTER: (Freepointer, 4),
    SLAB_FREELIST: (SlabFreelist, 5),
    CPU_FREELIST: (CpuFreelist, 6),
    CPU_PARTIAL: (CpuPartial, 4),
    SLAB_CHAIN: (SlabChain, 5),
    SLAB_ADD: (SlabAdd, 4),
    SLAB_DEL: (SlabDel, 4),
    SLABS_NODE: (SlabsNode, 4),
    NEW_SLAB: (NewSlab, 4),
    SLAB_GONE: (SlabGone, 4),
    RANDOM: (Chance, 2),
    SLAB_BYTES: (SlabBytes, 4),
    FULL_ADD: (FullAdd, 4),
    FULL_DEL: (FullDel, 4),
}

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
    if kind == CACHE:
        return CacheField(seq, a, CACHE_FIELD_NAMES[b], c, d)
    if is_vmalloc_step(kind):
        return vmalloc_step(seq, kind, record[2:])
    if is_compaction_step(kind):
        return compaction_step(seq, kind, record[2:])
    if is_folio_step(kind):
        return folio_step(seq, kind, record[2:])
    if is_memcg_step(kind):
        return memcg_step(seq, kind, record[2:])
    if is_slowpath_step(kind):
        return slowpath_step(seq, kind, record[2:])
    if is_mempolicy_step(kind):
        return mempolicy_step(seq, kind, record[2:])
    if is_mempool_step(kind):
        return mempool_step(seq, kind, record[2:])
    if kind in _SLAB_STEPS:
        step, nr_arguments = _SLAB_STEPS[kind]
        return step(seq, *record[2 : 2 + nr_arguments])
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
