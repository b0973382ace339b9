"""How large an object gets with what is kept beside it, and how many fit into a slab.

Kernel: mm/slub.c calc_slab_order() to calculate_sizes()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE, align_down, align_up, fls, get_order
from memsim.mm.slub.slab import KmemCache
from memsim.words.gfp import __GFP_COMP, __GFP_DMA, __GFP_DMA32, __GFP_RECLAIMABLE
from memsim.words.mmzone import MAX_PAGE_ORDER
from memsim.words.slab import (
    MAX_PARTIAL,
    MIN_PARTIAL,
    OBJECT_POISON,
    SIZEOF_POINTER,
    SIZEOF_TRACK,
    SLAB_CACHE_DMA,
    SLAB_CACHE_DMA32,
    SLAB_DEBUG_FLAGS,
    SLAB_KMALLOC,
    SLAB_POISON,
    SLAB_RECLAIM_ACCOUNT,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLAB_TYPESAFE_BY_RCU,
    SLUB_MAX_ORDER,
)


def order_objects(order: int, size: int) -> int:
    """Objects of size bytes that fit into a block. Kernel: mm/slub.c order_objects()."""
    return (PAGE_SIZE << order) // size


def calc_slab_order(size: int, min_order: int, max_order: int, fract_leftover: int) -> int:
    """The smallest order that wastes at most 1 / fract_leftover; above max_order if none does.

    Kernel: mm/slub.c calc_slab_order()
    """
    for order in range(min_order, max_order + 1):
        slab_size = PAGE_SIZE << order
        if slab_size % size <= slab_size // fract_leftover:
            return order
    return max_order + 1


def calculate_order(size: int, nr_cpus: int) -> int:
    """Order of the slabs of a cache whose objects take size bytes; -1 if there is none.

    More CPUs want more objects in a slab; a sixteenth of it may be wasted, then an eighth, and
    so on. nr_cpus: those present. NOT MODELLED: MAX_OBJS_PER_PAGE, which takes larger pages.
    Kernel: mm/slub.c calculate_order(), calc_slab_order()
    """
    max_objects = max(order_objects(SLUB_MAX_ORDER, size), 1)
    min_objects = min(4 * (fls(nr_cpus) + 1), max_objects)
    min_order = get_order(min_objects * size)
    for fraction in (16, 8, 4, 2):
        order = calc_slab_order(size, min_order, SLUB_MAX_ORDER, fraction)
        if order <= SLUB_MAX_ORDER:
            return order
    order = get_order(size)
    return order if order <= MAX_PAGE_ORDER else -1


def calculate_sizes(s: KmemCache, freeptr_offset: int, nr_cpus: int) -> bool:
    """Set inuse, offset, red_left_pad, size, oo, min and allocflags; False if no slab fits.

    freeptr_offset: where a TYPESAFE_BY_RCU cache's objects have room for the free pointer, or -1.
    NOT MODELLED: KASAN's metadata. Kernel: mm/slub.c calculate_sizes()
    """
    if s.flags & SLAB_POISON and not s.flags & SLAB_TYPESAFE_BY_RCU and not s.ctor:
        s.flags |= OBJECT_POISON
    else:
        s.flags &= ~OBJECT_POISON
    s.inuse = _bytes_in_use(s)
    size = _place_free_pointer(s, freeptr_offset)
    size = align_up(size + _tracks(s) + _left_redzone(s), s.align)
    s.size = size
    order = calculate_order(size, nr_cpus)
    if order < 0:
        return False
    s.allocflags = _allocflags(s.flags)
    s.oo = (order, order_objects(order, size))
    s.min = (get_order(size), order_objects(get_order(size), size))
    return s.oo[1] > 0


def _bytes_in_use(s: KmemCache) -> int:
    """The object, and at least one byte of right red zone behind it if red zones are on."""
    size = align_up(s.object_size, SIZEOF_POINTER)
    if s.flags & SLAB_RED_ZONE and size == s.object_size:
        size += SIZEOF_POINTER
    return size


def _place_free_pointer(s: KmemCache, freeptr_offset: int) -> int:
    """In the middle of the object, or behind it where a free object keeps its bytes; the size."""
    rcu = bool(s.flags & SLAB_TYPESAFE_BY_RCU)
    if (rcu and freeptr_offset < 0) or _keeps_its_bytes(s):
        s.offset = s.inuse
        return s.inuse + SIZEOF_POINTER
    middle = align_down(s.object_size // 2, SIZEOF_POINTER)
    s.offset = freeptr_offset if rcu else middle
    return s.inuse


def _keeps_its_bytes(s: KmemCache) -> bool:
    if s.flags & SLAB_POISON or s.ctor:
        return True
    orig_size = s.flags & SLAB_STORE_USER and s.flags & SLAB_KMALLOC
    return bool(s.flags & SLAB_RED_ZONE and (s.object_size < SIZEOF_POINTER or orig_size))


def _tracks(s: KmemCache) -> int:
    """Bytes for who allocated and who freed, and for the size that kmalloc() was asked for."""
    if not s.flags & SLAB_STORE_USER:
        return 0
    return 2 * SIZEOF_TRACK + (SIZEOF_POINTER if s.flags & SLAB_KMALLOC else 0)


def _left_redzone(s: KmemCache) -> int:
    """Bytes of the red zone before the object, and of the padding behind everything."""
    s.red_left_pad = 0
    if not s.flags & SLAB_RED_ZONE:
        return 0
    s.red_left_pad = align_up(SIZEOF_POINTER, s.align)
    return SIZEOF_POINTER + s.red_left_pad


def _allocflags(flags: int) -> int:
    allocflags = __GFP_COMP
    allocflags |= __GFP_DMA if flags & SLAB_CACHE_DMA else 0
    allocflags |= __GFP_DMA32 if flags & SLAB_CACHE_DMA32 else 0
    return allocflags | (__GFP_RECLAIMABLE if flags & SLAB_RECLAIM_ACCOUNT else 0)


def set_min_partial(s: KmemCache) -> None:
    """How many slabs stay on a node's partial list though empty: 5 to 10, more for large objects.

    Kernel: mm/slub.c do_kmem_cache_create()
    """
    s.min_partial = max(MIN_PARTIAL, min(MAX_PARTIAL, (s.size.bit_length() - 1) // 2))


def set_cpu_partial(s: KmemCache) -> None:
    """How many objects, and how many slabs, a CPU may keep on its partial list.

    Kernel: mm/slub.c set_cpu_partial()
    """
    nr_objects = 0
    if not s.flags & SLAB_DEBUG_FLAGS:
        steps = ((PAGE_SIZE, 6), (1024, 24), (256, 52), (0, 120))
        nr_objects = next(nr for at_least, nr in steps if s.size >= at_least)
    s.cpu_partial = nr_objects
    s.cpu_partial_slabs = cpu_partial_slabs(s, nr_objects)


def cpu_partial_slabs(s: KmemCache, nr_objects: int) -> int:
    """Slabs that keep so many objects, if half of each is free. Kernel: slub_set_cpu_partial()."""
    return -(-nr_objects * 2 // s.oo[1])
