"""Steps of memory pools: what a pool keeps, and how many elements it should keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.lib.bits import unsigned

MEMPOOL_ADD = 107
MEMPOOL_REMOVE = 108
MEMPOOL_FIELD = 109

#: Numbers of a pool, by the number that stands in a record. `exists` is 1 from its creation to its
#: end; the others are min_nr, and the addresses of the pool and of its array of elements.
MEMPOOL_FIELD_NAMES = ("exists", "min_nr", "address", "elements_address")


@dataclass(frozen=True, slots=True)
class MempoolMove:
    """An element, a pfn or an address, and the pool whose reserve it joins or leaves: the last."""

    seq: int
    pool: int
    element: int


@dataclass(frozen=True, slots=True)
class MempoolAdd(MempoolMove):
    """A pool keeps an element more."""

    NAME: ClassVar[str] = "sim:mempool_add"

    def text(self) -> str:
        """One sentence."""
        return f"add_element(): mempool {self.pool} keeps {shown(self.element)}"


@dataclass(frozen=True, slots=True)
class MempoolRemove(MempoolMove):
    """A pool gives the element away that it got last."""

    NAME: ClassVar[str] = "sim:mempool_remove"

    def text(self) -> str:
        """One sentence."""
        return f"remove_element(): mempool {self.pool} gives {shown(self.element)} away"


@dataclass(frozen=True, slots=True)
class MempoolField:
    """A number of a pool changed: `field` is of MEMPOOL_FIELD_NAMES."""

    NAME: ClassVar[str] = "sim:mempool_field"
    seq: int
    pool: int
    field: str
    old: int
    new: int

    def text(self) -> str:
        """One sentence."""
        return f"{self.field} of mempool {self.pool}: {self.old:#x} becomes {self.new:#x}"


MempoolStep = MempoolAdd | MempoolRemove | MempoolField


def shown(element: int) -> str:
    """A page by its pfn, other memory by its address: no pfn is that large."""
    return f"{element:#x}" if element >> 48 else f"pfn {element}"


def is_mempool_step(kind: int) -> bool:
    """Is it one of these?"""
    return MEMPOOL_ADD <= kind <= MEMPOOL_FIELD


def mempool_step(seq: int, kind: int, arguments: Sequence[int]) -> MempoolStep:
    """The step that a record of the journal stands for."""
    a, b, c, d = arguments[:4]
    if kind == MEMPOOL_ADD:
        return MempoolAdd(seq, a, unsigned(b))
    if kind == MEMPOOL_REMOVE:
        return MempoolRemove(seq, a, unsigned(b))
    return MempoolField(seq, a, MEMPOOL_FIELD_NAMES[b], unsigned(c), unsigned(d))
