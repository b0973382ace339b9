"""vmalloc events' fields from text.

Kernel: include/trace/events/vmalloc.h; the probes are those that captures describe
"""

from __future__ import annotations

import re

from memsim.replay.rows.inputs import FIRST_VMALLOC, LAST_VMALLOC, Kind

_PATTERNS = {
    Kind.alloc_vmap_area: r"va_start: (\d{1,20}) size=(\d{1,20}) align=(\d{1,20}) "
    r"vstart=(0x\w{1,16}) vend=(0x\w{1,16}) failed=(\d{1,2})$",
    Kind.free_vmap_area_noflush: r"va_start=(0x\w{1,16}) nr_lazy=(\d{1,19}) "
    r"nr_lazy_max=(\d{1,19})$",
    Kind.purge_vmap_area_lazy: r"start=(0x\w{1,16}) end=(0x\w{1,16}) num_purged=(\d{1,19})$",
    Kind.vmpurge: r".* start=(0x\w{1,16}) end=(0x\w{1,16}) full=(\d{1,3})$",
    Kind.vmdecay: r".* vn=(0x\w{1,16}) full=(\d{1,3})$",
}
_COMPILED = {kind: re.compile(pattern, re.ASCII) for kind, pattern in _PATTERNS.items()}
#: The vmalloc events that are read, by name.
VMALLOC_EVENTS = {kind.name: kind for kind in _PATTERNS}


def is_vmalloc(kind: int) -> bool:
    """Is it a row of vmalloc?"""
    return FIRST_VMALLOC <= kind <= LAST_VMALLOC


def vmalloc_values(kind: Kind, text: str) -> list[int] | None:
    """The event's numbers, in its own order; None without its fields."""
    match = _COMPILED[kind].match(text)
    return None if match is None else [int(number, 0) for number in match.groups()]
