"""Reading /proc/pagetypeinfo of any kernel since 4.9."""

from __future__ import annotations

import re

from memsim.lib.text import one_line
from memsim.proc.pagetypeinfo import FreeRow, PagetypeinfoNode, PagetypeinfoZone
from memsim.proc.text import COPY_AGAIN, MAX_NODE, MAX_WORDS, Line, lines_of

_ZONE = r"Node +([0-9]+), +zone +([A-Za-z0-9]{1,16})"
_FREE = re.compile(_ZONE + r", +type +([A-Za-z]{1,20}) +(\S.*)", re.ASCII)
_COUNTS = re.compile(_ZONE + r" +(\S.*)", re.ASCII)
_ORDER = re.compile(r"Page block order: +(\S.*)")
_PAGES = re.compile(r"Pages per block: +(\S.*)")
_ORDERS = re.compile(r"Free pages count per migrate type at order +(\S.*)")
_TITLE = re.compile(r"Number of (blocks type|mixed blocks) +(\S.*)")
_TYPE = re.compile(r"[A-Za-z]{1,20}", re.ASCII)


def parse_pagetypeinfo(text: str, name: str = "pagetypeinfo") -> list[PagetypeinfoNode]:
    """The nodes of a copy. BadInput names line and field; `name` is how it calls the file."""
    readers: list[_Reader] = []
    for line in lines_of(text, name):
        order = _ORDER.fullmatch(line.text)
        if order:
            if readers:
                readers[-1].finish()
            readers.append(_Reader(line, line.integer(order[1], "Page block order", MAX_WORDS)))
        elif readers:
            readers[-1].read(line)
        else:
            raise line.unknown("'Page block order: N'")
    if not readers:
        raise Line(name, 1, "").bad(f"no node at all; {COPY_AGAIN}")
    readers[-1].finish()
    _check_nodes(readers)
    return [reader.pgdat for reader in readers]


def _check_nodes(readers: list[_Reader]) -> None:
    seen: set[int] = set()
    for reader in readers:
        if reader.pgdat.node in seen:
            raise reader.header.bad(f"Node {reader.pgdat.node} comes twice; {COPY_AGAIN}")
        seen.add(reader.pgdat.node)


class _Reader:
    """Reads the lines of one node: sizes, free blocks, then a table of pageblocks or two."""

    def __init__(self, header: Line, pageblock_order: int) -> None:
        self.header = header
        self.pgdat = PagetypeinfoNode(-1, pageblock_order, (), [])
        self.zones: dict[str, PagetypeinfoZone] = {}
        self.nr_orders = 0
        self.tables: list[str] = []

    def read(self, line: Line) -> None:
        """One line that does not start a node."""
        if match := _FREE.fullmatch(line.text):
            self._free(line, *match.groups())
        elif match := _COUNTS.fullmatch(line.text):
            self._counts(line, *match.groups())
        elif match := _TITLE.fullmatch(line.text):
            self._title(line, match[1], tuple(match[2].split(maxsplit=MAX_WORDS)))
        elif match := _ORDERS.fullmatch(line.text):
            self._orders(line, match[1])
        elif match := _PAGES.fullmatch(line.text):
            self._pages_per_block(line, line.integer(match[1], "Pages per block"))
        else:
            raise line.unknown("a line of pagetypeinfo")

    def _pages_per_block(self, line: Line, pages: int) -> None:
        if pages != 1 << self.pgdat.pageblock_order:
            order = self.pgdat.pageblock_order
            raise line.bad(f"Pages per block: {pages} is not 2 to the {order}; {COPY_AGAIN}")

    def _orders(self, line: Line, text: str) -> None:
        orders = line.integers(text, "order")
        if orders != tuple(range(len(orders))) or self.nr_orders:
            raise line.unknown("the orders 0, 1, 2, …, once for each node,")
        self.nr_orders = len(orders)

    def _zone(self, line: Line, node: str, name: str) -> PagetypeinfoZone:
        number = line.integer(node, "Node", MAX_NODE)
        if self.pgdat.node not in (-1, number):
            raise line.bad(f"Node {number} among lines of node {self.pgdat.node}; {COPY_AGAIN}")
        self.pgdat.node = number
        if name not in self.zones and not self.tables:
            self.zones[name] = PagetypeinfoZone(name, line=line.number)
            self.pgdat.zones.append(self.zones[name])
        if name not in self.zones:
            raise line.bad(f"zone {name} has no free blocks above; {COPY_AGAIN}")
        return self.zones[name]

    def _free(self, line: Line, node: str, name: str, migratetype: str, text: str) -> None:
        zone = self._zone(line, node, name)
        if self.tables or migratetype in zone.free:
            raise line.bad(f"type {migratetype} of zone {name} comes twice; {COPY_AGAIN}")
        words = text.split()
        if len(words) != self.nr_orders:
            what = f"{len(words)} orders, but {self.nr_orders} in the headline: cut or wrapped"
            raise line.bad(f"type {migratetype}: {what}; {COPY_AGAIN}")
        at_least = frozenset(i for i, word in enumerate(words) if word.startswith(">"))
        counts = tuple(line.integer(w.removeprefix(">"), f"type {migratetype}") for w in words)
        zone.free[migratetype] = FreeRow(counts, at_least)

    def _title(self, line: Line, table: str, types: tuple[str, ...]) -> None:
        if table in self.tables or "mixed blocks" in self.tables:
            raise line.bad(f"Number of {table} comes twice; {COPY_AGAIN}")
        if len(set(types)) != len(types) or not all(map(_TYPE.fullmatch, types)):
            raise line.unknown("names of migratetypes")
        self.tables.append(table)
        self.pgdat.types = types
        for zone in self.pgdat.zones:
            if tuple(zone.free) != types:
                what = one_line(f"zone {zone.zone} above has {', '.join(zone.free)}", 100)
                raise line.bad(f"types are not those of free blocks: {what}; {COPY_AGAIN}")

    def _counts(self, line: Line, node: str, name: str, text: str) -> None:
        if not self.tables:
            raise line.unknown("'Node N, zone NAME, type NAME' and numbers")
        zone, table = self._zone(line, node, name), self.tables[-1]
        numbers = line.integers(text, table)
        if len(numbers) != len(self.pgdat.types):
            what = f"{len(numbers)} numbers for {len(self.pgdat.types)} types: cut or wrapped"
            raise line.bad(f"{table}: {what}; {COPY_AGAIN}")
        counts = dict(zip(self.pgdat.types, numbers, strict=True))
        if (zone.mixed if table == "mixed blocks" else zone.blocks or None) is not None:
            raise line.bad(f"{table}: zone {name} comes twice; {COPY_AGAIN}")
        if table == "mixed blocks":
            zone.mixed = counts
        else:
            zone.blocks = counts

    def finish(self) -> None:
        """Every zone must have both kinds of numbers."""
        if not self.zones:
            raise self.header.bad(f"no zone behind this line: cut; {COPY_AGAIN}")
        with_mixed = any(zone.mixed is not None for zone in self.pgdat.zones)
        for zone in self.pgdat.zones:
            if not zone.blocks or (with_mixed and zone.mixed is None):
                what = f"Node {self.pgdat.node}, zone {zone.zone} has no number of blocks: cut"
                raise self.header.bad(f"{what}; {COPY_AGAIN}")
