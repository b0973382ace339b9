"""Making caches, sharing them, taking them away.

Kernel: mm/slab_common.c, mm/slub.c do_kmem_cache_create()
"""

from __future__ import annotations

from dataclasses import dataclass

from memsim.lib.bits import align_up, get_order
from memsim.mm.mmzone import Vm
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.debug_options import kmem_cache_flags
from memsim.mm.slub.debug_report import pr_err, symbol, warn_on
from memsim.mm.slub.free import slab_free
from memsim.mm.slub.shrink import _kmem_cache_shutdown
from memsim.mm.slub.sizes import calculate_sizes, set_cpu_partial, set_min_partial
from memsim.mm.slub.slab import KmemCache, KmemCacheNode, SlabState
from memsim.mm.slub.update import draw_below, draw_long, place_cache, set_cache_field
from memsim.words.errno import EINVAL, ENOMEM
from memsim.words.gfp import GFP_KERNEL
from memsim.words.mmzone import NULL
from memsim.words.slab import (
    CACHE_LINE_SIZE,
    CMPXCHG_DOUBLE,
    DEBUG_METADATA_FLAGS,
    KMALLOC_MAX_SIZE,
    NUMA_NO_NODE,
    SIZEOF_POINTER,
    SLAB_FLAGS_PERMITTED,
    SLAB_HWCACHE_ALIGN,
    SLAB_MERGE_SAME,
    SLAB_NEVER_MERGE,
    SLAB_NO_CMPXCHG,
    SLAB_PANIC,
    SLAB_TYPESAFE_BY_RCU,
)

_CREATE = "__kmem_cache_create_args"
_STILL_HAS_OBJECTS = "Slab cache still has objects when called"


@dataclass(frozen=True)
class KmemCacheArgs:
    """struct kmem_cache_args: what a caller may say besides name, size and flags.

    freeptr_offset: where objects of a SLAB_TYPESAFE_BY_RCU cache have room for the free pointer,
    or -1. ctor: is there a constructor?
    """

    align: int = 0
    useroffset: int = 0
    usersize: int = 0
    freeptr_offset: int = -1
    ctor: bool = False


def calculate_alignment(flags: int, align: int, size: int) -> int:
    """Bytes to which objects are aligned: the caller's, the cache line's, at least a word.

    Small objects share a cache line. Kernel: mm/slab_common.c calculate_alignment()
    """
    if flags & SLAB_HWCACHE_ALIGN:
        ralign = CACHE_LINE_SIZE
        while size <= ralign // 2:
            ralign //= 2
        align = max(align, ralign)
    return align_up(max(align, SIZEOF_POINTER), SIZEOF_POINTER)


def slab_unmergeable(s: KmemCache) -> bool:
    """Must the cache stay alone? Kernel: mm/slab_common.c slab_unmergeable()."""
    alone = s.vm.slab.slab_nomerge or s.flags & SLAB_NEVER_MERGE
    return bool(alone or s.ctor or s.usersize or s.refcount < 0)


def find_mergeable(
    state: SlabState, size: int, align: int, flags: int, name: str, ctor: bool
) -> KmemCache | None:
    """The oldest cache that a new one may share: same kind, less than a word larger.

    Kernel: mm/slab_common.c find_mergeable()
    """
    flags = kmem_cache_flags(state.debug, flags, name)
    if ctor or flags & SLAB_NEVER_MERGE or state.slab_nomerge:
        return None
    size = align_up(size, SIZEOF_POINTER)
    align = calculate_alignment(flags, align, size)
    size = align_up(size, align)
    for s in reversed(state.slab_caches):
        if slab_unmergeable(s) or size > s.size or s.size - size >= SIZEOF_POINTER:
            continue
        same_kind = not (flags ^ s.flags) & SLAB_MERGE_SAME
        if same_kind and s.size & ~(align - 1) == s.size:
            return s
    return None


