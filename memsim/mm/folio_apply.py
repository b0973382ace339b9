"""Steps of folios done again, or undone. No rule of reclaim is asked."""

from __future__ import annotations

from memsim.lib.list import list_del, list_insert_after
from memsim.mm.folio import PAGE_MAPPING_ANON, AddressSpace, mem_cgroup_lruvec, put_entry
from memsim.mm.mmzone import Vm
from memsim.trace.folio_steps import (
    BATCHES,
    WORDS,
    BatchAdd,
    BatchDel,
    FolioStep,
    LruAdd,
    LruDel,
    MappingEntry,
    MappingGone,
    MappingNew,
    NodeStat,
    PageWord,
    ShrinkerDeferred,
    SwapField,
    SwapSlot,
)
from memsim.words.lru_gen import LRU_GEN_NUMBERS, LRUVEC_LISTS
from memsim.words.page_flags import NODE_STAT_ITEMS


def apply_folio_step(vm: Vm, step: FolioStep, backwards: bool) -> None:
    """Do one step to vm, or undo it. Tracing of steps must be off."""
    match step:
        case PageWord():
            word = vm.folios.words[WORDS.index(step.word)]
            word[step.pfn] = step.old if backwards else step.new
        case MappingEntry():
            pair = step.old, step.new
            old, new = pair[::-1] if backwards else pair
            put_entry(vm.folios.mappings[step.mapping], step.index, old, new)
        case LruAdd() | LruDel():
            _link(vm, step, isinstance(step, LruAdd) != backwards)
        case NodeStat():
            _set_node_stat(vm, step, step.old if backwards else step.new)
        case BatchAdd() | BatchDel():
            batch = vm.folios.fbatches[step.cpu][BATCHES.index(step.batch)]
            if isinstance(step, BatchAdd) != backwards:
                batch.append(step.pfn)
            else:
                batch.pop()
        case SwapSlot():
            vm.folios.swap.swap_map[step.slot] = step.old if backwards else step.new
        case SwapField():
            setattr(vm.folios.swap, step.field, step.old if backwards else step.new)
        case ShrinkerDeferred():
            deferred = vm.folios.shrinkers[step.shrinker].nr_deferred
            deferred[step.nid] = step.old if backwards else step.new
        case MappingNew() | MappingGone():
            _make_or_forget(vm, step, isinstance(step, MappingNew) != backwards)
        case _:  # a ZoneStat is a matter of zones: apply.py
            raise AssertionError(step)


def _link(vm: Vm, step: LruAdd | LruDel, joins: bool) -> None:
    if joins:
        memcg = vm.folios.memcgs.groups[step.memcg] if step.memcg else None
        lruvec = mem_cgroup_lruvec(memcg, vm.nodes[step.nid])
        head = lruvec.lists[LRUVEC_LISTS.index(step.lru)]
        list_insert_after(vm.next, vm.prev, step.pfn, head if step.after < 0 else step.after)
    else:
        list_del(vm.next, vm.prev, step.pfn)


def _set_node_stat(vm: Vm, step: NodeStat, value: int) -> None:
    pgdat = vm.nodes[step.nid]
    group, _, name = step.field.rpartition(".")
    if group == "lrugen":
        pgdat.lruvec.lrugen.numbers[LRU_GEN_NUMBERS.index(name)] = value
    elif group:
        setattr(pgdat.lruvec, name, value)
    else:
        pgdat.vm_stat[NODE_STAT_ITEMS.index(step.field)] = value


def _make_or_forget(vm: Vm, step: MappingNew | MappingGone, make: bool) -> None:
    folios = vm.folios
    if make:
        folios.mappings[step.mapping] = AddressSpace(step.mapping, step.kind, step.name)
    else:
        del folios.mappings[step.mapping]
    if isinstance(step, MappingNew):
        folios.next_mapping = (step.mapping & ~PAGE_MAPPING_ANON) + 2 * make
