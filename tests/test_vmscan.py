"""Reclaim's arithmetic, worked by hand from mm/vmscan.c and its neighbours, a rule at a time."""

from __future__ import annotations

import contextlib

import pytest
from folio_states import listed, read_all, small, state_of

from memsim import GFP_KERNEL, BadDescription, Machine, PageAllocationFailure
from memsim.mm.filemap import filemap_add_folio, folio_alloc
from memsim.mm.folio import Lruvec, folio_set_flags, mod_node_page_state, xa_is_value
from memsim.mm.lru_cost import lru_note_cost
from memsim.mm.mmzone import Vm
from memsim.mm.page_alloc.zone_walk import prepare_alloc_pages
from memsim.mm.shrinker import SHRINK_STOP, Shrinker, do_shrink_slab, shrinker_register
from memsim.mm.swap import folio_put
from memsim.mm.vmscan.balance import (
    SCAN_ANON,
    SCAN_EQUAL,
    SCAN_FILE,
    SCAN_FRACT,
    get_scan_count,
    inactive_is_low,
    prepare_scan_control,
    scan_balance,
    scan_fractions,
)
from memsim.mm.vmscan.direct import (
    allow_direct_reclaim,
    do_try_to_free_pages,
    shrink_zones,
    throttled_node,
)
from memsim.mm.vmscan.isolate import isolate_lru_folios
from memsim.mm.vmscan.kswapd import balance_pgdat, kswapd_shrink_node
from memsim.mm.vmscan.scan_control import ScanControl
from memsim.mm.vmscan.shrink_folio_list import (
    FOLIOREF_ACTIVATE,
    FOLIOREF_KEEP,
    FOLIOREF_RECLAIM,
    FOLIOREF_RECLAIM_CLEAN,
    folio_check_references,
)
from memsim.mm.vmscan.shrink_list import shrink_active_list, shrink_inactive_list
from memsim.mm.vmscan.shrink_lruvec import scan_in_proportion
from memsim.mm.vmscan.shrink_node import in_reclaim_compaction
from memsim.mm.vmscan.throttle import VMSCAN_THROTTLE_NOPROGRESS, reclaim_throttle
from memsim.mm.vmstat import high_wmark_pages
from memsim.mm.workingset import pack_shadow, unpack_shadow, workingset_test_recent
from memsim.trace.text import event_text, parse_line_event
from memsim.trace.vmscan_events import READ_FROM_TEXT
from memsim.words.gfp import GFP_DMA, GFP_NOFS
from memsim.words.mmzone import MAX_RECLAIM_RETRIES, NR_FREE_PAGES, WMARK_MIN
from memsim.words.page_flags import (
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    LRUVEC_WAKE_FLUSHERS,
    NODE_STAT_ITEMS,
    NR_FILE_DIRTY,
    NR_ISOLATED_ANON,
    NR_SWAPCACHE,
    NR_VMSCAN_IMMEDIATE,
    SWAP_CLUSTER_MAX,
    PG_active,
    PG_reclaim,
    PG_referenced,
    PG_workingset,
)

GIB_PAGES = 1 << 18


def control(priority: int = 12, **how: bool) -> ScanControl:
    """A reclaim that may do anything in all zones."""
    sc = ScanControl(32, GFP_KERNEL, 3, 0, **how)
    sc.priority = priority
    return sc


def sized(machine: Machine, *sizes: int) -> Lruvec:
    """Node 0's lruvec, which pretends to have lists of these sizes: all of it in DMA."""
    pgdat = machine.vm.nodes[0]
    pgdat.vm_stat[:4] = sizes
    pgdat.node_zones[0].vm_stat[1:5] = sizes
    return pgdat.lruvec


def stat(machine: Machine, name: str) -> int:
    """A counter of node 0."""
    return machine.vm.nodes[0].vm_stat[NODE_STAT_ITEMS.index(name)]


# Balance


