"""Objects by address, and the two calls that trace: kmem_cache_alloc() and kmem_cache_free().

Kernel: mm/slub.c kmem_cache_alloc_noprof(), virt_to_cache(), kmem_cache_free(); mm/slab.h
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT, signed
from memsim.mm.mmzone import Vm
from memsim.mm.slub.alloc import Object, free_objects_of, slab_alloc_node
from memsim.mm.slub.debug_requests import cache_from_obj
from memsim.mm.slub.debug_track import called_from
from memsim.mm.slub.free import slab_free
from memsim.mm.slub.memory import obj_to_ptr, ptr_to_obj
from memsim.mm.slub.slab import KmemCache, Slab, SlabState, kmem_cache_debug
from memsim.trace.events import (
    KMEM_CACHE_ALLOC,
    KMEM_CACHE_FREE,
    TP_KMEM_CACHE_ALLOC,
    TP_KMEM_CACHE_FREE,
)
from memsim.trace.slab_events import is_accounted
from memsim.words.mmzone import NULL
from memsim.words.slab import NULL_PTR, PAGE_OFFSET, SLAB_ACCOUNT

_NO_SLAB_PAGE = "virt_to_cache: Object is not a Slab page!"


def address_of(obj: Object | None) -> int:
    """Where an object begins, NULL_PTR for none. Kernel: the direct mapping, without KASLR."""
    if obj is None:
        return NULL_PTR
    slab, index = obj
    if index < NULL:
        return obj_to_ptr(slab, index)
    s = slab.slab_cache
    return PAGE_OFFSET + (slab.pfn << PAGE_SHIFT) + s.red_left_pad + index * s.size


def virt_to_slab(state: SlabState, address: int) -> Slab | None:
    """The slab that holds this address. Kernel: mm/slab.h virt_to_slab()."""
    return state.page_slab.get(address - PAGE_OFFSET >> PAGE_SHIFT)


def virt_to_cache(state: SlabState, address: int) -> KmemCache | None:
    """The cache of the object at this address; where there is none, the kernel warns, once.

    Kernel: mm/slub.c virt_to_cache()
    """
    slab = virt_to_slab(state, address)
    if slab is not None:
        return slab.slab_cache
    if _NO_SLAB_PAGE not in state.log:
        state.log.append(_NO_SLAB_PAGE)
    return None


def object_at(slab: Slab, address: int) -> tuple[int, str]:
    """(the object in use that begins here, ""), or (-1, what is wrong with the address).

    Caches that debug take any address, and report it themselves.
    """
    s = slab.slab_cache
    if kmem_cache_debug(s):
        return ptr_to_obj(slab, address), ""
    index, inside = divmod(address - address_of((slab, 0)), s.size)
    if inside or not 0 <= index < slab.objects:
        return -1, f"is not the start of an object of cache {s.name}"
    if index in free_objects_of(slab):
        return -1, f"is an object of cache {s.name} that is free already"
    return index, ""


def is_first_free(state: SlabState, address: int, cpu: int) -> bool:
    """Is it the object that a free on this CPU finds first on the list, and the kernel dies of?

    Kernel: mm/slub.c set_freepointer(), with CONFIG_SLAB_FREELIST_HARDENED
    """
    slab = virt_to_slab(state, address)
    if slab is None:
        return False
    c = slab.slab_cache.cpu_slab[cpu]
    first = c.freelist if c.slab is slab else slab.freelist
    return first != NULL and address == address_of((slab, first))


def kmem_cache_alloc(s: KmemCache, gfpflags: int, node: int, call_site: int = 0) -> Object | None:
    """An object of the cache; the event is fired at the end, after those of the page allocator.

    call_site: a number of Trace.names. Kernel: mm/slub.c kmem_cache_alloc_node_noprof()
    """
    called_from(s, call_site)
    obj = slab_alloc_node(s, gfpflags, node)
    if s.vm.trace.mask & TP_KMEM_CACHE_ALLOC:
        accounted = is_accounted(gfpflags) or (s.flags & SLAB_ACCOUNT) != 0
        s.vm.trace.emit(
            KMEM_CACHE_ALLOC, call_site, signed(address_of(obj)), s.object_size, s.size, gfpflags,
            node << 1 | accounted,
        )  # fmt: skip
    return obj


def kmem_cache_free(s: KmemCache, address: int, call_site: int = 0) -> str:
    """Free an object; "" or what is wrong with the address, and then nothing was done.

    An object of another cache goes back to that cache, after a warning; what is in no slab is
    warned of and left alone. Neither is an error here. Kernel: mm/slub.c kmem_cache_free()
    """
    slab = virt_to_slab(s.vm.slab, address)
    if slab is None:
        virt_to_cache(s.vm.slab, address)
        return ""
    index, wrong = object_at(slab, address)
    if not wrong:
        cachep = cache_from_obj(s, slab, index)
        trace_kmem_cache_free(s.vm, cachep, address, call_site)
        called_from(cachep, call_site)
        slab_free(cachep, slab, index)
    return wrong


def trace_kmem_cache_free(vm: Vm, s: KmemCache, address: int, call_site: int) -> None:
    """Fire kmem_cache_free: it names the cache. Kernel: trace_kmem_cache_free()."""
    if vm.trace.mask & TP_KMEM_CACHE_FREE:
        name = vm.trace.number_of(s.name)
        vm.trace.emit(KMEM_CACHE_FREE, call_site, signed(address), name)
