"""Who asks for memory, and which allocator answers: each row a real request, proved by events."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.machine import Machine
from memsim.mm.mmzone import page_zone
from memsim.mm.vmalloc.state import is_vmalloc_addr
from memsim.mm.vmalloc.vm_area import find_vm_area
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.words.gfp import (
    __GFP_COMP,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_ZERO,
    GFP_ATOMIC,
    GFP_DMA32,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_NOFS,
)
from memsim.words.slab import PAGE_OFFSET, SLAB_RECLAIM_ACCOUNT
from memsim.words.vmalloc import VMALLOC_END, VMALLOC_START

PAGES, SLAB, VMALLOC = "page allocator", "slab", "vmalloc"
ADDRESSES = "vmalloc, addresses alone"


class Requester(NamedTuple):
    """Who wants what, by which function of the kernel; ask() does it and gives an address."""

    who: str
    wants: str
    path: str
    ask: Callable[[Machine], int]


class Answer(NamedTuple):
    """Who answered a request, from which zone, and the kernel's events that prove it."""

    requester: Requester
    allocator: str
    zone: str
    events: list[str]

    def __str__(self) -> str:
        where = f", zone {self.zone}" if self.zone else ""
        return f"{self.requester.who}: {self.requester.wants}: {self.allocator}{where}"

    def proof(self) -> str:
        """The events in words, each with how often it fired."""
        counted = Counter(self.events)
        return ", ".join(name if nr == 1 else f"{name} {nr} times" for name, nr in counted.items())


def _pages(gfp_mask: int, order: int) -> Callable[[Machine], int]:
    """A request to the page allocator; its answer as an address of the direct map."""
    return lambda machine: PAGE_OFFSET + (machine.alloc_pages(gfp_mask, order) << 12)


def _object(cache: str, gfp_mask: int) -> Callable[[Machine], int]:
    return lambda machine: machine.kmem_cache_alloc(machine.cache(cache), gfp_mask)


def _stack(machine: Machine) -> int:
    return machine.vmalloc_node_range(16384, 16384, VMALLOC_START, VMALLOC_END)


READAHEAD = GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NORETRY | __GFP_NOWARN
FRAGMENT = GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN

REQUESTERS = (
    Requester(
        "a process touches a new page", "a page of zeros", "do_anonymous_page(), mm/memory.c",
        _pages(GFP_HIGHUSER_MOVABLE | __GFP_ZERO, 0),
    ),
    Requester(
        "a process reads a file", "4 pages together", "filemap_alloc_folio(), mm/filemap.c",
        _pages(READAHEAD, 2),
    ),
    Requester(
        "a new task", "its task_struct, 8,448 bytes", "dup_task_struct(), kernel/fork.c",
        _object("task_struct", GFP_KERNEL),
    ),
    Requester(
        "a new task", "its stack, 16 KiB", "alloc_thread_stack_node(), kernel/fork.c", _stack
    ),
    Requester(
        "a path is looked up", "a dentry, 192 bytes", "__d_alloc(), fs/dcache.c",
        _object("dentry", GFP_KERNEL),
    ),
    Requester(
        "a filesystem amid a transaction", "a buffer_head, not entering filesystems",
        "alloc_buffer_head(), fs/buffer.c", _object("buffer_head", GFP_NOFS),
    ),
    Requester(
        "a network card's interrupt", "an sk_buff, at once",
        "__netdev_alloc_skb(), net/core/skbuff.c", _object("skbuff_head_cache", GFP_ATOMIC),
    ),
    Requester(
        "a network card's interrupt", "32 KiB for packets, at once",
        "__page_frag_cache_refill(), mm/page_alloc.c", _pages(FRAGMENT, 3),
    ),
    Requester(
        "a driver", "100 bytes of its own", "kmalloc(), include/linux/slab.h",
        lambda machine: machine.kmalloc(100),
    ),
    Requester(
        "a device that knows 32-bit addresses", "16 KiB in one piece below 4 GiB",
        "__dma_direct_alloc_pages(), kernel/dma/direct.c", _pages(GFP_KERNEL | GFP_DMA32, 2),
    ),
    Requester(
        "a driver", "its device's registers", "ioremap(), arch/x86/mm/ioremap.c",
        lambda machine: machine.ioremap(0xFEBF4000, 4096),
    ),
    Requester(
        "a BPF program is loaded", "a page, its own",
        "bpf_prog_alloc_no_stats(), kernel/bpf/core.c", lambda machine: machine.vmalloc(4096),
    ),
    Requester(
        "a process with many open files", "a table of 512 KiB", "alloc_fdtable(), fs/file.c",
        lambda machine: machine.kvmalloc(512 << 10),
    ),
)  # fmt: skip


