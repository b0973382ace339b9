"""A node is reclaimed: evict batch by batch, and age where few cold folios are left.

NOT MODELLED: memcgs, of which shrink_many() takes one after another; vmpressure(); memory tiering,
which has another watermark in should_abort_scan().

Kernel: mm/vmscan.c set_initial_priority(), should_run_aging() to lru_gen_shrink_node()
"""

from __future__ import annotations

from memsim.lib.bits import fls
from memsim.mm.folio import Lruvec, set_lruvec_field
from memsim.mm.journal import set_node_field
from memsim.mm.lru_gen.aging import try_to_inc_max_seq
from memsim.mm.lru_gen.evict import evict_folios
from memsim.mm.lru_gen.promote import MmWalk
from memsim.mm.mmzone import PglistData, Vm
from memsim.mm.page_alloc.watermark import zone_watermark_ok
from memsim.mm.shrinker import shrink_slab
from memsim.mm.swap import lru_add_drain
from memsim.mm.swap_info import get_nr_swap_pages
from memsim.mm.vmscan.balance import can_reclaim_anon_pages
from memsim.mm.vmscan.scan_control import DEF_PRIORITY, ScanControl, current_is_kswapd
from memsim.mm.vmstat import high_wmark_pages
from memsim.words.compaction import compact_gap
from memsim.words.lru_gen import (
    ANON_AND_FILE,
    LRU_GEN_ANON,
    LRU_GEN_FILE,
    MIN_LRU_BATCH,
    MIN_NR_GENS,
    lru_gen_from_seq,
)
from memsim.words.page_flags import (
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    LRUVEC_WAKE_FLUSHERS,
)


def get_swappiness(vm: Vm, sc: ScanControl) -> int:
    """How readily anonymous memory goes: 0 without room in swap for a batch.

    Kernel: mm/vmscan.c get_swappiness()
    """
    if not sc.may_swap or get_nr_swap_pages(vm) < MIN_LRU_BATCH:
        return 0
    return vm.folios.swappiness


