"""What lasts from one compaction to the next: skip bits, scanner positions, deferral. Each a step.

Kernel: include/linux/mmzone.h struct zone, include/linux/pageblock-flags.h
"""

from __future__ import annotations

from memsim.mm.mmzone import PglistData, Vm, Zone
from memsim.trace.compaction_steps import (
    NODE_COMPACT,
    PAGEBLOCK_SKIP,
    ZONE_COMPACT,
    CmaBits,
    CompactionStep,
    NodeCompact,
    PageblockSkip,
)
from memsim.trace.events import TP_STEPS
from memsim.words.compaction import NODE_COMPACT_FIELDS, ZONE_COMPACT_FIELDS


def get_pageblock_skip(zone: Zone, pfn: int) -> bool:
    """Is the pageblock that holds pfn marked to be skipped? Kernel: get_pageblock_skip()."""
    return zone.vm.pageblock_skip[pfn >> zone.vm.pageblock_order] != 0


def set_pageblock_skip(zone: Zone, pfn: int, skip: int = 1) -> None:
    """Mark pfn's pageblock, or with skip 0 take the mark away.

    Kernel: include/linux/pageblock-flags.h set_pageblock_skip(), clear_pageblock_skip()
    """
    vm = zone.vm
    block = pfn >> vm.pageblock_order
    if vm.pageblock_skip[block] != skip and vm.trace.mask & TP_STEPS:
        vm.trace.step(PAGEBLOCK_SKIP, block << vm.pageblock_order, 1 - skip, skip)
    vm.pageblock_skip[block] = skip


def set_zone_compact(zone: Zone, field: str, value: int) -> None:
    """Give one of the zone's ZONE_COMPACT_FIELDS this value."""
    old = get_zone_compact(zone, field)
    if old == value:
        return
    if zone.trace.mask & TP_STEPS:
        number = ZONE_COMPACT_FIELDS.index(field)
        zone.trace.step(ZONE_COMPACT, zone.id, number, old, value)
    _set_zone_compact(zone, field, value)


def get_zone_compact(zone: Zone, field: str) -> int:
    """The value of one of ZONE_COMPACT_FIELDS."""
    name, _, index = field.partition("[")
    value: int | list[int] = getattr(zone, name)
    return value[int(index[0])] if isinstance(value, list) else value


def _set_zone_compact(zone: Zone, field: str, value: int) -> None:
    name, _, index = field.partition("[")
    if index:
        zone.compact_cached_migrate_pfn[int(index[0])] = value
    else:
        setattr(zone, name, value)


def set_cached_migrate_pfn(zone: Zone, pfn: int) -> None:
    """Let async and sync compaction both start their migration scanner here."""
    set_zone_compact(zone, "compact_cached_migrate_pfn[0]", pfn)
    set_zone_compact(zone, "compact_cached_migrate_pfn[1]", pfn)


def set_node_compact(pgdat: PglistData, vm: Vm, field: str, value: int) -> None:
    """Give one of the node's NODE_COMPACT_FIELDS this value."""
    old = getattr(pgdat, field)
    if old == value:
        return
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(NODE_COMPACT, pgdat.nid, NODE_COMPACT_FIELDS.index(field), old, value)
    setattr(pgdat, field, value)


def apply_compaction_step(vm: Vm, step: CompactionStep, backwards: bool) -> None:
    """Do a step again, or undo it."""
    value = step.old if backwards else step.new
    if isinstance(step, PageblockSkip):
        vm.pageblock_skip[step.pfn >> vm.pageblock_order] = value
    elif isinstance(step, NodeCompact):
        setattr(vm.nodes[step.nid], step.field, value)
    elif isinstance(step, CmaBits):
        if vm.cma_areas:  # a snapshot has none
            end = step.start + step.nr_bits
            vm.cma_areas[step.area].bitmap[step.start : end] = bytes((value,)) * step.nr_bits
    else:
        _set_zone_compact(vm.zones[step.zone_id], step.field, value)
