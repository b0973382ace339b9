"""The yardstick for vmalloc: first fit over a sorted list of free areas, in plain Python.

Freed addresses wait, as the kernel's do, until there are too many; they are then merged with their
neighbours. Each request looks at free areas from the lowest on.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable


class FirstFit:
    """Free areas as their first addresses, sorted, and the address behind each one's last.

    live: areas in use, and their bytes. lazy_max: bytes that are freed before they are merged.
    """

    def __init__(
        self, free: Iterable[tuple[int, int]], live: dict[int, int], lazy_max: int
    ) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        for start, end in sorted(free):
            self.starts.append(start)
            self.ends.append(end)
        self.live = live
        self.lazy: list[int] = []
        self.lazy_max, self.nr_lazy, self.looked_at = lazy_max, 0, 0

    def alloc(self, size: int) -> int:
        for i, start in enumerate(self.starts):
            if self.ends[i] - start >= size:
                if self.ends[i] - start == size:
                    del self.starts[i], self.ends[i]
                else:
                    self.starts[i] = start + size
                self.looked_at += i + 1
                self.live[start] = size
                return start
        return -1

    def free(self, start: int) -> None:
        self.lazy.append(start)
        self.nr_lazy += self.live[start]
        if self.nr_lazy > self.lazy_max:
            self.purge()

    def purge(self) -> None:
        for start in self.lazy:
            self._merge(start, start + self.live.pop(start))
        self.lazy, self.nr_lazy = [], 0

    def _merge(self, start: int, end: int) -> None:
        i = bisect(self.starts, start)
        if i and self.ends[i - 1] == start:
            i -= 1
            start = self.starts[i]
            del self.starts[i], self.ends[i]
        if i < len(self.starts) and self.starts[i] == end:
            end = self.ends[i]
            del self.starts[i], self.ends[i]
        self.starts.insert(i, start)
        self.ends.insert(i, end)
