"""The replay loop: each row of the recording is done to the model, and the answers are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from memsim.mm.journal import set_page_state
from memsim.mm.kswapd import balance_pgdat_begin, balance_pgdat_end, kswapd_sleeps, kswapd_wakes
from memsim.mm.mmzone import (
    PG_BUDDY,
    PG_INUSE,
    PG_LRU,
    PG_ORDER,
    PerCpuPages,
    PglistData,
    Vm,
    Zone,
    get_pageblock_migratetype,
    page_zone,
)
from memsim.mm.page_alloc.alloc import _alloc_pages_slowpath, alloc_pages_bulk, fast_path
from memsim.mm.page_alloc.buddy import free_one_page, pcp_allowed_order
from memsim.mm.page_alloc.free import (
    commit_batched,
    free_pages_prepare,
    free_unref_page,
)
from memsim.mm.page_alloc.freelist import (
    AllocContext,
    get_page_from_freelist,
    prepare_alloc_pages,
)
from memsim.mm.page_alloc.highatomic import unreserve_highatomic_pageblock
from memsim.mm.page_alloc.isolate import _isolate_free_page, _putback_isolated_page
from memsim.mm.page_alloc.pcp import decay_pcp_high, drain_pages_zone, drain_zone_pages
from memsim.mm.vmstat import fold_zone_diffs
from memsim.replay.compactions import Compactions
from memsim.replay.inputs import INPUTS, Kind, Rows
from memsim.replay.pages import Pages
from memsim.replay.tracepoints import COMPARED, Tracepoints
from memsim.words.alloc_flags import ALLOC_KSWAPD, ALLOC_NO_WATERMARKS
from memsim.words.errors import BadInput
from memsim.words.gfp import gfp_migratetype, gfp_zone
from memsim.words.mmzone import (
    MAX_PAGE_ORDER,
    MIGRATE_HIGHATOMIC,
    MIGRATE_PCPTYPES,
    NULL,
)

_MAX_BULK = 1 << 16


@dataclass
class Request:
    """A request under way in one context: what its attempts have given so far."""

    ac: AllocContext
    order: int
    page: int


@dataclass
class Miss:
    """The first request that memsim answered otherwise than the kernel did."""

    request: int
    line: int
    cpu: int
    order: int
    migratetype: int
    gfp_mask: int
    expected: int
    got: int
    around: list[str] = field(default_factory=list)


@dataclass
class Result:
    """What a replay counted. Requests are the mm_page_alloc events."""

    requests: int = 0
    exact: int = 0
    first_miss: Miss | None = None
    inputs: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


class Replay:
    """A Vm, the rows to do to it, and what came of it."""

    def __init__(
        self, vm: Vm, rows: Rows, zones: dict[int, Zone], pgdats: dict[int, PglistData], where: str
    ) -> None:
        self.vm = vm
        self.rows = rows
        self.zones = zones
        self.pgdats = pgdats
        self.where = where
        self.pages = Pages(vm)
        self.tracepoints = Tracepoints(vm.trace)
        self.result = Result()
        self._requests: dict[int, Request] = {}
        self._bulk: dict[int, tuple[int, int]] = {}
        self._prepared: dict[int, tuple[int, int]] = {}
        self._boosts: dict[int, tuple[PglistData, list[int]]] = {}
        self._isolating: dict[int, tuple[int, int]] = {}
        self.compactions = Compactions(vm)
        self._fast: dict[int, int] = {}
        self._locked: dict[int, PerCpuPages] = {}

    def run(self) -> Iterator[int]:
        """Do every row. Yields the row number now and then, so that progress can be shown."""
        for row in range(len(self.rows)):
            self._do(row)
            if row % 8192 == 0:
                self.tracepoints.match()
                yield row
        self.tracepoints.match()

    def _do(self, row: int) -> None:
        rows = self.rows
        kind = rows.kind[row]
        if rows.cpu[row] >= self.vm.nr_cpus:
            raise self._bad(row, f"CPU {rows.cpu[row]} is not in the snapshot")
        self.vm.set_cpu(rows.cpu[row])
        if kind in INPUTS:
            self._unlock(rows.context[row])
            self.result.inputs[_NAMES[kind]] += 1
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, row, *rows[row])
            self.tracepoints.collect()

    def _unlock(self, context: int) -> None:
        """The context goes on: the batch that it may have been in the middle of goes on too."""
        pcp = self._locked.pop(context, None)
        if pcp is not None:
            pcp.locked = False

    def _bad(self, row: int, what: str) -> BadInput:
        return BadInput(f"{self.where}: line {self.rows.line[row]}: {what}")

    def _order(self, row: int, order: int) -> int:
        if not 0 <= order <= MAX_PAGE_ORDER:
            raise self._bad(row, f"order {order} is above MAX_PAGE_ORDER")
        return order

    def _block(self, row: int, pfn: int, order: int) -> tuple[int, int]:
        """A recorded block's pfn and order, if there can be such a block."""
        order = self._order(row, order)
        if not 0 <= pfn <= self.vm.max_pfn - (1 << order):
            raise self._bad(row, f"pfn {pfn & (1 << 64) - 1:#x} is not in the snapshot")
        if pfn & (1 << order) - 1:
            raise self._bad(row, f"pfn {pfn:#x} is not aligned to order {order}")
        return pfn, order

    def _zone(self, row: int, address: int) -> Zone:
        zone = self.zones.get(address)
        if zone is None:
            raise self._bad(row, f"zone {address & (1 << 64) - 1:#x} is not in the snapshot")
        return zone

    def _context(self, row: int, gfp_mask: int) -> AllocContext:
        """The request's zonelist, from its preferred node: the CPU's."""
        if gfp_zone(gfp_mask) < 0 or gfp_migratetype(gfp_mask) >= MIGRATE_PCPTYPES:
            raise self._bad(row, f"gfp_mask {gfp_mask:#x} has forbidden zone or mobility bits")
        return prepare_alloc_pages(self.vm, gfp_mask, 0)

    # Requests

    def _gpf(self, row: int, gfp_mask: int, order: int, alloc_flags: int, *_: int) -> None:
        """A slow-path attempt. The fast path was tried right before the first one."""
        order = self._order(row, order)
        context = self.rows.context[row]
        request = self._requests.get(context)
        if request is None or request.order != order:
            self._drop_request(context)
            ac = self._context(row, gfp_mask)
            request = Request(ac, order, fast_path(self.vm, gfp_mask, order, ac))
            self._requests[context] = request
        if request.page == NULL:
            request.page = get_page_from_freelist(order, alloc_flags, request.ac)

    def _drop_request(self, context: int) -> None:
        """A request that the trace does not end: its page, if it had one, is given back."""
        request = self._requests.pop(context, None)
        if request is not None:
            self.result.notes["slow paths that do not end"] += 1
            if request.page != NULL:
                free_unref_page(self.vm, request.page, request.order)

    def _mm_page_alloc(
        self, row: int, pfn: int, order: int, migratetype: int, gfp_mask: int, *_: int
    ) -> None:
        if pfn != NULL:
            self._block(row, pfn, order)
        order = self._order(row, order)
        context = self.rows.context[row]
        self._bulk.pop(context, None)
        if context in self._requests and self._requests[context].order != order:
            self._drop_request(context)
        request = self._requests.pop(context, None)
        page = self._answer(row, order, gfp_mask, pfn) if request is None else request.page
        self._compare(row, page, pfn, order, gfp_mask)
        if pfn != NULL:
            self.pages.allocated(pfn, page, order)
        elif page != NULL:
            free_unref_page(self.vm, page, order)

    def _answer(self, row: int, order: int, gfp_mask: int, pfn: int) -> int:
        """A request whose slow path, if any, is not in the trace."""
        ac = self._context(row, gfp_mask)
        page = fast_path(self.vm, gfp_mask, order, ac)
        if page == NULL:
            self.result.notes["slow paths not traced"] += 1
            page = _alloc_pages_slowpath(self.vm, gfp_mask, order, ac)
        if page == NULL and pfn != NULL:
            # the kernel found a page all the same: its task may use every reserve (PF_MEMALLOC)
            alloc_flags = ALLOC_NO_WATERMARKS | gfp_mask & ALLOC_KSWAPD
            page = get_page_from_freelist(order, alloc_flags, ac)
        return page

    def _compare(self, row: int, page: int, pfn: int, order: int, gfp_mask: int) -> None:
        result = self.result
        result.requests += 1
        if page == pfn:
            result.exact += 1
        elif result.first_miss is None:
            result.first_miss = Miss(
                result.requests, self.rows.line[row], self.vm.cpu, order,
                gfp_migratetype(gfp_mask), gfp_mask, pfn, page, self._around(),
            )  # fmt: skip

    def _around(self) -> list[str]:
        """The state that the missed request met, a line for each zone."""
        lines = []
        for zone in self.vm.zones:
            if zone.present_pages:
                pcp = zone.per_cpu_pageset[self.vm.cpu]
                lines.append(
                    f"{zone.name}: free {zone.vm_stat[0]} watermarks {zone._watermark} "
                    f"boost {zone.watermark_boost} flags {zone.flags} "
                    f"nr_free {[area.nr_free for area in zone.free_area]} "
                    f"pcp count {pcp.count} high {pcp.high}"
                )
        return lines

    def _bulk_begin(self, row: int, gfp_mask: int, nid: int, nr_pages: int, *_: int) -> None:
        self._bulk[self.rows.context[row]] = (gfp_mask, nr_pages)

    def _bulk_ret(self, row: int, nr_pages: int, returned: int, *_: int) -> None:
        """A bulk request ended. One page came by mm_page_alloc, which has been done already."""
        begun = self._bulk.pop(self.rows.context[row], None)
        if begun is None or begun[1] <= 1:
            return
        if not 0 <= returned <= _MAX_BULK:
            raise self._bad(row, f"bulk request of {returned} pages")
        self._context(row, begun[0])
        pages = alloc_pages_bulk(self.vm, begun[0], 0, returned)
        self.result.notes["pages given by bulk requests"] += len(pages)
        for page in pages:
            self.pages.allocated_untraced(page)

    # Frees

    def _freed(self, row: int, pfn: int, order: int) -> tuple[Zone, int] | None:
        """memsim's page for a page that the recording frees, and its zone."""
        pfn, order = self._block(row, pfn, order)
        page = self.pages.freed(pfn, order)
        zone = page_zone(self.vm, page)
        if zone is None or page + (1 << order) > zone.zone_end_pfn or page & (1 << order) - 1:
            self.result.notes["frees of pages that memsim does not have"] += 1
            return None
        if not self.pages.given_back(page, order):
            self.result.notes["frees of pages that memsim has free"] += 1
            return None
        return zone, page

    def _mm_page_free(self, row: int, pfn: int, order: int, *_: int) -> None:
        freed = self._freed(row, pfn, order)
        if freed is not None:
            free_unref_page(self.vm, freed[1], order)

    def _free_prepared(self, row: int, pfn: int, order: int, *_: int) -> None:
        """Freed, but its block goes to a list later: nobody has it in the meantime."""
        freed = self._freed(row, pfn, order)
        if freed is not None:
            free_pages_prepare(freed[0], freed[1], order)
            self._prepared[pfn] = (freed[1], order)

    def _mm_page_free_batched(self, row: int, pfn: int, more: int, *_: int) -> None:
        """A folio of a batch is committed; while there are more, pcp->lock stays taken."""
        page, order = self._prepared.pop(pfn, (NULL, 0))
        zone = page_zone(self.vm, page)
        if zone is None or not pcp_allowed_order(order):
            return
        commit_batched(zone, page, order)
        if more:
            pcp = zone.per_cpu_pageset[self.vm.cpu]
            pcp.locked = True
            self._locked[self.rows.context[row]] = pcp

    def _direct(self, row: int, _zone: int, pfn: int, order: int, fpi_flags: int, *_: int) -> None:
        page, order = self._prepared.pop(pfn, (NULL, 0))
        zone = page_zone(self.vm, page)
        if zone is not None:
            free_one_page(zone, page, order, fpi_flags)

    def _lru_insertion(self, row: int, pfn: int, *_: int) -> None:
        """The folio is on an LRU list: all its pages count as PageLRU."""
        page = self.pages.page_of(self._block(row, pfn, 0)[0], 0)
        zone = page_zone(self.vm, page)
        if zone is None or self.pages.is_free(page, 1):
            self.result.notes["LRU insertions of pages that memsim does not have"] += 1
            return
        state = zone.page_state[page] or PG_INUSE
        nr_pages = min(1 << (state & PG_ORDER), zone.zone_end_pfn - page)
        if self.pages.is_free(page, nr_pages):
            nr_pages = 1
        set_page_state(zone, page, 1, state | PG_LRU)
        if nr_pages > 1:
            set_page_state(zone, page + 1, nr_pages - 1, PG_LRU)

    # The vmstat worker, drains, kswapd

    def _refresh(self, row: int, *_: int) -> None:
        for zone in self.vm.zones:
            fold_zone_diffs(zone, self.vm.cpu)

    def _decay(self, row: int, address: int, *_: int) -> None:
        zone = self._zone(row, address)
        decay_pcp_high(zone, zone.per_cpu_pageset[self.vm.cpu])

    def _drain_zone(self, row: int, address: int, *_: int) -> None:
        zone = self._zone(row, address)
        drain_zone_pages(zone, zone.per_cpu_pageset[self.vm.cpu])

    def _drain_pages(self, row: int, cpu: int, address: int, *_: int) -> None:
        if not 0 <= cpu < self.vm.nr_cpus:
            raise self._bad(row, f"CPU {cpu} is not in the snapshot")
        drain_pages_zone(cpu, self._zone(row, address))

    def _balance(self, row: int, address: int, _order: int, highest_zoneidx: int, *_: int) -> None:
        pgdat = self.pgdats.get(address)
        if pgdat is None:
            raise self._bad(row, f"node {address & (1 << 64) - 1:#x} is not in the snapshot")
        boosts = balance_pgdat_begin(pgdat, max(0, highest_zoneidx))
        self._boosts[self.rows.context[row]] = (pgdat, boosts)

    def _balance_ret(self, row: int, *_: int) -> None:
        pgdat, boosts = self._boosts.pop(
            self.rows.context[row], (self.vm.nodes[0], [0] * len(self.vm.nodes[0].node_zones))
        )
        balance_pgdat_end(pgdat, boosts)

    def _node(self, row: int, nid: int) -> PglistData:
        if not 0 <= nid < len(self.vm.nodes):
            raise self._bad(row, f"node {nid} is not in the snapshot")
        return self.vm.nodes[nid]

    def _kswapd_wake(self, row: int, nid: int, *_: int) -> None:
        kswapd_wakes(self._node(row, nid))

    def _kswapd_sleep(self, row: int, nid: int, *_: int) -> None:
        kswapd_sleeps(self._node(row, nid))

    # Compaction, HIGHATOMIC

    def _isolate(self, row: int, pfn: int, order: int, *_: int) -> None:
        self._isolating[self.rows.context[row]] = self._block(row, pfn, order)

    def _isolate_ret(self, row: int, fast: int, returned: int, *_: int) -> None:
        """Compaction took a free block off its list, or was refused by the min watermark."""
        pfn, order = self._isolating.pop(self.rows.context[row], (NULL, 0))
        zone = page_zone(self.vm, pfn)
        if fast:
            self._fast[self.rows.context[row]] = pfn
            return
        if zone is None or zone.page_state[pfn] != PG_BUDDY | order:
            self.result.notes["isolated blocks that memsim does not have free"] += 1
            return
        if _isolate_free_page(zone, pfn, order):
            self._targets(zone, pfn, pfn, order)

    def _targets(self, zone: Zone, pfn: int, page: int, order: int) -> None:
        """Pages of an isolated block are in use from here on: migration targets, one by one."""
        set_page_state(zone, page, 1 << order, PG_INUSE)
        for offset in range(min(1 << order, self.vm.max_pfn - pfn)):
            self.pages.allocated(pfn + offset, page + offset, 0)
        self.pages.taken(page, order)

    def _compaction_begin(
        self, row: int, _zone_start: int, migrate_pfn: int, free_pfn: int, *_: int
    ) -> None:
        self.compactions.begin(self.rows.context[row], migrate_pfn, free_pfn)

    def _compaction_end(self, row: int, *_: int) -> None:
        self.compactions.end(self.rows.context[row])

    def _compaction_finished(self, row: int, _nid: int, order: int, goes_on: int, *_: int) -> None:
        self.compactions.finished(self.rows.context[row], min(order, MAX_PAGE_ORDER), goes_on)

    def _migrate_scanned(
        self, row: int, _start: int, end: int, _scanned: int, taken: int, *_: int
    ) -> None:
        self.compactions.migrate_scanned(self.rows.context[row], end, taken)

    def _free_scanned(
        self, row: int, start: int, end: int, _scanned: int, taken: int, *_: int
    ) -> None:
        self.compactions.free_scanned(self.rows.context[row], start, end, taken)

    def _fast_isolate(self, row: int, _min_pfn: int, free_pfn: int, *_: int) -> None:
        """Compaction searched the free lists for a target: which block, memsim says."""
        context = self.rows.context[row]
        page, order = self.compactions.fast_isolate(context, free_pfn)
        expected = self._fast.pop(context, NULL)
        zone = page_zone(self.vm, page)
        if zone is not None and expected == NULL:
            _putback_isolated_page(zone, page, order, get_pageblock_migratetype(zone, page))
        elif zone is not None:
            self._targets(zone, expected, page, order)
        if page != expected:
            self.result.notes["fast searches of compaction that found another block"] += 1

    def _migrated(self, row: int, *_: int) -> None:
        self.compactions.migrated(self.rows.context[row])

    def _setpb(self, row: int, flags: int, pfn: int, mask: int, *_: int) -> None:
        """PB_migrate_skip of a pageblock was set or cleared."""
        block = pfn >> self.vm.pageblock_order
        if mask & 8 and 0 <= block < len(self.vm.pageblock_skip):
            self.vm.pageblock_skip[block] = int(flags & 8 != 0)
            if not flags & 8:
                self.compactions.skip_cleared()

    def _putback(self, row: int, pfn: int, order: int, migratetype: int, *_: int) -> None:
        if not 0 <= migratetype < self.vm.MIGRATE_TYPES:
            raise self._bad(row, f"migratetype {migratetype} does not exist")
        freed = self._freed(row, pfn, order)
        if freed is not None:
            set_page_state(freed[0], freed[1], 1 << order, 0)
            _putback_isolated_page(freed[0], freed[1], order, migratetype)

    def _movepb(
        self, row: int, address: int, _start: int, old_mt: int, new_mt: int, *_: int
    ) -> None:
        """A request about to fail gives a HIGHATOMIC pageblock back; which one, memsim says."""
        if old_mt != MIGRATE_HIGHATOMIC or not 0 <= new_mt < MIGRATE_PCPTYPES:
            return
        zone = self._zone(row, address)
        request = self._requests.get(self.rows.context[row])
        zonelist = [zone] if request is None else request.ac.zonelist
        if not unreserve_highatomic_pageblock(zonelist, new_mt, False):
            unreserve_highatomic_pageblock(zonelist, new_mt, True)

    def _compared(self, row: int, *fields: int) -> None:
        self.tracepoints.recorded(Kind(self.rows.kind[row]), fields)


