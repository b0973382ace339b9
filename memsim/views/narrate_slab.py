"""Steps of slabs in words."""

from __future__ import annotations

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


def _slab(pfn: int) -> str:
    return "none" if pfn == NULL else f"the slab at pfn {pfn}"


def _object(obj: int) -> str:
    if obj < NULL:
        return "a wild pointer"
    return "none" if obj == NULL else f"object {obj}"


def narrate_slab(step: SlabStep) -> str:
    """What a step did, as one sentence without a full stop."""
    match step:
        case Freepointer(_, pfn, obj, _, new):
            return f"set_freepointer(): in {_slab(pfn)}, behind object {obj} comes {_object(new)}"
        case SlabFreelist():
            return _freelist(step)
        case CpuFreelist():
            return (
                f"CPU {step.cpu} allocates from {_slab(step.new_slab)}; first on its lockless "
                f"list: {_object(step.new_freelist)}"
            )
        case CpuPartial(_, _, cpu, _, new):
            return f"the partial list of CPU {cpu} begins with {_slab(new)}"
        case SlabChain(_, pfn, _, new_next, _, slabs):
            return f"behind {_slab(pfn)} comes {_slab(new_next)} on the CPU's partial list, {slabs}"
        case SlabAdd(_, _, nid, pfn, _):
            return f"add_partial(): {_slab(pfn)} joins the partial list of node {nid}"
        case SlabDel(_, _, nid, pfn, _):
            return f"remove_partial(): {_slab(pfn)} leaves the partial list of node {nid}"
        case FullAdd(_, _, nid, pfn, _):
            return f"add_full(): {_slab(pfn)} joins the full list of node {nid}"
        case FullDel(_, _, nid, pfn, _):
            return f"remove_full(): {_slab(pfn)} leaves the full list of node {nid}"
        case SlabBytes(_, pfn, at, _, new):
            data = new.to_bytes(4, "little").hex(" ")
            return f"{_slab(pfn)}: from byte {at} on, {data} is written"
        case SlabsNode(_, _, nid, slabs, objects):
            return f"node {nid} has {slabs:+} slabs and {objects:+} objects of the cache"
        case NewSlab(_, _, _, pfn, order):
            return f"allocate_slab(): {1 << order} pages from pfn {pfn} on become a slab"
        case SlabGone(_, _, _, pfn, _):
            return f"discard_slab(): {_slab(pfn)} is pages again"
        case CacheField(_, _, field, old, new):
            return f"the cache's {field}: {old} becomes {new}"
        case Chance(_, _, new):
            return f"random number {new} was drawn"


def _freelist(step: SlabFreelist) -> str:
    inuse, frozen = step.new_counters >> 1, step.new_counters & 1
    state = "frozen" if frozen else "not frozen"
    return (
        f"{_slab(step.pfn)}: freelist begins with {_object(step.new_freelist)}, inuse {inuse}, "
        f"{state}"
    )
