"""One sentence about one line of a report."""

from __future__ import annotations

from typing import NamedTuple

from memsim.lib.sizes import show_size


class Finding(NamedTuple):
    """What a line says. `line` is its number in the log, 0: of no one line."""

    line: int
    about: str
    says: str


def size_of(pages: int, page_kb: int = 4) -> str:
    """`3 pages (12 KiB)`."""
    return f"{pages} page{'' if pages == 1 else 's'} ({show_size(pages * page_kb << 10)})"
