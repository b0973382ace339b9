"""The slab allocator's last state against the recorded one, cache by cache."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from memsim.mm.restore import Field
from memsim.mm.slub.restore import MAX_CACHES, address_in
from memsim.mm.slub.slab import KmemCache
from memsim.mm.slub.snapshot import cache_lists
from memsim.replay.pages.compare import Tally


@dataclass
class CacheEnd:
    """A cache at the end: its requests, how many were exact, and where it differs, if anywhere."""

    name: str
    requests: int
    exact: int
    difference: str

    @property
    def all_exact(self) -> bool:
        """Was every object that it gave the kernel's?"""
        return self.exact == self.requests


@dataclass
class CacheTally(Tally):
    """The tally of caches, with each of them."""

    each: list[CacheEnd] = field(default_factory=list)

    def all_exact(self) -> tuple[int, list[CacheEnd]]:
        """How many gave no object but the kernel's; those among them that end otherwise."""
        caches = [cache for cache in self.each if cache.all_exact]
        return len(caches), [cache for cache in caches if cache.difference]


def compare_caches(
    addresses: dict[int, KmemCache],
    end: Field,
    asked: Counter[KmemCache],
    missed: Counter[KmemCache],
) -> CacheTally:
    """Every cache of the recorded end: slabs, freelists, partial lists in order, counts, tids.

    asked, missed: by cache, its requests, and those that memsim answered otherwise.
    """
    tally = CacheTally()
    for told in end.items(0, MAX_CACHES):
        s = addresses.get(address_in(told["addr"]))
        got = {} if s is None else cache_lists(s)
        expected = {"cpu": told["cpu"].value, "node": told["node"].value}
        name = f"{told['name'].value!s:.40}"
        difference = "" if got == expected else _first_difference(expected, got)
        if difference and len(tally.differences) < 20:
            tally.differences.append(f"{name}: {difference}")
        requests, misses = (0, 0) if s is None else (asked[s], missed[s])
        tally.each.append(CacheEnd(name, requests, requests - misses, difference))
        tally.total += 1
        tally.equal += not difference
    return tally


def _first_difference(expected: Any, got: Any, path: str = "") -> str:
    """Where the two differ first."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in expected:
            if expected[key] != got.get(key):
                return _first_difference(expected[key], got.get(key), f"{path}.{key}".lstrip("."))
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (one, other) in enumerate(zip(expected, got, strict=True)):
            if one != other:
                return _first_difference(one, other, f"{path}[{index}]")
    return f"{path}: expected {expected!s:.60}, got {got!s:.60}"
