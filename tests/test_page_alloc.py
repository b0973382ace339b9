"""Functions of mm/page_alloc that no capture drives: each against a case worked by hand.

The expected numbers follow from the kernel functions named; none is computed by memsim's own code.
"""

from __future__ import annotations

import pytest

from memsim import (
    GFP_ATOMIC,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_NOWAIT,
    Machine,
    PageAllocationFailure,
)
from memsim.mm.mmzone import CaptureControl, Vm, Zone, list_pages
from memsim.mm.page_alloc import (
    alloc,
    free,
    isolate,
    pageblock,
    pcp,
    setup,
    watermark,
    zone_walk,
)
from memsim.mm.page_alloc.buddy import _free_one_page, split_large_buddy
from memsim.mm.page_alloc.highatomic import (
    reserve_highatomic_pageblock,
    unreserve_highatomic_pageblock,
)
from memsim.words.alloc_flags import (
    ALLOC_CMA,
    ALLOC_CPUSET,
    ALLOC_HIGHATOMIC,
    ALLOC_KSWAPD,
    ALLOC_MIN_RESERVE,
    ALLOC_NO_WATERMARKS,
    ALLOC_NON_BLOCK,
    ALLOC_WMARK_MIN,
)
from memsim.words.gfp import (
    __GFP_COMP,
    __GFP_DIRECT_RECLAIM,
    __GFP_HIGH,
    __GFP_MEMALLOC,
    __GFP_NOFAIL,
    __GFP_NOMEMALLOC,
    __GFP_NOWARN,
)
from memsim.words.mmzone import (
    FPI_NONE,
    FPI_TO_TAIL,
    MIGRATE_HIGHATOMIC,
    MIGRATE_MOVABLE,
    MIGRATE_UNMOVABLE,
    NR_FREE_PAGES,
    NULL,
    ZONE_NORMAL,
)

MOVABLE = GFP_HIGHUSER_MOVABLE
NOFAIL = GFP_KERNEL | __GFP_NOFAIL


def zone_of(machine: Machine) -> Zone:
    """The only zone with pages."""
    return machine.zone()


def free_list(zone: Zone, order: int, migratetype: int = MIGRATE_MOVABLE) -> list[int]:
    """The free blocks of one order and type, head first."""
    return list_pages(zone, zone.free_area[order].free_list[migratetype])


def small(nr_pages: int, min_pages: int = 0) -> tuple[Machine, Zone]:
    """One zone without pcp lists and drift; min, low and high are min_pages."""
    machine = Machine.of_pages(nr_pages)
    zone = zone_of(machine)
    zone._watermark[:] = [min_pages] * 4
    zone.per_cpu_zonestats[0].stat_threshold = 0
    return machine, zone


# Who may use reserves. Kernel: gfp_to_alloc_flags(), __gfp_pfmemalloc_flags()


@pytest.mark.parametrize(
    ("gfp_mask", "order", "expected"),
    [
        (GFP_KERNEL, 0, ALLOC_WMARK_MIN | ALLOC_CPUSET | ALLOC_KSWAPD),
        (GFP_NOWAIT, 3, ALLOC_CPUSET | ALLOC_KSWAPD | ALLOC_NON_BLOCK),
        (GFP_ATOMIC, 0, ALLOC_KSWAPD | ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE),
        (GFP_ATOMIC, 1, ALLOC_KSWAPD | ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE | ALLOC_HIGHATOMIC),
        (GFP_ATOMIC | __GFP_NOMEMALLOC, 1, ALLOC_KSWAPD | ALLOC_MIN_RESERVE),
        (GFP_KERNEL | __GFP_HIGH, 1, ALLOC_CPUSET | ALLOC_KSWAPD | ALLOC_MIN_RESERVE),
    ],
)
def test_gfp_to_alloc_flags(gfp_mask: int, order: int, expected: int) -> None:
    """Non-blocking requests get ALLOC_NON_BLOCK, with __GFP_HIGH above order 0 HIGHATOMIC too."""
    machine = Machine.of_pages(16)
    assert zone_walk.gfp_to_alloc_flags(machine.vm, gfp_mask, order) == expected


