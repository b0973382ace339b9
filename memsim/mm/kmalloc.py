"""kmalloc(): caches of fixed sizes for memory of any size, and pages for what is larger.

Kernel: mm/slab_common.c kmalloc_info[], new_kmalloc_cache(); include/linux/slab.h
kmalloc_type(); mm/slab.h kmalloc_slab()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.slab_common import (
    KmemCacheArgs,
    calculate_alignment,
    do_kmem_cache_create,
    kmem_cache_create,
)
from memsim.mm.slub.slab import KmemCache, Random, SlabState
from memsim.words.gfp import __GFP_ACCOUNT, __GFP_DMA, __GFP_RECLAIMABLE
from memsim.words.slab import (
    KMALLOC_MIN_SIZE,
    KMALLOC_SIZES,
    SIZEOF_KMEM_CACHE,
    SIZEOF_KMEM_CACHE_NODE,
    SLAB_ACCOUNT,
    SLAB_CACHE_DMA,
    SLAB_HWCACHE_ALIGN,
    SLAB_KMALLOC,
    SLAB_NO_MERGE,
    SLAB_NO_OBJ_EXT,
    SLAB_RECLAIM_ACCOUNT,
)

KMALLOC_NORMAL, KMALLOC_RECLAIM, KMALLOC_DMA, KMALLOC_CGROUP = range(4)
#: Name before the size, and flags, of each type's caches, with CONFIG_MEMCG.
KMALLOC_TYPES = (
    ("kmalloc", SLAB_NO_MERGE),
    ("kmalloc-rcl", SLAB_RECLAIM_ACCOUNT),
    ("dma-kmalloc", SLAB_CACHE_DMA),
    ("kmalloc-cg", SLAB_ACCOUNT),
)


def kmalloc_type(gfp_mask: int) -> int:
    """Which caches serve the request. Kernel: include/linux/slab.h kmalloc_type().

    NOT MODELLED: CONFIG_RANDOM_KMALLOC_CACHES, which picks one of 16 by the caller's address.
    """
    if gfp_mask & __GFP_DMA:
        return KMALLOC_DMA
    if gfp_mask & __GFP_RECLAIMABLE:
        return KMALLOC_RECLAIM
    return KMALLOC_CGROUP if gfp_mask & __GFP_ACCOUNT else KMALLOC_NORMAL


def kmalloc_index(size: int) -> int:
    """Which of KMALLOC_SIZES holds size bytes; there are also 96 and 192, at 1 and 2.

    Kernel: mm/slab.h kmalloc_slab(), mm/slab_common.c kmalloc_size_index[]
    """
    if 64 < size <= 96:
        return 1
    if 128 < size <= 192:
        return 2
    return max(size - 1, KMALLOC_MIN_SIZE - 1).bit_length()


def kmalloc_slab(state: SlabState, size: int, buckets: int, gfp_mask: int) -> KmemCache:
    """The cache for a request of up to 8 KiB; buckets: a set of its own, or -1.

    Kernel: mm/slab.h kmalloc_slab()
    """
    caches = state.kmalloc_caches[kmalloc_type(gfp_mask)]
    if buckets >= 0:
        caches = state.buckets[buckets]
    return caches[kmalloc_index(size)]


def size_name(size: int) -> str:
    """A size as caches are named: 512, 1k, 8k."""
    return f"{size >> 10}k" if size >= 1024 else str(size)


def kmem_cache_init(vm: Vm, seed: int) -> None:
    """Boot: the caches that caches are made of, then the kmalloc caches of every type.

    Kernel: mm/slub.c kmem_cache_init(), mm/slab_common.c create_kmalloc_caches()
    """
    state = vm.slab = SlabState(Random(seed))
    boot_flags = SLAB_HWCACHE_ALIGN | SLAB_NO_OBJ_EXT
    node = create_boot_cache(vm, "kmem_cache_node", SIZEOF_KMEM_CACHE_NODE, boot_flags, 0)
    size = SIZEOF_KMEM_CACHE + 8 * len(vm.nodes)
    state.kmem_cache = create_boot_cache(vm, "kmem_cache", size, boot_flags, 0)
    state.kmem_cache_node = node
    # bootstrap() lists them the other way round
    state.slab_caches.reverse()
    for prefix, flags in KMALLOC_TYPES:
        state.kmalloc_caches.append(_create_kmalloc_caches(vm, prefix, flags))


def create_boot_cache(vm: Vm, name: str, size: int, flags: int, usersize: int) -> KmemCache:
    """A cache that boot needs; shared with no other. Kernel: create_boot_cache()."""
    align = size & -size if flags & SLAB_KMALLOC else KMALLOC_MIN_SIZE
    s = KmemCache(vm, name, size, calculate_alignment(flags, align, size), flags)
    s.usersize = usersize
    error = do_kmem_cache_create(s, -1)
    assert not error
    s.refcount = -1
    return s


def _create_kmalloc_caches(vm: Vm, prefix: str, flags: int) -> dict[int, KmemCache]:
    """One cache for each size, by its index. Kernel: new_kmalloc_cache()."""
    caches = {}
    for size in KMALLOC_SIZES:
        name = f"{prefix}-{size_name(size)}"
        s = create_boot_cache(vm, name, size, flags | SLAB_KMALLOC, size)
        s.refcount = 1
        caches[kmalloc_index(size)] = s
    return caches


def kmem_buckets_create(
    vm: Vm, name: str, flags: int, useroffset: int, usersize: int, ctor: bool
) -> int:
    """A set of caches like kmalloc's, for one use alone: its number, or the error.

    Kernel: mm/slab_common.c kmem_buckets_create()
    """
    caches = {}
    for size in KMALLOC_SIZES:
        region = (useroffset, min(size - useroffset, usersize)) if useroffset < size else (0, 0)
        args = KmemCacheArgs(useroffset=region[0], usersize=region[1], ctor=ctor)
        cache_name = f"{name}-{size_name(size)}"
        s, error = kmem_cache_create(vm, cache_name, size, flags | SLAB_NO_MERGE, args)
        if s is None:
            return error
        caches[kmalloc_index(size)] = s
    vm.slab.buckets.append(caches)
    return len(vm.slab.buckets) - 1
