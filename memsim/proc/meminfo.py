"""/proc/meminfo: memory in KiB by what it is for.

Kernel: fs/proc/meminfo.c meminfo_proc_show(), mm/hugetlb.c hugetlb_report_meminfo()
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from memsim.mm.mmzone import Vm, Zone, is_highmem
from memsim.mm.show_mem import K
from memsim.mm.vmalloc.vmalloc import totalram_pages
from memsim.proc.text import COPY_AGAIN, Line, lines_of
from memsim.words.arch import NO_ZONE
from memsim.words.mmzone import NR_FREE_PAGES

MAX_LINES = 256
_ROW = re.compile(r"([A-Za-z0-9_()]{1,40}): +([0-9]+)( kB)?", re.ASCII)


@dataclass(frozen=True)
class MeminfoLine:
    """A row: `value` is in KiB, or, with kb=False, a number of huge pages.

    `line` is where it was read.
    """

    name: str
    value: int
    kb: bool = True
    line: int = field(default=0, compare=False)


def parse_meminfo(text: str, name: str = "meminfo") -> list[MeminfoLine]:
    """The rows of a copy. BadInput names line and field; `name` is how it calls the file."""
    rows: list[MeminfoLine] = []
    seen: set[str] = set()
    for line in lines_of(text, name):
        match = _ROW.fullmatch(line.text)
        if match is None:
            raise line.unknown("'NAME: NUMBER kB'")
        if match[1] in seen or len(rows) == MAX_LINES:
            raise line.bad(f"{match[1]} comes twice, or is one line too many; {COPY_AGAIN}")
        value = line.integer(match[2], match[1])
        rows.append(MeminfoLine(match[1], value, bool(match[3]), line.number))
        seen.add(match[1])
    if not rows:
        raise Line(name, 1, "").bad(f"no line at all; {COPY_AGAIN}")
    return rows


def write_meminfo(rows: list[MeminfoLine]) -> str:
    """The text, as Linux 6.12 prints it. Kernel: fs/proc/meminfo.c show_val_kb()."""
    return "".join(f"{_text(row)}\n" for row in rows)


def _text(row: MeminfoLine) -> str:
    name = f"{row.name}:"
    if not row.kb:
        return f"{name:<19}{row.value:5}"
    if len(name) > 16:
        return f"{name} {row.value:5} kB"
    return f"{name:<16}{row.value:8} kB"


def meminfo_of(vm: Vm) -> list[MeminfoLine]:
    """The rows that this machine knows exactly, in the kernel's order.

    NOT MODELLED: the others: MemAvailable and what is on LRU lists, swap, dirty pages, slab, page
    tables, CMA, huge pages, the direct map; Vmalloc's without vmalloc. A copy has all of them.
    """
    rows = [
        MeminfoLine("MemTotal", K(totalram_pages(vm))),
        MeminfoLine("MemFree", K(_pages(vm.zones, NR_FREE_PAGES))),
    ]
    if vm.arch.ZONE_HIGHMEM != NO_ZONE:
        rows += _highmem(vm)
    if hasattr(vm, "vmalloc"):
        layout = vm.vmalloc.layout
        rows.append(MeminfoLine("VmallocTotal", layout.VMALLOC_END - layout.VMALLOC_START >> 10))
        rows.append(MeminfoLine("VmallocUsed", K(vm.vmalloc.nr_vmalloc_pages)))
        # no kernel looks for the largest hole any more (in v4.4)
        rows.append(MeminfoLine("VmallocChunk", 0))
    return rows


def _highmem(vm: Vm) -> list[MeminfoLine]:
    """Memory with and without a lasting address. Kernel: mm/show_mem.c si_meminfo()."""
    high = [zone for zone in vm.zones if is_highmem(zone)]
    totalhigh, freehigh = sum(zone.managed_pages for zone in high), _pages(high, NR_FREE_PAGES)
    totalram, freeram = totalram_pages(vm), _pages(vm.zones, NR_FREE_PAGES)
    return [
        MeminfoLine("HighTotal", K(totalhigh)),
        MeminfoLine("HighFree", K(freehigh)),
        MeminfoLine("LowTotal", K(totalram - totalhigh)),
        MeminfoLine("LowFree", K(freeram - freehigh)),
    ]


def _pages(zones: list[Zone], item: int) -> int:
    """A counter of these zones. Kernel: global_zone_page_state()."""
    return max(sum(zone.vm_stat[item] for zone in zones), 0)
