"""Partial slabs: the lists of nodes and of CPUs, and when an empty slab is given back.

Kernel: mm/slub.c add_partial() to put_cpu_partial()
"""

from __future__ import annotations

from memsim.lib.list import list_for_each
from memsim.mm.slub.freelist import get_freepointer
from memsim.mm.slub.pages import discard_slab
from memsim.mm.slub.slab import KmemCache, KmemCacheCpu, KmemCacheNode, Slab, get_node
from memsim.mm.slub.update import (
    add_partial,
    chain,
    remove_partial,
    set_freepointer,
    set_percpu_partial,
    slab_update_freelist,
    update_cpu_freelist,
)
from memsim.words.mmzone import NULL


def slabs_on(s: KmemCache, head: int) -> list[Slab]:
    """The slabs of a node's list, first to last."""
    by_id = s.vm.slab.by_id
    return [by_id[entry] for entry in list_for_each(s.vm.slab.next, head)]


def partial_slabs(s: KmemCache, n: KmemCacheNode) -> list[Slab]:
    """The node's partial slabs, first to last."""
    return slabs_on(s, n.partial)


def get_partial_node(s: KmemCache, n: KmemCacheNode | None) -> Slab | None:
    """The first partial slab of the node; more go to this CPU's partial list, up to half of it.

    NOT MODELLED: slabs in pages from the reserves (pfmemalloc).
    Kernel: mm/slub.c get_partial_node()
    """
    if n is None or not n.nr_partial:
        return None
    first: Slab | None = None
    more = 0
    for slab in partial_slabs(s, n):
        remove_partial(s, n, slab)
        if first is None:
            first = slab
            if not s.cpu_partial_slabs:
                break
            continue
        put_cpu_partial(s, slab, drain=False)
        more += 1
        if more > s.cpu_partial_slabs // 2:
            break
    return first


def put_cpu_partial(s: KmemCache, slab: Slab, drain: bool) -> None:
    """Put a slab on this CPU's partial list; a full list goes to the nodes' lists, if drain.

    Kernel: mm/slub.c put_cpu_partial()
    """
    c = s.cpu_slab[s.vm.cpu]
    oldslab = c.partial
    slab_to_put: Slab | None = None
    if oldslab is not None and drain and oldslab.slabs >= s.cpu_partial_slabs:
        slab_to_put, oldslab = oldslab, None
    chain(slab, oldslab, 1 + (oldslab.slabs if oldslab is not None else 0))
    set_percpu_partial(s, c, slab)
    if slab_to_put is not None:
        _put_partials(s, slab_to_put)


def _put_partials(s: KmemCache, partial_slab: Slab | None) -> None:
    """Move a chain of slabs to the tails of their nodes' lists; empty ones may be given back.

    Kernel: mm/slub.c __put_partials()
    """
    to_discard: list[Slab] = []
    while partial_slab is not None:
        slab, partial_slab = partial_slab, partial_slab.next
        chain(slab, None, 0)
        n = get_node(s, slab.nid)
        if not slab.inuse and n.nr_partial >= s.min_partial:
            to_discard.append(slab)
        else:
            add_partial(s, n, slab, tail=True)
    for slab in reversed(to_discard):
        discard_slab(s, slab)


def put_partials(s: KmemCache, c: KmemCacheCpu) -> None:
    """Move all of a CPU's partial slabs to the nodes' lists. Kernel: put_partials_cpu()."""
    partial_slab = c.partial
    set_percpu_partial(s, c, None)
    _put_partials(s, partial_slab)


def deactivate_slab(s: KmemCache, slab: Slab, freelist: int) -> None:
    """Unfreeze a slab that no CPU allocates from any more, and put it where it belongs.

    What was left of the lockless list goes in front of the slab's own freelist.
    Kernel: mm/slub.c deactivate_slab()
    """
    n = get_node(s, slab.nid)
    remote_frees = slab.freelist != NULL
    free_delta = 0
    if freelist == NULL:
        freelist = slab.freelist
    else:
        last, free_delta = freelist, 1
        while get_freepointer(slab, last) != NULL:
            last, free_delta = get_freepointer(slab, last), free_delta + 1
        set_freepointer(slab, last, slab.freelist)
    slab_update_freelist(slab, freelist, slab.inuse - free_delta, False)
    if not slab.inuse and n.nr_partial >= s.min_partial:
        discard_slab(s, slab)
    elif slab.freelist != NULL:
        add_partial(s, n, slab, tail=remote_frees)


def flush_slab(s: KmemCache, c: KmemCacheCpu) -> None:
    """Take the CPU's slab away from it. Kernel: mm/slub.c flush_slab()."""
    slab, freelist = c.slab, c.freelist
    update_cpu_freelist(s, c, None, NULL)
    if slab is not None:
        deactivate_slab(s, slab, freelist)
