"""Memory pools: elements set aside, so that who must not fail waits for one at worst.

An element is a block of pages (its pfn), or an object or kmalloc() memory (its address).
NOT MODELLED: the wait itself, in which the task sleeps until somebody frees an element, five
seconds at most; pools on kvmalloc(); other users' functions; the poison that pools write where
CONFIG_SLUB_DEBUG_ON is set; without slab, the memory of the pool itself.

Kernel: mm/mempool.c
"""

from __future__ import annotations

from collections.abc import Iterator

from memsim.lib.bits import signed
from memsim.mm.kmalloc import kfree, kmalloc
from memsim.mm.mempolicy import alloc_pages_noprof
from memsim.mm.mmzone import PG_INUSE, PG_ORDER, Vm
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.slub.kmem_cache import address_of, kmem_cache_alloc, kmem_cache_free
from memsim.mm.slub.slab import KmemCache
from memsim.trace.events import TP_STEPS
from memsim.trace.mempool_steps import (
    MEMPOOL_ADD,
    MEMPOOL_FIELD,
    MEMPOOL_FIELD_NAMES,
    MEMPOOL_REMOVE,
    MempoolAdd,
    MempoolField,
    MempoolStep,
)
from memsim.words.errno import ENOMEM
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_IO,
    __GFP_NOMEMALLOC,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_ZERO,
    GFP_KERNEL,
)
from memsim.words.mmzone import NULL
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE

#: sizeof(mempool_t), and of a pointer, on x86-64.
SIZEOF_MEMPOOL = 72
SIZEOF_POINTER = 8


class Mempool:
    """struct mempool_s: `elements` are those in reserve, curr_nr of them; min_nr there should be.

    Its elements are pages of an order, objects of a cache, or size bytes of kmalloc(): one of the
    three is set. address and elements_address: where the struct and its array lie; NULL_PTR where
    there is no slab.
    """

    __slots__ = (
        "address", "cache", "elements", "elements_address", "exists", "id", "min_nr", "order",
        "size", "vm",
    )  # fmt: skip

    def __init__(
        self, vm: Vm, order: int | None, cache: KmemCache | None, size: int | None
    ) -> None:
        self.vm = vm
        self.id = len(vm.mempools)
        self.order, self.cache, self.size = order, cache, size
        self.exists = self.min_nr = 0
        self.elements: list[int] = []
        self.address = self.elements_address = NULL_PTR
        vm.mempools.append(self)

    @property
    def curr_nr(self) -> int:
        """Elements in reserve."""
        return len(self.elements)


def _set_field(pool: Mempool, field: str, value: int) -> None:
    """Give a number of a pool, one of MEMPOOL_FIELD_NAMES, this value."""
    old = getattr(pool, field)
    if old != value and pool.vm.trace.mask & TP_STEPS:
        index = MEMPOOL_FIELD_NAMES.index(field)
        pool.vm.trace.step(MEMPOOL_FIELD, pool.id, index, signed(old), signed(value))
    setattr(pool, field, value)


def add_element(pool: Mempool, element: int) -> None:
    """Set an element aside. Kernel: mm/mempool.c add_element()."""
    if pool.vm.trace.mask & TP_STEPS:
        pool.vm.trace.step(MEMPOOL_ADD, pool.id, signed(element))
    pool.elements.append(element)


def remove_element(pool: Mempool) -> int:
    """Take the element that was set aside last. Kernel: mm/mempool.c remove_element()."""
    element = pool.elements.pop()
    if pool.vm.trace.mask & TP_STEPS:
        pool.vm.trace.step(MEMPOOL_REMOVE, pool.id, signed(element))
    return element


def apply_mempool_step(vm: Vm, step: MempoolStep, backwards: bool) -> None:
    """Do a step again, or undo it."""
    if step.pool >= len(vm.mempools):
        return  # a machine made from a snapshot has no pools
    pool = vm.mempools[step.pool]
    if isinstance(step, MempoolField):
        setattr(pool, step.field, step.old if backwards else step.new)
    elif isinstance(step, MempoolAdd) != backwards:
        pool.elements.append(step.element)
    else:
        pool.elements.pop()


# Elements


def alloc_fn(pool: Mempool, gfp_mask: int) -> int:
    """A new element from the allocator behind the pool, or NULL.

    Kernel: mm/mempool.c mempool_alloc_pages(), mempool_alloc_slab(), mempool_kmalloc()
    """
    vm = pool.vm
    if pool.order is not None:
        return alloc_pages_noprof(vm, gfp_mask, pool.order)
    if pool.cache is not None:
        site = vm.trace.number_of("mempool_alloc_slab")
        address = address_of(kmem_cache_alloc(pool.cache, gfp_mask, NUMA_NO_NODE, site))
    else:
        site = vm.trace.number_of("mempool_kmalloc")
        address = kmalloc(vm, pool.size or 0, gfp_mask, NUMA_NO_NODE, -1, site)
    return NULL if address == NULL_PTR else address


def free_fn(pool: Mempool, element: int) -> None:
    """Give an element back to the allocator behind the pool.

    Kernel: mm/mempool.c mempool_free_pages(), mempool_free_slab(), mempool_kfree()
    """
    vm = pool.vm
    if pool.order is not None:
        free_unref_page(vm, element, pool.order)
    elif pool.cache is not None:
        kmem_cache_free(pool.cache, element, vm.trace.number_of("mempool_free_slab"))
    else:
        kfree(vm, element, vm.trace.number_of("mempool_kfree"))


# Pools


