"""Steps done again, or undone: forwards they lead from one state to the next, backwards back.

Only steps change anything here; no rule of the allocator is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from memsim.lib.list import list_del, list_insert_after
from memsim.mm.compaction.state import apply_compaction_step
from memsim.mm.folio_apply import apply_folio_step
from memsim.mm.journal import all_fields
from memsim.mm.memcontrol.apply import apply_memcg_step
from memsim.mm.mempolicy import apply_mempolicy_step
from memsim.mm.mempool import apply_mempool_step
from memsim.mm.mmzone import Vm, Zone
from memsim.mm.page_alloc.free_list import refill_from_deferred
from memsim.mm.restore import restore
from memsim.mm.slub.apply import apply_slab_step
from memsim.mm.snapshot import Snapshot, take_snapshot
from memsim.mm.vmalloc.apply import apply_vmalloc_step
from memsim.trace.compaction_steps import CompactionStep
from memsim.trace.folio_steps import FolioStep, ZoneStat
from memsim.trace.memcg_steps import MemcgStep
from memsim.trace.mempolicy_steps import MempolicyStep
from memsim.trace.mempool_steps import MempoolStep
from memsim.trace.slowpath_steps import NodeField, SlowPath
from memsim.trace.steps import (
    Field,
    ListAdd,
    ListDel,
    ListName,
    Merge,
    Pageblock,
    Pages,
    Split,
    Step,
)
from memsim.trace.trace import Trace
from memsim.trace.vmalloc_steps import VmallocStep
from memsim.words.mmzone import NUMA_STAT_ITEMS, WMARK_NAMES, ZONE_STAT_ITEMS


def redo_steps(vm: Vm, steps: Sequence[Step]) -> None:
    """Do steps to vm, in order. vm must be in the state in which the first one was taken."""
    for step in steps:
        _apply(vm, step, backwards=False)
    vm.fields_seen = [all_fields(zone) for zone in vm.zones]


def undo_steps(vm: Vm, steps: Sequence[Step]) -> None:
    """Undo steps, the last one first. vm must be in the state that they led to."""
    for step in reversed(steps):
        _apply(vm, step, backwards=True)
    vm.fields_seen = [all_fields(zone) for zone in vm.zones]


def apply_to_snapshot(snapshot: Snapshot, steps: Sequence[Step], backwards: bool) -> Snapshot:
    """The snapshot after the steps, or, backwards, before them. The one given is not changed.

    A snapshot holds pages only, so steps of slabs and folios are passed over.
    """
    vm = restore(snapshot, Trace(mask=0, capacity=1), mid_operation=True)
    if backwards:
        undo_steps(vm, steps)
    else:
        redo_steps(vm, steps)
    return take_snapshot(vm)


def _apply(vm: Vm, step: Step, backwards: bool) -> None:
    if isinstance(step, ListAdd | ListDel):
        joins = isinstance(step, ListAdd) != backwards
        state = step.old_state if backwards else step.new_state
        _move(vm, step, joins, state)
    elif isinstance(step, Pages):
        state = step.old if backwards else step.new
        vm.page_state[step.pfn : step.pfn + step.nr_pages] = bytes((state,)) * step.nr_pages
    elif isinstance(step, Pageblock):
        vm.pageblock[step.pfn >> vm.pageblock_order] = step.old if backwards else step.new
    elif isinstance(step, Field):
        zone = vm.zones[step.zone_id]
        _set_field(zone, step.cpu, step.field, step.old if backwards else step.new)
    elif isinstance(step, NodeField):
        setattr(vm.nodes[step.nid], step.field, step.old if backwards else step.new)
    elif isinstance(step, VmallocStep):
        apply_vmalloc_step(vm, step, backwards)
    elif isinstance(step, CompactionStep):
        apply_compaction_step(vm, step, backwards)
    elif isinstance(step, MempolicyStep):
        apply_mempolicy_step(vm, step, backwards)
    elif isinstance(step, MempoolStep):
        apply_mempool_step(vm, step, backwards)
    elif isinstance(step, ZoneStat):
        vm.zones[step.zone_id].vm_stat[step.item] = step.old if backwards else step.new
    elif isinstance(step, MemcgStep):
        if hasattr(vm, "folios"):
            apply_memcg_step(vm, step, backwards)
    elif isinstance(step, FolioStep):
        if hasattr(vm, "folios"):
            apply_folio_step(vm, step, backwards)
    elif not isinstance(step, Split | Merge | SlowPath) and hasattr(vm, "slab"):
        apply_slab_step(vm, step, backwards)


def _move(vm: Vm, step: ListAdd | ListDel, joins: bool, state: int) -> None:
    """Put a block on its list, behind `after`, or take it off."""
    zone = vm.zones[step.list.zone_id]
    head = _list_head(zone, step.list)
    if joins:
        list_insert_after(vm.next, vm.prev, step.pfn, head if step.after < 0 else step.after)
    else:
        list_del(vm.next, vm.prev, step.pfn)
    vm.page_state[step.pfn] = state
    if step.list.where == "free_area":
        zone.free_area[step.list.x].nr_free += 1 if joins else -1
        refill_from_deferred(zone)


def _list_head(zone: Zone, name: ListName) -> int:
    if name.where == "pcp":
        return zone.per_cpu_pageset[name.x].lists[name.y]
    return zone.free_area[name.x].free_list[name.y]


def _set_field(zone: Zone, cpu: int, field: str, value: int) -> None:
    """Set a number by its name in trace.steps.FIELD_NAMES."""
    group, _, name = field.rpartition(".")
    if group == "pcp":
        setattr(zone.per_cpu_pageset[cpu], name, value)
    elif group == "diff":
        zone.per_cpu_zonestats[cpu].vm_stat_diff[ZONE_STAT_ITEMS.index(name)] = value
    elif name == "stat_threshold":
        zone.per_cpu_zonestats[cpu].stat_threshold = value
    elif name in ZONE_STAT_ITEMS:
        zone.vm_stat[ZONE_STAT_ITEMS.index(name)] = value
    elif name in NUMA_STAT_ITEMS:
        zone.vm_numa_event[NUMA_STAT_ITEMS.index(name)] = value
    elif name in WMARK_NAMES:
        zone._watermark[WMARK_NAMES.index(name)] = value
    else:
        setattr(zone, name, value)
