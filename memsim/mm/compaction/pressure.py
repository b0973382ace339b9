"""What the slow path and kswapd ask of compaction.

Kernel: mm/compaction.c
"""

from __future__ import annotations

from memsim.mm.compaction.defer import compaction_defer_reset
from memsim.mm.compaction.direct import try_to_compact_pages
from memsim.mm.compaction.kcompactd import wakeup_kcompactd
from memsim.mm.compaction.skip import reset_isolation_suitable
from memsim.mm.compaction.state import set_zone_compact
from memsim.mm.compaction.suitable import compaction_suitable, compaction_zonelist_suitable
from memsim.mm.mmzone import PglistData, Zone
from memsim.mm.page_alloc.zone_walk import AllocContext
from memsim.mm.vmscan.reclaim import Reclaim


class ReclaimAndCompaction(Reclaim):
    """Pressure that is answered by reclaim and by compaction: nobody kills."""

    def wakeup_kcompactd(self, pgdat: PglistData, order: int, highest_zoneidx: int) -> None:
        """kcompactd is asked; it runs when its turn comes."""
        wakeup_kcompactd(self.vm, pgdat, order, highest_zoneidx)

    def try_to_compact_pages(
        self, gfp_mask: int, order: int, alloc_flags: int, ac: AllocContext, prio: int
    ) -> tuple[int, int]:
        """Direct compaction: (its compact_result, the block captured or NULL)."""
        return try_to_compact_pages(self.vm, gfp_mask, order, alloc_flags, ac, prio)

    def compaction_defer_reset(self, zone: Zone, order: int, alloc_success: bool) -> None:
        """Compaction helped: the zone is not deferred, nor its skip marks forgotten, any longer.

        Kernel: mm/page_alloc.c __alloc_pages_direct_compact(), its end
        """
        set_zone_compact(zone, "compact_blockskip_flush", 0)
        compaction_defer_reset(zone, order, alloc_success)

    def compaction_suitable(self, zone: Zone, order: int, highest_zoneidx: int) -> bool:
        """Could compaction make such a block now?"""
        return compaction_suitable(zone, order, highest_zoneidx)

    def reset_isolation_suitable(self, pgdat: PglistData) -> None:
        """kswapd goes to sleep: skip marks are forgotten."""
        reset_isolation_suitable(pgdat)

    def compaction_zonelist_suitable(self, ac: AllocContext, order: int, alloc_flags: int) -> bool:
        """Could compaction start in a zone, once more was reclaimed?"""
        reclaimable = {zone.id: self.zone_reclaimable_pages(zone) for zone in ac.zonelist}
        return compaction_zonelist_suitable(ac, order, reclaimable)
