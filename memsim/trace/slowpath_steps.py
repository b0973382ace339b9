"""Steps of requests for which memory is short: what the slow path decides, and why.

A decision changes nothing by itself, forwards or back; what it leads to has steps of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import ClassVar

from memsim.words.alloc_flags import show_alloc_flags
from memsim.words.compaction import COMPACTION_PRIORITY, COMPACTION_STATUS
from memsim.words.gfp import show_gfp_flags
from memsim.words.mmzone import NULL

NODE = 22
SLOWPATH = 23

#: Numbers of a node, by the number that stands in a record.
NODE_FIELD_NAMES = (
    "kswapd_order", "kswapd_highest_zoneidx", "kswapd_failures", "kswapd_waits", "kswapd_asleep",
)  # fmt: skip


class Decision(IntEnum):
    """What was decided, or found, on the way. SENTENCES has the words."""

    BEGIN = 0
    NO_ZONE = auto()
    NO_KSWAPD = auto()
    KSWAPD_WOKEN = auto()
    KSWAPD_AWAKE = auto()
    KSWAPD_HOPELESS = auto()
    KSWAPD_BALANCED = auto()
    KCOMPACTD = auto()
    ATTEMPT = auto()
    RESERVES = auto()
    COMPACT_FIRST = auto()
    COMPACT_FIRST_NORETRY = auto()
    COMPACT_FIRST_THISNODE = auto()
    NOBODY = auto()
    NO_DIRECT_RECLAIM = auto()
    IS_MEMALLOC = auto()
    RECLAIM = auto()
    RECLAIMED_NOTHING = auto()
    DRAIN = auto()
    COMPACT = auto()
    COMPACT_DID_NOT_RUN = auto()
    CAPTURED = auto()
    NORETRY = auto()
    COSTLY = auto()
    TOO_MANY_LOOPS = auto()
    RECLAIM_RETRY_ZONE = auto()
    RECLAIM_RETRY = auto()
    NO_RECLAIM_RETRY = auto()
    UNRESERVED = auto()
    COMPACT_RETRY = auto()
    NO_COMPACT_RETRY = auto()
    OOM = auto()
    OOM_DUMPCORE = auto()
    OOM_COSTLY = auto()
    OOM_MAYFAIL = auto()
    OOM_LOWMEM = auto()
    OOM_KILLED = auto()
    OOM_NOBODY = auto()
    OOM_VICTIM = auto()
    NOFAIL_CANNOT = auto()
    NOFAIL = auto()
    STUCK = auto()
    FAIL = auto()


#: {a}, {b}, {c}: numbers of the decision. {flags}: a as alloc_flags. {page}: b as a block.
#: {zone}: a as a zone. {status}, {priority}: a as compaction's answer, b as its priority.
SENTENCES = {
    Decision.BEGIN: "__alloc_pages_slowpath(): the fast path found nothing above the low watermark "
    "(order {order}, {gfp})",
    Decision.NO_ZONE: "__alloc_pages_slowpath(): no zone may serve this mask",
    Decision.NO_KSWAPD: "wake_all_kswapds() is not called: the mask has no __GFP_KSWAPD_RECLAIM",
    Decision.KSWAPD_WOKEN: "wakeup_kswapd(): kswapd of node {a} is woken, for order {order}",
    Decision.KSWAPD_AWAKE: "wakeup_kswapd(): kswapd of node {a} is awake already",
    Decision.KSWAPD_HOPELESS: "wakeup_kswapd(): kswapd of node {a} reclaimed nothing {b} times in "
    "a row: it is left to direct reclaim",
    Decision.KSWAPD_BALANCED: "wakeup_kswapd(): node {a} is balanced (pgdat_balanced()): kswapd "
    "sleeps on",
    Decision.KCOMPACTD: "wakeup_kswapd(): without __GFP_DIRECT_RECLAIM nobody compacts for this "
    "request, so wakeup_kcompactd() is called for node {a}",
    Decision.ATTEMPT: "get_page_from_freelist(): an attempt with {flags}: {page}",
    Decision.RESERVES: "__gfp_pfmemalloc_flags(): from here on with {flags}",
    Decision.COMPACT_FIRST: "__alloc_pages_direct_compact() before any reclaim: order {order} "
    "needs a block, and the pages for it may be there",
    Decision.COMPACT_FIRST_NORETRY: "costly order with __GFP_NORETRY, and compaction was {status}: "
    "no reclaim",
    Decision.COMPACT_FIRST_THISNODE: "costly order with __GFP_NORETRY and __GFP_THISNODE: no "
    "reclaim on a single node",
    Decision.NOBODY: "nobody reclaims, compacts or kills on this machine",
    Decision.NO_DIRECT_RECLAIM: "no direct reclaim: the mask has no __GFP_DIRECT_RECLAIM",
    Decision.IS_MEMALLOC: "no direct reclaim: the task is reclaiming already (PF_MEMALLOC)",
    Decision.RECLAIM: "__alloc_pages_direct_reclaim(): try_to_free_pages() returned {a}",
    Decision.RECLAIMED_NOTHING: "__alloc_pages_direct_reclaim(): try_to_free_pages() reclaimed "
    "nothing: no attempt",
    Decision.DRAIN: "__alloc_pages_direct_reclaim(): unreserve_highatomic_pageblock() and "
    "drain_all_pages(), then once more",
    Decision.COMPACT: "__alloc_pages_direct_compact(): try_to_compact_pages() with {priority}: "
    "{status}",
    Decision.COMPACT_DID_NOT_RUN: "__alloc_pages_direct_compact(): no zone was compacted: no "
    "attempt",
    Decision.CAPTURED: "__alloc_pages_direct_compact(): the block was captured: {page}",
    Decision.NORETRY: "__GFP_NORETRY: no second round",
    Decision.COSTLY: "costly order, and not both __GFP_RETRY_MAYFAIL and __GFP_IO: no second round",
    Decision.TOO_MANY_LOOPS: "should_reclaim_retry(): {a} rounds without progress "
    "(no_progress_loops), more than MAX_RECLAIM_RETRIES",
    Decision.RECLAIM_RETRY_ZONE: "should_reclaim_retry(): {zone} would have {b} pages with all "
    "that is reclaimable, against a min watermark of {c}",
    Decision.RECLAIM_RETRY: "should_reclaim_retry(): that is enough: another round "
    "(no_progress_loops {a})",
    Decision.NO_RECLAIM_RETRY: "should_reclaim_retry(): no zone could have enough",
    Decision.UNRESERVED: "should_reclaim_retry(): unreserve_highatomic_pageblock() gave a "
    "pageblock back: another round",
    Decision.COMPACT_RETRY: "should_compact_retry(): compaction was {status}: another round, with "
    "{priority}",
    Decision.NO_COMPACT_RETRY: "should_compact_retry(): compaction was {status}: no other round",
    Decision.OOM: "__alloc_pages_may_oom(): all was tried; first an attempt above the high "
    "watermark, should another task have been killed meanwhile",
    Decision.OOM_DUMPCORE: "__alloc_pages_may_oom(): the task dumps its core (PF_DUMPCORE): nobody "
    "is killed",
    Decision.OOM_COSTLY: "__alloc_pages_may_oom(): nobody is killed for a costly order",
    Decision.OOM_MAYFAIL: "__alloc_pages_may_oom(): nobody is killed with __GFP_RETRY_MAYFAIL or "
    "__GFP_THISNODE",
    Decision.OOM_LOWMEM: "__alloc_pages_may_oom(): nobody is killed for a zone below Normal",
    Decision.OOM_KILLED: "__alloc_pages_may_oom(): out_of_memory() chose a task: another round",
    Decision.OOM_NOBODY: "__alloc_pages_may_oom(): out_of_memory() found nobody to kill",
    Decision.OOM_VICTIM: "__alloc_pages_slowpath(): the task is the OOM killer's victim, and its "
    "reserves did not do",
    Decision.NOFAIL_CANNOT: "__GFP_NOFAIL without __GFP_DIRECT_RECLAIM: nobody can wait, it fails",
    Decision.NOFAIL: "__GFP_NOFAIL: __alloc_pages_cpuset_fallback(), with half of min",
    Decision.STUCK: "after {a} rounds memsim gives up: the kernel would go on for ever",
    Decision.FAIL: "__alloc_pages_slowpath(): the request fails: warn_alloc()",
}


@dataclass(frozen=True, slots=True)
class SlowPath:
    """A decision of the slow path. Changes nothing by itself."""

    NAME: ClassVar[str] = "sim:slowpath"
    seq: int
    decision: int
    gfp_mask: int
    order: int
    a: int
    b: int
    c: int

    def text(self, zone_name: Callable[[int], str]) -> str:
        """One sentence; it names the kernel's function. zone_name: of a zone's id."""
        decision = Decision(self.decision)
        words = {"a": self.a, "b": self.b, "c": self.c, "order": self.order}
        return SENTENCES[decision].format(**words, **self._shown(decision, zone_name))

    def _shown(self, decision: Decision, zone_name: Callable[[int], str]) -> dict[str, str]:
        """The numbers that stand for something else, as words."""
        about = {
            "gfp": show_gfp_flags(self.gfp_mask),
            "page": "nothing" if self.b == NULL else f"pfn {self.b}",
        }
        if decision in (Decision.ATTEMPT, Decision.RESERVES):
            about["flags"] = show_alloc_flags(self.a)
        elif decision == Decision.RECLAIM_RETRY_ZONE:
            about["zone"] = zone_name(self.a)
        elif "{status}" in SENTENCES[decision]:
            about["status"] = COMPACTION_STATUS[self.a]
            about["priority"] = COMPACTION_PRIORITY[self.b]
        return about


@dataclass(frozen=True, slots=True)
class NodeField:
    """A number of a NUMA node changed."""

    NAME: ClassVar[str] = "sim:node"
    seq: int
    nid: int
    field: str
    old: int
    new: int


SlowPathStep = SlowPath | NodeField


def is_slowpath_step(kind: int) -> bool:
    """Is it one of these?"""
    return kind in (NODE, SLOWPATH)


def slowpath_step(seq: int, kind: int, arguments: Sequence[int]) -> SlowPathStep:
    """The step that a record of the journal stands for."""
    a, b, c, d, e, f = arguments
    if kind == NODE:
        return NodeField(seq, a, NODE_FIELD_NAMES[b], c, d)
    return SlowPath(seq, a, b, c, d, e, f)
