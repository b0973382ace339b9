#!/usr/bin/env python3
"""The model's slow path beside the recorded ones: does it take the same decisions?

    python tools/slow_paths.py CAPTURE...

While a capture is replayed, each request with recorded attempts (the probe gpf) also goes through
the model's slow path, which is told how its attempts and its reclaim ended, what is reclaimable in
a zone, and who was killed. Compared is what the model decides: the alloc_flags of each attempt,
that there is one, when kswapd is woken, and should_reclaim_retry()'s numbers. Prints a Markdown
table, then every kind of difference with its first line.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from of_captures import run_of_captures
from slow_story import Slow, Story, Told, reclaimed

from memsim.mm.mmzone import Vm, Zone
from memsim.mm.page_alloc.slow_request import SlowRequest
from memsim.mm.page_alloc.slowpath import slow_path
from memsim.mm.page_alloc.zone_walk import AllocContext
from memsim.mm.pressure import Pressure
from memsim.replay.outcome import replay_capture
from memsim.replay.run import Replay
from memsim.trace.events import (
    MM_VMSCAN_WAKEUP_KSWAPD,
    RECLAIM_RETRY_ZONE,
    TP_MM_VMSCAN_WAKEUP_KSWAPD,
    TP_RECLAIM_RETRY_ZONE,
)
from memsim.trace.pressure_events import ReclaimRetryZone, pressure_event_of
from memsim.trace.ring import Record, Ring
from memsim.words.alloc_flags import ALLOC_KSWAPD
from memsim.words.mmzone import MIGRATE_HIGHATOMIC, NULL
from memsim.words.task import PF_KSWAPD, PF_MEMALLOC

#: Before kswapd sleeps for good it naps: 25 ticks of 4 ms and what was left of the one it began
#: in, so at most this, in seconds. Kernel: mm/vmscan.c kswapd_try_to_sleep()
NAP = 0.104


class Stopped(Exception):
    """The recording ended first."""


class Talk:
    """A call that asks, and goes on with each answer. It has a thread, but only one of both runs.

    So the model's slow path is the very one that requests take, with what happens in between.
    """

    def __init__(self, call: Callable[[Talk], None]) -> None:
        self._asked: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        Thread(target=self._run, args=(call,), daemon=True).start()
        self.question = self._next()

    def _run(self, call: Callable[[Talk], None]) -> None:
        error = None
        try:
            with suppress(Stopped):
                call(self)
        except Exception as failed:
            error = failed
        self._asked.put(("end", error))

    def _next(self) -> tuple[str, Any]:
        """The next question; what the call raised is raised here."""
        what, about = self._asked.get()
        if isinstance(about, Exception):
            raise about
        return what, about

    def ask(self, what: str, about: Any = None) -> Any:
        """Inside the call: the answer to this."""
        self._asked.put((what, about))
        answer = self._answers.get()
        if answer is Stopped:
            raise Stopped
        return answer

    def answer(self, answer: Any) -> None:
        """From outside: the answer to `question`; then there is another."""
        self._answers.put(answer)
        self.question = self._next()

    def stop(self) -> None:
        """There will be no more answers."""
        while self.question[0] != "end":
            self.answer(Stopped)


class AskedRequest(SlowRequest):
    """The model's slow path, for which the recording answers."""

    __slots__ = ("talk",)
    talk: Talk

    def get_page(self, alloc_flags: int, but: int = 0) -> int:
        """How the attempt ended: the recording tells."""
        return int(self.talk.ask("attempt", alloc_flags))

    def unreserve_highatomic(self, force: bool) -> bool:
        """What was given back, the replay does at its own row."""
        return bool(self.talk.ask("unreserve"))

    def drain_all_pages(self) -> None:
        """The replay does it at its own rows."""


class AskedPressure(Pressure):
    """Reclaim and the OOM killer, as recorded."""

    def __init__(self, request: AskedRequest) -> None:
        self._request = request

    def try_to_free_pages(self, ac: AllocContext, order: int, gfp_mask: int) -> int:
        """Pages that it reclaimed then."""
        return int(self._request.talk.ask("reclaim"))

    def zone_reclaimable_pages(self, zone: Zone) -> int:
        """Pages that could be reclaimed then."""
        return int(self._request.talk.ask("reclaimable", zone))

    def out_of_memory(self, gfp_mask: int, order: int, ac: AllocContext) -> bool:
        """Was anybody killed?"""
        return bool(self._request.talk.ask("kill"))


