"""The loop that does a workload's operations to an allocator in Python, and what came of it."""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bench.workloads import REQUESTERS

NULL = -1
FNV_OFFSET = 14695981039346656037
FNV_PRIME = 1099511628211

#: (gfp_mask, order, nid) to pfn or NULL; (pfn, order).
Alloc = Callable[[int, int, int], int]
Free = Callable[[int, int], None]


class Outcome(NamedTuple):
    """The hash of the pfns in order, failed requests, free pages at the end, CPU seconds."""

    hash: str
    failures: int
    free_pages: int
    seconds: float


def drive(operations: array[int], alloc: Alloc, free: Free) -> tuple[list[int], float]:
    """Do the operations: (the pfn that each request got, or NULL; CPU seconds)."""
    pfns: list[int] = []
    orders: list[int] = []
    gc.disable()
    started = time.process_time()
    for v in operations:
        if v >= 0:
            order = v & 15
            orders.append(order)
            pfns.append(alloc(REQUESTERS[v >> 4], order, 0))
        elif pfns[~v] != NULL:
            free(pfns[~v], orders[~v])
    seconds = time.process_time() - started
    gc.enable()
    return pfns, seconds


def pfn_hash(pfns: Iterable[int]) -> str:
    """FNV-1a over the pfns, 64 bits at a time, as 16 hex digits; failed requests are left out."""
    hashed = FNV_OFFSET
    for pfn in pfns:
        if pfn != NULL:
            hashed = (hashed ^ pfn) * FNV_PRIME & (1 << 64) - 1
    return f"{hashed:016x}"


def outcome(pfns: list[int], free_pages: int, seconds: float) -> Outcome:
    """An Outcome from what drive() gave."""
    return Outcome(pfn_hash(pfns), pfns.count(NULL), free_pages, seconds)