def _kmem_cache_alias(
    state: SlabState, size: int, align: int, flags: int, name: str, ctor: bool
) -> KmemCache | None:
    """Share a cache, if there is one to share. Kernel: __kmem_cache_alias()."""
    s = find_mergeable(state, size, align, flags, name, ctor)
    if s is not None:
        set_cache_field(s, "refcount", s.refcount + 1)
        set_cache_field(s, "object_size", max(s.object_size, size))
        set_cache_field(s, "inuse", max(s.inuse, align_up(size, SIZEOF_POINTER)))
    return s


def kmem_cache_create(
    vm: Vm, name: str, object_size: int, flags: int, args: KmemCacheArgs
) -> tuple[KmemCache | None, int]:
    """(a cache, 0), perhaps an older one that is shared, or (None, the error).

    What the kernel warns of is logged: a bad usercopy region, which is left out; and, as with
    CONFIG_DEBUG_VM, a name that another cache has, or with a blank. So is the error; with
    SLAB_PANIC SlabDebug.oops says so. Kernel: mm/slab_common.c __kmem_cache_create_args(),
    create_cache()
    """
    s, error = _create_or_share(vm, name, object_size, flags, args)
    if error and flags & SLAB_PANIC:
        text = f"{_CREATE}: Failed to create slab '{name}'. Error -{error}"
        vm.slab.debug.oops = f"Kernel panic - not syncing: {text}"
        vm.slab.log.append(vm.slab.debug.oops)
    elif error:
        vm.slab.log.append(f"{_CREATE}({name}) failed with error -{error}")
    return s, -error


def _create_or_share(
    vm: Vm, name: str, object_size: int, flags: int, args: KmemCacheArgs
) -> tuple[KmemCache | None, int]:
    kmem_cache_sanity_check(vm, name)
    if object_size > KMALLOC_MAX_SIZE or flags & ~SLAB_FLAGS_PERMITTED:
        return None, EINVAL
    usercopy = _usercopy(vm, object_size, args)
    if not usercopy[1]:
        s = _kmem_cache_alias(vm.slab, object_size, args.align, flags, name, args.ctor)
        if s is not None:
            return s, 0
    if args.freeptr_offset >= 0 and not _has_room_for_freeptr(object_size, flags, args):
        return None, EINVAL
    s = KmemCache(vm, name, object_size, calculate_alignment(flags, args.align, object_size), flags)
    s.useroffset, s.usersize = usercopy
    s.ctor = args.ctor
    error = do_kmem_cache_create(s, args.freeptr_offset)
    if error:
        vm.slab.caches.pop()
    return (None, error) if error else (s, 0)


def kmem_cache_sanity_check(vm: Vm, name: str) -> None:
    """Log what confuses those who read /proc/slabinfo. Kernel: kmem_cache_sanity_check()."""
    if any(s.name == name for s in vm.slab.slab_caches):
        vm.slab.log.append(f"kmem_cache of name '{name}' already exists")
    if " " in name:
        warn_on(vm, "mm/slab_common.c:110 kmem_cache_sanity_check")


def _has_room_for_freeptr(object_size: int, flags: int, args: KmemCacheArgs) -> bool:
    """May the free pointer lie where the caller says? Only of objects that RCU readers may see."""
    inside = args.freeptr_offset < object_size and not args.freeptr_offset % SIZEOF_POINTER
    return inside and bool(flags & SLAB_TYPESAFE_BY_RCU)


def _usercopy(vm: Vm, object_size: int, args: KmemCacheArgs) -> tuple[int, int]:
    """(useroffset, usersize) of a region that lies in the object; else (0, 0), and a warning."""
    if args.useroffset and not args.usersize:
        warn_on(vm, f"mm/slab_common.c:315 {_CREATE}")
    elif args.usersize > object_size or args.useroffset > object_size - args.usersize:
        warn_on(vm, f"mm/slab_common.c:316 {_CREATE}")
    elif args.usersize:
        return args.useroffset, args.usersize
    return 0, 0


