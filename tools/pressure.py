#!/usr/bin/env python3
"""The model's own reclaim beside the recorded one.

    python tools/pressure.py CAPTURE...

The recorded requests and frees drive the model, all but those made inside reclaim and compaction:
the model's own kswapd, direct reclaim and kcompactd do that work, with the multi-gen LRU as the
recorded kernels run it. Prints a Markdown table: how often and how much, there and in the model.

What a recording does not tell is assumed:
- Of pages on LRU lists when it begins, the snapshot tells how many are anonymous, of files, active
  and unevictable, not which. Those that reclaim takes in the recording are inactive files, in that
  order; those that are freed otherwise are anonymous first; the others are what is left to be.
- mm_lru_insertion tells of later ones whether they are anonymous, and mapped. Each pte was used
  once, when it was made. Files that are mapped came by a fault, the others by a read.
- As many folios of files as the recording activates whenever it looks have buffers in use.
- The OOM killer takes the recording's victims, in their order.
- kswapd runs as long after it was woken as the recorded one did at that time, and all at once.
- What reclaim frees besides folios (slabs of buffer heads) is freed when the model has reclaimed as
  many pages as the recording had.
- A file's page that the model keeps longer than the recording is read again in the recording, which
  costs the model a page; of one that it drops earlier the later uses are not known.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from of_captures import run_of_captures
from pressure_folios import (
    Folio,
    Place,
    fates_of,
    hold_buffers,
    is_there,
    join,
    leave,
    start_folios,
)
from pressure_story import Story

from memsim.mm.compaction.kcompactd import kcompactd, kcompactd_run
from memsim.mm.compaction.pressure import ReclaimAndCompaction
from memsim.mm.folio import ANON, FILE, new_mapping, reclaim_init
from memsim.mm.lru_gen.change_state import lru_gen_change_state
from memsim.mm.mmzone import PglistData, Vm
from memsim.mm.page_alloc.alloc import NO_LIMIT, fast_path
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.page_alloc.slowpath import _alloc_pages_slowpath
from memsim.mm.page_alloc.zone_walk import AllocContext
from memsim.mm.vmscan.kswapd import kswapd
from memsim.mm.vmstat import zone_page_state_snapshot
from memsim.replay.outcome import replay_capture
from memsim.replay.pages.base import Drain
from memsim.replay.rows.capture import Capture
from memsim.replay.rows.inputs import Kind
from memsim.replay.run import Replay
from memsim.trace.events import (
    MM_PAGE_ALLOC_EXTFRAG,
    MM_VMSCAN_WAKEUP_KSWAPD,
    TP_MM_VMSCAN_WAKEUP_KSWAPD,
)
from memsim.trace.ring import Record, Ring
from memsim.trace.vmscan_events import (
    FIRST_VMSCAN,
    TP_VMSCAN,
    VMSCAN_EVENT_CLASSES,
    MmVmscanLruIsolate,
    MmVmscanLruShrinkInactive,
    vmscan_event,
)
from memsim.words.mmzone import NR_FREE_PAGES, NULL
from memsim.words.page_flags import LRU_UNEVICTABLE
from memsim.words.task import PF_KSWAPD

#: Rows that drive the model; the others are what it decides itself.
_KEPT = (
    Kind.mm_page_alloc, Kind.bulk, Kind.bulk_ret, Kind.mm_page_free, Kind.free_then_batched,
    Kind.free_then_direct, Kind.mm_page_free_batched, Kind.direct, Kind.mm_lru_insertion,
    Kind.refresh, Kind.decay, Kind.drain_zone,
)  # fmt: skip
_SYSCTLS = (
    "sysctl_extfrag_threshold", "sysctl_compaction_proactiveness",
    "sysctl_compact_unevictable_allowed",
)  # fmt: skip
_REQUESTS = (Kind.mm_page_alloc, Kind.bulk, Kind.bulk_ret)
_FREES = (Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct)


class Counting(Ring):
    """In the place of the ring: events are counted by name, and what reclaim freed by whom."""

    def __init__(self, vm: Vm) -> None:
        super().__init__(1)
        self._vm = vm
        self.counts: Counter[str] = Counter()

    def write(self, record: Record) -> None:
        """Count it."""
        number = record[1] & 0xFF
        if number == MM_VMSCAN_WAKEUP_KSWAPD:
            self.counts["mm_vmscan_wakeup_kswapd"] += 1
        elif number == MM_PAGE_ALLOC_EXTFRAG:
            self.counts["mm_page_alloc_extfrag"] += 1
        elif FIRST_VMSCAN <= number < FIRST_VMSCAN + len(VMSCAN_EVENT_CLASSES):
            event = vmscan_event(number - FIRST_VMSCAN, record[2:])
            self.counts[event.NAME] += 1
            if isinstance(event, MmVmscanLruShrinkInactive):
                by = "kswapd" if self._vm.current.flags & PF_KSWAPD else "direct"
                self.counts[f"reclaimed by {by}"] += event.nr_reclaimed
            elif isinstance(event, MmVmscanLruIsolate):
                self.counts["scanned"] += event.nr_scanned
                self.counts["taken"] += event.nr_taken


class Helpers(ReclaimAndCompaction):
    """Reclaim and compaction of the model; kswapd is a task of its own."""

    def __init__(self, replay: PressureReplay) -> None:
        super().__init__(replay.vm)
        self._replay = replay

    def kswapd_wake(self, pgdat: PglistData) -> None:
        """It runs when it gets the CPU."""
        replay = self._replay
        replay.due[pgdat.nid] = replay.now + replay.story.delay_at(replay.now)

    def out_of_memory(self, gfp_mask: int, order: int, ac: AllocContext) -> bool:
        """The next recorded victim dies, if there is one, and frees at once what it freed then."""
        return self._replay.kill()


class PressureReplay(Replay):
    """A replay of what was asked, in which the model finds the memory itself."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts[:-2])
        self.story: Story = parts[-2]
        #: Global tunables, as the first snapshot has them.
        self.sysctls: dict[str, int] = parts[-1]
        self.now = 0.0
        #: When a node's kswapd runs.
        self.due: dict[int, float] = {}
        #: By recorded pfn: where the folio is that stands for it.
        self.folios: dict[int, Place] = {}
        #: Folios that compaction moved: sources, and targets, whose partners are to come.
        self.sources: deque[Place] = deque()
        self.targets: deque[int] = deque()
        #: Frees by reclaim of pages that are no folios, and after how many reclaimed ones.
        self.slabs: deque[tuple[int, int, int]] = deque()
        self.recorded_reclaimed = self.nr_joined = 0
        self.victims = iter(self.story.victims.values())
        #: Tasks that were killed, and the line where they are in the recording.
        self.victim_tasks: dict[int, int] = {}
        self.task = -1
        self.caught = Counting(self.vm)
        self.counts = self.caught.counts

    def run(self, every: int = 8192) -> Any:
        """The model begins with the recorded lists, then does every row."""
        self.slab = self.vmalloc = None
        vm = self.vm
        reclaim_init(vm)
        kcompactd_run(vm)
        vm.folios.swappiness = self.sysctls["vm_swappiness"]
        for name in _SYSCTLS:
            setattr(vm, name, self.sysctls[name])
        lru_gen_change_state(vm, True)
        self.file = new_mapping(vm, FILE, "files")
        self.region = new_mapping(vm, ANON, "regions")
        fates = fates_of(self.rows, self.story)
        found = start_folios(vm, fates)
        for pfn, folio in found:
            self._join(pfn, pfn, folio)
        hold_buffers(vm, found, fates, self.story.stuck)
        vm.pressure = Helpers(self)
        vm.trace.mask |= TP_MM_VMSCAN_WAKEUP_KSWAPD | TP_VMSCAN
        vm.trace.ring = self.caught
        yield from super().run(every)

    def handlers_of_pages(self) -> Any:
        """Those that are kept."""
        known = super().handlers_of_pages()
        return {int(kind): known[int(kind)] for kind in _KEPT}

    def _part(self, row: int) -> None:
        """Nothing is done in parts."""

    def _drain(self, row: int, drain: Drain) -> None:
        """A drain is done at once."""
        context = self.rows.context[row]
        self.drains[context] = drain
        self.drain_part(context, NO_LIMIT)

    def _do(self, row: int) -> None:
        self.now, self.task = self.rows.time[row], self.rows.task[row]
        self.vm.current.oom_victim = self.task in self.victim_tasks
        for nid, due in list(self.due.items()):
            if due <= self.now:
                self._run_kswapd(self.vm.nodes[nid])
        line = self.rows.line[row]
        if line in self.story.inside:
            self._inside(row)
        elif line < self.victim_tasks.get(self.task, 0) and self.rows.kind[row] in _REQUESTS:
            self.counts["requests of the dead"] += 1
        else:
            super()._do(row)
        self._free_slabs()

    def _run_kswapd(self, pgdat: PglistData) -> None:
        self.due.pop(pgdat.nid, None)
        if not pgdat.kswapd_asleep:
            kswapd(self.vm, pgdat)
        if pgdat.kcompactd_awake:
            kcompactd(self.vm, pgdat)

    def kill(self) -> bool:
        """The recording's next victim dies; was there one?

        Who asks itself goes on with the reserves of a victim; another one's folios go at once.
        """
        if self.vm.current.oom_victim:
            return True
        self.counts["mark_victim"] += 1
        death, lines = next(self.victims, (0, []))
        rows = [bisect_left(self.rows.line, line) for line in lines]
        if not rows:
            return False
        self.victim_tasks[self.rows.task[rows[0]]] = death
        self.vm.current.oom_victim = self.task in self.victim_tasks
        for row in () if self.vm.current.oom_victim else rows:
            self._let_go(*self.rows[row][:2])
        return True

    # What was done inside reclaim or compaction

    def _inside(self, row: int) -> None:
        """Reclaimed pages are forgotten, moved folios followed; joins of LRU lists count."""
        kind, compacts = self.rows.kind[row], self.rows.line[row] in self.story.compacting
        pfn, order = self.rows[row][:2]
        if kind == Kind.mm_lru_insertion:
            self._lru_insertion(row, pfn)
        elif kind in _FREES and compacts:
            if pfn in self.folios:
                self.sources.append(self.folios.pop(pfn))
                self.pages.freed(pfn, order)
                self._pair()
        elif kind in _FREES and pfn in self.folios:
            self.recorded_reclaimed += 1
            self.counts["kept longer"] += is_there(self.folios.pop(pfn))
            self.pages.freed(pfn, order)
        elif kind in _FREES:
            page = self.pages.freed(pfn, order)
            self.slabs.append((self.recorded_reclaimed, page, order))

    def _free_slabs(self) -> None:
        """Slabs go along with folios."""
        done = self.counts["reclaimed by kswapd"] + self.counts["reclaimed by direct"]
        while self.slabs and self.slabs[0][0] <= done:
            _, page, order = self.slabs.popleft()
            if page != NULL and self.pages.given_back(page, order):
                free_unref_page(self.vm, page, order)

    def _pair(self) -> None:
        """A folio that compaction moved is known by its new pfn from here on."""
        while self.sources and self.targets:
            self.folios[self.targets.popleft()] = self.sources.popleft()

    # What drives the model

    def _lru_insertion(self, row: int, pfn: int, *_: int) -> None:
        """The page becomes a folio, on the list that the recording tells."""
        line = self.rows.line[row]
        lru, letters = self.story.insertions[line]
        page = self.pages.page_of(pfn, 0)
        if pfn in self.folios:
            return
        if page == NULL or self.vm.folios.refcount[page]:
            if line in self.story.compacting or self.targets or self.sources:
                self.targets.append(pfn)
                self._pair()
            self.counts["insertions of unknown pages"] += 1
            return
        mapped = "M" in letters
        folio = Folio("a" in letters, "b" in letters, mapped, mapped, lru == LRU_UNEVICTABLE)
        self._join(pfn, page, folio)

    def _join(self, pfn: int, page: int, folio: Folio) -> None:
        self.nr_joined += 1
        place = self.region if folio.anon else self.file, self.nr_joined
        join(self.vm, place, page, folio)
        self.folios[pfn] = place

    def _mm_page_free(self, row: int, pfn: int, order: int, *rest: int) -> None:
        if not self._let_go(pfn, order):
            super()._mm_page_free(row, pfn, order, *rest)

    def _free_prepared(self, row: int, pfn: int, order: int, *rest: int) -> None:
        if not self._let_go(pfn, order):
            super()._free_prepared(row, pfn, order, *rest)

    def _let_go(self, pfn: int, order: int) -> bool:
        """Was it a folio? It is dropped, unless the model has reclaimed it before."""
        place = self.folios.pop(pfn, None)
        if place is None:
            return False
        self.pages.freed(pfn, order)
        if not leave(self.vm, place):
            self.counts["reclaimed before it was dropped"] += 1
        return True

    def _answer(self, row: int, order: int, gfp_mask: int, pfn: int) -> int:
        ac = self.context(row, gfp_mask)
        page = fast_path(self.vm, gfp_mask, order, ac)
        if page == NULL:
            page = _alloc_pages_slowpath(self.vm, gfp_mask, order, ac)
        if page == NULL:
            self.counts["failed"] += 1
        for pgdat in self.vm.nodes:
            if pgdat.kcompactd_awake:
                kcompactd(self.vm, pgdat)
        return page


