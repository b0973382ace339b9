"""The published hashes of pfns for W1, W2 and W3: no pcp, one zone of 2**20 pages, one type."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.workloads import ARENA_PAGES, run, w1_mixed, w2_order0, w3_pingpong
from memsim import Machine
from memsim.mm.mmzone import Vm, list_pages
from memsim.mm.page_alloc import buddy
from memsim.mm.page_alloc.free_list import (
    _add_to_free_list,
    _del_page_from_free_list,
    list_all_deferred,
)
from memsim.mm.vmstat import zone_page_state_snapshot
from memsim.words.mmzone import MIGRATE_MOVABLE, NR_FREE_PAGES

WORKLOADS = {"W1": w1_mixed, "W2": w2_order0, "W3": w3_pingpong}
#: With the kernel's tail rule, first blocks ascending from the head.
TAIL_RULE = {
    "W1": 0x5FBF00C7385D739C,
    "W2": 0xDEDE7D4C4762DFC5,
    "W3": 0xED0FAE7324E709A5,
}
#: Plain LIFO lists, the highest first block at the head.
LIFO = {"W1": 0x22A2E9412CC114E6, "W2": 0x093B02D33E902FC5, "W3": 0x5925847117FE09A5}
FREE_AT_END = {"W1": 523_668, "W2": ARENA_PAGES, "W3": ARENA_PAGES}


def arena() -> Vm:
    """One zone of 2**20 pages, nothing kept on pcp lists, nothing traced."""
    vm = Machine.of_pages(ARENA_PAGES, steps=False).vm
    vm.trace.mask = 0
    return vm


def check(vm: Vm, name: str, expected: int) -> None:
    """Run the workload: its hash, no failure, and the published number of free pages."""
    hashed, failures, live = run(vm, WORKLOADS[name]())
    assert f"{hashed:016x}" == f"{expected:016x}"
    assert failures == 0
    zone = next(zone for zone in vm.zones if zone.present_pages)
    assert zone_page_state_snapshot(zone, NR_FREE_PAGES) == FREE_AT_END[name]
    assert sum(1 << order for _, order in live.values()) == ARENA_PAGES - FREE_AT_END[name]


@pytest.mark.parametrize("name", TAIL_RULE)
def test_hash_with_the_tail_rule(name: str) -> None:
    """The kernel's placement."""
    check(arena(), name, TAIL_RULE[name])


@pytest.mark.parametrize("name", LIFO)
def test_hash_of_the_plain_buddy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without buddy_merge_likely(), and with the first blocks pushed in ascending order."""
    never: Callable[..., bool] = lambda *_: False  # noqa: E731
    monkeypatch.setattr(buddy, "buddy_merge_likely", never)
    vm = arena()
    push_again_at_the_head(vm)
    check(vm, name, LIFO[name])


def push_again_at_the_head(vm: Vm) -> None:
    """Turn the list of first blocks around: the highest comes to stand at the head."""
    zone = next(zone for zone in vm.zones if zone.present_pages)
    list_all_deferred(zone)
    for page in list_pages(zone, zone.free_area[10].free_list[MIGRATE_MOVABLE]):
        _del_page_from_free_list(zone, page, 10, MIGRATE_MOVABLE)
        _add_to_free_list(zone, page, 10, MIGRATE_MOVABLE, False)
