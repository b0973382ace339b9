"""Objects back to their slab: the lockless list, or the slab's own freelist.

Kernel: mm/slub.c __slab_free(), do_slab_free(), build_detached_freelist(), kmem_cache_free_bulk()
"""

from __future__ import annotations

from memsim.mm.slub.alloc import Object
from memsim.mm.slub.debug_report import DOUBLE_FREE, oops
from memsim.mm.slub.debug_requests import free_to_partial_list
from memsim.mm.slub.debug_track import called_from
from memsim.mm.slub.freelist import get_freepointer
from memsim.mm.slub.pages import discard_slab
from memsim.mm.slub.partial import put_cpu_partial
from memsim.mm.slub.slab import KmemCache, Slab, get_node, kmem_cache_debug
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

    An object that is the first of the freelist already is a bug: SlabDebug.oops says so, and
    nothing is freed. Kernel: mm/slub.c do_slab_free(), set_freepointer()
    """
    c = s.cpu_slab[s.vm.cpu]
    if slab is not c.slab:
        _slab_free(s, slab, head, tail, cnt)
        return
    if tail == c.freelist:
        oops(s, DOUBLE_FREE)
        return
    set_freepointer(slab, tail, c.freelist)
    update_cpu_freelist(s, c, slab, head)


def _slab_free(s: KmemCache, slab: Slab, head: int, tail: int, cnt: int) -> None:
    """Free to a slab that this CPU does not allocate from.

    A full slab becomes partial: it goes to the CPU's partial list. An empty one on the node's
    list is given back if the node has enough. Kernel: mm/slub.c __slab_free()
    """
    if kmem_cache_debug(s):
        free_to_partial_list(s, slab, head, tail, cnt)
        return
    prior = slab.freelist
    if tail == prior:
        oops(s, DOUBLE_FREE)
        return
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
    (new size, head, tail, count), or nothing more and a count of 0 where the kernel dies of the
    same object twice in a row. Kernel: mm/slub.c build_detached_freelist()
    """
    size -= 1
    slab, tail = objects[size]
    head, cnt, same, lookahead = tail, 1, size, _LOOKAHEAD
    set_freepointer(slab, tail, NULL)
    while size:
        size -= 1
        if objects[size][0] is slab:
            if objects[size][1] == head:
                oops(slab.slab_cache, DOUBLE_FREE)
                return 0, head, tail, 0
            set_freepointer(slab, objects[size][1], head)
            head, cnt, same = objects[size][1], cnt + 1, same - 1
            objects[size], objects[same] = objects[same], objects[size]
            continue
        lookahead -= 1
        if not lookahead:
            break
    return same, head, tail, cnt


def _kmem_cache_free_bulk(objects: list[Object]) -> None:
    """Free objects that no user has seen: as they are chained, without a look at them.

    Changes the list's order. Kernel: mm/slub.c __kmem_cache_free_bulk()
    """
    size = len(objects)
    while size:
        slab = objects[size - 1][0]
        size, head, tail, cnt = build_detached_freelist(objects, size)
        if cnt:
            do_slab_free(slab.slab_cache, slab, head, tail, cnt)


def kmem_cache_free_bulk(objects: list[Object], call_site: int = 0) -> None:
    """Free objects, those of one slab at once where they stand close. Changes the list's order.

    Kernel: mm/slub.c kmem_cache_free_bulk()
    """
    size = len(objects)
    for slab, _ in objects:
        called_from(slab.slab_cache, call_site)
    while size:
        slab = objects[size - 1][0]
        size, head, tail, cnt = build_detached_freelist(objects, size)
        if cnt:
            head, tail = slab_free_freelist_hook(slab, head, tail)
            do_slab_free(slab.slab_cache, slab, head, tail, cnt)


def slab_free_freelist_hook(slab: Slab, head: int, tail: int) -> tuple[int, int]:
    """Chain objects about to be freed once more, as they are looked at: the other way round.

    Returns the new head and tail. NOT MODELLED: KASAN, KFENCE, init_on_free, which need it.
    Kernel: mm/slub.c slab_free_freelist_hook()
    """
    following, new_head = head, NULL
    while True:
        obj, following = following, get_freepointer(slab, following)
        set_freepointer(slab, obj, new_head)
        new_head = obj
        if obj == tail:
            return new_head, head
