"""The two scanners, direct compaction and kcompactd, each worked by hand from mm/compaction.c."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from movable import START, every_second, fill, movable_machine, told

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine
from memsim.mm.compaction import compact_zone, kcompactd
from memsim.mm.compaction.control import CompactControl
from memsim.mm.compaction.direct import compact_zone_order
from memsim.mm.compaction.free_block import isolate_freepages_block, release_free_list
from memsim.mm.compaction.free_scanner import isolate_freepages
from memsim.mm.compaction.kcompactd import wakeup_kcompactd
from memsim.mm.compaction.migrate_block import isolate_migratepages_block
from memsim.mm.compaction.targets import compaction_alloc, compaction_free
from memsim.mm.migrate import putback_movable_pages
from memsim.mm.mmzone import PG_LRU
from memsim.trace.compaction_events import MmCompactionBegin
from memsim.words.compaction import (
    COMPACT_COMPLETE,
    COMPACT_CONTINUE,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_PRIO_ASYNC,
    COMPACT_PRIO_SYNC_FULL,
    COMPACT_PRIO_SYNC_LIGHT,
    COMPACT_SUCCESS,
    ISOLATE_ASYNC_MIGRATE,
    MIGRATE_ASYNC,
)
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_TRANSHUGE
from memsim.words.mmzone import NULL
from memsim.words.page_flags import NR_ISOLATED_ANON, PG_writeback


def control(machine: Machine, order: int, migrate_pfn: int, free_pfn: int) -> CompactControl:
    """A compaction under way that wants 32 pages."""
    cc = CompactControl(machine.zone(), order, migrate_pfn, free_pfn)
    cc.nr_migratepages = 32
    return cc


# The free scanner


@pytest.mark.parametrize(
    ("stride", "wanted", "isolated", "stopped", "scanned"),
    [
        (1, 32, 32, 63, 63),  # every second page is free: 32 of the first 63
        (1, 600, 256, 512, 512),
        (32, 600, 16, 512, 16),  # every 32nd page is free
        (32, 10, 10, 289, 10),  # the tenth is page 288
    ],
)
def test_a_pageblock_is_scanned_for_free_pages(
    stride: int, wanted: int, isolated: int, stopped: int, scanned: int
) -> None:
    machine, _, _ = every_second(2048)
    cc = control(machine, 9, START, START + 1536)
    cc.nr_migratepages = wanted
    found = isolate_freepages_block(cc, START, START + 512, stride, False)
    assert found == (isolated, START + stopped)
    assert cc.nr_freepages == isolated == len(cc.freepages[0])
    stop = START + stopped
    assert told(machine, 0, "mm_compaction_isolate_freepages") == [
        f"mm_compaction_isolate_freepages: range=(0x1000 ~ {stop:#x}) nr_scanned={scanned} "
        f"nr_taken={isolated}"
    ]
    highest = max(cc.freepages[0])
    assert release_free_list(cc.zone, cc.freepages) == highest
    machine.validate()


def test_strict_isolation_wants_every_page() -> None:
    machine = movable_machine(1024)
    first = machine.alloc_pages(GFP_HIGHUSER_MOVABLE)
    cc = control(machine, -1, START, START + 512)
    assert isolate_freepages_block(cc, first, START + 512, 0, True) == (0, START)
    assert isolate_freepages_block(cc, first + 1, first + 4, 0, True)[0] == 3
    assert cc.freepages[:2] == [[START + 1], [START + 2]]


def test_the_min_watermark_ends_a_scan() -> None:
    """512 are free, 501 are kept; the counter that is asked lags behind by 2."""
    machine, _, _ = every_second(1024)
    machine.zone()._watermark[0] = 500
    cc = control(machine, 9, START, START + 512)
    assert isolate_freepages_block(cc, START, START + 512, 1, False) == (13, START + 26)


def test_the_free_scanner_goes_down_and_looks_at_fewer_pages_where_it_finds_none() -> None:
    """Pageblocks 1 to 3 of four are full. Sync: strides 1, 2, 4. It ends at the other scanner."""
    machine = movable_machine(2048)
    fill(machine, 2048)
    cc = control(machine, -1, START, START + 1536)
    isolate_freepages(cc)
    assert told(machine, 0, "mm_compaction_isolate_freepages") == [
        "mm_compaction_isolate_freepages: range=(0x1600 ~ 0x1800) nr_scanned=512 nr_taken=0",
        "mm_compaction_isolate_freepages: range=(0x1400 ~ 0x1600) nr_scanned=256 nr_taken=0",
        "mm_compaction_isolate_freepages: range=(0x1200 ~ 0x1400) nr_scanned=128 nr_taken=0",
    ]
    assert cc.free_pfn == START
    assert bytes(machine.vm.pageblock_skip[8:12]) == bytes([0, 1, 1, 1])


def test_targets_are_halves_of_the_smallest_isolated_block() -> None:
    """A block of order 3 at START + 8: its first page is taken, upper halves wait in order."""
    machine = movable_machine(1024)
    cc = control(machine, 9, START, START + 512)
    cc.freepages[3].append(START + 8)
    cc.nr_freepages = 8
    machine.zone().page_state[START + 8] = 0
    assert compaction_alloc(cc, 0) == START + 8
    assert cc.freepages[:4] == [[START + 9], [START + 10], [START + 12], []]
    assert compaction_alloc(cc, 1) == START + 10
    assert (cc.nr_freepages, cc.nr_migratepages) == (5, 29)
    compaction_free(cc, START + 8, 0)
    assert cc.freepages[:3] == [[START + 8, START + 9], [], [START + 12]]
    assert (cc.nr_freepages, cc.nr_migratepages) == (6, 30)
    assert told(machine, 0, "mm_page_free")[-1].endswith("order=0")


# The migration scanner


def test_32_pages_are_isolated_at_a_time_the_last_one_first() -> None:
    machine, _, _ = every_second(2048)
    cc = CompactControl(machine.zone(), 9)
    assert isolate_migratepages_block(cc, START, START + 512, 0) == 0
    assert cc.migratepages == list(range(START + 63, START, -2))
    assert (cc.migrate_pfn, cc.nr_migratepages) == (START + 64, 32)
    assert machine.vm.nodes[0].vm_stat[NR_ISOLATED_ANON] == 32
    assert machine.vm.pageblock_skip[8] == 1
    assert not machine.vm.page_state[START + 63] & PG_LRU
    putback_movable_pages(machine.vm, cc.migratepages)
    machine.lru_add_drain_all()
    machine.validate()


def test_a_pageblock_that_is_to_be_finished_is_isolated_whole() -> None:
    machine, _, _ = every_second(2048)
    cc = CompactControl(machine.zone(), 9)
    cc.finish_pageblock = True
    isolate_migratepages_block(cc, START, START + 512, 0)
    assert (cc.migrate_pfn, cc.nr_migratepages) == (START + 512, 256)
    assert machine.zone().compact_cached_migrate_pfn == [START + 1024, START + 1024]


def test_one_page_that_cannot_move_spoils_its_block_for_async_compaction() -> None:
    """Order 4: page 5 is nobody's, so 0 to 4 are put back and the scan goes on at 16."""
    machine = movable_machine(1024)
    region = machine.mmap("region", "1 MiB")
    for index in range(5):
        machine.touch(region, index)
    assert machine.alloc_pages(GFP_HIGHUSER_MOVABLE) == START + 5
    for index in range(5, 40):
        machine.touch(region, index)
    machine.lru_add_drain_all()
    cc = CompactControl(machine.zone(), 4)
    cc.mode, cc.direct_compaction = MIGRATE_ASYNC, True
    isolate_migratepages_block(cc, START, START + 512, 0)
    assert cc.migratepages == list(range(START + 31, START + 15, -1))
    # 6 pages up to the one that spoils it, then a block of 16
    assert told(machine, 0, "mm_compaction_isolate_mig")[-1] == (
        "mm_compaction_isolate_migratepages: range=(0x1000 ~ 0x1020) nr_scanned=22 nr_taken=16"
    )


