"""Memory pools: mempool_create(), mempool_alloc() and what belongs to them.

>>> from memsim import Machine
>>> machine = Machine("64 MiB")
>>> pool = machine.mempool_create(4, order=1)
>>> pfn = machine.mempool_alloc(pool)
>>> pool.curr_nr                     # the page allocator had a block: none of the reserve was taken
4
>>> machine.mempool_free(pfn, pool)
>>> machine.mempool_destroy(pool)
"""

from __future__ import annotations

from memsim.machine.checks import check_cpu, check_free, check_order, check_request, whole
from memsim.machine.kvmalloc import KvmallocRequests
from memsim.mm import mempool
from memsim.mm.mempool import Mempool
from memsim.mm.slub.slab import KmemCache
from memsim.trace.mempool_steps import shown
from memsim.words.errors import BadFree, BadRequest, KernelBug, PageAllocationFailure
from memsim.words.gfp import __GFP_ZERO, GFP_KERNEL, show_gfp_flags
from memsim.words.mmzone import NULL
from memsim.words.slab import KMALLOC_MAX_CACHE_SIZE, KMALLOC_MAX_SIZE

_MAX_NR = 1 << 16
#: Kernel: mm/mempool.c mempool_resize(), its BUG_ON()
RESIZE_BUG = "kernel BUG at mm/mempool.c:334!"


