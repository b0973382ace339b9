"""What a recording tells of slow paths: requests' attempts, and what came between them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from memsim.replay.rows.forms import LINE
from memsim.replay.rows.unxz import lines as lines_of
from memsim.trace.text import parse_fields
from memsim.words.gfp import parse_gfp_flags

#: Events that tell of a slow path, or end one.
TOLD = (
    "gpf", "mm_page_alloc", "movepb", "mark_victim", "reclaim_retry_zone",
    "mm_vmscan_wakeup_kswapd", "mm_vmscan_direct_reclaim_begin", "mm_vmscan_direct_reclaim_end",
    "mm_vmscan_lru_shrink_inactive", "balance", "balance_ret",
)  # fmt: skip
_PLACES = tuple(f": {name}: " for name in TOLD)


@dataclass(frozen=True)
class Told:
    """One line of the trace: what it is, its fields, the flags of who runs."""

    line: int
    name: str
    text: str
    pid: int
    flags: str
    is_kswapd: bool

    def words(self) -> dict[str, str]:
        """Its `a=1 b=2`."""
        return parse_fields(self.text)


@dataclass
class Slow:
    """A recorded request's lines, in order: the last is its mm_page_alloc."""

    lines: list[Told] = field(default_factory=list)
    #: It is made while its task reclaims.
    in_reclaim: bool = False


class Story:
    """What a trace tells of slow paths."""

    def __init__(self, trace: Path) -> None:
        #: By the line of an attempt or of the end: the request, and the place of that line in it.
        self.requests: dict[int, tuple[Slow, int]] = {}
        #: Wake-ups: by the line of the request that they belong to, (order, gfp_flags).
        self.wakeups: list[tuple[int, int, int]] = []
        #: kswapd_failures from a line on.
        self.failures: list[tuple[int, int]] = []
        #: Victims of the OOM killer, by pid: from which line on.
        self.victims: dict[int, int] = {}
        self._open: dict[tuple[int, str], list[Slow]] = {}
        self._unplaced: dict[tuple[int, str], list[Told]] = {}
        self._reclaimed = 0
        for told in _told(trace):
            self._read(told)

    def _read(self, told: Told) -> None:
        if told.name in ("balance", "balance_ret", "mm_vmscan_lru_shrink_inactive"):
            self._kswapd(told)
            return
        who = _who(told)
        stack = self._open.setdefault(who, [Slow()])
        if told.name == "mm_vmscan_wakeup_kswapd":
            self._unplaced.setdefault(who, []).append(told)
            return
        if told.name == "mm_vmscan_direct_reclaim_end" and len(stack) > 1:
            stack.pop()
        slow = stack[-1]
        slow.lines.append(told)
        self.requests[told.line] = (slow, len(slow.lines) - 1)
        if told.name == "mm_vmscan_direct_reclaim_begin":
            stack.append(Slow(in_reclaim=True))
        elif told.name == "mm_page_alloc":
            stack[-1] = Slow(in_reclaim=slow.in_reclaim)
        self._place(told, who)

    def _place(self, told: Told, who: tuple[int, str]) -> None:
        """Wake-ups belong to the attempt or the end that follows; a kill has its victim."""
        if told.name in ("gpf", "mm_page_alloc"):
            for wakeup in self._unplaced.pop(who, ()):
                words = wakeup.words()
                gfp_flags = parse_gfp_flags(words["gfp_flags"])
                self.wakeups.append((told.line, int(words["order"]), gfp_flags))
        elif told.name == "mark_victim":
            self.victims[int(told.words()["pid"])] = told.line
        elif told.name == "mm_vmscan_direct_reclaim_end" and reclaimed(told):
            self._failed(told.line, 0)

    def _kswapd(self, told: Told) -> None:
        """A run of kswapd that reclaims nothing is a failure; any reclaim ends the row of them."""
        if told.name == "balance":
            self._reclaimed = 0
        elif told.name == "balance_ret":
            if not self._reclaimed:
                self._failed(told.line, self.failures[-1][1] + 1 if self.failures else 1)
        elif reclaimed(told):
            self._reclaimed += reclaimed(told) if told.is_kswapd else 0
            self._failed(told.line, 0)

    def _failed(self, line: int, failures: int) -> None:
        if not self.failures or self.failures[-1][1] != failures:
            self.failures.append((line, failures))

    def failures_at(self, line: int) -> int:
        """kswapd_failures just before a line."""
        place = bisect_left(self.failures, (line, 0))
        return self.failures[place - 1][1] if place else 0


def _told(trace: Path) -> Iterator[Told]:
    for number, line in enumerate(lines_of(trace), 1):
        if any(place in line for place in _PLACES):
            match = LINE.match(line)
            if match is not None and match[5] in TOLD:
                is_kswapd = line.lstrip().startswith("kswapd")
                yield Told(number, match[5], match[6], int(match[1]), match[3] or "", is_kswapd)


def _who(told: Told) -> tuple[int, str]:
    kind = told.flags[2:3]
    return (0, kind) if kind in ("h", "H", "s", "z", "Z") and kind else (told.pid, ".")


def reclaimed(told: Told) -> int:
    """Pages that a line says were reclaimed."""
    return int(told.words()["nr_reclaimed"])
