"""The three page workloads that other allocators were measured on: W1, W2, W3, with fixed seeds.

An operation is an int: v >= 0 allocates a block of order v, the n-th allocation having id n (from
0); v < 0 frees allocation -(v + 1). The arena has 2**20 pages.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable

from memsim.mm.mmzone import Vm
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE
from memsim.words.mmzone import NULL

ARENA_PAGES = 1 << 20
FNV_OFFSET = 14695981039346656037
FNV_PRIME = 1099511628211


def w1_mixed(nr: int = 1_000_000, seed: int = 42) -> array[int]:
    """Orders 0 to 9, order k with probability 2**-(k+1); about half of the arena stays in use."""
    chance = random.Random(seed)
    operations = array("i")
    live: list[int] = []
    orders: list[int] = []
    pages = 0
    while len(operations) < nr:
        if not live or chance.random() < (0.6 if pages < ARENA_PAGES // 2 else 0.4):
            order = 0
            while order < 9 and chance.random() < 0.5:
                order += 1
            operations.append(order)
            live.append(len(orders))
            orders.append(order)
            pages += 1 << order
        else:
            victim = chance.randrange(len(live))
            live[victim], live[-1] = live[-1], live[victim]
            freed = live.pop()
            operations.append(-(freed + 1))
            pages -= 1 << orders[freed]
    return operations


def w2_order0(nr: int = 500_000, seed: int = 43) -> array[int]:
    """nr single pages, then all freed in random order."""
    ids = list(range(nr))
    random.Random(seed).shuffle(ids)
    return array("i", [0] * nr + [-(i + 1) for i in ids])


def w3_pingpong(nr: int = 500_000) -> array[int]:
    """nr times: allocate a single page, free it."""
    return array("i", [v for i in range(nr) for v in (0, -(i + 1))])


def run(vm: Vm, operations: Iterable[int]) -> tuple[int, int, dict[int, tuple[int, int]]]:
    """Do the operations to vm: (FNV-1a hash of the pfns in order, failures, live blocks by id)."""
    hashed, failures, serial = FNV_OFFSET, 0, 0
    live: dict[int, tuple[int, int]] = {}
    for operation in operations:
        if operation >= 0:
            page = alloc_pages(vm, GFP_HIGHUSER_MOVABLE, operation, 0)
            if page == NULL:
                failures += 1
            else:
                hashed = (hashed ^ page) * FNV_PRIME & (1 << 64) - 1
                live[serial] = (page, operation)
            serial += 1
        elif -(operation + 1) in live:
            page, order = live.pop(-(operation + 1))
            free_unref_page(vm, page, order)
    return hashed, failures, live
