"""The kernel's own tests of memblock's arrays: what is added, taken into use, removed and freed.

Of basic_api.c 45 check functions: 36 rows, and 9 tests that have the check's name after `test_`.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from memblock_rows import B, C, G, K, M, Range, checks_of, ranges

from memsim.lib.bits import PAGE_SIZE, align_up
from memsim.mm.memblock.add import memblock_add, memblock_add_node, memblock_reserve
from memsim.mm.memblock.alloc import memblock_alloc
from memsim.mm.memblock.region import Memblock, MemblockType, memblock_overlaps_region
from memsim.mm.memblock.remove import memblock_free, memblock_remove, memblock_trim_memory
from memsim.words.memblock import (
    INIT_MEMBLOCK_REGIONS,
    MEMBLOCK_ALLOC_ANYWHERE,
    MEMBLOCK_HOTPLUG,
    PHYS_ADDR_MAX,
    SIZEOF_MEMBLOCK_REGION,
)

MAX = PHYS_ADDR_MAX
DO = {
    "add": memblock_add,
    "remove": memblock_remove,
    "reserve": memblock_reserve,
    "free": memblock_free,
}


class Row(NamedTuple):
    """A check: `given` are added (or taken into use), the last is as its name says; what is then.

    A name tells whether it is memblock.memory or memblock.reserved.
    """

    name: str
    given: list[Range]
    last: Range
    expect: list[Range]


ROWS = [
    Row("memblock_add_simple_check", [], (1 * G, 4 * M), [(1 * G, 4 * M)]),
    Row(
        "memblock_add_disjoint_check",
        [(1 * G, 8 * K)],
        (1 * G + 16 * K, 8 * K),
        [(1 * G, 8 * K), (1 * G + 16 * K, 8 * K)],
    ),
    Row(
        "memblock_add_overlap_top_check",
        [(512 * M, 1 * G)],
        (256 * M, 512 * M),
        [(256 * M, 1280 * M)],
    ),
    Row(
        "memblock_add_overlap_bottom_check",
        [(128 * M, 512 * M)],
        (256 * M, 1 * G),
        [(128 * M, 1152 * M)],
    ),
    Row("memblock_add_within_check", [(8 * M, 32 * M)], (16 * M, 1 * M), [(8 * M, 32 * M)]),
    Row("memblock_add_twice_check", [(16 * K, 2 * M)], (16 * K, 2 * M), [(16 * K, 2 * M)]),
    Row(
        "memblock_add_between_check",
        [(1 * G, 8 * K), (1 * G + 16 * K, 8 * K)],
        (1 * G + 8 * K, 8 * K),
        [(1 * G, 24 * K)],
    ),
    Row("memblock_add_near_max_check", [], (MAX - 1 * M, 2 * M), [(MAX - 1 * M, 1 * M)]),
    Row("memblock_reserve_simple_check", [], (2 * G, 128 * M), [(2 * G, 128 * M)]),
    Row(
        "memblock_reserve_disjoint_check",
        [(256 * M, 16 * M)],
        (512 * M, 512 * M),
        [(256 * M, 16 * M), (512 * M, 512 * M)],
    ),
    Row(
        "memblock_reserve_overlap_top_check",
        [(1 * G, 1 * G)],
        (128 * M, 1 * G),
        [(128 * M, 1920 * M)],
    ),
    Row(
        "memblock_reserve_overlap_bottom_check",
        [(2 * K, 128 * K)],
        (128 * K, 128 * K),
        [(2 * K, 254 * K)],
    ),
    Row("memblock_reserve_within_check", [(1 * M, 8 * M)], (2 * M, 64 * K), [(1 * M, 8 * M)]),
    Row("memblock_reserve_twice_check", [(16 * K, 2 * M)], (16 * K, 2 * M), [(16 * K, 2 * M)]),
    Row(
        "memblock_reserve_between_check",
        [(1 * G, 8 * K), (1 * G + 16 * K, 8 * K)],
        (1 * G + 8 * K, 8 * K),
        [(1 * G, 24 * K)],
    ),
    Row("memblock_reserve_near_max_check", [], (MAX - 1 * M, 2 * M), [(MAX - 1 * M, 1 * M)]),
    Row(
        "memblock_remove_simple_check",
        [(2 * K, 4 * K), (128 * K, 4 * M)],
        (2 * K, 4 * K),
        [(128 * K, 4 * M)],
    ),
    Row("memblock_remove_absent_check", [(512 * K, 4 * M)], (64 * M, 1 * G), [(512 * K, 4 * M)]),
    Row(
        "memblock_remove_overlap_top_check",
        [(32 * M, 32 * M)],
        (16 * M, 32 * M),
        [(48 * M, 16 * M)],
    ),
    Row(
        "memblock_remove_overlap_bottom_check",
        [(2 * M, 64 * M)],
        (32 * M, 256 * M),
        [(2 * M, 30 * M)],
    ),
    Row(
        "memblock_remove_within_check",
        [(1 * M, 32 * M)],
        (16 * M, 1 * M),
        [(1 * M, 15 * M), (17 * M, 16 * M)],
    ),
    Row("memblock_remove_only_region_check", [(2 * K, 4 * K)], (2 * K, 4 * K), []),
    Row(
        "memblock_remove_near_max_check",
        [(MAX - 2 * M, 2 * M)],
        (MAX - 1 * M, 2 * M),
        [(MAX - 2 * M, 1 * M)],
    ),
    Row(
        "memblock_remove_overlap_two_check",
        [(16 * M, 32 * M), (64 * M, 64 * M)],
        (32 * M, 64 * M),
        [(16 * M, 16 * M), (96 * M, 32 * M)],
    ),
    Row(
        "memblock_free_simple_check",
        [(4 * M, 1 * M), (8 * M, 1 * M)],
        (4 * M, 1 * M),
        [(8 * M, 1 * M)],
    ),
    Row("memblock_free_absent_check", [(2 * M, 8 * K)], (16 * M, 128 * M), [(2 * M, 8 * K)]),
    Row("memblock_free_overlap_top_check", [(8 * M, 32 * M)], (1 * M, 8 * M), [(9 * M, 31 * M)]),
    Row(
        "memblock_free_overlap_bottom_check",
        [(8 * M, 32 * M)],
        (32 * M, 32 * M),
        [(8 * M, 24 * M)],
    ),
    Row(
        "memblock_free_within_check",
        [(1 * M, 8 * M)],
        (4 * M, 1 * M),
        [(1 * M, 3 * M), (5 * M, 4 * M)],
    ),
    Row("memblock_free_only_region_check", [(2 * K, 4 * K)], (2 * K, 4 * K), []),
    Row(
        "memblock_free_near_max_check",
        [(MAX - 2 * M, 2 * M)],
        (MAX - 1 * M, 2 * M),
        [(MAX - 2 * M, 1 * M)],
    ),
    Row(
        "memblock_free_overlap_two_check",
        [(16 * M, 32 * M), (64 * M, 64 * M)],
        (32 * M, 64 * M),
        [(16 * M, 16 * M), (96 * M, 32 * M)],
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_ranges_go_in_and_out(row: Row) -> None:
    memblock, what = Memblock(), row.name.split("_")[1]
    in_memory = what in ("add", "remove")
    for base, size in row.given:
        DO["add" if in_memory else "reserve"](memblock, base, size)
    DO[what](memblock, *row.last)
    both = (memblock.memory, memblock.reserved)
    type_, other = both if in_memory else both[::-1]
    assert ranges(type_) == row.expect
    assert type_.total_size == sum(size for _, size in row.expect)
    assert (ranges(other), other.total_size) == ([], 0)


#: alignment C: ranges of RAM, and what is left of them
TRIM = {
    "memblock_trim_memory_aligned_check": ([(C, 4 * C)], [(C, 4 * C)]),
    "memblock_trim_memory_too_small_check": ([(C, 2 * C), (4 * C, C - 2)], [(C, 2 * C)]),
    "memblock_trim_memory_unaligned_base_check": (
        [(C, 2 * C), (4 * C + 2, 2 * C - 2)],
        [(C, 2 * C), (5 * C, C)],
    ),
    "memblock_trim_memory_unaligned_end_check": (
        [(C, 2 * C), (4 * C, 2 * C - 2)],
        [(C, 2 * C), (4 * C, C)],
    ),
}


@pytest.mark.parametrize("name", TRIM)
def test_ram_is_trimmed(name: str) -> None:
    memblock, (given, expect) = Memblock(), TRIM[name]
    for base, size in given:
        memblock_add(memblock, base, size)
    memblock_trim_memory(memblock, C)
    assert ranges(memblock.memory) == expect


def test_memblock_initialization_check() -> None:
    memblock = Memblock()
    for type_, name in ((memblock.memory, "memory"), (memblock.reserved, "reserved")):
        assert (type_.name, type_.regions, type_.max) == (name, [], 128)
    assert (memblock.bottom_up, memblock.current_limit) == (False, MEMBLOCK_ALLOC_ANYWHERE)


def test_memblock_add_node_simple_check() -> None:
    memblock = Memblock()
    memblock_add_node(memblock, 1 * M, 16 * M, 1, MEMBLOCK_HOTPLUG)
    (region,) = memblock.memory.regions
    assert (region.base, region.size, region.nid) == (1 * M, 16 * M, 1)
    assert (region.flags, memblock.memory.total_size) == (MEMBLOCK_HOTPLUG, 16 * M)


@pytest.mark.parametrize("bottom_up", [False, True])
def test_memblock_set_bottom_up_check(bottom_up: bool) -> None:
    """memblock_set_bottom_up() is an assignment here."""
    memblock = Memblock()
    memblock.bottom_up = bottom_up
    assert memblock.bottom_up == bottom_up


@pytest.mark.parametrize(("bottom_up", "found"), [(False, G + 3 * K), (True, G)])
def test_memblock_bottom_up_check(bottom_up: bool, found: int) -> None:
    """memblock_bottom_up() is a look here: who allocates looks too."""
    memblock = resizable((G, 4 * K))
    memblock.bottom_up = bottom_up
    assert memblock_alloc(memblock, 1 * K, C) == found


def test_memblock_overlaps_region_check() -> None:
    memblock = Memblock()
    memblock_add(memblock, 1 * G, 4 * M)
    for base, size, expect in (
        (G - 1 * M, 1 * M, False),
        (G + 4 * M, 1 * M, False),
        (G, 4 * M, True),
        (G - 2 * M, 8 * M, True),
        (G + 1 * M, 1 * M, True),
    ):
        assert memblock_overlaps_region(memblock.memory, base, size) is expect


MEM_SIZE = 32 * K
#: What an array of twice the regions takes, in whole pages.
DOUBLED = align_up(2 * INIT_MEMBLOCK_REGIONS * SIZEOF_MEMBLOCK_REGION, PAGE_SIZE)


def resizable(*memory: Range) -> Memblock:
    memblock = Memblock()
    memblock.can_resize = True
    for base, size in memory:
        memblock_add(memblock, base, size)
    return memblock


def has(type_: MemblockType, cnt: int, total_size: int) -> bool:
    return (len(type_.regions), type_.total_size) == (cnt, total_size)


def one_more_still_works(memblock: Memblock, type_: MemblockType) -> None:
    """At the bottom, and without more room than was made."""
    cnt, total_size = len(type_.regions), type_.total_size
    put = memblock_add if type_ is memblock.memory else memblock_reserve
    put(memblock, 16 * K, 16 * K)
    assert ranges(type_)[0] == (16 * K, 16 * K)
    assert has(type_, cnt + 1, total_size + 16 * K)
    assert type_.max == 2 * INIT_MEMBLOCK_REGIONS


def test_memblock_add_many_check() -> None:
    memblock = resizable((B, DOUBLED))
    for i in range(INIT_MEMBLOCK_REGIONS):
        memblock_add(memblock, B + DOUBLED + 64 + i * 128, 64)
        assert has(memblock.memory, i + 2, DOUBLED + (i + 1) * 64)
    assert memblock.memory.max == 2 * INIT_MEMBLOCK_REGIONS
    assert ranges(memblock.reserved) == [(B, DOUBLED)]
    one_more_still_works(memblock, memblock.memory)


def is_doubled(memblock: Memblock) -> None:
    """One region more than there was room for, and the array's own."""
    total_size = (INIT_MEMBLOCK_REGIONS + 1) * MEM_SIZE + DOUBLED
    assert has(memblock.reserved, INIT_MEMBLOCK_REGIONS + 2, total_size)
    assert memblock.reserved.max == 2 * INIT_MEMBLOCK_REGIONS


