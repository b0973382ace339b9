"""Steps of memory cgroups as sentences."""

from __future__ import annotations

from memsim.trace.memcg_steps import (
    LruZoneSize,
    MemcgField,
    MemcgNew,
    MemcgStep,
    MemcgStock,
    ReclaimIter,
    SwapCgroup,
)


def narrate_memcg(step: MemcgStep) -> str:
    """What a step did, as one sentence without a full stop."""
    match step:
        case MemcgNew():
            return f"memcg {step.memcg} comes"
        case MemcgField():
            node = f" on node {step.nid}" if step.nid >= 0 else ""
            return f"{step.field} of memcg {step.memcg}{node}: {step.old} becomes {step.new}"
        case LruZoneSize():
            return f"lru_zone_size of memcg {step.memcg}: {step.old} becomes {step.new}"
        case MemcgStock():
            was = f"{step.old_pages} pages of memcg {step.old_memcg}"
            return f"CPU {step.cpu} had {was} in stock, and has {step.pages} of {step.memcg} now"
        case ReclaimIter():
            return f"the next walk of node {step.nid} goes on behind memcg {step.new}"
        case SwapCgroup():
            return f"slot {step.slot} was memcg {step.old}'s and is memcg {step.new}'s now"
        case _:
            return "tasks came, went or changed"
