"""One zone of the copies put into the machine: counts agreed upon, places drawn, notes taken."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from memsim.mm.mmzone import Zone
from memsim.mm.populate import populate
from memsim.proc.buddyinfo import BuddyinfoZone
from memsim.proc.copies import Copies
from memsim.proc.fit import buddy_error, types_error
from memsim.proc.pagetypeinfo import PagetypeinfoNode, PagetypeinfoZone
from memsim.proc.place import Wanted, place
from memsim.proc.zoneinfo import ZoneinfoZone
from memsim.words.errors import BadInput
from memsim.words.mmzone import MIGRATE_MOVABLE, MIGRATETYPE_NAMES, NR_PAGE_ORDERS

LRU_COUNTERS = (
    "nr_zone_inactive_anon", "nr_zone_active_anon", "nr_zone_inactive_file",
    "nr_zone_active_file", "nr_zone_unevictable",
)  # fmt: skip


@dataclass
class ToldZone:
    """What each file tells of a zone; `types` is None without pagetypeinfo."""

    copies: Copies
    info: ZoneinfoZone
    buddy: BuddyinfoZone
    types: tuple[PagetypeinfoNode, PagetypeinfoZone] | None

    def types_there(self, zone: Zone) -> list[int]:
        """The types that its pageblocks have; all that there are where nobody tells."""
        blocks = self._blocks(zone) or [1] * zone.vm.MIGRATE_TYPES
        return [migratetype for migratetype, nr in enumerate(blocks) if nr]

    def fill(
        self, zone: Zone, fixed: dict[int, int], allowed: dict[int, list[int]], rng: Random
    ) -> list[str]:
        """Populate the zone; what is worth saying about it. fixed, allowed: see Wanted."""
        free = self._free(zone)
        free_pages = sum(nr << order for row in free for order, nr in enumerate(row))
        if free_pages > zone.managed_pages:
            raise self._bad(f"{free_pages} free pages, but {zone.managed_pages} managed ones")
        pcp = self._pcp(zone.managed_pages - free_pages)
        blocks = self._blocks(zone)
        wanted = Wanted(
            zone.zone_start_pfn, zone.zone_end_pfn, self._online_end(zone, blocks),
            zone.managed_pages, zone.vm.pageblock_order, free, blocks, pcp,
            sum(self.info.stats.get(name, 0) for name in LRU_COUNTERS), self._bad, fixed, allowed,
        )  # fmt: skip
        contents, nr_changed = place(wanted, rng)
        populate(zone, contents)
        last = zone.zone_end_pfn - 1 >> zone.vm.pageblock_order
        fixed[last] = contents.pageblocks[last]
        return self._notes(free_pages, sum(pcp), nr_changed)

    def _bad(self, what: str) -> BadInput:
        if self.types:
            return types_error(self.copies, *self.types, what)
        return buddy_error(self.copies.used["buddyinfo"], self.buddy, what)

    def _free(self, zone: Zone) -> list[list[int]]:
        """Free blocks by migratetype and order; all MOVABLE where no types are told."""
        free = [[0] * NR_PAGE_ORDERS for _ in range(zone.vm.MIGRATE_TYPES)]
        if self.types is None:
            free[MIGRATE_MOVABLE] = list(self.buddy.nr_free)
            return free
        for migratetype, name in enumerate(_type_names(zone)):
            row = self.types[1].free.get(name)
            free[migratetype] = list(row.nr_free) if row else free[migratetype]
        for order in range(NR_PAGE_ORDERS):
            self._count_on(free, order, _type_names(zone))
        return free

    def _count_on(self, free: list[list[int]], order: int, names: list[str]) -> None:
        """A list that was counted to 100,000 only has what buddyinfo has more, if it has."""
        for migratetype, name in enumerate(names):
            row = self.types[1].free.get(name) if self.types else None
            if row and order in row.at_least:
                counted = sum(counts[order] for counts in free)
                free[migratetype][order] += max(0, self.buddy.nr_free[order] - counted)

    def _blocks(self, zone: Zone) -> list[int] | None:
        if self.types is None:
            return None
        return [self.types[1].blocks.get(name, 0) for name in _type_names(zone)]

    def _online_end(self, zone: Zone, blocks: list[int] | None) -> int:
        """The pfn behind the last pageblock that has memory; what follows is taken for a hole."""
        order = zone.vm.pageblock_order
        size = 1 << order
        nr_spanned = -(-zone.spanned_pages // size)
        if blocks is None:
            present = nr_spanned - (zone.spanned_pages - zone.present_pages >> order)
            managed = -(-(zone.zone_start_pfn % size + zone.managed_pages) // size)
            nr_online = max(present, managed)
        else:
            nr_online = sum(blocks)
        if nr_online >= nr_spanned:
            return zone.zone_end_pfn
        return (zone.zone_start_pfn >> order) + nr_online << order

    def _pcp(self, room: int) -> list[int]:
        """Pages on each CPU's lists; less than told where so many pages are not left."""
        counts = []
        for pageset in self.info.pagesets:
            counts.append(min(pageset.numbers["count"], room))
            room -= counts[-1]
        return counts

    def _notes(self, free_pages: int, on_pcps: int, nr_changed: int) -> list[str]:
        notes = []
        read_apart = ": they were read at different moments"
        drift = f"{read_apart}, or CPUs had not added up what they count"
        by_zoneinfo = self.info.stats["nr_free_pages"]
        if free_pages != by_zoneinfo:
            file = "pagetypeinfo" if self.types else "buddyinfo"
            notes.append(f"{_more(free_pages - by_zoneinfo, file, 'zoneinfo')}{drift}")
        if self.types and free_pages != self.buddy.free_pages:
            more = _more(self.buddy.free_pages - free_pages, "buddyinfo", "pagetypeinfo")
            notes.append(f"{more}{read_apart}")
        told = sum(pageset.numbers["count"] for pageset in self.info.pagesets)
        if on_pcps != told:
            notes.append(f"of {told} pages on pcp lists there is room for {on_pcps}")
        if nr_changed:
            notes.append(f"{nr_changed} pageblocks have another type than pagetypeinfo says")
        return [f"Node {self.info.node}, zone {self.info.zone}: {note}." for note in notes]


def _type_names(zone: Zone) -> list[str]:
    return [name for name in MIGRATETYPE_NAMES if name != "CMA" or zone.vm.MIGRATE_CMA >= 0]


def _more(difference: int, file: str, other: str) -> str:
    word = "more" if difference > 0 else "fewer"
    return f"{file} has {abs(difference)} free pages {word} than {other}"
