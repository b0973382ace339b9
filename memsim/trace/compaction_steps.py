"""Steps of compaction and CMA: skip bits, scanner positions, deferral, areas' bitmaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.words.compaction import NODE_COMPACT_FIELDS, ZONE_COMPACT_FIELDS

PAGEBLOCK_SKIP = 96
ZONE_COMPACT = 97
NODE_COMPACT = 98
CMA_BITS = 99


@dataclass(frozen=True, slots=True)
class PageblockSkip:
    """PB_migrate_skip of the pageblock that starts at pfn was set (new 1) or cleared (0)."""

    NAME: ClassVar[str] = "sim:pageblock_skip"
    seq: int
    pfn: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class ZoneCompact:
    """A number that compaction keeps in a zone changed: `field` is of ZONE_COMPACT_FIELDS."""

    NAME: ClassVar[str] = "sim:zone_compact"
    seq: int
    zone_id: int
    field: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class NodeCompact:
    """A number that kcompactd keeps of a node changed: `field` is of NODE_COMPACT_FIELDS."""

    NAME: ClassVar[str] = "sim:node_compact"
    seq: int
    nid: int
    field: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class CmaBits:
    """nr_bits bits of a CMA area's bitmap changed from `old` to `new`, from bit `start` on."""

    NAME: ClassVar[str] = "sim:cma_bits"
    seq: int
    area: int
    start: int
    nr_bits: int
    old: int
    new: int


CompactionStep = PageblockSkip | ZoneCompact | NodeCompact | CmaBits


def is_compaction_step(kind: int) -> bool:
    """Is it one of these?"""
    return PAGEBLOCK_SKIP <= kind <= CMA_BITS


def compaction_step(seq: int, kind: int, arguments: Sequence[int]) -> CompactionStep:
    """The step that a record of the journal stands for."""
    a, b, c, d, e = arguments[:5]
    if kind == PAGEBLOCK_SKIP:
        return PageblockSkip(seq, a, b, c)
    if kind == ZONE_COMPACT:
        return ZoneCompact(seq, a, ZONE_COMPACT_FIELDS[b], c, d)
    if kind == NODE_COMPACT:
        return NodeCompact(seq, a, NODE_COMPACT_FIELDS[b], c, d)
    return CmaBits(seq, a, b, c, d, e)
