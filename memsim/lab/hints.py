"""Hints, one after the other. How many were taken is kept beside the reader's own notebooks."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from memsim.files import write_whole
from memsim.lab.spec import Spec

#: {exercise: how many hints were taken}
FILE = "hints.json"
_KINDS = ("the idea", "what to use", "nearly the code")
_MAX_BYTES = 1 << 20


class Hint(str):
    """A text that a notebook shows without quotes."""

    __repr__ = str.__str__


class Hints:
    """The three hints of an exercise. A folder that nothing can be written in counts anew."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self._spec = spec
        self._path = folder / FILE
        self.used = _read(self._path).get(spec.name, 0)

    def next(self) -> Hint:
        """The next hint; after the third all are said again."""
        if self.used == len(self._spec.hints):
            return Hint("\n".join(self.taken()))
        self.used += 1
        with suppress(OSError):
            kept = _read(self._path) | {self._spec.name: self.used}
            write_whole(self._path, json.dumps(kept, indent=1).encode())
        return Hint(self.taken()[-1])

    def taken(self) -> list[str]:
        """The hints so far, each with what kind it is."""
        told = enumerate(zip(_KINDS, self._spec.hints, strict=True), 1)
        return [f"Hint {n} of 3, {kind}: {hint}" for n, (kind, hint) in told][: self.used]


def _read(path: Path) -> dict[str, int]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            return {}
        told = json.loads(path.read_bytes())
        return {str(k): min(max(int(n), 0), len(_KINDS)) for k, n in told.items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
