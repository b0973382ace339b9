"""Free blocks that are not listed yet: nothing can tell them from listed ones."""

from __future__ import annotations

import random
from typing import Any

import pytest

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine, MemsimError
from memsim.words.mmzone import MAX_PAGE_ORDER


def answers(machine: Machine, seed: int) -> list[object]:
    """What a seeded life gives: pages, refusals, and the buddyinfo of each zone now and then."""
    chance = random.Random(seed)
    live: list[int] = []
    seen: list[object] = []
    for step in range(1500):
        cpu, nid = step % machine.vm.nr_cpus, step // 5 % len(machine.vm.nodes)
        draw = chance.random()
        try:
            if draw < 0.55 or not live:
                order = chance.choice((0, 0, 0, 1, 3, 5, 9, MAX_PAGE_ORDER))
                gfp_mask = chance.choice((GFP_KERNEL, GFP_HIGHUSER_MOVABLE))
                live.append(machine.alloc_pages(gfp_mask, order, cpu=cpu, nid=nid))
                seen.append(live[-1])
            elif draw < 0.97:
                machine.free_pages(live.pop(chance.randrange(len(live))), cpu=cpu)
            elif draw < 0.98:
                machine.isolate_pageblock(chance.randrange(machine.vm.max_pfn))
            elif draw < 0.985:
                seen.append(machine.alloc_pages_exact(5 << 12, GFP_KERNEL))
            else:
                machine.drain_all_pages()
        except MemsimError as error:
            seen.append(type(error))
        if step % 50 == 0:
            seen.append([[area.nr_free for area in zone.free_area] for zone in machine.vm.zones])
    return seen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "description",
    [
        {"ram": "512 MiB"},
        {"ram": ["256 MiB", "320 MiB"], "cpus": 2, "movablecore": "128 MiB"},
        {"ram": "1 GiB", "arch": "x86-32"},
    ],
    ids=["one node", "two nodes", "32 bits"],
)
def test_lazy_answers_as_eager(description: dict[str, Any], seed: int) -> None:
    """A snapshot lists every block: the machine that was asked for one is the eager one."""
    lazy, eager = Machine(**description, steps=False), Machine(**description, steps=False)
    assert any(zone.deferred_pfn < zone.deferred_end for zone in lazy.vm.zones)
    eager.snapshot()
    assert not any(zone.deferred_pfn < zone.deferred_end for zone in eager.vm.zones)
    assert answers(lazy, seed) == answers(eager, seed)
    assert lazy.snapshot() == eager.snapshot()


def test_a_tebibyte_answers_as_a_small_machine_that_ends_the_same_way() -> None:
    """Blocks are given out from the list's head, so the first ones do not depend on the rest."""
    large, small = Machine("1 TiB", steps=False), Machine("16 GiB", steps=False)
    requests = [(GFP_KERNEL, order) for order in (0, 3, 9, 10, 10, 10)] * 4
    first = 0x100000
    took = [[m.alloc_pages(*r) - first for r in requests] for m in (large, small)]
    assert took[0] == took[1]
    assert large.zone("Normal").deferred_pfn < large.zone("Normal").deferred_end
