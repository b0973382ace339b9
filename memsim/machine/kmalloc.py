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

from memsim.lib.bits import get_order
from memsim.machine.checks import (
    check_cache_name,
    check_cache_numbers,
    check_cpu,
    check_gfp_mask,
    check_not_reserved,
    check_switch,
    whole,
)
from memsim.machine.slab import SlabRequests
from memsim.mm import kmalloc, kmalloc_caches
from memsim.mm.mmzone import Vm
from memsim.mm.show_mem import allocation_failure_report
from memsim.mm.slub.bulk import kmem_cache_alloc_bulk
from memsim.mm.slub.kmem_cache import address_of
from memsim.mm.slub.slab import KmemCache
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import __GFP_COMP, __GFP_NOWARN, __GFP_ZERO, GFP_KERNEL, show_gfp_flags
from memsim.words.slab import (
    KMALLOC_MAX_CACHE_SIZE,
    KMALLOC_MAX_SIZE,
    NULL_PTR,
    NUMA_NO_NODE,
)

_MAX_BULK = 1 << 16
_MAX_SIZE_T = (1 << 64) - 1


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

        Above 8 KiB it is a block of pages. buckets: what kmem_buckets_create() gave, or -1.
        caller: the address of the code that asks, which chooses among random copies; or 0, and
        called_from() has said it.
        PageAllocationFailure when there is no memory, and above 4 MiB. Kernel: kmalloc_node()
        """
        self._check_kmalloc(size, gfp_mask, cpu, nid)
        self._check_buckets(buckets)
        site = self._site(caller)
        return self._address(
            "kmalloc", size, gfp_mask, cpu, nid,
            lambda: kmalloc.kmalloc(self.vm, size, gfp_mask, nid, buckets, site),
        )  # fmt: skip

    def kmalloc_array(
        self,
        n: int,
        size: int,
        gfp_mask: int = GFP_KERNEL,
        *,
        cpu: int = 0,
        nid: int = NUMA_NO_NODE,
    ) -> int:
        """The address of n times size bytes. PageAllocationFailure if that is over 64 bits.

        Kernel: include/linux/slab.h kmalloc_array_node()
        """
        for name, value in (("n", n), ("size", size)):
            whole(name, value)
            if value < 0:
                raise BadRequest(f"{name}={value}: should be 0 or more")
        self._check_kmalloc(0, gfp_mask, cpu, nid)
        if n * size > _MAX_SIZE_T:
            text = f"kmalloc_array({n}, {size}): {n * size} bytes overflow 64 bits"
            raise PageAllocationFailure(text, "")
        return self.kmalloc(n * size, gfp_mask, cpu=cpu, nid=nid)

    def kcalloc(
        self,
        n: int,
        size: int,
        gfp_mask: int = GFP_KERNEL,
        *,
        cpu: int = 0,
        nid: int = NUMA_NO_NODE,
    ) -> int:
        """kmalloc_array() of zeros. Kernel: include/linux/slab.h kcalloc_node()."""
        check_gfp_mask(gfp_mask)
        return self.kmalloc_array(n, size, _zeroed(gfp_mask), cpu=cpu, nid=nid)

    def kfree(self, address: int, *, cpu: int = 0) -> None:
        """Free what kmalloc() or kmem_cache_alloc() gave; 0 and ZERO_SIZE_PTR free nothing.

        BadFree says what is wrong with an address; KernelBug for an object that is first on its
        freelist already. Kernel: mm/slub.c kfree()
        """
        self._check_free(address, cpu)
        site = self._site()
        self._do(
            f"kfree({address:#x})", cpu, lambda: (kmalloc.kfree(self.vm, address, site), None)[1]
        )

    def kfree_sensitive(self, address: int, *, cpu: int = 0) -> None:
        """kfree(), with zeros written over the memory first. Kernel: kfree_sensitive()."""
        self._check_free(address, cpu)
        name = f"kfree_sensitive({address:#x})"
        self._do(name, cpu, lambda: (kmalloc.kfree_sensitive(self.vm, address), None)[1])

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
        self._check_free(address, cpu)
        site = self._site(caller)
        return self._address(
            f"krealloc of {address:#x}", new_size, gfp_mask, cpu, NUMA_NO_NODE,
            lambda: kmalloc.krealloc(self.vm, address, new_size, gfp_mask, site)[0],
        )  # fmt: skip

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

    def kmalloc_size_roundup(self, size: int) -> int:
        """Bytes that kmalloc(size) really gives. Kernel: kmalloc_size_roundup()."""
        self._check_kmalloc(size, GFP_KERNEL, 0, NUMA_NO_NODE)
        return kmalloc.kmalloc_size_roundup(self._state(), size)

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
        self._state()
        check_cache_name(name)
        numbers = {"flags": flags, "useroffset": useroffset, "usersize": usersize}
        check_cache_numbers({"object_size": 8, "align": 0} | numbers)
        check_switch("ctor", ctor, BadRequest)
        arguments = (name, flags, useroffset, usersize, ctor)
        (got,) = self._do(
            f"kmem_buckets_create({name!r})",
            0,
            lambda: (kmalloc_caches.kmem_buckets_create(self.vm, *arguments),),
        )
        return self._made(got if got >= 0 else None, got, f"kmem_buckets_create({name!r})")

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
        site = self._site()
        objects = self._do(
            name, cpu, lambda: tuple(kmem_cache_alloc_bulk(cache, gfp_mask, nr, site))
        )
        return [address_of(obj) for obj in objects]

    def _check_kmalloc(self, size: int, gfp_mask: int, cpu: int, nid: int) -> None:
        self._state()
        whole("size", size)
        if size < 0:
            raise BadRequest(f"size={size}: should be 0 bytes or more")
        self._check_slab_request(gfp_mask, cpu, nid)

    def _check_buckets(self, buckets: int) -> None:
        """Is this a set that was made, and not taken back?"""
        whole("buckets", buckets)
        state = self._state()
        known = -1 <= buckets < len(state.buckets)
        caches = state.buckets[buckets].values() if known and buckets >= 0 else ()
        if not known or any(s not in state.slab_caches for s in caches):
            raise BadRequest(f"buckets={buckets}: no such set of buckets")

    def _check_free(self, address: int, cpu: int) -> None:
        self._state()
        whole("address", address)
        check_cpu(self.vm, cpu)
        check_not_reserved(self.vm, address)
        wrong = kmalloc.not_freeable(self.vm, address)
        if wrong:
            self._refuse_free(address, cpu, wrong)

    def _address(
        self, name: str, size: int, gfp_mask: int, cpu: int, nid: int, call: Callable[[], int]
    ) -> int:
        """Do what gives an address; PageAllocationFailure where it gives none."""
        shown = f"{name}({size}, {show_gfp_flags(gfp_mask)})"
        (address,) = self._do(shown, cpu, lambda: (call(),))
        if address != NULL_PTR:
            return address
        if size <= KMALLOC_MAX_CACHE_SIZE:
            cache = kmalloc_caches.kmalloc_slab(self._state(), size, -1, gfp_mask)
            self._no_object(cache, gfp_mask, nid)
        report = _large_report(self.vm, size, gfp_mask)
        raise PageAllocationFailure(f"{shown}: no memory", report)


def _zeroed(gfp_mask: int) -> int:
    return gfp_mask | __GFP_ZERO


def _large_report(vm: Vm, size: int, gfp_mask: int) -> str:
    """What the kernel logs when there is no block of pages; it does not look for too large ones."""
    if size > KMALLOC_MAX_SIZE or gfp_mask & __GFP_NOWARN:
        return ""
    return allocation_failure_report(vm, gfp_mask | __GFP_COMP, get_order(size), "memsim")
