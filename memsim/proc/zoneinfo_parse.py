"""Reading /proc/zoneinfo of any kernel since 4.9. Indentation is not looked at, order is."""

from __future__ import annotations

import re

from memsim.proc.text import COPY_AGAIN, MAX_NODE, Line, lines_of
from memsim.proc.zoneinfo import Pageset, ZoneinfoZone

_HEADER = re.compile(r"Node +([0-9]+), +zone +([A-Za-z0-9]{1,16})", re.ASCII)
_COUNTER = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63}) +(\S.*)", re.ASCII)
_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_ ]{0,63}): +(\S.*)", re.ASCII)
_PROTECTION = re.compile(r"protection: \(([^()]{1,400})\)")

#: Sizes that every zone must tell, and what one with pages must tell besides.
_SIZES = ("free", "min", "low", "high", "spanned", "present", "managed")
_PCP_NUMBERS = ("count", "high", "batch")
#: The first name behind the pagesets, of kernels without SMP too.
_TAIL = ("node_unreclaimable", "all_unreclaimable", "start_pfn")
_MAX_CPU = 1 << 16


def parse_zoneinfo(text: str, name: str = "zoneinfo") -> list[ZoneinfoZone]:
    """The zones of a copy. BadInput names line and field; `name` is how it calls the file."""
    zones: dict[tuple[int, str], ZoneinfoZone] = {}
    reader: _Reader | None = None
    for line in lines_of(text, name):
        header = _HEADER.fullmatch(line.text)
        if header:
            if reader:
                reader.finish()
            node = line.integer(header[1], "Node", MAX_NODE)
            reader = _Reader(line, ZoneinfoZone(node, header[2], line=line.number))
            if (node, header[2]) in zones:
                raise line.bad(f"Node {node}, zone {header[2]} comes twice; {COPY_AGAIN}")
            zones[node, header[2]] = reader.zone
        elif reader:
            reader.read(line)
        else:
            raise line.unknown("'Node N, zone NAME'")
    if reader is None:
        raise Line(name, 1, "").bad(f"no zone at all; {COPY_AGAIN}")
    reader.finish()
    return list(zones.values())


class _Reader:
    """Reads the lines of one zone; `names` is what a `name number` line is added to."""

    def __init__(self, header: Line, zone: ZoneinfoZone) -> None:
        self.header = header
        self.zone = zone
        self.names: dict[str, int] | None = None
        self.in_pagesets = False

    def read(self, line: Line) -> None:
        """One line that is no header."""
        word = line.text.partition(" ")[0]
        if line.text == "per-node stats" and self.zone.node_stats is None:
            self.zone.node_stats = self.names = {}
        elif line.text == "pagesets":
            self.in_pagesets = True
        elif word == "protection:":
            self._protection(line)
        elif word == "pages":
            self.names = self.zone.pages
            self._counter(Line(line.name, line.number, line.text[6:].lstrip()))
        elif self.in_pagesets:
            self._in_pageset(line)
        else:
            self._counter(line)

    def _protection(self, line: Line) -> None:
        match = _PROTECTION.fullmatch(line.text)
        if match is None or self.zone.protection:
            raise line.unknown("'protection: (N, …)', once for each zone,")
        numbers = match[1].replace(", ", " ")
        self.zone.protection = line.integers(numbers, "protection")

    def _counter(self, line: Line) -> None:
        match = _COUNTER.fullmatch(line.text)
        if match is None or self.names is None:
            raise line.unknown("a name and a number")
        if self.names is self.zone.pages and match[1].startswith("nr_"):
            self.names = self.zone.stats
        _add(line, self.names, match[1], match[2])

    def _in_pageset(self, line: Line) -> None:
        match = _NAMED.fullmatch(line.text)
        if match is None:
            raise line.unknown("a name, a colon and a number")
        name, number = match.groups()
        if name == "cpu":
            self._cpu(line, line.integer(number, "cpu", _MAX_CPU))
        elif self.zone.tail or name in _TAIL:
            _add(line, self.zone.tail, name, number)
        elif not self.zone.pagesets:
            raise line.unknown("'cpu: N'")
        elif name == "vm stats threshold":
            self._threshold(line, line.integer(number, name))
        else:
            _add(line, self.zone.pagesets[-1].numbers, name, number)

    def _cpu(self, line: Line, cpu: int) -> None:
        before = self.zone.pagesets[-1].cpu if self.zone.pagesets else -1
        if cpu <= before:
            raise line.bad(f"cpu: {cpu} behind {before}; {COPY_AGAIN}")
        self.zone.pagesets.append(Pageset(cpu, {}))

    def _threshold(self, line: Line, number: int) -> None:
        if self.zone.pagesets[-1].stat_threshold is not None:
            raise line.bad(f"vm stats threshold comes twice; {COPY_AGAIN}")
        self.zone.pagesets[-1].stat_threshold = number

    def finish(self) -> None:
        """Everything must have been there."""
        zone = self.zone
        missing = [name for name in _SIZES if name not in zone.pages]
        missing += [] if zone.protection else ["protection"]
        if not missing and zone.populated:
            missing += [] if "nr_free_pages" in zone.stats else ["nr_free_pages"]
            missing += [] if zone.pagesets else ["cpu"]
            missing += [
                f"{name} of cpu {pageset.cpu}"
                for pageset in zone.pagesets
                for name in _PCP_NUMBERS
                if name not in pageset.numbers
            ]
            missing += [] if "start_pfn" in zone.tail else ["start_pfn"]
        if missing:
            what = f"Node {zone.node}, zone {zone.zone} has no {missing[0]}: cut"
            raise self.header.bad(f"{what}; {COPY_AGAIN}")


def _add(line: Line, names: dict[str, int], name: str, number: str) -> None:
    if name in names:
        raise line.bad(f"{name} comes twice in this zone; {COPY_AGAIN}")
    names[name] = line.integer(number, name)
