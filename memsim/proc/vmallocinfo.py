"""/proc/vmallocinfo: the busy areas of each vmap_node by address, then those freed lazily.

Kernel: mm/vmalloc.c vmalloc_info_show(), show_numa_info(), show_purge_info()
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from memsim.lib.rbtree import rb_nodes
from memsim.mm.mmzone import Vm, page_zone
from memsim.mm.vmalloc.area import VmapArea, VmStruct, va_size
from memsim.mm.vmalloc.state import is_vmalloc_addr
from memsim.proc.text import COPY_AGAIN, Line, lines_of
from memsim.words.vmalloc import (
    ULONG_MAX,
    VM_ALLOC,
    VM_DMA_COHERENT,
    VM_IOREMAP,
    VM_MAP,
    VM_SPARSE,
    VM_UNINITIALIZED,
    VM_USERMAP,
    VMAP_RAM,
)

MAX_AREAS = 1 << 20
#: What an area is for, in the kernel's words and order.
FLAG_WORDS = (
    (VM_IOREMAP, "ioremap"),
    (VM_SPARSE, "sparse"),
    (VM_ALLOC, "vmalloc"),
    (VM_MAP, "vmap"),
    (VM_USERMAP, "user"),
    (VM_DMA_COHERENT, "dma-coherent"),
)
_WORDS = "|".join(word for _, word in FLAG_WORDS)
#: What is said of an area without a vm_struct.
UNPURGED = "unpurged vm_area"
MAP_RAM = "vm_map_ram"
_ROW = re.compile(r"0x([0-9a-f]{8,16})-0x([0-9a-f]{8,16}) +(\d{1,20}) ?(.*)", re.ASCII)
_TOLD = re.compile(
    r"(?:(?P<caller>\S+(?: \[\w+\])?) ?)??(?:pages=(?P<pages>\d{1,10}) ?)?"
    r"(?:phys=(?P<phys>0x[0-9a-f]{8,16}) ?)?"
    rf"(?P<words>(?:(?:{_WORDS}|vpages) ?)*)(?P<nodes>(?:N\d{{1,4}}=\d{{1,10}} ?)*)",
    re.ASCII,
)


@dataclass(frozen=True)
class VmallocinfoArea:
    """A row. size is in bytes, and counts the guard page; phys is -1 where none is told.

    words: "ioremap", "vmalloc" and so on, in the kernel's order. nodes: pages by NUMA node. `line`
    is where it was read.
    """

    start: int
    end: int
    size: int
    caller: str = ""
    pages: int = 0
    phys: int = -1
    words: tuple[str, ...] = ()
    nodes: tuple[tuple[int, int], ...] = ()
    line: int = field(default=0, compare=False)


def parse_vmallocinfo(text: str, name: str = "vmallocinfo") -> list[VmallocinfoArea]:
    """The rows of a copy. BadInput names line and field; `name` is how it calls the file."""
    rows: list[VmallocinfoArea] = []
    for line in lines_of(text, name):
        if len(rows) == MAX_AREAS:
            raise line.bad(f"over {MAX_AREAS} areas; {COPY_AGAIN}")
        rows.append(_row(line))
    return rows


def _row(line: Line) -> VmallocinfoArea:
    match = _ROW.fullmatch(line.text)
    if match is None:
        raise line.unknown("'0xADDRESS-0xADDRESS SIZE' and what the area is for")
    start, end, size = int(match[1], 16), int(match[2], 16), int(match[3])
    if not 0 <= start < end <= ULONG_MAX or size != end - start:
        hidden = "addresses are hidden: copy as root" if start == end else COPY_AGAIN
        raise line.bad(f"size: {size} is not from {start:#x} to {end:#x}; {hidden}")
    if match[4] in (UNPURGED, MAP_RAM):
        return VmallocinfoArea(start, end, size, words=(match[4],), line=line.number)
    told = _TOLD.fullmatch(match[4])
    if told is None:
        raise line.unknown("CALLER, pages=, phys=, words as vmalloc, and N0=")
    return VmallocinfoArea(
        start, end, size, told["caller"] or "", int(told["pages"] or 0),
        int(told["phys"], 16) if told["phys"] else -1, tuple(told["words"].split()),
        tuple((int(n), int(k)) for n, k in re.findall(r"N(\d+)=(\d+)", told["nodes"])),
        line.number,
    )  # fmt: skip


def write_vmallocinfo(rows: list[VmallocinfoArea], digits: int = 16) -> str:
    """The text, as Linux 6.12 prints it for root; with 32 bits addresses have 8 digits.

    Kernel: vmalloc_info_show()
    """
    return "".join(f"{_text(row, digits)}\n" for row in rows)


def _text(row: VmallocinfoArea, digits: int) -> str:
    words = [f"0x{row.start:0{digits}x}-0x{row.end:0{digits}x} {row.size:7}"]
    words += [row.caller] if row.caller else []
    words += [f"pages={row.pages}"] if row.pages else []
    words += [f"phys=0x{row.phys:0{digits}x}"] if row.phys >= 0 else []
    words += row.words
    words += [f"N{node}={pages}" for node, pages in row.nodes]
    return " ".join(words)


def vmallocinfo_of(vm: Vm) -> list[VmallocinfoArea]:
    """What vmallocinfo says on this machine."""
    state = vm.vmalloc
    rows = [_busy(vm, va) for vn in state.vmap_nodes for va in rb_nodes(vn.busy)]
    lazy = [va for vn in state.vmap_nodes for va in rb_nodes(vn.lazy)]
    return [row for row in rows if row is not None] + [
        VmallocinfoArea(va.va_start, va.va_end, va_size(va), words=(UNPURGED,)) for va in lazy
    ]


def _busy(vm: Vm, va: VmapArea) -> VmallocinfoArea | None:
    """A busy area's row; one that nobody knows yet has none."""
    area = va.vm
    if area is None:
        known = va.flags & VMAP_RAM
        row = VmallocinfoArea(va.va_start, va.va_end, va_size(va), words=(MAP_RAM,))
        return row if known else None
    if area.flags & VM_UNINITIALIZED:
        return None
    words = [word for flag, word in FLAG_WORDS if area.flags & flag]
    if is_vmalloc_addr(vm.vmalloc, area.array):
        words.append("vpages")
    return VmallocinfoArea(
        area.addr, area.addr + area.size, area.size, area.caller, area.nr_pages,
        area.phys_addr or -1, tuple(words), _pages_by_node(vm, area),
    )  # fmt: skip


def _pages_by_node(vm: Vm, area: VmStruct) -> tuple[tuple[int, int], ...]:
    """Pages of each NUMA node that has any. Kernel: mm/vmalloc.c show_numa_info()."""
    counters: dict[int, int] = {}
    for pfn in area.pages[: area.nr_pages]:
        zone = page_zone(vm, pfn)
        if zone is not None:
            counters[zone.node] = counters.get(zone.node, 0) + 1
    return tuple(sorted(counters.items()))
