"""The kernel's tracepoints of vmalloc: names, fields, and the one-line text form.

Kernel: include/trace/events/vmalloc.h
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.lib.bits import unsigned


@dataclass(frozen=True, slots=True)
class AllocVmapArea:
    """A search for addresses ended; va_start is vend when it found none. Sizes are bytes.

    Kernel: trace_alloc_vmap_area(), which prints va_start in decimals
    """

    NAME: ClassVar[str] = "alloc_vmap_area"
    va_start: int
    size: int
    align: int
    vstart: int
    vend: int
    failed: int

    def text(self) -> str:
        """What follows `alloc_vmap_area: ` in a trace."""
        return (
            f"va_start: {self.va_start} size={self.size} align={self.align} "
            f"vstart={self.vstart:#x} vend={self.vend:#x} failed={self.failed}"
        )


@dataclass(frozen=True, slots=True)
class PurgeVmapAreaLazy:
    """A purge ended: so many areas between these addresses were given back.

    Kernel: trace_purge_vmap_area_lazy()
    """

    NAME: ClassVar[str] = "purge_vmap_area_lazy"
    start: int
    end: int
    num_purged: int

    def text(self) -> str:
        """What follows `purge_vmap_area_lazy: ` in a trace."""
        return f"start={self.start:#x} end={self.end:#x} num_purged={self.num_purged}"


@dataclass(frozen=True, slots=True)
class FreeVmapAreaNoflush:
    """An area was freed lazily; numbers are pages. Kernel: trace_free_vmap_area_noflush()."""

    NAME: ClassVar[str] = "free_vmap_area_noflush"
    va_start: int
    nr_lazy: int
    nr_lazy_max: int

    def text(self) -> str:
        """What follows `free_vmap_area_noflush: ` in a trace."""
        return f"va_start={self.va_start:#x} nr_lazy={self.nr_lazy} nr_lazy_max={self.nr_lazy_max}"


VmallocEvent = AllocVmapArea | PurgeVmapAreaLazy | FreeVmapAreaNoflush
VMALLOC_EVENT_CLASSES: tuple[type[VmallocEvent], ...] = (
    AllocVmapArea, PurgeVmapAreaLazy, FreeVmapAreaNoflush,
)  # fmt: skip


def vmalloc_event(number: int, fields: Sequence[int]) -> VmallocEvent:
    """The event of this place in VMALLOC_EVENT_CLASSES that a record's fields stand for."""
    cls = VMALLOC_EVENT_CLASSES[number]
    return cls(*(unsigned(field) for field in fields[: len(cls.__slots__)]))
