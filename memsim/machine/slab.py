"""Requests to the slab allocator: caches, objects, kmalloc(). Objects are addresses.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", slab=True)
>>> cache = machine.kmem_cache_create("my_object", 100)
>>> obj = machine.kmem_cache_alloc(cache)
>>> machine.kmem_cache_free(cache, obj)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn, TypeVar

from memsim.lib.bits import PAGE_SHIFT
from memsim.lib.text import one_line
from memsim.machine.checks import (
    check_cache_name,
    check_cache_numbers,
    check_cpu,
    check_nid,
    check_not_reserved,
    check_request,
    check_switch,
    listed,
    whole,
)
from memsim.machine.history import History
from memsim.mm import slab_common
from memsim.mm.mmzone import page_zone
from memsim.mm.show_mem import allocation_failure_report
from memsim.mm.slub import free, kmem_cache, shrink
from memsim.mm.slub.alloc import Object
from memsim.mm.slub.debug_report import DOUBLE_FREE
from memsim.mm.slub.kmem_cache import address_of
from memsim.mm.slub.pages import GFP_CONSTRAINT_MASK, GFP_RECLAIM_MASK, page_requests
from memsim.mm.slub.slab import KmemCache, Slab, SlabState
from memsim.mm.slub.stats import slab_out_of_memory
from memsim.mm.slub.store import store
from memsim.mm.slub.validate import validate_caches
from memsim.words.errno import ENOMEM
from memsim.words.errors import BadFree, BadRequest, KernelBug, PageAllocationFailure
from memsim.words.gfp import GFP_KERNEL, show_gfp_flags
from memsim.words.slab import NUMA_NO_NODE, PAGE_OFFSET

_MAX_NAME = 255
#: What of a request's mask reaches the page allocator.
SLAB_GFP_MASK = GFP_RECLAIM_MASK | GFP_CONSTRAINT_MASK
_T = TypeVar("_T")


class SlabRequests(History):
    """The part of a Machine that hands out objects; only where it was booted with slab=True."""

    #: Whose requests these are, a number of Trace.names; 0 for memsim itself.
    _call_site = 0

    def caches(self) -> list[KmemCache]:
        """Every cache, the newest first, as /proc/slabinfo lists them."""
        return list(self._state().slab_caches)

    def cache(self, name: str) -> KmemCache:
        """The cache of this name. BadRequest when there is none."""
        for s in self._state().slab_caches:
            if s.name == name:
                return s
        raise BadRequest(f"no cache {one_line(name, 40)!r}")

    def called_from(self, call_site: str, *, pid: int = 0, jiffies: int = 0) -> None:
        """Who asks from now on: a code address as %pS shows it ("open_it+0x1a/0x30"), current->pid.

        Events name it as call_site; caches that track users keep it, with pid and time.
        """
        debug = self._state().debug
        if not isinstance(call_site, str) or not call_site.isprintable():
            raise BadRequest(f"call_site={one_line(call_site, 40)!r}: should be printable text")
        if not 0 < len(call_site) <= _MAX_NAME:
            raise BadRequest(f"call_site: should be 1 to {_MAX_NAME} characters")
        for name, value, most in (("pid", pid, 1 << 22), ("jiffies", jiffies, (1 << 64) - 1)):
            whole(name, value)
            if not 0 <= value <= most:
                raise BadRequest(f"{name}={value}: should be 0 to {most}")
        debug.pid, debug.jiffies = pid, jiffies
        self._call_site = self.vm.trace.number_of(call_site)

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
        cpu: int = 0,
    ) -> KmemCache:
        """A cache of objects of object_size bytes, perhaps an older one that is shared.

        Sizes and offsets are bytes; align is a power of two or 0. BadRequest for what the kernel
        refuses, KernelBug with SLAB_PANIC. A name that is taken is warned of in slab_log(), as by
        kernels with CONFIG_DEBUG_VM. Kernel: include/linux/slab.h kmem_cache_create()
        """
        numbers = {
            "object_size": object_size, "align": align, "flags": flags, "useroffset": useroffset,
            "usersize": usersize, "freeptr_offset": freeptr_offset,
        }  # fmt: skip
        self._state()
        check_cpu(self.vm, cpu)
        check_cache_name(name)
        check_cache_numbers(numbers)
        check_switch("ctor", ctor, BadRequest)
        args = slab_common.KmemCacheArgs(align, useroffset, usersize, freeptr_offset, ctor)
        s, error = self._do(
            f"kmem_cache_create({name!r}, {object_size})",
            cpu,
            lambda: slab_common.kmem_cache_create(self.vm, name, object_size, flags, args),
        )
        return self._made(s, error, f"kmem_cache_create({name!r})")

    def _made(self, s: _T | None, error: int, name: str) -> _T:
        """What was made; BadRequest, or PageAllocationFailure, where nothing was."""
        if s is not None:
            return s
        if error == -ENOMEM:
            raise PageAllocationFailure(f"{name} failed with error {error}: no memory", "")
        if self.vm.fields_seen:
            self.undo()
            self._undone.clear()
        raise BadRequest(f"{name} failed with error {error}")

    def kmem_cache_destroy(self, cache: KmemCache | None, *, cpu: int = 0) -> bool:
        """Let go of a cache. False, and a line in the log, when objects of it are in use.

        None is let go of as NULL is, without effect. BadRequest for a cache that kmalloc() or the
        slab allocator itself needs. Kernel: mm/slab_common.c kmem_cache_destroy()
        """
        state = self._state()
        check_cpu(self.vm, cpu)
        if cache is None:
            return True
        self._check_cache(cache)
        sets = [*state.kmalloc_caches, *state.buckets]
        boot = cache.refcount < 0 or cache is state.kmem_buckets_cache
        if boot or any(cache is s for caches in sets for s in caches.values()):
            raise BadRequest(f"cache {cache.name}: the allocator itself needs it")
        state.debug.call_site = self._site()
        name = f"kmem_cache_destroy({cache.name})"
        return self._do(name, cpu, lambda: slab_common.kmem_cache_destroy(cache))

    def kmem_cache_shrink(self, cache: KmemCache, *, cpu: int = 0) -> bool:
        """Give empty slabs back; are any slabs left? Kernel: kmem_cache_shrink()."""
        self._check_cache(cache)
        check_cpu(self.vm, cpu)
        name = f"kmem_cache_shrink({cache.name})"
        return self._do(name, cpu, lambda: shrink.kmem_cache_shrink(cache))

    def store(self, cache: KmemCache, file: str, text: str, *, cpu: int = 0) -> None:
        """Write to /sys/kernel/slab/CACHE/FILE: min_partial, cpu_partial, shrink and so on.

        BadRequest with the kernel's error. Kernel: mm/slub.c slab_attr_store()
        """
        self._check_cache(cache)
        check_cpu(self.vm, cpu)
        if not isinstance(file, str) or file not in cache.attributes():
            raise BadRequest(f"file={one_line(file, 40)!r}: cache {cache.name} has no such file")
        if not isinstance(text, str):
            raise BadRequest(f"text={one_line(text, 40)!r}: should be text")
        name = f"store({cache.name}, {file}, {text[:20]!r})"
        (error,) = self._do(name, cpu, lambda: (store(cache, file, text),))
        if error:
            self._made(None, error, name)

    def kmem_cache_alloc(
        self, cache: KmemCache, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0, nid: int = NUMA_NO_NODE
    ) -> int:
        """An object's address. PageAllocationFailure when a slab was needed and no page was left.

        Kernel: mm/slub.c kmem_cache_alloc_noprof(), kmem_cache_alloc_node_noprof()
        """
        self._check_cache(cache)
        self._check_slab_request(gfp_mask, cpu, nid)
        name = f"kmem_cache_alloc({cache.name}, {show_gfp_flags(gfp_mask)})"
        site = self._site()
        got = self._do(name, cpu, lambda: kmem_cache.kmem_cache_alloc(cache, gfp_mask, nid, site))
        return address_of(got) if got is not None else self._no_object(cache, gfp_mask, nid)

    def kmem_cache_free(self, cache: KmemCache, address: int, *, cpu: int = 0) -> None:
        """Give an object back. BadFree when no object in use begins at address.

        As in the kernel, an object of another cache goes back to that one, and a page that is none
        of a slab is left alone: slab_log() has the warning. KernelBug for an object that is first
        on its freelist already. Kernel: mm/slub.c kmem_cache_free()
        """
        self._check_cache(cache)
        check_cpu(self.vm, cpu)
        if self.slab_at(address) is None and self._page_at(address):
            name = f"kmem_cache_free({cache.name}, {address:#x})"
        else:
            slab, _ = self._object(address, cpu)
            name = f"kmem_cache_free({slab.slab_cache.name}, {address:#x})"
        site = self._site()
        self._do(name, cpu, lambda: (kmem_cache.kmem_cache_free(cache, address, site), None)[1])

    def kmem_cache_free_bulk(self, addresses: Iterable[int], *, cpu: int = 0) -> None:
        """Give objects of any caches back at once. Kernel: mm/slub.c kmem_cache_free_bulk()."""
        self._state()
        check_cpu(self.vm, cpu)
        addresses = listed("addresses", addresses, "addresses")
        objects = [self._object(address, cpu) for address in addresses]
        if len({(slab.pfn, obj) for slab, obj in objects}) != len(objects):
            raise BadFree("an object is in the batch twice")
        name = f"kmem_cache_free_bulk({len(objects)})"
        site = self._site()
        self._do(name, cpu, lambda: free.kmem_cache_free_bulk(objects, site))

    def slab_at(self, address: int) -> Slab | None:
        """The slab that holds this address. Kernel: mm/slab.h virt_to_slab()."""
        whole("address", address)
        return kmem_cache.virt_to_slab(self._state(), address)

    def validate_caches(self) -> None:
        """Check every invariant of mm/slub/validate.py; ValidationError names the broken one."""
        validate_caches(self.vm)

    # Inside

    def _site(self, caller: int = 0) -> int:
        """The number by which events name the caller, or this address of one."""
        whole("caller", caller)
        if not 0 <= caller < 1 << 64:
            raise BadRequest(f"caller={caller}: should be an address, 0 to 2**64 - 1")
        if caller:
            return self.vm.trace.number_of(f"{caller:#x}")
        return self._call_site or self.vm.trace.number_of("memsim")

    def _state(self) -> SlabState:
        if not hasattr(self.vm, "slab"):
            raise BadRequest("this machine has no slab allocator: boot it with slab=True")
        return self.vm.slab

    def _check_cache(self, cache: KmemCache) -> None:
        if not isinstance(cache, KmemCache) or cache not in self._state().slab_caches:
            raise BadRequest("cache: should be a cache of this machine that was not taken away")

    def _check_slab_request(self, gfp_mask: int, cpu: int, nid: int) -> None:
        self._state()
        check_request(self.vm, gfp_mask, 0, cpu, 0)
        check_nid(self.vm, nid)

    def _object(self, address: int, cpu: int) -> Object:
        """The object in use at this address, which must be its first byte."""
        slab = self.slab_at(address)
        check_not_reserved(self.vm, address)
        if slab is None:
            raise BadFree(f"address {address:#x} is in no slab")
        obj, wrong = kmem_cache.object_at(slab, address)
        if wrong:
            self._refuse_free(address, cpu, wrong)
        return slab, obj

    def _refuse_free(self, address: int, cpu: int, wrong: str) -> NoReturn:
        """Say what is wrong; KernelBug for the double free that the kernel notices."""
        if kmem_cache.is_first_free(self._state(), address, cpu):
            self._state().log.append(DOUBLE_FREE)
            raise KernelBug(DOUBLE_FREE)
        raise BadFree(f"address {address:#x} {wrong}")

    def _page_at(self, address: int) -> bool:
        """Is there a page of memory at this address of the direct mapping?"""
        pfn = address - PAGE_OFFSET >> PAGE_SHIFT
        return address >= PAGE_OFFSET and page_zone(self.vm, pfn) is not None

    def _no_object(self, cache: KmemCache, gfp_mask: int, nid: int) -> NoReturn:
        """Raise PageAllocationFailure with what the kernel logs, nothing with __GFP_NOWARN."""
        report = ""
        told = slab_out_of_memory(cache, gfp_mask, nid)
        if told:
            mask, order = page_requests(cache, gfp_mask & SLAB_GFP_MASK)[1]
            report = allocation_failure_report(self.vm, mask, order, "memsim")
            report += "".join(f"{line}\n" for line in told)
        raise PageAllocationFailure(f"no object of cache {cache.name}: no page for a slab", report)
