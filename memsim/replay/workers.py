"""What the vmstat worker, drains and kswapd do to the page allocator, and when."""

from __future__ import annotations

from memsim.mm.kswapd import balance_pgdat_begin, balance_pgdat_end, kswapd_sleeps, kswapd_wakes
from memsim.mm.page_alloc.pcp import decay_pcp_high, drain_pages_zone, drain_zone_pages
from memsim.mm.vmstat import fold_zone_diffs
from memsim.replay.base import Base


class Workers(Base):
    """Rows of workers: the recording tells when, the model what."""

    def _refresh(self, row: int, *_: int) -> None:
        for zone in self.vm.zones:
            fold_zone_diffs(zone, self.vm.cpu)

    def _decay(self, row: int, address: int, *_: int) -> None:
        zone = self.zone(row, address)
        decay_pcp_high(zone, zone.per_cpu_pageset[self.vm.cpu])

    def _drain_zone(self, row: int, address: int, *_: int) -> None:
        zone = self.zone(row, address)
        drain_zone_pages(zone, zone.per_cpu_pageset[self.vm.cpu])

    def _drain_pages(self, row: int, cpu: int, address: int, *_: int) -> None:
        if not 0 <= cpu < self.vm.nr_cpus:
            raise self.bad(row, f"CPU {cpu} is not in the snapshot")
        drain_pages_zone(cpu, self.zone(row, address))

    def _balance(self, row: int, address: int, _order: int, highest_zoneidx: int, *_: int) -> None:
        pgdat = self.pgdats.get(address)
        if pgdat is None:
            raise self.bad(row, f"node {address & (1 << 64) - 1:#x} is not in the snapshot")
        boosts = balance_pgdat_begin(pgdat, max(0, highest_zoneidx))
        self.boosts[self.rows.context[row]] = (pgdat, boosts)

    def _balance_ret(self, row: int, *_: int) -> None:
        pgdat, boosts = self.boosts.pop(
            self.rows.context[row], (self.vm.nodes[0], [0] * len(self.vm.nodes[0].node_zones))
        )
        balance_pgdat_end(pgdat, boosts)

    def _kswapd_wake(self, row: int, nid: int, *_: int) -> None:
        kswapd_wakes(self.node(row, nid))

    def _kswapd_sleep(self, row: int, nid: int, *_: int) -> None:
        kswapd_sleeps(self.node(row, nid))
