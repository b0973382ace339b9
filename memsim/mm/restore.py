"""A Vm from a snapshot. Everything in it is checked: a snapshot may come from anywhere.

What is wrong is said as `field: what`, the field as a path like nodes[0].zones[1].free_area.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from memsim.lib.flat import zeroed_bytes
from memsim.lib.list import list_insert_after
from memsim.lib.text import one_line
from memsim.mm.mmzone import (
    PG_BUDDY,
    PG_INUSE,
    PG_LRU,
    PerCpuPages,
    PerCpuZonestat,
    PglistData,
    Vm,
    Zone,
    get_pageblock_migratetype,
    list_pages,
)
from memsim.mm.page_alloc.pcp import pindex_to_order
from memsim.mm.snapshot import COMPACT_FIELDS, PCP_FIELDS, VARS, ZONE_FIELDS, Snapshot
from memsim.trace.trace import Trace
from memsim.words.arch import ARCHES, X86_64, Arch, arch_of
from memsim.words.errors import BadInput
from memsim.words.mmzone import (
    MAX_PAGE_ORDER,
    MIGRATE_HIGHATOMIC,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
    NR_PAGE_ORDERS,
    NR_PCP_LISTS,
    NUMA_STAT_ITEMS,
    WMARK_NAMES,
    ZONE_STAT_ITEMS,
)

#: A snapshot of more pages than this (64 GiB) is refused: its lists would not fit in memory.
MAX_SNAPSHOT_PFN = 1 << 24
MAX_CPUS = 512
MAX_NODES = 64
#: CPUs times nodes: each pair has five pcps.
_MAX_CPU_NODES = 8192
_MAX_NUMBER = 1 << 62
_MAX_COUNTER = 1 << 40
_MAX_COUNT = 1 << 31
_IN_USE = frozenset("LMACHSTU")
_NOT_IN_USE = frozenset("FPR0-")


class Field:
    """A value of the snapshot with the path that leads to it."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def bad(self, what: str) -> BadInput:
        """The error that names this field."""
        return BadInput(f"{self.path or 'snapshot'}: {what}")

    def __getitem__(self, key: str) -> Field:
        if not isinstance(self.value, dict):
            raise self.bad("should be an object")
        if key not in self.value:
            raise self.bad(f"has no {key!r}")
        return Field(self.value[key], f"{self.path}.{key}" if self.path else key)

    def get(self, key: str, default: Any) -> Field:
        """The member, or default when there is none."""
        present = isinstance(self.value, dict) and key in self.value
        return self[key] if present else Field(default, f"{self.path}.{key}")

    def items(self, minimum: int = 0, maximum: int = _MAX_COUNT) -> list[Field]:
        """The members of a list with at least and at most so many."""
        if not isinstance(self.value, list) or not minimum <= len(self.value) <= maximum:
            raise self.bad(f"should be a list of {minimum} to {maximum} entries")
        return [Field(value, f"{self.path}[{i}]") for i, value in enumerate(self.value)]

    def each(self) -> Iterator[Field]:
        """The members of a list of any length, one at a time."""
        if not isinstance(self.value, list):
            raise self.bad("should be a list")
        return (Field(value, f"{self.path}[{i}]") for i, value in enumerate(self.value))

    def integer(self, minimum: int = -_MAX_NUMBER, maximum: int = _MAX_NUMBER) -> int:
        """A whole number within bounds."""
        value = self.value
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad(f"should be a whole number, is {one_line(value, 40)!r}")
        if not minimum <= value <= maximum:
            raise self.bad(f"{one_line(value, 40)} is not between {minimum} and {maximum}")
        return value

    def integers(self, minimum: int = -_MAX_NUMBER, maximum: int = _MAX_NUMBER) -> list[int]:
        """A list of whole numbers within bounds. Cost: no Field for each of them."""
        if not isinstance(self.value, list):
            raise self.bad("should be a list")
        for i, value in enumerate(self.value):
            if type(value) is not int or not minimum <= value <= maximum:
                raise self.bad(f"[{i}] should be a number from {minimum} to {maximum}")
        return self.value


