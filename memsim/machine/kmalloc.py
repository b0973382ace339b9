"""Requests by size: kmalloc(), kfree(), krealloc(), ksize(). Memory is its address.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", slab=True)
>>> address = machine.kmalloc(100)
>>> machine.ksize(address)
128
>>> machine.kfree(address)
"""

from __future__ import annotations

from collections.abc import Callable

from memsim.machine.checks import check_cpu, check_request, whole
from memsim.machine.slab import SlabRequests
from memsim.mm import kmalloc
from memsim.mm.slub.bulk import kmem_cache_alloc_bulk
from memsim.mm.slub.kmem_cache import address_of
from memsim.mm.slub.slab import KmemCache
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_KERNEL, show_gfp_flags
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE

_MAX_BULK = 1 << 16


class KmallocRequests(SlabRequests):
    """The part of a Machine that hands out memory by size; only where it has slab=True."""

    def kmalloc(
        self,
        size: int,
        gfp_mask: int = GFP_KERNEL,
        *,
        cpu: int = 0,
        nid: int = NUMA_NO_NODE,
        buckets: int = -1,
    ) -> int:
        """The address of size bytes; ZERO_SIZE_PTR, which is 16, for none of them.

        Above 8 KiB it is a block of pages. buckets: a set of caches of their own, by its number.
        PageAllocationFailure when there is no memory, and above 4 MiB. Kernel: kmalloc_node()
        """
        self._check_kmalloc(size, gfp_mask, cpu, nid)
        whole("buckets", buckets)
        if not -1 <= buckets < len(self._state().buckets):
            raise BadRequest(f"buckets={buckets}: no such set of buckets")
        name = f"kmalloc({size}, {show_gfp_flags(gfp_mask)})"
        return self._address(
            name, cpu, lambda: kmalloc.kmalloc(self.vm, size, gfp_mask, nid, buckets)
        )

    def kfree(self, address: int, *, cpu: int = 0) -> None:
        """Free what kmalloc() or kmem_cache_alloc() gave; 0 and ZERO_SIZE_PTR free nothing.

        BadFree says what is wrong with an address. Kernel: mm/slub.c kfree()
        """
        self._state()
        whole("address", address)
        check_cpu(self.vm, cpu)
        wrong = kmalloc.not_freeable(self.vm, address)
        if wrong:
            raise BadFree(f"address {address:#x} {wrong}")
        self._do(f"kfree({address:#x})", cpu, lambda: kmalloc.kfree(self.vm, address))

    def krealloc(
        self, address: int, new_size: int, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0
    ) -> int:
        """The address of new_size bytes: the same if they fit. Kernel: krealloc_noprof().

        After PageAllocationFailure the old memory is still there.
        """
        self._check_kmalloc(new_size, gfp_mask, cpu, NUMA_NO_NODE)
        whole("address", address)
        wrong = kmalloc.not_freeable(self.vm, address)
        if wrong:
            raise BadFree(f"address {address:#x} {wrong}")
        name = f"krealloc({address:#x}, {new_size}, {show_gfp_flags(gfp_mask)})"
        return self._address(
            name, cpu, lambda: kmalloc.krealloc(self.vm, address, new_size, gfp_mask)[0]
        )

    def ksize(self, address: int) -> int:
        """Bytes that may be used at this address; a cache that debugs then takes all as asked for.

        Kernel: mm/slab_common.c ksize()
        """
        self._state()
        whole("address", address)
        wrong = kmalloc.not_freeable(self.vm, address)
        if wrong:
            raise BadRequest(f"address {address:#x} {wrong}")
        (size,) = self._do(f"ksize({address:#x})", 0, lambda: (kmalloc.ksize(self.vm, address),))
        return size

    def kmem_cache_alloc_bulk(
        self, cache: KmemCache, nr: int, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0
    ) -> list[int]:
        """The addresses of nr objects, or of none when memory is short.

        Kernel: mm/slub.c kmem_cache_alloc_bulk_noprof()
        """
        self._check_cache(cache)
        self._check_slab_request(gfp_mask, cpu, NUMA_NO_NODE)
        whole("nr", nr)
        if not 0 <= nr <= _MAX_BULK:
            raise BadRequest(f"nr={nr}: should be 0 to {_MAX_BULK}")
        name = f"kmem_cache_alloc_bulk({cache.name}, {nr})"
        objects = self._do(name, cpu, lambda: tuple(kmem_cache_alloc_bulk(cache, gfp_mask, nr)))
        return [address_of(obj) for obj in objects]

    def _check_kmalloc(self, size: int, gfp_mask: int, cpu: int, nid: int) -> None:
        self._state()
        whole("size", size)
        if size < 0:
            raise BadRequest(f"size={size}: should be 0 bytes or more")
        check_request(self.vm, gfp_mask, 0, cpu, 0)
        self._check_slab_request(gfp_mask, cpu, nid)

    def _address(self, name: str, cpu: int, call: Callable[[], int]) -> int:
        """Do what gives an address; PageAllocationFailure where it gives none."""
        (address,) = self._do(name, cpu, lambda: (call(),))
        if address == NULL_PTR:
            raise PageAllocationFailure(f"{name}: no memory", "")
        return address