def do_kmem_cache_create(s: KmemCache, freeptr_offset: int) -> int:
    """Sizes, limits, lists of a new cache, and its place among all caches; 0 or EINVAL, ENOMEM.

    NOT MODELLED: that caches made at boot get their random_seq later; sysfs.
    Kernel: mm/slub.c do_kmem_cache_create()
    """
    vm = s.vm
    s.flags = kmem_cache_flags(vm.slab.debug, s.flags, s.name)
    if not calculate_sizes(s, freeptr_offset, vm.nr_cpus):
        return EINVAL
    if vm.slab.debug.disable_higher_order_debug and get_order(s.size) > get_order(s.object_size):
        s.flags &= ~DEBUG_METADATA_FLAGS
        if not calculate_sizes(s, freeptr_offset, vm.nr_cpus):
            return EINVAL
    if not s.flags & SLAB_NO_CMPXCHG:
        s.flags |= CMPXCHG_DOUBLE
    set_min_partial(s)
    set_cpu_partial(s)
    s.random = draw_long(s)
    init_cache_random_seq(s)
    if not allocate_structs(s):
        return ENOMEM
    place_cache(s, 0)
    return 0


def init_cache_random_seq(s: KmemCache) -> None:
    """Draw the order in which slabs of the cache hand out their objects.

    Kernel: mm/slub.c init_cache_random_seq(), mm/slab_common.c cache_random_seq_create()
    """
    count = s.oo[1]
    if count < 2:
        return
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        rand = draw_below(s, i + 1)
        order[i], order[rand] = order[rand], order[i]
    s.random_seq = [obj * s.size for obj in order]


def allocate_structs(s: KmemCache) -> bool:
    """struct kmem_cache, and a struct kmem_cache_node for each node, from their own caches.

    At boot, when these caches are made, there is nothing to take them from.
    NOT MODELLED: the copies that bootstrap() makes, random_seq, the per-CPU structs, the name.
    Kernel: mm/slab_common.c create_cache(), mm/slub.c init_kmem_cache_nodes()
    """
    state = s.vm.slab
    nids = range(len(s.vm.nodes))
    wanted = [(state.kmem_cache, NUMA_NO_NODE), *((state.kmem_cache_node, nid) for nid in nids)]
    for cache, nid in wanted:
        if cache is not None:
            obj = slab_alloc_node(cache, GFP_KERNEL, nid)
            if obj is None:
                free_structs(s)
                return False
            s.structs.append(obj)
    s.node = [_new_node(state, nid) for nid in nids]
    return True


def free_structs(s: KmemCache) -> None:
    """Give back the objects that hold a cache's structs: those of its nodes first.

    Kernel: mm/slab_common.c slab_kmem_cache_release()
    """
    for slab, obj in s.structs[1:] + s.structs[:1]:
        slab_free(slab.slab_cache, slab, obj)


def _new_node(state: SlabState, nid: int) -> KmemCacheNode:
    return KmemCacheNode(nid, state.new_id(), state.new_id())


def kmem_cache_destroy(s: KmemCache) -> bool:
    """Let go of a cache; the last one to do so takes it away. False if objects are in use.

    Even then it is on no list any more: what is left of it can never be used again.
    Kernel: mm/slab_common.c kmem_cache_destroy()
    """
    set_cache_field(s, "refcount", s.refcount - 1)
    if s.refcount:
        return True
    emptied = _kmem_cache_shutdown(s)
    place_cache(s, NULL)
    if not emptied:
        if s.vm.slab.debug.kunit_errors is None:
            caller = symbol(s, s.vm.slab.debug.call_site)
            pr_err(s, f"kmem_cache_destroy {s.name}: {_STILL_HAS_OBJECTS} from {caller}")
        return False
    free_structs(s)
    return True