def test_gfp_to_alloc_flags_with_cma() -> None:
    """With CONFIG_CMA only movable requests may use CMA areas."""
    vm = Machine("64 MiB", cma="2 MiB").vm
    assert zone_walk.gfp_to_alloc_flags(vm, MOVABLE, 0) & ALLOC_CMA
    assert not zone_walk.gfp_to_alloc_flags(vm, GFP_KERNEL, 0) & ALLOC_CMA


def test_gfp_pfmemalloc_flags() -> None:
    """__GFP_MEMALLOC needs no watermark, unless __GFP_NOMEMALLOC forbids."""
    asked = (GFP_KERNEL, GFP_KERNEL | __GFP_MEMALLOC, __GFP_MEMALLOC | __GFP_NOMEMALLOC)
    vm = Machine("64 MiB").vm
    assert [zone_walk._gfp_pfmemalloc_flags(vm, g) for g in asked] == [0, ALLOC_NO_WATERMARKS, 0]


@pytest.mark.parametrize(
    ("gfp_mask", "left"),
    [
        (GFP_KERNEL, 16),
        (GFP_KERNEL | __GFP_HIGH, 8),
        (GFP_ATOMIC, 6),
        (GFP_KERNEL | __GFP_MEMALLOC, 0),
        (NOFAIL, 8),
        (GFP_NOWAIT, 16),
    ],
)
def test_slow_path_stops_at_the_caller_s_reserve(gfp_mask: int, left: int) -> None:
    """min is 16: an order-0 request fails at free <= 16, 8, 6 (16/2 less a quarter) or 0."""
    machine, zone = small(64, 16)
    for _ in range(64 - left):
        machine.alloc_pages(gfp_mask)
    assert zone.vm_stat[NR_FREE_PAGES] == left
    with pytest.raises(PageAllocationFailure):
        machine.alloc_pages(gfp_mask)


def test_failure_prints_what_the_kernel_prints() -> None:
    """The first line of warn_alloc(), the zone's line of free blocks; nothing for __GFP_NOWARN."""
    machine, _ = small(16, 16)
    gfp_mask = GFP_KERNEL | __GFP_COMP
    with pytest.raises(PageAllocationFailure, match="order:2, GFP_KERNEL") as failure:
        machine.alloc_pages(gfp_mask, 2)
    lines = failure.value.report.splitlines()
    assert lines[0] == (
        "memsim: page allocation failure: order:2, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), "
        "nodemask=(null),cpuset=/,mems_allowed=0"
    )
    assert (
        "Node 0 Normal: 0*4kB 0*8kB 0*16kB 0*32kB 1*64kB (M) 0*128kB 0*256kB 0*512kB 0*1024kB "
        "0*2048kB 0*4096kB = 64kB"
    ) in lines
    assert lines[-3:] == ["0 pages HighMem/MovableOnly", "0 pages reserved", "0 pages hwpoisoned"]
    with pytest.raises(PageAllocationFailure) as failure:
        machine.alloc_pages(gfp_mask | __GFP_NOWARN, 2)
    assert failure.value.report == ""


# Split and exact. Kernel: split_page(), make_alloc_exact(), free_pages_exact()


def test_split_page_makes_single_pages() -> None:
    """After split_page() each page is freed by itself, and the last one merges all."""
    machine, zone = small(8)
    pfn = machine.alloc_pages(MOVABLE, 3)
    machine.split_page(pfn)
    for page in (5, 4, 7, 6, 1, 0, 3):
        machine.free_pages(page, 0)
    assert free_list(zone, 3) == []
    machine.free_pages(2)
    assert free_list(zone, 3) == [0]


def test_alloc_pages_exact_frees_the_rest_to_the_tail() -> None:
    """Five pages of eight: 5 goes back at once, 6 and 7 merge; all by FPI_TO_TAIL."""
    machine, zone = small(32)
    others = [machine.alloc_pages(MOVABLE) for _ in range(8)]
    machine.free_pages(others[6])
    assert free_list(zone, 0) == [6]
    pfn = machine.alloc_pages_exact(5 * 4096 - 1, MOVABLE)
    assert pfn == 8
    assert free_list(zone, 0) == [6, 13]
    assert free_list(zone, 1) == [14]
    machine.free_pages_exact(pfn, 5 * 4096 - 1)
    assert free_list(zone, 3) == [8]
    machine.validate()


