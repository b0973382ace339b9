"""Caches, slabs, and what each CPU and node keeps of them.

An object is its index in its slab; its address follows from the slab's first pfn. A free object
holds the index of the next free one of its list: `next_object` has it for all, and what it says
of an object in use means nothing. Slabs of caches that debug have real bytes, and free pointers
in them (memory.py).

Kernel: mm/slab.h struct slab, struct kmem_cache; mm/slub.c struct kmem_cache_cpu, _node
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from memsim.lib.bits import PAGE_SHIFT
from memsim.lib.list import INIT_LIST_HEAD
from memsim.mm.mmzone import Vm
from memsim.mm.slub.debug_state import SlabDebug
from memsim.words.mmzone import NULL
from memsim.words.slab import SLAB_DEBUG_FLAGS

Order = int
Objects = int


class Random:
    """Where chance comes from: splitmix64 of a seed and a count, so that it can be taken back.

    A replay puts recorded numbers in its place. Kernel: include/linux/random.h get_random_long();
    arch/x86/include/asm/tsc.h get_cycles()
    """

    __slots__ = ("count", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.count = 0

    def _next(self) -> int:
        self.count += 1
        x = (self.seed + self.count * 0x9E3779B97F4A7C15) & (1 << 64) - 1
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        x = (x ^ x >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        return x ^ x >> 31

    def get_random_u32_below(self, ceil: int) -> int:
        """A number from 0 to ceil - 1."""
        return (self._next() >> 32) * ceil >> 32

    def get_random_long(self) -> int:
        """64 random bits."""
        return self._next()

    def get_cycles(self) -> int:
        """What the processor's cycle counter says."""
        return self._next()


class FreePointer(Protocol):
    """The free pointer of each object, by its index: a list of them, or the slab's bytes."""

    def __len__(self) -> int: ...
    def __getitem__(self, obj: int, /) -> int: ...
    def __setitem__(self, obj: int, fp: int, /) -> None: ...


class Slab:
    """struct slab: the objects of one cache in one block of pages.

    `freelist` is the first free object that is not on a CPU's lockless list, `inuse` counts
    objects that are not on `freelist`: all of them while the slab is `frozen`. `next` and
    `slabs` chain it on a CPU's partial list; `id` is its place in the node's lists.
    """

    __slots__ = (
        "slab_cache", "pfn", "order", "nid", "objects", "inuse", "frozen", "freelist",
        "next_object", "next", "slabs", "on_node_partial", "id", "memory",
    )  # fmt: skip

    def __init__(self, s: KmemCache, pfn: int, order: int, nid: int, slab_id: int) -> None:
        self.slab_cache = s
        self.pfn = pfn
        self.order = order
        self.nid = nid
        self.objects = s.oo[1] if order == s.oo[0] else s.min[1]
        self.inuse = 0
        self.frozen = False
        self.freelist = NULL
        self.next_object: FreePointer = [NULL] * self.objects
        #: All bytes of the pages, if the cache debugs.
        self.memory: bytearray | None = None
        self.next: Slab | None = None
        self.slabs = 0
        self.on_node_partial = False
        self.id = slab_id


class KmemCacheCpu:
    """struct kmem_cache_cpu: the slab a CPU allocates from, its lockless list, its partials.

    `partial` is the first slab of a chain by Slab.next.
    """

    __slots__ = ("cpu", "freelist", "partial", "slab", "tid")

    def __init__(self, cpu: int) -> None:
        self.cpu = cpu
        self.slab: Slab | None = None
        self.freelist = NULL
        self.partial: Slab | None = None
        self.tid = cpu


class KmemCacheNode:
    """struct kmem_cache_node: a node's partial slabs. `partial` and `full` are list heads."""

    __slots__ = ("full", "nid", "nr_partial", "nr_slabs", "partial", "total_objects")

    def __init__(self, nid: int, partial: int, full: int) -> None:
        self.nid = nid
        self.nr_partial = 0
        self.nr_slabs = 0
        self.total_objects = 0
        self.partial = partial
        self.full = full


