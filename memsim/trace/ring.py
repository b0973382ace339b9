"""The ring that kernel events are written to: fixed-width records, the oldest overwritten.

Kernel: kernel/trace/ring_buffer.c, with one ring for all CPUs.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

#: Integers in a record: sequence number, event | cpu << 8, then six arguments.
RECORD = 8

Record = tuple[int, int, int, int, int, int, int, int]


class Ring:
    """The last `capacity` records. `written` counts all that came, `lost` those overwritten."""

    __slots__ = ("_ints", "_mask", "written")

    def __init__(self, capacity: int = 1 << 16) -> None:
        if capacity < 1 or capacity & (capacity - 1):
            raise ValueError(f"ring capacity {capacity} is not a power of two")
        self._ints = array("q")  # grows up to its capacity: most machines write a few records
        self._mask = capacity - 1
        self.written = 0

    @property
    def lost(self) -> int:
        """Records that were overwritten before anybody could read them."""
        return max(0, self.written - self._mask - 1)

    def write(self, record: Record) -> None:
        """Append one record, over the oldest once the ring is full. Cost: O(1)."""
        start = (self.written & self._mask) * RECORD
        self._ints[start : start + RECORD] = array("q", record)
        self.written += 1

    def read(self, since: int = 0) -> Iterator[array[int]]:
        """Records number `since` and later, oldest first; overwritten ones are left out."""
        for index in range(max(since, self.lost), self.written):
            start = (index & self._mask) * RECORD
            yield self._ints[start : start + RECORD]