@dataclass
class Compared:
    """One capture: recorded counts, and the model's."""

    recorded: Counter[str] = field(default_factory=Counter)
    model: Counter[str] = field(default_factory=Counter)


def pressure(folder: Path) -> Compared:
    """Replay a capture's requests, with the model's own reclaim."""
    story = Story(folder / "trace.txt.xz")
    capture = Capture(folder)
    sysctls = capture.start["vars"]
    made: list[PressureReplay] = []

    def make_replay(*parts: Any) -> PressureReplay:
        made.append(PressureReplay(*parts, story, sysctls))
        return made[0]

    replay_capture(folder, make_replay=make_replay)
    lines = made[0].rows.line
    compared = Compared(story.counts(lines[0], lines[-1]), made[0].counts)
    compared.recorded["free"] = free_at_end(capture)
    compared.model["free"] = free_in_model(made[0].vm)
    return compared


def free_at_end(capture: Capture) -> int:
    """Free pages of the last snapshot, those on pcp lists too."""
    zones = [zone for node in capture.end["nodes"] for zone in node["zones"]]
    on_pcp = sum(pcp["count"] for zone in zones for pcp in zone.get("pcp", ()))
    late = sum(
        cpu["diff"]["NR_FREE_PAGES"] for zone in zones for cpu in zone.get("percpu_stat", ())
    )
    return on_pcp + late + sum(zone["vm_stat"]["NR_FREE_PAGES"] for zone in zones)