def test_memblock_reserve_many_check() -> None:
    memblock = resizable((B, MEM_SIZE))
    for i in range(INIT_MEMBLOCK_REGIONS):
        memblock_reserve(memblock, 128 * K + 2 * i * MEM_SIZE, MEM_SIZE)
        assert has(memblock.reserved, i + 1, (i + 1) * MEM_SIZE)
    memblock_reserve(memblock, 128 * K + 2 * INIT_MEMBLOCK_REGIONS * MEM_SIZE, MEM_SIZE)
    is_doubled(memblock)
    one_more_still_works(memblock, memblock.reserved)


def all_but(memblock: Memblock, first: int, skip: int) -> None:
    """INIT_MEMBLOCK_REGIONS ranges in use, and a gap in place of number `skip`."""
    for i in range(INIT_MEMBLOCK_REGIONS + 1):
        if i != skip:
            memblock_reserve(memblock, first + 2 * i * MEM_SIZE, MEM_SIZE)
            cnt = i + 1 if i < skip else i
            assert has(memblock.reserved, cnt, cnt * MEM_SIZE)


@pytest.mark.parametrize("skip", range(INIT_MEMBLOCK_REGIONS + 1))
def test_memblock_reserve_all_locations_check(skip: int) -> None:
    # the kernel's RAM is where malloc() put it: behind all of these
    memblock = resizable((B, MEM_SIZE))
    all_but(memblock, 128 * K, skip)
    memblock_reserve(memblock, 128 * K + 2 * skip * MEM_SIZE, MEM_SIZE)
    is_doubled(memblock)
    one_more_still_works(memblock, memblock.reserved)


@pytest.mark.parametrize("skip", range(INIT_MEMBLOCK_REGIONS + 1))
def test_memblock_reserve_many_may_conflict_check(skip: int) -> None:
    """The gap is RAM: the doubled array must not go where what is being taken into use lies."""
    first = B + 2 * MEM_SIZE
    gap = (first + 2 * skip * MEM_SIZE, MEM_SIZE)
    memblock = resizable((B, MEM_SIZE), gap)
    all_but(memblock, first, skip)
    memblock_reserve(memblock, *gap)
    is_doubled(memblock)
    assert ranges(memblock.reserved)[0] == (B + MEM_SIZE - DOUBLED, DOUBLED)
    one_more_still_works(memblock, memblock.reserved)


def test_every_check_of_the_kernel_has_its_row() -> None:
    rows = [row.name for row in ROWS] + list(TRIM)
    tests = [name for name in checks_of("basic_api.c") if f"test_{name}" in globals()]
    assert sorted(rows + tests) == sorted(checks_of("basic_api.c"))
