"""A Vm from a snapshot. Everything in it is checked: a snapshot may come from anywhere.

What is wrong is said as `field: what`, the field as a path like nodes[0].zones[1].free_area.
"""

from __future__ import annotations

from typing import Any

from memsim.lib.list import list_insert_after
from memsim.mm.mmzone import (
    PG_BUDDY,
    PG_INUSE,
    PG_LRU,
    PerCpuPages,
    PerCpuZonestat,
    PglistData,
    Vm,
    Zone,
)
from memsim.mm.snapshot import PCP_FIELDS, VARS, ZONE_FIELDS, Snapshot
from memsim.trace.trace import Trace
from memsim.words.errors import BadInput
from memsim.words.mmzone import (
    MAX_NR_ZONES,
    MAX_PAGE_ORDER,
    NR_PAGE_ORDERS,
    NR_PCP_LISTS,
    WMARK_NAMES,
    ZONE_NAMES,
    ZONE_STAT_ITEMS,
)

#: A snapshot of more pages than this (64 GiB) is refused: its lists would not fit in memory.
MAX_SNAPSHOT_PFN = 1 << 24
MAX_CPUS = 512
_MAX_NUMBER = 1 << 62
_MAX_COUNT = 1 << 31


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

    def integer(self, minimum: int = -_MAX_NUMBER, maximum: int = _MAX_NUMBER) -> int:
        """A whole number within bounds."""
        value = self.value
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad(f"should be a whole number, is {str(value)[:40]!r}")
        if not minimum <= value <= maximum:
            raise self.bad(f"{value} is not between {minimum} and {maximum}")
        return value

    def integers(self, minimum: int = -_MAX_NUMBER, maximum: int = _MAX_NUMBER) -> list[int]:
        """A list of whole numbers within bounds. Cost: no Field for each of them."""
        if not isinstance(self.value, list):
            raise self.bad("should be a list")
        for i, value in enumerate(self.value):
            if type(value) is not int or not minimum <= value <= maximum:
                raise self.bad(f"[{i}] should be a number from {minimum} to {maximum}")
        return self.value


def restore(snapshot: Snapshot, trace: Trace) -> Vm:
    """A Vm in the state that the snapshot describes. BadInput names the field that is wrong."""
    root = Field(snapshot, "")
    nodes = root["nodes"].items(1, 64)
    nr_cpus = root["nr_cpus"].integer(1, MAX_CPUS)
    vm = Vm(
        _max_pfn(nodes),
        nr_cpus,
        len(nodes) * MAX_NR_ZONES,
        trace,
        cma=bool(root.get("config", {}).get("cma", False).value),
        pageblock_order=root["pageblock_order"].integer(1, MAX_PAGE_ORDER),
    )
    for name in VARS:
        setattr(vm, name, root["vars"].get(name, 0).integer(-1, _MAX_COUNT))
    vm.memcg_kmem_online = root["vars"].get("key:memcg_kmem_online_key", 0).value == 1
    for nid, node in enumerate(nodes):
        _restore_node(vm, nid, node)
    _restore_zonelists(vm, nodes)
    for block in root["pageblocks"]["blocks"].items(0, MAX_SNAPSHOT_PFN):
        _restore_pageblock(vm, block)
    for run in root["page_kinds"]["runs"].items(0, MAX_SNAPSHOT_PFN):
        _restore_run(vm, run)
    for pgdat, node in zip(vm.nodes, nodes, strict=True):
        for zone, field in zip(pgdat.node_zones, node["zones"].items(), strict=True):
            _restore_lists(zone, field)
    return vm


def _max_pfn(nodes: list[Field]) -> int:
    """One more than the last pfn of any zone."""
    end = 1
    for node in nodes:
        for zone in node["zones"].items(MAX_NR_ZONES, MAX_NR_ZONES):
            start = zone["zone_start_pfn"].integer(0, MAX_SNAPSHOT_PFN)
            end = max(end, start + zone["spanned_pages"].integer(0, MAX_SNAPSHOT_PFN - start))
    return end


def _restore_node(vm: Vm, nid: int, node: Field) -> None:
    node["nid"].integer(nid, nid)
    pgdat = PglistData(nid)
    vm.nodes.append(pgdat)
    for idx, field in enumerate(node["zones"].items(MAX_NR_ZONES, MAX_NR_ZONES)):
        field["idx"].integer(idx, idx)
        zone = Zone(vm, len(vm.zones), nid, idx, ZONE_NAMES[idx])
        vm.zones.append(zone)
        pgdat.node_zones.append(zone)
        _restore_zone(zone, field)


