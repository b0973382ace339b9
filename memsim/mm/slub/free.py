"""Objects back to their slab: the lockless list, or the slab's own freelist.

Kernel: mm/slub.c __slab_free(), do_slab_free(), build_detached_freelist(), kmem_cache_free_bulk()
"""

from __future__ import annotations

from memsim.mm.slub.alloc import Object
from memsim.mm.slub.pages import discard_slab
from memsim.mm.slub.partial import put_cpu_partial
from memsim.mm.slub.slab import KmemCache, Slab, get_node
from memsim.mm.slub.update import (
    remove_partial,
    set_freepointer,
    slab_update_freelist,
    update_cpu_freelist,
)
from memsim.words.mmzone import NULL

_LOOKAHEAD = 3


def do_slab_free(s: KmemCache, slab: Slab, head: int, tail: int, cnt: int) -> None:
    """Free cnt objects of one slab that are chained from head to tail.

    Kernel: mm/slub.c do_slab_free()
    """
    c = s.cpu_slab[s.vm.cpu]
    if slab is not c.slab:
        _slab_free(s, slab, head, tail, cnt)
        return
    set_freepointer(slab, tail, c.freelist)
    update_cpu_freelist(s, c, slab, head)


def _slab_free(s: KmemCache, slab: Slab, head: int, tail: int, cnt: int) -> None:
    """Free to a slab that this CPU does not allocate from.

    A full slab becomes partial: it goes to the CPU's partial list. An empty one on the node's
    list is given back if the node has enough. Kernel: mm/slub.c __slab_free()
    """
    prior = slab.freelist
    set_freepointer(slab, tail, prior)
    slab_update_freelist(slab, head, slab.inuse - cnt, slab.frozen)
    if slab.frozen:
        return
    if prior == NULL:
        put_cpu_partial(s, slab, drain=True)
    elif not slab.inuse and slab.on_node_partial:
        n = get_node(s, slab.nid)
        if n.nr_partial >= s.min_partial:
            remove_partial(s, n, slab)
            discard_slab(s, slab)


def slab_free(s: KmemCache, slab: Slab, obj: int) -> None:
    """Free one object. Kernel: mm/slub.c slab_free()."""
    do_slab_free(s, slab, obj, obj, 1)


def build_detached_freelist(objects: list[Object], size: int) -> tuple[int, int, int, int]:
    """Chain the last object with others of its slab, looking at three strangers at most.

    objects[:size] are still to be freed; those taken are moved behind the new size. Returns
    (new size, head, tail, count). Kernel: mm/slub.c build_detached_freelist()
    """
    size -= 1
    slab, tail = objects[size]
    head, cnt, same, lookahead = tail, 1, size, _LOOKAHEAD
    set_freepointer(slab, tail, NULL)
    while size:
        size -= 1
        if objects[size][0] is slab:
            set_freepointer(slab, objects[size][1], head)
            head, cnt, same = objects[size][1], cnt + 1, same - 1
            objects[size], objects[same] = objects[same], objects[size]
            continue
        lookahead -= 1
        if not lookahead:
            break
    return same, head, tail, cnt


def kmem_cache_free_bulk(objects: list[Object]) -> None:
    """Free objects, those of one slab at once where they stand close. Changes the list's order.

    Kernel: mm/slub.c kmem_cache_free_bulk()
    """
    size = len(objects)
    while size:
        slab = objects[size - 1][0]
        size, head, tail, cnt = build_detached_freelist(objects, size)
        do_slab_free(slab.slab_cache, slab, head, tail, cnt)
