"""Compaction's short searches, against lists turned by hand as mm/compaction.c turns them."""

from __future__ import annotations

from memsim import GFP_HIGHUSER_MOVABLE, Machine
from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.fast_search import (
    TargetSearch,
    fast_find_migrateblock,
    fast_isolate_freepages,
    freelist_scan_limit,
    move_freelist_head,
    move_freelist_tail,
    next_search_order,
    search_free_lists,
)
from memsim.mm.mmzone import Zone, list_pages
from memsim.words.compaction import MIGRATE_ASYNC
from memsim.words.mmzone import MIGRATE_MOVABLE, MIGRATE_UNMOVABLE


def zone_with_order_4(nr_pages: int, free: list[int]) -> Zone:
    """nr_pages pages in use, but for these blocks of order 4, the last named at the head."""
    machine = Machine.of_pages(nr_pages)
    for _ in range(nr_pages >> 4):
        machine.alloc_pages(GFP_HIGHUSER_MOVABLE, 4)
    for page in free:
        machine.free_pages(page)
    return machine.zone()


def order_4(zone: Zone) -> list[int]:
    """The MOVABLE list of order 4."""
    return list_pages(zone, zone.free_area[4].free_list[MIGRATE_MOVABLE])


def test_move_freelist_head() -> None:
    """[a b c d], c: what stands in front of c goes to the tail, c comes first."""
    zone = zone_with_order_4(256, [96, 64, 32, 0])
    assert order_4(zone) == [0, 32, 64, 96]
    move_freelist_head(zone, 4, 64)
    assert order_4(zone) == [64, 96, 0, 32]
    move_freelist_head(zone, 4, 64)
    assert order_4(zone) == [64, 96, 0, 32]


def test_move_freelist_tail() -> None:
    """[a b c d], b: b and what stands in front of it go to the tail; the last one stays."""
    zone = zone_with_order_4(256, [96, 64, 32, 0])
    move_freelist_tail(zone, 4, 32)
    assert order_4(zone) == [64, 96, 0, 32]
    move_freelist_tail(zone, 4, 32)
    assert order_4(zone) == [64, 96, 0, 32]


def test_scan_limit_halves_with_each_failure() -> None:
    """COMPACT_CLUSTER_MAX is 32; one is always left."""
    zone = zone_with_order_4(256, [])
    cc = CompactControl(zone, 9, 0, 0)
    limits = []
    for cc.fast_search_fail in (0, 1, 2, 5, 6, 99):
        limits.append(freelist_scan_limit(cc))
    assert limits == [33, 17, 9, 2, 1, 1]


def test_orders_are_searched_round_robin() -> None:
    """From search_order 3 of order 5: 2, 1, 0, 4, then -1, and the next search starts at 2."""
    cc = CompactControl(zone_with_order_4(256, []), 5, 0, 0)
    cc.search_order = 3
    visited, order = [], 3
    while order >= 0:
        order = next_search_order(cc, order)
        visited.append(order)
    assert visited == [2, 1, 0, 4, -1]
    assert cc.search_order == 2


def test_fast_isolation_takes_the_first_high_block_from_the_tail() -> None:
    """4096 pages, scanners at both ends: the top quarter starts at 2560. The tail is searched
    first; the block found is isolated, and what stood in front of it moved behind."""
    zone = zone_with_order_4(4096, [3072, 1024, 3584, 2048])
    assert order_4(zone) == [2048, 3584, 1024, 3072]
    cc = CompactControl(zone, 9, 0, 3584)
    cc.nr_migratepages = 32
    assert search_free_lists(cc, TargetSearch(cc)) == 3072
    assert order_4(zone) == [2048, 3584, 1024]
    assert (cc.search_order, cc.nr_freepages) == (4, 16)


def test_fast_isolation_settles_for_the_upper_half() -> None:
    """None in the top quarter (2688 up): the highest from 1792 up is taken, and comes first."""
    zone = zone_with_order_4(4096, [1024, 2048, 1920, 256])
    assert order_4(zone) == [256, 1920, 2048, 1024]
    cc = CompactControl(zone, 9, 0, 3584)
    cc.nr_migratepages = 32
    assert search_free_lists(cc, TargetSearch(cc)) == 2048
    assert order_4(zone) == [1024, 256, 1920]


def test_fast_isolation_that_fails_counts() -> None:
    """Nothing in the upper half: no block, one failure more, the list as it was."""
    zone = zone_with_order_4(4096, [64, 1024])
    cc = CompactControl(zone, 9, 0, 3584)
    cc.direct_compaction, cc.mode = True, MIGRATE_ASYNC
    cc.nr_migratepages = 32
    fast_isolate_freepages(cc)
    assert (cc.fast_search_fail, cc.nr_freepages) == (1, 0)
    assert order_4(zone) == [1024, 64]


def test_a_source_is_sought_low_and_skipped_ones_are_passed() -> None:
    """From pfn 512 of 512 to 15872, not the zone's start, an eighth is looked at: below 2048."""
    zone = zone_with_order_4(16384, [6144, 1536, 1040])
    assert order_4(zone) == [1040, 1536, 6144]
    cc = CompactControl(zone, 9, 512, 15872)
    assert fast_find_migrateblock(cc) == 1024
    assert order_4(zone) == [1536, 6144, 1040]
    assert cc.fast_start_pfn == 1040
    zone.vm.pageblock_skip[2] = 1
    zone.vm.pageblock_skip[3] = 1
    assert fast_find_migrateblock(cc) == 1040
    assert (cc.fast_search_fail, cc.migrate_pfn, cc.fast_start_pfn) == (1, 1040, -1)
    assert order_4(zone) == [1536, 6144, 1040]


def test_no_source_is_sought() -> None:
    """For small orders, in the middle of a pageblock, or for an unmovable request of one's own."""
    zone = zone_with_order_4(8192, [1040])
    assert fast_find_migrateblock(CompactControl(zone, 3, 512, 7680)) == 512
    assert fast_find_migrateblock(CompactControl(zone, 9, 520, 7680)) == 520
    cc = CompactControl(zone, 9, 512, 7680)
    cc.direct_compaction, cc.migratetype = True, MIGRATE_UNMOVABLE
    assert fast_find_migrateblock(cc) == 512
    assert order_4(zone) == [1040]
