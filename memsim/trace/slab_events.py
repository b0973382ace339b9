"""The kernel's tracepoints of the slab allocator: names, fields, and the one-line text form.

`call_site` is text, as %pS prints it, and so is a cache's name. A record has the number of such a
text in `Trace.names`, so records hold numbers only. Number 0 is the address 0.

Kernel: include/trace/events/kmem.h
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.lib.bits import signed
from memsim.words.gfp import __GFP_ACCOUNT, show_gfp_flags

_64_BITS = (1 << 64) - 1


def is_accounted(gfp_flags: int) -> bool:
    """Does the request itself ask for a charge to its memcg?"""
    return bool(gfp_flags & __GFP_ACCOUNT)


def allocation_text(event: Kmalloc | KmemCacheAlloc, accounted: bool) -> str:
    """What follows the name of an event that hands out memory."""
    return (
        f"call_site={event.call_site} ptr={event.ptr:016x} bytes_req={event.bytes_req} "
        f"bytes_alloc={event.bytes_alloc} gfp_flags={show_gfp_flags(event.gfp_flags)} "
        f"node={event.node} accounted={'true' if accounted else 'false'}"
    )


@dataclass(frozen=True, slots=True)
class Kmalloc:
    """A kmalloc() ended, with an address or (ptr 0) without. Sizes are bytes.

    Fired at exit: what it asked of the page allocator was told before. A request above 8 KiB fires
    it twice, in kmalloc's helper and in kmalloc. Kernel: trace_kmalloc().
    """

    NAME: ClassVar[str] = "kmalloc"
    call_site: str
    ptr: int
    bytes_req: int
    bytes_alloc: int
    gfp_flags: int
    node: int

    def text(self) -> str:
        """What follows `kmalloc: ` in a trace; accounted follows from gfp_flags."""
        return allocation_text(self, is_accounted(self.gfp_flags))

    def record(self, number_of: Callable[[str], int]) -> tuple[int, ...]:
        """The fields as a record holds them; number_of tells the number of a text."""
        return (
            number_of(self.call_site), signed(self.ptr), signed(self.bytes_req),
            signed(self.bytes_alloc), self.gfp_flags, self.node,
        )  # fmt: skip

    @classmethod
    def of(cls, fields: Sequence[int], names: Sequence[str]) -> Kmalloc:
        """The event that these fields of a record stand for."""
        ptr, req, alloc = (field & _64_BITS for field in fields[1:4])
        return cls(names[fields[0]], ptr, req, alloc, *fields[4:6])


@dataclass(frozen=True, slots=True)
class Kfree:
    """kfree() begins; what it frees to, and pages given back, are told after it. Also of NULL.

    Kernel: trace_kfree()
    """

    NAME: ClassVar[str] = "kfree"
    call_site: str
    ptr: int

    def text(self) -> str:
        """What follows `kfree: ` in a trace."""
        return f"call_site={self.call_site} ptr={self.ptr:016x}"

    def record(self, number_of: Callable[[str], int]) -> tuple[int, ...]:
        """The fields as a record holds them; number_of tells the number of a text."""
        return number_of(self.call_site), signed(self.ptr)

    @classmethod
    def of(cls, fields: Sequence[int], names: Sequence[str]) -> Kfree:
        """The event that these fields of a record stand for."""
        return cls(names[fields[0]], fields[1] & _64_BITS)


@dataclass(frozen=True, slots=True)
class KmemCacheAlloc:
    """A kmem_cache_alloc() ended, with an object or (ptr 0) without. It does not tell the cache.

    bytes_req is the cache's object_size, bytes_alloc its size. Kernel: trace_kmem_cache_alloc().
    """

    NAME: ClassVar[str] = "kmem_cache_alloc"
    call_site: str
    ptr: int
    bytes_req: int
    bytes_alloc: int
    gfp_flags: int
    node: int
    accounted: bool

    def text(self) -> str:
        """What follows `kmem_cache_alloc: ` in a trace."""
        return allocation_text(self, self.accounted)

    def record(self, number_of: Callable[[str], int]) -> tuple[int, ...]:
        """The fields as a record holds them: seven in six, `accounted` is a bit beside node."""
        return (
            number_of(self.call_site), signed(self.ptr), self.bytes_req, self.bytes_alloc,
            self.gfp_flags, self.node << 1 | self.accounted,
        )  # fmt: skip

    @classmethod
    def of(cls, fields: Sequence[int], names: Sequence[str]) -> KmemCacheAlloc:
        """The event that these fields of a record stand for."""
        call_site, ptr, req, alloc, gfp_flags, last = fields[:6]
        where = names[call_site]
        return cls(where, ptr & _64_BITS, req, alloc, gfp_flags, last >> 1, bool(last & 1))


@dataclass(frozen=True, slots=True)
class KmemCacheFree:
    """kmem_cache_free() begins. name: the first name of the cache that the object is from.

    Kernel: trace_kmem_cache_free()
    """

    NAME: ClassVar[str] = "kmem_cache_free"
    call_site: str
    ptr: int
    name: str

    def text(self) -> str:
        """What follows `kmem_cache_free: ` in a trace."""
        return f"call_site={self.call_site} ptr={self.ptr:016x} name={self.name}"

    def record(self, number_of: Callable[[str], int]) -> tuple[int, ...]:
        """The fields as a record holds them; number_of tells the number of a text."""
        return number_of(self.call_site), signed(self.ptr), number_of(self.name)

    @classmethod
    def of(cls, fields: Sequence[int], names: Sequence[str]) -> KmemCacheFree:
        """The event that these fields of a record stand for."""
        return cls(names[fields[0]], fields[1] & _64_BITS, names[fields[2]])


SlabEvent = Kmalloc | Kfree | KmemCacheAlloc | KmemCacheFree
