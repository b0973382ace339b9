"""The slab allocator's last state against the recorded one, cache by cache."""

from __future__ import annotations

from typing import Any

from memsim.mm.restore import Field
from memsim.mm.slub.restore import MAX_CACHES, address_in
from memsim.mm.slub.slab import KmemCache
from memsim.mm.slub.snapshot import cache_lists
from memsim.replay.compare import Tally


def compare_caches(addresses: dict[int, KmemCache], end: Field) -> Tally:
    """Every cache of the recorded end: slabs, freelists, partial lists in order, counts, tids."""
    tally = Tally()
    for field in end.items(0, MAX_CACHES):
        s = addresses.get(address_in(field["addr"]))
        got = {} if s is None else cache_lists(s)
        expected = {"cpu": field["cpu"].value, "node": field["node"].value}
        same = got == expected
        if not same and len(tally.differences) < 20:
            where = _first_difference(expected, got)
            tally.differences.append(f"{field['name'].value!s:.40}: {where}")
        tally.total += 1
        tally.equal += same
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
