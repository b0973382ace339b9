"""The kernel's own tests of memblock_alloc_try_nid(), as rows.

Of alloc_nid_api.c 69 check functions: 20 rows on plain RAM and 23 on eight nodes, and 13 and 13
that run them in one direction or both. The kernel asks memblock_alloc_exact_nid_raw() for the plain
ones too; so does this.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memblock_rows import (
    AROUND_3,
    AROUND_6,
    HALF,
    MIDDLE,
    NODES_2_5,
    B,
    C,
    E,
    K,
    N,
    Row,
    checks_of,
    directions,
    holds,
    leg_id,
    legs,
    nodes,
    plain,
)

from memsim.mm.memblock.alloc import (
    memblock_alloc_exact_nid_raw,
    memblock_alloc_node,
    memblock_alloc_try_nid,
)
from memsim.mm.memblock.region import Memblock
from memsim.words.slab import NUMA_NO_NODE

Ask = Callable[[Memblock, int, int, int, int, int], int]

R1 = (E - 2 * C, C)
#: In front of R1, with a gap: for a request of 64 bytes and C more, for none, for C.
R2_SPACE, R2_FULL, R2_TIGHT = (E - 3 * C - 192, 128), (E - 2 * C - 192, 128), (E - 3 * C - 128, 128)

#: request: size, min_addr, max_addr
PLAIN = [
    Row(
        "alloc_nid_top_down_simple_check",
        [],
        (128, B + 2 * C, B + 2 * C + 512),
        [(B + 2 * C + 384, 128)],
    ),
    Row(
        "alloc_nid_top_down_end_misaligned_check",
        [],
        (128, B + 2 * C, B + 2 * C + 514),
        [(B + 2 * C + 384, 128)],
    ),
    Row(
        "alloc_nid_exact_address_generic_check",
        [],
        (1 * K, B + C, B + C + 1 * K),
        [(B + C, 1 * K)],
    ),
    Row(
        "alloc_nid_top_down_narrow_range_check",
        [],
        (256, B + 512, B + 512 + C),
        [(B + 256 + C, 256)],
    ),
    Row("alloc_nid_low_max_generic_check", [], (1 * K, B, B + C), None),
    Row(
        "alloc_nid_min_reserved_generic_check", [(E - 192, 128)], (64, E - 64, E), [(E - 192, 192)]
    ),
    Row(
        "alloc_nid_max_reserved_generic_check",
        [(E - 64, 64)],
        (128, E - 192, E - 64),
        [(E - 192, 192)],
    ),
    Row(
        "alloc_nid_top_down_reserved_with_space_check",
        [R1, R2_SPACE],
        (64, E - 3 * C - 64, E - 2 * C),
        [R2_SPACE, (E - 2 * C - 64, C + 64)],
    ),
    Row(
        "alloc_nid_reserved_full_merge_generic_check",
        [R1, R2_FULL],
        (64, E - 2 * C - 64, E - 2 * C),
        [(E - 2 * C - 192, C + 192)],
    ),
    Row(
        "alloc_nid_top_down_reserved_no_space_check",
        [R1, R2_TIGHT],
        (256, E - 3 * C, E - 2 * C),
        [(E - 3 * C - 384, 384), R1],
    ),
    Row(
        "alloc_nid_reserved_all_generic_check",
        [(E - C, C), (B, 32 * K - 2 * C)],
        (256, E - 2 * C, E - C),
        None,
    ),
    Row("alloc_nid_top_down_cap_max_check", [], (256, E - 1 * K, E + 256), [(E - 256, 256)]),
    Row("alloc_nid_top_down_cap_min_check", [], (1 * K, B - 256, E), [(E - 1 * K, 1 * K)]),
    Row(
        "alloc_nid_bottom_up_simple_check",
        [],
        (128, B + 2 * C, B + 2 * C + 512),
        [(B + 2 * C, 128)],
    ),
    Row("alloc_nid_bottom_up_start_misaligned_check", [], (128, B + 2, B + 514), [(B + C, 128)]),
    Row("alloc_nid_bottom_up_narrow_range_check", [], (256, B + 512, B + 512 + C), [(B, 256)]),
    Row(
        "alloc_nid_bottom_up_reserved_with_space_check",
        [R1, R2_SPACE],
        (64, E - 3 * C - 64, E - 2 * C),
        [(E - 3 * C - 192, 192), R1],
    ),
    Row(
        "alloc_nid_bottom_up_reserved_no_space_check",
        [R1, R2_TIGHT],
        (256, E - 3 * C, E - 2 * C),
        [(B, 256), R2_TIGHT, R1],
    ),
    Row("alloc_nid_bottom_up_cap_max_check", [], (256, B + 1 * K, E + 256), [(B + 1 * K, 256)]),
    Row("alloc_nid_bottom_up_cap_min_check", [], (1 * K, B, E - 256), [(B, 1 * K)]),
]
PLAIN_RUNS = {
    "alloc_nid_simple_check": (
        "alloc_nid_top_down_simple_check",
        "alloc_nid_bottom_up_simple_check",
    ),
    "alloc_nid_misaligned_check": (
        "alloc_nid_top_down_end_misaligned_check",
        "alloc_nid_bottom_up_start_misaligned_check",
    ),
    "alloc_nid_narrow_range_check": (
        "alloc_nid_top_down_narrow_range_check",
        "alloc_nid_bottom_up_narrow_range_check",
    ),
    "alloc_nid_reserved_with_space_check": (
        "alloc_nid_top_down_reserved_with_space_check",
        "alloc_nid_bottom_up_reserved_with_space_check",
    ),
    "alloc_nid_reserved_no_space_check": (
        "alloc_nid_top_down_reserved_no_space_check",
        "alloc_nid_bottom_up_reserved_no_space_check",
    ),
    "alloc_nid_cap_max_check": (
        "alloc_nid_top_down_cap_max_check",
        "alloc_nid_bottom_up_cap_max_check",
    ),
    "alloc_nid_cap_min_check": (
        "alloc_nid_top_down_cap_min_check",
        "alloc_nid_bottom_up_cap_min_check",
    ),
    "alloc_nid_min_reserved_check": ("alloc_nid_min_reserved_generic_check",),
    "alloc_nid_max_reserved_check": ("alloc_nid_max_reserved_generic_check",),
    "alloc_nid_exact_address_check": ("alloc_nid_exact_address_generic_check",),
    "alloc_nid_reserved_full_merge_check": ("alloc_nid_reserved_full_merge_generic_check",),
    "alloc_nid_reserved_all_check": ("alloc_nid_reserved_all_generic_check",),
    "alloc_nid_low_max_check": ("alloc_nid_low_max_generic_check",),
}

#: request: size, min_addr, max_addr, nid
NUMA = [
    Row("alloc_nid_top_down_numa_simple_check", [], (1 * K, B, E, 3), [(N[4] - 1 * K, 1 * K)]),
    Row("alloc_nid_top_down_numa_small_node_check", [], (4 * K, B, E, 1), [(N[7] - 4 * K, 4 * K)]),
    Row(
        "alloc_nid_top_down_numa_node_reserved_check",
        [(N[2], 4 * K)],
        (4 * K, B, E, 2),
        [(N[2], 4 * K), (N[7] - 4 * K, 4 * K)],
    ),
    Row(
        "alloc_nid_top_down_numa_part_reserved_check",
        [HALF],
        (256, B, E, 4),
        [HALF, (N[5] - 256, 256)],
    ),
    Row(
        "alloc_nid_top_down_numa_part_reserved_fallback_check",
        [MIDDLE],
        (1 * K, B, E, 4),
        [MIDDLE, (E - 1 * K, 1 * K)],
    ),
    Row(
        "alloc_nid_top_down_numa_split_range_low_check",
        [],
        (512, *AROUND_3, 2),
        [(N[3] - 512, 512)],
    ),
    Row(
        "alloc_nid_top_down_numa_split_range_high_check",
        [],
        (512, *AROUND_3, 3),
        [(N[3] - 512, 512)],
    ),
    Row(
        "alloc_nid_top_down_numa_no_overlap_split_check",
        [],
        (512, *AROUND_6, 2),
        [(N[3] - 512, 512)],
    ),
    Row("alloc_nid_top_down_numa_no_overlap_low_check", [], (64, *NODES_2_5, 0), [(N[6] - 64, 64)]),
    Row(
        "alloc_nid_top_down_numa_no_overlap_high_check", [], (64, *NODES_2_5, 7), [(N[6] - 64, 64)]
    ),
    Row("alloc_nid_bottom_up_numa_simple_check", [], (1 * K, B, E, 3), [(N[3], 1 * K)]),
    Row("alloc_nid_bottom_up_numa_small_node_check", [], (4 * K, B, E, 1), [(B, 4 * K)]),
    Row(
        "alloc_nid_bottom_up_numa_node_reserved_check",
        [(N[2], 4 * K)],
        (4 * K, B, E, 2),
        [(B, 4 * K), (N[2], 4 * K)],
    ),
    Row(
        "alloc_nid_bottom_up_numa_part_reserved_check",
        [HALF],
        (256, B, E, 4),
        [(N[4], 1 * K + 256)],
    ),
    Row(
        "alloc_nid_bottom_up_numa_part_reserved_fallback_check",
        [MIDDLE],
        (1 * K, B, E, 4),
        [(B, 1 * K), MIDDLE],
    ),
    Row("alloc_nid_bottom_up_numa_split_range_low_check", [], (512, *AROUND_3, 2), [(N[2], 512)]),
    Row("alloc_nid_bottom_up_numa_split_range_high_check", [], (512, *AROUND_3, 3), [(B, 512)]),
    Row("alloc_nid_bottom_up_numa_no_overlap_split_check", [], (512, *AROUND_6, 2), [(N[2], 512)]),
    Row("alloc_nid_bottom_up_numa_no_overlap_low_check", [], (64, *NODES_2_5, 0), [(N[2], 64)]),
    Row("alloc_nid_bottom_up_numa_no_overlap_high_check", [], (64, *NODES_2_5, 7), [(N[2], 64)]),
    Row("alloc_nid_numa_large_region_generic_check", [], (16 * K, B, E, 3), None),
    Row(
        "alloc_nid_numa_reserved_full_merge_generic_check",
        [(N[7], 128), (N[6] - 128, 128)],
        (8 * K, N[6], N[7], 6),
        [(N[6] - 128, 8 * K + 256)],
    ),
    Row(
        "alloc_nid_numa_split_all_reserved_generic_check",
        [(B, N[7] - 128 - B), (N[7] + 128, E - N[7] - 128)],
        (256, N[7] - 128, N[7] + 128, NUMA_NO_NODE),
        None,
    ),
]
SIDES = ("simple", "small_node", "node_reserved", "part_reserved", "part_reserved_fallback")
SIDES += ("split_range_low", "split_range_high", "no_overlap_split")
SIDES += ("no_overlap_low", "no_overlap_high")
GENERIC = ("large_region", "reserved_full_merge", "split_all_reserved")
NUMA_RUNS = {
    f"alloc_nid_numa_{what}_check": (
        f"alloc_nid_top_down_numa_{what}_check",
        f"alloc_nid_bottom_up_numa_{what}_check",
    )
    for what in SIDES
} | {f"alloc_nid_numa_{what}_check": (f"alloc_nid_numa_{what}_generic_check",) for what in GENERIC}


@pytest.mark.parametrize("movable_node", [False, True], ids=["", "movable_node"])
@pytest.mark.parametrize("ask", [memblock_alloc_try_nid, memblock_alloc_exact_nid_raw])
@pytest.mark.parametrize(("name", "row", "bottom_up"), legs(PLAIN_RUNS, PLAIN), ids=leg_id)
def test_a_range_of_plain_ram(
    name: str, row: Row, bottom_up: bool, ask: Ask, movable_node: bool
) -> None:
    def within(memblock: Memblock, size: int, min_addr: int, max_addr: int) -> int:
        return ask(memblock, size, C, min_addr, max_addr, NUMA_NO_NODE)

    holds(row, plain(bottom_up, movable_node), within)


def _try_nid(memblock: Memblock, size: int, min_addr: int, max_addr: int, nid: int) -> int:
    return memblock_alloc_try_nid(memblock, size, C, min_addr, max_addr, nid)


@pytest.mark.parametrize("movable_node", [False, True], ids=["", "movable_node"])
@pytest.mark.parametrize(("name", "row", "bottom_up"), legs(NUMA_RUNS, NUMA), ids=leg_id)
def test_a_node_or_another(name: str, row: Row, bottom_up: bool, movable_node: bool) -> None:
    holds(row, nodes(bottom_up, movable_node), _try_nid)


@pytest.mark.parametrize("movable_node", [False, True], ids=["", "movable_node"])
@pytest.mark.parametrize("bottom_up", directions("alloc_node_on_correct_nid"), ids=leg_id)
def test_memblock_alloc_node_takes_the_node_that_was_asked(
    bottom_up: bool, movable_node: bool
) -> None:
    """alloc_node_on_correct_nid(), which is no check function by its name."""

    def ask(memblock: Memblock, size: int, nid: int) -> int:
        return memblock_alloc_node(memblock, size, C, nid)

    base = N[2] if bottom_up else N[3] - 512
    holds(Row("", [], (512, 2), [(base, 512)]), nodes(bottom_up, movable_node), ask)


def test_every_check_of_the_kernel_has_its_row() -> None:
    names, runs = [row.name for row in PLAIN + NUMA], PLAIN_RUNS | NUMA_RUNS
    assert sorted([*names, *runs]) == sorted(checks_of("alloc_nid_api.c"))
    assert sorted(part for parts in runs.values() for part in parts) == sorted(names)
