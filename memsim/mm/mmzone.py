"""Zones, free areas, per-CPU lists and nodes: what they hold. Pages lie in flat arrays by pfn.

Every page has a state byte: 0, PG_BUDDY | order for the head of a free block, PG_INUSE | order
for the head of an allocated one, with PG_LRU added to each page that is on an LRU list. The pages
behind a head have 0. A page on a pcp list has 0 too: it is not PageBuddy.

Kernel: include/linux/mmzone.h, include/linux/page-flags.h
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.lib.flat import Bytes, Ints, zeroed_bytes, zeroed_ints
from memsim.lib.list import INIT_LIST_HEAD, list_for_each
from memsim.mm.current import Current
from memsim.mm.oom_kill.task import OomState
from memsim.trace.trace import Trace
from memsim.words.arch import X86_64, Arch
from memsim.words.lru_gen import LRUVEC_LISTS
from memsim.words.memcontrol import MAX_MEMCGS
from memsim.words.mmzone import (
    MIGRATE_CMA_IF_CONFIGURED,
    NR_PAGE_ORDERS,
    NR_PCP_LISTS,
    NR_VM_NUMA_EVENT_ITEMS,
    NR_VM_ZONE_STAT_ITEMS,
    NULL,
)

if TYPE_CHECKING:
    from memsim.mm.cma_area import Cma
    from memsim.mm.folio import Folios, Lruvec
    from memsim.mm.mempool import Mempool
    from memsim.mm.pressure import Pressure
    from memsim.mm.slub.slab import SlabState
    from memsim.mm.vmalloc.state import VmallocState

PG_BUDDY = 0x10
PG_INUSE = 0x20
PG_LRU = 0x80
PG_ORDER = 0x0F


class FreeArea:
    """struct free_area: the free blocks of one order.

    `free_list` holds a list head for each migratetype; `nr_free` counts blocks, not pages.
    """

    __slots__ = ("free_list", "nr_free")

    def __init__(self, free_list: list[int]) -> None:
        self.free_list = free_list
        self.nr_free = 0


class PerCpuPages:
    """struct per_cpu_pages: free pages that one CPU keeps for itself. Counts are pages."""

    __slots__ = (
        "count", "high", "high_min", "high_max", "batch", "flags", "alloc_factor", "free_count",
        "expire", "lists", "locked",
    )  # fmt: skip

    def __init__(self, lists: list[int]) -> None:
        self.count = 0
        self.high = 0
        self.high_min = 0
        self.high_max = 0
        self.batch = 1
        self.flags = 0
        self.alloc_factor = 0
        self.free_count = 0
        self.expire = 0
        self.lists = lists
        #: pcp->lock is held by what the running context interrupted: pcp_spin_trylock() fails.
        self.locked = False


class PerCpuZonestat:
    """struct per_cpu_zonestat: counter changes that this CPU has not yet added to the zone's."""

    __slots__ = ("stat_threshold", "vm_stat_diff")

    def __init__(self) -> None:
        self.stat_threshold = 0
        self.vm_stat_diff = [0] * NR_VM_ZONE_STAT_ITEMS