def test_free_to_tail_beats_the_head() -> None:
    """__free_pages_ok() with FPI_TO_TAIL puts a block last, without it first."""
    machine, zone = small(64)
    pfns = [machine.alloc_pages(MOVABLE, 4) for _ in range(4)]
    assert pfns == [0, 16, 32, 48]
    free._free_pages_ok(zone, 16, 4, FPI_NONE)
    free._free_pages_ok(zone, 48, 4, FPI_NONE)
    assert free_list(zone, 4) == [48, 16]
    machine, zone = small(64)
    for _ in range(4):
        machine.alloc_pages(MOVABLE, 4)
    free._free_pages_ok(zone, 16, 4, FPI_TO_TAIL)
    free._free_pages_ok(zone, 48, 4, FPI_TO_TAIL)
    assert free_list(zone, 4) == [16, 48]


def test_buddy_merge_likely_sends_to_the_tail() -> None:
    """Page 2's pair {2, 3} has the free buddy pair {0, 1}: page 2 goes behind page 4."""
    machine, zone = small(8)
    for _ in range(8):
        machine.alloc_pages(MOVABLE)
    for page in (0, 1, 4):
        machine.free_pages(page)
    assert (free_list(zone, 0), free_list(zone, 1)) == ([4], [0])
    machine.free_pages(2)
    assert free_list(zone, 0) == [4, 2]
    machine.free_pages(7)
    assert free_list(zone, 0) == [7, 4, 2]


# Batches. Kernel: free_unref_folios()


def test_a_batch_is_prepared_first_and_committed_after() -> None:
    """All mm_page_free come first; order 4 goes straight to the buddy and fires nothing else."""
    machine = Machine.of_pages(64, pcp=True)
    pfns = [machine.alloc_pages(MOVABLE, order) for order in (0, 4, 1)]
    seen = machine.vm.trace.ring.written
    machine.free_folios(pfns)
    fired = [(t.event.NAME, t.event.pfn) for t in machine.events(seen)]
    single, large, pair = pfns
    assert fired[:3] == [("mm_page_free", pfn) for pfn in (single, large, pair)]
    batched = [pfn for name, pfn in fired if name == "mm_page_free_batched"]
    assert batched == [single, pair]


def test_a_folio_that_finds_the_pcp_locked_is_not_batched() -> None:
    machine = Machine.of_pages(64, pcp=True)
    page = machine.alloc_pages(MOVABLE)
    seen = machine.vm.trace.ring.written
    pcp = machine.zone().per_cpu_pageset[0]
    pcp.locked, before = True, pcp.count
    free.free_unref_folios(machine.vm, [(page, 0)])
    assert [traced.event.NAME for traced in machine.events(seen)] == ["mm_page_free"]
    assert pcp.count == before


# Isolation. Kernel: mm/page_isolation.c, move_freepages_block_isolate(), find_large_buddy()


def test_isolating_the_second_half_of_a_large_block() -> None:
    """Order 10 at 0: isolating pageblock 1 leaves order 9 at 0, and order 9 at 512 uncounted."""
    machine, zone = small(1024)
    vm = machine.vm
    assert pageblock.find_large_buddy(zone, 512) == 0
    machine.isolate_pageblock(600)
    assert free_list(zone, 9) == [0]
    assert free_list(zone, 9, vm.MIGRATE_ISOLATE) == [512]
    assert zone.vm_stat[NR_FREE_PAGES] == 512
    machine.unisolate_pageblock(600)
    assert free_list(zone, 10) == [0]
    assert zone.vm_stat[NR_FREE_PAGES] == 1024


def test_isolating_the_first_half_of_a_large_block() -> None:
    """The starting pageblock of a larger block is split off too."""
    machine, zone = small(1024)
    machine.isolate_pageblock(0)
    assert free_list(zone, 9) == [512]
    assert free_list(zone, 9, machine.vm.MIGRATE_ISOLATE) == [0]


def test_a_page_freed_into_an_isolated_pageblock() -> None:
    """It bypasses the pcp list, joins the ISOLATE list, and is not counted."""
    machine = Machine.of_pages(512, pcp=True)
    zone = zone_of(machine)
    pfn = machine.alloc_pages(MOVABLE)
    machine.drain_all_pages()
    machine.isolate_pageblock(pfn)
    machine.free_pages(pfn)
    assert zone.per_cpu_pageset[0].count == 0
    assert free_list(zone, 9, machine.vm.MIGRATE_ISOLATE) == [0]
    assert machine.nr_free()[9] == 1
    assert zone.vm_stat[NR_FREE_PAGES] + zone.per_cpu_zonestats[0].vm_stat_diff[0] == 0


