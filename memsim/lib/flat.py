"""Flat arrays, one entry a page, that cost nothing until they are touched."""

from __future__ import annotations

import mmap
from array import array
from typing import TypeAlias

Ints: TypeAlias = "array[int] | memoryview[int]"
Bytes: TypeAlias = "bytearray | memoryview[int]"

#: Up to this many entries an array is eager: quicker to index, and small enough to fill.
EAGER_ENTRIES = 1 << 20


def zeroed_ints(nr: int) -> Ints:
    """nr signed 32-bit zeros. Above EAGER_ENTRIES they are anonymous memory, lazily zero."""
    if nr <= EAGER_ENTRIES:
        return array("i", bytes(4 * nr))
    return memoryview(mmap.mmap(-1, 4 * nr)).cast("i")


def zeroed_bytes(nr: int) -> Bytes:
    """nr zero bytes. Above EAGER_ENTRIES they are anonymous memory, lazily zero."""
    if nr <= EAGER_ENTRIES:
        return bytearray(nr)
    return memoryview(mmap.mmap(-1, nr))
