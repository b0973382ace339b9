"""The kernel's own tests of memblock_alloc() and memblock_alloc_from(), as rows.

Of alloc_api.c 29 check functions, of alloc_helpers_api.c 13; 17 and 8 rows, and 12 and 5 that run
them in one direction or both.
"""

from __future__ import annotations

import pytest
from memblock_rows import (
    BOTTOM_UP,
    TOP_DOWN,
    B,
    C,
    E,
    K,
    Row,
    checks_of,
    holds,
    leg_id,
    legs,
    plain,
)

from memsim.mm.memblock.alloc import memblock_alloc, memblock_alloc_from
from memsim.mm.memblock.region import Memblock
from memsim.mm.memblock.remove import memblock_remove

PART = (32 * K - 2 * C - 64) // 2

#: request: size, align
ALLOC = [
    Row("alloc_top_down_simple_check", [], (2, C), [(E - C, 2)]),
    Row("alloc_top_down_disjoint_check", [(E - 2, 2)], (16, 2 * C), [(E - 2 * C, 16), (E - 2, 2)]),
    Row("alloc_top_down_before_check", [(E - 512 - C, C)], (512, C), [(E - 512 - C, 512 + C)]),
    Row("alloc_top_down_after_check", [(E - C, 8)], (512, C), [(E - C - 512, 520)]),
    Row(
        "alloc_top_down_second_fit_check",
        [(E - 512, 512), (E - 1024, 256)],
        (1 * K, C),
        [(E - 2 * K, 1280), (E - 512, 512)],
    ),
    Row(
        "alloc_in_between_generic_check",
        [(E - C - PART, PART), (B + C, PART)],
        (64, C),
        [(B + C, 2 * PART + 64)],
    ),
    Row(
        "alloc_small_gaps_generic_check",
        [(base + 256, 1 * K) for base in range(B, E, 1280)],
        (1 * K, C),
        None,
    ),
    Row("alloc_all_reserved_generic_check", [(B, 32 * K)], (256, C), None),
    Row("alloc_no_space_generic_check", [(B, 32 * K - 256)], (1 * K, C), None),
    Row("alloc_limited_space_generic_check", [(B, 32 * K - 256)], (256, C), [(B, 32 * K)]),
    Row("alloc_no_memory_generic_check", [], (1 * K, C), None),
    Row("alloc_too_large_generic_check", [], (32 * K + 2, C), None),
    Row("alloc_bottom_up_simple_check", [], (2, C), [(B, 2)]),
    Row("alloc_bottom_up_disjoint_check", [(B + 2, 2)], (16, 2 * C), [(B + 2, 2), (B + 2 * C, 16)]),
    Row("alloc_bottom_up_before_check", [(B + 512, 128)], (512, C), [(B, 640)]),
    Row("alloc_bottom_up_after_check", [(B + C, 64)], (512, C), [(B + C, 576)]),
    Row(
        "alloc_bottom_up_second_fit_check",
        [(B, 512), (B + 1024, 256)],
        (1 * K, C),
        [(B, 512), (B + 1024, 1280)],
    ),
]
ALLOC_RUNS = {
    "alloc_simple_check": ("alloc_top_down_simple_check", "alloc_bottom_up_simple_check"),
    "alloc_disjoint_check": ("alloc_top_down_disjoint_check", "alloc_bottom_up_disjoint_check"),
    "alloc_before_check": ("alloc_top_down_before_check", "alloc_bottom_up_before_check"),
    "alloc_after_check": ("alloc_top_down_after_check", "alloc_bottom_up_after_check"),
    "alloc_in_between_check": ("alloc_in_between_generic_check",),
    "alloc_second_fit_check": (
        "alloc_top_down_second_fit_check",
        "alloc_bottom_up_second_fit_check",
    ),
    "alloc_small_gaps_check": ("alloc_small_gaps_generic_check",),
    "alloc_all_reserved_check": ("alloc_all_reserved_generic_check",),
    "alloc_no_space_check": ("alloc_no_space_generic_check",),
    "alloc_limited_space_check": ("alloc_limited_space_generic_check",),
    "alloc_no_memory_check": ("alloc_no_memory_generic_check",),
    "alloc_too_large_check": ("alloc_too_large_generic_check",),
}

