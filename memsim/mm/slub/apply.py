"""Steps of slabs done again, or undone. No rule of the allocator is asked."""

from __future__ import annotations

from memsim.lib.list import list_del, list_insert_after
from memsim.mm.mmzone import Vm
from memsim.mm.slub.debug_check import setup_slab_debug
from memsim.mm.slub.slab import Slab, get_node, kmem_cache_debug
from memsim.trace.steps import (
    CacheField,
    Chance,
    CpuFreelist,
    CpuPartial,
    Freepointer,
    FullAdd,
    FullDel,
    NewSlab,
    SlabAdd,
    SlabBytes,
    SlabChain,
    SlabDel,
    SlabFreelist,
    SlabGone,
    SlabsNode,
    SlabStep,
)
from memsim.words.mmzone import NULL
from memsim.words.slab import TID_STEP


def apply_slab_step(vm: Vm, step: SlabStep, backwards: bool) -> None:
    """Do one step to vm, or undo it."""
    match step:
        case SlabAdd() | SlabDel():
            _move(vm, step, isinstance(step, SlabAdd) != backwards)
        case FullAdd() | FullDel():
            _move_full(vm, step, isinstance(step, FullAdd) != backwards)
        case SlabBytes():
            memory = vm.slab.page_slab[step.pfn].memory
            assert memory is not None
            value = step.old if backwards else step.new
            memory[step.at : step.at + 4] = value.to_bytes(4, "little")
        case NewSlab() | SlabGone():
            _make_or_forget(vm, step, isinstance(step, NewSlab) != backwards)
        case SlabsNode():
            n = get_node(vm.slab.caches[step.cache], step.nid)
            n.nr_slabs += -step.slabs if backwards else step.slabs
            n.total_objects += -step.objects if backwards else step.objects
        case CacheField():
            _change_cache(vm, step, step.old if backwards else step.new)
        case Chance():
            vm.slab.random.count = step.old if backwards else step.new
        case CpuFreelist() | CpuPartial():
            _change_cpu(vm, step, backwards)
        case Freepointer() | SlabFreelist() | SlabChain():
            _change_slab(vm, step, backwards)


def _change_cache(vm: Vm, step: CacheField, value: int) -> None:
    s, caches = vm.slab.caches[step.cache], vm.slab.slab_caches
    if step.field != "place":
        setattr(s, step.field, value)
        return
    if s in caches:
        caches.remove(s)
    if value != NULL:
        caches.insert(value, s)


def _slab_at(vm: Vm, pfn: int) -> Slab | None:
    return None if pfn == NULL else vm.slab.page_slab[pfn]


def _move(vm: Vm, step: SlabAdd | SlabDel, joins: bool) -> None:
    """Put a slab on its node's partial list, behind `after`, or take it off."""
    state, slab = vm.slab, vm.slab.page_slab[step.pfn]
    n = get_node(state.caches[step.cache], step.nid)
    after = _slab_at(vm, step.after)
    if joins:
        place = n.partial if after is None else after.id
        list_insert_after(state.next, state.prev, slab.id, place)
    else:
        list_del(state.next, state.prev, slab.id)
    slab.on_node_partial = joins
    n.nr_partial += 1 if joins else -1


def _move_full(vm: Vm, step: FullAdd | FullDel, joins: bool) -> None:
    """Put a slab on its node's full list, behind `after`, or take it off."""
    state, slab, after = vm.slab, vm.slab.page_slab[step.pfn], _slab_at(vm, step.after)
    head = get_node(state.caches[step.cache], step.nid).full
    if joins:
        list_insert_after(state.next, state.prev, slab.id, head if after is None else after.id)
    else:
        list_del(state.next, state.prev, slab.id)


def _make_or_forget(vm: Vm, step: NewSlab | SlabGone, make: bool) -> None:
    if make:
        s = vm.slab.caches[step.cache]
        slab = vm.slab.add(s, step.pfn, step.order, step.nid)
        if kmem_cache_debug(s):
            setup_slab_debug(s, slab)
    else:
        vm.slab.remove(vm.slab.page_slab[step.pfn])


def _change_cpu(vm: Vm, step: CpuFreelist | CpuPartial, backwards: bool) -> None:
    c = vm.slab.caches[step.cache].cpu_slab[step.cpu]
    if isinstance(step, CpuPartial):
        c.partial = _slab_at(vm, step.old if backwards else step.new)
        return
    c.slab = _slab_at(vm, step.old_slab if backwards else step.new_slab)
    c.freelist = step.old_freelist if backwards else step.new_freelist
    c.tid += -TID_STEP if backwards else TID_STEP


def _change_slab(vm: Vm, step: Freepointer | SlabFreelist | SlabChain, backwards: bool) -> None:
    slab = vm.slab.page_slab[step.pfn]
    match step:
        case Freepointer():
            slab.next_object[step.obj] = step.old if backwards else step.new
        case SlabChain():
            slab.next = _slab_at(vm, step.old_next if backwards else step.new_next)
            slab.slabs = step.old_slabs if backwards else step.new_slabs
        case SlabFreelist():
            counters = step.old_counters if backwards else step.new_counters
            slab.freelist = step.old_freelist if backwards else step.new_freelist
            slab.inuse, slab.frozen = counters >> 1, bool(counters & 1)
