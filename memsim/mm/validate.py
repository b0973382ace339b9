"""Every invariant of the page allocator, each one sentence and one check.

A check yields a line for each place where its sentence does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from memsim.mm.folio_validate import FOLIO_INVARIANTS
from memsim.mm.mempool import broken_mempools
from memsim.mm.mmzone import (
    PG_BUDDY,
    PG_INUSE,
    PG_LRU,
    PG_ORDER,
    PerCpuPages,
    Vm,
    Zone,
    get_pageblock_migratetype,
    list_pages,
    page_zone,
    populated_zones,
)
from memsim.mm.page_alloc.buddy import migratetype_is_mergeable
from memsim.mm.page_alloc.free_list import list_all_deferred
from memsim.mm.page_alloc.pcp import pindex_to_order
from memsim.words.errors import ValidationError
from memsim.words.mmzone import (
    MAX_PAGE_ORDER,
    MIGRATE_HIGHATOMIC,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
)

FreeBlock = tuple[int, int, int]


def free_blocks(zone: Zone) -> list[FreeBlock]:
    """(pfn, order, migratetype of its list) of every block on the zone's free lists."""
    return [
        (page, order, migratetype)
        for order, area in enumerate(zone.free_area)
        for migratetype, head in enumerate(area.free_list)
        for page in list_pages(zone, head)
    ]


def pcp_blocks(zone: Zone, pcp: PerCpuPages) -> list[tuple[int, int]]:
    """(pfn, pindex) of every block that a CPU keeps for the zone."""
    return [
        (page, pindex) for pindex, head in enumerate(pcp.lists) for page in list_pages(zone, head)
    ]


def _links(zone: Zone) -> Iterator[str]:
    """Each page on a list is the next of its prev, and the prev of its next."""
    heads = [head for area in zone.free_area for head in area.free_list]
    heads += [head for pcp in zone.per_cpu_pageset for head in pcp.lists]
    for head in heads:
        for before, page in pairwise([head, *list_pages(zone, head), head]):
            if zone.prev[page] != before:
                yield f"prev of {page} is {zone.prev[page]}, not {before}"


def _alignment(zone: Zone) -> Iterator[str]:
    """A free block lies in its zone, and its pfn is a multiple of its size."""
    for page, order, _ in free_blocks(zone):
        size = 1 << order
        if page % size or not zone.zone_start_pfn <= page <= zone.zone_end_pfn - size:
            yield f"free block {page:#x} of order {order}"


def _marks(zone: Zone) -> Iterator[str]:
    """A block on a free list, and only such a block, is PageBuddy with its order."""
    listed = {page: order for page, order, _ in free_blocks(zone)}
    for page, order in listed.items():
        if zone.page_state[page] != (PG_BUDDY | order):
            yield f"free block {page:#x} has state {zone.page_state[page]:#x}"
    states = bytes(zone.page_state[zone.zone_start_pfn : zone.zone_end_pfn])
    for order in range(MAX_PAGE_ORDER + 1):
        nr_marked = states.count(PG_BUDDY | order)
        nr_listed = sum(1 for listed_order in listed.values() if listed_order == order)
        if nr_marked != nr_listed:
            yield f"{nr_marked} pages are PageBuddy of order {order}, {nr_listed} are listed"


def _disjoint(zone: Zone) -> Iterator[str]:
    """No page is in two blocks: free, on a pcp list, or in use."""
    spans = [(page, 1 << order) for page, order, _ in free_blocks(zone)]
    for pcp in zone.per_cpu_pageset:
        spans += [(page, 1 << pindex_to_order(p)) for page, p in pcp_blocks(zone, pcp)]
    spans += _spans_in_use(zone)
    for (page, nr_pages), (after, _) in pairwise(sorted(spans)):
        if page + nr_pages > after:
            yield f"block {page:#x} of {nr_pages} pages reaches into {after:#x}"


def _spans_in_use(zone: Zone) -> list[tuple[int, int]]:
    return [
        (page, 1 << (zone.page_state[page] & PG_ORDER))
        for page in range(zone.zone_start_pfn, zone.zone_end_pfn)
        if zone.page_state[page] & PG_INUSE
    ]


def _pageblock_type(zone: Zone) -> Iterator[str]:
    """A free block is on the list of its pageblock's migratetype."""
    for page, order, migratetype in free_blocks(zone):
        block_type = get_pageblock_migratetype(zone, page)
        if block_type != migratetype:
            yield f"{page:#x} of order {order}: list {migratetype}, pageblock {block_type}"


def _merged(zone: Zone) -> Iterator[str]:
    """No two free buddies stay apart, but whole pageblocks that are isolated, or of such types."""
    blocks = {(page, order): mt for page, order, mt in free_blocks(zone)}
    for (page, order), migratetype in blocks.items():
        other = blocks.get((page ^ (1 << order), order))
        if other is None or order == MAX_PAGE_ORDER:
            continue
        both = migratetype_is_mergeable(migratetype) and migratetype_is_mergeable(other)
        alike = migratetype == other != zone.vm.MIGRATE_ISOLATE
        if order < zone.vm.pageblock_order or alike or both:
            yield f"{page:#x} and its buddy, order {order}"


