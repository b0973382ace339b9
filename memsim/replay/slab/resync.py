"""After a miss: the order of free objects as the kernel must have had it.

An interrupt may come into an operation at any instruction, and what the trace tells of it does not
always say which came first. The answer does: after a request was counted as missed, its object and
the one that memsim gave change places, if both were free in one slab. Nothing else is changed, and
how often that was done is reported.
"""

from __future__ import annotations

from memsim.mm.slub.alloc import Object
from memsim.mm.slub.freelist import get_freepointer
from memsim.mm.slub.slab import KmemCache
from memsim.mm.slub.update import set_freepointer
from memsim.words.mmzone import NULL


def change_places(s: KmemCache, cpu: int, given: Object, wanted: Object) -> bool:
    """Let `wanted` be the object that was given; `given` is the first of the lockless list again.

    False if wanted is not on the CPU's lockless list, or given is of another slab: nothing is done.
    """
    c = s.cpu_slab[cpu]
    slab, obj = wanted
    if c.slab is not slab or given[0] is not slab:
        return False
    before, entry = NULL, c.freelist
    while entry not in (NULL, obj):
        before, entry = entry, get_freepointer(slab, entry)
    if entry == NULL:
        return False
    following = get_freepointer(slab, obj)
    if before == NULL:
        c.freelist = following
    else:
        set_freepointer(slab, before, following)
    set_freepointer(slab, given[1], c.freelist)
    c.freelist = given[1]
    return True
