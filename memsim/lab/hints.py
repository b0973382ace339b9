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
        hints = self._spec.hints
        if self.used == len(hints):
            return Hint("\n".join(f"Hint {n}: {hint}" for n, hint in enumerate(hints, 1)))
        self.used += 1
        with suppress(OSError):
            kept = _read(self._path) | {self._spec.name: self.used}
            write_whole(self._path, json.dumps(kept, indent=1).encode())
        kind = _KINDS[self.used - 1]
        return Hint(f"Hint {self.used} of {len(hints)}, {kind}: {hints[self.used - 1]}")


def _read(path: Path) -> dict[str, int]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            return {}
        told = json.loads(path.read_bytes())
        return {str(k): min(max(int(n), 0), len(_KINDS)) for k, n in told.items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
