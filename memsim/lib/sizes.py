"""Sizes as people write them: "64 MiB", "1GiB", or a number of bytes."""

from __future__ import annotations

import re

_UNITS = {"": 0, "B": 0, "KIB": 10, "K": 10, "MIB": 20, "M": 20, "GIB": 30, "G": 30, "TIB": 40,
          "T": 40}  # fmt: skip
_SIZE = re.compile(r" *([0-9]{1,15}) *([A-Za-z]*) *")


def parse_size(size: int | str) -> int:
    """Bytes. Units are binary: K, M, G and T mean KiB to TiB. ValueError for anything else.

    >>> parse_size("64 MiB")
    67108864
    """
    match = _SIZE.fullmatch(str(size))
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError(f"{str(size)[:40]!r} is not a size; write '64 MiB' or a number of bytes")
    return int(match[1]) << _UNITS[match[2].upper()]


def show_size(size: int) -> str:
    """A size in bytes as people read it, in the largest unit that leaves at least 1.

    >>> show_size(64 << 20), show_size(13098688), show_size(0)
    ('64 MiB', '12.5 MiB', '0 B')
    """
    unit = min(max(size.bit_length() - 1, 0) // 10, 4)
    name = ("B", "KiB", "MiB", "GiB", "TiB")[unit]
    return f"{size / (1 << 10 * unit):,.1f}".removesuffix(".0") + f" {name}"
