"""Comparators and invariants, by name: how right is an answer, from 0 to 1?

They are given plain data only, and call nothing that a student made. A comparator is given what
is expected and what came; an invariant what came. A folder of an exercise may have more of them
in its judge.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

#: Free lists of one machine: what is done to an answer must be bounded.
_MAX_LISTS = 64


class Judged(NamedTuple):
    """What the comparators of a judge.py may return instead of a number."""

    score: float
    #: What to tell the student.
    note: str = ""
    #: Which of the known mistakes it is.
    mistake: str = ""


Comparator = Callable[[Any, Any], float | Judged]


def equal(expected: Any, got: Any) -> float:
    """1 if both are the same, types too: True is not 1, and 1.0 is not 1."""
    return float(_same(expected, got))


def unordered(expected: Any, got: Any) -> float:
    """1 if two lists have the same entries, in any order."""
    if not isinstance(expected, list) or not isinstance(got, list) or len(got) != len(expected):
        return 0.0
    rest = list(got)
    for entry in expected:
        at = next((n for n, other in enumerate(rest) if _same(entry, other)), -1)
        if at < 0:
            return 0.0
        del rest[at]
    return 1.0


def near(expected: Any, got: Any) -> float:
    """1 if a number is within expected["within"] of expected["value"]."""
    return float(_is_number(got) and abs(got - expected["value"]) <= expected["within"])


def one_of(expected: Any, got: Any) -> float:
    """1 if it is one of the expected."""
    return float(any(_same(entry, got) for entry in expected))


def scored(expected: Any, got: Any) -> float:
    """A number from expected["none"], worth 0, to expected["full"], worth 1; linear between."""
    if not _is_number(got):
        return 0.0
    none, full = expected["none"], expected["full"]
    return float(min(max((got - none) / (full - none), 0), 1))


def matching(expected: Any, got: Any) -> float:
    """How many entries of a list are the expected ones, at their places."""
    if not isinstance(got, list) or not expected:
        return 0.0
    hits = sum(_same(*pair) for pair in zip(expected, got, strict=False))
    return hits / max(len(expected), len(got))


def _same(expected: Any, got: Any) -> bool:
    if type(expected) is not type(got):
        return False
    if isinstance(expected, list):
        return len(expected) == len(got) and all(map(_same, expected, got))
    if isinstance(expected, dict):
        return expected.keys() == got.keys() and all(_same(expected[k], got[k]) for k in expected)
    return bool(expected == got)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def free_lists_disjoint(got: Any) -> bool:
    """Free lists, [list of pfns of order 0, of order 1, ...]: no page is on them twice."""
    blocks = sorted((pfn, pfn + (1 << order)) for order, pfns in _orders(got) for pfn in pfns)
    return all(end <= pfn for (_, end), (pfn, _) in pairwise(blocks))


def free_blocks_aligned(got: Any) -> bool:
    """The first pfn of each free block is a multiple of its size."""
    return not any(pfn & ((1 << order) - 1) for order, pfns in _orders(got) for pfn in pfns)


def no_free_buddies(got: Any) -> bool:
    """No two free buddies below the largest order: they would have been merged."""
    lists = [(order, set(pfns)) for order, pfns in _orders(got)][:-1]
    return not any(pfn ^ (1 << order) in pfns for order, pfns in lists for pfn in pfns)


def _orders(got: Any) -> list[tuple[int, Any]]:
    """The lists with their orders. ValueError if there are more than any machine has."""
    if len(got) > _MAX_LISTS:
        raise ValueError
    return list(enumerate(got))


COMPARATORS: Mapping[str, Comparator] = {
    f.__name__: f for f in (equal, unordered, near, one_of, scored, matching)
}
INVARIANTS: Mapping[str, Callable[[Any], bool]] = {
    f.__name__: f for f in (free_lists_disjoint, free_blocks_aligned, no_free_buddies)
}