class KmemCache:
    """struct kmem_cache. Sizes are bytes; `oo` and `min` are (order, objects) of its slabs.

    `offset` is where a free object holds its free pointer. `random_seq` has byte offsets in the
    order in which a new slab's objects are handed out, or is empty.
    """

    __slots__ = (
        "name", "flags", "size", "object_size", "inuse", "offset", "align", "red_left_pad",
        "oo", "min", "allocflags", "min_partial", "cpu_partial", "cpu_partial_slabs", "refcount",
        "ctor", "useroffset", "usersize", "random", "random_seq", "remote_node_defrag_ratio",
        "cpu_slab", "node", "structs", "vm", "id",
    )  # fmt: skip

    def __init__(self, vm: Vm, name: str, object_size: int, align: int, flags: int) -> None:
        self.vm = vm
        #: Its place in SlabState.caches, which forgets none.
        self.id = len(vm.slab.caches)
        vm.slab.caches.append(self)
        self.name = name
        self.flags = flags
        self.object_size = self.size = self.inuse = object_size
        self.align = align
        self.offset = self.red_left_pad = self.allocflags = 0
        self.oo: tuple[Order, Objects] = (0, 0)
        self.min: tuple[Order, Objects] = (0, 0)
        self.min_partial = self.cpu_partial = self.cpu_partial_slabs = 0
        self.refcount = 1
        self.ctor = False
        self.useroffset = self.usersize = 0
        self.random = 0
        self.random_seq: list[int] = []
        self.remote_node_defrag_ratio = 1000
        self.cpu_slab = [KmemCacheCpu(cpu) for cpu in range(vm.nr_cpus)]
        self.node: list[KmemCacheNode | None] = []
        #: The objects that hold this struct and its nodes'.
        self.structs: list[tuple[Slab, int]] = []

    def attributes(self) -> dict[str, str]:
        """{file: its text} of /sys/kernel/slab/NAME/; see mm/slub/attributes.py."""
        from memsim.mm.slub.attributes import attributes

        return attributes(self)


class SlabState:
    """The slab allocator's globals: every cache, and every slab by each of its pages.

    `next` and `prev` are the links of slabs and list heads, by id; `by_id` has the slabs.
    """

    __slots__ = (
        "buckets", "by_id", "debug",
        "caches", "free_ids", "give_back", "kmalloc_caches", "kmem_buckets_cache", "kmem_cache",
        "kmem_cache_node", "log", "next", "page_slab", "prev", "random", "random_kmalloc_seed",
        "slab_caches", "slab_nomerge",
    )  # fmt: skip

    def __init__(self, random: Random) -> None:
        self.random = random
        self.by_id: dict[int, Slab] = {}
        self.kmem_cache: KmemCache | None = None
        self.kmem_cache_node: KmemCache | None = None
        self.kmem_buckets_cache: KmemCache | None = None
        #: Which copy of kmalloc's caches a caller gets; None where there is one copy only.
        self.random_kmalloc_seed: int | None = None
        self.kmalloc_caches: list[dict[int, KmemCache]] = []
        self.buckets: list[dict[int, KmemCache]] = []
        self.slab_nomerge = False
        self.debug = SlabDebug()
        #: What a replay does with the pages of a slab that is given back, if it knows better.
        self.give_back: Callable[[Slab], None] | None = None
        #: What the kernel would log.
        self.log: list[str] = []
        self.slab_caches: list[KmemCache] = []
        self.caches: list[KmemCache] = []
        self.page_slab: dict[int, Slab] = {}
        self.next: list[int] = []
        self.prev: list[int] = []
        self.free_ids: list[int] = []

    def new_id(self) -> int:
        """A list entry that is on no list; as a head, it is an empty list."""
        if not self.free_ids:
            self.free_ids.append(len(self.next))
            self.next.append(0)
            self.prev.append(0)
        entry = self.free_ids.pop()
        INIT_LIST_HEAD(self.next, self.prev, entry)
        return entry

    def add(self, s: KmemCache, pfn: int, order: int, nid: int) -> Slab:
        """A slab of these pages, on no list, without a freelist."""
        slab = Slab(s, pfn, order, nid, self.new_id())
        self.by_id[slab.id] = slab
        self.page_slab.update(dict.fromkeys(range(pfn, pfn + (1 << order)), slab))
        return slab

    def remove(self, slab: Slab) -> None:
        """Forget a slab that is on no list."""
        for page in range(slab.pfn, slab.pfn + (1 << slab.order)):
            del self.page_slab[page]
        del self.by_id[slab.id]
        self.free_ids.append(slab.id)


def kmem_cache_debug(s: KmemCache) -> bool:
    """Does every object of the cache take the slow path? Kernel: mm/slub.c kmem_cache_debug()."""
    return (s.flags & SLAB_DEBUG_FLAGS) != 0


def get_node(s: KmemCache, nid: int) -> KmemCacheNode:
    """What the node keeps of the cache. Kernel: mm/slub.c get_node()."""
    node = s.node[nid]
    assert node is not None
    return node


def slab_address(slab: Slab, page_offset_base: int) -> int:
    """Address of the slab's first byte. Kernel: mm/slab.h slab_address()."""
    return page_offset_base + (slab.pfn << PAGE_SHIFT)


def obj_to_index(s: KmemCache, slab: Slab, address: int, page_offset_base: int) -> int:
    """The object that holds this address. Kernel: mm/slab.h obj_to_index()."""
    return (address - slab_address(slab, page_offset_base)) // s.size