@dataclass
class Counts:
    """Of one capture: recorded and alike."""

    requests: int = 0
    requests_equal: int = 0
    attempts: int = 0
    attempts_equal: int = 0
    reclaims: int = 0
    reclaims_equal: int = 0
    zones: int = 0
    zones_equal: int = 0
    wakeups: int = 0
    wakeups_equal: int = 0
    wakeups_fired: int = 0
    pages: str = ""
    #: By kind of difference: how many, and the line of the first.
    differences: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def differs(self, what: str, line: int) -> None:
        """One more difference of this kind."""
        self.differences[what] += 1
        self.first.setdefault(what, line)


class Followed:
    """A recorded request, and the model's slow path going along with it."""

    def __init__(self, vm: Vm, slow: Slow, start: Told, ac: AllocContext, counts: Counts) -> None:
        gfp, order = (int(text, 0) for text in (_value(start, "gfp"), _value(start, "order")))
        request = AskedRequest(vm, gfp, order, ac)
        request.pressure = AskedPressure(request)
        self.request, self.slow, self.counts = request, slow, counts
        self.at = 0
        self.is_equal = True
        self.talk: Talk | None = None

    def to(self, place: int) -> None:
        """The recording has come to its line `place`: an attempt begins, or the request ends."""
        told = self.slow.lines[place]
        if self.talk is None:
            self.talk = Talk(self._slow_path)
        elif self.is_equal:
            self.talk.answer(_end_of_attempt(told))
        while self.is_equal and self.talk.question[0] not in ("attempt", "end"):
            self.talk.answer(self._told(place, *self.talk.question))
        self._compare(told)
        self.at = place + 1

    def _slow_path(self, talk: Talk) -> None:
        self.request.talk = talk
        slow_path(self.request)

    def _told(self, place: int, what: str, about: Any) -> Any:
        """The recording's answer, from the lines between here and `place`."""
        between = self.slow.lines[self.at : place]
        names = [told.name for told in between]
        if what == "unreserve":
            moved = [t for t in between if t.name == "movepb" and _is_given_back(t)]
            return bool(moved)
        if what == "kill":
            return "mark_victim" in names or self.slow.lines[place].name == "gpf"
        if what == "reclaim":
            self.counts.reclaims_equal += "mm_vmscan_direct_reclaim_end" in names
            ends = [t for t in between if t.name == "mm_vmscan_direct_reclaim_end"]
            return reclaimed(ends[0]) if ends else 0
        for told in between:
            if told.name == "reclaim_retry_zone" and told.words()["zone"] == about.name:
                return int(told.words()["reclaimable"])
        return 0

    def _compare(self, told: Told) -> None:
        """The model's next attempt, or its end, against the recorded one."""
        if told.name == "gpf":
            self.counts.attempts += 1
        if not self.is_equal:
            return
        assert self.talk is not None
        what, alloc_flags = self.talk.question
        if told.name == "gpf" and what == "attempt":
            recorded = int(_value(told, "aflags"), 16)
            if alloc_flags == recorded:
                self.counts.attempts_equal += 1
            else:
                self._differs(f"alloc_flags {alloc_flags:#x} instead of {recorded:#x}", told)
        elif told.name == "gpf":
            self._differs("gives up where the kernel went on", told)
        elif what == "attempt":
            self._differs("goes on where the kernel gave up", told)

    def _differs(self, what: str, told: Told) -> None:
        self.is_equal = False
        self.counts.differs(what, told.line)

    def end(self) -> None:
        """The request ended."""
        self.counts.requests += 1
        self.counts.requests_equal += self.is_equal
        if self.talk is not None:
            self.talk.stop()


def _value(told: Told, name: str) -> str:
    return told.words()[name]


def _is_given_back(told: Told) -> bool:
    return int(_value(told, "old")) == MIGRATE_HIGHATOMIC


