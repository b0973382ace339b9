"""A cache on a machine of its own, its objects, and bytes written where they should not be."""

from __future__ import annotations

from memsim import GFP_KERNEL, Machine
from memsim.mm.kmalloc_caches import kmem_cache_init
from memsim.mm.slab_common import KmemCacheArgs, kmem_cache_create
from memsim.mm.slub.alloc import Object, slab_alloc_node
from memsim.mm.slub.memory import obj_to_ptr, write_bytes
from memsim.mm.slub.slab import KmemCache
from memsim.words.slab import NUMA_NO_NODE


def created(name: str, size: int, flags: int) -> KmemCache:
    """The cache, on a machine of 64 MiB."""
    machine = Machine("64 MiB", steps=False)
    kmem_cache_init(machine.vm, seed=1)
    s, _ = kmem_cache_create(machine.vm, name, size, flags, KmemCacheArgs())
    assert s is not None
    return s


def allocated(s: KmemCache, orig_size: int = 0) -> Object:
    """An object; orig_size: what kmalloc() was asked for."""
    got = slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE, orig_size)
    assert got is not None
    return got


def poke(got: Object, offset: int, data: bytes) -> None:
    """Write to an object, or beyond it."""
    assert write_bytes(got[0], obj_to_ptr(*got) + offset, data)
