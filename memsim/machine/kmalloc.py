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
from memsim.words.slab import KMALLOC_SIZES, NULL_PTR, NUMA_NO_NODE

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
        caller: int = 0,
    ) -> int:
        """The address of size bytes; ZERO_SIZE_PTR, which is 16, for none of them.

        Above 8 KiB it is a block of pages. buckets: a set that kmem_buckets_create() made, by its
        number. caller: the address of the code that asks, which chooses among random copies.
        PageAllocationFailure when there is no memory, and above 4 MiB. Kernel: kmalloc_node()
        """
        self._check_kmalloc(size, gfp_mask, cpu, nid)
        self._check_buckets(buckets)
        site = self._call_site(caller)
        name = f"kmalloc({size}, {show_gfp_flags(gfp_mask)})"
        return self._address(
            name, cpu, lambda: kmalloc.kmalloc(self.vm, size, gfp_mask, nid, buckets, site)
        )

    def kmem_buckets_create(
        self,
        name: str,
        flags: int = 0,
        useroffset: int = 0,
        usersize: int = 0,
        *,
        ctor: bool = False,
    ) -> int:
        """A set of caches NAME-8 to NAME-8k for one use alone: the number for kmalloc(buckets=).

        The kernel has msg_msg (flags=SLAB_ACCOUNT, useroffset=48, usersize=4048) and memdup_user
        (usersize=INT_MAX). BadRequest for what kmem_cache_create() refuses.
        Kernel: mm/slab_common.c kmem_buckets_create()
        """
        for what, value in (("flags", flags), ("useroffset", useroffset), ("usersize", usersize)):
            whole(what, value)
            if not 0 <= value < 1 << 32:
                raise BadRequest(f"{what}={value}: should be 0 to 2**32 - 1")
        for size in KMALLOC_SIZES:
            self._check_new_cache(f"{name}-{kmalloc.size_name(size)}", size, 0)
        arguments = (name, flags, useroffset, usersize, ctor)
        (number,) = self._do(
            f"kmem_buckets_create({name!r})",
            0,
            lambda: (kmalloc.kmem_buckets_create(self.vm, *arguments),),
        )
        if number < 0:
            raise BadRequest(f"kmem_buckets_create({name!r}) failed with error {number}")
        return number

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
        self,
        address: int,
        new_size: int,
        gfp_mask: int = GFP_KERNEL,
        *,
        cpu: int = 0,
        caller: int = 0,
    ) -> int:
        """The address of new_size bytes: the same if they fit. Kernel: krealloc_noprof().

        After PageAllocationFailure the old memory is still there.
        """
        self._check_kmalloc(new_size, gfp_mask, cpu, NUMA_NO_NODE)
        whole("address", address)
        wrong = kmalloc.not_freeable(self.vm, address)
        if wrong:
            raise BadFree(f"address {address:#x} {wrong}")
        site = self._call_site(caller)
        name = f"krealloc({address:#x}, {new_size}, {show_gfp_flags(gfp_mask)})"
        return self._address(
            name, cpu, lambda: kmalloc.krealloc(self.vm, address, new_size, gfp_mask, site)[0]
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

    def _check_buckets(self, buckets: int) -> None:
        """Is this a set that was made, and not taken back?"""
        whole("buckets", buckets)
        state = self._state()
        known = -1 <= buckets < len(state.buckets)
        caches = state.buckets[buckets].values() if known and buckets >= 0 else ()
        if not known or any(s not in state.slab_caches for s in caches):
            raise BadRequest(f"buckets={buckets}: no such set of buckets")

    def _call_site(self, caller: int) -> int:
        """The number by which events name this address, as the kernel prints one without name."""
        whole("caller", caller)
        if not 0 <= caller < 1 << 64:
            raise BadRequest(f"caller={caller}: should be an address, 0 to 2**64 - 1")
        return self.vm.trace.number_of(f"{caller:#x}")

    def _address(self, name: str, cpu: int, call: Callable[[], int]) -> int:
        """Do what gives an address; PageAllocationFailure where it gives none."""
        (address,) = self._do(name, cpu, lambda: (call(),))
        if address == NULL_PTR:
            raise PageAllocationFailure(f"{name}: no memory", "")
        return address