def test_unisolating_without_a_free_buddy_moves_the_blocks() -> None:
    """The pageblock's free blocks move to the type's lists, to the tails."""
    machine, zone = small(1024)
    pfn = machine.alloc_pages(MOVABLE, 9)
    other = machine.alloc_pages(MOVABLE, 8)
    assert (pfn, other) == (0, 512)
    machine.isolate_pageblock(512)
    machine.unisolate_pageblock(512, MIGRATE_UNMOVABLE)
    assert free_list(zone, 8, MIGRATE_UNMOVABLE) == [768]
    assert zone.pageblock[1] == MIGRATE_UNMOVABLE


def test_putback_goes_to_the_tail() -> None:
    """__isolate_free_page() takes a block, __putback_isolated_page() puts it last."""
    machine, zone = small(64)
    for _ in range(4):
        machine.alloc_pages(MOVABLE, 4)
    for page in (0, 32):
        machine.free_pages(page)
    assert free_list(zone, 4) == [32, 0]
    assert isolate._isolate_free_page(zone, 32, 4) == 16
    isolate._putback_isolated_page(zone, 32, 4, MIGRATE_MOVABLE)
    assert free_list(zone, 4) == [0, 32]


def test_isolating_a_block_obeys_min() -> None:
    """With min 16, free 32 and an order-4 block, 32 - 0 > 16 + 16 does not hold: refused."""
    machine, zone = small(32, 16)
    assert isolate._isolate_free_page(zone, 0, 5) == 0
    zone._watermark[0] = 0
    machine.alloc_pages(MOVABLE, 4)
    zone._watermark[0] = 15
    assert isolate._isolate_free_page(zone, 16, 4) == 0


def test_split_large_buddy_uses_each_pageblock_s_type() -> None:
    """A block of two pageblocks of different types is freed in two, and order 9 does not merge
    across a type that is not mergeable."""
    machine, zone = small(1024)
    pfn = machine.alloc_pages(MOVABLE, 10)
    zone.pageblock[1] = MIGRATE_HIGHATOMIC
    split_large_buddy(zone, pfn, 10, FPI_NONE)
    assert free_list(zone, 9) == [0]
    assert free_list(zone, 9, MIGRATE_HIGHATOMIC) == [512]
    assert zone.nr_free_highatomic == 512


def test_mergeable_types_merge_and_the_freed_type_wins() -> None:
    """An UNMOVABLE pageblock freed beside a free MOVABLE one: order 10, UNMOVABLE throughout."""
    machine, zone = small(1024)
    machine.alloc_pages(MOVABLE, 9)
    zone.pageblock[0] = MIGRATE_UNMOVABLE
    _free_one_page(zone, 0, 9, MIGRATE_UNMOVABLE, FPI_NONE)
    assert free_list(zone, 10, MIGRATE_UNMOVABLE) == [0]
    assert bytes(zone.pageblock[:2]) == bytes((MIGRATE_UNMOVABLE, MIGRATE_UNMOVABLE))


# HIGHATOMIC. Kernel: reserve_highatomic_pageblock(), unreserve_highatomic_pageblock()


def test_highatomic_of_a_whole_block() -> None:
    """An order-10 request reserves two pageblocks; given back while free, they change type."""
    machine = Machine.of_pages(1 << 17)
    zone = zone_of(machine)
    pfn = machine.alloc_pages(MOVABLE, 10)
    reserve_highatomic_pageblock(zone, pfn, 10)
    assert zone.nr_reserved_highatomic == 1024
    machine.free_pages(pfn)
    # order 10 is freed pageblock by pageblock; the two merge again, being of the same type
    assert free_list(zone, 10, MIGRATE_HIGHATOMIC) == [pfn]
    assert zone.nr_free_highatomic == 1024
    assert unreserve_highatomic_pageblock([zone], MIGRATE_UNMOVABLE, False)
    assert zone.nr_reserved_highatomic == zone.nr_free_highatomic == 0
    assert free_list(zone, 10, MIGRATE_UNMOVABLE) == [pfn]
    machine.validate()


