"""Every invariant of vmalloc's areas, as one sentence and one check."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.lib.rbtree import rb_nodes, rb_violations
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import PTE, Table, entry_pfn, is_leaf
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.state import VmallocState, addr_to_node, decode_vn_id
from memsim.mm.vmalloc.tree import AreaTree
from memsim.trace.vmalloc_steps import tree_name
from memsim.words.errors import ValidationError
from memsim.words.mmzone import NULL


def trees_of(state: VmallocState) -> list[AreaTree]:
    """Every tree of areas."""
    nodes = state.vmap_nodes
    own = [tree for vn in nodes for tree in (vn.busy, vn.lazy, vn.purge_list, vn.decay)]
    return [state.free_vmap_area_root, *own]


def _shapes(state: VmallocState) -> Iterator[str]:
    """Trees are red-black trees."""
    for tree in trees_of(state):
        kind, node = tree_name(tree.code)
        yield from (f"{kind} {node}: {wrong}" for wrong in rb_violations(tree))


def _apart(state: VmallocState) -> Iterator[str]:
    """No two areas overlap; each is known by its va_start."""
    areas = [state.areas[start] for start in sorted(state.areas)]
    for va, behind in pairwise(areas):
        if va.va_end > behind.va_start:
            yield f"{va.va_start:#x} to {va.va_end:#x} overlaps with {behind.va_start:#x}"
    yield from (f"{s:#x}: {va.va_start:#x}" for s, va in state.areas.items() if s != va.va_start)


def _one_place(state: VmallocState) -> Iterator[str]:
    """An area is in one tree or pool."""
    places = [va.va_start for tree in trees_of(state) for va in rb_nodes(tree)]
    places += [va.va_start for vn in state.vmap_nodes for pool in vn.pool for va in pool]
    if sorted(places) != sorted(state.areas):
        odd = {start for start in places if places.count(start) > 1} or set(places) ^ set(
            state.areas
        )
        yield f"{len(places)} places for {len(state.areas)} areas: {sorted(odd)[0]:#x}"


def _largest(state: VmallocState) -> Iterator[str]:
    """subtree_max_size is the largest size of a free area's subtree."""
    for va in rb_nodes(state.free_vmap_area_root):
        below = [child.subtree_max_size for child in (va.rb_left, va.rb_right) if child]
        if va.subtree_max_size != max([va_size(va), *below]):
            yield f"{va.va_start:#x}: {va.subtree_max_size:#x}"


def _merged(state: VmallocState) -> Iterator[str]:
    """No two free areas touch."""
    for va, behind in pairwise(rb_nodes(state.free_vmap_area_root)):
        if va.va_end == behind.va_start:
            yield f"{va.va_start:#x} and {behind.va_start:#x}"


def _kept_where_they_begin(state: VmallocState) -> Iterator[str]:
    """A busy area is kept by the vmap_node of its address."""
    for vn in state.vmap_nodes:
        for va in rb_nodes(vn.busy):
            if addr_to_node(state, va.va_start) is not vn:
                yield f"{va.va_start:#x} is kept by vmap_node {vn.id}"


def _pools(state: VmallocState) -> Iterator[str]:
    """A pool has areas of its size that go back to its vmap_node."""
    for vn in state.vmap_nodes:
        for index, pool in enumerate(vn.pool):
            for va in pool:
                if va_size(va) != (index + 1) * PAGE_SIZE or decode_vn_id(state, va.flags) != vn:
                    yield f"{va.va_start:#x} in pool {index} of vmap_node {vn.id}"


def _lazy(state: VmallocState) -> Iterator[str]:
    """vmap_lazy_nr counts the pages of areas that are freed lazily."""
    lazy: list[VmapArea] = []
    for vn in state.vmap_nodes:
        lazy += [*rb_nodes(vn.lazy), *rb_nodes(vn.purge_list)]
    pages = sum(va_size(va) for va in lazy) >> PAGE_SHIFT
    if pages != state.vmap_lazy_nr:
        yield f"{state.vmap_lazy_nr}, counted {pages}"


def _tables(state: VmallocState) -> Iterator[str]:
    """Each page table but the topmost is led to by one entry, of the level above it."""
    tables = state.init_mm.tables
    led = [(table.level, entry_pfn(value)) for table in tables.values() if table.level > PTE
           for value in table.entries.values() if not is_leaf(value)]  # fmt: skip
    below = [(table.level + 1, pfn) for pfn, table in tables.items() if pfn != NULL]
    if sorted(led) != sorted(below):
        yield f"{len(led)} entries lead to {len(below)} tables"


def _mapped(state: VmallocState) -> Iterator[str]:
    """What is mapped lies in areas in use."""
    busy = sorted((va.va_start, va.va_end) for vn in state.vmap_nodes for va in rb_nodes(vn.busy))
    starts = [start for start, _ in busy]
    for address, end in _mappings(state, state.init_mm.pgd, 0):
        place = bisect_right(starts, address) - 1
        if place < 0 or end > busy[place][1]:
            yield f"{address:#x} to {end:#x}"


def _mappings(state: VmallocState, table: Table, base: int) -> Iterator[tuple[int, int]]:
    """First address and end of what each entry maps, of this table and those below it."""
    mm = state.init_mm
    shift = mm.shift_of(table.level)
    for index, value in table.entries.items():
        address = base | index << shift
        if table is mm.pgd and state.layout.bits_per_long == 64 and index >> mm.index_bits - 1:
            address |= -1 << shift + mm.index_bits & state.layout.ULONG_MAX
        if table.level == PTE or is_leaf(value):
            yield address, address + (1 << shift)
        else:
            yield from _mappings(state, mm.tables[entry_pfn(value)], address)


def _blocks(state: VmallocState) -> Iterator[str]:
    """A block's pages were never handed out, are in use, or were given back."""
    for start, vb in state.vmap_blocks.items():
        used = vb.used_map.bit_count()
        if vb.free + used + vb.dirty != state.layout.VMAP_BBMAP_BITS:
            yield f"{start:#x}: {vb.free} free, {used} in use, {vb.dirty} dirty"


def _queues(state: VmallocState) -> Iterator[str]:
    """A block is on its CPU's queue while it has pages never handed out."""
    for cpu, queue in enumerate(state.vmap_block_queue):
        expected = {s for s, vb in state.vmap_blocks.items() if vb.cpu == cpu and vb.free}
        if {vb.va.va_start for vb in queue} != expected or len(queue) != len(expected):
            yield f"CPU {cpu}: {len(queue)} blocks, should be {len(expected)}"


INVARIANTS: tuple[Callable[[VmallocState], Iterator[str]], ...] = (
    _shapes, _apart, _one_place, _largest, _merged, _kept_where_they_begin, _pools, _lazy,
    _tables, _mapped, _blocks, _queues,
)  # fmt: skip


def validate_vmalloc(vm: Vm) -> None:
    """Check every invariant. ValidationError names the ones that do not hold."""
    broken = [f"{check.__doc__} {wrong}" for check in INVARIANTS for wrong in check(vm.vmalloc)]
    if broken:
        raise ValidationError("; ".join(broken[:5]))
