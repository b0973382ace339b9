"""Where a machine comes from: the files, what they did not tell, and what was drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """What a machine was made of.

    `used`: the path of each file that was read. `missing`: why a file was not. `notes`: sentences
    about what was not told or did not agree; the first says that positions are drawn.
    """

    folder: str
    used: dict[str, str]
    missing: dict[str, str]
    seed: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"read: {path}" for path in self.used.values()]
        lines += [f"not read: {name}: {why}" for name, why in self.missing.items()]
        return "\n".join([*lines, *self.notes])