def _nr_free(zone: Zone) -> Iterator[str]:
    """nr_free of each order is the number of blocks on its lists."""
    for order, area in enumerate(zone.free_area):
        nr_listed = sum(len(list_pages(zone, head)) for head in area.free_list)
        if area.nr_free != nr_listed:
            yield f"order {order}: nr_free {area.nr_free}, listed {nr_listed}"


def _counted(zone: Zone, item: int, types: list[int]) -> Iterator[str]:
    """The counter, with every CPU's drift, equals the free pages of these types."""
    counted = zone.vm_stat[item]
    counted += sum(pzstats.vm_stat_diff[item] for pzstats in zone.per_cpu_zonestats)
    listed = sum(1 << order for _, order, mt in free_blocks(zone) if mt in types)
    if counted != listed:
        yield f"counter {counted}, listed {listed}"


def _nr_free_pages(zone: Zone) -> Iterator[str]:
    """NR_FREE_PAGES counts the pages on all free lists but those of MIGRATE_ISOLATE."""
    return _counted(zone, NR_FREE_PAGES, list(range(zone.vm.MIGRATE_ISOLATE)))


def _nr_free_cma(zone: Zone) -> Iterator[str]:
    """NR_FREE_CMA_PAGES counts the pages on the MIGRATE_CMA lists."""
    return _counted(zone, NR_FREE_CMA_PAGES, [zone.vm.MIGRATE_CMA])


def _highatomic(zone: Zone) -> Iterator[str]:
    """nr_free_highatomic counts the pages on the MIGRATE_HIGHATOMIC lists."""
    listed = sum(1 << order for _, order, mt in free_blocks(zone) if mt == MIGRATE_HIGHATOMIC)
    if zone.nr_free_highatomic != listed:
        yield f"nr_free_highatomic {zone.nr_free_highatomic}, listed {listed}"


def _drift(zone: Zone) -> Iterator[str]:
    """No CPU keeps back more of a counter than its stat_threshold, or 125 after that shrank."""
    for cpu, pzstats in enumerate(zone.per_cpu_zonestats):
        for item in (NR_FREE_PAGES, NR_FREE_CMA_PAGES):
            if abs(pzstats.vm_stat_diff[item]) > 125:
                yield f"CPU {cpu}: {pzstats.vm_stat_diff[item]}"


def _pcp_count(zone: Zone) -> Iterator[str]:
    """pcp->count is the number of pages, not blocks, on a CPU's lists."""
    for cpu, pcp in enumerate(zone.per_cpu_pageset):
        listed = sum(1 << pindex_to_order(p) for _, p in pcp_blocks(zone, pcp))
        if pcp.count != listed:
            yield f"CPU {cpu}: count {pcp.count}, listed {listed}"


def _pcp_pages(zone: Zone) -> Iterator[str]:
    """A page on a pcp list lies in the zone, is aligned, and is neither PageBuddy nor in use."""
    for cpu, pcp in enumerate(zone.per_cpu_pageset):
        for page, pindex in pcp_blocks(zone, pcp):
            aligned = page % (1 << pindex_to_order(pindex)) == 0
            if not aligned or zone.page_state[page] or page_zone(zone.vm, page) is not zone:
                yield f"CPU {cpu}, pindex {pindex}: {page:#x}, state {zone.page_state[page]:#x}"


def _states(zone: Zone) -> Iterator[str]:
    """A page's state is free, in use, on an LRU list while in use, or nothing."""
    for page in range(zone.zone_start_pfn, zone.zone_end_pfn):
        state = zone.page_state[page]
        if state & PG_BUDDY and state & (PG_INUSE | PG_LRU):
            yield f"{page:#x}: {state:#x}"


#: Every invariant of a zone; its sentence is the docstring.
INVARIANTS: tuple[Callable[[Zone], Iterator[str]], ...] = (
    _links, _alignment, _marks, _disjoint, _pageblock_type, _merged, _nr_free, _nr_free_pages,
    _nr_free_cma, _highatomic, _drift, _pcp_count, _pcp_pages, _states,
)  # fmt: skip


def broken_invariants(vm: Vm) -> Iterator[str]:
    """`zone: sentence: where` for every place where an invariant does not hold."""
    for zone in populated_zones(vm):
        list_all_deferred(zone)
        for check in INVARIANTS:
            for where in check(zone):
                yield f"{zone.name}: {check.__doc__} {where}"
    if hasattr(vm, "folios"):
        for of_folios in FOLIO_INVARIANTS:
            for where in of_folios(vm):
                yield f"folios: {of_folios.__doc__} {where}"
    yield from broken_mempools(vm)


def validate(vm: Vm) -> None:
    """Raise ValidationError with the first broken invariant. Cost: O(pages)."""
    for line in broken_invariants(vm):
        raise ValidationError(line)
