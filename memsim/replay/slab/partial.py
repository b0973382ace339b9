"""Frees whose slab was on no list and no CPU's: put_cpu_partial() says so.

A slab that a CPU has is not put on a partial list when an object of it is freed. If the recording
puts it there, the CPU had let go of it: a request of that CPU, logged later, was under way already
and had found nothing left in it. Kernel: mm/slub.c __slab_free(), get_freelist()
"""

from __future__ import annotations

from memsim.mm.slub.alloc import refill
from memsim.mm.slub.slab import Slab
from memsim.replay.rows.inputs import SLAB_KINDS, Kind, Rows
from memsim.words.mmzone import NULL

_FREES = frozenset({Kind.kmem_cache_free, Kind.kfree})


def frees_to_partial(rows: Rows) -> frozenset[int]:
    """Rows of frees of one object that call put_cpu_partial()."""
    last: dict[int, int] = {}
    found: list[int] = []
    if Kind.putcpup not in rows.kind:
        return frozenset()
    for row in rows.of_kinds(SLAB_KINDS - {Kind.objects}):
        who = rows.context[row]
        free = last.get(who, row)
        last[who] = row
        if rows.kind[row] == Kind.putcpup and rows.argument(row, 2):
            if rows.kind[free] in _FREES:
                found.append(free)
    return frozenset(found)


def let_go(slab: Slab) -> bool:
    """Let the CPU that has the slab, and nothing left in it, find that; False if none has."""
    s = slab.slab_cache
    for c in s.cpu_slab:
        if c.slab is slab and c.freelist == NULL and slab.freelist == NULL:
            refill(s, c)
            return True
    return False