def test_pages_under_writeback_are_for_sync_compaction_only() -> None:
    machine, _, _ = every_second(1024)
    machine.vm.folios.flags[START + 1] |= PG_writeback
    cc = CompactControl(machine.zone(), 9)
    isolate_migratepages_block(cc, START, START + 512, ISOLATE_ASYNC_MIGRATE)
    assert cc.migratepages[-1] == START + 3
    putback_movable_pages(machine.vm, cc.migratepages)
    machine.lru_add_drain_all()
    cc = CompactControl(machine.zone(), 9)
    cc.ignore_skip_hint = True
    isolate_migratepages_block(cc, START, START + 512, 0)
    assert cc.migratepages[-1] == START + 1


def test_a_skipped_pageblock_is_left_at_once() -> None:
    machine, _, _ = every_second(1024)
    machine.vm.pageblock_skip[8] = 1
    cc = CompactControl(machine.zone(), 9)
    isolate_migratepages_block(cc, START, START + 512, 0)
    assert (cc.migrate_pfn, cc.nr_migratepages) == (START + 512, 0)
    cc.ignore_skip_hint = True
    isolate_migratepages_block(cc, START, START + 512, 0)
    assert cc.nr_migratepages == 32


# Whole compactions


def test_a_huge_page_is_made_of_every_second_page() -> None:
    """The first pageblock is emptied, and its block captured as its last page is freed."""
    machine, region, indexes = every_second(4096)
    before = machine.vm.trace.ring.written
    with pytest.raises(PageAllocationFailure):
        machine.alloc_pages(GFP_TRANSHUGE & ~0x40, 9)  # without __GFP_IO nobody compacts
    assert machine.alloc_pages(GFP_TRANSHUGE, 9) == START
    machine.validate()
    ends = told(machine, before, "mm_compaction_end")
    assert len(ends) == 1
    assert ends[0].endswith("zone_end=0x2000, mode=async status=success")
    pages = machine.vm.folios.mappings[region.id].i_pages
    assert sorted(pages) == sorted(indexes.values())
    assert all(pfn >= START + 512 for pfn in pages.values())