def free_in_model(vm: Vm) -> int:
    """The same of the model."""
    on_pcp = sum(pcp.count for zone in vm.zones for pcp in zone.per_cpu_pageset)
    return on_pcp + sum(zone_page_state_snapshot(zone, NR_FREE_PAGES) for zone in vm.zones)


#: Rows of the table: what it is called, and the count's name.
_SHOWN = (
    ("kswapd woken", "mm_vmscan_wakeup_kswapd"),
    ("runs of kswapd", "mm_vmscan_kswapd_wake"),
    ("pages it reclaimed", "reclaimed by kswapd"),
    ("direct reclaims", "mm_vmscan_direct_reclaim_begin"),
    ("pages they reclaimed", "reclaimed by direct"),
    ("batches isolated", "mm_vmscan_lru_isolate"),
    ("pages scanned", "scanned"),
    ("pages taken", "taken"),
    ("extfrag events", "mm_page_alloc_extfrag"),
    ("failed requests", "failed"),
    ("OOM kills", "mark_victim"),
    ("free pages at the end, of pcp lists too", "free"),
)
#: Counts of the model alone: where both part.
_PARTING = (
    ("folios kept longer than there", "kept longer"),
    ("folios reclaimed that are dropped later there", "reclaimed before it was dropped"),
    ("requests of tasks killed earlier than there", "requests of the dead"),
)


def table(columns: list[tuple[str, Compared]]) -> str:
    """A row for each count, two columns for each capture: recorded, and the model's."""
    heads = [f"`{name}` recorded | model" for name, _ in columns]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|---:|" * len(columns)]
    for shown, name in _SHOWN:
        cells = [f"{c.recorded[name]:,} | {c.model[name]:,}" for _, c in columns]
        lines.append(f"| {shown} | " + " | ".join(cells) + " |")
    for shown, name in _PARTING:
        lines.append(
            f"| {shown} | " + " | ".join(f"| {c.model[name]:,}" for _, c in columns) + " |"
        )
    return "\n".join(lines)


def main() -> int:
    """The command."""
    return run_of_captures(__doc__, pressure, table)


if __name__ == "__main__":
    sys.exit(main())
