"""Steps of memory cgroups, and of the tasks that are in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.words.memcontrol import MEMCG_FIELDS

MEMCG_NEW = 128
MEMCG_FIELD = 129
LRU_ZONE_SIZE = 130
MEMCG_STOCK = 131
RECLAIM_ITER = 132
SWAP_CGROUP = 133
TASKS = 134


@dataclass(frozen=True, slots=True)
class MemcgNew:
    """A group came, below the root; its name is a number in Trace.names."""

    NAME: ClassVar[str] = "sim:memcg_new"
    seq: int
    memcg: int
    name: int


@dataclass(frozen=True, slots=True)
class MemcgField:
    """A number of a memcg changed: `field` is one of MEMCG_FIELDS; nid -1: it is of no node."""

    NAME: ClassVar[str] = "sim:memcg_field"
    seq: int
    memcg: int
    nid: int
    field: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class LruZoneSize:
    """Pages of a memcg on a list of a node, in one of its zones: `item` is zone * 5 + list."""

    NAME: ClassVar[str] = "sim:lru_zone_size"
    seq: int
    memcg: int
    nid: int
    item: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class MemcgStock:
    """A CPU keeps other charges in stock: a memcg's, 0 for nobody's, and how many pages."""

    NAME: ClassVar[str] = "sim:memcg_stock"
    seq: int
    cpu: int
    old_memcg: int
    old_pages: int
    memcg: int
    pages: int


@dataclass(frozen=True, slots=True)
class ReclaimIter:
    """Where a node's next partial walk over the memcgs goes on behind: a memcg's id, or 0."""

    NAME: ClassVar[str] = "sim:reclaim_iter"
    seq: int
    nid: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class SwapCgroup:
    """A slot of the swap device is charged to another memcg, by its id; 0 is nobody."""

    NAME: ClassVar[str] = "sim:swap_cgroup"
    seq: int
    slot: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks came, went or changed: numbers of two states that mm/oom_kill/history.py keeps."""

    NAME: ClassVar[str] = "sim:tasks"
    seq: int
    old: int
    new: int


MemcgStep = MemcgNew | MemcgField | LruZoneSize | MemcgStock | ReclaimIter | SwapCgroup | Tasks

#: Each kind's class, and how many integers its record has.
_KINDS: dict[int, tuple[Callable[..., MemcgStep], int]] = {
    MEMCG_NEW: (MemcgNew, 2),
    LRU_ZONE_SIZE: (LruZoneSize, 5),
    MEMCG_STOCK: (MemcgStock, 5),
    RECLAIM_ITER: (ReclaimIter, 3),
    SWAP_CGROUP: (SwapCgroup, 3),
    TASKS: (Tasks, 2),
}


def is_memcg_step(kind: int) -> bool:
    """Is it one of these?"""
    return MEMCG_NEW <= kind <= TASKS


def memcg_step(seq: int, kind: int, arguments: Sequence[int]) -> MemcgStep:
    """The step that a record of the journal stands for."""
    if kind == MEMCG_FIELD:
        memcg, nid, field, old, new = arguments[:5]
        return MemcgField(seq, memcg, nid, MEMCG_FIELDS[field], old, new)
    step, nr_arguments = _KINDS[kind]
    return step(seq, *arguments[:nr_arguments])
