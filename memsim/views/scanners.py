"""Compaction's two scanners on a map of pageblocks, moment by moment, forwards and back."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import groupby
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.machine.history import Recording
from memsim.machine.machine import Machine
from memsim.mm.compaction.kcompactd import kcompactd_run
from memsim.mm.compaction.pressure import ReclaimAndCompaction
from memsim.mm.description import of_pages
from memsim.mm.folio import reclaim_init
from memsim.trace.compaction_events import (
    Isolate,
    MmCompactionBegin,
    MmCompactionEnd,
    MmCompactionFastIsolateFreepages,
    MmCompactionIsolateMigratepages,
    MmCompactionMigratepages,
)
from memsim.trace.events import Traced
from memsim.trace.trace import Trace
from memsim.views.controls import FULL, Controls, status
from memsim.views.scene import ALLOCATED, FREE, PCP, Block, Scene
from memsim.words.compaction import COMPACTION_STATUS
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE, GFP_TRANSHUGE

#: The zone: where it begins, its pageblocks, and the pages of each.
FIRST_PFN, NR_PAGEBLOCKS, PAGEBLOCK = 4096, 6, 512
#: Height of a pageblock's row, and how many pages may stay.
ROW, STAY = 34, (0, 3, 6, 48)
#: What a page can be, and how it is drawn.
FREE_PAGE, MOVABLE, STAYS = "free", "in use, can move", "in use, stays"
MOVING, TARGET, GIVEN = "on its way", "free, taken as a target", "given to the request"
#: Colour, and how high in its row: kinds are told apart without colours too.
STYLES = {
    FREE_PAGE: ("none", 0, 0),
    MOVABLE: ("#56b4e9", 6, 20),
    STAYS: ("#d55e00", 0, 26),
    MOVING: ("#e69f00", 0, 13),
    TARGET: ("#009e73", 20, 6),
    GIVEN: ("#cc79a7", 0, 26),
}


class OneZone(Machine):
    """A machine of one zone without watermarks, whose folios can move."""

    def __init__(self, nr_pages: int = NR_PAGEBLOCKS * PAGEBLOCK) -> None:
        vm = of_pages(nr_pages, FIRST_PFN, 1, True, True, Trace(mask=0))
        self._adopt(vm, 0, True)
        reclaim_init(vm)
        kcompactd_run(vm)
        vm.pressure = ReclaimAndCompaction(vm)


def fixed_pages(stays: int) -> set[int]:
    """Where pages are that never move, at even distances."""
    distance = NR_PAGEBLOCKS * PAGEBLOCK // max(stays, 1)
    return {FIRST_PFN + nr * distance + min(77, distance - 1) for nr in range(stays)}


def scattered(stays: int = 0) -> OneZone:
    """All of the zone was in use; of eight pages three are left, and `stays` that never move."""
    machine = OneZone()
    fixed, freed = fixed_pages(stays), []
    region = machine.mmap("heap", NR_PAGEBLOCKS * PAGEBLOCK << 12)
    for index in range(region.nr_pages):
        if FIRST_PFN + index in fixed:
            machine.alloc_pages(GFP_HIGHUSER_MOVABLE)  # without a mapping nobody can find its users
            continue
        machine.touch(region, index)
        if index * 5 % 8 > 2:
            freed.append(index)
    machine.lru_add_drain_all()
    for index in freed:
        machine.drop(region, index)
    machine.drain_all_pages()
    return machine


class Moment(NamedTuple):
    """What was done last, and where the scanners stand; `seq` says how many steps are done."""

    seq: int
    text: str
    migrate_pfn: int
    free_pfn: int


def moments(events: list[Traced]) -> Iterator[Moment]:
    """A moment for each event of the scanners; one for all searches of free lists in a row."""
    migrate, free, found = -1, -1, 0
    for traced in events:
        event, text = traced.event, ""
        if isinstance(event, MmCompactionFastIsolateFreepages):
            found += event.nr_taken
            continue
        if isinstance(event, MmCompactionBegin | MmCompactionEnd):
            migrate, free = event.migrate_pfn, event.free_pfn
            text = _ends_text(event)
        elif isinstance(event, MmCompactionIsolateMigratepages):
            migrate, text = (
                event.end_pfn,
                _isolate_text(event, "pages to be moved"),
            )
        elif isinstance(event, Isolate):
            free, text = (
                event.start_pfn,
                _isolate_text(event, "free pages as targets"),
            )
        elif isinstance(event, MmCompactionMigratepages):
            text = f"migrate_pages(): {event.nr_migrated} pages moved, {event.nr_failed} not"
            text += f"; targets: {found} free pages, by their lists" if found else ""
        if text:
            found = 0
            yield Moment(traced.seq, text, migrate, free)


def _isolate_text(event: Isolate, what: str) -> str:
    is_migrate = isinstance(event, MmCompactionIsolateMigratepages)
    name = f"isolate_{'migratepages' if is_migrate else 'freepages'}_block"
    return (
        f"{name}(): of pfn {event.start_pfn} to "
        f"{event.end_pfn - 1} it takes {event.nr_taken} {what}"
    )


def _ends_text(event: MmCompactionBegin | MmCompactionEnd) -> str:
    mode = "sync" if event.sync else "async"
    if isinstance(event, MmCompactionBegin):
        return f"compact_zone() begins, {mode}"
    return f"compact_zone() ends, {mode}: {COMPACTION_STATUS[event.status]}"


class Compacted(NamedTuple):
    """A recorded compaction: its steps, and its moments; the first is before anything."""

    recording: Recording
    moments: list[Moment]


def compacted(machine: Machine, call: Callable[[], int | None]) -> Compacted:
    """Run something that compacts; a refusal is no error."""
    since, seq, pfn = machine.vm.trace.ring.written, machine.vm.trace.seq, None
    with machine.recording() as recording, suppress(PageAllocationFailure):
        pfn = call()
    found = list(moments(machine.events(since)))
    last = found[-1] if found else Moment(seq, "", -1, -1)
    text = "it is over" if pfn is None else f"the request has its block, pfn {pfn}"
    end = Moment(machine.vm.trace.seq, text, last.migrate_pfn, last.free_pfn)
    return Compacted(recording, [Moment(seq, "nothing is done yet", -1, -1), *found, end])


WHOLE_ZONE = "compact_memory: all of the zone"
WAYS: dict[str, Callable[[Machine], int | None]] = {
    WHOLE_ZONE: lambda machine: machine.compact_memory(),
    "a request of order 9": lambda machine: machine.alloc_pages(GFP_TRANSHUGE, 9),
}


class Scanners(Controls):
    """A slider over the moments of a compaction; what compacts and what stays can be chosen."""

    def __init__(self, way: str = WHOLE_ZONE, stays: int = 0) -> None:
        wide = widgets.Layout(**FULL)
        self.way = widgets.Dropdown(options=list(WAYS), value=way, description="who", layout=wide)
        self.stays = widgets.SelectionSlider(
            options=STAY, value=stays, description="that stay", layout=wide
        )
        self.moment = widgets.IntSlider(max=0, description="moment", layout=wide)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._compact()
        for control in (self.way, self.stays):
            control.observe(self._compact, names="value")
        self.moment.observe(self._show, names="value")
        super().__init__([self.way, self.stays, self.moment, self.picture])

    def _compact(self, _: Any = None) -> None:
        machine = scattered(self.stays.value)
        self.done = compacted(machine, lambda: WAYS[self.way.value](machine))
        self._scene, self._at = Scene(self.done.recording.snapshot), 0
        self._fixed = fixed_pages(self.stays.value)
        self.moment.max = len(self.done.moments) - 1
        self.moment.value = 0
        self._show()

    def go(self, moment: int) -> str:
        """Stand at a moment, or as near as there is; what is shown then, in words."""
        self.moment.value = moment
        return self.text()

    def _go(self, seq: int) -> None:
        """The scene as it is when all steps up to this one are done."""
        steps = self.done.recording.steps
        while self._at < len(steps) and steps[self._at].seq <= seq:
            self._scene.apply(steps[self._at])
            self._at += 1
        while self._at and steps[self._at - 1].seq > seq:
            self._at -= 1
            self._scene.undo(steps[self._at])

    def rows(self) -> list[list[str]]:
        """What each page is at this moment, a list for each pageblock."""
        self._go(self.done.moments[self.moment.value].seq)
        kinds = [self._kind(block) for block in self._scene.blocks() for _ in range(block.nr_pages)]
        return [kinds[first : first + PAGEBLOCK] for first in range(0, len(kinds), PAGEBLOCK)]

    def _kind(self, block: Block) -> str:
        if block.kind in (FREE, PCP):
            return FREE_PAGE
        if block.kind != ALLOCATED:
            return TARGET
        if block.on_lru or block.order:
            return MOVABLE if block.on_lru else GIVEN
        return STAYS if block.pfn in self._fixed else MOVING

    def still(self) -> str:
        """The picture, small enough for a slide, and what it shows in words."""
        rows, moment = self.rows(), self.done.moments[self.moment.value]
        return f'<div style="width: 80%">{picture(rows, moment)}</div>{status(self._told(rows))}'

    def text(self) -> str:
        """The moment in words: what was done, where the scanners stand, what is free."""
        return self._told(self.rows())

    def _told(self, rows: list[list[str]]) -> str:
        at, moment = self.moment.value, self.done.moments[self.moment.value]
        free = ", ".join(str(row.count(FREE_PAGE)) for row in rows)
        whole = sum(row.count(FREE_PAGE) == PAGEBLOCK for row in rows)
        return (
            f"Moment {at} of {self.moment.max}: {moment.text}. {_stand(moment)}Free pages of each "
            f"pageblock, 0 to {NR_PAGEBLOCKS - 1}: {free}. Wholly free: {whole}."
        )

    def _show(self, _: Any = None) -> None:
        rows, moment = self.rows(), self.done.moments[self.moment.value]
        self.picture.value = picture(rows, moment) + status(self._told(rows))


def _stand(moment: Moment) -> str:
    if moment.migrate_pfn < 0:
        return ""
    return (
        f"The migration scanner stands in pageblock {_pageblock(moment.migrate_pfn)}, the free "
        f"scanner in {_pageblock(moment.free_pfn)}. "
    )


def _pageblock(pfn: int) -> int:
    return (pfn - FIRST_PFN) // PAGEBLOCK


def picture(rows: list[list[str]], moment: Moment) -> str:
    """A row for each pageblock, and the scanners at their places. HTML."""
    drawn = "".join(_row(nr, row) for nr, row in enumerate(rows))
    scanners = ""
    if moment.migrate_pfn >= 0:
        scanners = _scanner(moment.migrate_pfn, "migration", 1)
        scanners += _scanner(moment.free_pfn, "free", -1)
    keys = "".join(_key(kind) for kind in STYLES)
    return (
        '<div aria-hidden="true" style="max-width: 60em; margin: 8px 0; color: '
        'var(--jp-ui-font-color1, currentColor)">'
        f'<svg viewBox="-34 -6 660 {ROW * len(rows) + 8}" style="display: block; width: 100%">'
        f"{drawn}{scanners}</svg><div>{keys}</div></div>"
    )


def _row(nr: int, row: list[str]) -> str:
    y = nr * ROW
    paths = {kind: "" for kind in STYLES if kind != FREE_PAGE}
    x = 0
    for kind, run in groupby(row):
        width = len(list(run))
        if kind in paths:
            _, top, height = STYLES[kind]
            paths[kind] += f"M{x} {y + top}h{width}v{height}h-{width}z"
        x += width
    drawn = "".join(f'<path d="{d}" fill="{STYLES[kind][0]}"/>' for kind, d in paths.items() if d)
    return (
        f'<text x="-8" y="{y + 18}" text-anchor="end" font-size="14" fill="currentColor">{nr}'
        f'</text>{drawn}<rect x="0" y="{y}" width="{PAGEBLOCK}" height="26" fill="none" '
        'stroke="#808080"/>'
    )


def _scanner(pfn: int, name: str, step: int) -> str:
    """A line at the scanner's place, and its name with the direction it goes in."""
    nr = min(max(_pageblock(pfn), 0), NR_PAGEBLOCKS - 1)
    x, y = pfn - FIRST_PFN - nr * PAGEBLOCK, nr * ROW
    lower = 22 if step > 0 else 10
    return (
        f'<path d="M{x} {y - 4}v34" stroke="currentColor" stroke-width="4"/>'
        f'<text x="{PAGEBLOCK + 6}" y="{y + lower}" font-size="13" fill="currentColor">'
        f"{'▼' if step > 0 else '▲'} {html.escape(name)}</text>"
    )


def _key(kind: str) -> str:
    colour, top, height = STYLES[kind]
    return (
        '<span style="display: inline-block; margin-right: 1.2em; font-size: 13px">'
        '<svg width="22" height="26" style="vertical-align: middle; border: 1px solid #808080">'
        f'<rect y="{top}" width="22" height="{height}" fill="{colour}"/></svg> '
        f"{html.escape(kind)}</span>"
    )