def test_highatomic_keeps_its_last_pageblock_unless_forced() -> None:
    """One pageblock reserved: an unforced attempt leaves it."""
    machine = Machine.of_pages(1 << 17)
    zone = zone_of(machine)
    pfn = machine.alloc_pages(MOVABLE, 3)
    reserve_highatomic_pageblock(zone, pfn, 3)
    assert zone.nr_reserved_highatomic == 512
    assert not unreserve_highatomic_pageblock([zone], MIGRATE_MOVABLE, False)
    assert unreserve_highatomic_pageblock([zone], MIGRATE_MOVABLE, True)
    assert zone.nr_reserved_highatomic == 0


def test_highatomic_reserve_is_about_one_per_cent() -> None:
    """51,200 pages: 1 % is one pageblock, and the limit that; below that nothing is reserved."""
    machine = Machine.of_pages(51_200)
    zone = zone_of(machine)
    first, second = (machine.alloc_pages(MOVABLE, 9) for _ in range(2))
    reserve_highatomic_pageblock(zone, first, 9)
    reserve_highatomic_pageblock(zone, second, 9)
    assert zone.nr_reserved_highatomic == 512
    machine = Machine.of_pages(51_199)
    zone = zone_of(machine)
    reserve_highatomic_pageblock(zone, machine.alloc_pages(MOVABLE, 9), 9)
    assert zone.nr_reserved_highatomic == 0


# CMA. Kernel: __rmqueue(), __rmqueue_cma_fallback(), account_freepages()


def cma_machine() -> tuple[Machine, Zone]:
    """24 MiB, of which the last free 2 MiB of DMA32 or DMA are a CMA area."""
    machine = Machine("24 MiB", cma="2 MiB", pcp=False)
    vm = machine.vm
    zone = next(z for z in vm.zones if any(free_list(z, o, vm.MIGRATE_CMA) for o in range(11)))
    zone.per_cpu_zonestats[0].stat_threshold = 0
    zone.lowmem_reserve = [0] * 5
    return machine, zone


def test_cma_serves_movable_requests_when_it_holds_over_half() -> None:
    """Free CMA pages over half of free pages: a movable request goes there first."""
    machine, zone = cma_machine()
    cma = machine.vm.MIGRATE_CMA
    assert zone.vm_stat[10] == 512
    ac = zone_walk.prepare_alloc_pages(machine.vm, MOVABLE, 0)
    ac.zonelist = [zone]
    zone._watermark[:] = [0] * 4
    pages = []
    while zone.vm_stat[10] * 2 <= zone.vm_stat[NR_FREE_PAGES]:
        pages.append(zone_walk.get_page_from_freelist(0, ALLOC_WMARK_MIN, ac))
    assert all(zone.pageblock[page >> 9] != cma for page in pages)
    page = zone_walk.get_page_from_freelist(0, ALLOC_CMA, ac)
    assert zone.pageblock[page >> 9] == cma


def test_cma_never_serves_unmovable_requests() -> None:
    """With only CMA pages left, GFP_KERNEL fails and a movable request succeeds."""
    machine, zone = cma_machine()
    zone._watermark[:] = [0] * 4
    ac = zone_walk.prepare_alloc_pages(machine.vm, GFP_KERNEL, 0)
    ac.zonelist = [zone]
    while zone_walk.get_page_from_freelist(0, ALLOC_WMARK_MIN, ac) != NULL:
        pass
    assert zone.vm_stat[NR_FREE_PAGES] == 512
    ac.migratetype = MIGRATE_MOVABLE
    assert zone_walk.get_page_from_freelist(0, ALLOC_WMARK_MIN | ALLOC_CMA, ac) != NULL


# Drains and the pcp switch. Kernel: drain_all_pages(), drain_zone_pages(), zone_pcp_disable()


def kept(vm: Vm) -> int:
    """Pages on all pcp lists."""
    return sum(p.count for zone in vm.zones for p in zone.per_cpu_pageset)


def test_drain_all_pages_empties_every_cpu() -> None:
    """Two CPUs keep pages; afterwards none does, and all memory is one block again."""
    machine = Machine.of_pages(1024, cpus=2, pcp=True)
    for cpu in (0, 1):
        machine.free_pages(machine.alloc_pages(MOVABLE, cpu=cpu), cpu=cpu)
    assert kept(machine.vm) > 0
    machine.drain_all_pages()
    assert kept(machine.vm) == 0
    assert machine.nr_free()[10] == 1


