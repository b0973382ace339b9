"""The workloads, each with a fixed seed: what every allocator on the bench is asked to do.

An operation is an int: v >= 0 asks for a block of order v & 15 on behalf of requester v >> 4, the
n-th request having id n (from 0); v < 0 frees what request -(v + 1) got, if it got anything.
So W1, W2 and W3, which only requester 0 makes, have the published form.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from typing import NamedTuple

from memsim.words.gfp import __GFP_RECLAIMABLE, GFP_HIGHUSER_MOVABLE, GFP_KERNEL

ARENA_PAGES = 1 << 20
#: 256 MiB.
ZONE_PAGES = 1 << 16
#: gfp_mask by requester: user memory, the kernel's own, and what the kernel could reclaim.
REQUESTERS = (GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_KERNEL | __GFP_RECLAIMABLE)


class Live:
    """Writes operations, and keeps the ids of the requests whose blocks are not freed yet."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.operations: array[int] = array("i")
        self.ids: list[int] = []
        self.orders: list[int] = []
        self.pages = 0

    def alloc(self, order: int, requester: int = 0) -> None:
        self.operations.append(requester << 4 | order)
        self.ids.append(len(self.orders))
        self.orders.append(order)
        self.pages += 1 << order

    def free(self) -> None:
        """Free a block that chance picks."""
        victim = self.chance.randrange(len(self.ids))
        self.ids[victim], self.ids[-1] = self.ids[-1], self.ids[victim]
        freed = self.ids.pop()
        self.operations.append(-(freed + 1))
        self.pages -= 1 << self.orders[freed]

    def order(self) -> int:
        """Order 0 to 9: order k with probability 2**-(k+1)."""
        order = 0
        while order < 9 and self.chance.random() < 0.5:
            order += 1
        return order


def w1_mixed(nr: int = 1_000_000, seed: int = 42) -> array[int]:
    """Orders 0 to 9, order k with probability 2**-(k+1); about half of the arena stays in use."""
    live = Live(seed)
    while len(live.operations) < nr:
        likely = 0.6 if live.pages < ARENA_PAGES // 2 else 0.4
        if not live.ids or live.chance.random() < likely:
            live.alloc(live.order())
        else:
            live.free()
    return live.operations


def w2_order0(nr: int = 1_000_000, seed: int = 43) -> array[int]:
    """nr / 2 single pages, then all freed in random order."""
    ids = list(range(nr // 2))
    random.Random(seed).shuffle(ids)
    return array("i", [0] * len(ids) + [-(i + 1) for i in ids])


def w3_pingpong(nr: int = 1_000_000) -> array[int]:
    """nr / 2 times: allocate a single page, free it. Without pcp: 10 splits, then 10 merges."""
    return array("i", [v for i in range(nr // 2) for v in (0, -(i + 1))])


def churn(nr: int, seed: int = 44) -> array[int]:
    """Bursts of up to 200 single pages allocated, then of up to 200 freed; at most 4000 in use."""
    live = Live(seed)
    while len(live.operations) < nr:
        for _ in range(min(live.chance.randrange(200), 4000 - live.pages)):
            live.alloc(0)
        for _ in range(min(live.chance.randrange(200), live.pages)):
            live.free()
    return live.operations[:nr]


def mixed(nr: int, seed: int = 45) -> array[int]:
    """Orders 0 to 9 for three requesters, 85 % of the zone in use.

    Every 20000 operations another requester wants half of the blocks, so that types fall back.
    """
    live = Live(seed)
    while len(live.operations) < nr:
        if live.pages < ZONE_PAGES * 85 // 100:
            most = len(live.operations) // 20000 % 3
            live.alloc(live.order(), live.chance.choice((0, 1, 2, most, most, most)))
        else:
            live.free()
    return live.operations


class Workload(NamedTuple):
    """Operations, and the zone that they are made for: its pages, and min_free_kbytes."""

    name: str
    what: str
    generate: Callable[[int], array[int]]
    nr_operations: int
    nr_pages: int
    min_free_kbytes: int


#: The published ones have an arena without watermarks; the others a zone as a machine has it.
WORKLOADS = (
    Workload("W1", "published: orders 0 to 9, half full", w1_mixed, 1_000_000, ARENA_PAGES, 0),
    Workload("W2", "published: order 0, freed at random", w2_order0, 1_000_000, ARENA_PAGES, 0),
    Workload("W3", "published: ping-pong of order 0", w3_pingpong, 1_000_000, ARENA_PAGES, 0),
    Workload("churn", "bursts of order 0", churn, 300_000, ZONE_PAGES, 2048),
    Workload("mixed", "orders 0 to 9, three types, 85 % full", mixed, 200_000, ZONE_PAGES, 2048),
    Workload("ping-pong", "order 0, all merged between", w3_pingpong, 100_000, ZONE_PAGES, 2048),
)
