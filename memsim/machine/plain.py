"""Numbers of any kind, as numpy's are, become Python's own here; the model is given no others.

>>> from array import array
>>> plain((1, [array("q", [2, 3])], "4"))
(1, [[2, 3]], '4')
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial, wraps
from numbers import Integral
from operator import index, methodcaller
from types import FunctionType
from typing import Any, TypeVar

_C = TypeVar("_C", bound=type)
#: What is passed on as it is, and mostly comes.
_PLAIN = frozenset({int, bool, str, float, type(None)})


def plain(value: Any) -> Any:
    """The value with Python's own numbers, also in lists, tuples, sets and arrays."""
    kind: Any = type(value)
    make = _maker(kind)
    return value if make is None else make(value)


def plain_numbers(cls: _C) -> _C:
    """Have the public functions that a class defines called with plain() arguments."""
    for name, found in list(vars(cls).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(found, FunctionType):
            setattr(cls, name, _plainly(found))
        elif isinstance(found, classmethod):
            setattr(cls, name, classmethod(_plainly(found.__func__)))
    return cls


def _plainly(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def called(self: Any, *args: Any, **how: Any) -> Any:
        if not _PLAIN.issuperset(map(type, args)):
            args = tuple(map(plain, args))
        if how and not _PLAIN.issuperset(map(type, how.values())):
            how = {name: plain(value) for name, value in how.items()}
        return function(self, *args, **how)

    return called


@cache
def _maker(kind: type) -> Callable[[Any], Any] | None:
    """What makes a value of this kind plain; None: it is."""
    if issubclass(kind, int | float | str | bytes | memoryview):
        return None
    if issubclass(kind, Integral):
        return index
    if hasattr(kind, "tolist"):  # numpy's arrays, and Python's
        return methodcaller("tolist")
    if hasattr(kind, "_make"):  # a NamedTuple
        return lambda value: kind._make(map(plain, value))
    for many in (list, tuple, set):
        if issubclass(kind, many):
            return lambda value: many(map(plain, value))
    return partial(map, plain) if issubclass(kind, Iterator) else None
