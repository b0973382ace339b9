"""Who helps when memory is short: the slow path asks, reclaim, compaction and OOM answer.

Vm.pressure holds one; None means that nobody helps, and a request has its own attempts only. What
is here answers as if there were nothing to reclaim, to move or to kill: a part of the kernel that
is modelled takes the place of its method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.words.compaction import COMPACT_SKIPPED
from memsim.words.mempolicy import NODE_RECLAIM_NOSCAN
from memsim.words.mmzone import NULL

if TYPE_CHECKING:
    from memsim.mm.memcontrol.state import MemCgroup
    from memsim.mm.mmzone import PglistData, Zone
    from memsim.mm.page_alloc.zone_walk import AllocContext


class Pressure:
    """What the slow path calls. Every method may free pages, and may wake others."""

    def kswapd_wake(self, pgdat: PglistData) -> None:
        """The node's kswapd was woken: it runs when its turn comes, not in here.

        Kernel: wake_up_interruptible(&pgdat->kswapd_wait)
        """

    def wakeup_kcompactd(self, pgdat: PglistData, order: int, highest_zoneidx: int) -> None:
        """kcompactd may have something to do. Kernel: mm/compaction.c wakeup_kcompactd()."""

    def try_to_free_pages(self, ac: AllocContext, order: int, gfp_mask: int) -> int:
        """Direct reclaim: pages reclaimed. Kernel: mm/vmscan.c try_to_free_pages()."""
        return 0

    def try_to_compact_pages(
        self, gfp_mask: int, order: int, alloc_flags: int, ac: AllocContext, prio: int
    ) -> tuple[int, int]:
        """Direct compaction: (its compact_result, the block captured or NULL).

        Kernel: mm/compaction.c try_to_compact_pages()
        """
        return COMPACT_SKIPPED, NULL

    def compaction_defer_reset(self, zone: Zone, order: int, alloc_success: bool) -> None:
        """Compaction helped: the zone is not deferred any longer.

        Kernel: mm/compaction.c compaction_defer_reset()
        """

    def compaction_zonelist_suitable(self, ac: AllocContext, order: int, alloc_flags: int) -> bool:
        """Could compaction start in a zone, once more was reclaimed?

        Kernel: mm/compaction.c compaction_zonelist_suitable()
        """
        return False

    def compaction_suitable(self, zone: Zone, order: int, highest_zoneidx: int) -> bool:
        """Could compaction make such a block now? Kernel: mm/compaction.c compaction_suitable()."""
        return False

    def reset_isolation_suitable(self, pgdat: PglistData) -> None:
        """kswapd goes to sleep: compaction may look everywhere again.

        Kernel: mm/compaction.c reset_isolation_suitable()
        """

    def node_reclaim(self, zone: Zone, gfp_mask: int, order: int) -> int:
        """Reclaim on the zone's node rather than go on to another. Kernel: node_reclaim()."""
        return NODE_RECLAIM_NOSCAN

    def zone_reclaimable_pages(self, zone: Zone) -> int:
        """Pages on the zone's LRU lists that could be freed. Kernel: zone_reclaimable_pages()."""
        return 0

    def try_to_free_mem_cgroup_pages(self, memcg: MemCgroup, nr_pages: int, gfp_mask: int) -> int:
        """Reclaim from a memcg: pages freed. Kernel: mm/vmscan.c try_to_free_mem_cgroup_pages()."""
        return 0

    def mem_cgroup_out_of_memory(self, memcg: MemCgroup, gfp_mask: int, order: int) -> bool:
        """Kill a task of a memcg, if there is no room: should its charge be tried again?

        Kernel: mm/memcontrol.c mem_cgroup_out_of_memory()
        """
        return False

    def out_of_memory(self, gfp_mask: int, order: int, ac: AllocContext) -> bool:
        """Kill a task: was one chosen? Kernel: mm/oom_kill.c out_of_memory()."""
        return False
