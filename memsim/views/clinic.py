"""Four requests that fail, and ten remedies: each pair is run on a machine of its own."""

from __future__ import annotations

import html
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.vmalloc.state import is_vmalloc_addr
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_MEMALLOC,
    __GFP_NORETRY,
    __GFP_RETRY_MAYFAIL,
    GFP_ATOMIC,
    GFP_KERNEL,
)
from memsim.words.mmzone import NULL
from memsim.workload.programs import Programs

SERVED, REFUSED, KILLED, NOT_THERE = "served", "refused", "killed", "no choice"


class Remedy(NamedTuple):
    """What is changed: of the machine, of the request's mask, of how it is asked for."""

    name: str
    machine: tuple[tuple[str, Any], ...] = ()
    flags: int = 0
    how: str = ""


REMEDIES = (
    Remedy("nothing"),
    Remedy("vm.min_free_kbytes, four times as much", (("min_free_kbytes", 4 * 500),)),
    Remedy("vm.watermark_scale_factor = 300", (("watermark_scale_factor", 300),)),
    Remedy("swap, 64 MiB", (("swap", "64 MiB"),)),
    Remedy("echo 1 > compact_memory, before", how="compact"),
    Remedy("a CMA area, 4 MiB", (("cma", "4 MiB"),), how="cma"),
    Remedy("mask | __GFP_NORETRY", flags=__GFP_NORETRY),
    Remedy("mask | __GFP_RETRY_MAYFAIL", flags=__GFP_RETRY_MAYFAIL),
    Remedy("kvmalloc()", how="kvmalloc"),
    Remedy("order 0, page by page", how="pages"),
    Remedy("ask where it may sleep: GFP_KERNEL", how="sleeps"),
)


class Result(NamedTuple):
    """What became of a request: a word, and the numbers behind it."""

    word: str
    says: str

    def __str__(self) -> str:
        return f"{self.word}: {self.says}" if self.says else self.word


class Patient(NamedTuple):
    """A request that fails: whose, how it is asked for, what its machine is like, and asking it."""

    name: str
    asks: str
    check: str
    ask: Callable[[Remedy], Result]


def _machine(remedy: Remedy, ram: str = "16 MiB") -> Programs:
    return Programs(ram, slab=True, vmalloc=True, **dict(remedy.machine))


def _mask(mask: int, remedy: Remedy) -> int:
    return (GFP_KERNEL if remedy.how == "sleeps" else mask) | remedy.flags


# A burst of an interrupt


BURST = 130


def _burst(remedy: Remedy) -> Result:
    """Memory is full of a file's pages; so many are wanted before kswapd can run."""
    if remedy.how == "cma":
        return _no_sleep("cma_alloc()")
    if remedy.how in ("kvmalloc", "pages"):
        return Result(NOT_THERE, "they are single pages already")
    machine = _machine(remedy)
    file = machine.open("log", "20 MiB")
    for index in range(file.nr_pages):
        machine.read(file, index)
    if remedy.how == "compact":
        machine.compact_memory()
    mask = _mask(GFP_ATOMIC, remedy)
    pages = machine._do("burst", 0, lambda: _pages(machine, mask))
    missing = pages.count(NULL)
    if missing:
        return Result(REFUSED, f"{missing} of {BURST} pages missing")
    return Result(SERVED, f"all {BURST} pages")


def _pages(machine: Programs, mask: int) -> list[int]:
    return [alloc_pages(machine.vm, mask, 0, 0) for _ in range(BURST)]


def _no_sleep(what: str) -> Result:
    return Result(NOT_THERE, f"{what} may sleep, an interrupt may not")


# Four pages or more in one piece


ORDER = 4


def _in_interrupt(remedy: Remedy) -> Result:
    """Every second page of memory is free; the others are a program's, and could be moved."""
    machine = _machine(remedy)
    program = machine.start("program", "48 MiB", oom_score_adj=-1000)
    machine.touch_first(program, 2500)
    _take_all(machine)
    for index, pfn in machine.pages_of(program).items():
        if pfn % 2:
            machine.drop(program.region, index)
    return _ask_for_block(machine, remedy, GFP_ATOMIC)


def _between_kernel_pages(remedy: Remedy) -> Result:
    """Of each 16 pages the kernel has one for itself, all others are free."""
    machine = _machine(remedy)
    for pfn in _take_all(machine):
        if pfn % 16 != 5:
            machine.free_pages(pfn)
    return _ask_for_block(machine, remedy, GFP_KERNEL)


def _take_all(machine: Programs) -> list[int]:
    """What is free, page by page and below all marks; nobody is woken for it."""
    machine.drain_all_pages()
    taken = []
    with suppress(PageAllocationFailure):
        while True:
            taken.append(machine.alloc_pages(__GFP_MEMALLOC))
    return taken


def _ask_for_block(machine: Programs, remedy: Remedy, mask: int) -> Result:
    if remedy.how == "sleeps" and mask == GFP_KERNEL:
        return Result(NOT_THERE, "it may sleep already")
    mask = _mask(mask, remedy)
    may_sleep = bool(mask & __GFP_DIRECT_RECLAIM)
    if remedy.how == "compact":
        machine.compact_memory()
    try:
        if remedy.how == "cma":
            if not may_sleep:
                return _no_sleep("cma_alloc()")
            machine.cma_alloc(1 << ORDER)
        elif remedy.how == "kvmalloc":
            address = machine.kvmalloc(4096 << ORDER, mask)
            where = "vmalloc's addresses" if is_vmalloc_addr(machine.vm.vmalloc, address) else ""
            return Result(SERVED, f"at {where or 'an address of the direct map'}")
        elif remedy.how == "pages":
            for _ in range(1 << ORDER):
                machine.alloc_pages(mask)
            return Result(SERVED, f"{1 << ORDER} pages, not in one piece")
        else:
            machine.alloc_pages(mask, ORDER)
    except PageAllocationFailure:
        return Result(REFUSED, "")
    return Result(SERVED, f"{1 << ORDER} pages in one piece")


