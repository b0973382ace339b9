"""Steps of memory cgroups done again, or undone. No rule of charging is asked."""

from __future__ import annotations

from memsim.mm.memcontrol.state import put_memcg_field, put_swap_cgroup
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.history import put_tasks
from memsim.trace.memcg_steps import (
    LruZoneSize,
    MemcgField,
    MemcgNew,
    MemcgStep,
    MemcgStock,
    ReclaimIter,
    SwapCgroup,
    Tasks,
)


def apply_memcg_step(vm: Vm, step: MemcgStep, backwards: bool) -> None:
    """Do one step to vm, or undo it. Tracing of steps must be off."""
    memcgs = vm.folios.memcgs
    match step:
        case MemcgNew():
            # the same object again: tasks name it
            here, there = memcgs.groups, memcgs.undone
            if not backwards:
                here, there = there, here
            there[step.memcg] = here.pop(step.memcg)
            vm.memcg_kmem_online = bool(memcgs.groups)
        case MemcgField():
            value = step.old if backwards else step.new
            put_memcg_field(memcgs.groups[step.memcg], step.nid, step.field, value)
        case LruZoneSize():
            sizes = memcgs.groups[step.memcg].lru_zone_size[step.nid]
            sizes[step.item] = step.old if backwards else step.new
        case MemcgStock():
            stock, old, new = memcgs.stock[step.cpu], _old(step), (step.memcg, step.pages)
            stock.cached, stock.nr_pages = old if backwards else new
        case ReclaimIter():
            memcgs.iter_position[step.nid] = step.old if backwards else step.new
        case SwapCgroup():
            put_swap_cgroup(memcgs.swap_cgroup, step.slot, step.old if backwards else step.new)
        case Tasks():
            put_tasks(vm, step.old if backwards else step.new)


def _old(step: MemcgStock) -> tuple[int, int]:
    return step.old_memcg, step.old_pages
