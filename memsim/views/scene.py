"""What a player shows, without a kernel and without a browser: lists and pages, moved by steps.

A Scene starts from a snapshot; apply() and undo() take it along the steps, both ways. player.js
does the same in the browser, and tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from memsim.mm.mmzone import PG_BUDDY, PG_INUSE, PG_LRU, PG_ORDER
from memsim.mm.page_alloc.pcp import pindex_to_order
from memsim.mm.snapshot import Snapshot
from memsim.trace.steps import Field, ListAdd, ListDel, ListName, Pageblock, Pages, Step
from memsim.words.mmzone import MIGRATETYPE_NAMES, NR_LOWORDER_PCP_LISTS, WMARK_NAMES

#: What a page can be: free, on a pcp list, allocated; taken off its list by code that is still
#: running; or none of memsim's business (a hole, or kept by the kernel at boot).
FREE, PCP, ALLOCATED, ON_NO_LIST, RESERVED = range(5)

#: What is shown of a per_cpu_pages beside its lists, all in pages.
PCP_FIELDS = ("count", "high", "batch")
#: The watermarks of a zone, in pages, as steps name them.
WATERMARKS = WMARK_NAMES


class ZoneSpan(NamedTuple):
    """A populated zone: its zone_id in steps, and its pages from start to before end."""

    zone_id: int
    nid: int
    name: str
    start: int
    end: int


class Block(NamedTuple):
    """Pages that belong together: `order` is -1 for pages on no list and reserved ones.

    `cpu` is whose pcp list they are on, -1 for none.
    """

    pfn: int
    nr_pages: int
    kind: int
    order: int
    migratetype: str
    on_lru: bool = False
    cpu: int = -1


def zone_spans(snapshot: Snapshot) -> list[ZoneSpan]:
    """The populated zones of a snapshot, in node and zone order."""
    return [
        ZoneSpan(
            nid * len(node["zones"]) + idx, nid, zone["name"], start, start + zone["spanned_pages"]
        )
        for nid, node in enumerate(snapshot["nodes"])
        for idx, zone in enumerate(node["zones"])
        if zone["spanned_pages"]
        for start in (zone["zone_start_pfn"],)
    ]


def migratetype_names(snapshot: Snapshot) -> list[str]:
    """Names of the types by number, "MOVABLE" is 1; without CMA, ISOLATE comes one earlier."""
    names = [name.upper() for name in MIGRATETYPE_NAMES]
    if not snapshot["config"].get("cma"):
        names.remove("CMA")
    return names


class Names:
    """How the zones, types and lists of one machine are called."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.zones = {span.zone_id: span for span in zone_spans(snapshot)}
        self.types = migratetype_names(snapshot)
        self._several = len(self.zones) > 1
        self._nodes = len({span.nid for span in self.zones.values()}) > 1

    def zone(self, zone_id: int) -> str:
        """The zone as "zone Normal"; with several NUMA nodes "node 0 zone Normal"."""
        span = self.zones[zone_id]
        return f"node {span.nid} zone {span.name}" if self._nodes else f"zone {span.name}"

    def migratetype(self, name: ListName) -> str:
        """Of a list's blocks; MOVABLE has a pcp list of order 9 to itself, the others share one."""
        if name.where == "free_area":
            return self.types[name.y]
        if name.y >= NR_LOWORDER_PCP_LISTS:
            return "MOVABLE" if name.y > NR_LOWORDER_PCP_LISTS else "not MOVABLE"
        return self.types[name.y % 3]

    def cpu(self, name: ListName) -> str:
        """The owner of a pcp list as "CPU 0"; with several zones "CPU 0 of zone DMA32"."""
        return f"CPU {name.x}{self._where(name)}"

    def _where(self, name: ListName) -> str:
        return f" of {self.zone(name.zone_id)}" if self._several else ""

    def list(self, name: ListName) -> str:
        """The list as "free_area[3] MOVABLE" or "pcp list of CPU 0, order 2 MOVABLE"."""
        place = f"free_area[{name.x}]"
        if name.where == "pcp":
            place = f"pcp list of CPU {name.x}, order {list_order(name)}"
        return f"{place} {self.migratetype(name)}{self._where(name)}"


def list_order(name: ListName) -> int:
    """Order of the blocks on a list."""
    return name.x if name.where == "free_area" else pindex_to_order(name.y)