#: request: size, min_addr
FROM = [
    Row("alloc_from_simple_generic_check", [], (16, E - C), [(E - C, 16)]),
    Row("alloc_from_misaligned_generic_check", [], (32, E - 2 * C + 1), [(E - C, 32)]),
    Row("alloc_from_top_down_high_addr_check", [], (32, E - 16), [(E - C, 32)]),
    Row(
        "alloc_from_top_down_no_space_above_check",
        [(E - 2 * C, 2)],
        (64, E - 2 * C),
        [(E - 2 * C - 64, 66)],
    ),
    Row(
        "alloc_from_top_down_min_addr_cap_check",
        [(B + 64, 32 * K - 64)],
        (64, B - 3 * C),
        [(B, 32 * K)],
    ),
    Row("alloc_from_bottom_up_high_addr_check", [], (32, E - 8), [(B, 32)]),
    Row(
        "alloc_from_bottom_up_no_space_above_check",
        [(B + 128 - C, 32 * K - 128)],
        (64, B + 128),
        [(B, 64), (B + 128 - C, 32 * K - 128)],
    ),
    Row("alloc_from_bottom_up_min_addr_cap_check", [], (64, B - 3 * C), [(B, 64)]),
]
FROM_RUNS = {
    "alloc_from_simple_check": ("alloc_from_simple_generic_check",),
    "alloc_from_misaligned_check": ("alloc_from_misaligned_generic_check",),
    "alloc_from_high_addr_check": (
        "alloc_from_top_down_high_addr_check",
        "alloc_from_bottom_up_high_addr_check",
    ),
    "alloc_from_no_space_above_check": (
        "alloc_from_top_down_no_space_above_check",
        "alloc_from_bottom_up_no_space_above_check",
    ),
    "alloc_from_min_addr_cap_check": (
        "alloc_from_top_down_min_addr_cap_check",
        "alloc_from_bottom_up_min_addr_cap_check",
    ),
}


@pytest.mark.parametrize("movable_node", [False, True], ids=["", "movable_node"])
@pytest.mark.parametrize(("name", "row", "bottom_up"), legs(ALLOC_RUNS, ALLOC), ids=leg_id)
def test_memblock_alloc(name: str, row: Row, bottom_up: bool, movable_node: bool) -> None:
    memblock = plain(bottom_up, movable_node)
    if row.name == "alloc_no_memory_generic_check":
        memblock_remove(memblock, B, E - B)
    holds(row, memblock, memblock_alloc)


def _alloc_from(memblock: Memblock, size: int, min_addr: int) -> int:
    return memblock_alloc_from(memblock, size, C, min_addr)


@pytest.mark.parametrize("movable_node", [False, True], ids=["", "movable_node"])
@pytest.mark.parametrize(("name", "row", "bottom_up"), legs(FROM_RUNS, FROM), ids=leg_id)
def test_memblock_alloc_from(name: str, row: Row, bottom_up: bool, movable_node: bool) -> None:
    holds(row, plain(bottom_up, movable_node), _alloc_from)


@pytest.mark.parametrize(
    ("file", "rows", "runs"),
    [("alloc_api.c", ALLOC, ALLOC_RUNS), ("alloc_helpers_api.c", FROM, FROM_RUNS)],
)
def test_every_check_of_the_kernel_has_its_row(
    file: str, rows: list[Row], runs: dict[str, tuple[str, ...]]
) -> None:
    names = [row.name for row in rows]
    assert sorted([*names, *runs]) == sorted(checks_of(file))
    assert sorted(part for parts in runs.values() for part in parts) == sorted(names)


@pytest.mark.parametrize("bottom_up", [TOP_DOWN, BOTTOM_UP], ids=leg_id)
def test_a_row_that_is_wrong_is_seen(bottom_up: bool) -> None:
    wrong = Row("", [], (2, C), [(B + 64, 2)])
    with pytest.raises(AssertionError):
        holds(wrong, plain(bottom_up, False), memblock_alloc)
    with pytest.raises(AssertionError):
        holds(wrong._replace(expect=None), plain(bottom_up, False), memblock_alloc)