class Zone:
    """struct zone: a range of page frames with one allocator.

    `spanned_pages` counts holes, `present_pages` does not, `managed_pages` are those given to the
    buddy allocator. `deferred_pfn` to `deferred_end` is memsim's own: free blocks of the largest
    order that are not on their list yet (see free_list.py refill_from_deferred()).
    """

    __slots__ = (
        "vm", "id", "node", "idx", "name", "zone_start_pfn", "zone_end_pfn", "spanned_pages",
        "present_pages", "managed_pages", "_watermark", "watermark_boost", "lowmem_reserve",
        "flags", "nr_reserved_highatomic", "nr_free_highatomic", "percpu_drift_mark", "free_area",
        "per_cpu_pageset", "per_cpu_zonestats", "vm_stat", "vm_numa_event",
        "pageset_high_min", "pageset_high_max",
        "pageset_batch", "compact_cached_free_pfn", "compact_cached_migrate_pfn",
        "compact_init_migrate_pfn", "compact_init_free_pfn", "compact_considered",
        "compact_defer_shift", "compact_order_failed", "compact_blockskip_flush",
        "deferred_pfn", "deferred_end",
        "next", "prev", "page_state", "pageblock", "trace",
    )  # fmt: skip

    def __init__(self, vm: Vm, zone_id: int, node: int, idx: int, name: str) -> None:
        self.vm = vm
        self.id = zone_id
        self.node = node
        self.idx = idx
        self.name = name
        self.zone_start_pfn = self.zone_end_pfn = 0
        self.spanned_pages = self.present_pages = self.managed_pages = 0
        self._watermark = [0, 0, 0, 0]
        self.watermark_boost = 0
        self.lowmem_reserve = [0] * vm.arch.MAX_NR_ZONES
        self.flags = 0
        self.nr_reserved_highatomic = self.nr_free_highatomic = 0
        self.percpu_drift_mark = 0
        self.vm_stat = [0] * NR_VM_ZONE_STAT_ITEMS
        self.vm_numa_event = [0] * NR_VM_NUMA_EVENT_ITEMS
        self.pageset_high_min = self.pageset_high_max = self.pageset_batch = 0
        self.compact_cached_free_pfn = self.compact_init_free_pfn = 0
        self.compact_init_migrate_pfn = 0
        #: Where the migration scanner starts: of async compaction, of sync compaction.
        self.compact_cached_migrate_pfn = [0, 0]
        self.compact_considered = self.compact_defer_shift = self.compact_order_failed = 0
        self.compact_blockskip_flush = 0
        self.deferred_pfn = self.deferred_end = 0
        self.next, self.prev = vm.next, vm.prev
        self.page_state, self.pageblock, self.trace = vm.page_state, vm.pageblock, vm.trace
        self.free_area = [FreeArea(vm.list_heads(vm.MIGRATE_TYPES)) for _ in range(NR_PAGE_ORDERS)]
        self.per_cpu_pageset = [PerCpuPages(vm.list_heads(NR_PCP_LISTS)) for _ in range(vm.nr_cpus)]
        self.per_cpu_zonestats = [PerCpuZonestat() for _ in range(vm.nr_cpus)]


class CaptureControl:
    """struct capture_control: a task that compacts takes the first block that its frees make.

    `page` is NULL until one of this order was taken. Kernel: mm/internal.h
    """

    __slots__ = ("migratetype", "order", "page", "zone")

    def __init__(self, zone: Zone, order: int, migratetype: int) -> None:
        self.zone = zone
        self.order = order
        self.migratetype = migratetype
        self.page = NULL


class PglistData:
    """struct pglist_data: one NUMA node. `node_zones` has every zone type, empty ones too.

    `node_zonelists[0]` is the fallback order, `[1]` that of __GFP_THISNODE: populated zones only.
    `allowed_zones[0 or 1][highest_zoneidx]` is what is left of it below a highest zone; the last
    entry, which is that of no zone, -1, is empty. `vm_stat` counts folios; it and `lruvec` are
    made by reclaim_init(). kcompactd_* are what kcompactd is asked for.
    kswapd_order and kswapd_highest_zoneidx are what kswapd is asked for, by its waker; the latter
    is MAX_NR_ZONES when nobody asked. kswapd_waits: the queue kswapd_wait holds it, so its wakers
    see it; kswapd_asleep: it sleeps. A nap that is over by itself leaves it on the queue, awake,
    until it runs.
    """

    __slots__ = (
        "allowed_zones", "kcompactd_awake", "kcompactd_highest_zoneidx", "kcompactd_max_order",
        "kswapd_asleep", "kswapd_failures", "kswapd_highest_zoneidx", "kswapd_order",
        "kswapd_waits", "lruvec", "nid", "node_zonelists", "node_zones",
        "proactive_compact_trigger", "totalreserve_pages", "vm_stat",
    )  # fmt: skip

    lruvec: Lruvec
    vm_stat: list[int]

    def __init__(self, nid: int, max_nr_zones: int) -> None:
        self.nid = nid
        self.kswapd_order = 0
        self.kswapd_highest_zoneidx = max_nr_zones
        self.kswapd_failures = 0
        self.kswapd_waits = self.kswapd_asleep = 1
        self.node_zones: list[Zone] = []
        self.node_zonelists: tuple[list[Zone], list[Zone]] = ([], [])
        self.allowed_zones: list[list[list[Zone]]] = []
        self.totalreserve_pages = 0
        self.kcompactd_max_order = self.kcompactd_highest_zoneidx = 0
        self.proactive_compact_trigger = self.kcompactd_awake = 0

    def set_zonelists(self, fallback: list[Zone], thisnode: list[Zone]) -> None:
        """The node's zonelists; node_zones must be known already."""
        self.node_zonelists = (fallback, thisnode)
        highest = range(len(self.node_zones))
        self.allowed_zones = [
            [[zone for zone in zonelist if zone.idx <= idx] for idx in highest] + [[]]
            for zonelist in self.node_zonelists
        ]