def new_machine() -> Machine:
    """A machine of 8 GiB that has answered each requester once: its lists and slabs are in use."""
    machine = Machine("8 GiB", slab=True, vmalloc=True)
    for name, size, flags in (
        ("task_struct", 8448, 0),
        ("dentry", 192, SLAB_RECLAIM_ACCOUNT),
        ("buffer_head", 104, SLAB_RECLAIM_ACCOUNT),
        ("skbuff_head_cache", 256, 0),
    ):
        machine.kmem_cache_create(name, size, flags=flags)
    for requester in REQUESTERS:
        requester.ask(machine)
    return machine


def answered(machine: Machine, requester: Requester) -> Answer:
    """Ask, and see who answered."""
    before = len(machine.events())
    address = requester.ask(machine)
    events = [traced.event.NAME for traced in machine.events()[before:]]
    if is_vmalloc_addr(machine.vm.vmalloc, address):
        area = find_vm_area(machine.vm, address)
        allocator = VMALLOC if area and area.nr_pages else ADDRESSES
        return Answer(requester, allocator, "", events)
    zone = page_zone(machine.vm, (address - PAGE_OFFSET) >> 12)
    allocator = SLAB if machine.slab_at(address) is not None else PAGES
    return Answer(requester, allocator, zone.name if zone else "", events)


class WhoAnswers(Controls):
    """The table of requesters under a slider: each asks a machine, and the events are shown."""

    def __init__(self) -> None:
        machine = new_machine()
        self.answers = [answered(machine, requester) for requester in REQUESTERS]
        self.row = widgets.IntSlider(
            min=1, max=len(self.answers), description="row", layout=widgets.Layout(**FULL)
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.row.observe(self._show, names="value")
        self._show()
        super().__init__([self.row, self.picture])

    def _show(self, _: Any = None) -> None:
        rows = "".join(
            _row(number, answer, number == self.row.value)
            for number, answer in enumerate(self.answers, 1)
        )
        heads = "".join(
            f'<th style="text-align: left; padding: 2px 8px">{head}</th>'
            for head in ("row", "who", "wants", "answers", "zone")
        )
        table = f"<table><tr>{heads}</tr>{rows}</table>"
        region = 'role="region" tabindex="0" aria-label="table of requesters"'
        self.picture.value = scrolling(table, region) + status(self.told())

    def told(self) -> str:
        """The row under the slider, with its proof."""
        answer = self.answers[self.row.value - 1]
        return f"{answer}. {answer.requester.path}. Events: {answer.proof()}."

    def text(self) -> str:
        """What is shown, in words."""
        lines = [f"{number} {answer}" for number, answer in enumerate(self.answers, 1)]
        return "\n".join([self.told(), *lines])


def _row(number: int, answer: Answer, is_chosen: bool) -> str:
    frame = "outline: 3px solid var(--jp-brand-color1, #0b62c4);" if is_chosen else ""
    cells = (number, answer.requester.who, answer.requester.wants, answer.allocator, answer.zone)
    data = "".join(
        f'<td style="text-align: left; padding: 2px 8px">{html.escape(str(cell))}</td>'
        for cell in cells
    )
    return f'<tr style="{frame}">{data}</tr>'
