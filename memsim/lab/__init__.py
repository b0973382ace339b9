"""What readers are handed, what becomes of it, and exercises that say at once what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memsim.lab.exercise import Exercise

__all__ = ["Exercise"]


def __getattr__(name: str) -> Any:
    """Exercise draws, with packages of the `course` extra: the command does without them."""
    if name != "Exercise":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from memsim.lab.exercise import Exercise

    return Exercise