def set_initial_priority(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """The first pass looks at as much as will do, if this share of it is inactive.

    Kernel: mm/vmscan.c set_initial_priority()
    """
    if sc.priority != DEF_PRIORITY or sc.nr_to_reclaim < MIN_LRU_BATCH:
        return
    reclaimable = pgdat.vm_stat[LRU_INACTIVE_FILE]
    if can_reclaim_anon_pages(vm):
        reclaimable += pgdat.vm_stat[LRU_INACTIVE_ANON]
    priority = fls(reclaimable) - 1 - fls(sc.nr_to_reclaim - 1)
    sc.priority = min(max(priority, DEF_PRIORITY // 2), DEF_PRIORITY)


def lru_gen_age_node(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """What kswapd does before each pass. NOT MODELLED: lru_gen_min_ttl, for which it may kill.

    Kernel: mm/vmscan.c lru_gen_age_node()
    """
    set_initial_priority(vm, pgdat, sc)


def _sizes(lruvec: Lruvec, type: int) -> dict[int, int]:
    """Pages of each generation of a kind, by its number."""
    lrugen, zones = lruvec.lrugen, range(len(lruvec.pgdat.node_zones))
    return {
        seq: sum(max(lrugen.nr_pages(lru_gen_from_seq(seq), type, zone), 0) for zone in zones)
        for seq in range(lrugen.min_seq(type), lrugen.max_seq + 1)
    }


def should_run_aging(lruvec: Lruvec, can_swap: bool) -> tuple[bool, int]:
    """(is a younger generation due?, pages of all): too few old ones, or too many young.

    Kernel: mm/vmscan.c should_run_aging()
    """
    max_seq = lruvec.lrugen.max_seq
    min_seq = lruvec.lrugen.min_seq(LRU_GEN_ANON if can_swap else LRU_GEN_FILE)
    if min_seq + MIN_NR_GENS > max_seq:
        return True, 0
    types = range(0 if can_swap else LRU_GEN_FILE, ANON_AND_FILE)
    sizes = [_sizes(lruvec, type) for type in types]
    total = sum(sum(size.values()) for size in sizes)
    young = sum(size.get(max_seq, 0) for size in sizes)
    old = sum(size.get(max_seq - MIN_NR_GENS, 0) for size in sizes)
    if min_seq + MIN_NR_GENS < max_seq:
        return False, total
    return young * MIN_NR_GENS > total or old * (MIN_NR_GENS + 2) < total, total


def get_nr_to_scan(vm: Vm, lruvec: Lruvec, sc: ScanControl, can_swap: bool) -> int:
    """Pages to look at; below 0 where a generation had to begin instead.

    Kernel: mm/vmscan.c get_nr_to_scan()
    """
    due, nr_to_scan = should_run_aging(lruvec, can_swap)
    if not due or sc.priority == DEF_PRIORITY:
        return nr_to_scan >> sc.priority
    try_to_inc_max_seq(vm, lruvec, sc, can_swap)
    return -1


def should_abort_scan(vm: Vm, lruvec: Lruvec, sc: ScanControl) -> bool:
    """Is enough freed, or, to kswapd, every zone safe? Kernel: mm/vmscan.c should_abort_scan()."""
    if sc.nr_reclaimed >= max(sc.nr_to_reclaim, compact_gap(sc.order)):
        return True
    if not current_is_kswapd(vm) or sc.order:
        return False
    zones = lruvec.pgdat.node_zones[: sc.reclaim_idx + 1]
    return all(
        zone_watermark_ok(zone, 0, high_wmark_pages(zone) + MIN_LRU_BATCH, sc.reclaim_idx, 0)
        for zone in zones
        if zone.managed_pages
    )


def try_to_shrink_lruvec(vm: Vm, lruvec: Lruvec, sc: ScanControl) -> None:
    """Batches until enough is looked at or freed. Kernel: mm/vmscan.c try_to_shrink_lruvec()."""
    scanned, swappiness = 0, get_swappiness(vm, sc)
    while True:
        nr_to_scan = get_nr_to_scan(vm, lruvec, sc, swappiness > 0)
        if nr_to_scan <= 0:
            break
        delta = evict_folios(vm, lruvec, sc, swappiness)
        scanned += delta
        if not delta or scanned >= nr_to_scan or should_abort_scan(vm, lruvec, sc):
            break
    if sc.unqueued_dirty and sc.unqueued_dirty == sc.file_taken:
        set_lruvec_field(vm, lruvec, "flags", lruvec.flags | LRUVEC_WAKE_FLUSHERS)


def shrink_one(vm: Vm, lruvec: Lruvec, sc: ScanControl) -> None:
    """A lruvec, then the shrinkers. Kernel: mm/vmscan.c shrink_one()."""
    try_to_shrink_lruvec(vm, lruvec, sc)
    shrink_slab(vm, sc.gfp_mask, lruvec.pgdat.nid, sc.priority)
    sc.nr_reclaimed += vm.folios.reclaimed_slab
    vm.folios.reclaimed_slab = 0


def lru_gen_shrink_node(vm: Vm, pgdat: PglistData, sc: ScanControl) -> None:
    """A pass over a node; none where nothing may be written or unmapped, as for a boost.

    Kernel: mm/vmscan.c lru_gen_shrink_node()
    """
    reclaimed = sc.nr_reclaimed
    if sc.may_writepage and sc.may_unmap:
        lru_add_drain(vm)
        sc.mm_walk = MmWalk() if current_is_kswapd(vm) else None
        set_initial_priority(vm, pgdat, sc)
        if current_is_kswapd(vm):
            sc.nr_reclaimed = 0
        shrink_one(vm, pgdat.lruvec, sc)
        if current_is_kswapd(vm):
            sc.nr_reclaimed += reclaimed
        sc.mm_walk = None
    if sc.nr_reclaimed > reclaimed:
        set_node_field(vm, pgdat, "kswapd_failures", 0)
