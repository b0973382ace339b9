"""The slab allocator's state from a snapshot, checked: a snapshot may come from anywhere.

What is wrong is said as `field: what`, the field as a path like slab[3].cpu[0].freelist.
"""

from __future__ import annotations

import re
from itertools import pairwise

from memsim.lib.bits import PAGE_SIZE
from memsim.lib.text import one_line
from memsim.mm.kmalloc_caches import KMALLOC_COPIES, KMALLOC_TYPES, kmalloc_index
from memsim.mm.mmzone import PG_INUSE, Vm, page_zone
from memsim.mm.restore import Field
from memsim.mm.slub.slab import KmemCache, KmemCacheCpu, KmemCacheNode, Random, Slab, SlabState
from memsim.mm.slub.update import add_partial, set_freepointer
from memsim.words.mmzone import MAX_PAGE_ORDER, NULL
from memsim.words.slab import KMALLOC_MAX_SIZE, MAX_OBJS_PER_PAGE, TID_STEP

#: A snapshot with more caches is refused; kernels have some hundreds.
MAX_CACHES = 4096
_MAX_TID = 1 << 62
_NUMBERS = (
    "object_size", "inuse", "offset", "align", "red_left_pad", "min_partial", "cpu_partial",
    "cpu_partial_slabs", "remote_node_defrag_ratio", "useroffset", "usersize",
)  # fmt: skip
#: Sets of caches that kmem_buckets_create() made, by their names.
BUCKETS = ("msg_msg", "memdup_user")
_SIZED = re.compile(r"(.+)-(\d{1,4})(k?)", re.ASCII)


def restore_slab(vm: Vm, caches: Field, random: Random) -> dict[int, KmemCache]:
    """Give vm the slab allocator that a snapshot's `slab` describes; the caches by address.

    vm must have its pages already. BadInput names the field that is wrong.
    """
    state = vm.slab = SlabState(random)
    by_address: dict[int, KmemCache] = {}
    for field in caches.items(0, MAX_CACHES):
        address = address_in(field["addr"])
        if address in by_address:
            raise field["addr"].bad("is that of another cache too")
        by_address[address] = _restore_cache(vm, field)
    state.slab_caches = list(by_address.values())
    _name_kmalloc_caches(state)
    return by_address


def address_in(field: Field) -> int:
    """A kernel address written in hexadecimal."""
    text = field.value
    try:
        if isinstance(text, str) and len(text) <= 18:
            return int(text, 16)
    except ValueError:
        pass
    raise field.bad(f"{one_line(text, 30)!r} is not an address such as '0xffff888004044b00'")


def _restore_cache(vm: Vm, field: Field) -> KmemCache:
    """A cache, its numbers, and all its slabs."""
    name = field["name"].value
    if not isinstance(name, str) or not 0 < len(name) < 256:
        raise field["name"].bad("should be a cache's name")
    flags = field["flags"].integer(0, (1 << 32) - 1)
    s = KmemCache(vm, name, 0, 0, flags)
    for number in _NUMBERS:
        setattr(s, number, field[number].integer(0, 1 << 31))
    s.allocflags = field["allocflags"].integer(0, (1 << 32) - 1)
    s.size = field["size"].integer(1, KMALLOC_MAX_SIZE)
    s.refcount = field["refcount"].integer(-1, 1 << 30)
    s.ctor = field.get("ctor", "0x0").value not in ("0x0", None)
    s.oo = _order_objects(s, field, "oo")
    s.min = _order_objects(s, field, "min")
    s.random_seq = field["random_seq"].integers(0, (PAGE_SIZE << s.oo[0]) - 1)
    if len(s.random_seq) not in (0, s.oo[1]) or any(seq % s.size for seq in s.random_seq):
        raise field["random_seq"].bad(f"should be empty or the offsets of {s.oo[1]} objects")
    if s.random_seq and len(set(s.random_seq)) != len(s.random_seq):
        raise field["random_seq"].bad("has an offset twice")
    _Slabs(s, field).restore()
    return s


