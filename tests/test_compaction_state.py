"""When compaction is worth while, how it is put off, and which pageblocks it skips: by hand."""

from __future__ import annotations

import pytest
from movable import START, every_second, fill, movable_machine, told

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine
from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.defer import (
    compaction_defer_reset,
    compaction_deferred,
    compaction_restarting,
    defer_compaction,
)
from memsim.mm.compaction.finished import (
    fragmentation_score_node,
    fragmentation_score_wmark,
    fragmentation_score_zone,
)
from memsim.mm.compaction.skip import (
    reset_isolation_suitable,
    update_cached_migrate,
)
from memsim.mm.compaction.skip import (
    test_and_set_skip as mark_skip,
)
from memsim.mm.compaction.suitable import (
    compaction_suitable,
    compaction_zonelist_suitable,
)
from memsim.mm.page_alloc.zone_walk import prepare_alloc_pages
from memsim.trace.compaction_events import (
    COMPACTION_EVENT_CLASSES,
    COMPACTION_EVENTS,
    MmCompactionBegin,
    MmCompactionEnd,
    MmCompactionFinished,
    MmCompactionIsolateFreepages,
    MmCompactionKcompactdSleep,
    MmMigratePages,
    MmMigratePagesStart,
)
from memsim.trace.trace import Trace
from memsim.words.compaction import (
    COMPACT_CONTINUE,
    COMPACT_PARTIAL_SKIPPED,
    COMPACTION_STATUS,
    MIGRATE_ASYNC,
    MIGRATE_SYNC_LIGHT,
    MR_COMPACTION,
)


def test_each_failure_doubles_what_is_skipped_up_to_64() -> None:
    zone = movable_machine(1024).zone()
    skipped = []
    for _ in range(8):
        defer_compaction(zone, 5)
        skipped.append(sum(compaction_deferred(zone, 5) for _ in range(200)))
    assert skipped == [1, 3, 7, 15, 31, 63, 63, 63]
    assert (zone.compact_defer_shift, zone.compact_considered) == (6, 64)
    assert compaction_restarting(zone, 5)


def test_smaller_orders_than_the_one_that_failed_are_not_put_off() -> None:
    zone = movable_machine(1024).zone()
    compaction_defer_reset(zone, 8, False)
    assert zone.compact_order_failed == 9
    defer_compaction(zone, 7)
    assert zone.compact_order_failed == 7
    assert not compaction_deferred(zone, 6)
    assert not compaction_restarting(zone, 6)
    assert compaction_deferred(zone, 7)


def test_success_resets_the_wait_only_when_the_block_was_really_had() -> None:
    machine = movable_machine(1024)
    zone = machine.zone()
    defer_compaction(zone, 4)
    compaction_defer_reset(zone, 4, False)
    assert (zone.compact_defer_shift, zone.compact_order_failed) == (1, 5)
    compaction_defer_reset(zone, 4, True)
    assert (zone.compact_defer_shift, zone.compact_considered) == (0, 0)
    assert told(machine, 0, "mm_compaction_defer") == [
        "mm_compaction_defer_compaction: node=0 zone=Normal   order=4 order_failed=0 consider=0 "
        "limit=2",
        "mm_compaction_defer_reset: node=0 zone=Normal   order=4 order_failed=5 consider=0 limit=2",
        "mm_compaction_defer_reset: node=0 zone=Normal   order=4 order_failed=5 consider=0 limit=1",
    ]


def test_compaction_needs_the_watermark_and_twice_the_block() -> None:
    """Order 3 asks min + 16, order 4 low + 32; one page more than that suits."""
    machine = movable_machine(1024)
    zone = machine.zone()
    taken = [machine.alloc_pages(GFP_KERNEL) for _ in range(1024 - 132)]
    zone._watermark[:] = [116, 101, 130, 140]
    assert not compaction_suitable(zone, 3, 2)
    zone._watermark[0] = 115
    assert compaction_suitable(zone, 3, 2)
    zone.vm.sysctl_extfrag_threshold = 0
    zone._watermark[1] = 100
    assert not compaction_suitable(zone, 4, 2)
    for pfn in taken[::2]:
        machine.free_pages(pfn)
    assert told(machine, 0, "mm_compaction_suitable")[-1].endswith("order=4 ret=skipped")


@pytest.mark.parametrize(("threshold", "suits"), [(997, True), (998, False), (1000, False)])
def test_costly_orders_ask_whether_fragmentation_is_to_blame(threshold: int, suits: bool) -> None:
    """Half of 4096 pages free, none beside another: an index of 998 for order 9."""
    machine, _, _ = every_second(4096)
    assert machine.extfrag_index(9) == 998
    machine.vm.sysctl_extfrag_threshold = threshold
    assert compaction_suitable(machine.zone(), 9, 2) is suits
    assert compaction_suitable(machine.zone(), 3, 2)
    result = "continue" if suits else "not_suitable_zone"
    assert told(machine, 0, "mm_compaction_suitable")[0] == (
        f"mm_compaction_suitable: node=0 zone=Normal   order=9 ret={result}"
    )


def test_of_what_could_be_reclaimed_an_order_th_counts() -> None:
    """Nothing is free; 64 pages are needed beyond a min of 0 for order 5: 65 of 325."""
    machine = movable_machine(1024)
    fill(machine, 1024)
    zone = machine.zone()
    ac = prepare_alloc_pages(machine.vm, GFP_KERNEL, 0)
    assert not compaction_zonelist_suitable(ac, 5, {zone.id: 324})
    assert compaction_zonelist_suitable(ac, 5, {zone.id: 325})


