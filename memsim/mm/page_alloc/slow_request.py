"""A request in the slow path: what it remembers between its attempts, and what it can do.

Kernel: mm/page_alloc.c __alloc_pages_slowpath(), its local variables
"""

from __future__ import annotations

from memsim.mm.kswapd import wakeup_kswapd
from memsim.mm.mmzone import Vm, Zone
from memsim.mm.page_alloc.highatomic import unreserve_highatomic_pageblock
from memsim.mm.page_alloc.pcp import drain_all_pages
from memsim.mm.page_alloc.zone_walk import (
    AllocContext,
    get_page_from_freelist,
    gfp_to_alloc_flags,
)
from memsim.mm.pressure import Pressure
from memsim.trace.events import TP_STEPS
from memsim.trace.slowpath_steps import SLOWPATH, Decision
from memsim.words.compaction import COMPACT_SKIPPED, DEF_COMPACT_PRIORITY
from memsim.words.gfp import __GFP_DIRECT_RECLAIM, __GFP_IO
from memsim.words.mmzone import NULL, PAGE_ALLOC_COSTLY_ORDER


def gfpflags_allow_blocking(gfp_mask: int) -> bool:
    """May the request wait? Kernel: include/linux/gfp.h gfpflags_allow_blocking()."""
    return (gfp_mask & __GFP_DIRECT_RECLAIM) != 0


def gfp_compaction_allowed(gfp_mask: int) -> bool:
    """May it compact, which may need I/O? Kernel: include/linux/gfp.h gfp_compaction_allowed()."""
    return (gfp_mask & __GFP_IO) != 0


class SlowRequest:
    """One request, from its first attempt in the slow path to its end.

    pressure: who reclaims, compacts and kills for it; None: nobody. rounds counts how often it
    came to `retry:`.
    """

    __slots__ = (
        "ac", "alloc_flags", "can_compact", "can_direct_reclaim", "compact_priority",
        "compact_result", "compaction_retries", "costly_order", "did_some_progress", "gfp_mask",
        "no_progress_loops", "order", "pressure", "rounds", "vm",
    )  # fmt: skip

    def __init__(self, vm: Vm, gfp_mask: int, order: int, ac: AllocContext) -> None:
        self.vm = vm
        self.gfp_mask = gfp_mask
        self.order = order
        self.ac = ac
        self.pressure: Pressure | None = vm.pressure
        self.can_direct_reclaim = gfpflags_allow_blocking(gfp_mask)
        self.can_compact = gfp_compaction_allowed(gfp_mask)
        self.costly_order = order > PAGE_ALLOC_COSTLY_ORDER
        self.alloc_flags = gfp_to_alloc_flags(vm, gfp_mask, order)
        self.did_some_progress = 0
        self.no_progress_loops = self.compaction_retries = self.rounds = 0
        self.compact_result = COMPACT_SKIPPED
        self.compact_priority = DEF_COMPACT_PRIORITY

    def step_decision(self, decision: Decision, a: int = 0, b: int = NULL, c: int = 0) -> None:
        """A step that says what was decided, or found."""
        if self.vm.trace.mask & TP_STEPS:
            self.vm.trace.step(SLOWPATH, decision, self.gfp_mask, self.order, a, b, c)

    def get_page(self, alloc_flags: int, but: int = 0) -> int:
        """An attempt; `but`: bits that its mask lacks. Kernel: get_page_from_freelist()."""
        page = get_page_from_freelist(self.order, alloc_flags, self.ac, self.gfp_mask & ~but)
        self.step_decision(Decision.ATTEMPT, alloc_flags, page)
        return page

    def wake_all_kswapds(self) -> None:
        """Ask for pages on every node of the zonelist, once each time the node changes.

        Kernel: mm/page_alloc.c wake_all_kswapds()
        """
        last_node = -1
        for zone in self.ac.zonelist:
            if zone.managed_pages and zone.node != last_node:
                self._wakeup_kswapd(zone)
                last_node = zone.node

    def _wakeup_kswapd(self, zone: Zone) -> None:
        highest = self.ac.highest_zoneidx
        decision = wakeup_kswapd(zone, self.gfp_mask, self.order, highest)
        if decision == Decision.NOBODY:
            return
        self.step_decision(decision, zone.node, self.vm.nodes[zone.node].kswapd_failures)
        left_asleep = decision in (Decision.KSWAPD_HOPELESS, Decision.KSWAPD_BALANCED)
        if left_asleep and not self.can_direct_reclaim:
            self.step_decision(Decision.KCOMPACTD, zone.node)

    def unreserve_highatomic(self, force: bool) -> bool:
        """Give a pageblock back that was kept for high-order atomic requests.

        Kernel: mm/page_alloc.c unreserve_highatomic_pageblock()
        """
        return unreserve_highatomic_pageblock(self.ac.zonelist, self.ac.migratetype, force)

    def drain_all_pages(self) -> None:
        """Give back what CPUs keep. Kernel: mm/page_alloc.c drain_all_pages()."""
        drain_all_pages(self.vm)