def _restore_zone(zone: Zone, field: Field) -> None:
    """Numbers of a zone, its watermarks, counters and CPUs; lists come later."""
    for name in ZONE_FIELDS:
        setattr(zone, name, field[name].integer(0, _MAX_COUNT))
    zone.zone_end_pfn = zone.zone_start_pfn + zone.spanned_pages
    zone._watermark = [field["watermark"][name].integer(0, _MAX_COUNT) for name in WMARK_NAMES]
    zone.lowmem_reserve = [f.integer(0) for f in field["lowmem_reserve"].items(MAX_NR_ZONES)]
    zone.vm_stat = _items(field["vm_stat"])
    if not zone.spanned_pages:
        return
    nr_cpus = zone.vm.nr_cpus
    for pcp, pcp_field in zip(zone.per_cpu_pageset, field["pcp"].items(nr_cpus), strict=True):
        _restore_pcp(pcp, pcp_field)
    stats = field["percpu_stat"].items(nr_cpus)
    for pzstats, stat in zip(zone.per_cpu_zonestats, stats, strict=True):
        _restore_zonestat(pzstats, stat)


def _restore_pcp(pcp: PerCpuPages, field: Field) -> None:
    for name in PCP_FIELDS:
        setattr(pcp, name, field[name].integer(-_MAX_COUNT, _MAX_COUNT))
    for name in ("batch", "alloc_factor"):
        field[name].integer(0, 1 << 16 if name == "batch" else 5)


def _restore_zonestat(pzstats: PerCpuZonestat, field: Field) -> None:
    pzstats.stat_threshold = field["stat_threshold"].integer(0, 127)
    pzstats.vm_stat_diff = _items(field["diff"])


def _items(field: Field) -> list[int]:
    """Counters in the order of ZONE_STAT_ITEMS; one that is not there is 0."""
    return [field.get(name, 0).integer() for name in ZONE_STAT_ITEMS]


def _restore_zonelists(vm: Vm, nodes: list[Field]) -> None:
    """Zonelists name zones as [nid, index]; only populated ones are kept."""
    for pgdat, node in zip(vm.nodes, nodes, strict=True):
        fallback, no_fallback = node["zonelists"].items(2, 2)
        pgdat.node_zonelists = (_zonelist(vm, fallback), _zonelist(vm, no_fallback))


def _zonelist(vm: Vm, field: Field) -> list[Zone]:
    zones = [_zone_at(vm, entry) for entry in field.items()]
    return [zone for zone in zones if zone.spanned_pages]


def _zone_at(vm: Vm, field: Field) -> Zone:
    nid, idx = field.items(2, 2)
    node = vm.nodes[nid.integer(0, len(vm.nodes) - 1)]
    return node.node_zones[idx.integer(0, MAX_NR_ZONES - 1)]


def _restore_pageblock(vm: Vm, field: Field) -> None:
    first, migratetype, skip = field.items(3, 3)
    block = first.integer(0, MAX_SNAPSHOT_PFN) >> vm.pageblock_order
    if block < len(vm.pageblock):
        vm.pageblock[block] = migratetype.integer(0, vm.MIGRATE_TYPES - 1)
        vm.pageblock_skip[block] = skip.integer(0, 1)


def _restore_run(vm: Vm, field: Field) -> None:
    """Mark pages in use. Free ones are marked by their lists; F, P, holes and tails are not."""
    first, count, kind, order = field.items(4, 4)
    pfn = first.integer(0, vm.max_pfn)
    if not isinstance(kind.value, str) or kind.value in "FPR0-":
        return
    block_order = order.integer(0, MAX_PAGE_ORDER)
    nr_blocks = count.integer(0, vm.max_pfn - pfn >> block_order)
    on_lru = PG_LRU if kind.value in "LM" else 0
    block = bytes((PG_INUSE | block_order | on_lru,)) + bytes((on_lru,)) * ((1 << block_order) - 1)
    vm.page_state[pfn : pfn + (nr_blocks << block_order)] = block * nr_blocks


def _restore_lists(zone: Zone, field: Field) -> None:
    if not zone.spanned_pages:
        return
    for order, area in enumerate(field["free_area"].items(NR_PAGE_ORDERS, NR_PAGE_ORDERS)):
        types = zone.vm.MIGRATE_TYPES
        for migratetype, pages in enumerate(area.items(types, types)):
            head = zone.free_area[order].free_list[migratetype]
            _fill_list(zone, head, pages, order, PG_BUDDY | order)
            zone.free_area[order].nr_free += len(pages.value)
    for pcp, pcp_field in zip(zone.per_cpu_pageset, field["pcp"].items(), strict=True):
        lists = pcp_field["lists"].items(NR_PCP_LISTS, NR_PCP_LISTS)
        for pindex, (head, pages) in enumerate(zip(pcp.lists, lists, strict=True)):
            order = 9 if pindex >= 12 else pindex // 3
            _fill_list(zone, head, pages, order, 0)


def _fill_list(zone: Zone, head: int, field: Field, order: int, state: int) -> None:
    """Blocks onto a list, in order. Each must lie in the zone, aligned, and be listed once."""
    last = zone.zone_end_pfn - (1 << order)
    for page in field.integers(zone.zone_start_pfn & -(1 << order), last):
        if page & (1 << order) - 1:
            raise field.bad(f"pfn {page:#x} is not aligned to order {order}")
        if zone.next[page] or zone.prev[page]:
            raise field.bad(f"pfn {page:#x} is on two lists")
        if zone.page_state[page]:
            raise field.bad(f"pfn {page:#x} is free and in use")
        list_insert_after(zone.next, zone.prev, page, zone.prev[head])
        zone.page_state[page] = state
