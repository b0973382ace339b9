"""Sentences for steps of compaction and CMA."""

from __future__ import annotations

from memsim.trace.compaction_steps import CmaBits, CompactionStep, NodeCompact, PageblockSkip


def narrate_compaction(step: CompactionStep) -> str:
    """What a step did, as one sentence without a full stop."""
    match step:
        case PageblockSkip():
            what = "is to be skipped" if step.new else "may be scanned again"
            return f"set_pageblock_skip(): the pageblock at pfn {step.pfn} {what}"
        case CmaBits():
            what = "are taken" if step.new else "are free"
            last = step.start + step.nr_bits - 1
            return f"bits {step.start} to {last} of CMA area {step.area} {what}"
        case NodeCompact():
            return f"node {step.nid}: {step.field} was {step.old} and is {step.new} now"
        case _:
            return f"zone {step.zone_id}: {step.field} was {step.old} and is {step.new} now"