def test_the_scanners_meet() -> None:
    """Pageblock 0 fits into 3, half of 1 into 2: the free scanner never enters the next pageblock.

    The rest finds no target, and both scanners are in pageblock 2.
    """
    machine, _, _ = every_second(2048)
    machine.compact_memory()
    machine.validate()
    assert machine.nr_free() == [448, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0]
    assert told(machine, 0, "mm_compaction_end")[-1] == (
        "mm_compaction_end: zone_start=0x1000 migrate_pfn=0x1400 free_pfn=0x143f "
        "zone_end=0x1800, mode=sync status=complete"
    )
    zone = machine.zone()
    assert zone.compact_cached_migrate_pfn == [START, START]
    assert zone.compact_cached_free_pfn == START + 1536


def test_a_zone_that_begins_at_pfn_0_is_first_found_compacted() -> None:
    """compact_cached_free_pfn is 0 at boot, which is inside such a zone: the scanners have met."""
    machine, _, _ = every_second(4096, start_pfn=0)
    zone = machine.zone()
    found = [compact_zone_order(zone, 9, GFP_TRANSHUGE, COMPACT_PRIO_ASYNC, 0, 2) for _ in range(2)]
    assert found[0] == (COMPACT_COMPLETE, NULL)
    assert found[1][0] == COMPACT_SUCCESS


def test_full_priority_does_the_whole_zone_whatever_is_marked() -> None:
    machine, _, _ = every_second(4096)
    vm, zone = machine.vm, machine.zone()
    vm.pageblock_skip[8:16] = bytes([1] * 8)
    light = compact_zone_order(zone, 9, GFP_TRANSHUGE, COMPACT_PRIO_SYNC_LIGHT, 0, 2)
    assert light == (COMPACT_PARTIAL_SKIPPED, NULL)
    assert zone.compact_blockskip_flush == 1
    full = compact_zone_order(zone, 9, GFP_TRANSHUGE, COMPACT_PRIO_SYNC_FULL, 0, 2)
    assert full == (COMPACT_SUCCESS, START)


def test_failures_are_put_off_and_the_next_request_skips() -> None:
    """Every page is in use and unmovable but one in eight: nothing can be made."""
    machine = movable_machine(2048)
    pfns = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(2048)]
    machine.zone().vm.sysctl_extfrag_threshold = 0
    for pfn in pfns[::4]:
        machine.free_pages(pfn)
    for _ in range(2):
        with pytest.raises(PageAllocationFailure):
            machine.alloc_pages(GFP_KERNEL, 6)
    lines = told(machine, 0, "mm_compaction_defer")
    assert lines[0].startswith("mm_compaction_defer_compaction: node=0 zone=Normal   order=6")
    assert any(line.startswith("mm_compaction_deferred") for line in lines)


def test_kcompactd_makes_the_block_it_is_woken_for() -> None:
    machine, _, _ = every_second(4096)
    vm = machine.vm
    assert not wakeup_kcompactd(vm, vm.nodes[0], 0, 2)
    assert wakeup_kcompactd(vm, vm.nodes[0], 9, 2)
    assert vm.nodes[0].kcompactd_max_order == 9
    assert machine.kcompactd() == 500
    machine.validate()
    assert machine.nr_free()[9] == 1
    assert vm.nodes[0].kcompactd_max_order == 0
    names = [line.split(":")[0] for line in told(machine, 0, "mm_compaction")]
    assert names[1] == "mm_compaction_wakeup_kcompactd"
    assert names[-2:] == ["mm_compaction_defer_reset", "mm_compaction_kcompactd_sleep"]
    assert not wakeup_kcompactd(vm, vm.nodes[0], 9, 2)


