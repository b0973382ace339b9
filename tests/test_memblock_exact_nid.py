"""The kernel's own tests of memblock_alloc_exact_nid_raw(), as rows.

Of alloc_exact_nid_api.c 31 check functions: 18 rows, and 13 that run them in one direction or both.
"""

from __future__ import annotations

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
    holds,
    leg_id,
    legs,
    nodes,
)

from memsim.mm.memblock.alloc import memblock_alloc_exact_nid_raw
from memsim.mm.memblock.region import Memblock
from memsim.words.slab import NUMA_NO_NODE

TD, BU, GEN = (f"alloc_exact_nid_{way}" for way in ("top_down_numa", "bottom_up_numa", "numa"))

#: request: size, min_addr, max_addr, nid
ROWS = [
    Row(f"{TD}_simple_check", [], (1 * K, B, E, 3), [(N[4] - 1 * K, 1 * K)]),
    Row(f"{TD}_part_reserved_check", [HALF], (256, B, E, 4), [HALF, (N[5] - 256, 256)]),
    Row(f"{TD}_split_range_low_check", [], (512, *AROUND_3, 2), [(N[3] - 512, 512)]),
    Row(f"{TD}_no_overlap_split_check", [], (512, *AROUND_6, 2), [(N[3] - 512, 512)]),
    Row(f"{TD}_no_overlap_low_check", [], (64, *NODES_2_5, 0), [(N[1] - 64, 64)]),
    Row(f"{BU}_simple_check", [], (1 * K, B, E, 3), [(N[3], 1 * K)]),
    Row(f"{BU}_part_reserved_check", [HALF], (256, B, E, 4), [(N[4], 1 * K + 256)]),
    Row(f"{BU}_split_range_low_check", [], (512, *AROUND_3, 2), [(N[2], 512)]),
    Row(f"{BU}_no_overlap_split_check", [], (512, *AROUND_6, 2), [(N[2], 512)]),
    Row(f"{BU}_no_overlap_low_check", [], (64, *NODES_2_5, 0), [(B, 64)]),
    Row(f"{GEN}_small_node_generic_check", [], (4 * K, B, E, 1), None),
    Row(f"{GEN}_node_reserved_generic_check", [(N[2], 4 * K)], (4 * K, B, E, 2), None),
    Row(f"{GEN}_part_reserved_fail_generic_check", [MIDDLE], (1 * K, B, E, 4), None),
    Row(f"{GEN}_split_range_high_generic_check", [], (512, *AROUND_3, 3), None),
    Row(f"{GEN}_no_overlap_high_generic_check", [], (64, *NODES_2_5, 7), None),
    Row(f"{GEN}_large_region_generic_check", [], (16 * K, B, E, 3), None),
    Row(
        f"{GEN}_reserved_full_merge_generic_check",
        [(N[7], 128), (N[6] - 128, 128)],
        (8 * K, N[6], N[7], 6),
        [(N[6] - 128, 8 * K + 256)],
    ),
    Row(
        f"{GEN}_split_all_reserved_generic_check",
        [(B, N[7] - 128 - B), (N[7] + 128, E - N[7] - 128)],
        (256, N[7] - 128, N[7] + 128, NUMA_NO_NODE),
        None,
    ),
]
SIDES = ("simple", "part_reserved", "split_range_low", "no_overlap_split", "no_overlap_low")
GENERIC = ("small_node", "node_reserved", "part_reserved_fail", "split_range_high")
GENERIC += ("no_overlap_high", "large_region", "reserved_full_merge", "split_all_reserved")
RUNS = {f"{GEN}_{what}_check": (f"{TD}_{what}_check", f"{BU}_{what}_check") for what in SIDES} | {
    f"{GEN}_{what}_check": (f"{GEN}_{what}_generic_check",) for what in GENERIC
}


def _exact_nid(memblock: Memblock, size: int, min_addr: int, max_addr: int, nid: int) -> int:
    return memblock_alloc_exact_nid_raw(memblock, size, C, min_addr, max_addr, nid)


@pytest.mark.parametrize("movable_node", [False, True], ids=["", "movable_node"])
@pytest.mark.parametrize(("name", "row", "bottom_up"), legs(RUNS, ROWS), ids=leg_id)
def test_this_node_or_none(name: str, row: Row, bottom_up: bool, movable_node: bool) -> None:
    holds(row, nodes(bottom_up, movable_node), _exact_nid)


def test_every_check_of_the_kernel_has_its_row() -> None:
    names = [row.name for row in ROWS]
    assert sorted([*names, *RUNS]) == sorted(checks_of("alloc_exact_nid_api.c"))
    assert sorted(part for parts in RUNS.values() for part in parts) == sorted(names)