def _end_of_attempt(told: Told) -> int:
    """Of the attempt before this line: NULL, unless the request ends here with a page."""
    ended = told.name == "mm_page_alloc" and "page=0000000000000000" not in told.text
    return 0 if ended else NULL


class Caught(Ring):
    """In the place of the ring: wake-ups and retries are kept, with the row's line."""

    def __init__(self, behind: Ring) -> None:
        super().__init__(1)
        self._behind = behind
        self.line = 0
        self.wakeups: Counter[tuple[int, int, int]] = Counter()
        self.zones: list[ReclaimRetryZone] = []

    def write(self, record: Record) -> None:
        """Keep it, or hand it on."""
        event = record[1] & 0xFF
        if event == MM_VMSCAN_WAKEUP_KSWAPD:
            self.wakeups[self.line, record[4], record[5]] += 1
        elif event == RECLAIM_RETRY_ZONE:
            self.zones.append(ReclaimRetryZone(*record[2:]))
        else:
            self._behind.write(record)


class SlowReplay(Replay):
    """A replay in which each recorded slow path is followed by the model's."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts[:-2])
        self.story: Story = parts[-2]
        self.counts: Counts = parts[-1]
        self.followed: dict[int, Followed] = {}
        #: When kswapd's nap is over, by node.
        self.naps: dict[int, float] = {}
        self.vm.pressure = Pressure()
        self.vm.trace.mask |= TP_MM_VMSCAN_WAKEUP_KSWAPD | TP_RECLAIM_RETRY_ZONE
        self.vm.trace.ring = self.caught = Caught(self.vm.trace.ring)

    def run(self, every: int = 8192) -> Iterator[int]:
        """Every row; then wake-ups are compared."""
        yield from super().run(every)
        counts, fired = self.counts, self.caught.wakeups
        first, last = self.rows.line[0], self.rows.line[-1]
        recorded = Counter(told for told in self.story.wakeups if first <= told[0] <= last)
        counts.wakeups, counts.wakeups_fired = recorded.total(), fired.total()
        counts.wakeups_equal = (recorded & fired).total()
        for line, order, _ in recorded - fired:
            counts.differs(f"kswapd not woken, order {order}", line)
        for line, order, _ in fired - recorded:
            counts.differs(f"kswapd woken too, order {order}", line)

    def _do(self, row: int) -> None:
        line = self.rows.line[row]
        self.caught.line = line
        for pgdat in self.vm.nodes:
            pgdat.kswapd_failures = self.story.failures_at(line)
            if self.naps.get(pgdat.nid, inf) <= self.rows.time[row]:
                pgdat.kswapd_asleep = 0
        super()._do(row)

    def _gpf(self, row: int, gfp_mask: int, order: int, alloc_flags: int, *rest: int) -> None:
        slow, place = self.story.requests[self.rows.line[row]]
        self._become(slow, slow.lines[place])
        followed = self.followed.get(id(slow))
        if followed is None:
            ac = self.context(row, gfp_mask)
            followed = Followed(self.vm, slow, slow.lines[place], ac, self.counts)
            self.followed[id(slow)] = followed
        self._go(followed, place)
        super()._gpf(row, gfp_mask, order, alloc_flags, *rest)

    def _go(self, followed: Followed, place: int) -> None:
        """The model's part; then the recorded zones of should_reclaim_retry() are compared."""
        between = followed.slow.lines[followed.at : place]
        self.caught.zones.clear()
        followed.to(place)
        recorded = [
            pressure_event_of(ReclaimRetryZone, told.words())
            for told in between
            if told.name == "reclaim_retry_zone"
        ]
        counts = self.counts
        counts.reclaims += sum(told.name == "mm_vmscan_direct_reclaim_end" for told in between)
        counts.zones += len(recorded)
        counts.zones_equal += sum(
            one == other for one, other in zip(recorded, self.caught.zones, strict=False)
        )
        if recorded != self.caught.zones:
            line = followed.slow.lines[place].line
            counts.differs("other numbers in should_reclaim_retry()", line)

    def _mm_page_alloc(
        self, row: int, pfn: int, order: int, migratetype: int, gfp_mask: int, *rest: int
    ) -> None:
        line = self.rows.line[row]
        slow, place = self.story.requests.get(line, (None, 0))
        followed = self.followed.pop(id(slow), None)
        if slow is not None:
            self._become(slow, slow.lines[place])
        if followed is not None:
            self._go(followed, place)
            followed.end()
        super()._mm_page_alloc(row, pfn, order, migratetype, gfp_mask, *rest)

    def _become(self, slow: Slow, told: Told) -> None:
        """vm.current: the task that the line is of."""
        current, kind = self.vm.current, told.flags[2:3]
        reclaims = PF_MEMALLOC if slow.in_reclaim or told.is_kswapd else 0
        current.flags = reclaims | (PF_KSWAPD if told.is_kswapd else 0)
        current.oom_victim = self.story.victims.get(told.pid, told.line) < told.line
        current.in_hardirq = kind in ("h", "H", "z", "Z") and kind != ""
        current.in_serving_softirq = kind == "s"
        current.bh_disabled = told.flags[:1] in ("b", "D") and told.flags != ""

    def _slow_path(self, gfp_mask: int, order: int, ac: AllocContext) -> int:
        """Attempts that the probe left out: kswapd was woken all the same."""
        request = SlowRequest(self.vm, gfp_mask, order, ac)
        if request.alloc_flags & ALLOC_KSWAPD:
            request.wake_all_kswapds()
        self.vm.pressure, kept = None, self.vm.pressure
        page = super()._slow_path(gfp_mask, order, ac)
        self.vm.pressure = kept
        return page

    def _balance_ret(self, row: int, *rest: int) -> None:
        """kswapd tries to sleep, for a nap first: from here on it can be woken."""
        pgdat = self.boosts.get(self.rows.context[row], (self.vm.nodes[0],))[0]
        super()._balance_ret(row, *rest)
        pgdat.kswapd_waits = pgdat.kswapd_asleep = 1
        self.naps[pgdat.nid] = self.rows.time[row] + NAP

    def _kswapd_wake(self, row: int, nid: int, *rest: int) -> None:
        super()._kswapd_wake(row, nid, *rest)
        self.vm.nodes[nid].kswapd_waits = self.vm.nodes[nid].kswapd_asleep = 0
        self.naps.pop(nid, None)

    def _kswapd_sleep(self, row: int, nid: int, *rest: int) -> None:
        """The nap is over, and it goes on sleeping."""
        super()._kswapd_sleep(row, nid, *rest)
        self.vm.nodes[nid].kswapd_waits = self.vm.nodes[nid].kswapd_asleep = 1
        self.naps.pop(nid, None)


