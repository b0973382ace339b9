"""Steps of vmalloc: what changes in its trees of areas, in its pools, and in its numbers.

An area is named by its va_start. A tree's code says what it holds, and for which vmap_node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from memsim.lib.bits import unsigned

VMAP_LINK = 32
VMAP_UNLINK = 33
VMAP_SWAP = 34
VMAP_ROTATE = 35
VMAP_PAINT = 36
VMAP_NEW = 37
VMAP_GONE = 38
VMAP_CLIP = 39
VMAP_FLAGS = 40
VMAP_POOL_ADD = 41
VMAP_POOL_DEL = 42
VMAP_TAKE_ALL = 43
VMAP_FIELD = 44
VMAP_PRELOAD = 45
PTE_SET = 46
TABLE_NEW = 47
TABLE_GONE = 48
VM_STRUCT = 49
BLOCK_NEW = 50
BLOCK_GONE = 51
BLOCK_FIELD = 52
BLOCK_USED = 53
BLOCK_QUEUE = 54

FREE, BUSY, LAZY, PURGE, DECAY = range(5)
TREE_NAMES = ("free", "busy", "lazy", "purge_list", "decay")

#: Numbers of vmalloc's state, by the number that stands in a record.
FIELDS = ("vmap_lazy_nr", "nr_tlb_flushes", "drain_vmap_work", "nr_vmalloc_pages")

#: Numbers of a struct vmap_block, by the number that stands in a record.
BLOCK_FIELDS = ("free", "dirty", "dirty_min", "dirty_max")


class TreeName(NamedTuple):
    """Which tree: `kind` is one of TREE_NAMES."""

    kind: str
    node: int


def tree_code(kind: int, node: int) -> int:
    """A tree as one integer."""
    return node << 8 | kind


def tree_name(code: int) -> TreeName:
    """The tree behind tree_code()."""
    return TreeName(TREE_NAMES[code & 0xFF], code >> 8)


@dataclass(frozen=True, slots=True)
class VmapLink:
    """An area was hung into a tree, red; parent -1: it is the root. side: 0 left, 1 right."""

    NAME: ClassVar[str] = "sim:vmap_link"
    seq: int
    tree: TreeName
    va_start: int
    parent: int
    side: int


@dataclass(frozen=True, slots=True)
class VmapUnlink:
    """An area left a tree; its only child (-1: none) took its place."""

    NAME: ClassVar[str] = "sim:vmap_unlink"
    seq: int
    tree: TreeName
    va_start: int
    parent: int
    child: int
    #: Its side under parent; 2 if the child is on its right; 4 if it was red.
    sides: int


@dataclass(frozen=True, slots=True)
class VmapSwap:
    """An area with two children changed places with the one that follows in order."""

    NAME: ClassVar[str] = "sim:vmap_swap"
    seq: int
    tree: TreeName
    va_start: int
    successor: int


@dataclass(frozen=True, slots=True)
class VmapRotate:
    """An area sank to this side, and `top`, its child, took its place."""

    NAME: ClassVar[str] = "sim:vmap_rotate"
    seq: int
    tree: TreeName
    va_start: int
    top: int
    side: int


@dataclass(frozen=True, slots=True)
class VmapPaint:
    """An area's node changed its colour, to red or to black."""

    NAME: ClassVar[str] = "sim:vmap_paint"
    seq: int
    tree: TreeName
    va_start: int
    red: int


@dataclass(frozen=True, slots=True)
class VmapNew:
    """There is an area more, in no tree."""

    NAME: ClassVar[str] = "sim:vmap_new"
    seq: int
    va_start: int
    va_end: int
    flags: int
    object: int


@dataclass(frozen=True, slots=True)
class VmapGone:
    """An area that was in no tree is gone."""

    NAME: ClassVar[str] = "sim:vmap_gone"
    seq: int
    va_start: int
    va_end: int
    flags: int
    object: int


@dataclass(frozen=True, slots=True)
class VmapClip:
    """An area changed its first or its last address."""

    NAME: ClassVar[str] = "sim:vmap_clip"
    seq: int
    va_start: int
    va_end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, slots=True)
class VmapFlags:
    """An area changed its flags."""

    NAME: ClassVar[str] = "sim:vmap_flags"
    seq: int
    va_start: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class VmapPoolAdd:
    """An area joined a vmap_node's pool, to be handed out next, or (tail) last."""

    NAME: ClassVar[str] = "sim:vmap_pool_add"
    seq: int
    node: int
    pool: int
    va_start: int
    tail: int


@dataclass(frozen=True, slots=True)
class VmapPoolDel:
    """The first area left a vmap_node's pool."""

    NAME: ClassVar[str] = "sim:vmap_pool_del"
    seq: int
    node: int
    pool: int
    va_start: int


@dataclass(frozen=True, slots=True)
class VmapTakeAll:
    """All areas of a tree went to another, which was empty."""

    NAME: ClassVar[str] = "sim:vmap_take_all"
    seq: int
    tree: TreeName
    target: TreeName