class Vm:
    """The kernel's mm globals in one place: nodes, page frames, tunables, and the running CPU.

    max_pfn bounds the arrays; `cpu` is smp_processor_id(). `zones` lists every zone by its id.
    `cpu_to_node[cpu]` is a node's number, `node_distance[from][to]` what ACPI's SLIT holds: 10 to
    itself. `movable_zone` is the zone type that ZONE_MOVABLE takes its pages from.
    """

    __slots__ = (
        "max_pfn", "nr_cpus", "next", "prev", "page_state", "pageblock", "pageblock_skip",
        "trace", "cpu", "current", "pressure", "capture_control", "nodes", "zones", "arch",
        "cpu_to_node", "node_distance", "movable_zone", "MIGRATE_TYPES", "MIGRATE_CMA",
        "MIGRATE_ISOLATE",
        "pageblock_order", "pageblock_nr_pages", "min_free_kbytes", "user_min_free_kbytes",
        "watermark_scale_factor", "watermark_boost_factor", "percpu_pagelist_high_fraction",
        "lowmem_reserve_ratio", "memcg_kmem_online", "page_group_by_mobility_disabled",
        "sysctl_extfrag_threshold", "sysctl_compaction_proactiveness",
        "sysctl_compact_unevictable_allowed", "cma_areas",
        "node_reclaim_mode", "sysctl_min_unmapped_ratio", "sysctl_min_slab_ratio", "iw_table",
        "mempools",
        "totalreserve_pages", "slab", "vmalloc", "folios", "oom", "fields_seen", "system_ram",
        "_next_head",
    )  # fmt: skip

    #: The slab allocator's state; kmem_cache_init() makes it.
    slab: SlabState
    #: vmalloc's state; vmalloc_init() makes it.
    vmalloc: VmallocState
    #: Folios, their mappings and batches; reclaim_init() makes it.
    folios: Folios

    def __init__(
        self,
        max_pfn: int,
        nr_cpus: int,
        nr_nodes: int,
        trace: Trace,
        *,
        arch: Arch = X86_64,
        cma: bool = False,
        pageblock_order: int | None = None,
    ) -> None:
        self.max_pfn = max_pfn
        self.nr_cpus = nr_cpus
        self.trace = trace
        self.cpu = 0
        self.current = Current()
        #: Who reclaims, compacts and kills; None: nobody.
        self.pressure: Pressure | None = None
        #: Ranges of pfns, [start, end), whose pages boot gave to the buddy allocator.
        self.system_ram: list[tuple[int, int]] = []
        #: current->capture_control: of the task that runs now.
        self.capture_control: CaptureControl | None = None
        self.MIGRATE_CMA = MIGRATE_CMA_IF_CONFIGURED if cma else -1
        self.MIGRATE_ISOLATE = MIGRATE_CMA_IF_CONFIGURED + cma
        self.MIGRATE_TYPES = self.MIGRATE_ISOLATE + 1
        self.arch = arch
        self.cpu_to_node = [cpu * nr_nodes // nr_cpus for cpu in range(nr_cpus)]
        self.node_distance = default_distances(nr_nodes)
        self.movable_zone = arch.ZONE_NORMAL
        self.pageblock_order = pageblock_order = pageblock_order or arch.pageblock_order
        self.pageblock_nr_pages = 1 << pageblock_order
        nr_zones = nr_nodes * arch.MAX_NR_ZONES
        heads = nr_zones * (NR_PAGE_ORDERS * self.MIGRATE_TYPES + nr_cpus * NR_PCP_LISTS)
        heads += nr_nodes * len(LRUVEC_LISTS) * (1 + MAX_MEMCGS)
        self._next_head = max_pfn
        self.next: Ints = zeroed_ints(max_pfn + heads)
        self.prev: Ints = zeroed_ints(max_pfn + heads)
        self.page_state: Bytes = zeroed_bytes(max_pfn)
        self.pageblock: Bytes = zeroed_bytes((max_pfn >> pageblock_order) + 1)
        #: PB_migrate_skip: compaction found nothing there lately.
        self.pageblock_skip: Bytes = zeroed_bytes((max_pfn >> pageblock_order) + 1)
        self.nodes: list[PglistData] = []
        self.zones: list[Zone] = []
        self._sysctls()
        #: Weights of nodes in weighted interleaving; 0 is the default, 1.
        self.iw_table = [0] * nr_nodes
        #: Every memory pool that was ever made, by its number.
        self.mempools: list[Mempool] = []
        self.memcg_kmem_online = False
        #: All requests, and pageblocks of the types on pcp lists, are UNMOVABLE.
        self.page_group_by_mobility_disabled = False
        self.totalreserve_pages = 0
        self.cma_areas: list[Cma] = []
        #: Tasks, swap's size, and what the OOM killer knows.
        self.oom = OomState()
        #: What journal.py last saw in each zone's fields, by zone id.
        self.fields_seen: list[list[int]] = []

    def _sysctls(self) -> None:
        """What /proc/sys/vm has, as at boot."""
        self.min_free_kbytes = 0
        self.user_min_free_kbytes = -1
        self.watermark_scale_factor = 10
        self.watermark_boost_factor = 15000
        self.percpu_pagelist_high_fraction = 0
        self.lowmem_reserve_ratio = list(self.arch.lowmem_reserve_ratio)
        self.sysctl_extfrag_threshold = 500
        self.sysctl_compaction_proactiveness = 20
        self.sysctl_compact_unevictable_allowed = 1
        self.node_reclaim_mode = 0
        self.sysctl_min_unmapped_ratio = 1
        self.sysctl_min_slab_ratio = 5

    def list_heads(self, nr: int) -> list[int]:
        """nr new empty list heads: indexes behind the last pfn of the next and prev arrays."""
        heads = list(range(self._next_head, self._next_head + nr))
        self._next_head += nr
        for head in heads:
            INIT_LIST_HEAD(self.next, self.prev, head)
        return heads

    def set_cpu(self, cpu: int) -> None:
        """Let what follows run on this CPU."""
        self.cpu = cpu
        self.trace.cpu = cpu


def default_distances(nr_nodes: int) -> list[list[int]]:
    """LOCAL_DISTANCE to oneself, REMOTE_DISTANCE to all others.

    Kernel: include/linux/topology.h, mm/numa_memblks.c numa_alloc_distance()
    """
    return [[10 if a == b else 20 for b in range(nr_nodes)] for a in range(nr_nodes)]


def numa_node_id(vm: Vm) -> int:
    """The node of the running CPU. Kernel: include/linux/topology.h numa_node_id()."""
    return vm.cpu_to_node[vm.cpu]


def is_highmem(zone: Zone) -> bool:
    """Has the zone no lasting mapping? Kernel: include/linux/mmzone.h is_highmem()."""
    highmem = zone.vm.arch.ZONE_HIGHMEM
    if highmem < 0:
        return False
    return zone.idx == highmem or (
        zone.idx == zone.vm.arch.ZONE_MOVABLE and zone.vm.movable_zone == highmem
    )


def populated_zones(vm: Vm) -> list[Zone]:
    """Zones that have pages, in node and zone order. Kernel: for_each_populated_zone()."""
    return [zone for zone in vm.zones if zone.present_pages]


def page_zone(vm: Vm, pfn: int) -> Zone | None:
    """The zone that pfn belongs to; None for a pfn outside every zone. Kernel: page_zone()."""
    for zone in vm.zones:
        if zone.zone_start_pfn <= pfn < zone.zone_end_pfn:
            return zone
    return None


def zone_spans_pfn(zone: Zone, pfn: int) -> bool:
    """Is pfn between the zone's first and last page? Kernel: zone_spans_pfn()."""
    return zone.zone_start_pfn <= pfn < zone.zone_end_pfn


def PageBuddy(zone: Zone, pfn: int) -> bool:
    """Is pfn the head of a free block? Kernel: PageBuddy()."""
    return (zone.page_state[pfn] & PG_BUDDY) != 0


def compound_head(zone: Zone, pfn: int) -> int:
    """First pfn of the allocated block that holds pfn; NULL when pfn is not in one.

    NOT MODELLED: blocks without __GFP_COMP, whose pages the kernel cannot tell from single ones.
    Kernel: include/linux/page-flags.h compound_head()
    """
    for order in range(NR_PAGE_ORDERS):
        head = pfn & -(1 << order)
        state = zone.page_state[head]
        if state & (PG_INUSE | PG_BUDDY):
            inside = pfn < head + (1 << (state & PG_ORDER))
            return head if state & PG_INUSE and inside else NULL
    return NULL


def buddy_order(zone: Zone, pfn: int) -> int:
    """Order of the free block whose head is pfn. Kernel: buddy_order()."""
    return zone.page_state[pfn] & PG_ORDER


def get_pageblock_migratetype(zone: Zone, pfn: int) -> int:
    """Migratetype of the pageblock that holds pfn. Kernel: get_pageblock_migratetype()."""
    return zone.pageblock[pfn >> zone.vm.pageblock_order]


def list_pages(zone: Zone, head: int) -> list[int]:
    """The pfns behind a list head, first to last."""
    return list(list_for_each(zone.next, head))
