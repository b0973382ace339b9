"""What every part of the replay shares: the model, the rows, and what is counted."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from memsim.mm.mmzone import PerCpuPages, PglistData, Vm, Zone, numa_node_id
from memsim.mm.page_alloc.zone_walk import AllocContext, prepare_alloc_pages
from memsim.replay.pages.compactions import Compactions
from memsim.replay.pages.live import Pages
from memsim.replay.pages.tracepoints import Tracepoints
from memsim.replay.rows.inputs import Rows
from memsim.words.errors import BadInput
from memsim.words.gfp import gfp_migratetype, gfp_zone
from memsim.words.mmzone import MAX_PAGE_ORDER, MIGRATE_PCPTYPES


@dataclass
class Request:
    """A request under way in one context: what its attempts have given so far."""

    ac: AllocContext
    order: int
    page: int


@dataclass
class BulkRequest:
    """A bulk request under way: where it takes pages, and how many more it wants.

    seen: pages that events of its refills told of, less those that it refilled with.
    """

    zone: Zone | None
    migratetype: int
    alloc_flags: int
    wanted: int
    seen: int = 0


@dataclass
class Drain:
    """A drain in batches under way: pages still to give back, up to batch under one lock.

    seen: pages that its events told of, less those given back.
    """

    zone: Zone
    pcp: PerCpuPages
    to_drain: int
    batch: int
    seen: int = 0


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
    #: By cause: requests missed.
    causes: Counter[str] = field(default_factory=Counter)
    inputs: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


class Base:
    """A Vm, the rows to do to it, and what came of it. Rows are named by their number.

    source: what told the Vm's state. zones and pgdats: by the addresses that probes print.
    where: the trace's name, for errors.
    """

    source = "the snapshot"

    def __init__(
        self, vm: Vm, rows: Rows, zones: dict[int, Zone], pgdats: dict[int, PglistData], where: str
    ) -> None:
        self.vm = vm
        self.rows = rows
        self.zones = zones
        self.pgdats = pgdats
        self.where = where
        self.pages = Pages(vm)
        self.tracepoints = Tracepoints(vm)
        self.compactions = Compactions(vm)
        self.result = Result()
        #: Requests under way whose slow path is traced, by context.
        self.requests: dict[int, Request] = {}
        #: Preferred node of the request under way, by context, where the trace tells.
        self.preferred: dict[int, int] = {}
        #: Bulk requests under way, by context: gfp_mask, preferred node, pages wanted.
        self.bulk: dict[int, tuple[int, int, int]] = {}
        #: By context: where the pages go that its bulk request gives, if anybody wants to know.
        self.bulk_given: dict[int, list[int]] = {}
        #: Their refills, and drains in batches, by row: see runs_of_holds().
        self.runs = array("i")
        self.shows_drains = False
        #: Drains under way, by context.
        self.drains: dict[int, Drain] = {}
        #: Requests that found pcp->lock taken.
        self.locked_out = bytearray()
        #: Those that have taken pages already, by context.
        self.bulk_open: dict[int, BulkRequest] = {}
        #: Freed blocks that are on no list yet, by recorded pfn: memsim's page, order.
        self.prepared: dict[int, tuple[int, int]] = {}
        #: kswapd's runs, by context: the node, and its zones' boosts when the run began.
        self.boosts: dict[int, tuple[PglistData, list[int]]] = {}
        #: Free blocks being isolated, by context: pfn, order.
        self.isolating: dict[int, tuple[int, int]] = {}
        #: Recorded pfn that a fast search of compaction isolated, by context.
        self.fast: dict[int, int] = {}

    def bad(self, row: int, what: str) -> BadInput:
        """The error that names the row's line."""
        return BadInput(f"{self.where}: line {self.rows.line[row]}: {what}")

    def order(self, row: int, order: int) -> int:
        """The order, if there is such an order."""
        if not 0 <= order <= MAX_PAGE_ORDER:
            raise self.bad(row, f"order {order} is above MAX_PAGE_ORDER")
        return order

    def block(self, row: int, pfn: int, order: int) -> tuple[int, int]:
        """A recorded block's pfn and order, if there can be such a block."""
        order = self.order(row, order)
        if not 0 <= pfn <= self.vm.max_pfn - (1 << order):
            raise self.bad(row, f"pfn {pfn & (1 << 64) - 1:#x} is not in {self.source}")
        if pfn & (1 << order) - 1:
            raise self.bad(row, f"pfn {pfn:#x} is not aligned to order {order}")
        return pfn, order

    def zone(self, row: int, address: int) -> Zone:
        """The zone whose struct zone is at this address."""
        zone = self.zones.get(address)
        if zone is None:
            raise self.bad(row, f"zone {address & (1 << 64) - 1:#x} is not in {self.source}")
        return zone

    def node(self, row: int, nid: int) -> PglistData:
        """The node of this number."""
        if not 0 <= nid < len(self.vm.nodes):
            raise self.bad(row, f"node {nid} is not in {self.source}")
        return self.vm.nodes[nid]

    def context(self, row: int, gfp_mask: int) -> AllocContext:
        """The request's zonelist, from its preferred node: the CPU's unless the trace tells."""
        if gfp_zone(gfp_mask, self.vm.arch) < 0 or gfp_migratetype(gfp_mask) >= MIGRATE_PCPTYPES:
            raise self.bad(row, f"gfp_mask {gfp_mask:#x} has forbidden zone or mobility bits")
        nid = self.preferred.get(self.rows.context[row], numa_node_id(self.vm))
        return prepare_alloc_pages(self.vm, gfp_mask, nid)