@dataclass(frozen=True, slots=True)
class VmapField:
    """One of vmalloc's numbers changed."""

    NAME: ClassVar[str] = "sim:vmap_field"
    seq: int
    field: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class VmapPreload:
    """A CPU's struct for a search that leaves two remainders; 0: none."""

    NAME: ClassVar[str] = "sim:vmap_preload"
    seq: int
    cpu: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class PteSet:
    """An entry of the page table in the page at pfn changed; pfn -1 is swapper_pg_dir."""

    NAME: ClassVar[str] = "sim:pte_set"
    seq: int
    pfn: int
    index: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class TableNew:
    """The page at pfn became an empty page table: level 0 is the last, of ptes."""

    NAME: ClassVar[str] = "sim:table_new"
    seq: int
    pfn: int
    level: int


@dataclass(frozen=True, slots=True)
class TableGone:
    """An empty page table is a page again."""

    NAME: ClassVar[str] = "sim:table_gone"
    seq: int
    pfn: int
    level: int


@dataclass(frozen=True, slots=True)
class VmStructSet:
    """An area got its vm_struct, by its number in vm_structs; -1: it has none."""

    NAME: ClassVar[str] = "sim:vm_struct"
    seq: int
    va_start: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class BlockNew:
    """The area at va_start became a block of a CPU, for vm_map_ram()."""

    NAME: ClassVar[str] = "sim:vmap_block_new"
    seq: int
    va_start: int
    cpu: int


@dataclass(frozen=True, slots=True)
class BlockGone:
    """A block that is on no queue is an area again."""

    NAME: ClassVar[str] = "sim:vmap_block_gone"
    seq: int
    va_start: int
    cpu: int


@dataclass(frozen=True, slots=True)
class BlockField:
    """One of a block's numbers changed."""

    NAME: ClassVar[str] = "sim:vmap_block"
    seq: int
    va_start: int
    field: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class BlockUsed:
    """Pages of a block are in use from here on, or no longer."""

    NAME: ClassVar[str] = "sim:vmap_block_used"
    seq: int
    va_start: int
    offset: int
    pages: int
    used: int


@dataclass(frozen=True, slots=True)
class BlockQueue:
    """A block joined its CPU's queue at this place, or left it."""

    NAME: ClassVar[str] = "sim:vmap_block_queue"
    seq: int
    va_start: int
    place: int
    joins: int


VmallocStep = (
    VmapLink | VmapUnlink | VmapSwap | VmapRotate | VmapPaint | VmapNew | VmapGone | VmapClip
    | VmapFlags | VmapPoolAdd | VmapPoolDel | VmapTakeAll | VmapField | VmapPreload | PteSet
    | TableNew | TableGone | VmStructSet | BlockNew | BlockGone | BlockField | BlockUsed
    | BlockQueue
)  # fmt: skip


def _tree(code: int) -> TreeName:
    return tree_name(code)


def _area(value: int) -> int:
    """An area's va_start; -1 stands for no area."""
    return value if value == -1 else unsigned(value)


def _end(value: int) -> int:
    """An address, or another number of 64 bits."""
    return unsigned(value)


def _number(value: int) -> int:
    return value


def _field(number: int) -> str:
    return FIELDS[number]


def _block_field(number: int) -> str:
    return BLOCK_FIELDS[number]


Decoder = Callable[[int], TreeName | int | str]
#: Each kind's class, and what its record's integers stand for.
_KINDS: dict[int, tuple[Callable[..., VmallocStep], tuple[Decoder, ...]]] = {
    VMAP_LINK: (VmapLink, (_tree, _area, _area, _number)),
    VMAP_UNLINK: (VmapUnlink, (_tree, _area, _area, _area, _number)),
    VMAP_SWAP: (VmapSwap, (_tree, _area, _area)),
    VMAP_ROTATE: (VmapRotate, (_tree, _area, _area, _number)),
    VMAP_PAINT: (VmapPaint, (_tree, _area, _number)),
    VMAP_NEW: (VmapNew, (_area, _end, _number, _end)),
    VMAP_GONE: (VmapGone, (_area, _end, _number, _end)),
    VMAP_CLIP: (VmapClip, (_area, _end, _area, _end)),
    VMAP_FLAGS: (VmapFlags, (_area, _number, _number)),
    VMAP_POOL_ADD: (VmapPoolAdd, (_number, _number, _area, _number)),
    VMAP_POOL_DEL: (VmapPoolDel, (_number, _number, _area)),
    VMAP_TAKE_ALL: (VmapTakeAll, (_tree, _tree)),
    VMAP_FIELD: (VmapField, (_field, _number, _number)),
    VMAP_PRELOAD: (VmapPreload, (_number, _end, _end)),
    PTE_SET: (PteSet, (_number, _number, _end, _end)),
    TABLE_NEW: (TableNew, (_number, _number)),
    TABLE_GONE: (TableGone, (_number, _number)),
    VM_STRUCT: (VmStructSet, (_area, _number, _number)),
    BLOCK_NEW: (BlockNew, (_area, _number)),
    BLOCK_GONE: (BlockGone, (_area, _number)),
    BLOCK_FIELD: (BlockField, (_area, _block_field, _number, _number)),
    BLOCK_USED: (BlockUsed, (_area, _number, _number, _number)),
    BLOCK_QUEUE: (BlockQueue, (_area, _number, _number)),
}


def is_vmalloc_step(kind: int) -> bool:
    """Is it one of these?"""
    return kind in _KINDS


def vmalloc_step(seq: int, kind: int, arguments: Sequence[int]) -> VmallocStep:
    """The step that a record of the journal stands for."""
    step, decoders = _KINDS[kind]
    return step(seq, *(of(value) for of, value in zip(decoders, arguments, strict=False)))
