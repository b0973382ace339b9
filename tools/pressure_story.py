"""What a trace tells of pressure: who reclaimed when, and how much; which page is a file's."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from pathlib import Path

from memsim.replay.rows.unxz import lines as lines_of

#: A line's event and what follows it; the task's name fills 16 columns, its pid the next 8.
_EVENT = re.compile(r"\[\d+\] (\S{3,8}) +(\d+\.\d+): (\w+): (.*)$", re.ASCII)
_WHO = 24
_DAEMONS = ("kswapd", "kcompactd")
#: What begins a task's own reclaim or compaction, and what ends it.
_BEGINS = ("mm_vmscan_direct_reclaim_begin", "mm_compaction_begin")
_ENDS = ("mm_vmscan_direct_reclaim_end", "mm_compaction_end")
#: Lines that are looked at whoever runs.
_TOLD = (
    "mm_vmscan_", "mm_compaction_begin", "mm_compaction_end", "mm_lru_insertion", "mark_victim",
    "mm_page_alloc_extfrag", "page=0000000000000000",
)  # fmt: skip
#: pfn of a page, and the letters of an insertion.
_PFN = re.compile(r"pfn=0x([0-9a-f]+)", re.ASCII)
_INSERTED = re.compile(r"lru=(\d) flags=(.*)$", re.ASCII)
_RECLAIMED = re.compile(r"nr_reclaimed=(\d+)", re.ASCII)
_ACTIVATED = re.compile(r"nr_reclaimed=0 .*nr_activate_file=(\d+)", re.ASCII)
_SCANNED = re.compile(r"nr_scanned=(\d+) nr_skipped=\d+ nr_taken=(\d+)", re.ASCII)


class Story:
    """By line: what happened inside reclaim or compaction, insertions, and counts of the rest."""

    def __init__(self, trace: Path) -> None:
        #: Lines of page events by who reclaims or compacts; those of compaction apart.
        self.inside: set[int] = set()
        self.compacting: set[int] = set()
        #: By the line of an mm_lru_insertion: (the list's number, letters of the flags).
        self.insertions: dict[int, tuple[int, str]] = {}
        #: (line, name, number) of everything that is counted.
        self.counted: list[tuple[int, str, int]] = []
        #: Pages that reclaim freed, in that order.
        self.reclaimed: list[int] = []
        #: Files' folios that reclaim only ever activates: somebody has their buffers.
        self.stuck = 0
        #: Victims of the OOM killer, in order: the line of its death, those of its frees then.
        self.victims: dict[str, tuple[int, list[int]]] = {}
        #: When somebody woke kswapd, and how many seconds later it ran.
        self.delays: list[tuple[float, float]] = []
        self._busy: dict[str, list[str]] = {}
        self._woken = -1.0
        for number, line in enumerate(lines_of(trace), 1):
            self._read(number, line)

    def _read(self, number: int, line: str) -> None:
        who = line[:_WHO]
        daemon = who.lstrip().startswith(_DAEMONS)
        if not daemon and who not in self._busy and not any(word in line for word in _TOLD):
            if who in self.victims and ": mm_page_free: " in line:
                self.victims[who][1].append(number)
            return
        match = _EVENT.search(line)
        if match is None:
            return
        flags, time, name, text = match.groups()
        if name.startswith("mm_vmscan") or name in _BEGINS or name in _ENDS:
            self._pressure(number, who, float(time), name, text)
        elif name == "mm_lru_insertion":
            found = _INSERTED.search(text)
            if found:
                self.insertions[number] = int(found[1]), found[2]
        elif name == "mm_page_alloc_extfrag" or name == "mark_victim":
            self.counted.append((number, name, 1))
            if name == "mark_victim":
                self.victims[who] = number, []
        elif name == "mm_page_alloc" and "page=0000000000000000" in text:
            self.counted.append((number, "failed", 1))
        if flags[2] == "." and (daemon or who in self._busy):
            self._inside(number, who, name, text)

    def _inside(self, number: int, who: str, name: str, text: str) -> None:
        """Done by who reclaims or compacts, not by an interrupt that came in."""
        self.inside.add(number)
        compacts = "kcompactd" in who or "mm_compaction_begin" in self._busy.get(who, ())
        if compacts:
            self.compacting.add(number)
        elif name == "mm_page_free" and (found := _PFN.search(text)):
            self.reclaimed.append(int(found[1], 16))

    def _pressure(self, number: int, who: str, time: float, name: str, text: str) -> None:
        if name in _BEGINS:
            self._busy.setdefault(who, []).append(name)
        elif name in _ENDS and self._busy.get(who):
            self._busy[who].pop()
            if not self._busy[who]:
                del self._busy[who]
        self.counted.append((number, name, 1))
        kswapd = who.lstrip().startswith("kswapd")
        if name == "mm_vmscan_lru_shrink_inactive" and (found := _RECLAIMED.search(text)):
            by = "kswapd" if kswapd else "direct"
            self.counted.append((number, f"reclaimed by {by}", int(found[1])))
            if activated := _ACTIVATED.search(text):
                self.stuck = max(self.stuck, int(activated[1]))
        elif name == "mm_vmscan_lru_isolate" and (found := _SCANNED.search(text)):
            self.counted.append((number, "scanned", int(found[1])))
            self.counted.append((number, "taken", int(found[2])))
        elif name == "mm_vmscan_wakeup_kswapd" and self._woken < 0:
            self._woken = time
        elif name == "mm_vmscan_kswapd_wake" and self._woken >= 0:
            self.delays.append((self._woken, time - self._woken))
            self._woken = -1.0

    def delay_at(self, time: float) -> float:
        """How long kswapd waited for its CPU, in the recorded wake-up next to this time."""
        place = bisect_left(self.delays, (time, 0.0))
        near = self.delays[max(0, place - 1) : place + 1]
        return min(near, key=lambda told: abs(told[0] - time))[1] if near else 0.0

    def counts(self, first: int, last: int) -> Counter[str]:
        """What was counted in lines first to last."""
        total: Counter[str] = Counter()
        for line, name, number in self.counted:
            if first <= line <= last:
                total[name] += number
        return total
