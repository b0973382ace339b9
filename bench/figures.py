"""Medians with their spread, and how progress is told."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from typing import NamedTuple


class Spread(NamedTuple):
    """The median of several figures, the least and the greatest of them."""

    median: float
    low: float
    high: float


def spread(figures: Iterable[float]) -> Spread:
    """The Spread of figures, of which there must be one at least."""
    ordered = sorted(figures)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def tell(what: str, *, detail: bool = False) -> None:
    """Say on stderr what is being measured; on a terminal the line is written over.

    A detail is for terminals only.
    """
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
    elif what and not detail:
        print(what, file=sys.stderr, flush=True)
