"""What of memblock the kernel's own tests leave out: arrays that cannot grow, limits, mirrors."""

from __future__ import annotations

import pytest
from memblock_rows import BOTTOM_UP, TOP_DOWN, B, C, E, G, K, M, N, leg_id, nodes, plain, ranges

from memsim import Machine
from memsim.lib.bits import PAGE_SIZE
from memsim.mm.memblock.add import memblock_add, memblock_add_node, memblock_reserve
from memsim.mm.memblock.alloc import (
    memblock_alloc,
    memblock_alloc_low,
    memblock_alloc_node,
    memblock_phys_alloc,
    memblock_phys_alloc_range,
)
from memsim.mm.memblock.dump import memblock_dump_all
from memsim.mm.memblock.iterate import memblock_validate_numa_coverage
from memsim.mm.memblock.region import (
    Memblock,
    memblock_end_of_DRAM,
    memblock_estimated_nr_free_pages,
    memblock_search_pfn_nid,
    memblock_start_of_DRAM,
)
from memsim.mm.memblock.remove import (
    memblock_cap_memory_range,
    memblock_enforce_memory_limit,
    memblock_free,
    memblock_mark_hotplug,
    memblock_mark_mirror,
    memblock_mark_nomap,
    memblock_mem_limit_remove_map,
    memblock_remove,
    memblock_trim_memory,
)
from memsim.mm.mm_init import memblock_free_late
from memsim.words.errno import ENOMEM
from memsim.words.memblock import MEMBLOCK_ALLOC_NOLEAKTRACE
from memsim.words.slab import NUMA_NO_NODE


def full(memblock: Memblock) -> None:
    """As many ranges in use as there is room for, at the bottom of RAM."""
    for i in range(memblock.reserved.max):
        memblock_reserve(memblock, B + 2 * i, 1)


def test_an_array_that_must_not_grow_yet_is_a_panic() -> None:
    memblock = plain(TOP_DOWN, False)
    full(memblock)
    before = ranges(memblock.reserved)
    assert memblock_reserve(memblock, E - 1, 1) == -ENOMEM
    assert memblock.panic == "memblock: cannot resize reserved array"
    assert ranges(memblock.reserved) == before


def test_an_array_that_finds_no_room_to_grow_changes_nothing() -> None:
    memblock = Memblock()
    memblock.can_resize = True
    memblock_add(memblock, B, 6 * K)
    full(memblock)
    before = ranges(memblock.reserved)
    for refused in (memblock_reserve(memblock, B + 5 * K, 1), memblock_alloc(memblock, 1, 1)):
        assert refused in (-ENOMEM, 0)
    told = "memblock: Failed to double reserved array from 128 to 256 entries !"
    assert (memblock.log, memblock.panic) == ([told] * 2, "")
    assert ranges(memblock.reserved) == before


def test_the_second_time_an_array_grows_the_first_one_is_free_again() -> None:
    memblock = Memblock()
    memblock.can_resize = True
    memblock_add(memblock, B, 1 * M)
    for i in range(255):
        memblock_reserve(memblock, B + 2 * i, 1)
    assert memblock.reserved.array == B + 1 * M - 8 * K
    assert ranges(memblock.reserved)[-1] == (B + 1 * M - 8 * K, 8 * K)
    for i in range(255, 400):
        memblock_reserve(memblock, B + 2 * i, 1)
    assert (memblock.reserved.max, memblock.reserved.array) == (512, B + 1 * M - 20 * K)
    assert ranges(memblock.reserved)[-1] == (B + 1 * M - 20 * K, 12 * K)


def test_a_range_that_runs_into_another_node_is_added_with_a_warning() -> None:
    """Twice where the array may be full: the kernel looks once to count, once to insert."""
    for others, times in ((0, 1), (63, 2)):
        memblock = Memblock()
        memblock_add_node(memblock, 8 * K, 4 * K, 1, 0)
        for i in range(others):
            memblock_add(memblock, G + 2 * i, 1)
        memblock_add_node(memblock, 4 * K, 8 * K, 0, 0)
        assert [(r.base, r.nid) for r in memblock.memory.regions[:2]] == [(4 * K, 0), (8 * K, 1)]
        assert len(memblock.log) == times
        assert all("another node" in line for line in memblock.log)


