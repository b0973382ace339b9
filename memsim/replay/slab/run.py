"""Rows of the slab allocator done to the model: requests, frees, new slabs.

A request that needs a new slab looks in all other places when it calls for one (`newslab`), and has
it when that call ends (`newslab_ret`): interrupts and other tasks may come in between. The row of
the request itself, behind both, only tells the answer.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from memsim.mm.mmzone import Vm, page_zone
from memsim.mm.slub.alloc import (
    Object,
    alloc_from_cpu,
    alloc_from_new,
    alloc_from_node,
    masks,
    slab_alloc_node,
)
from memsim.mm.slub.bulk import take_lockless
from memsim.mm.slub.free import kmem_cache_free_bulk, slab_free
from memsim.mm.slub.pages import make_slab
from memsim.mm.slub.partial import put_cpu_partial
from memsim.mm.slub.shrink import kmem_cache_shrink
from memsim.mm.slub.slab import KmemCache, Random, Slab
from memsim.replay.order.slab_halfway import hold_back, probes_of_frees
from memsim.replay.pages.live import Pages
from memsim.replay.pages.misses import why_object
from memsim.replay.rows.inputs import ARGUMENTS, Kind, Rows
from memsim.replay.slab.caches import CachesOfRequests
from memsim.replay.slab.objects import Objects
from memsim.replay.slab.partial import frees_to_partial, let_go
from memsim.replay.slab.resync import change_places
from memsim.words.errors import BadInput
from memsim.words.gfp import __GFP_THISNODE
from memsim.words.mmzone import NULL
from memsim.words.slab import NUMA_NO_NODE

#: Objects of one bulk operation: probes show at most so many.
MAX_BULK = 512
#: Of more than these, a second probe shows the others.
_IN_ONE_PROBE = 320
_THISNODE = __GFP_THISNODE
_64_BITS = (1 << 64) - 1


class RecordedRandom(Random):
    """Random starts as the recording has them, in the place of drawn ones."""

    def __init__(self) -> None:
        super().__init__(0)
        self.recorded: deque[int] = deque()

    def get_random_u32_below(self, ceil: int) -> int:
        """The start recorded for the slab that is made right now."""
        return self.recorded.popleft() % ceil if self.recorded else 0


@dataclass
class Growing:
    """A request that called for a new slab: what it has of it so far."""

    cache: KmemCache
    node: int
    #: Of a bulk request: how many objects it wants; else 0.
    size: int
    objects: list[Object] = field(default_factory=list)
    #: The answer of a request for one object.
    obj: Object | None = None
    #: Does memsim need a slab too?
    needs: bool = False
    start: int = -1
    #: Calls for a slab; what the last one's gfp_mask was, and how often it asked for pages.
    calls: int = 0
    gfp: int = 0
    asked: int = 0
    #: The block that it got.
    page: int = NULL
    order: int = 0


@dataclass
class SlabMiss:
    """The first request that memsim answered otherwise than the kernel did."""

    request: int
    line: int
    cpu: int
    cache: str
    expected: int
    got: int


@dataclass
class SlabResult:
    """What a replay counted of the slab allocator. Requests are for one object each."""

    requests: int = 0
    exact: int = 0
    first_miss: SlabMiss | None = None
    rules: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    #: Misses after which two free objects changed places.
    put_right: int = 0
    #: By cause: requests missed.
    causes: Counter[str] = field(default_factory=Counter)
    #: By cache: requests, and those missed.
    asked: Counter[KmemCache] = field(default_factory=Counter)
    missed: Counter[KmemCache] = field(default_factory=Counter)


class SlabRun:
    """The slab allocator's part of a replay. vm.slab must be there.

    addresses: caches by the addresses that probes print. pages: memsim's pages by recorded ones.
    where: the trace's name, for errors.
    """

    def __init__(
        self,
        vm: Vm,
        rows: Rows,
        addresses: dict[int, KmemCache],
        pages: Pages,
        page_offset_base: int,
        where: str = "trace",
    ) -> None:
        self.where = where
        self.vm = vm
        self.rows = rows
        self.addresses = addresses
        self.pages = pages
        self.result = SlabResult()
        self.objects = Objects(vm.slab, page_offset_base)
        self.requested = CachesOfRequests(rows, vm.slab, addresses)
        self.result.rules = self.requested.rules
        self.random = vm.slab.random
        #: Requests that called for a slab, by context, the innermost last.
        self.growing: dict[int, list[Growing]] = {}
        self._asker = askers(rows)
        self._to_partial = frees_to_partial(rows)
        #: Pointers of a bulk free that the next probe tells the rest of, by context.
        self._part_of_bulk: dict[int, list[int]] = {}
        #: Frees that an interrupt came into -> the rows where their slabs join a CPU's list.
        self._halfway = probes_of_frees(rows)
        self._held_back: dict[int, Slab] = {}
        #: Rows of the page allocator that are done in another way.
        self.instead: dict[int, Callable[..., None]] = {}
        vm.slab.give_back = self.give_back

    def give_back(self, slab: Slab) -> None:
        """An empty slab: the recording tells when its pages are freed."""
        self.objects.forget(slab)

    def handlers(self) -> dict[int, Callable[..., None]]:
        """The method for each kind of row."""
        return {
            Kind.kmem_cache_alloc: self._alloc,
            Kind.kmalloc: self._alloc,
            Kind.kmem_cache_free: self._free,
            Kind.kfree: self._free,
            Kind.newslab: self._newslab,
            Kind.newslab_ret: self._newslab_ret,
            Kind.rnd: self._rnd,
            Kind.bulk_free: self._bulk_free,
            Kind.bulk_alloc: self._bulk_alloc,
            Kind.shrink: self._shrink,
            Kind.flushcpu: self._flushcpu,
            **({Kind.putcpup: self._putcpup} if self._halfway else {}),
        }

    def _cache_at(self, address: int) -> KmemCache | None:
        return self.addresses.get(address & _64_BITS)

    def _node(self, row: int, nid: int) -> int:
        """The node that a request is for, if there is such a node; or NUMA_NO_NODE."""
        if not NUMA_NO_NODE <= nid < len(self.vm.nodes):
            line = self.rows.line[row]
            raise BadInput(f"{self.where}: line {line}: node {nid} is not in the snapshot")
        return nid

    def _alloc(
        self, row: int, ptr: int, _site: int, _req: int, _alloc: int, gfp: int, where: int
    ) -> None:
        node = self._node(row, where >> 1)
        s = self.requested.of(row)
        grown = self._grown(row)
        if s is None:
            return
        if grown is not None and grown.cache is s and not grown.size:
            obj = grown.obj
        else:
            obj = self._without_new_slab(s, gfp, node)
        self._compare(row, s, ptr, obj)

    def _grown(self, row: int) -> Growing | None:
        """The context's innermost request that called for a slab, which ends with this row."""
        waiting = self.growing.get(self.rows.context[row])
        return waiting.pop() if waiting else None

    def _without_new_slab(self, s: KmemCache, gfp: int, node: int) -> Object | None:
        """An object from wherever memsim has one. The recording called for no slab here."""
        obj = self._from_cpu(s, node)
        for flags in masks(gfp, node) if obj is None else ():
            obj = alloc_from_node(s, flags, node)
            if obj is not None:
                break
        if obj is None:
            self.result.notes["requests that need a new slab in memsim alone"] += 1
            obj = self.grow_alone(s, gfp, node)
        return obj

    def grow_alone(self, _s: KmemCache, _gfp: int, _node: int) -> Object | None:
        """A new slab that the recording does not call for: there are no pages for it."""
        return None

    def _from_cpu(self, s: KmemCache, node: int) -> Object | None:
        """An object of the CPU's lists."""
        c = s.cpu_slab[self.vm.cpu]
        if c.slab is not None and c.freelist != NULL and node in (NUMA_NO_NODE, c.slab.nid):
            return slab_alloc_node(s, 0, node)
        return alloc_from_cpu(s, node)

    def _compare(
        self, row: int, s: KmemCache, ptr: int, obj: Object | None, others: Sequence[Object] = ()
    ) -> None:
        """others: what the same bulk request gave besides."""
        result = self.result
        result.requests += 1
        result.asked[s] += 1
        if obj is not None and self.objects.is_at(obj, ptr):
            result.exact += 1
            self.objects.allocated(ptr, obj)
            return
        result.missed[s] += 1
        wanted = self.objects.itself(ptr)
        is_first = result.first_miss is None
        result.causes[why_object(s, obj, wanted, self.objects, is_first)] += 1
        if result.first_miss is None:
            got = 0 if obj is None else self.objects.address(obj)
            result.first_miss = SlabMiss(
                result.requests, self.rows.line[row], self.vm.cpu, s.name, ptr & _64_BITS, got
            )
        right = None if others else self._put_right(s, obj, wanted)
        self.objects.allocated(ptr, right or obj)

    def _put_right(self, s: KmemCache, obj: Object | None, wanted: Object | None) -> Object | None:
        """The object to go on with: the recorded one, where it only was in another place."""
        if obj is None or wanted is None or not change_places(s, self.vm.cpu, obj, wanted):
            return obj
        self.result.put_right += 1
        return wanted

    def _newslab(self, row: int, address: int, gfp: int, node: int, *_: int) -> None:
        """A request found nothing and calls for a slab: let memsim look in the same places."""
        s = self._cache_at(address)
        if s is None:
            self.result.notes["new slabs of caches that the snapshot does not have"] += 1
            return
        node = self._node(row, node)
        waiting = self.growing.setdefault(self.rows.context[row], [])
        asker = self._asker.get(row, -1)
        if waiting and waiting[-1].cache is s and waiting[-1].calls and waiting[-1].needs:
            grown = waiting[-1]
        else:
            grown = Growing(s, node, self._bulk_size(asker))
            waiting.append(grown)
            self._first_look(grown)
        grown.calls += 1
        grown.asked = 0
        grown.gfp = gfp
        if not grown.needs:
            return
        self._look_in_nodes(grown, gfp)

    def _bulk_size(self, asker: int) -> int:
        if asker < 0 or self.rows.kind[asker] != Kind.bulk_alloc:
            return 0
        return min(max(0, self.rows[asker][2]), MAX_BULK)

    def _first_look(self, grown: Growing) -> None:
        """The CPU's lists."""
        if grown.size:
            self._fill(grown)
        else:
            grown.obj = self._from_cpu(grown.cache, grown.node)
            grown.needs = grown.obj is None

    def _fill(self, grown: Growing) -> None:
        """A bulk request goes on until it has enough, or needs a slab."""
        s = grown.cache
        while not take_lockless(s, grown.objects, grown.size):
            obj = alloc_from_cpu(s, NUMA_NO_NODE) or alloc_from_node(s, 0, NUMA_NO_NODE)
            if obj is None:
                grown.needs = True
                return
            grown.objects.append(obj)
        grown.needs = False

    def _look_in_nodes(self, grown: Growing, gfp: int) -> None:
        """The nodes' lists: of one node only, when the slab must be of it too."""
        obj = alloc_from_node(grown.cache, gfp & _THISNODE, grown.node)
        if obj is not None:
            self._got(grown, obj)

    def _got(self, grown: Growing, obj: Object) -> None:
        grown.needs = False
        if grown.size:
            grown.objects.append(obj)
            self._fill(grown)
        else:
            grown.obj = obj

    def _rnd(self, row: int, of_slab: int, _ceil: int, start: int, *_: int) -> None:
        waiting = self.growing.get(self.rows.context[row])
        if of_slab and waiting:
            waiting[-1].start = start

    def _newslab_ret(self, row: int, pfn: int, *_: int) -> None:
        """The call ends: the request has the slab, in memsim's page for the recorded one."""
        waiting = self.growing.get(self.rows.context[row])
        if not waiting:
            return
        grown = waiting[-1]
        if not grown.needs:
            self.result.notes["new slabs that memsim does not need"] += 1
            return
        slab = self.make_slab(grown, pfn)
        if slab is None:
            return
        self._got(grown, alloc_from_new(grown.cache, slab))

    def make_slab(self, grown: Growing, pfn: int) -> Slab | None:
        """A slab of the recorded request's page, as memsim answered it."""
        if not 0 <= pfn < self.vm.max_pfn:
            return None
        return self.slab_of(grown, *self.pages.block_of(pfn))

    def slab_of(self, grown: Growing, page: int, order: int) -> Slab | None:
        """A slab of these pages, if it fits there, started where the recorded one was."""
        s = grown.cache
        zone = page_zone(self.vm, page)
        fits = order in (s.oo[0], s.min[0]) and zone is not None
        if not fits or any(
            other in self.vm.slab.page_slab for other in range(page, page + (1 << order))
        ):
            self.result.notes["new slabs whose pages memsim does not have"] += 1
            return None
        if isinstance(self.random, RecordedRandom):
            self.random.recorded.clear()
            self.random.recorded.append(max(0, grown.start))
        return make_slab(s, page, order)

    def _free(self, row: int, ptr: int, *_: int) -> None:
        obj, why = self.objects.freed(ptr)
        if obj is None:
            self.result.notes[why] += 1
        else:
            if row in self._to_partial and let_go(obj[0]):
                self.result.notes["slabs that a request under way had let go"] += 1
            slab_free(obj[0].slab_cache, *obj)
            self._hold_back(row, obj[0])

    def _hold_back(self, row: int, slab: Slab) -> None:
        """Where an interrupt came into the free, the slab joins its list after that."""
        probe = self._halfway.get(row)
        if probe is not None and hold_back(slab, self.vm.cpu):
            self._held_back[probe] = slab

    def _putcpup(self, row: int, *_: int) -> None:
        slab = self._held_back.pop(row, None)
        if slab is not None:
            put_cpu_partial(slab.slab_cache, slab, drain=True)

    def _pointers(self, row: int, count: int) -> list[int]:
        """The pointers in the rows behind this one."""
        pointers: list[int] = []
        rows = self.rows
        while len(pointers) < count:
            row += 1
            if row >= len(rows) or rows.kind[row] != Kind.objects:
                break
            pointers.extend(rows.arguments[row * ARGUMENTS : (row + 1) * ARGUMENTS])
        return pointers[:count]

    def _bulk_free(self, row: int, _cache: int, size: int, start: int, *_: int) -> None:
        """Free what the probes show: two of them, one behind the other, when there is much."""
        pointers = self._pointers(row, min(max(0, size - start), MAX_BULK))
        context = self.rows.context[row]
        other = self._part_of_bulk.pop(context, None)
        if other is not None:
            pointers = pointers + other if start == 0 else other + pointers
        elif size > _IN_ONE_PROBE:
            self._part_of_bulk[context] = pointers
            return
        self._free_all(row, pointers)

    def _free_all(self, row: int, pointers: list[int]) -> None:
        found = []
        for ptr in pointers:
            obj, why = self.objects.freed(ptr)
            if obj is None:
                self.result.notes[why] += 1
            else:
                found.append(obj)
        kmem_cache_free_bulk(found)
        first = found[0][0].slab_cache.cpu_slab[self.vm.cpu].partial if found else None
        if first is not None:
            self._hold_back(row, first)

    def _bulk_alloc(
        self, row: int, address: int, gfp: int, size: int, returned: int, *_: int
    ) -> None:
        s = self._cache_at(address)
        grown = self._grown(row)
        if s is None or not 0 < size <= MAX_BULK:
            self.result.notes["bulk requests of unknown caches, or too large"] += 1
            return
        if grown is None or grown.cache is not s or not grown.size:
            grown = Growing(s, NUMA_NO_NODE, size)
            self._fill(grown)
        self.result.rules["bulk: named by its probe"] += max(0, returned)
        pointers = self._pointers(row, max(0, returned))
        for number, ptr in enumerate(pointers):
            obj = grown.objects[number] if number < len(grown.objects) else None
            self._compare(row, s, ptr, obj, grown.objects[number + 1 :])

    def _shrink(self, _row: int, address: int, *_: int) -> None:
        s = self._cache_at(address)
        if s is not None:
            kmem_cache_shrink(s)

    def _flushcpu(self, _row: int, *_: int) -> None:
        self.result.notes["flushes of a CPU, whose cache is not traced"] += 1


def askers(rows: Rows) -> dict[int, int]:
    """The request that each call for a slab is for: row of newslab -> row of the request."""
    waiting: dict[int, list[int]] = {}
    asker: dict[int, int] = {}
    requests = frozenset({Kind.kmem_cache_alloc, Kind.kmalloc, Kind.bulk_alloc})
    for row in rows.of_kinds({Kind.newslab, *requests}):
        if rows.kind[row] in requests:
            for call in waiting.pop(rows.context[row], ()):
                asker[call] = row
        else:
            waiting.setdefault(rows.context[row], []).append(row)
    return asker