def test_drain_zone_pages_gives_one_batch_back() -> None:
    """With batch 7 and 20 pages kept, 13 stay."""
    machine = Machine.of_pages(1024, pcp=True)
    zone = zone_of(machine)
    kept_pcp = zone.per_cpu_pageset[0]
    kept_pcp.batch, kept_pcp.high_min, kept_pcp.high_max = 7, 100, 100
    for pfn in [machine.alloc_pages(MOVABLE) for _ in range(20)]:
        machine.free_pages(pfn)
    drained = kept_pcp.count - 7
    pcp.drain_zone_pages(zone, kept_pcp)
    assert kept_pcp.count == drained


def test_zone_pcp_disable_and_enable() -> None:
    """Disabled, what was kept goes and nothing is kept; enabled, the limits are those of before."""
    machine = Machine("64 MiB")
    zone = machine.zone("DMA32")
    limits = [(p.high_min, p.high_max, p.batch) for p in zone.per_cpu_pageset]
    machine.free_pages(machine.alloc_pages(MOVABLE))
    assert kept(machine.vm) > 0
    setup.zone_pcp_disable(zone)
    assert kept(machine.vm) == 0
    machine.free_pages(machine.alloc_pages(MOVABLE))
    assert zone.per_cpu_pageset[0].count == 0
    setup.zone_pcp_enable(zone)
    assert [(p.high_min, p.high_max, p.batch) for p in zone.per_cpu_pageset] == limits


# kswapd's check. Kernel: zone_watermark_ok_safe()


def test_watermark_ok_safe_counts_drift_near_the_mark() -> None:
    """100 free by the counter, 5 fewer in truth: exact only below percpu_drift_mark."""
    _, zone = small(256)
    zone.vm_stat[NR_FREE_PAGES] = 100
    zone.per_cpu_zonestats[0].vm_stat_diff[NR_FREE_PAGES] = -5
    assert watermark.zone_watermark_ok_safe(zone, 0, 97, ZONE_NORMAL)
    zone.percpu_drift_mark = 200
    assert not watermark.zone_watermark_ok_safe(zone, 0, 97, ZONE_NORMAL)


# A task that compacts. Kernel: compaction_capture()


def test_a_compacting_task_takes_the_block_that_its_frees_make() -> None:
    """Frees of 0 to 3 merge to order 2: taken, counted nowhere; the next one is not."""
    machine, zone = small(16)
    vm = machine.vm
    for _ in range(16):
        machine.alloc_pages(MOVABLE)
    vm.capture_control = CaptureControl(zone, 2, MIGRATE_MOVABLE)
    for page in (0, 1, 2, 3):
        machine.free_pages(page)
    assert vm.capture_control.page == 0
    assert zone.vm_stat[NR_FREE_PAGES] == 0
    for page in (4, 5, 6, 7):
        machine.free_pages(page)
    assert free_list(zone, 2) == [4]


def test_an_unmovable_request_leaves_movable_pageblocks_alone() -> None:
    """Below pageblock size a MOVABLE block is not captured for another type."""
    machine, zone = small(16)
    pfn = machine.alloc_pages(MOVABLE, 2)
    machine.vm.capture_control = CaptureControl(zone, 2, MIGRATE_UNMOVABLE)
    machine.free_pages(pfn)
    assert machine.vm.capture_control.page == NULL
    assert machine.nr_free()[4] == 1


def test_bulk_of_one_is_a_single_request() -> None:
    """One page goes through alloc_pages() and is traced; more are not."""
    machine = Machine.of_pages(256, pcp=True)
    assert len(alloc.alloc_pages_bulk(machine.vm, GFP_KERNEL, 0, 1)) == 1
    assert [t.event.NAME for t in machine.events()][-1] == "mm_page_alloc"
    seen = machine.vm.trace.ring.written
    assert len(alloc.alloc_pages_bulk(machine.vm, GFP_KERNEL, 0, 12)) == 12
    assert "mm_page_alloc" not in [t.event.NAME for t in machine.events(seen)]
    assert alloc.alloc_pages_bulk(machine.vm, __GFP_DIRECT_RECLAIM, 0, 0) == []