@pytest.mark.parametrize("bottom_up", [TOP_DOWN, BOTTOM_UP], ids=leg_id)
def test_with_movable_node_boot_takes_nothing_that_can_be_pulled_out(bottom_up: bool) -> None:
    memblock = plain(bottom_up, True)
    memblock_mark_hotplug(memblock, B, E - B)
    assert memblock_alloc(memblock, 1, C) == 0
    memblock.movable_node = False
    assert memblock_alloc(memblock, 1, C)


def test_mirrored_memory_is_taken_first_and_then_with_a_line_any() -> None:
    memblock = plain(TOP_DOWN, False)
    memblock_mark_mirror(memblock, B, 1 * K)
    assert memblock_alloc(memblock, 1 * K, C) == E - 1 * K
    memblock.mirrored_kernelcore = True
    memblock_mark_mirror(memblock, B, 1 * K)
    assert memblock_alloc(memblock, 1 * K, C) == B
    assert memblock_alloc(memblock, 1 * K, C) == E - 2 * K
    told = "Could not allocate 0x0000000000000400 bytes of mirrored memory"
    assert memblock.log == [told]


def test_current_limit_holds_for_all_but_who_asks_for_a_range() -> None:
    memblock = plain(TOP_DOWN, False)
    memblock.current_limit = B + 4 * K
    assert memblock_phys_alloc(memblock, 1 * K, C) == B + 3 * K
    anywhere = memblock_phys_alloc_range(memblock, 1 * K, C, 0, MEMBLOCK_ALLOC_NOLEAKTRACE)
    assert anywhere == B + 2 * K
    assert memblock_phys_alloc_range(memblock, 1 * K, C, 0, E) == E - 1 * K


def test_memblock_alloc_low_stays_below_4_gib_less_a_byte() -> None:
    memblock = Memblock()
    memblock_add(memblock, 4 * G - 1 * M, 2 * M)
    assert memblock_alloc_low(memblock, PAGE_SIZE, PAGE_SIZE) == 4 * G - 2 * PAGE_SIZE
    assert memblock_alloc(memblock, PAGE_SIZE, PAGE_SIZE) == 4 * G + 1 * M - PAGE_SIZE


def test_a_node_that_there_is_not_is_any_node() -> None:
    memblock = nodes(TOP_DOWN, False)
    assert memblock_alloc_node(memblock, 1 * K, C, 9) == E - 1 * K


def test_what_trim_cuts_off_stays_in_the_total() -> None:
    """memblock_trim_memory() writes base and size, and takes from total_size what goes wholly."""
    memblock = Memblock()
    memblock_add(memblock, 1, 2 * PAGE_SIZE)
    memblock_add(memblock, 8 * PAGE_SIZE, 10)
    memblock_trim_memory(memblock, PAGE_SIZE)
    assert ranges(memblock.memory) == [(PAGE_SIZE, PAGE_SIZE)]
    assert memblock.memory.total_size == 2 * PAGE_SIZE


def limited() -> Memblock:
    """RAM of 4 MiB, a hole, 4 MiB that are not mapped, 4 MiB; of each the middle in use."""
    memblock = Memblock()
    for start in (0, 8, 12):
        memblock_add(memblock, start * M, 4 * M)
        memblock_reserve(memblock, start * M + 1 * M, 2 * M)
    memblock_mark_nomap(memblock, 8 * M, 4 * M)
    return memblock


def test_mem_keeps_the_lowest_ram() -> None:
    memblock = limited()
    memblock_enforce_memory_limit(memblock, 6 * M)
    assert ranges(memblock.memory) == [(0, 4 * M), (8 * M, 2 * M)]
    assert ranges(memblock.reserved) == [(1 * M, 2 * M), (9 * M, 1 * M)]


