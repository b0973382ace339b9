"""What kswapd does to the page allocator's state while it runs. Reclaim itself is not here.

Kernel: mm/vmscan.c balance_pgdat(), kswapd_try_to_sleep()
"""

from __future__ import annotations

from memsim.mm.mmzone import PglistData
from memsim.mm.vmstat import set_pgdat_percpu_threshold
from memsim.words.mmzone import ZONE_RECLAIM_ACTIVE


def balance_pgdat_begin(pgdat: PglistData, highest_zoneidx: int) -> list[int]:
    """kswapd starts: zones are marked, and their boosts noted. Returns those, by zone index.

    Kernel: mm/vmscan.c balance_pgdat(), its start; set_reclaim_active()
    """
    boosts = []
    for zone in pgdat.node_zones[: highest_zoneidx + 1]:
        boosts.append(zone.watermark_boost)
        if zone.managed_pages:
            zone.flags |= ZONE_RECLAIM_ACTIVE
    return boosts


def balance_pgdat_end(pgdat: PglistData, boosts: list[int]) -> None:
    """kswapd ends: it takes back the boost that was there when it started, and no more.

    Kernel: mm/vmscan.c balance_pgdat(), its end; clear_reclaim_active()
    """
    for zone, boost in zip(pgdat.node_zones, boosts, strict=False):
        zone.watermark_boost -= min(zone.watermark_boost, boost)
        zone.flags &= ~ZONE_RECLAIM_ACTIVE


def kswapd_wakes(pgdat: PglistData) -> None:
    """kswapd leaves its sleep: smaller counter drift where that matters."""
    set_pgdat_percpu_threshold(pgdat, pressure=True)


def kswapd_sleeps(pgdat: PglistData) -> None:
    """kswapd goes to sleep: counters may drift as usual again."""
    set_pgdat_percpu_threshold(pgdat, pressure=False)