class MempoolRequests(KvmallocRequests):
    """The part of a Machine that has pools of pages, of objects, and of kmalloc() memory."""

    def mempool_create(
        self,
        min_nr: int,
        *,
        order: int | None = None,
        cache: KmemCache | None = None,
        size: int | None = None,
        cpu: int = 0,
    ) -> Mempool:
        """A pool with min_nr elements in reserve: blocks of an order, objects, or size bytes each.

        PageAllocationFailure where there is no memory for them. Kernel: mm/mempool.c
        mempool_create(), include/linux/mempool.h mempool_create_page_pool(),
        mempool_create_slab_pool(), mempool_create_kmalloc_pool()
        """
        check_cpu(self.vm, cpu)
        self._check_nr("min_nr", min_nr)
        kind = self._check_kind(order, cache, size)
        name = f"mempool_create({min_nr}, {kind})"
        pool = self._do(
            name, cpu, lambda: mempool.mempool_create(self.vm, min_nr, order, cache, size)
        )
        if pool is None:
            raise PageAllocationFailure(f"{name}: no memory for all elements", "")
        return pool

    def mempool_destroy(self, pool: Mempool, *, cpu: int = 0) -> None:
        """Give the reserve and the pool back, not what is in use. Kernel: mempool_destroy()."""
        self._check_pool(pool, cpu)
        self._do(f"mempool_destroy({pool.id})", cpu, lambda: mempool.mempool_destroy(pool))

    def mempool_resize(self, pool: Mempool, new_min_nr: int, *, cpu: int = 0) -> None:
        """Keep more elements in reserve, or fewer. KernelBug for none at all.

        PageAllocationFailure where the pool could not even get a larger array.
        Kernel: mm/mempool.c mempool_resize()
        """
        self._check_pool(pool, cpu)
        whole("new_min_nr", new_min_nr)
        if new_min_nr <= 0:
            raise KernelBug(RESIZE_BUG)
        self._check_nr("new_min_nr", new_min_nr)
        name = f"mempool_resize({pool.id}, {new_min_nr})"
        (error,) = self._do(name, cpu, lambda: (mempool.mempool_resize(pool, new_min_nr),))
        if error:
            raise PageAllocationFailure(f"{name} failed with error {error}: no memory", "")

    def mempool_alloc(self, pool: Mempool, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0) -> int:
        """An element: of the allocator behind the pool, or of its reserve; a pfn or an address.

        PageAllocationFailure where neither has one: it says whether the task would sleep.
        Kernel: mm/mempool.c mempool_alloc_noprof()
        """
        self._check_pool(pool, cpu)
        check_request(self.vm, gfp_mask, 0, cpu, 0)
        _check_not_zeroed(gfp_mask)
        name = f"mempool_alloc({pool.id}, {show_gfp_flags(gfp_mask)})"
        element, sleeps = self._do(name, cpu, lambda: mempool.mempool_alloc(pool, gfp_mask))
        if element != NULL:
            return element
        if sleeps:
            raise PageAllocationFailure(
                f"{name}: the task sleeps: the reserve is empty; free an element, then ask again",
                "",
            )
        raise PageAllocationFailure(f"{name}: the reserve is empty, and the mask may not sleep", "")

    def mempool_alloc_preallocated(self, pool: Mempool, *, cpu: int = 0) -> int:
        """An element of the reserve alone. Kernel: mm/mempool.c mempool_alloc_preallocated()."""
        self._check_pool(pool, cpu)
        name = f"mempool_alloc_preallocated({pool.id})"
        (element,) = self._do(name, cpu, lambda: (mempool.mempool_alloc_preallocated(pool),))
        if element == NULL:
            raise PageAllocationFailure(f"{name}: the reserve is empty", "")
        return element

    def mempool_free(self, element: int, pool: Mempool, *, cpu: int = 0) -> None:
        """Give an element back: to the reserve while that is short of some. Kernel: mempool_free().

        BadFree for what is no element of such a pool, or is in a reserve already.
        """
        self._check_pool(pool, cpu)
        self._check_element(element, pool, cpu)
        name = f"mempool_free({shown(element)}, {pool.id})"
        self._do(name, cpu, lambda: mempool.mempool_free(pool, element))

    # Inside

    def _check_nr(self, name: str, nr: int) -> None:
        whole(name, nr)
        if not 0 <= nr <= _MAX_NR:
            raise BadRequest(f"{name}={nr}: should be 0 to {_MAX_NR}")

    def _check_kind(self, order: int | None, cache: KmemCache | None, size: int | None) -> str:
        """What its elements are, in words."""
        if sum(what is not None for what in (order, cache, size)) != 1:
            raise BadRequest("mempool_create(): should have one of order=, cache= and size=")
        if order is not None:
            check_order(order)
            return f"order={order}"
        if cache is not None:
            self._check_cache(cache)
            if cache.ctor:
                raise BadRequest(f"cache {cache.name} has a ctor: no pool may have such objects")
            return f"cache={cache.name}"
        self._state()
        whole("size", size)
        assert size is not None
        if not 1 <= size <= KMALLOC_MAX_SIZE:
            raise BadRequest(f"size={size}: should be 1 byte to {KMALLOC_MAX_SIZE}")
        return f"size={size}"

    def _check_pool(self, pool: Mempool, cpu: int) -> None:
        check_cpu(self.vm, cpu)
        if not isinstance(pool, Mempool) or pool.vm is not self.vm or not pool.exists:
            raise BadRequest("pool: should be a pool of this machine that was not destroyed")

    def _check_element(self, element: int, pool: Mempool, cpu: int) -> None:
        """BadFree unless it is in use, and of the kind that the pool has."""
        if pool.order is not None:
            check_free(self.vm, element, pool.order)
            return
        whole("element", element)
        self._check_free(element, cpu)
        slab = self.slab_at(element)
        if pool.cache is not None:
            fits = slab is not None and slab.slab_cache is pool.cache
        elif slab is None:
            fits = (pool.size or 0) > KMALLOC_MAX_CACHE_SIZE and self._page_at(element)
        else:
            fits = slab.slab_cache.object_size >= (pool.size or 0)
        if not fits:
            raise BadFree(f"element {element:#x} is none of mempool {pool.id}")


def _check_not_zeroed(gfp_mask: int) -> None:
    """BadRequest for what the kernel warns of: an element of the reserve is as its user left it."""
    if gfp_mask & __GFP_ZERO:
        raise BadRequest("gfp_mask: mempool_alloc() does not support __GFP_ZERO")
