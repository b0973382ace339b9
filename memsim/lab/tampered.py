"""Has somebody changed memsim in this Python? Its functions are compared with what they were."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any


class Seal:
    """What memsim's modules were like when the seal was put on."""

    def __init__(self) -> None:
        self._were = dict(_functions())

    def broken(self) -> str:
        """The first function that is another now; "": none is."""
        now = dict(_functions())
        changed = (name for name, code in self._were.items() if now.get(name) is not code)
        return next(changed, "")


def _functions() -> list[tuple[str, Any]]:
    """The code of each function and method of memsim's loaded modules, by its whole name."""
    found = []
    for name, module in sorted(sys.modules.items()):
        if name == "memsim" or name.startswith("memsim."):
            for key, value in list(vars(module).items()):
                found += _codes(f"{name}.{key}", value)
    return found


def _codes(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, FunctionType):
        return [(name, value.__code__)]
    if isinstance(value, type):
        functions = [(k, f) for k, f in vars(value).items() if isinstance(f, FunctionType)]
        return [(f"{name}.{key}", function.__code__) for key, function in functions]
    return []
