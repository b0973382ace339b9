"""Workload: requesters at work on one machine, in an order that only the seed decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random

from memsim.machine import Machine
from memsim.words.errors import BadDescription, BadRequest
from memsim.workload.kernel import Kernel, check_machine
from memsim.workload.presets import PRESETS, Share
from memsim.workload.request import Request
from memsim.workload.requester import Requester
from memsim.workload.table import Row, as_text, rows

_MAX_STEPS = 100_000_000


class Workload:
    """A preset's requesters, or these, on a machine; each step one of them does one thing.

    what: a name of PRESETS, or Shares. seed: the same one gives the same requests and the same
    pages on an equal machine. A machine that was undone beneath it is refused. BadRequest and
    BadDescription leave the machine as it was; one without steps has the same memory free.
    """

    def __init__(self, machine: Machine, what: str | Sequence[Share], seed: int = 0) -> None:
        shares = _shares(what)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise BadDescription(f"seed={str(seed)[:40]!r}: should be a whole number")
        check_machine(machine)
        self.machine = machine
        before = len(machine.history)
        self.kernel = Kernel(machine)
        self.requesters: list[Requester] = []
        self.stopped = False
        self._chance = Random(seed)
        self._weights = list(accumulate(share.weight for share in shares))
        try:
            for share in shares:
                self._start(share)
        except Exception:
            self._take_back(before)
            raise
        self.kernel.mark()

    @property
    def log(self) -> list[Request]:
        """Every request so far."""
        return self.kernel.log

    def step(self) -> None:
        """One requester does one thing."""
        self._check()
        self.kernel.step += 1
        (at,) = self._chance.choices(range(len(self.requesters)), cum_weights=self._weights)
        self.requesters[at].step(self._chance)
        self.kernel.mark()

    def run(self, steps: int, progress: Callable[[int, int], None] | None = None) -> None:
        """So many steps; progress is told (done, steps) now and then."""
        if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= _MAX_STEPS:
            raise BadRequest(f"steps={str(steps)[:40]!r}: should be 0 to {_MAX_STEPS}")
        self._check()
        for done in range(steps):
            if progress is not None and done % 100 == 0:
                progress(done, steps)
            self.step()

    def stop(self) -> None:
        """Everybody gives everything back, and the caches go; a second time does nothing."""
        if self.stopped:
            return
        self.kernel.check_mark()
        self._stop()

    def rows(self) -> list[Row]:
        """Who asked which allocator for what, how often, and how often in vain."""
        return rows(self.log)

    def table(self) -> str:
        """The same as text."""
        return as_text(self.rows())

    def _start(self, share: Share) -> None:
        requester = share.make(self.kernel)
        if not isinstance(requester, Requester):
            raise BadDescription(f"make={str(share.make)[:40]!r}: should give a Requester")
        self.requesters.append(requester)
        if not requester.start():
            raise BadRequest(f"{requester.name}: no memory to begin with")

    def _take_back(self, before: int) -> None:
        """What was done since history[before]; on a machine without steps, by giving it back."""
        if len(self.machine.history) > before:
            while len(self.machine.history) > before:
                self.machine.undo()
        else:
            self._stop()

    def _stop(self) -> None:
        for requester in reversed(self.requesters):
            requester.stop()
        self.kernel.stop()
        self.stopped = True

    def _check(self) -> None:
        if self.stopped:
            raise BadRequest("this workload was stopped: begin a new one")
        self.kernel.check_mark()


def _shares(what: str | Sequence[Share]) -> Sequence[Share]:
    """The preset of this name, or what was given."""
    if isinstance(what, str):
        if what not in PRESETS:
            raise BadDescription(f"workload {what[:40]!r}: should be one of {', '.join(PRESETS)}")
        return PRESETS[what]
    if not isinstance(what, Sequence) or not what:
        raise BadDescription(f"workload {str(what)[:40]!r}: should be a name, or a list of Share")
    return [_share(each) for each in what]


def _share(share: object) -> Share:
    if not isinstance(share, Share):
        raise BadDescription(f"share {str(share)[:40]!r}: should be a Share")
    if not callable(share.make):
        raise BadDescription(f"make={str(share.make)[:40]!r}: should be a Requester's class")
    if isinstance(share.weight, bool) or not isinstance(share.weight, int) or share.weight < 1:
        raise BadDescription(f"weight={str(share.weight)[:40]!r}: should be 1 or more")
    return share
