"""Plain data: what may pass between a student's code and who looks at it."""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from typing import Any

#: What a value of that type is called.
WORDS = defaultdict(
    lambda: "something else",
    {
        dict: "a dict", list: "a list", str: "a text", int: "a whole number", bool: "a bool",
        float: "a number with a point", type(None): "null",
    },
)  # fmt: skip
#: Nothing deeper, longer or larger is looked at.
MAX_DEPTH = 40
MAX_ITEMS = 100_000
_MAX_TEXT = 64 << 10
_MAX_BITS = 4096


class NotPlain(Exception):
    """A value that is no plain data; the text says which, and what to return instead."""


def plain(value: Any) -> Any:
    """The same as None, bools, ints, floats, texts, lists, and dicts with texts as keys.

    Tuples become lists and keys that are ints become texts, as in JSON. NotPlain for the rest.
    """
    return _plain(value, MAX_DEPTH, [MAX_ITEMS])


def _plain(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        raise NotPlain(f"it is deeper than {MAX_DEPTH} or has more than {MAX_ITEMS} entries")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(entry, depth - 1, left) for entry in value]
    if isinstance(value, dict):
        return {_key(key): _plain(entry, depth - 1, left) for key, entry in value.items()}
    return _int(value)


def _text(value: str) -> str:
    if len(value) > _MAX_TEXT:
        raise NotPlain(f"it has a text of {len(value)} characters")
    return str(value)


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise NotPlain(f"it has {value}, which is no number to compare with")
    return float(value)


def _int(value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        advice = "; return a list" if isinstance(value, (set, frozenset, range)) else ""
        raise NotPlain(f"it has a {type(value).__name__}, not plain data{advice}") from None
    if number.bit_length() > _MAX_BITS:
        raise NotPlain(f"it has a number of {number.bit_length()} bits")
    return number


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _text(key)
    if isinstance(key, int) and not isinstance(key, bool):
        return str(_int(key))
    raise NotPlain(f"it has a dict with a {type(key).__name__} as a key; use texts or ints")
