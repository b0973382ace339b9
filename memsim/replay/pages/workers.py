"""What the vmstat worker, drains and kswapd do to the page allocator, and when."""

from __future__ import annotations

from memsim.mm.kswapd import balance_pgdat_begin, balance_pgdat_end, kswapd_sleeps, kswapd_wakes
from memsim.mm.page_alloc.alloc import NO_LIMIT
from memsim.mm.page_alloc.pcp import drain_zone_pages, free_pcppages_bulk, lower_pcp_high
from memsim.mm.vmstat import fold_zone_diffs
from memsim.replay.pages.base import Base, Drain
from memsim.words.mmzone import CONFIG_PCP_BATCH_SCALE_MAX


class Workers(Base):
    """Rows of workers: the recording tells when, the model what."""

    def _refresh(self, row: int, *_: int) -> None:
        for zone in self.vm.zones:
            fold_zone_diffs(zone, self.vm.cpu)

    def _decay(self, row: int, address: int, *_: int) -> None:
        zone = self.zone(row, address)
        pcp = zone.per_cpu_pageset[self.vm.cpu]
        self._drain(row, Drain(zone, pcp, lower_pcp_high(pcp), pcp.batch))

    def _drain_zone(self, row: int, address: int, *_: int) -> None:
        zone = self.zone(row, address)
        drain_zone_pages(zone, zone.per_cpu_pageset[self.vm.cpu])

    def _drain_pages(self, row: int, cpu: int, address: int, *_: int) -> None:
        if not 0 <= cpu < self.vm.nr_cpus:
            raise self.bad(row, f"CPU {cpu} is not in {self.source}")
        zone = self.zone(row, address)
        pcp = zone.per_cpu_pageset[cpu]
        self._drain(row, Drain(zone, pcp, NO_LIMIT, pcp.batch << CONFIG_PCP_BATCH_SCALE_MAX))

    def _drain(self, row: int, drain: Drain) -> None:
        """A drain begins: it goes on when its events come, or is done now if the trace has none."""
        context = self.rows.context[row]
        self.drains[context] = drain
        if not self.shows_drains:
            self.drain_part(context, NO_LIMIT)

    def drain_part(self, context: int, nr_pages: int) -> None:
        """The context's drain goes on for so many pages, whole batches of them."""
        drain = self.drains.get(context)
        if drain is None:
            return
        drain.seen += nr_pages
        while drain.seen > 0 and drain.to_drain > 0 and drain.pcp.count:
            count = drain.pcp.count
            batch = min(drain.to_drain, drain.batch)
            free_pcppages_bulk(drain.zone, batch, drain.pcp, 0)
            drain.to_drain -= batch
            drain.seen -= count - drain.pcp.count

    def _balance(self, row: int, address: int, _order: int, highest_zoneidx: int, *_: int) -> None:
        pgdat = self.pgdats.get(address)
        if pgdat is None:
            raise self.bad(row, f"node {address & (1 << 64) - 1:#x} is not in {self.source}")
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
