"""Trace: what fires the kernel's events and memsim's steps, and where both land."""

from __future__ import annotations

from collections.abc import Iterator

from memsim.trace.events import TP_KERNEL_EVENTS, Traced, decode
from memsim.trace.ring import Ring
from memsim.trace.steps import Journal


class Trace:
    """The switch (`mask`: bit TP_x is event x, TP_STEPS is steps), the ring and the journal.

    Code that fires tests the mask first: that test is all an event costs when it is off.
    """

    __slots__ = ("_numbers", "cpu", "journal", "mask", "names", "ring", "seq", "values")

    def __init__(self, mask: int = TP_KERNEL_EVENTS, capacity: int = 1 << 16) -> None:
        self.mask = mask
        self.ring = Ring(capacity)
        self.journal = Journal()
        self.seq = 0
        self.cpu = 0
        #: Texts that records name by number: call sites, and names of caches.
        self.names = ["0x0"]
        self._numbers = {"0x0": 0}
        #: What steps name by number, as it is more than numbers; 0 is nothing.
        self.values: list[object] = [None]

    def number_of(self, name: str) -> int:
        """The number by which records name this text."""
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number

    def keep(self, value: object) -> int:
        """The number by which a step names this value, which never changes from here on."""
        if value is None:
            return 0
        self.values.append(value)
        return len(self.values) - 1

    def emit(
        self, event: int, a: int, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0
    ) -> None:
        """Fire a kernel event with its fields in the kernel's order."""
        self.seq += 1
        self.ring.write((self.seq, event | self.cpu << 8, a, b, c, d, e, f))

    def step(self, kind: int, *arguments: int) -> None:
        """Fire a step."""
        self.seq += 1
        self.journal.write(self.seq, kind, *arguments)

    def events(self, since: int = 0) -> Iterator[Traced]:
        """Events number `since` and later that are still in the ring, oldest first."""
        return (decode(record, self.names) for record in self.ring.read(since))