def mempool_create(
    vm: Vm, min_nr: int, order: int | None, cache: KmemCache | None, size: int | None
) -> Mempool | None:
    """A pool with min_nr elements in reserve; None where there is no memory for all of them.

    Kernel: mm/mempool.c mempool_create_node_noprof(), mempool_init_node()
    """
    pool = Mempool(vm, order, cache, size)
    _set_field(pool, "exists", 1)
    if not _alloc_own_memory(pool, min_nr):
        mempool_destroy(pool)
        return None
    _set_field(pool, "min_nr", min_nr)
    while pool.curr_nr < pool.min_nr:
        element = alloc_fn(pool, GFP_KERNEL)
        if element == NULL:
            mempool_destroy(pool)
            return None
        add_element(pool, element)
    return pool


def _alloc_own_memory(pool: Mempool, min_nr: int) -> bool:
    """Memory for the struct and for its array, where slab has it to give."""
    vm = pool.vm
    if not hasattr(vm, "slab"):
        return True
    site = vm.trace.number_of("mempool_create_node_noprof")
    struct = kmalloc(vm, SIZEOF_MEMPOOL, GFP_KERNEL | __GFP_ZERO, NUMA_NO_NODE, -1, site)
    _set_field(pool, "address", struct)
    if struct == NULL_PTR:
        return False
    site = vm.trace.number_of("mempool_init_node")
    array = kmalloc(vm, min_nr * SIZEOF_POINTER, GFP_KERNEL, NUMA_NO_NODE, -1, site)
    _set_field(pool, "elements_address", array)
    return array != NULL_PTR


def mempool_destroy(pool: Mempool) -> None:
    """Give the reserve back, and the pool. Elements that are out are their users' affair.

    Kernel: mm/mempool.c mempool_destroy(), mempool_exit()
    """
    while pool.elements:
        free_fn(pool, remove_element(pool))
    for field, caller in (("elements_address", "mempool_exit"), ("address", "mempool_destroy")):
        address = getattr(pool, field)
        if address != NULL_PTR:
            kfree(pool.vm, address, pool.vm.trace.number_of(caller))
            _set_field(pool, field, NULL_PTR)
    _set_field(pool, "min_nr", 0)
    _set_field(pool, "exists", 0)


def mempool_resize(pool: Mempool, new_min_nr: int) -> int:
    """Keep more elements in reserve, or fewer: 0, or -ENOMEM and nothing is changed.

    Where there is no memory for all of them it has fewer, and mempool_free() fills it up.
    Kernel: mm/mempool.c mempool_resize()
    """
    if new_min_nr <= pool.min_nr:
        while new_min_nr < pool.curr_nr:
            free_fn(pool, remove_element(pool))
        _set_field(pool, "min_nr", new_min_nr)
        return 0
    if not _grow_array(pool, new_min_nr):
        return -ENOMEM
    _set_field(pool, "min_nr", new_min_nr)
    while pool.curr_nr < pool.min_nr:
        element = alloc_fn(pool, GFP_KERNEL)
        if element == NULL:
            break
        add_element(pool, element)
    return 0


def _grow_array(pool: Mempool, new_min_nr: int) -> bool:
    """A larger array for the elements, and the old one freed."""
    vm = pool.vm
    if not hasattr(vm, "slab"):
        return True
    site = vm.trace.number_of("mempool_resize")
    array = kmalloc(vm, new_min_nr * SIZEOF_POINTER, GFP_KERNEL, NUMA_NO_NODE, -1, site)
    if array == NULL_PTR:
        return False
    kfree(vm, pool.elements_address, site)
    _set_field(pool, "elements_address", array)
    return True


# Asking


def mempool_alloc(pool: Mempool, gfp_mask: int) -> tuple[int, bool]:
    """(an element or NULL, would the task sleep for one?).

    First from the allocator without waiting, then from the reserve, then from the allocator with
    all that the mask allows. Emergency reserves are for others.
    Kernel: mm/mempool.c mempool_alloc_noprof()
    """
    gfp_mask |= __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN
    gfp_temp = gfp_mask & ~(__GFP_DIRECT_RECLAIM | __GFP_IO)
    for gfp in dict.fromkeys((gfp_temp, gfp_mask)):
        element = alloc_fn(pool, gfp)
        if element != NULL:
            return element, False
        if pool.elements:
            return remove_element(pool), False
    return NULL, (gfp_mask & __GFP_DIRECT_RECLAIM) != 0


def mempool_alloc_preallocated(pool: Mempool) -> int:
    """An element of the reserve, or NULL. Kernel: mm/mempool.c mempool_alloc_preallocated()."""
    return remove_element(pool) if pool.elements else NULL


def mempool_free(pool: Mempool, element: int) -> None:
    """Fill the reserve up first; what it does not need goes back to the allocator.

    Kernel: mm/mempool.c mempool_free()
    """
    if pool.curr_nr < pool.min_nr:
        add_element(pool, element)
    else:
        free_fn(pool, element)


def pool_with(vm: Vm, element: int) -> Mempool | None:
    """The pool that has this element in reserve."""
    return next((pool for pool in vm.mempools if element in pool.elements), None)


def broken_mempools(vm: Vm) -> Iterator[str]:
    """A pool has at most min_nr elements, each once, and each page of them is allocated."""
    for pool in vm.mempools:
        if pool.curr_nr > pool.min_nr or (pool.elements and not pool.exists):
            yield f"mempool {pool.id}: {pool.curr_nr} elements, min_nr is {pool.min_nr}"
        if len(set(pool.elements)) != pool.curr_nr:
            yield f"mempool {pool.id}: an element is there twice"
        if pool.order is not None:
            state = PG_INUSE | pool.order
            for pfn in pool.elements:
                if vm.page_state[pfn] & (PG_INUSE | PG_ORDER) != state:
                    yield f"mempool {pool.id}: pfn {pfn} is not an allocated block"