def test_a_limit_that_removes_the_map_keeps_what_is_not_mapped() -> None:
    memblock = limited()
    memblock_mem_limit_remove_map(memblock, 2 * M)
    assert ranges(memblock.memory) == [(0, 2 * M), (8 * M, 4 * M)]
    assert ranges(memblock.reserved) == [(1 * M, 1 * M)]


@pytest.mark.parametrize("limit", [0, 12 * M + 1, 1 * G])
def test_no_limit_and_one_above_all_ram_change_nothing(limit: int) -> None:
    for limiting in (memblock_enforce_memory_limit, memblock_mem_limit_remove_map):
        memblock = limited()
        limiting(memblock, limit)
        assert (len(memblock.memory.regions), len(memblock.reserved.regions)) == (3, 3)


def test_a_crash_kernel_has_its_range_and_what_is_not_mapped() -> None:
    memblock = limited()
    memblock_cap_memory_range(memblock, 13 * M, 2 * M)
    assert ranges(memblock.memory) == [(8 * M, 4 * M), (13 * M, 2 * M)]
    assert ranges(memblock.reserved) == [(13 * M, 2 * M)]
    memblock_cap_memory_range(Memblock(), 0, 0)
    nothing = Memblock()
    memblock_cap_memory_range(nothing, 0, 1)
    assert nothing.log == ["memblock_cap_memory_range: No memory registered yet"]


def test_null_is_freed_as_nothing() -> None:
    memblock = Memblock()
    memblock_reserve(memblock, 0, 8)
    memblock_free(memblock, 0, 8)
    assert ranges(memblock.reserved) == [(0, 8)]


def test_askers() -> None:
    memblock = nodes(TOP_DOWN, False)
    memblock_reserve(memblock, B, 4 * K)
    assert (memblock_start_of_DRAM(memblock), memblock_end_of_DRAM(memblock)) == (B, E)
    assert memblock_estimated_nr_free_pages(memblock) == 7
    assert memblock_search_pfn_nid(memblock, N[2] >> 12) == (1, N[1] >> 12, N[2] >> 12)
    assert memblock_search_pfn_nid(memblock, E >> 12) == (NUMA_NO_NODE, 0, 0)


def test_a_megabyte_without_a_node_is_let_pass() -> None:
    memblock = plain(TOP_DOWN, False)
    memblock_add(memblock, 2 * G, 1 * M - 32 * K)
    assert memblock_validate_numa_coverage(memblock, 1 * M)
    memblock_add(memblock, 3 * G, 3 * M)
    assert not memblock_validate_numa_coverage(memblock, 1 * M)
    assert memblock.log == ["NUMA: no nodes coverage for 4MB of 4MB RAM"]


def test_memblock_debug_prints_both_arrays() -> None:
    memblock = nodes(TOP_DOWN, True)
    memblock_remove(memblock, N[1], E - N[1])
    memblock_reserve(memblock, B, 256)
    assert memblock_dump_all(memblock) == [
        "MEMBLOCK configuration:",
        " memory size = 0x0000000000002000 reserved size = 0x0000000000000100",
        " memory.cnt  = 0x1",
        " memory[0x0]\t[0x0000000040000000-0x0000000040001fff],"
        " 0x0000000000002000 bytes on node 0 flags: 0x0",
        " reserved.cnt  = 0x1",
        " reserved[0x0]\t[0x0000000040000000-0x00000000400000ff],"
        " 0x0000000000000100 bytes flags: 0x0",
    ]


def test_what_is_freed_late_goes_to_the_buddy_allocator_in_whole_pages() -> None:
    machine = Machine.of_pages(16)
    taken = machine.alloc_pages(0, order=2) << 12
    zone = machine.zone("Normal")
    managed_pages = zone.managed_pages
    memblock_free_late(machine.vm, taken + 1, 4 * PAGE_SIZE - 1)
    assert zone.managed_pages == managed_pages + 3
    assert sum(nr << order for order, nr in enumerate(machine.nr_free())) == 15
