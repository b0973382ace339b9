"""The published hashes of pfns for W1, W2 and W3: no pcp, one zone of 2**20 pages, one type."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench import model
from bench.workloads import ARENA_PAGES, WORKLOADS
from memsim import Machine
from memsim.mm.mmzone import list_pages
from memsim.mm.page_alloc import buddy
from memsim.mm.page_alloc.free_list import (
    _add_to_free_list,
    _del_page_from_free_list,
    list_all_deferred,
)
from memsim.words.mmzone import MIGRATE_MOVABLE

pytestmark = pytest.mark.alone

#: W3 takes three times as long as both others.
EACH = ["W1", "W2", pytest.param("W3", marks=pytest.mark.long)]
PUBLISHED = {w.name: w for w in WORKLOADS if w.nr_pages == ARENA_PAGES}
#: With the kernel's tail rule, first blocks ascending from the head.
TAIL_RULE = {
    "W1": 0x5FBF00C7385D739C,
    "W2": 0xDEDE7D4C4762DFC5,
    "W3": 0xED0FAE7324E709A5,
}
#: Plain LIFO lists, the highest first block at the head.
LIFO = {"W1": 0x22A2E9412CC114E6, "W2": 0x093B02D33E902FC5, "W3": 0x5925847117FE09A5}
FREE_AT_END = {"W1": 523_668, "W2": ARENA_PAGES, "W3": ARENA_PAGES}


def arena(name: str) -> Machine:
    """One zone of 2**20 pages, nothing kept on pcp lists, nothing traced."""
    return model.boot(PUBLISHED[name], pcp=False)


def check(machine: Machine, name: str, expected: int) -> None:
    """Run the workload: its hash, no failure, and the published number of free pages."""
    workload = PUBLISHED[name]
    outcome = model.run(machine, workload.generate(workload.nr_operations))
    assert outcome.hash == f"{expected:016x}"
    assert outcome.failures == 0
    assert outcome.free_pages == FREE_AT_END[name]


@pytest.mark.parametrize("name", EACH)
def test_hash_with_the_tail_rule(name: str) -> None:
    """The kernel's placement."""
    check(arena(name), name, TAIL_RULE[name])


@pytest.mark.parametrize("name", EACH)
def test_hash_of_the_plain_buddy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without buddy_merge_likely(), and with the first blocks pushed in ascending order."""
    never: Callable[..., bool] = lambda *_: False  # noqa: E731
    monkeypatch.setattr(buddy, "buddy_merge_likely", never)
    machine = arena(name)
    push_again_at_the_head(machine)
    check(machine, name, LIFO[name])


def push_again_at_the_head(machine: Machine) -> None:
    """Turn the list of first blocks around: the highest comes to stand at the head."""
    zone = machine.zone()
    list_all_deferred(zone)
    for page in list_pages(zone, zone.free_area[10].free_list[MIGRATE_MOVABLE]):
        _del_page_from_free_list(zone, page, 10, MIGRATE_MOVABLE)
        _add_to_free_list(zone, page, 10, MIGRATE_MOVABLE, False)