# A driver's table


TABLE = 2500


def _table(remedy: Remedy) -> Result:
    """Three programs have most of memory; the driver wants more than is left."""
    if remedy.how == "pages":
        return Result(NOT_THERE, "they are single pages already")
    if remedy.how == "sleeps":
        return Result(NOT_THERE, "it may sleep already")
    machine = _machine(remedy)
    for comm, pages, adj in (("database", 1200, -1000), ("editor", 500, 0), ("player", 400, 0)):
        machine.touch_first(machine.start(comm, "16 MiB", oom_score_adj=adj), pages)
    if remedy.how == "compact":
        machine.compact_memory()
    got = _take_table(machine, remedy)
    says = f"{got:,} of {TABLE:,} pages"
    swap = machine.vm.folios.swap
    if swap.total_swap_pages:
        says += f", {swap.total_swap_pages - swap.nr_swap_pages:,} pages of programs are in swap"
    if machine.killed:
        return Result(KILLED, f"{', '.join(machine.killed)}; the driver has {says}")
    return Result(SERVED if got == TABLE else REFUSED, says)


def _take_table(machine: Programs, remedy: Remedy) -> int:
    """How many pages the driver got."""
    mask, got = GFP_KERNEL | remedy.flags, 0
    with suppress(PageAllocationFailure):
        if remedy.how == "kvmalloc":
            machine.kvmalloc(TABLE << 12, mask)
            return TABLE
        while got < TABLE:
            machine.alloc_pages(mask)
            got += 1
    return got


PATIENTS = (
    Patient("a network card's burst", f"{BURST} single pages at once, GFP_ATOMIC",
            "the watermark: too little is free at this moment", _burst),
    Patient("64 KiB in an interrupt", "one block of order 4, GFP_ATOMIC",
            "the lists: no block of 16, but programs' pages could be moved", _in_interrupt),
    Patient("64 KiB between kernel pages", "one block of order 4, GFP_KERNEL",
            "the lists: no block of 16, and what is between cannot be moved",
            _between_kernel_pages),
    Patient("a driver's table", f"{TABLE:,} single pages, GFP_KERNEL",
            "the watermark: memory is used up, and nothing can be reclaimed", _table),
)  # fmt: skip


@cache
def treated(patient: Patient, remedy: Remedy) -> Result:
    """What became of this request with this remedy."""
    return patient.ask(remedy)


class Clinic(Controls):
    """A request under one choice, a remedy under another: the pair is run, and what came of it."""

    def __init__(self) -> None:
        wide = widgets.Layout(**FULL)
        self.patient = widgets.Dropdown(
            options=[(one.name, at) for at, one in enumerate(PATIENTS)],
            description="request", layout=wide,
        )  # fmt: skip
        self.remedy = widgets.IntSlider(
            max=len(REMEDIES) - 1, description="remedy", layout=wide, readout=False
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.tried: dict[tuple[int, int], Result] = {}
        self.patient.observe(self._run, names="value")
        self.remedy.observe(self._run, names="value")
        self._run()
        super().__init__([self.patient, self.remedy, self.picture])

    def text(self) -> str:
        """The pair that was run last."""
        patient, remedy = PATIENTS[self.patient.value], REMEDIES[self.remedy.value]
        result = self.tried[self.patient.value, self.remedy.value]
        return (
            f"{patient.name}: {patient.asks}.\nRefused by {patient.check}.\n"
            f"With {remedy.name}: {result}"
        )

    def _run(self, _: Any = None) -> None:
        at = self.patient.value, self.remedy.value
        self.tried[at] = treated(PATIENTS[at[0]], REMEDIES[at[1]])
        self._show()

    def _show(self) -> None:
        rows = "".join(self._row(at) for at in range(len(REMEDIES)))
        style = "text-align: left; padding: 1px 8px"
        heads = "".join(
            f'<th scope="col" style="{style}">{html.escape(head)}</th>'
            for head in ("remedy", *(one.name for one in PATIENTS))
        )
        region = 'role="region" tabindex="0" aria-label="what was tried"'
        table = scrolling(f'<table style="line-height: 1.4"><tr>{heads}</tr>{rows}</table>', region)
        self.picture.value = status(self.text()) + table

    def _row(self, remedy: int) -> str:
        cells = [
            (self.tried[at, remedy].word if (at, remedy) in self.tried else "", at)
            for at in range(len(PATIENTS))
        ]
        data = "".join(
            f'<td style="text-align: left; padding: 1px 8px; {self._frame(at, remedy)}">{word}</td>'
            for word, at in cells
        )
        name = html.escape(REMEDIES[remedy].name)
        return f'<tr><td style="text-align: left; padding: 1px 8px">{name}</td>{data}</tr>'

    def _frame(self, patient: int, remedy: int) -> str:
        is_now = (patient, remedy) == (self.patient.value, self.remedy.value)
        return "outline: 3px solid var(--jp-brand-color1, #0b62c4)" if is_now else ""
