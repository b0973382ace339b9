"""/proc/pagetypeinfo: free blocks by order and migratetype, pageblocks by migratetype. Root's.

Read from any kernel since 4.9: with or without CMA and HighAtomic, and with the mixed blocks that
a kernel with page_owner=on counts. Lists are counted to 100,000 only: commit 93b3a674485f
("mm,vmstat: reduce zone->lock holding time by /proc/pagetypeinfo") (in v5.4).

Kernel: mm/vmstat.c pagetypeinfo_show()
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

from memsim.lib.bits import align_down
from memsim.mm.mmzone import PG_ORDER, PglistData, Vm, Zone, list_pages
from memsim.mm.page_alloc.free_list import list_all_deferred
from memsim.words.mmzone import MAX_PAGE_ORDER, MIGRATETYPE_NAMES, NR_PAGE_ORDERS

#: A list of so many blocks or more is printed as `>100000`.
COUNTED = 100000


@dataclass(frozen=True)
class FreeRow:
    """Free blocks of one migratetype by order; those orders that have at least as many, or more."""

    nr_free: tuple[int, ...]
    at_least: frozenset[int] = frozenset()


@dataclass
class PagetypeinfoZone:
    """A zone: its free blocks, and its pageblocks, by the name of the migratetype.

    `mixed`: pageblocks with pages of other types, None unless printed. `line`: where it was read.
    """

    zone: str
    free: dict[str, FreeRow] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    mixed: dict[str, int] | None = None
    line: int = field(default=0, compare=False)


@dataclass
class PagetypeinfoNode:
    """A node with memory: each prints the whole header again."""

    node: int
    pageblock_order: int
    types: tuple[str, ...]
    zones: list[PagetypeinfoZone]


def write_pagetypeinfo(nodes: list[PagetypeinfoNode]) -> str:
    """The text, as Linux 6.12 prints it. Kernel: pagetypeinfo_show()."""
    return "".join(f"{line}\n" for pgdat in nodes for line in _node_lines(pgdat))


def _node_lines(pgdat: PagetypeinfoNode) -> list[str]:
    lines = [
        f"Page block order: {pgdat.pageblock_order}",
        f"Pages per block:  {1 << pgdat.pageblock_order}",
        "",
        *_free_lines(pgdat),
        "",
        *_block_lines(pgdat, "Number of blocks type ", [zone.blocks for zone in pgdat.zones]),
    ]
    mixed = [zone.mixed for zone in pgdat.zones if zone.mixed is not None]
    return lines + (["", *_block_lines(pgdat, "Number of mixed blocks ", mixed)] if mixed else [])


def _free_lines(pgdat: PagetypeinfoNode) -> list[str]:
    """Kernel: pagetypeinfo_showfree(), pagetypeinfo_showfree_print()."""
    nr_orders = len(next(iter(pgdat.zones[0].free.values())).nr_free)
    orders = "".join(f"{order:6d} " for order in range(nr_orders))
    lines = [f"{'Free pages count per migrate type at order':<43} {orders}"]
    for zone in pgdat.zones:
        for name, row in zone.free.items():
            counts = "".join(
                f"{'>' if order in row.at_least else ''}{blocks:6d} "
                for order, blocks in enumerate(row.nr_free)
            )
            lines.append(f"Node {pgdat.node:4d}, zone {zone.zone:>8}, type {name:>12} {counts}")
    return lines


def _block_lines(pgdat: PagetypeinfoNode, title: str, counts: list[dict[str, int]]) -> list[str]:
    """Kernel: pagetypeinfo_showblockcount(), pagetypeinfo_showmixedcount()."""
    lines = [f"{title:<23}" + "".join(f"{name:>12} " for name in pgdat.types)]
    for zone, blocks in zip(pgdat.zones, counts, strict=True):
        numbers = "".join(f"{blocks[name]:12d} " for name in pgdat.types)
        lines.append(f"Node {pgdat.node}, zone {zone.zone:>8} {numbers}")
    return lines


def pagetypeinfo_of(vm: Vm) -> list[PagetypeinfoNode]:
    """What pagetypeinfo says on this machine."""
    types = tuple(name for name in MIGRATETYPE_NAMES if name != "CMA" or vm.MIGRATE_CMA >= 0)
    return [_node_of(pgdat, types) for pgdat in vm.nodes if _with_memory(pgdat)]


def _with_memory(pgdat: PglistData) -> list[Zone]:
    """The zones of a node that have pages."""
    return [zone for zone in pgdat.node_zones if zone.present_pages]


def _node_of(pgdat: PglistData, types: tuple[str, ...]) -> PagetypeinfoNode:
    zones = []
    for zone in _with_memory(pgdat):
        blocks = Counter(
            zone.pageblock[pfn >> zone.vm.pageblock_order] for pfn in online_pageblocks(zone)
        )
        told = PagetypeinfoZone(zone.name)
        list_all_deferred(zone)
        for migratetype, name in enumerate(types):
            told.free[name] = _free_row(zone, migratetype)
            told.blocks[name] = blocks[migratetype]
        zones.append(told)
    return PagetypeinfoNode(pgdat.nid, pgdat.node_zones[0].vm.pageblock_order, types, zones)


def _free_row(zone: Zone, migratetype: int) -> FreeRow:
    """Kernel: pagetypeinfo_showfree_print(), which counts no further than COUNTED."""
    counts = [
        len(list_pages(zone, zone.free_area[order].free_list[migratetype]))
        for order in range(NR_PAGE_ORDERS)
    ]
    at_least = frozenset(order for order, blocks in enumerate(counts) if blocks >= COUNTED)
    return FreeRow(tuple(min(blocks, COUNTED) for blocks in counts), at_least)


def online_pageblocks(zone: Zone) -> list[int]:
    """A pfn of each pageblock that pagetypeinfo counts: of those that are not in a hole.

    NOT MODELLED: where the holes are. Those pageblocks last in the zone that hold no page of the
    allocator are taken for holes, as many as there can be. So it is where RAM ends below 4 GiB;
    the kernel counts some pageblocks in smaller holes.
    Kernel: pagetypeinfo_showblockcount_print(), mm/mm_init.c init_unavailable_range()
    """
    order = zone.vm.pageblock_order
    pfns = range(zone.zone_start_pfn, zone.zone_end_pfn, 1 << order)
    nr_absent = zone.spanned_pages - zone.present_pages >> order
    in_pcps = {
        page >> order
        for pcp in zone.per_cpu_pageset
        for head in pcp.lists
        for page in list_pages(zone, head)
    }
    empty = (pfn for pfn in reversed(pfns) if _is_empty(zone, pfn >> order, in_pcps))
    absent = set(islice(empty, nr_absent))
    return [pfn for pfn in pfns if pfn not in absent]


def _is_empty(zone: Zone, block: int, in_pcps: set[int]) -> bool:
    """Has the allocator no page in this pageblock?"""
    order = zone.vm.pageblock_order
    pfn = block << order
    # a block of several pageblocks has its state in the first
    around = zone.page_state[align_down(pfn, 1 << MAX_PAGE_ORDER)] & PG_ORDER
    states = zone.page_state[pfn : pfn + (1 << order)]
    return not (any(states) or block in in_pcps or around == MAX_PAGE_ORDER)
