"""/proc/buddyinfo: how many free blocks of each order a zone has.

Its layout has not changed since before 4.9.
Kernel: mm/vmstat.c frag_show(), frag_show_print()
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from memsim.mm.mmzone import Vm, populated_zones
from memsim.mm.vmstat import nr_free_by_order
from memsim.proc.text import COPY_AGAIN, MAX_NODE, Line, lines_of

_ROW = re.compile(r"Node +([0-9]+), +zone +([A-Za-z0-9]{1,16}) +(\S.*)", re.ASCII)


@dataclass(frozen=True)
class BuddyinfoZone:
    """A row: `nr_free[order]` counts blocks. `line` is where it was read.

    Kernels differ in the number of orders: 11 on x86-64, 14 on arm64 with 64 KiB pages.
    """

    node: int
    zone: str
    nr_free: tuple[int, ...]
    line: int = field(default=0, compare=False)

    @property
    def free_pages(self) -> int:
        """Pages in all these blocks."""
        return sum(blocks << order for order, blocks in enumerate(self.nr_free))


def parse_buddyinfo(text: str, name: str = "buddyinfo") -> list[BuddyinfoZone]:
    """The rows of a copy. BadInput names line and field; `name` is how it calls the file."""
    rows: list[BuddyinfoZone] = []
    seen: set[tuple[int, str]] = set()
    for line in lines_of(text, name):
        row = _row(line)
        if (row.node, row.zone) in seen:
            raise line.bad(f"Node {row.node}, zone {row.zone} comes twice; {COPY_AGAIN}")
        if rows and len(row.nr_free) != len(rows[0].nr_free):
            raise line.bad(
                f"{len(row.nr_free)} orders, but {len(rows[0].nr_free)} in line {rows[0].line}: "
                f"cut or wrapped; {COPY_AGAIN}"
            )
        rows.append(row)
        seen.add((row.node, row.zone))
    if not rows:
        raise Line(name, 1, "").bad(f"no zone at all; {COPY_AGAIN}")
    return rows


def _row(line: Line) -> BuddyinfoZone:
    match = _ROW.fullmatch(line.text)
    if match is None:
        raise line.unknown("'Node N, zone NAME' and numbers")
    nr_free = line.integers(match[3], "free blocks")
    return BuddyinfoZone(line.integer(match[1], "Node", MAX_NODE), match[2], nr_free, line.number)


def write_buddyinfo(rows: list[BuddyinfoZone]) -> str:
    """The text, as Linux 6.12 prints it. Kernel: frag_show_print()."""
    return "".join(
        f"Node {row.node}, zone {row.zone:>8} "
        + "".join(f"{blocks:6d} " for blocks in row.nr_free)
        + "\n"
        for row in rows
    )


def buddyinfo_of(vm: Vm) -> list[BuddyinfoZone]:
    """What buddyinfo says on this machine."""
    return [
        BuddyinfoZone(zone.node, zone.name, tuple(nr_free_by_order(zone)))
        for zone in populated_zones(vm)
    ]