class Scene:
    """Lists, and a state byte for each page from the first zone's start to the last one's end."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.names = Names(snapshot)
        spans = list(self.names.zones.values())
        self.start = min(span.start for span in spans)
        self.end = max(span.end for span in spans)
        self.states = bytearray(self.end - self.start)
        self.lists: dict[ListName, list[int]] = {}
        self.pageblocks = {block[0]: block[1] for block in snapshot["pageblocks"]["blocks"]}
        self.fields: dict[tuple[int, int, str], int] = {}
        for span in spans:
            self._read_zone(span.zone_id, snapshot["nodes"][span.nid]["zones"])
        for pfn, count, kind, order in snapshot["page_kinds"]["runs"]:
            if kind not in "FPR0-":
                self._read_run(pfn, count, order, PG_LRU if kind in "LM" else 0)
        self._reserved = bytearray(self.end - self.start)
        for pfn, nr_pages in [b[:2] for b in self.blocks() if b.kind == ON_NO_LIST]:
            at = pfn - self.start
            self._reserved[at : at + nr_pages] = bytes((1,)) * nr_pages

    def _read_zone(self, zone_id: int, zones: list[Snapshot]) -> None:
        zone = zones[zone_id % len(zones)]
        self.fields[zone_id, -1, "NR_FREE_PAGES"] = zone["vm_stat"]["NR_FREE_PAGES"]
        self.fields[zone_id, -1, "watermark_boost"] = zone["watermark_boost"]
        for name in WATERMARKS:
            self.fields[zone_id, -1, name] = zone["watermark"][name]
        for order, area in enumerate(zone["free_area"]):
            for migratetype, pages in enumerate(area):
                self.lists[ListName(zone_id, "free_area", order, migratetype)] = list(pages)
                for pfn in pages:
                    self.states[pfn - self.start] = PG_BUDDY | order
        for cpu, pcp in enumerate(zone["pcp"]):
            for pindex, pages in enumerate(pcp["lists"]):
                self.lists[ListName(zone_id, "pcp", cpu, pindex)] = list(pages)
            for field in PCP_FIELDS:
                self.fields[zone_id, cpu, f"pcp.{field}"] = pcp[field]

    def _read_run(self, pfn: int, nr_blocks: int, order: int, on_lru: int) -> None:
        block = bytes((PG_INUSE | order | on_lru,)) + bytes((on_lru,)) * ((1 << order) - 1)
        at = pfn - self.start
        self.states[at : at + (nr_blocks << order)] = block * nr_blocks

    def apply(self, step: Step) -> None:
        """One step forwards."""
        match step:
            case ListAdd():
                self._insert(step, step.new_state)
            case ListDel():
                self._remove(step, step.new_state)
            case Pages(_, pfn, nr_pages, _, new):
                self._set(pfn, nr_pages, new)
            case Pageblock():
                self.pageblocks[step.pfn] = step.new
            case Field():
                self.fields[step.zone_id, step.cpu, step.field] = step.new

    def undo(self, step: Step) -> None:
        """One step backwards."""
        match step:
            case ListAdd():
                self._remove(step, step.old_state)
            case ListDel():
                self._insert(step, step.old_state)
            case Pages(_, pfn, nr_pages, old, _):
                self._set(pfn, nr_pages, old)
            case Pageblock():
                self.pageblocks[step.pfn] = step.old
            case Field():
                self.fields[step.zone_id, step.cpu, step.field] = step.old

    def apply_all(self, steps: Iterable[Step]) -> None:
        """Steps forwards, in order."""
        for step in steps:
            self.apply(step)

    def _insert(self, step: ListAdd | ListDel, state: int) -> None:
        pages = self.lists[step.list]
        pages.insert(pages.index(step.after) + 1 if step.after >= 0 else 0, step.pfn)
        self.states[step.pfn - self.start] = state

    def _remove(self, step: ListAdd | ListDel, state: int) -> None:
        self.lists[step.list].remove(step.pfn)
        self.states[step.pfn - self.start] = state

    def _set(self, pfn: int, nr_pages: int, state: int) -> None:
        at = pfn - self.start
        self.states[at : at + nr_pages] = bytes((state,)) * nr_pages

    def blocks(self) -> Iterator[Block]:
        """Every block in address order; together they cover every page once."""
        where = {pfn: name for name, pages in self.lists.items() for pfn in pages}
        pfn = self.start
        while pfn < self.end:
            block = self._block_at(pfn, where)
            yield block
            pfn += block.nr_pages

    def _block_at(self, pfn: int, where: dict[int, ListName]) -> Block:
        state = self.states[pfn - self.start]
        name = where.get(pfn)
        if name:
            order, migratetype = list_order(name), self.names.migratetype(name)
            if name.where == "pcp":
                return Block(pfn, 1 << order, PCP, order, migratetype, cpu=name.x)
            return Block(pfn, 1 << order, FREE, order, migratetype)
        if state & PG_INUSE:
            order = state & PG_ORDER
            return Block(pfn, 1 << order, ALLOCATED, order, "", bool(state & PG_LRU))
        reserved = self._reserved[pfn - self.start]
        end = pfn + 1
        while end < self.end and self._is_nobodys(end, reserved, where):
            end += 1
        return Block(pfn, end - pfn, RESERVED if reserved else ON_NO_LIST, -1, "")

    def _is_nobodys(self, pfn: int, reserved: int, where: dict[int, ListName]) -> bool:
        at = pfn - self.start
        return not self.states[at] and self._reserved[at] == reserved and pfn not in where
