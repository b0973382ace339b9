"""The caches that requesters take objects from, as the reference kernel makes them.

Sizes are those of the recorded kernels' caches. A cache that merged there has the size of the
merged one (pid, fs_cache, skbuff_fclone_cache).
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.words.slab import (
    SLAB_ACCOUNT,
    SLAB_HWCACHE_ALIGN,
    SLAB_NO_MERGE,
    SLAB_PANIC,
    SLAB_RECLAIM_ACCOUNT,
    SLAB_TYPESAFE_BY_RCU,
)

_TASK = SLAB_PANIC | SLAB_ACCOUNT
_TASK_ALIGNED = _TASK | SLAB_HWCACHE_ALIGN
_FS = SLAB_PANIC | SLAB_RECLAIM_ACCOUNT


class Cache(NamedTuple):
    """What kmem_cache_create() is given; object_size and align in bytes."""

    name: str
    object_size: int
    flags: int
    align: int = 0
    ctor: bool = False


#: Kernel: kernel/fork.c, kernel/cred.c, kernel/pid.c, mm/rmap.c, fs/dcache.c, fs/file_table.c,
#: fs/ext4/super.c, fs/buffer.c, lib/radix-tree.c, net/core/skbuff.c
CACHES = (
    Cache("task_struct", 8392, _TASK, align=64),
    Cache("cred", 184, _TASK_ALIGNED),
    Cache("files_cache", 704, _TASK_ALIGNED),
    Cache("fs_cache", 64, _TASK_ALIGNED),
    Cache("sighand_cache", 2080, _TASK_ALIGNED | SLAB_TYPESAFE_BY_RCU, ctor=True),
    Cache("signal_cache", 1152, _TASK_ALIGNED),
    Cache("mm_struct", 1360, _TASK_ALIGNED),
    Cache("pid", 128, _TASK_ALIGNED),
    Cache("vm_area_struct", 176, _TASK),
    Cache("vma_lock", 40, _TASK),
    Cache("anon_vma", 96, _TASK | SLAB_TYPESAFE_BY_RCU, ctor=True),
    Cache("anon_vma_chain", 64, _TASK),
    Cache("dentry", 192, _FS | SLAB_ACCOUNT),
    Cache("ext4_inode_cache", 1160, SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, ctor=True),
    Cache("filp", 184, _TASK_ALIGNED | SLAB_TYPESAFE_BY_RCU),
    Cache("names_cache", 4096, SLAB_PANIC | SLAB_HWCACHE_ALIGN),
    Cache("buffer_head", 104, _FS),
    Cache("radix_tree_node", 576, _FS, ctor=True),
    Cache("skbuff_head_cache", 232, SLAB_PANIC | SLAB_HWCACHE_ALIGN | SLAB_NO_MERGE),
    Cache("skbuff_fclone_cache", 512, SLAB_PANIC | SLAB_HWCACHE_ALIGN),
    Cache("skbuff_small_head", 640, SLAB_PANIC | SLAB_HWCACHE_ALIGN),
)
