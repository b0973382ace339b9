"""Flags and limits of the slab allocator, as the reference kernel's configuration numbers them.

Kernel: include/linux/slab.h, mm/slab.h, mm/slub.c
"""

from __future__ import annotations

SLAB_CONSISTENCY_CHECKS = 1 << 0
SLAB_RED_ZONE = 1 << 1
SLAB_POISON = 1 << 2
SLAB_KMALLOC = 1 << 3
SLAB_HWCACHE_ALIGN = 1 << 4
SLAB_CACHE_DMA = 1 << 5
SLAB_CACHE_DMA32 = 1 << 6
SLAB_STORE_USER = 1 << 7
SLAB_PANIC = 1 << 8
SLAB_TYPESAFE_BY_RCU = 1 << 9
SLAB_TRACE = 1 << 10
SLAB_NOLEAKTRACE = 1 << 11
SLAB_NO_MERGE = 1 << 12
SLAB_ACCOUNT = 1 << 13
SLAB_NO_USER_FLAGS = 1 << 14
SLAB_SKIP_KFENCE = 1 << 15
SLAB_RECLAIM_ACCOUNT = 1 << 16
#: __OBJECT_POISON and __CMPXCHG_DOUBLE: internal, never given by a caller.
OBJECT_POISON = 1 << 17
CMPXCHG_DOUBLE = 1 << 18
SLAB_NO_OBJ_EXT = 1 << 19

#: Caches with one of these take the slow path for every object. Kernel: mm/slub.c
SLAB_DEBUG_FLAGS = (
    SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_TRACE | SLAB_CONSISTENCY_CHECKS
)
#: Kernel: mm/slub.c SLAB_NO_CMPXCHG
SLAB_NO_CMPXCHG = SLAB_CONSISTENCY_CHECKS | SLAB_STORE_USER | SLAB_TRACE
#: What plain slab_debug turns on, and what of it keeps bytes beside the objects. Kernel: mm/slub.c
DEBUG_DEFAULT_FLAGS = SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER
DEBUG_METADATA_FLAGS = SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER
SLAB_CORE_FLAGS = (
    SLAB_HWCACHE_ALIGN | SLAB_CACHE_DMA | SLAB_CACHE_DMA32 | SLAB_PANIC | SLAB_TYPESAFE_BY_RCU
)
#: What a caller of kmem_cache_create() may give. Kernel: mm/slab.h SLAB_FLAGS_PERMITTED
SLAB_FLAGS_PERMITTED = (
    SLAB_CORE_FLAGS | SLAB_DEBUG_FLAGS | SLAB_NOLEAKTRACE | SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT
    | SLAB_NO_MERGE | SLAB_KMALLOC | SLAB_NO_USER_FLAGS
)  # fmt: skip
#: Kernel: mm/slab_common.c
SLAB_NEVER_MERGE = (
    SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_TRACE | SLAB_TYPESAFE_BY_RCU
    | SLAB_NOLEAKTRACE | SLAB_NO_MERGE
)  # fmt: skip
SLAB_MERGE_SAME = SLAB_RECLAIM_ACCOUNT | SLAB_CACHE_DMA | SLAB_CACHE_DMA32 | SLAB_ACCOUNT

#: roundup_pow_of_two(CONFIG_NR_CPUS): tids of different CPUs never meet.
TID_STEP = 8192
MIN_PARTIAL = 5
MAX_PARTIAL = 10
MAX_OBJS_PER_PAGE = 32767
SLUB_MAX_ORDER = 3

SIZEOF_POINTER = 8
#: struct track, with CONFIG_STACKDEPOT. Kernel: mm/slub.c
SIZEOF_TRACK = 32
CACHE_LINE_SIZE = 64

#: Sizes up to this come from kmalloc caches, above it straight from the page allocator.
KMALLOC_MAX_CACHE_SIZE = 8192
KMALLOC_MAX_SIZE = 4 << 20
KMALLOC_MIN_SIZE = 8
#: In the order in which boot makes the caches. Kernel: mm/slab_common.c kmalloc_info[]
KMALLOC_SIZES = (96, 192, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
#: Copies of kmalloc's caches besides the first. Kernel: include/linux/slab.h
RANDOM_KMALLOC_CACHES_NR = 15
#: struct kmem_cache without its nodes' pointers, struct kmem_cache_node: read off a recording.
SIZEOF_KMEM_CACHE = 216
SIZEOF_KMEM_CACHE_NODE = 64
#: kmem_buckets: a pointer for each number from 0 to KMALLOC_SHIFT_HIGH.
SIZEOF_KMEM_BUCKETS = 14 * SIZEOF_POINTER

#: What bytes of objects, red zones and paddings are filled with. Kernel: include/linux/poison.h
SLUB_RED_INACTIVE = 0xBB
SLUB_RED_ACTIVE = 0xCC
POISON_INUSE = 0x5A
POISON_FREE = 0x6B
POISON_END = 0xA5

NUMA_NO_NODE = -1
#: Where physical memory is mapped, without KASLR. Kernel: arch/x86/include/asm/page_64_types.h
PAGE_OFFSET = 0xFFFF888000000000
#: What kmalloc(0) returns, and kfree() takes.
ZERO_SIZE_PTR = 16
NULL_PTR = 0
