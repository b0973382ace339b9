"""Steps of folios as sentences."""

from __future__ import annotations

from memsim.trace.folio_steps import (
    BatchAdd,
    BatchMove,
    FolioStep,
    LruAdd,
    LruMove,
    MappingEntry,
    MappingNew,
    NodeStat,
    PageWord,
    ShrinkerDeferred,
    SwapField,
    SwapSlot,
    ZoneStat,
)
from memsim.words.mmzone import ZONE_STAT_ITEMS


def narrate_folio(step: FolioStep) -> str:
    """What a step did, as one sentence without a full stop."""
    match step:
        case PageWord():
            was, now = (
                f"{word:#x}" if step.word == "flags" else word for word in (step.old, step.new)
            )
            return f"folio {step.pfn}: {step.word} was {was} and is {now} now"
        case MappingEntry():
            was, now = _entry(step.old), _entry(step.new)
            return f"mapping {step.mapping} had {was} at index {step.index} and has {now} now"
        case NodeStat():
            return f"{step.field} of node {step.nid}: {step.old} becomes {step.new}"
        case SwapSlot():
            return f"swap_map[{step.slot}]: {step.old:#x} becomes {step.new:#x}"
        case SwapField():
            return f"{step.field} of the swap device: {step.old} becomes {step.new}"
        case ShrinkerDeferred():
            return f"nr_deferred of a shrinker, node {step.nid}: {step.old} becomes {step.new}"
        case ZoneStat():
            return f"{ZONE_STAT_ITEMS[step.item]}: {step.old} becomes {step.new}"
        case _ if isinstance(step, LruMove):
            joins = "joins" if isinstance(step, LruAdd) else "leaves"
            place = "at the head" if step.after < 0 else f"behind {step.after}"
            return f"folio {step.pfn} {joins} {step.lru} of node {step.nid}, {place}"
        case _ if isinstance(step, BatchMove):
            joins = "joins" if isinstance(step, BatchAdd) else "leaves"
            return f"folio {step.pfn} {joins} the batch {step.batch} of CPU {step.cpu}"
        case _:
            return f"mapping {step.mapping} {'comes' if isinstance(step, MappingNew) else 'goes'}"


def _entry(entry: int) -> str:
    """What lies at an index: nothing, a folio, or a value."""
    if entry == -1:
        return "nothing"
    return f"pfn {entry}" if entry >= 0 else f"the value {-2 - entry}"
