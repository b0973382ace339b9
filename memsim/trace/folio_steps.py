"""Steps of folios: what changes in their words, mappings, LRU lists and per-CPU batches.

That a folio joins an LRU list changes its state byte too (PG_LRU): a step sim:pages says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.words.lru_gen import LRU_GEN_NUMBERS, LRUVEC_LISTS
from memsim.words.page_flags import NODE_STAT_ITEMS

PAGE_WORD = 64
MAPPING_ENTRY = 65
MAPPING_NEW = 66
MAPPING_GONE = 67
LRU_ADD = 68
LRU_DEL = 69
NODE_STAT = 70
ZONE_STAT = 71
BATCH_ADD = 72
BATCH_DEL = 73
SWAP_SLOT = 74
SWAP_FIELD = 75
SHRINKER = 76

#: Words of a folio, by the number that stands in a record; each is a flat array of mm/folio.py.
WORDS = (
    "flags", "mapping", "index", "mapcount", "refcount", "young", "private", "memcg_data",
)  # fmt: skip
(
    WORD_FLAGS, WORD_MAPPING, WORD_INDEX, WORD_MAPCOUNT, WORD_REFCOUNT, WORD_YOUNG, WORD_PRIVATE,
    WORD_MEMCG_DATA,
) = range(len(WORDS))  # fmt: skip

#: A CPU's batches of mm/swap.c, by the number that stands in a record.
BATCHES = (
    "lru_add", "lru_deactivate_file", "lru_deactivate", "lru_lazyfree", "lru_activate",
    "lru_move_tail",
)  # fmt: skip

#: Numbers of a node, by the number that stands in a record: its counters, then its own.
NODE_FIELDS = (
    *NODE_STAT_ITEMS,
    "lruvec.anon_cost", "lruvec.file_cost", "lruvec.nonresident_age", "lruvec.refaults_anon",
    "lruvec.refaults_file", "lruvec.flags", *(f"lrugen.{name}" for name in LRU_GEN_NUMBERS),
)  # fmt: skip

#: Numbers of the swap device, by the number that stands in a record.
SWAP_FIELDS = ("nr_swap_pages", "cluster_next")


@dataclass(frozen=True, slots=True)
class PageWord:
    """A word of the folio at pfn changed: `word` is one of WORDS."""

    NAME: ClassVar[str] = "sim:page_word"
    seq: int
    word: str
    pfn: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """What a mapping has at an index: a pfn, -1 for nothing, or below that a value (folio.py)."""

    NAME: ClassVar[str] = "sim:mapping_entry"
    seq: int
    mapping: int
    index: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class MappingMove:
    """A mapping without folios, of a kind, with a name: its number in Trace.names."""

    seq: int
    mapping: int
    kind: int
    name: int


@dataclass(frozen=True, slots=True)
class MappingNew(MappingMove):
    """A mapping came."""

    NAME: ClassVar[str] = "sim:mapping_new"


@dataclass(frozen=True, slots=True)
class MappingGone(MappingMove):
    """A mapping went."""

    NAME: ClassVar[str] = "sim:mapping_gone"


@dataclass(frozen=True, slots=True)
class LruMove:
    """A folio and its place on an LRU list of a node: right behind `after`; -1: at the head.

    `lru` is one of words.lru_gen.LRUVEC_LISTS; memcg is the id of the memcg whose list it is, 0
    for the root.
    """

    seq: int
    nid: int
    lru: str
    pfn: int
    after: int
    memcg: int


@dataclass(frozen=True, slots=True)
class LruAdd(LruMove):
    """A folio joined an LRU list."""

    NAME: ClassVar[str] = "sim:lru_add"


@dataclass(frozen=True, slots=True)
class LruDel(LruMove):
    """A folio left an LRU list."""

    NAME: ClassVar[str] = "sim:lru_del"


@dataclass(frozen=True, slots=True)
class NodeStat:
    """A number of a node changed: `field` is one of NODE_FIELDS."""

    NAME: ClassVar[str] = "sim:node_stat"
    seq: int
    nid: int
    field: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class ZoneStat:
    """A zone's counter of folios changed: `item` is its number in enum zone_stat_item."""

    NAME: ClassVar[str] = "sim:zone_stat"
    seq: int
    zone_id: int
    item: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class BatchMove:
    """A folio and a CPU's batch, at its end: `batch` is one of BATCHES."""

    seq: int
    cpu: int
    batch: str
    pfn: int


@dataclass(frozen=True, slots=True)
class BatchAdd(BatchMove):
    """A folio waits in a batch."""

    NAME: ClassVar[str] = "sim:batch_add"


@dataclass(frozen=True, slots=True)
class BatchDel(BatchMove):
    """A folio left a batch."""

    NAME: ClassVar[str] = "sim:batch_del"


@dataclass(frozen=True, slots=True)
class SwapSlot:
    """A slot of the swap device has another count: swap_map."""

    NAME: ClassVar[str] = "sim:swap_slot"
    seq: int
    slot: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class SwapField:
    """A number of the swap device changed."""

    NAME: ClassVar[str] = "sim:swap_field"
    seq: int
    field: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class ShrinkerDeferred:
    """A shrinker has so much put off for a node: nr_deferred."""

    NAME: ClassVar[str] = "sim:shrinker"
    seq: int
    shrinker: int
    nid: int
    old: int
    new: int


FolioStep = (
    PageWord | MappingEntry | MappingNew | MappingGone | LruAdd | LruDel | NodeStat | ZoneStat
    | BatchAdd | BatchDel | SwapSlot | SwapField
    | ShrinkerDeferred
)  # fmt: skip

#: Each kind's class, how many integers its record has, which of them is a name, and of which list.
_KINDS: dict[int, tuple[Callable[..., FolioStep], int, int, tuple[str, ...]]] = {
    PAGE_WORD: (PageWord, 4, 0, WORDS),
    MAPPING_ENTRY: (MappingEntry, 4, -1, ()),
    MAPPING_NEW: (MappingNew, 3, -1, ()),
    MAPPING_GONE: (MappingGone, 3, -1, ()),
    LRU_ADD: (LruAdd, 5, 1, LRUVEC_LISTS),
    LRU_DEL: (LruDel, 5, 1, LRUVEC_LISTS),
    NODE_STAT: (NodeStat, 4, 1, NODE_FIELDS),
    ZONE_STAT: (ZoneStat, 4, -1, ()),
    BATCH_ADD: (BatchAdd, 3, 1, BATCHES),
    BATCH_DEL: (BatchDel, 3, 1, BATCHES),
    SWAP_SLOT: (SwapSlot, 3, -1, ()),
    SHRINKER: (ShrinkerDeferred, 4, -1, ()),
    SWAP_FIELD: (SwapField, 3, 0, SWAP_FIELDS),
}


def is_folio_step(kind: int) -> bool:
    """Is it one of these?"""
    return kind in _KINDS


def folio_step(seq: int, kind: int, arguments: Sequence[int]) -> FolioStep:
    """The step that a record of the journal stands for."""
    step, nr_arguments, named, names = _KINDS[kind]
    values: list[int | str] = list(arguments[:nr_arguments])
    if named >= 0:
        values[named] = names[arguments[named]]
    return step(seq, *values)