def _order_objects(s: KmemCache, field: Field, which: str) -> tuple[int, int]:
    order = field[f"{which}_order"].integer(0, MAX_PAGE_ORDER)
    most = min((PAGE_SIZE << order) // s.size, MAX_OBJS_PER_PAGE)
    return order, field[f"{which}_objects"].integer(1, max(1, most))


class _Slabs:
    """The slabs of one cache, put where the snapshot has them."""

    def __init__(self, s: KmemCache, field: Field) -> None:
        self._s = s
        self._vm = s.vm
        self._field = field
        self._listed = [0] * len(self._vm.nodes)
        self._orders: dict[int, int] = {}
        for exception in field.get("slab_order_exceptions", []).each():
            pfn, order = exception.items(2, 2)
            self._orders[pfn.integer(0, self._vm.max_pfn)] = order.integer(0, MAX_PAGE_ORDER)

    def restore(self) -> None:
        """Nodes first: slabs go to their lists."""
        s, field = self._s, self._field
        nodes = field["node"].items(len(self._vm.nodes), len(self._vm.nodes))
        s.node = [self._node(nid, node) for nid, node in enumerate(nodes)]
        cpus = field["cpu"].items(self._vm.nr_cpus, self._vm.nr_cpus)
        for c, cpu in zip(s.cpu_slab, cpus, strict=True):
            self._cpu(c, cpu)
        for full in field["full_slabs"].each():
            self._new(full, full.integer(0, self._vm.max_pfn))
        self._count_slabs(nodes)

    def _node(self, nid: int, field: Field) -> KmemCacheNode | None:
        if field.value is None:
            return None
        field["nid"].integer(nid, nid)
        n = KmemCacheNode(nid, self._vm.slab.new_id(), self._vm.slab.new_id())
        n.nr_slabs = field["nr_slabs"].integer(0, 1 << 31)
        n.total_objects = field["total_objects"].integer(0, 1 << 40)
        for partial in field["partial"].each():
            slab = self._slab(partial)
            if slab.nid != nid:
                raise partial["pfn"].bad(f"{slab.pfn:#x} is not on node {nid}")
            add_partial(self._s, n, slab, tail=True)
        field["nr_partial"].integer(n.nr_partial, n.nr_partial)
        return n

    def _cpu(self, c: KmemCacheCpu, field: Field) -> None:
        c.tid = field["tid"].integer(0, _MAX_TID)
        if c.tid % TID_STEP != self._s.cpu_slab.index(c):
            raise field["tid"].bad(f"{c.tid} is none of this CPU")
        objects = field["freelist"]
        if field["slab"].value is not None:
            c.slab = self._slab(field["slab"])
            c.slab.frozen = True
            c.freelist = _chain(c.slab, objects, taken=set(field["slab"]["freelist"].value))
        elif objects.items():
            raise objects.bad("the CPU has no slab")
        slabs = [self._slab(partial) for partial in field["partial"].each()]
        for slab, partial in zip(slabs, field["partial"].each(), strict=True):
            slab.slabs = partial["slabs"].integer(0, 1 << 31)
        for before, following in pairwise(slabs):
            before.next = following
        c.partial = slabs[0] if slabs else None

    def _slab(self, field: Field) -> Slab:
        """A slab with objects free, on no list yet."""
        slab = self._new(field, field["pfn"].integer(0, self._vm.max_pfn))
        slab.freelist = _chain(slab, field["freelist"], taken=set())
        free = len(field["freelist"].value)
        slab.inuse = field["inuse"].integer(slab.objects - free, slab.objects - free)
        slab.frozen = bool(field["frozen"].integer(0, 1))
        return slab

    def _new(self, field: Field, pfn: int) -> Slab:
        """A slab in these pages, all its objects in use."""
        vm, s = self._vm, self._s
        order = self._orders.get(pfn, s.oo[0])
        zone = page_zone(vm, pfn)
        if zone is None or pfn + (1 << order) > zone.zone_end_pfn:
            raise field.bad(f"pfn {pfn:#x} is in no zone")
        if vm.page_state[pfn] != (PG_INUSE | order):
            raise field.bad(f"pfn {pfn:#x} is no block of order {order} in use")
        if order not in (s.oo[0], s.min[0]):
            raise field.bad(f"order {order} is none of the cache's")
        if any(page in vm.slab.page_slab for page in range(pfn, pfn + (1 << order))):
            raise field.bad(f"pfn {pfn:#x} is in another slab too")
        slab = vm.slab.add(s, pfn, order, zone.node)
        slab.inuse = slab.objects
        self._listed[slab.nid] += 1
        if "objects" in (field.value if isinstance(field.value, dict) else {}):
            field["objects"].integer(slab.objects, slab.objects)
        return slab

    def _count_slabs(self, nodes: list[Field]) -> None:
        """nr_slabs counts all of a node: later ones are counted from there."""
        for node, count in zip(nodes, self._listed, strict=True):
            if node.value is not None:
                node["nr_slabs"].integer(count, count)


def _chain(slab: Slab, field: Field, taken: set[int]) -> int:
    """Chain the listed objects; the first, or NULL. None may be listed twice, or in taken."""
    objects = field.integers(0, slab.objects - 1)
    if len(set(objects)) != len(objects) or not taken.isdisjoint(objects):
        raise field.bad("has an object twice")
    for obj, following in pairwise([*objects, NULL]):
        set_freepointer(slab, obj, following)
    return objects[0] if objects else NULL


def _name_kmalloc_caches(state: SlabState) -> None:
    """Find the caches of kmalloc(), and those that caches are made of, by their names.

    NOT MODELLED: random_kmalloc_seed, which no snapshot has: all callers get the first copy.
    """
    sets: dict[str, dict[int, KmemCache]] = {}
    for s in state.slab_caches:
        match = _SIZED.fullmatch(s.name)
        if match:
            size = int(match[2]) << (10 if match[3] else 0)
            sets.setdefault(match[1], {})[kmalloc_index(size)] = s
        if s.name == "kmem_cache":
            state.kmem_cache = s
        elif s.name == "kmem_cache_node":
            state.kmem_cache_node = s
        elif s.name == "kmalloc_buckets":
            state.kmem_buckets_cache = s
    copies = [copy for copy in KMALLOC_COPIES if copy[0] in sets]
    state.kmalloc_caches = [sets.get(prefix, {}) for prefix, _ in (*KMALLOC_TYPES, *copies)]
    state.buckets = [sets.get(name, {}) for name in BUCKETS]
