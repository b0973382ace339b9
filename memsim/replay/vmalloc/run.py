"""Rows of vmalloc done to the model: areas asked for, freed, purged.

A purge holds no lock from its begin to its end. What it does to the free areas shows in the areas
whose structs it frees (`reclaimed`): each part of it is done when the first of its own shows.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from memsim.lib.bits import unsigned
from memsim.mm.mmzone import Vm
from memsim.mm.vmalloc.alloc import find_unlink_vmap_area, insert_busy, node_alloc
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.clip import take_free_area, va_clip
from memsim.mm.vmalloc.lazy import free_vmap_area_noflush, purge_vmap_node, take_lazy
from memsim.mm.vmalloc.merge import merge_or_add_vmap_area_augment
from memsim.mm.vmalloc.pool import decay_pools, decayed, reclaim_list_global
from memsim.mm.vmalloc.state import VmapNode
from memsim.mm.vmalloc.tree import find_in_tree
from memsim.mm.vmalloc.update import new_area
from memsim.replay.pages.compare import Tally
from memsim.replay.rows.inputs import Kind, Rows
from memsim.replay.slab.run import SlabRun

#: Causes of misses.
_OTHER_ORDER = "its area was free: a search that is logged later was done before"
_NOT_FOUND = "not found: its area was not free"
_NOTHING = "not found: no area was free"


@dataclass
class VmallocMiss:
    """The first search that memsim answered otherwise than the kernel did."""

    request: int
    line: int
    cpu: int
    size: int
    align: int
    expected: int
    got: int


@dataclass
class VmallocResult:
    """What a replay counted of vmalloc. Requests are the alloc_vmap_area events."""

    requests: int = 0
    exact: int = 0
    first_miss: VmallocMiss | None = None
    notes: Counter[str] = field(default_factory=Counter)
    #: Why searches were missed, and how often.
    causes: Counter[str] = field(default_factory=Counter)
    #: Misses after which the area was moved to where the kernel had it.
    put_right: int = 0
    #: free_vmap_area_noflush and purge_vmap_area_lazy, and what they print.
    nr_lazy: Tally = field(default_factory=Tally)
    num_purged: Tally = field(default_factory=Tally)
    #: Closed loop: pages that areas gave back, and page tables asked for.
    freed: Tally = field(default_factory=Tally)
    tables: Tally = field(default_factory=Tally)

    def tallies(self) -> dict[str, Tally]:
        """What was compared on the way, by name; in an open loop no pages and no tables."""
        told = {"nr_lazy": self.nr_lazy, "num_purged": self.num_purged}
        closed = {"pages_freed": self.freed, "page_tables": self.tables}
        return told | {name: tally for name, tally in closed.items() if tally.total}


@dataclass
class Purge:
    """A purge under way: what it has still to give back.

    parts: vmap_nodes whose lazily freed areas it has, and areas that left pools. nodes: all the
    vmap_nodes. to_show: structs that the last part freed, whose rows come. purged: areas given
    back.
    """

    parts: deque[VmapNode | list[VmapArea]] = field(default_factory=deque)
    nodes: list[VmapNode] = field(default_factory=list)
    to_show: int = 0
    purged: int = 0


class VmallocRun:
    """vmalloc's part of a replay. vm.vmalloc must be there."""

    def __init__(self, vm: Vm, rows: Rows) -> None:
        self.vm = vm
        self.rows = rows
        self.result = VmallocResult()
        #: memsim's address for each recorded one that differs.
        self._own: dict[int, int] = {}
        #: Purges under way, by context.
        self._purges: dict[int, Purge] = {}
        #: Contexts whose last search found nothing: the next one asks no pool.
        self._failed: set[int] = set()
        vns = {rows[row][0] for row, kind in enumerate(rows.kind) if kind == Kind.vmdecay}
        self._nodes = {vn: i for i, vn in enumerate(sorted(vns, key=unsigned))}

    def handlers(self, slab: SlabRun | None) -> dict[int, Callable[..., None]]:
        """The method for each kind of row; freed structs are slab's rows too."""
        self._slab_free = None if slab is None else slab.handlers()[Kind.kmem_cache_free]
        return {
            Kind.alloc_vmap_area: self._alloc_vmap_area,
            Kind.free_vmap_area_noflush: self._free_vmap_area_noflush,
            Kind.vmpurge: self._vmpurge,
            Kind.vmdecay: self._vmdecay,
            Kind.purge_vmap_area_lazy: self._purge_vmap_area_lazy,
            Kind.kmem_cache_free: self._kmem_cache_free,
        }

    def _alloc_vmap_area(
        self, row: int, recorded: int, size: int, align: int, vstart: int, vend: int, _failed: int
    ) -> None:
        """A search ended; one that fails is followed by a purge, and by another search."""
        if size <= 0 or align <= 0 or align & align - 1:
            self.result.notes["requests of impossible sizes or alignments"] += 1
            return
        limits = unsigned(vstart), unsigned(vend)
        va, flags = node_alloc(self.vm, size, align, *limits)
        addr = self._search(size, align, *limits) if va is None else va.va_start
        expected = unsigned(recorded)
        self._compare(row, expected, addr, size, align)
        if addr == limits[1]:
            self.result.causes[_NOTHING] += expected != addr
            return
        va = va or new_area(self.vm.vmalloc, addr, addr + size)
        if addr != expected:
            va = self._put_right(va, expected)
            self._own[expected] = va.va_start
        insert_busy(self.vm, va, flags)
        self.made(row, va)

    def made(self, row: int, va: VmapArea) -> None:
        """An area is busy from here on; its pages are asked for by rows of pages."""

    def _put_right(self, va: VmapArea, expected: int) -> VmapArea:
        """The area to go on with: the recorded one, where its addresses are free in memsim too.

        Of two searches at the same time the log does not tell which one found its area first.
        """
        state, size = self.vm.vmalloc, va_size(va)
        merge_or_add_vmap_area_augment(state, va, state.free_vmap_area_root)
        for addr in (expected, va.va_start):
            free = find_in_tree(addr, state.free_vmap_area_root)
            if free is not None and va_clip(state, free, addr, size):
                self.result.put_right += addr == expected
                self.result.causes[_OTHER_ORDER if addr == expected else _NOT_FOUND] += 1
                return new_area(state, addr, addr + size)
        raise AssertionError("an area that was given back is free")

    def _search(self, size: int, align: int, vstart: int, vend: int) -> int:
        return take_free_area(self.vm.vmalloc, size, align, vstart, vend)

    def _compare(self, row: int, expected: int, got: int, size: int, align: int) -> None:
        result = self.result
        result.requests += 1
        if got == expected:
            result.exact += 1
        elif result.first_miss is None:
            where = self.rows.line[row], self.vm.cpu
            result.first_miss = VmallocMiss(result.requests, *where, size, align, expected, got)

    def _free_vmap_area_noflush(self, _row: int, recorded: int, nr_lazy: int, *_: int) -> None:
        address = unsigned(recorded)
        va = find_unlink_vmap_area(self.vm, self._own.pop(address, address))
        if va is None:
            self.result.notes["areas freed that memsim does not have"] += 1
            return
        free_vmap_area_noflush(self.vm, va)
        _count(self.result.nr_lazy, nr_lazy, self.vm.vmalloc.vmap_lazy_nr)

    def _vmpurge(self, row: int, *_: int) -> None:
        self._purges[self.rows.context[row]] = Purge()

    def _vmdecay(self, row: int, address: int, full: int, *_: int) -> None:
        """A vmap_node's pools decay; a purge then takes its lazily freed areas."""
        state = self.vm.vmalloc
        number = self._nodes[address]
        if number >= state.nr_vmap_nodes:
            self.result.notes["decays of vmap_nodes that the snapshot does not have"] += 1
            return
        vn = state.vmap_nodes[number]
        purge = self._purges.get(self.rows.context[row]) or Purge()
        self._finish(purge)
        decay_pools(state, vn, bool(full))
        purge.parts.append(decayed(vn))
        if self.rows.context[row] not in self._purges:
            self._finish(purge)
            return
        vn.skip_populate = bool(full)
        take_lazy(vn)
        purge.nodes.append(vn)
        if len(purge.nodes) == state.nr_vmap_nodes:
            purge.parts.extend(purge.nodes)

    def _kmem_cache_free(self, row: int, *arguments: int) -> None:
        """A struct is freed; by a purge, it shows how far that is."""
        reclaims = arguments[3]
        purge = self._purges.get(self.rows.context[row]) if reclaims else None
        if purge is not None:
            while not purge.to_show and purge.parts:
                self._do_part(purge)
            purge.to_show = max(0, purge.to_show - 1)
        if self._slab_free is not None:
            self._slab_free(row, *arguments)

    def _do_part(self, purge: Purge) -> None:
        before = len(self.vm.vmalloc.areas)
        part = purge.parts.popleft()
        if isinstance(part, VmapNode):
            purge.purged += purge_vmap_node(self.vm, part)
        else:
            reclaim_list_global(self.vm.vmalloc, part)
        purge.to_show += before - len(self.vm.vmalloc.areas)

    def _finish(self, purge: Purge) -> None:
        while purge.parts:
            self._do_part(purge)
        purge.to_show = 0

    def _purge_vmap_area_lazy(
        self, row: int, _start: int, _end: int, num_purged: int, *_: int
    ) -> None:
        purge = self._purges.pop(self.rows.context[row], None)
        if purge is None:
            self.result.notes["purges whose begin is not recorded"] += 1
            return
        self._finish(purge)
        _count(self.result.num_purged, num_purged, purge.purged)


def _count(tally: Tally, expected: int, got: int) -> None:
    tally.total += 1
    tally.equal += expected == got