def test_a_zone_begun_at_its_start_makes_kcompactd_begin_there_in_those_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One compact_control for all zones: whole_zone stays set. Kernel: kcompactd_do_work()"""
    machine = Machine("64 MiB", reclaim=True)
    for module in (kcompactd, compact_zone):
        monkeypatch.setattr(module, "compaction_suit_allocation_order", lambda *_: COMPACT_CONTINUE)
    dma, dma32 = machine.zone("DMA"), machine.zone("DMA32")
    dma.compact_init_migrate_pfn = dma.zone_start_pfn
    cached = dma32.zone_start_pfn + 4 * 512
    dma32.compact_cached_migrate_pfn[:] = [cached, cached]
    wakeup_kcompactd(machine.vm, machine.vm.nodes[0], 9, dma32.idx)
    kcompactd.kcompactd_do_work(machine.vm, machine.vm.nodes[0])
    begins = [e.event for e in machine.events() if isinstance(e.event, MmCompactionBegin)]
    starts = [(begin.zone_start, begin.migrate_pfn) for begin in begins]
    assert starts == [(zone.zone_start_pfn, zone.zone_start_pfn) for zone in (dma, dma32)]


def test_kcompactd_runs_behind_what_woke_it() -> None:
    machine, _, _ = every_second(4096)
    machine._do("wake", 0, lambda: wakeup_kcompactd(machine.vm, machine.vm.nodes[0], 9, 2))
    assert [operation.name for operation in machine.history][-2:] == ["wake", "kcompactd(0)"]
    assert machine.nr_free()[9] == 1
    machine.undo()
    assert machine.vm.nodes[0].kcompactd_max_order == 9
    assert machine.nr_free()[9] == 0
    machine.validate()


def test_kcompactd_compacts_unasked_until_the_score_is_low_enough() -> None:
    """A score of 100 is above 90: down to 80, so a fifth of what is free lies in huge pages."""
    machine, _, _ = every_second(8192)
    machine.kcompactd()
    machine.validate()
    nr_free = machine.nr_free()
    assert 4 * 512 > (nr_free[9] << 9) + (nr_free[10] << 10) >= 4096 // 5
    assert told(machine, 0, "mm_compaction_end")[-1].endswith("mode=sync status=success")
    machine.vm.sysctl_compaction_proactiveness = 0
    before = machine.vm.trace.ring.written
    machine.kcompactd()
    assert told(machine, before, "mm_compaction") == ["mm_compaction_kcompactd_sleep: nid=0"]


def test_no_progress_makes_kcompactd_wait_64_times_as_long() -> None:
    machine = movable_machine(2048)
    pfns = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(2048)]
    for pfn in pfns[::2]:
        machine.free_pages(pfn)
    assert machine.kcompactd() == 500 << 6


# Bad input


def test_a_machine_whose_pages_cannot_move_says_so() -> None:
    machine = Machine("16 MiB")
    for call in (machine.compact_memory, machine.kcompactd):
        with pytest.raises(BadRequest, match="no reclaim=True"):
            call()
    machine = Machine("16 MiB", reclaim=True)
    for nid in (-1, 1, "0"):
        with pytest.raises(BadRequest, match="nid="):
            machine.kcompactd(nid)  # type: ignore[arg-type]


# Back and forth


@pytest.mark.alone
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_whatever_happens_invariants_hold_and_undo_leads_back(data: st.DataObject) -> None:
    """Regions, files, raw pages, large requests and compaction in any order, on two CPUs."""
    machine = Machine("16 MiB", cpus=2, cma="4 MiB", reclaim=True)
    region, file = machine.mmap("region", "64 MiB"), machine.open("file", "64 MiB")
    start, raw = machine.snapshot(), []
    fill_up = data.draw(st.integers(0, 3500))
    for index in range(fill_up):
        machine.touch(region, index, cpu=index & 1)
    for index in range(0, fill_up, data.draw(st.integers(1, 5))):
        machine.drop(region, index)
    for _ in range(data.draw(st.integers(1, 8))):
        action, number = data.draw(st.integers(0, 7)), data.draw(st.integers(0, 400))
        cpu = number & 1
        try:
            if action == 0:
                machine.touch(region, number, cpu=cpu)
            elif action == 1:
                machine.read(file, number, cpu=cpu)
            elif action == 2:
                raw.append(machine.alloc_pages(GFP_KERNEL, number % 10, cpu=cpu))
            elif action == 3 and raw:
                machine.free_pages(raw.pop(), cpu=cpu)
            elif action == 4:
                machine.compact_memory(cpu=cpu)
            elif action == 5:
                machine.kcompactd(cpu=cpu)
            elif action == 6:
                pfn = machine.cma_alloc(1 + number, number % 4, cpu=cpu)
                machine.validate()
                machine.cma_release(pfn, 1 + number, cpu=cpu)
            else:
                machine.alloc_pages(GFP_TRANSHUGE, 9, cpu=cpu)
        except PageAllocationFailure:
            pass
        machine.validate()
    end = machine.snapshot()
    done = len(machine.history) - 2
    for _ in range(done):
        machine.undo()
    machine.validate()
    assert machine.snapshot() == start
    for _ in range(done):
        machine.redo()
    machine.validate()
    assert machine.snapshot() == end