@pytest.mark.parametrize(
    ("inactive", "active", "low"),
    [
        (100, 100, False), (100, 101, True), (0, 0, False),
        # 1 GiB: isqrt(10) is 3
        (GIB_PAGES // 4, GIB_PAGES // 4 * 3, False), (GIB_PAGES // 4, GIB_PAGES // 4 * 3 + 1, True),
        # 10 GiB: isqrt(100) is 10
        (GIB_PAGES, 10 * GIB_PAGES - 1, False), (GIB_PAGES, 10 * GIB_PAGES + 1, True),
    ],
)  # fmt: skip
def test_the_inactive_list_may_be_smaller_the_more_memory_there_is(
    inactive: int, active: int, low: bool
) -> None:
    assert inactive_is_low(sized(small(), 0, 0, inactive, active), LRU_INACTIVE_FILE) == low


@pytest.mark.parametrize(
    ("anon_cost", "file_cost", "swappiness", "fractions"),
    [
        (0, 0, 60, (60, 140)), (0, 0, 0, (0, 200)), (0, 0, 200, (200, 0)),
        # total 400, anon 500, file 700, total 1200: 60 * 1201 / 501, 140 * 1201 / 701
        (100, 300, 60, (143, 239)),
        # one kind costs all: the other gets two thirds
        (300, 0, 100, (100 * 901 // 601, 100 * 901 // 301)),
    ],
)  # fmt: skip
def test_the_dearer_kind_is_scanned_less(
    anon_cost: int, file_cost: int, swappiness: int, fractions: tuple[int, int]
) -> None:
    sc = control()
    sc.anon_cost, sc.file_cost = anon_cost, file_cost
    assert scan_fractions(sc, swappiness) == fractions


def test_which_kind_is_scanned() -> None:
    machine = small(swap="1 MiB")
    vm, sc = machine.vm, control()
    assert scan_balance(vm, sc, 60) == SCAN_FRACT
    sc.cache_trim_mode = True
    assert scan_balance(vm, sc, 60) == SCAN_FILE
    sc.file_is_tiny = True
    assert scan_balance(vm, sc, 60) == SCAN_ANON
    sc.priority = 0
    assert scan_balance(vm, sc, 60) == SCAN_EQUAL
    assert scan_balance(vm, sc, 0) == SCAN_ANON
    sc.may_swap = False
    assert scan_balance(vm, sc, 60) == SCAN_FILE
    assert scan_balance(small().vm, control(0), 60) == SCAN_FILE


def test_scan_counts_are_sizes_shifted_by_the_priority_then_shared() -> None:
    machine = small(swap="1 MiB")
    lruvec = sized(machine, 4000, 8000, 16000, 2000)
    # costs 0: 60 and 140 of 200
    assert get_scan_count(machine.vm, lruvec, control(2)) == [300, 600, 2800, 350]
    assert get_scan_count(machine.vm, lruvec, control(12)) == [0, 0, 2, 0]
    assert get_scan_count(machine.vm, lruvec, control(0)) == [4000, 8000, 16000, 2000]
    sc = control(2)
    sc.cache_trim_mode = True
    assert get_scan_count(machine.vm, lruvec, sc) == [0, 0, 4000, 500]
    sc.file_is_tiny = True
    assert get_scan_count(machine.vm, lruvec, sc) == [1000, 2000, 0, 0]


def test_a_reclaim_for_a_low_zone_counts_that_zones_folios() -> None:
    machine = Machine("32 MiB", reclaim=True)
    lruvec = sized(machine, 0, 0, 4096, 0)
    machine.vm.nodes[0].node_zones[1].vm_stat[3] = 8192
    sc = control(2)
    sc.reclaim_idx = 0
    assert get_scan_count(machine.vm, lruvec, sc)[LRU_INACTIVE_FILE] == 1024
    sc.reclaim_idx = 1
    assert get_scan_count(machine.vm, lruvec, sc)[LRU_INACTIVE_FILE] == 3072


def test_what_a_pass_stands_on() -> None:
    machine = small(swap="1 MiB")
    pgdat = machine.vm.nodes[0]
    sized(machine, 100, 50, 5000, 100)
    sc = control(12)
    prepare_scan_control(pgdat, sc)
    # 5000 >> 12 is 1, and no list of inactive folios is low
    assert sc.cache_trim_mode
    assert sc.may_deactivate == 0
    pgdat.vm_stat[NODE_STAT_ITEMS.index("WORKINGSET_ACTIVATE_FILE")] = 1
    prepare_scan_control(pgdat, sc)
    assert sc.may_deactivate == 2
    assert not sc.cache_trim_mode
    pgdat.lruvec.refaults_file = 1
    sized(machine, 100, 200, 4000, 100)
    prepare_scan_control(pgdat, sc)
    assert sc.may_deactivate == 1
    assert not sc.cache_trim_mode
    sc.force_deactivate = True
    prepare_scan_control(pgdat, sc)
    assert sc.may_deactivate == 3


def test_file_is_tiny_when_files_and_free_pages_do_not_reach_high() -> None:
    machine = small(swap="1 MiB")
    pgdat = machine.vm.nodes[0]
    zone = machine.zone("DMA")
    sized(machine, 8192, 100, 10, 10)
    sc = control(12)
    zone.vm_stat[NR_FREE_PAGES] = high_wmark_pages(zone) - 20
    prepare_scan_control(pgdat, sc)
    assert sc.file_is_tiny
    zone.vm_stat[NR_FREE_PAGES] += 1
    prepare_scan_control(pgdat, sc)
    assert not sc.file_is_tiny


def test_the_smaller_kind_stops_and_the_other_goes_on_to_its_percentage() -> None:
    # 60 of 151 are left of anon: 39 %, so 61 % of files are to be scanned, 100 and 50 are
    nr = [40, 20, 300, 150]
    assert scan_in_proportion(nr, [100, 50, 400, 200])
    assert nr == [0, 0, 400 * 61 // 100 - 100, 200 * 61 // 100 - 50]
    nr = [300, 0, 40, 20]
    assert scan_in_proportion(nr, [400, 0, 100, 50])
    assert nr == [400 * 61 // 100 - 100, 0, 0, 0]
    assert not scan_in_proportion([0, 0, 5, 5], [9, 9, 9, 9])


def test_costs_are_halved_once_they_pass_a_quarter_of_the_lists() -> None:
    machine = small()
    lruvec = sized(machine, 100, 100, 100, 100)
    lru_note_cost(machine.vm, lruvec, True, 3, 4)
    assert (lruvec.anon_cost, lruvec.file_cost) == (0, 100)
    lru_note_cost(machine.vm, lruvec, False, 0, 1)
    assert (lruvec.anon_cost, lruvec.file_cost) == (0, 50)


# One folio


@pytest.mark.parametrize(
    ("anon", "young", "referenced", "answer", "referenced_then"),
    [
        (False, 0, False, FOLIOREF_RECLAIM, False),
        (False, 0, True, FOLIOREF_RECLAIM_CLEAN, False),
        (True, 0, True, FOLIOREF_RECLAIM, False),
        (True, 1, False, FOLIOREF_KEEP, True),
        (True, 1, True, FOLIOREF_ACTIVATE, True),
        (True, 2, False, FOLIOREF_ACTIVATE, True),
    ],
)
def test_use_since_the_last_look(
    anon: bool, young: int, referenced: bool, answer: int, referenced_then: bool
) -> None:
    machine = small()
    pages = machine.mmap("a", 4096) if anon else machine.open("f", 4096)
    pfn = machine.touch(pages, 0) if anon else machine.read(pages, 0)
    folios = machine.vm.folios
    folios.young[pfn] = young
    folios.flags[pfn] &= ~PG_referenced
    folio_set_flags(folios, pfn, PG_referenced if referenced else 0)
    assert folio_check_references(machine.vm, pfn, control()) == answer
    assert bool(folios.flags[pfn] & PG_referenced) == referenced_then
    assert folios.young[pfn] == 0


def test_a_mapped_file_stays_for_a_second_round_and_is_unmapped_in_the_third() -> None:
    machine = small()
    file = machine.open("f", 4096)
    pfn = machine.touch(file, 0, write=False)
    machine.lru_add_drain_all()
    vm, pgdat, sc = machine.vm, machine.vm.nodes[0], control()
    assert (stat(machine, "NR_FILE_MAPPED"), vm.folios.refcount[pfn]) == (1, 2)
    # its pte is young from the fault: FOLIOREF_KEEP; then PG_referenced alone: a clean file goes
    shrink_inactive_list(vm, 32, pgdat.lruvec, sc, LRU_INACTIVE_FILE)
    assert listed(machine, LRU_INACTIVE_FILE) == [pfn]
    machine.touch(file, 0, write=False)
    shrink_inactive_list(vm, 32, pgdat.lruvec, sc, LRU_INACTIVE_FILE)
    assert listed(machine, LRU_ACTIVE_FILE) == [pfn]
    shrink_active_list(vm, 32, pgdat.lruvec, sc, LRU_ACTIVE_FILE)
    shrink_inactive_list(vm, 32, pgdat.lruvec, sc, LRU_INACTIVE_FILE)
    assert (stat(machine, "NR_FILE_MAPPED"), stat(machine, "NR_FILE_PAGES")) == (0, 0)
    assert not vm.page_state[pfn]
    machine.validate()


def test_a_batch_is_taken_from_the_tail_first_in_first_out() -> None:
    machine = small()
    file = machine.open("f", "1 MiB")
    pfns = [machine.read(file, index) for index in range(40)]
    machine.lru_add_drain_all()
    vm, lruvec = machine.vm, machine.vm.nodes[0].lruvec
    isolated, scanned = isolate_lru_folios(vm, 32, lruvec, control(), LRU_INACTIVE_FILE)
    assert (isolated, scanned) == (pfns[:32], 32)
    assert listed(machine, LRU_INACTIVE_FILE) == pfns[:31:-1]
    assert stat(machine, "NR_INACTIVE_FILE") == 8


def test_folios_of_higher_zones_are_skipped_to_the_head_and_do_not_count() -> None:
    machine = Machine("32 MiB", reclaim=True)
    file = machine.open("f", "1 MiB")
    high = [machine.read(file, index) for index in range(4)]
    low = [folio_in_dma(machine, file.id, index) for index in range(4, 6)]
    machine.lru_add_drain_all()
    sc = control()
    sc.reclaim_idx = 0
    vm, lruvec = machine.vm, machine.vm.nodes[0].lruvec
    isolated, scanned = isolate_lru_folios(vm, 2, lruvec, sc, LRU_INACTIVE_FILE)
    assert (isolated, scanned) == (low, 6)
    assert listed(machine, LRU_INACTIVE_FILE) == high[::-1]


def folio_in_dma(machine: Machine, mapping: int, index: int) -> int:
    """A page of a file that lies in ZONE_DMA."""
    vm = machine.vm
    pfn = folio_alloc(vm, GFP_DMA | GFP_KERNEL, 0)
    filemap_add_folio(vm, vm.folios.mappings[mapping], pfn, index, GFP_KERNEL)
    folio_put(vm, pfn)
    return pfn


def test_deactivated_folios_belong_to_the_working_set() -> None:
    machine = small()
    file = machine.open("f", "1 MiB")
    pfns = [machine.read(file, index) for index in range(3)]
    read_twice = [machine.read(file, index) for index in range(3)]
    assert read_twice == pfns
    machine.lru_add_drain_all()
    assert listed(machine, LRU_ACTIVE_FILE) == pfns[::-1]
    lruvec = machine.vm.nodes[0].lruvec
    age = lruvec.nonresident_age
    shrink_active_list(machine.vm, 2, lruvec, control(), LRU_ACTIVE_FILE)
    assert listed(machine, LRU_INACTIVE_FILE) == [pfns[1], pfns[0]]
    assert machine.vm.folios.flags[pfns[0]] & (PG_active | PG_workingset) == PG_workingset
    assert lruvec.nonresident_age == age
    machine.validate()


# Refaults


def test_a_shadow_holds_node_age_and_working_set() -> None:
    for shadow in ((1, 0, 0, False), (2, 3, 5, True), (65535, 1023, (1 << 36) - 1, True)):
        entry = pack_shadow(*shadow)
        assert xa_is_value(entry)
        assert unpack_shadow(entry) == shadow
    assert unpack_shadow(pack_shadow(1, 0, (1 << 36) + 7, False)) == (1, 0, 7, False)


@pytest.mark.parametrize(
    ("swap", "file", "reach"),
    [(0, True, 40), (0, False, 70), ("1 MiB", True, 100), ("1 MiB", False, 90)],
)
def test_a_refault_is_recent_within_the_lists_that_it_competes_with(
    swap: int | str, file: bool, reach: int
) -> None:
    # inactive anon 40, active anon 20, inactive file 30, active file 40
    machine = small(swap=swap)
    lruvec = sized(machine, 40, 20, 30, 40)
    lruvec.nonresident_age = 1000
    near, far = pack_shadow(1, 0, 1000 - reach, False), pack_shadow(1, 0, 999 - reach, True)
    assert workingset_test_recent(machine.vm, near, file) == (True, False)
    assert workingset_test_recent(machine.vm, far, file) == (False, True)


def test_a_file_read_round_and_round_refaults_and_is_activated() -> None:
    machine = small(swap=0)
    file = machine.open("f", "20 MiB")
    read_all(machine, file)
    assert stat(machine, "WORKINGSET_REFAULT_FILE") == 0
    assert stat(machine, "NR_ACTIVE_FILE") == 0
    read_all(machine, file)
    # the distance, about 1000 pages, is more than an empty active list
    assert stat(machine, "WORKINGSET_REFAULT_FILE") > 3000
    assert stat(machine, "WORKINGSET_ACTIVATE_FILE") == 0
    machine.validate()


def test_a_folio_evicted_lately_comes_back_active() -> None:
    machine = small()
    hot, cold = machine.open("hot", "6 MiB"), machine.open("cold", "14 MiB")
    read_all(machine, hot)
    read_all(machine, hot)
    once = machine.open("once", 4096)
    machine.read(once, 0)
    read_all(machine, cold)
    assert machine.vm.folios.mappings[once.id].nrpages == 0
    before = stat(machine, "WORKINGSET_ACTIVATE_FILE")
    pfn = machine.read(once, 0)
    assert stat(machine, "WORKINGSET_REFAULT_FILE") >= 1
    assert stat(machine, "WORKINGSET_ACTIVATE_FILE") == before + 1
    assert machine.vm.folios.flags[pfn] & PG_active


# Shrinkers


def shrinker_of(machine: Machine, freeable: list[int], scanned: list[int]) -> Shrinker:
    """A cache of freeable[0] objects, each of which is freed when it is scanned."""

    def scan(_vm: Vm, _nid: int, nr_to_scan: int) -> int:
        scanned.append(nr_to_scan)
        freed = min(nr_to_scan, freeable[0])
        freeable[0] -= freed
        return freed

    return shrinker_register(machine.vm, "cache", lambda _vm, _nid: freeable[0], scan)


def test_less_than_a_batch_is_put_off() -> None:
    machine = small()
    scanned: list[int] = []
    shrinker = shrinker_of(machine, [100_000], scanned)
    # 100000 >> 12 is 24: 48 objects, below SHRINK_BATCH
    assert do_shrink_slab(machine.vm, shrinker, 0, GFP_KERNEL, 12) == 0
    assert do_shrink_slab(machine.vm, shrinker, 0, GFP_KERNEL, 12) == 0
    assert (shrinker.nr_deferred, scanned) == ([96], [])
    # 100000 >> 6 is 1562: 3124, and 96 >> 6 is 1: 24 batches of 3125, 53 are left
    assert do_shrink_slab(machine.vm, shrinker, 0, GFP_KERNEL, 6) == 24 * 128
    assert scanned == [128] * 24
    assert shrinker.nr_deferred == [96 + 3124 - 3072]


def test_a_small_cache_is_scanned_whole_at_the_end() -> None:
    machine = small()
    scanned: list[int] = []
    shrinker = shrinker_of(machine, [50], scanned)
    assert do_shrink_slab(machine.vm, shrinker, 0, GFP_KERNEL, 2) == 0
    # 50 * 4 / 2 is 100, and 24 >> 0 put off: twice the objects at most
    assert shrinker.nr_deferred == [24]
    assert do_shrink_slab(machine.vm, shrinker, 0, GFP_KERNEL, 0) == 50
    assert scanned == [100]
    assert do_shrink_slab(machine.vm, shrinker, 0, GFP_KERNEL, 0) == 0


def test_objects_that_cost_no_io_are_halved_and_a_shrinker_may_stop() -> None:
    machine = small()
    scanned: list[int] = []
    shrinker = shrinker_of(machine, [1000], scanned)
    shrinker.seeks = 0
    shrinker.batch = 100
    assert do_shrink_slab(machine.vm, shrinker, 0, GFP_KERNEL, 12) == 500
    shrinker.scan_objects = lambda _vm, _nid, _nr: SHRINK_STOP
    assert do_shrink_slab(machine.vm, shrinker, 0, GFP_KERNEL, 12) == 0
    assert shrinker.nr_deferred == [250]


def test_reclaim_asks_shrinkers_at_its_own_priority() -> None:
    machine = small()
    scanned: list[int] = []
    shrinker_of(machine, [1 << 20], scanned)
    read_all(machine, machine.open("f", "20 MiB"))
    # (1 << 20 >> 12) * 4 / 2 is 512
    assert scanned[:4] == [128] * 4
    starts = [e.event for e in machine.events() if e.event.NAME == "mm_shrink_slab_start"]
    assert starts[0].text() == (
        "nid: 0 objects to shrink 0 gfp_flags GFP_KERNEL cache items 1048576 delta 512 "
        "total_scan 512 priority 12"
    )


# kswapd and direct reclaim


def test_a_file_larger_than_memory_read_once_stays_above_min_and_is_freed_oldest_first() -> None:
    machine = small()
    zone = machine.zone("DMA")
    file = machine.open("f", "32 MiB")
    begin = machine.open("begin", "1 MiB")
    read_all(machine, begin)
    read_all(machine, file)
    cached = machine.vm.folios.mappings[file.id].i_pages
    there = [index for index in range(file.nr_pages) if cached[index] >= 0]
    # all of the end is there, all of the beginning is shadows, and there is one border
    assert there == list(range(there[0], file.nr_pages))
    assert machine.vm.folios.mappings[begin.id].nrpages == 0
    assert zone.vm_stat[NR_FREE_PAGES] > zone._watermark[0]
    names = [event.event.NAME for event in machine.events()]
    assert names.count("mm_vmscan_kswapd_wake") == names.count("mm_vmscan_kswapd_sleep")
    assert stat(machine, "NR_ACTIVE_FILE") == 0


def test_kswapd_ends_above_high() -> None:
    machine = small()
    read_all(machine, machine.open("f", "32 MiB"))
    while machine.history and not machine.history[-1].name.startswith("kswapd"):
        machine.undo()
    zone = machine.zone("DMA")
    assert zone.vm_stat[NR_FREE_PAGES] > high_wmark_pages(zone)
    machine.undo()
    assert zone.vm_stat[NR_FREE_PAGES] <= high_wmark_pages(zone)


def test_kswapd_gives_up_after_16_failures_until_direct_reclaim_helps() -> None:
    machine = small()
    pgdat, zone = machine.vm.nodes[0], machine.zone("DMA")
    with pytest.raises(PageAllocationFailure):
        take_everything(machine)
    assert pgdat.kswapd_failures == MAX_RECLAIM_RETRIES
    assert allow_direct_reclaim(machine.vm, pgdat)
    wakes = count(machine, "mm_vmscan_kswapd_wake")
    with pytest.raises(PageAllocationFailure):
        machine.alloc_pages(GFP_KERNEL, 3)
    assert count(machine, "mm_vmscan_kswapd_wake") == wakes
    assert zone.vm_stat[NR_FREE_PAGES] < high_wmark_pages(zone)


def test_who_is_killed_does_not_wait_for_kswapd() -> None:
    """Kernel: mm/vmscan.c throttle_direct_reclaim()"""
    machine = small()
    read_all(machine, machine.open("f", "4 MiB"))
    vm, zone = machine.vm, machine.zone("DMA")
    zone._watermark[WMARK_MIN] = 2 * zone.managed_pages
    ac = prepare_alloc_pages(vm, GFP_KERNEL, 0)
    pgdat = throttled_node(vm, ac)
    vm.current.fatal_signal_pending = True
    assert (pgdat, throttled_node(vm, ac)) == (vm.nodes[0], None)


@pytest.mark.parametrize(("killed", "told"), [(False, 0), (True, SWAP_CLUSTER_MAX)])
def test_who_waits_while_too_many_are_isolated_has_found_nothing_unless_killed(
    killed: bool, told: int
) -> None:
    """Kernel: mm/vmscan.c shrink_inactive_list()"""
    machine = small()
    read_all(machine, machine.open("f", "1 MiB"))
    vm, pgdat = machine.vm, machine.vm.nodes[0]
    mod_node_page_state(vm, pgdat, NR_ISOLATED_ANON + 1, 1000)
    vm.current.fatal_signal_pending = killed
    sc = ScanControl(SWAP_CLUSTER_MAX, GFP_KERNEL, 0, 0)
    assert shrink_inactive_list(vm, 32, pgdat.lruvec, sc, LRU_INACTIVE_FILE) == told
    assert machine.events()[-1].event.text().endswith("reason=VMSCAN_THROTTLE_ISOLATED")


def take_everything(machine: Machine) -> None:
    """Pages that nobody can reclaim."""
    while True:
        machine.alloc_pages(GFP_KERNEL)


def count(machine: Machine, name: str) -> int:
    """Events of this name."""
    return sum(name == event.event.NAME for event in machine.events())


def test_a_boost_is_worked_off_without_swapping() -> None:
    machine = Machine("64 MiB", reclaim=True, swap="4 MiB")
    region, file = machine.mmap("heap", "1 MiB"), machine.open("f", "40 MiB")
    for index in range(region.nr_pages):
        machine.touch(region, index)
    read_all(machine, file)
    machine.lru_add_drain_all()
    zone, pgdat = machine.zone("DMA32"), machine.vm.nodes[0]
    zone.watermark_boost = 64
    balance_pgdat(machine.vm, pgdat, 0, 3)
    assert zone.watermark_boost == 0
    # 10240 >> 12 is 2, 10238 >> 11 is 4, then 9 by 9 at priority 10, where a boost stays
    assert 10240 - len(listed(machine, LRU_INACTIVE_FILE)) == 2 + 4 + 7 * 9
    assert machine.vm.folios.swap.nr_swap_pages == machine.vm.folios.swap.total_swap_pages
    assert pgdat.kswapd_failures == 0


def test_a_boost_ends_where_nothing_is_freed() -> None:
    machine = small()
    read_all(machine, machine.open("f", "8 MiB"))
    machine.lru_add_drain_all()
    zone = machine.zone("DMA")
    zone.watermark_boost = 64
    # 2048 >> 12 is 0
    balance_pgdat(machine.vm, machine.vm.nodes[0], 0, 3)
    assert len(listed(machine, LRU_INACTIVE_FILE)) == 2048
    assert (zone.watermark_boost, machine.vm.nodes[0].kswapd_failures) == (0, 1)


def test_direct_reclaim_tries_all_priorities_twice_and_once_more_by_force() -> None:
    machine = small()
    vm = machine.vm
    sc = ScanControl(32, GFP_KERNEL, 3, 0)
    assert do_try_to_free_pages(vm, [machine.zone("DMA")], sc) == 0
    assert (sc.priority, sc.memcg_full_walk, sc.force_deactivate) == (-1, True, False)
    file = machine.open("f", "1 MiB")
    pfns = {machine.read(file, index) for index in (0, 1, 0, 1)}
    held = [machine.read(file, index) for index in range(2, 40)]
    machine.lru_add_drain_all()
    for pfn in (*pfns, *held):
        vm.folios.refcount[pfn] += 1
    sc = ScanControl(32, GFP_KERNEL, 3, 0)
    assert do_try_to_free_pages(vm, [machine.zone("DMA")], sc) == 0
    assert sc.force_deactivate
    assert not listed(machine, LRU_ACTIVE_FILE)


def test_a_request_below_min_reclaims_32_pages_or_more() -> None:
    machine = small()
    read_all(machine, machine.open("f", "32 MiB"))
    begins = [e.event for e in machine.events() if e.event.NAME == "mm_vmscan_direct_reclaim_end"]
    for end in begins:
        assert end.nr_reclaimed >= 32  # type: ignore[union-attr]
    pfn = machine.alloc_pages(GFP_KERNEL, 4)
    assert pfn % 16 == 0


def test_below_half_of_min_a_request_waits_for_kswapd() -> None:
    machine = small()
    vm, pgdat, zone = machine.vm, machine.vm.nodes[0], machine.zone("DMA")
    sized(machine, 0, 0, 100, 0)
    zone.vm_stat[NR_FREE_PAGES] = zone._watermark[0] // 2 + 1
    assert allow_direct_reclaim(vm, pgdat)
    zone.vm_stat[NR_FREE_PAGES] -= 1
    assert pgdat.kswapd_asleep
    assert not allow_direct_reclaim(vm, pgdat)
    # kswapd has to be awake then, and looks no higher than NORMAL
    assert (pgdat.kswapd_asleep, pgdat.kswapd_highest_zoneidx) == (0, 2)


def test_kswapd_gives_up_a_high_order_once_twice_the_block_was_freed() -> None:
    machine = Machine("64 MiB", reclaim=True)
    file = machine.open("f", "50 MiB")
    read_all(machine, file)
    machine.lru_add_drain_all()
    vm, pgdat = machine.vm, machine.vm.nodes[0]
    sc = ScanControl(0, GFP_KERNEL, 3, 4)
    sc.priority = 9
    # 12800 >> 9 is 25, less than compact_gap(4), 32
    kswapd_shrink_node(vm, pgdat, sc)
    assert (sc.nr_reclaimed, sc.order) == (12800 >> 9, 4)
    kswapd_shrink_node(vm, pgdat, sc)
    assert (sc.nr_reclaimed, sc.order) == (25 + (12775 >> 9), 0)


def test_why_tells_of_the_request_and_not_of_who_it_woke() -> None:
    machine = small()
    file = machine.open("f", "32 MiB")
    index = 0
    while not machine.history[-1].daemon:
        machine.read(file, index)
        index += 1
    assert machine.history[-1].name == "kswapd(0)"
    assert machine.why().startswith("__alloc_pages_slowpath(): the fast path found nothing above")
    assert "wakeup_kswapd(): kswapd of node 0 is woken, for order 0" in machine.why()


def test_each_node_of_the_zonelist_is_shrunk_once_a_pass() -> None:
    machine = Machine(("32 MiB", "32 MiB"), cpus=2, reclaim=True)
    file = machine.open("f", "40 MiB")
    for index in range(4096):
        machine.read(file, index, nid=index & 1)
    machine.lru_add_drain_all()
    sc = ScanControl(1 << 20, GFP_KERNEL, 3, 0)
    sc.priority = 6
    vm, since = machine.vm, machine.vm.trace.ring.written
    shrink_zones(vm, vm.nodes[1].node_zonelists[0], sc)
    nids = [
        traced.event.nid  # type: ignore[union-attr]
        for traced in machine.events(since)
        if traced.event.NAME == "mm_vmscan_lru_shrink_inactive"
    ]
    assert nids == [1, 0]
    # 2048 >> 6 of each
    assert sc.nr_reclaimed == 64


def test_reclaim_compaction_is_for_costly_orders_or_later_passes() -> None:
    sc = control(12)
    for order, priority, gfp_mask, answer in (
        (0, 0, GFP_KERNEL, False), (3, 10, GFP_KERNEL, False), (3, 9, GFP_KERNEL, True),
        (4, 12, GFP_KERNEL, True), (4, 12, GFP_KERNEL & ~0x40, False),
    ):  # fmt: skip
        sc.order, sc.priority, sc.gfp_mask = order, priority, gfp_mask
        assert in_reclaim_compaction(sc) == answer


def test_nobody_waits_for_progress_while_little_is_to_be_written() -> None:
    machine = small()
    file = machine.open("f", "1 MiB")
    pgdat = machine.vm.nodes[0]
    for index in range(100):
        machine.write(file, index) if index < 51 else machine.read(file, index)
    machine.lru_add_drain_all()
    assert reclaim_throttle(machine.vm, pgdat, VMSCAN_THROTTLE_NOPROGRESS)
    assert machine.events()[-1].event.text() == (
        "nid=0 usec_timeout=4000 usect_delayed=4000 reason=VMSCAN_THROTTLE_NOPROGRESS"
    )
    machine.drop(file, 0)
    machine.drop(file, 1)
    assert not reclaim_throttle(machine.vm, pgdat, VMSCAN_THROTTLE_NOPROGRESS)


# Swap and dirty folios


def test_without_swap_anonymous_memory_is_not_scanned() -> None:
    machine = small()
    region = machine.mmap("heap", "8 MiB")
    pfns = [machine.touch(region, index) for index in range(region.nr_pages)]
    machine.lru_add_drain_all()
    read_all(machine, machine.open("f", "32 MiB"))
    assert [machine.touch(region, index) for index in range(region.nr_pages)] == pfns
    assert stat(machine, "NR_INACTIVE_ANON") == region.nr_pages


def test_a_page_comes_back_from_swap_and_its_slot_is_free_again() -> None:
    machine = small(swap="32 MiB")
    region = machine.mmap("heap", "24 MiB")
    for index in range(region.nr_pages):
        machine.touch(region, index)
    swap, entries = machine.vm.folios.swap, machine.vm.folios.mappings[region.id].i_pages
    swapped = [index for index in range(region.nr_pages) if xa_is_value(entries[index])]
    assert len(swapped) == swap.total_swap_pages - swap.nr_swap_pages
    # each first look found a young pte (FOLIOREF_KEEP), so the first round freed none
    assert swapped[0] == 0
    pfn = machine.touch(region, 0)
    assert entries[0] == pfn
    assert machine.vm.folios.mapcount[pfn] == 1
    assert stat(machine, "WORKINGSET_REFAULT_ANON") == 1
    assert machine.vm.nodes[0].vm_stat[NR_SWAPCACHE] == 0
    machine.close(region)
    machine.lru_add_drain_all()
    assert swap.nr_swap_pages == swap.total_swap_pages
    machine.validate()


def test_when_swap_is_full_anonymous_memory_stays() -> None:
    machine = small(swap="1 MiB")
    region = machine.mmap("heap", "64 MiB")
    touched = 0
    with contextlib.suppress(PageAllocationFailure):
        while touched < region.nr_pages:
            machine.touch(region, touched)
            touched += 1
    assert machine.vm.folios.swap.nr_swap_pages == 0
    assert touched < region.nr_pages
    machine.validate()


def test_dirty_folios_are_left_to_others_and_go_when_they_are_written() -> None:
    machine = small()
    file = machine.open("f", "32 MiB")
    for index in range(3000):
        machine.write(file, index)
    for index in range(3000, 6000):
        machine.read(file, index)
    names = [operation.name for operation in machine.history]
    assert "write_back()" in names
    assert stat(machine, "NR_VMSCAN_IMMEDIATE") > 0
    assert machine.vm.nodes[0].vm_stat[NR_FILE_DIRTY] == 0
    assert not machine.vm.nodes[0].lruvec.flags & LRUVEC_WAKE_FLUSHERS
    machine.validate()


def test_memory_freed_lazily_goes_with_the_files_unless_it_is_written_to() -> None:
    machine = small()
    region = machine.mmap("heap", "1 MiB")
    pfns = [machine.touch(region, index) for index in range(4)]
    machine.lru_add_drain_all()
    for index in range(3):
        machine.madvise(region, index, "MADV_FREE")
    machine.lru_add_drain_all()
    assert listed(machine, LRU_INACTIVE_FILE) == pfns[2::-1]
    machine.touch(region, 1, write=False)
    machine.touch(region, 2)
    vm, lruvec = machine.vm, machine.vm.nodes[0].lruvec
    vm.folios.young[pfns[2]] = 0
    shrink_inactive_list(vm, 32, lruvec, control(), LRU_INACTIVE_FILE)
    # dropped; looked at once more, as its pte is young; written to: anonymous again, and active
    assert vm.folios.mappings[region.id].i_pages.get(0) is None
    assert listed(machine, LRU_INACTIVE_FILE) == [pfns[1]]
    assert listed(machine, LRU_ACTIVE_ANON) == [pfns[2]]
    assert machine.events()[-1].event.nr_unmap_fail == 1  # type: ignore[union-attr]
    machine.madvise(region, 2, "MADV_COLD")
    machine.lru_add_drain_all()
    assert listed(machine, LRU_INACTIVE_ANON) == [pfns[2], pfns[3]]
    assert vm.folios.flags[pfns[2]] & PG_workingset
    machine.validate()


def test_pages_that_a_file_needs_no_more_leave_no_shadow() -> None:
    machine = small(cpus=2)
    file = machine.open("f", "1 MiB")
    clean, dirty = machine.read(file, 0, cpu=1), machine.write(file, 1)
    entries = machine.vm.folios.mappings[file.id].i_pages
    # it waits in a batch of another CPU, which holds it: all are drained, and then it goes
    machine.madvise(file, 0, "POSIX_FADV_DONTNEED")
    machine.madvise(file, 1, "POSIX_FADV_DONTNEED")
    assert entries == {1: dirty}
    assert machine.vm.folios.flags[dirty] & PG_reclaim
    assert not machine.vm.page_state[clean]
    machine.write_back()
    assert not machine.vm.folios.flags[dirty] & PG_reclaim
    machine.validate()


def test_a_mask_without_io_writes_nothing_to_swap() -> None:
    machine = small(swap="8 MiB")
    region = machine.mmap("heap", "1 MiB")
    for index in range(region.nr_pages):
        machine.touch(region, index)
    machine.lru_add_drain_all()
    vm, zone = machine.vm, machine.zone("DMA")
    for pfn in listed(machine, LRU_INACTIVE_ANON):
        vm.folios.young[pfn] = 0
    sc = ScanControl(32, GFP_NOFS & ~0x40, 3, 0)
    assert do_try_to_free_pages(vm, [zone], sc) == 0
    sc = ScanControl(32, GFP_NOFS, 3, 0)
    assert do_try_to_free_pages(vm, [zone], sc) >= 32
    assert not listed(machine, LRU_ACTIVE_ANON)


# The whole


def busy(machine: Machine) -> None:
    """Files and regions of twice the memory, in a mixed order."""
    file, region = machine.open("f", "16 MiB"), machine.mmap("heap", "16 MiB")
    at = 1
    for index in range(3500):
        machine.touch(region, index)
    for _ in range(5000):
        at = at * 1103515245 + 12345 & 0x7FFFFFFF
        index = (at >> 8) % file.nr_pages * ((at >> 20) % 7) // 7
        which = at >> 4 & 7
        if which < 3:
            machine.touch(region, index)
        elif which < 7:
            machine.read(file, index)
        else:
            machine.write(file, index)


def test_the_same_requests_give_the_same_run() -> None:
    machines = [small(swap="16 MiB", swappiness=100, cpus=2, seed=7) for _ in range(2)]
    for machine in machines:
        busy(machine)
    first, second = machines
    assert state_of(first) == state_of(second)
    assert [e.text() for e in first.events()] == [e.text() for e in second.events()]
    assert stat(first, "NR_VMSCAN_IMMEDIATE") == first.vm.nodes[0].vm_stat[NR_VMSCAN_IMMEDIATE]
    assert stat(first, "NR_VMSCAN_WRITE") > 0
    assert stat(first, "WORKINGSET_RESTORE_FILE") > 0


def test_steps_off_takes_the_same_way() -> None:
    fast, slow = small(swap="16 MiB", steps=False), small(swap="16 MiB")
    busy(fast)
    busy(slow)
    assert state_of(fast) == state_of(slow)


def test_what_a_machine_cannot_have_is_said() -> None:
    for how in ({"swap": "1 MiB"}, {"reclaim": True, "swap": "much"}, {"reclaim": 1},
                {"reclaim": True, "swap": 4096}, {"reclaim": True, "swappiness": 201},
                {"reclaim": True, "swap": "9 TiB"}):  # fmt: skip
        with pytest.raises(BadDescription) as refusal:
            Machine("16 MiB", **how)  # type: ignore[arg-type]
        assert "\n" not in str(refusal.value)


#: Lines of a recorded kernel; it runs the multi-gen LRU, but the events are the same.
RECORDED = """\
mm_vmscan_kswapd_wake: nid=0 order=0
mm_vmscan_kswapd_sleep: nid=0
mm_vmscan_direct_reclaim_begin: order=0 gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO
mm_vmscan_direct_reclaim_end: nr_reclaimed=64
mm_vmscan_lru_isolate: classzone=3 order=0 nr_requested=4096 nr_scanned=148 nr_skipped=0 \
nr_taken=64 lru=inactive_file
mm_vmscan_lru_shrink_inactive: nid=0 nr_scanned=148 nr_reclaimed=61 nr_dirty=0 nr_writeback=0 \
nr_congested=0 nr_immediate=0 nr_activate_anon=0 nr_activate_file=3 nr_ref_keep=0 nr_unmap_fail=0 \
priority=6 flags=RECLAIM_WB_FILE|RECLAIM_WB_ASYNC
mm_lru_insertion: folio=ffffea0000488800 pfn=0x12220 lru=0 flags=Ma bd\x20
mm_lru_insertion: folio=ffffea000050d940 pfn=0x14365 lru=0 flags=Mf b\x20\x20
"""


@pytest.mark.parametrize("line", RECORDED.splitlines())
def test_a_recorded_event_goes_from_text_and_back(line: str) -> None:
    assert event_text(parse_line_event(line)) == line


def test_events_go_through_the_ring_and_their_text() -> None:
    machine = small(swap="4 MiB")
    busy(machine)
    seen = set()
    for event in (traced.event for traced in machine.events()):
        if isinstance(event, READ_FROM_TEXT):
            seen.add(event.NAME)
            again = parse_line_event(event_text(event))
            assert again == event or event.NAME == "mm_vmscan_kswapd_wake"
    assert len(seen) >= 9


def test_an_isolation_event_reads_as_the_kernels() -> None:
    machine = small()
    read_all(machine, machine.open("f", "20 MiB"))
    texts = [e.event.text() for e in machine.events() if e.event.NAME == "mm_vmscan_lru_isolate"]
    assert texts[-1].startswith("classzone=3 order=0 nr_requested=")
    assert texts[-1].endswith("lru=inactive_file")
    shrunk = next(
        e.event for e in machine.events() if e.event.NAME == "mm_vmscan_lru_shrink_inactive"
    )
    assert shrunk.text().startswith("nid=0 nr_scanned=")
    assert shrunk.text().endswith(" flags=RECLAIM_WB_FILE|RECLAIM_WB_ASYNC")
    inserted = next(e.event for e in machine.events() if e.event.NAME == "mm_lru_insertion")
    assert inserted.text().endswith("lru=2 flags= f    ")