def restore(snapshot: Snapshot, trace: Trace, *, mid_operation: bool = False) -> Vm:
    """A Vm in the state that the snapshot describes. BadInput names the field that is wrong.

    mid_operation: the state between two steps, where counters do not fit the lists yet.
    """
    root = Field(snapshot, "")
    nodes = root["nodes"].items(1, MAX_NODES)
    nr_cpus = root["nr_cpus"].integer(1, min(MAX_CPUS, _MAX_CPU_NODES // len(nodes)))
    config = root.get("config", {})
    vm = Vm(
        _max_pfn(nodes),
        nr_cpus,
        len(nodes),
        trace,
        arch=_arch(config.get("arch", X86_64.name)),
        cma=bool(config.get("cma", False).value),
        pageblock_order=root["pageblock_order"].integer(1, MAX_PAGE_ORDER),
    )
    _restore_topology(vm, config)
    for name in VARS:
        setattr(vm, name, root["vars"].get(name, 0).integer(-1, _MAX_COUNT))
    vm.memcg_kmem_online = root["vars"].get("key:memcg_kmem_online_key", 0).value == 1
    for nid, node in enumerate(nodes):
        _restore_node(vm, nid, node)
    _check_zones_apart(vm)
    _restore_zonelists(vm, nodes)
    for block in root["pageblocks"]["blocks"].each():
        _restore_pageblock(vm, block)
    _restore_pages(vm, root, nodes)
    if "cpu_to_node" not in config.value:
        vm.cpu_to_node = [_node_of_cpu(vm, cpu) for cpu in range(nr_cpus)]
    if not mid_operation:
        _check_counts(vm, nodes)
    return vm


def _arch(field: Field) -> Arch:
    arch = arch_of(str(field.value))
    if arch is None:
        known = ", ".join(arch.name for arch in ARCHES)
        raise field.bad(f"{one_line(field.value, 40)!r} is none of {known}")
    return arch


def _restore_topology(vm: Vm, config: Field) -> None:
    """CPUs by node, distances, and where ZONE_MOVABLE is from; where not told, as Vm has them."""
    nr_nodes = len(vm.node_distance)
    nids = config.get("cpu_to_node", vm.cpu_to_node).items(vm.nr_cpus, vm.nr_cpus)
    vm.cpu_to_node = [nid.integer(0, nr_nodes - 1) for nid in nids]
    rows = config.get("node_distance", vm.node_distance).items(nr_nodes, nr_nodes)
    vm.node_distance = [
        [distance.integer(0, 255) for distance in row.items(nr_nodes, nr_nodes)] for row in rows
    ]
    vm.movable_zone = config.get("movable_zone", vm.movable_zone).integer(0, vm.arch.ZONE_MOVABLE)


def _node_of_cpu(vm: Vm, cpu: int) -> int:
    """The node that most pages on a CPU's pcp lists are of: those of other nodes are drained.

    Kernel: mm/vmstat.c refresh_cpu_vm_stats()
    """
    pages = [0] * len(vm.nodes)
    pages[vm.cpu_to_node[cpu]] = 1
    for zone in vm.zones:
        pages[zone.node] += zone.per_cpu_pageset[cpu].count << 1
    return pages.index(max(pages))


def _zones(vm: Vm, node: Field) -> list[Field]:
    """A node's zones: as many as the configuration has."""
    return node["zones"].items(vm.arch.MAX_NR_ZONES, vm.arch.MAX_NR_ZONES)


def _max_pfn(nodes: list[Field]) -> int:
    """One more than the last pfn of any zone."""
    end = 1
    for node in nodes:
        for zone in node["zones"].items(1, X86_64.MAX_NR_ZONES):
            start = zone["zone_start_pfn"].integer(0, MAX_SNAPSHOT_PFN)
            end = max(end, start + zone["spanned_pages"].integer(0, MAX_SNAPSHOT_PFN - start))
    return end


def _check_zones_apart(vm: Vm) -> None:
    """NOT MODELLED: nodes that interleave, whose zones span each other's pages."""
    spans = sorted((zone.zone_start_pfn, zone.zone_end_pfn, zone.id) for zone in vm.zones)
    for (_, end, zone_id), (start, after_end, other) in pairwise(
        span for span in spans if span[0] < span[1]
    ):
        if start < end:
            pfns = f"pfn {start:#x} to {min(end, after_end) - 1:#x}"
            first, second = _zone_path(vm.zones[zone_id]), _zone_path(vm.zones[other])
            raise BadInput(f"{second}: {pfns} is in {first} too")


def _zone_path(zone: Zone) -> str:
    return f"nodes[{zone.node}].zones[{zone.idx}]"


def _restore_node(vm: Vm, nid: int, node: Field) -> None:
    node["nid"].integer(nid, nid)
    pgdat = PglistData(nid, vm.arch.MAX_NR_ZONES)
    vm.nodes.append(pgdat)
    for idx, field in enumerate(_zones(vm, node)):
        field["idx"].integer(idx, idx)
        zone = Zone(vm, len(vm.zones), nid, idx, vm.arch.zone_names[idx])
        vm.zones.append(zone)
        pgdat.node_zones.append(zone)
        _restore_zone(zone, field)


def _restore_zone(zone: Zone, field: Field) -> None:
    """Numbers of a zone, its watermarks, counters and CPUs; lists come later."""
    for name in ZONE_FIELDS:
        setattr(zone, name, field[name].integer(0, _MAX_COUNT))
    for name in COMPACT_FIELDS:
        setattr(zone, name, field.get(name, 0).integer(0, _MAX_COUNT))
    positions = field.get("compact_cached_migrate_pfn", [0, 0]).items(2, 2)
    zone.compact_cached_migrate_pfn = [pfn.integer(0, _MAX_COUNT) for pfn in positions]
    field["present_pages"].integer(0, zone.spanned_pages)
    field["managed_pages"].integer(0, zone.present_pages)
    zone.zone_end_pfn = zone.zone_start_pfn + zone.spanned_pages
    zone._watermark = [field["watermark"][name].integer(0, _MAX_COUNT) for name in WMARK_NAMES]
    nr_zones = zone.vm.arch.MAX_NR_ZONES
    reserves = field["lowmem_reserve"].items(nr_zones, nr_zones)
    zone.lowmem_reserve = [reserve.integer(0, _MAX_COUNT) for reserve in reserves]
    zone.vm_stat = _items(field["vm_stat"])
    zone.vm_numa_event = _events(field.get("vm_numa_event", {}))
    if not zone.spanned_pages:
        return
    nr_cpus = zone.vm.nr_cpus
    pcps = field["pcp"].items(nr_cpus, nr_cpus)
    for pcp, pcp_field in zip(zone.per_cpu_pageset, pcps, strict=True):
        _restore_pcp(pcp, pcp_field)
    stats = field["percpu_stat"].items(nr_cpus, nr_cpus)
    for pzstats, stat in zip(zone.per_cpu_zonestats, stats, strict=True):
        _restore_zonestat(pzstats, stat)


#: Bounds of a pcp's numbers. A batch of 0 would never empty a list.
_PCP_BOUNDS = {"batch": (1, 1 << 16), "alloc_factor": (0, 5), "flags": (0, 255)}


def _restore_pcp(pcp: PerCpuPages, field: Field) -> None:
    for name in PCP_FIELDS:
        setattr(pcp, name, field[name].integer(*_PCP_BOUNDS.get(name, (0, _MAX_COUNT))))


def _restore_zonestat(pzstats: PerCpuZonestat, field: Field) -> None:
    pzstats.stat_threshold = field["stat_threshold"].integer(0, 127)
    pzstats.vm_stat_diff = _items(field["diff"])


def _items(field: Field) -> list[int]:
    """Counters in the order of ZONE_STAT_ITEMS; one that is not there is 0."""
    return [field.get(name, 0).integer(-_MAX_COUNTER, _MAX_COUNTER) for name in ZONE_STAT_ITEMS]


def _events(field: Field) -> list[int]:
    """Counts in the order of NUMA_STAT_ITEMS; one that is not there is 0."""
    return [field.get(name, 0).integer(0, _MAX_NUMBER) for name in NUMA_STAT_ITEMS]


def _restore_zonelists(vm: Vm, nodes: list[Field]) -> None:
    """Zonelists name zones as [nid, index]; only populated ones are kept."""
    for pgdat, node in zip(vm.nodes, nodes, strict=True):
        fallback, thisnode = node["zonelists"].items(2, 2)
        pgdat.set_zonelists(_zonelist(vm, fallback), _zonelist(vm, thisnode))


def _zonelist(vm: Vm, field: Field) -> list[Zone]:
    zones = [_zone_at(vm, entry) for entry in field.items(0, len(vm.zones))]
    if len({zone.id for zone in zones}) != len(zones):
        raise field.bad("names a zone twice")
    return [zone for zone in zones if zone.spanned_pages]


def _zone_at(vm: Vm, field: Field) -> Zone:
    nid, idx = field.items(2, 2)
    node = vm.nodes[nid.integer(0, len(vm.nodes) - 1)]
    return node.node_zones[idx.integer(0, vm.arch.MAX_NR_ZONES - 1)]


def _restore_pageblock(vm: Vm, field: Field) -> None:
    first, migratetype, skip = field.items(3, 3)
    pfn = first.integer(0, MAX_SNAPSHOT_PFN)
    if pfn % vm.pageblock_nr_pages:
        raise first.bad(f"{pfn:#x} is not the start of a pageblock")
    block = pfn >> vm.pageblock_order
    if block < len(vm.pageblock):
        vm.pageblock[block] = migratetype.integer(0, vm.MIGRATE_TYPES - 1)
        vm.pageblock_skip[block] = skip.integer(0, 1)


class _Covered:
    """Which pages have been told of already: a page is in one block only."""

    def __init__(self, vm: Vm) -> None:
        self._pages = zeroed_bytes(vm.max_pfn)

    def add(self, field: Field, pfn: int, nr_pages: int) -> None:
        """These pages belong to field's block."""
        if b"\1" in bytes(self._pages[pfn : pfn + nr_pages]):
            raise field.bad(f"pfn {pfn:#x} and its block: there is another block in these pages")
        self._pages[pfn : pfn + nr_pages] = b"\1" * nr_pages


def _restore_pages(vm: Vm, root: Field, nodes: list[Field]) -> None:
    """Blocks in use, then free lists and pcp lists."""
    covered = _Covered(vm)
    for run in root["page_kinds"]["runs"].each():
        _restore_run(vm, run, covered)
    for pgdat, node in zip(vm.nodes, nodes, strict=True):
        for zone, field in zip(pgdat.node_zones, _zones(vm, node), strict=True):
            if zone.spanned_pages:
                _restore_lists(zone, field, covered)


def _restore_run(vm: Vm, field: Field, covered: _Covered) -> None:
    """Mark pages in use. Free ones are marked by their lists; F, P, holes and tails are not."""
    first, count, kind, order = field.items(4, 4)
    pfn = first.integer(0, vm.max_pfn)
    if not isinstance(kind.value, str) or kind.value not in _IN_USE | _NOT_IN_USE:
        raise kind.bad(f"{str(kind.value)[:20]!r} is no kind of page")
    if kind.value in _NOT_IN_USE:
        return
    block_order = order.integer(0, MAX_PAGE_ORDER)
    if pfn & (1 << block_order) - 1:
        raise first.bad(f"pfn {pfn:#x} is not aligned to order {block_order}")
    nr_blocks = count.integer(0, vm.max_pfn - pfn >> block_order)
    covered.add(field, pfn, nr_blocks << block_order)
    on_lru = PG_LRU if kind.value in ("L", "M") else 0
    block = bytes((PG_INUSE | block_order | on_lru,)) + bytes((on_lru,)) * ((1 << block_order) - 1)
    vm.page_state[pfn : pfn + (nr_blocks << block_order)] = block * nr_blocks


def _restore_lists(zone: Zone, field: Field, covered: _Covered) -> None:
    for order, area in enumerate(field["free_area"].items(NR_PAGE_ORDERS, NR_PAGE_ORDERS)):
        types = zone.vm.MIGRATE_TYPES
        for migratetype, pages in enumerate(area.items(types, types)):
            head = zone.free_area[order].free_list[migratetype]
            _fill_list(zone, head, pages, order, PG_BUDDY | order, covered)
            zone.free_area[order].nr_free += len(pages.value)
    for pcp, pcp_field in zip(zone.per_cpu_pageset, field["pcp"].items(), strict=True):
        lists = pcp_field["lists"].items(NR_PCP_LISTS, NR_PCP_LISTS)
        for pindex, (head, pages) in enumerate(zip(pcp.lists, lists, strict=True)):
            _fill_list(zone, head, pages, pindex_to_order(pindex), 0, covered)


def _fill_list(
    zone: Zone, head: int, field: Field, order: int, state: int, covered: _Covered
) -> None:
    """Blocks onto a list, in order. Each must lie in the zone, aligned, and overlap no other."""
    last = zone.zone_end_pfn - (1 << order)
    for page in field.integers(zone.zone_start_pfn, last):
        if page & (1 << order) - 1:
            raise field.bad(f"pfn {page:#x} is not aligned to order {order}")
        covered.add(field, page, 1 << order)
        list_insert_after(zone.next, zone.prev, page, zone.prev[head])
        zone.page_state[page] = state


def _check_counts(vm: Vm, nodes: list[Field]) -> None:
    """Counters and pageblock types must fit the lists: the allocator walks lists by them."""
    for pgdat, node in zip(vm.nodes, nodes, strict=True):
        for zone, field in zip(pgdat.node_zones, node["zones"].items(), strict=True):
            if zone.spanned_pages:
                _check_free_area(zone, field)
                _check_pcps(zone, field)


def _check_free_area(zone: Zone, field: Field) -> None:
    """A block's list is that of its pageblock's type; NR_FREE_PAGES and its kind count lists."""
    free = [0] * zone.vm.MIGRATE_TYPES
    for order, area in enumerate(zone.free_area):
        for migratetype, head in enumerate(area.free_list):
            for page in list_pages(zone, head):
                free[migratetype] += 1 << order
                block_type = get_pageblock_migratetype(zone, page)
                if block_type != migratetype:
                    path = Field(None, f"{field.path}.free_area[{order}][{migratetype}]")
                    raise path.bad(f"pfn {page:#x} is in a pageblock of migratetype {block_type}")
    field = field["vm_stat"]
    cma = free[zone.vm.MIGRATE_CMA] if zone.vm.MIGRATE_CMA >= 0 else 0
    _check_counter(zone, field, NR_FREE_PAGES, sum(free) - free[zone.vm.MIGRATE_ISOLATE])
    _check_counter(zone, field, NR_FREE_CMA_PAGES, cma)
    if zone.nr_free_highatomic != free[MIGRATE_HIGHATOMIC]:
        raise field.bad(f"nr_free_highatomic should be {free[MIGRATE_HIGHATOMIC]}, as listed")


def _check_counter(zone: Zone, field: Field, item: int, listed: int) -> None:
    drift = sum(pzstats.vm_stat_diff[item] for pzstats in zone.per_cpu_zonestats)
    if zone.vm_stat[item] + drift != listed:
        raise field.bad(
            f"{ZONE_STAT_ITEMS[item]} with its drift is {zone.vm_stat[item] + drift}, "
            f"but {listed} pages are listed"
        )


def _check_pcps(zone: Zone, field: Field) -> None:
    """pcp->count is the pages on its lists: the allocator empties lists until it is 0."""
    for pcp, pcp_field in zip(zone.per_cpu_pageset, field["pcp"].items(), strict=True):
        listed = sum(
            len(list_pages(zone, head)) << pindex_to_order(pindex)
            for pindex, head in enumerate(pcp.lists)
        )
        if pcp.count != listed:
            raise pcp_field["count"].bad(f"is {pcp.count}, but {listed} pages are listed")
