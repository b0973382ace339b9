"""Requests to the slab allocator: caches, objects, kmalloc(). Objects are addresses.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", slab=True)
>>> cache = machine.kmem_cache_create("my_object", 100)
>>> obj = machine.kmem_cache_alloc(cache)
>>> machine.kmem_cache_free(cache, obj)
"""

from __future__ import annotations

from memsim.machine.checks import check_cpu, check_gfp_mask, whole
from memsim.machine.history import History
from memsim.mm import slab_common
from memsim.mm.slub import free, kmem_cache, shrink
from memsim.mm.slub.alloc import Object
from memsim.mm.slub.kmem_cache import address_of
from memsim.mm.slub.slab import KmemCache, Slab, SlabState
from memsim.mm.slub.validate import validate_caches
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_KERNEL, show_gfp_flags
from memsim.words.slab import NUMA_NO_NODE

_MAX_BULK = 1 << 16


class SlabRequests(History):
    """The part of a Machine that hands out objects; only where it was booted with slab=True."""

    def caches(self) -> list[KmemCache]:
        """Every cache, the newest first, as /proc/slabinfo lists them."""
        return list(self._state().slab_caches)

    def cache(self, name: str) -> KmemCache:
        """The cache of this name. BadRequest when there is none."""
        for s in self._state().slab_caches:
            if s.name == name:
                return s
        raise BadRequest(f"no cache {str(name)[:40]!r}")

    def kmem_cache_create(
        self,
        name: str,
        object_size: int,
        *,
        align: int = 0,
        flags: int = 0,
        useroffset: int = 0,
        usersize: int = 0,
        freeptr_offset: int = -1,
        ctor: bool = False,
    ) -> KmemCache:
        """A cache of objects of object_size bytes, perhaps an older one that is shared.

        Sizes and offsets are bytes; align is a power of two or 0. BadRequest for what the kernel
        refuses, and for a name that is taken. Kernel: mm/slab_common.c kmem_cache_create()
        """
        for what, value in (("object_size", object_size), ("align", align), ("flags", flags)):
            whole(what, value)
        self._check_new_cache(name, object_size, align)
        args = slab_common.KmemCacheArgs(align, useroffset, usersize, freeptr_offset, ctor)
        s, error = self._do(
            f"kmem_cache_create({name!r}, {object_size})",
            0,
            lambda: slab_common.kmem_cache_create(self.vm, name, object_size, flags, args),
        )
        if s is None:
            raise BadRequest(f"kmem_cache_create({name!r}) failed with error {error}")
        return s

    def _check_new_cache(self, name: str, object_size: int, align: int) -> None:
        taken = [s.name for s in self._state().slab_caches]
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) < 64:
            raise BadRequest(f"name={str(name)[:40]!r}: should be 1 to 63 printable characters")
        if name in taken or " " in name:
            raise BadRequest(f"name={name!r}: taken, or with a blank, which confuses parsers")
        if object_size < 1:
            raise BadRequest(f"object_size={object_size}: should be 1 byte or more")
        if align < 0 or align & (align - 1) or align > 1 << 22:
            raise BadRequest(f"align={align}: should be a power of two up to 4 MiB, or 0")

    def kmem_cache_destroy(self, cache: KmemCache) -> bool:
        """Let go of a cache. False, and a line in the log, when objects of it are in use.

        Kernel: mm/slab_common.c kmem_cache_destroy()
        """
        self._check_cache(cache)
        name = f"kmem_cache_destroy({cache.name})"
        return self._do(name, 0, lambda: slab_common.kmem_cache_destroy(cache))

    def kmem_cache_shrink(self, cache: KmemCache) -> bool:
        """Give empty slabs back; are any slabs left? Kernel: kmem_cache_shrink()."""
        self._check_cache(cache)
        name = f"kmem_cache_shrink({cache.name})"
        return self._do(name, 0, lambda: shrink.kmem_cache_shrink(cache))

    def kmem_cache_alloc(
        self, cache: KmemCache, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0, nid: int = NUMA_NO_NODE
    ) -> int:
        """An object's address. PageAllocationFailure when a slab was needed and no page was left.

        Kernel: mm/slub.c kmem_cache_alloc_noprof(), kmem_cache_alloc_node_noprof()
        """
        self._check_cache(cache)
        self._check_slab_request(gfp_mask, cpu, nid)
        name = f"kmem_cache_alloc({cache.name}, {show_gfp_flags(gfp_mask)})"
        got = self._do(name, cpu, lambda: kmem_cache.kmem_cache_alloc(cache, gfp_mask, nid))
        if got is None:
            raise PageAllocationFailure(f"no object of cache {cache.name}: no page for a slab", "")
        return address_of(got)

    def kmem_cache_free(self, cache: KmemCache, address: int, *, cpu: int = 0) -> None:
        """Give an object back. BadFree when address is no object of the cache that is in use.

        Kernel: mm/slub.c kmem_cache_free()
        """
        self._check_cache(cache)
        check_cpu(self.vm, cpu)
        self._object(cache, address)
        name = f"kmem_cache_free({cache.name}, {address:#x})"
        self._do(name, cpu, lambda: kmem_cache.kmem_cache_free(cache, address))

    def kmem_cache_free_bulk(self, addresses: list[int], *, cpu: int = 0) -> None:
        """Give objects of any caches back at once. Kernel: mm/slub.c kmem_cache_free_bulk()."""
        check_cpu(self.vm, cpu)
        objects = [self._object(None, address) for address in addresses]
        if len({(slab.pfn, obj) for slab, obj in objects}) != len(objects):
            raise BadFree("an object is in the batch twice")
        name = f"kmem_cache_free_bulk({len(objects)})"
        self._do(name, cpu, lambda: free.kmem_cache_free_bulk(objects))

    def slab_at(self, address: int) -> Slab | None:
        """The slab that holds this address. Kernel: mm/slab.h virt_to_slab()."""
        whole("address", address)
        return kmem_cache.virt_to_slab(self._state(), address)

    def validate_caches(self) -> None:
        """Check every invariant of mm/slub/validate.py; ValidationError names the broken one."""
        validate_caches(self.vm)

    # Inside

    def _state(self) -> SlabState:
        if not hasattr(self.vm, "slab"):
            raise BadRequest("this machine has no slab allocator: boot it with slab=True")
        return self.vm.slab

    def _check_cache(self, cache: KmemCache) -> None:
        if not isinstance(cache, KmemCache) or cache not in self._state().slab_caches:
            raise BadRequest("cache: should be a cache of this machine that was not taken away")

    def _check_slab_request(self, gfp_mask: int, cpu: int, nid: int) -> None:
        check_cpu(self.vm, cpu)
        check_gfp_mask(gfp_mask)
        whole("nid", nid)
        if not NUMA_NO_NODE <= nid < len(self.vm.nodes):
            raise BadRequest(f"nid={nid}: should be -1 to {len(self.vm.nodes) - 1}")

    def _object(self, cache: KmemCache | None, address: int) -> Object:
        """The object in use at this address, which must be its first byte."""
        slab = self.slab_at(address)
        if slab is None:
            raise BadFree(f"address {address:#x} is in no slab")
        s = slab.slab_cache
        if cache is not None and s is not cache:
            raise BadFree(f"address {address:#x} is an object of cache {s.name}, not {cache.name}")
        obj, wrong = kmem_cache.object_at(slab, address)
        if wrong:
            raise BadFree(f"address {address:#x} {wrong}")
        return slab, obj
