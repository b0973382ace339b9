"""Flat arrays, one entry a page. Large ones cost nothing until they are touched."""

from __future__ import annotations

import mmap
from typing import TypeAlias

Ints: TypeAlias = "list[int] | memoryview[int]"
Bytes: TypeAlias = "bytearray | memoryview[int]"

#: Up to here ints are a list, which Python indexes four times as fast as any packed array: the
#: pages of 1 GiB, and the list heads behind them.
LISTED_INTS = (1 << 18) + (1 << 16)
#: Up to here bytes are a bytearray.
EAGER_BYTES = 1 << 20


def zeroed_ints(nr: int) -> Ints:
    """nr zeros, of 32 bits at least. Above LISTED_INTS they are anonymous memory, lazily zero."""
    if nr <= LISTED_INTS:
        return [0] * nr
    return memoryview(mmap.mmap(-1, 4 * nr)).cast("i")


def zeroed_bytes(nr: int) -> Bytes:
    """nr zero bytes. Above EAGER_BYTES they are anonymous memory, lazily zero."""
    if nr <= EAGER_BYTES:
        return bytearray(nr)
    return memoryview(mmap.mmap(-1, nr))