_NAMES = {int(kind): kind.name for kind in Kind}
_HANDLERS: dict[int, Callable[..., None]] = {
    Kind.gpf: Replay._gpf,
    Kind.mm_page_alloc: Replay._mm_page_alloc,
    Kind.bulk: Replay._bulk_begin,
    Kind.bulk_ret: Replay._bulk_ret,
    Kind.mm_page_free: Replay._mm_page_free,
    Kind.free_then_batched: Replay._free_prepared,
    Kind.free_then_direct: Replay._free_prepared,
    Kind.mm_page_free_batched: Replay._mm_page_free_batched,
    Kind.direct: Replay._direct,
    Kind.mm_lru_insertion: Replay._lru_insertion,
    Kind.refresh: Replay._refresh,
    Kind.decay: Replay._decay,
    Kind.drain_zone: Replay._drain_zone,
    Kind.drain_pages: Replay._drain_pages,
    Kind.balance: Replay._balance,
    Kind.balance_ret: Replay._balance_ret,
    Kind.mm_vmscan_kswapd_wake: Replay._kswapd_wake,
    Kind.mm_vmscan_kswapd_sleep: Replay._kswapd_sleep,
    Kind.isolate: Replay._isolate,
    Kind.isolate_ret: Replay._isolate_ret,
    Kind.putback: Replay._putback,
    Kind.movepb: Replay._movepb,
    Kind.mm_compaction_begin: Replay._compaction_begin,
    Kind.mm_compaction_end: Replay._compaction_end,
    Kind.mm_compaction_finished: Replay._compaction_finished,
    Kind.mm_compaction_isolate_migratepages: Replay._migrate_scanned,
    Kind.mm_compaction_isolate_freepages: Replay._free_scanned,
    Kind.mm_compaction_fast_isolate_freepages: Replay._fast_isolate,
    Kind.mm_compaction_migratepages: Replay._migrated,
    Kind.setpb: Replay._setpb,
    **dict.fromkeys(COMPARED, Replay._compared),
}