def slow_paths(folder: Path) -> Counts:
    """Replay a capture, and follow its slow paths."""
    counts = Counts()
    story = Story(folder / "trace.txt.xz")

    def make_replay(*parts: Any) -> SlowReplay:
        return SlowReplay(*parts, story, counts)

    result = replay_capture(folder, make_replay=make_replay).result
    counts.pages = f"{result.exact:,} of {result.requests:,}"
    return counts


def table(columns: list[tuple[str, Counts]]) -> str:
    """A row for each capture; recorded and, of those, alike."""
    lines = [
        "| capture | slow requests | equal | attempts | equal | reclaims | equal "
        "| retry zones | equal | wake-ups | equal | model's | pages exact |",
        "|---|" + "---:|" * 12,
    ]
    for name, c in columns:
        numbers = (
            c.requests, c.requests_equal, c.attempts, c.attempts_equal, c.reclaims,
            c.reclaims_equal, c.zones, c.zones_equal, c.wakeups, c.wakeups_equal, c.wakeups_fired,
        )  # fmt: skip
        lines.append(f"| `{name}` | " + " | ".join(f"{n:,}" for n in numbers) + f" | {c.pages} |")
    for name, c in columns:
        for what, number in c.differences.most_common():
            lines.append(f"{name}: {number} × {what}, first in line {c.first[what]}")
    return "\n".join(lines)


def main() -> int:
    """The command."""
    return run_of_captures(__doc__, slow_paths, table)


if __name__ == "__main__":
    sys.exit(main())
