"""The caches that kmalloc() takes from: made at boot, one for each size and type, and sets of them.

Kernel: mm/slab_common.c kmalloc_info[], create_kmalloc_caches(), kmem_buckets_create(); mm/slub.c
kmem_cache_init(); mm/slab.h kmalloc_slab(); include/linux/slab.h kmalloc_type()
"""

from __future__ import annotations

from memsim.lib.bits import hash_64
from memsim.mm.mmzone import Vm
from memsim.mm.slab_common import (
    KmemCacheArgs,
    calculate_alignment,
    do_kmem_cache_create,
    kmem_cache_create,
    kmem_cache_destroy,
)
from memsim.mm.slub.debug_options import setup_slub_debug
from memsim.mm.slub.kmem_cache import (
    address_of,
    kmem_cache_alloc,
    kmem_cache_free,
)
from memsim.mm.slub.slab import KmemCache, Random, SlabState
from memsim.words.errno import ENOMEM
from memsim.words.gfp import (
    __GFP_ACCOUNT,
    __GFP_DMA,
    __GFP_RECLAIMABLE,
    __GFP_ZERO,
    GFP_KERNEL,
)
from memsim.words.slab import (
    KMALLOC_MIN_SIZE,
    KMALLOC_SIZES,
    NUMA_NO_NODE,
    RANDOM_KMALLOC_CACHES_NR,
    SIZEOF_KMEM_BUCKETS,
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
#: Copy n of KMALLOC_NORMAL, from 1 on, is this type and n. The kernel puts them before RECLAIM.
KMALLOC_RANDOM_START = KMALLOC_CGROUP
#: Name before the size, and flags, of each type's caches, with CONFIG_MEMCG.
KMALLOC_TYPES = (
    ("kmalloc", SLAB_NO_MERGE),
    ("kmalloc-rcl", SLAB_RECLAIM_ACCOUNT),
    ("dma-kmalloc", SLAB_CACHE_DMA),
    ("kmalloc-cg", SLAB_ACCOUNT),
)
#: The same of the copies, which only CONFIG_RANDOM_KMALLOC_CACHES makes.
KMALLOC_COPIES = tuple(
    (f"kmalloc-rnd-{copy:02}", SLAB_NO_MERGE) for copy in range(1, RANDOM_KMALLOC_CACHES_NR + 1)
)


def kmalloc_type(gfp_mask: int, caller: int = 0, seed: int | None = None) -> int:
    """Which caches serve the request; with a seed, the caller's address picks one of 16 copies.

    Kernel: include/linux/slab.h kmalloc_type()
    """
    if gfp_mask & __GFP_DMA:
        return KMALLOC_DMA
    if gfp_mask & __GFP_RECLAIMABLE:
        return KMALLOC_RECLAIM
    if gfp_mask & __GFP_ACCOUNT:
        return KMALLOC_CGROUP
    copy = 0 if seed is None else hash_64(caller ^ seed, RANDOM_KMALLOC_CACHES_NR.bit_length())
    return KMALLOC_RANDOM_START + copy if copy else KMALLOC_NORMAL


def kmalloc_index(size: int) -> int:
    """Which of KMALLOC_SIZES holds size bytes; there are also 96 and 192, at 1 and 2.

    Kernel: mm/slab.h kmalloc_slab(), mm/slab_common.c kmalloc_size_index[]
    """
    if 64 < size <= 96:
        return 1
    if 128 < size <= 192:
        return 2
    return max(size - 1, KMALLOC_MIN_SIZE - 1).bit_length()


def kmalloc_slab(
    state: SlabState, size: int, buckets: int, gfp_mask: int, caller: int = 0
) -> KmemCache:
    """The cache for a request of up to 8 KiB; buckets: a set of its own, or -1.

    NOT MODELLED: __GFP_NO_OBJ_EXT, which asks for kmalloc's own caches once more.
    Kernel: mm/slab.h kmalloc_slab()
    """
    caches = state.kmalloc_caches[kmalloc_type(gfp_mask, caller, state.random_kmalloc_seed)]
    if buckets >= 0:
        caches = state.buckets[buckets]
    return caches[kmalloc_index(size)]


def size_name(size: int) -> str:
    """A size as caches are named: 512, 1k, 8k."""
    return f"{size >> 10}k" if size >= 1024 else str(size)


def kmem_cache_init(
    vm: Vm,
    seed: int,
    slab_debug: str | None = None,
    random_kmalloc_caches: bool = False,
    slab_nomerge: bool = False,
) -> None:
    """Boot: the caches that caches are made of, then the kmalloc caches of every type.

    slab_debug: what stands behind slab_debug= on the command line, or None without it.
    random_kmalloc_caches: is CONFIG_RANDOM_KMALLOC_CACHES set?
    Kernel: mm/slub.c kmem_cache_init()
    """
    state = vm.slab = SlabState(Random(seed))
    state.slab_nomerge = slab_nomerge
    if slab_debug is not None:
        state.log += setup_slub_debug(state.debug, slab_debug)
    boot_flags = SLAB_HWCACHE_ALIGN | SLAB_NO_OBJ_EXT
    node = create_boot_cache(vm, "kmem_cache_node", SIZEOF_KMEM_CACHE_NODE, boot_flags, 0)
    size = SIZEOF_KMEM_CACHE + 8 * len(vm.nodes)
    state.kmem_cache = create_boot_cache(vm, "kmem_cache", size, boot_flags, 0)
    state.kmem_cache_node = node
    # bootstrap() lists them the other way round
    state.slab_caches.reverse()
    create_kmalloc_caches(vm, KMALLOC_COPIES if random_kmalloc_caches else ())


def create_kmalloc_caches(vm: Vm, copies: tuple[tuple[str, int], ...]) -> None:
    """The kmalloc caches of every type, copies behind the first, and the cache of bucket sets.

    Kernel: mm/slab_common.c create_kmalloc_caches()
    """
    state = vm.slab
    normal, *others = KMALLOC_TYPES
    made = {
        prefix: _create_kmalloc_caches(vm, prefix, flags)
        for prefix, flags in (normal, *copies, *others)
    }
    state.kmalloc_caches = [made[prefix] for prefix, _ in (*KMALLOC_TYPES, *copies)]
    if copies:
        state.random_kmalloc_seed = state.random.get_random_long()
    state.kmem_buckets_cache, _ = kmem_cache_create(
        vm, "kmalloc_buckets", SIZEOF_KMEM_BUCKETS, SLAB_NO_MERGE, KmemCacheArgs()
    )


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
    state = vm.slab
    assert state.kmem_buckets_cache is not None
    own_site = vm.trace.number_of("kmem_buckets_create")
    mask = GFP_KERNEL | __GFP_ZERO
    b = kmem_cache_alloc(state.kmem_buckets_cache, mask, NUMA_NO_NODE, own_site)
    if b is None:
        return -ENOMEM
    caches: dict[int, KmemCache] = {}
    for size in KMALLOC_SIZES:
        region = (useroffset, min(size - useroffset, usersize)) if useroffset < size else (0, 0)
        args = KmemCacheArgs(useroffset=region[0], usersize=region[1], ctor=ctor)
        cache_name = f"{name}-{size_name(size)}"
        s, error = kmem_cache_create(vm, cache_name, size, flags | SLAB_NO_MERGE, args)
        if s is None:
            for made in caches.values():
                kmem_cache_destroy(made)
            kmem_cache_free(state.kmem_buckets_cache, address_of(b), own_site)
            return error
        caches[kmalloc_index(size)] = s
    state.buckets.append(caches)
    return len(state.buckets) - 1