def test_the_fragmentation_score_is_what_is_free_below_a_huge_page() -> None:
    machine = movable_machine(2048)
    assert fragmentation_score_zone(machine.zone()) == 0
    machine, _, _ = every_second(2048)
    assert fragmentation_score_zone(machine.zone()) == 100
    # 2048 pages of 2048, and the one that the kernel adds
    assert fragmentation_score_node(machine.vm.nodes[0]) == 2048 * 100 // 2049
    marks = []
    for machine.vm.sysctl_compaction_proactiveness in (0, 20, 90, 100):
        vm = machine.vm
        marks.append((fragmentation_score_wmark(vm, True), fragmentation_score_wmark(vm, False)))
    assert marks == [(100, 100), (80, 90), (10, 20), (5, 15)]


def test_a_pageblock_is_marked_once_and_not_when_marks_are_ignored() -> None:
    zone = movable_machine(2048).zone()
    cc = CompactControl(zone, 9)
    assert not mark_skip(cc, START)
    assert mark_skip(cc, START + 511)
    cc.ignore_skip_hint = True
    assert not mark_skip(cc, START)
    cc.ignore_skip_hint, cc.no_set_skip_hint = False, True
    assert not mark_skip(cc, START + 512)
    assert zone.vm.pageblock_skip[9] == 0


def test_async_compaction_moves_only_its_own_starting_point() -> None:
    """Given the end of a pageblock, the kernel goes on behind the next one."""
    zone = movable_machine(4096).zone()
    cc = CompactControl(zone, 9)
    cc.mode = MIGRATE_ASYNC
    update_cached_migrate(cc, START + 512)
    assert zone.compact_cached_migrate_pfn == [START + 1024, 0]
    cc.mode = MIGRATE_SYNC_LIGHT
    update_cached_migrate(cc, START)
    assert zone.compact_cached_migrate_pfn == [START + 1024, START + 512]


def test_marks_are_forgotten_where_there_is_something_to_move_or_to_move_to() -> None:
    """Pageblocks: 0 on no LRU list, 1 on one, 2 free in part, 3 on none."""
    machine = movable_machine(2048)
    for _ in range(512):
        machine.alloc_pages(GFP_HIGHUSER_MOVABLE)
    fill(machine, 512)
    more = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(1024)]
    machine.free_pages(more[8])
    zone, vm = machine.zone(), machine.vm
    assert (more[8], more[-1]) == (START + 1032, START + 2047)
    vm.pageblock_skip[8:12] = bytes([1, 1, 1, 1])
    reset_isolation_suitable(vm.nodes[0])
    assert bytes(vm.pageblock_skip[8:12]) == bytes([1, 1, 1, 1])
    zone.compact_blockskip_flush = 1
    reset_isolation_suitable(vm.nodes[0])
    assert bytes(vm.pageblock_skip[8:12]) == bytes([1, 0, 0, 1])
    assert zone.compact_cached_migrate_pfn == [START + 512] * 2
    assert zone.compact_init_migrate_pfn == START + 512
    assert zone.compact_cached_free_pfn == zone.compact_init_free_pfn == START + 1535
    assert zone.compact_blockskip_flush == 0


def test_events_read_as_a_recorded_kernel_prints_them() -> None:
    """Lines of recordings made under memory pressure."""
    lines = [
        (
            MmCompactionBegin(0x1000, 0x2C00, 0x27E00, 0x27FDD, 1),
            "zone_start=0x1000 migrate_pfn=0x2c00 free_pfn=0x27e00 zone_end=0x27fdd, mode=sync",
        ),
        (
            MmCompactionEnd(0x1000, 0xE200, 0xE200, 0x27FDD, 1, COMPACT_PARTIAL_SKIPPED),
            "zone_start=0x1000 migrate_pfn=0xe200 free_pfn=0xe200 zone_end=0x27fdd, mode=sync "
            "status=partial_skipped",
        ),
        (
            MmCompactionFinished(0, 1, -1, COMPACT_CONTINUE),
            "node=0 zone=DMA32    order=-1 ret=continue",
        ),
        (
            MmCompactionIsolateFreepages(0x26C00, 0x26E00, 256, 0),
            "range=(0x26c00 ~ 0x26e00) nr_scanned=256 nr_taken=0",
        ),
        (
            MmMigratePagesStart(MIGRATE_SYNC_LIGHT, MR_COMPACTION),
            "mode=MIGRATE_SYNC_LIGHT reason=compaction",
        ),
        (MmCompactionKcompactdSleep(0), "nid=0"),
    ]
    assert [event.text() for event, _ in lines] == [text for _, text in lines]
    assert len(COMPACTION_STATUS) == 9


def test_every_event_comes_back_from_its_record() -> None:
    trace = Trace(capacity=64)
    trace.number_of("area")
    for number in range(COMPACTION_EVENTS, COMPACTION_EVENTS + len(COMPACTION_EVENT_CLASSES)):
        trace.emit(number, 1, 2, 3, 4, 1, 1)
    got = [traced.event for traced in trace.events()]
    assert [type(event) for event in got] == list(COMPACTION_EVENT_CLASSES)
    assert all(event.text() for event in got)
    moved = MmMigratePages(1 << 20, 3, 512, 0, 7, 9, 2, 6)
    trace.emit(COMPACTION_EVENTS + COMPACTION_EVENT_CLASSES.index(MmMigratePages), *moved.record())
    assert [traced.event for traced in trace.events()][-1] == moved


def test_what_compaction_keeps_goes_into_a_snapshot_and_back() -> None:
    machine, _, _ = every_second(2048)
    machine.compact_memory()
    again = Machine.from_snapshot(machine.snapshot()).zone()
    assert again.compact_cached_migrate_pfn == [START, START]
    assert again.compact_cached_free_pfn == START + 1536
