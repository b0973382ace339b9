"""Steps, as mm/ fires them. Lists, pages and pageblocks say what changes when it changes.

Fields of zones and pcps are compared with what was last seen, before each list step and at the
end of each operation: nothing in the allocator has to remember to report a number.
"""

from __future__ import annotations

from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.trace.events import TP_STEPS
from memsim.trace.slowpath_steps import NODE, NODE_FIELD_NAMES
from memsim.trace.steps import (
    FIELD,
    LIST_ADD,
    LIST_DEL,
    NR_ZONE_FIELDS,
    PAGEBLOCK,
    PAGES,
    free_list_code,
    pcp_list_code,
)
from memsim.words.mmzone import (
    MIGRATE_PCPTYPES,
    MIGRATE_UNMOVABLE,
    NR_FREE_CMA_PAGES,
    NR_FREE_PAGES,
)


def zone_fields(zone: Zone) -> list[int]:
    """The zone's numbers, in the order of trace.steps.FIELD_NAMES."""
    return [
        zone.vm_stat[NR_FREE_PAGES], zone.vm_stat[NR_FREE_CMA_PAGES], zone.watermark_boost,
        zone.flags, zone.nr_reserved_highatomic, zone.nr_free_highatomic, *zone._watermark,
        *zone.vm_numa_event,
    ]  # fmt: skip


def cpu_fields(zone: Zone, cpu: int) -> list[int]:
    """A CPU's numbers in the zone, in the order of trace.steps.FIELD_NAMES."""
    pcp = zone.per_cpu_pageset[cpu]
    pzstats = zone.per_cpu_zonestats[cpu]
    diff = pzstats.vm_stat_diff
    return [
        pcp.count, pcp.high, pcp.high_min, pcp.high_max, pcp.batch, pcp.flags, pcp.alloc_factor,
        pcp.free_count, pcp.expire, pzstats.stat_threshold, diff[NR_FREE_PAGES],
        diff[NR_FREE_CMA_PAGES],
    ]  # fmt: skip


def all_fields(zone: Zone) -> list[int]:
    """zone_fields(), then cpu_fields() of each CPU."""
    fields = zone_fields(zone)
    for cpu in range(zone.vm.nr_cpus):
        fields += cpu_fields(zone, cpu)
    return fields


def start_steps(vm: Vm) -> None:
    """Turn steps on: from here every change is journalled."""
    vm.fields_seen = [all_fields(zone) for zone in vm.zones]
    vm.trace.mask |= TP_STEPS


def stop_steps(vm: Vm) -> None:
    """Turn steps off."""
    vm.trace.mask &= ~TP_STEPS


def step_fields(zone: Zone) -> None:
    """A FIELD step for each number of the zone that differs from what was last seen."""
    seen = zone.vm.fields_seen[zone.id]
    now = all_fields(zone)
    if now == seen:
        return
    for index, (old, new) in enumerate(zip(seen, now, strict=True)):
        if old != new:
            cpu, field = _place(index, len(now), zone.vm.nr_cpus)
            zone.trace.step(FIELD, zone.id, cpu, field, old, new)
    zone.vm.fields_seen[zone.id] = now


def _place(index: int, length: int, nr_cpus: int) -> tuple[int, int]:
    """(cpu, field number) of an entry of all_fields(); cpu -1 for the zone's own."""
    if index < NR_ZONE_FIELDS:
        return -1, index
    cpu, offset = divmod(index - NR_ZONE_FIELDS, (length - NR_ZONE_FIELDS) // nr_cpus)
    return cpu, NR_ZONE_FIELDS + offset


def _after(zone: Zone, before: int) -> int:
    """The pfn that stands in front; -1 when that is a list head."""
    return before if before < zone.vm.max_pfn else -1


def step_free_list(
    zone: Zone, kind: int, page: int, before: int, order: int, migratetype: int, old: int, new: int
) -> None:
    """LIST_ADD or LIST_DEL of a free list, about to be done; before: what stands in front."""
    step_fields(zone)
    code = free_list_code(zone.id, order, migratetype)
    zone.trace.step(kind, code, page, _after(zone, before), old, new)


def step_pcp_list(zone: Zone, kind: int, page: int, before: int, cpu: int, pindex: int) -> None:
    """LIST_ADD or LIST_DEL of a pcp list, about to be done; before: what stands in front."""
    step_fields(zone)
    code = pcp_list_code(zone.id, cpu, pindex)
    state = zone.page_state[page]
    zone.trace.step(kind, code, page, _after(zone, before), state, state)


def set_node_field(vm: Vm, pgdat: PglistData, field: str, value: int) -> None:
    """Give a number of a node, one of NODE_FIELD_NAMES, this value."""
    old = getattr(pgdat, field)
    if old != value and vm.trace.mask & TP_STEPS:
        vm.trace.step(NODE, pgdat.nid, NODE_FIELD_NAMES.index(field), old, value)
    setattr(pgdat, field, value)


def set_page_state(zone: Zone, page: int, nr_pages: int, state: int) -> None:
    """Give nr_pages pages this state byte. Cost: O(nr_pages) with steps on, else a memset."""
    if zone.trace.mask & TP_STEPS:
        _step_pages(zone, page, page + nr_pages, state)
    if nr_pages == 1:
        zone.page_state[page] = state
    else:
        zone.page_state[page : page + nr_pages] = bytes((state,)) * nr_pages


def _step_pages(zone: Zone, start: int, end: int, state: int) -> None:
    """A PAGES step for each run of pages that had the same state byte."""
    states = zone.page_state
    while start < end:
        run = start + 1
        while run < end and states[run] == states[start]:
            run += 1
        if states[start] != state:
            zone.trace.step(PAGES, start, run - start, states[start], state)
        start = run


def set_pageblock_migratetype(zone: Zone, page: int, migratetype: int) -> None:
    """Give the pageblock that holds page this migratetype; UNMOVABLE where grouping is off.

    Kernel: mm/page_alloc.c set_pageblock_migratetype()
    """
    if zone.vm.page_group_by_mobility_disabled and migratetype < MIGRATE_PCPTYPES:
        migratetype = MIGRATE_UNMOVABLE
    block = page >> zone.vm.pageblock_order
    old = zone.pageblock[block]
    if old != migratetype and zone.trace.mask & TP_STEPS:
        zone.trace.step(PAGEBLOCK, block << zone.vm.pageblock_order, old, migratetype)
    zone.pageblock[block] = migratetype


__all__ = [
    "LIST_ADD", "LIST_DEL", "all_fields", "cpu_fields", "set_node_field", "set_page_state",
    "set_pageblock_migratetype", "start_steps", "step_fields", "step_free_list", "step_pcp_list",
    "stop_steps", "zone_fields",
]  # fmt: skip
