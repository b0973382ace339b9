"""Do three files tell of one machine, and of one that memsim can be? If not, where not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

from memsim.mm.mmzone import Vm, populated_zones
from memsim.mm.restore import MAX_CPUS, MAX_NODES, MAX_SNAPSHOT_PFN
from memsim.proc.buddyinfo import BuddyinfoZone
from memsim.proc.copies import Copies, read_end_buddyinfo
from memsim.proc.pagetypeinfo import PagetypeinfoNode, PagetypeinfoZone
from memsim.proc.zoneinfo import ZoneinfoZone
from memsim.words.arch import ARCHES, X86_32, X86_64, Arch
from memsim.words.errors import BadInput
from memsim.words.mmzone import MAX_PAGE_ORDER, MIGRATETYPE_NAMES, NR_PAGE_ORDERS

#: The largest watermark, reserve or pcp limit, in pages, and the largest counter.
_MAX_PAGES = 1 << 31
_MAX_COUNTER = 1 << 40
#: Free blocks of a zone that are placed; a machine of 64 GiB has some 100,000.
MAX_FREE_BLOCKS = 1 << 21
_ONE_MACHINE = "are the files of one machine, from about one time?"

Zones = dict[tuple[int, str], ZoneinfoZone]


def zone_error(copies: Copies, zone: ZoneinfoZone, what: str) -> BadInput:
    """The error about a zone of zoneinfo."""
    where = f"{copies.used['zoneinfo']}: line {zone.line}: Node {zone.node}, zone {zone.zone}"
    return BadInput(f"{where}: {what}")


def buddy_error(name: str, row: BuddyinfoZone, what: str) -> BadInput:
    """The error about a zone of the buddyinfo of this name."""
    return BadInput(f"{name}: line {row.line}: Node {row.node}, zone {row.zone}: {what}")


def end_buddyinfo(folder: str | Path, vm: Vm) -> list[BuddyinfoZone]:
    """The rows of a copy of buddyinfo made later, by the machine that vm was made of, if any."""
    rows, name = read_end_buddyinfo(folder)
    managed = {(zone.node, zone.name): zone.managed_pages for zone in populated_zones(vm)}
    for row in rows:
        _check_buddyinfo_row(name, row, managed)
    for node, zone in managed if rows else ():
        if (node, zone) not in {(row.node, row.zone) for row in rows}:
            raise BadInput(f"{name}: it has no Node {node}, zone {zone}; {_ONE_MACHINE}")
    return rows


def check(copies: Copies) -> tuple[Arch, Zones]:
    """The configuration, and the zones that have pages. BadInput names the first misfit."""
    arch = _arch_of(copies)
    _check_nodes(copies)
    for zone in copies.zoneinfo:
        _check_numbers(copies, zone)
    populated = {(z.node, z.zone): z for z in copies.zoneinfo if z.populated}
    if not populated:
        raise zone_error(copies, copies.zoneinfo[0], "no zone has any present pages")
    for zone in populated.values():
        _check_size(copies, zone)
    _check_apart(copies, populated)
    _check_cpus(copies, list(populated.values()))
    _check_buddyinfo(copies, populated)
    _check_pagetypeinfo(copies, populated)
    return arch, populated


def _arch_of(copies: Copies) -> Arch:
    names = {zone.zone for zone in copies.zoneinfo}
    arch = X86_32 if "HighMem" in names else X86_64
    for zone in copies.zoneinfo:
        if zone.zone not in arch.zone_names:
            known = "; or ".join(", ".join(known.zone_names) for known in ARCHES)
            raise zone_error(copies, zone, f"no machine of memsim has it: those have {known}")
    return arch


def _check_nodes(copies: Copies) -> None:
    nids = sorted({zone.node for zone in copies.zoneinfo})
    for zone in copies.zoneinfo:
        if zone.node >= min(len(nids), MAX_NODES):
            what = f"memsim's nodes are numbered from 0 on without gaps, up to {MAX_NODES - 1}"
            raise zone_error(copies, zone, f"the nodes are {nids[:9]}; {what}")


def _check_numbers(copies: Copies, zone: ZoneinfoZone) -> None:
    for name, pages in zone.pages.items():
        _bounded(copies, zone, name, pages, 0, _MAX_PAGES)
    for pages in zone.protection:
        _bounded(copies, zone, "protection", pages, 0, _MAX_PAGES)
    for name, value in zone.stats.items():
        # NUMA counters are of events, not of pages
        if not name.startswith("numa_"):
            _bounded(copies, zone, name, value, 0, _MAX_COUNTER)
        _bounded(copies, zone, name, value, 0, 1 << 62)
    for pageset in zone.pagesets:
        for name, value in pageset.numbers.items():
            batch = (1, 1 << 16) if name == "batch" else (0, _MAX_PAGES)
            _bounded(copies, zone, f"cpu {pageset.cpu}: {name}", value, *batch)
        threshold = pageset.stat_threshold or 0
        _bounded(copies, zone, f"cpu {pageset.cpu}: vm stats threshold", threshold, 0, 127)


def _bounded(
    copies: Copies, zone: ZoneinfoZone, name: str, value: int, low: int, high: int
) -> None:
    if not low <= value <= high:
        raise zone_error(copies, zone, f"{name}: {value} is not between {low} and {high}")


def _check_size(copies: Copies, zone: ZoneinfoZone) -> None:
    """Sizes and watermarks in their orders, and no page above what memsim takes."""
    pages, start = zone.pages, zone.tail["start_pfn"]
    marks = [mark for mark in ("min", "low", "high", "promo") if mark in pages]
    for smaller, larger in (*pairwise(("managed", "present", "spanned")), *pairwise(marks)):
        if pages[smaller] > pages[larger]:
            what = f"{smaller}: {pages[smaller]} is more than {larger}, {pages[larger]}"
            raise zone_error(copies, zone, what)
    if start + pages["spanned"] > MAX_SNAPSHOT_PFN:
        gib = MAX_SNAPSHOT_PFN >> 18
        raise zone_error(
            copies, zone, f"it ends at pfn {start + pages['spanned']}; memsim takes copies of "
            f"machines whose memory ends below {gib} GiB, pfn {MAX_SNAPSHOT_PFN}"
        )  # fmt: skip


def _check_apart(copies: Copies, populated: Zones) -> None:
    """NOT MODELLED: nodes that interleave, whose zones span each other's pages."""
    zones = sorted(populated.values(), key=lambda zone: zone.tail["start_pfn"])
    for zone, after in pairwise(zones):
        if zone.tail["start_pfn"] + zone.pages["spanned"] > after.tail["start_pfn"]:
            what = f"start_pfn {after.tail['start_pfn']} lies in Node {zone.node}, zone {zone.zone}"
            raise zone_error(copies, after, f"{what} too; memsim has no nodes that interleave")


def _check_cpus(copies: Copies, populated: list[ZoneinfoZone]) -> None:
    cpus = [pageset.cpu for pageset in populated[0].pagesets]
    if len(cpus) > MAX_CPUS:
        raise zone_error(copies, populated[0], f"{len(cpus)} CPUs; memsim has up to {MAX_CPUS}")
    for zone in populated:
        if [pageset.cpu for pageset in zone.pagesets] != cpus:
            first = f"Node {populated[0].node}, zone {populated[0].zone}"
            raise zone_error(copies, zone, f"its CPUs are not those of {first}; {_ONE_MACHINE}")


def _check_buddyinfo(copies: Copies, populated: Zones) -> None:
    name = copies.used["buddyinfo"]
    rows = {(row.node, row.zone): row for row in copies.buddyinfo}
    managed = {key: zone.pages["managed"] for key, zone in populated.items()}
    for row in rows.values():
        _check_buddyinfo_row(name, row, managed)
        if sum(row.nr_free) > MAX_FREE_BLOCKS:
            what = f"{sum(row.nr_free)} free blocks; memsim places {MAX_FREE_BLOCKS}"
            raise buddy_error(name, row, what)
    for key, zone in populated.items():
        if key not in rows:
            raise zone_error(copies, zone, f"buddyinfo has no such zone; {_ONE_MACHINE}")


def _check_buddyinfo_row(
    name: str, row: BuddyinfoZone, managed: dict[tuple[int, str], int]
) -> None:
    """managed: pages, of each zone that zoneinfo tells of."""
    if (row.node, row.zone) not in managed:
        what = f"zoneinfo has no such zone with pages; {_ONE_MACHINE}"
        raise buddy_error(name, row, what)
    _check_orders(len(row.nr_free), partial(buddy_error, name, row))
    pages = managed[row.node, row.zone]
    if row.free_pages > pages:
        what = f"{row.free_pages} free pages, but {pages} managed ones in zoneinfo"
        raise buddy_error(name, row, f"{what}; {_ONE_MACHINE}")


def _check_orders(nr_orders: int, bad: Callable[[str], BadInput]) -> None:
    if nr_orders != NR_PAGE_ORDERS:
        raise bad(f"{nr_orders} orders; memsim has {NR_PAGE_ORDERS}, 0 to {MAX_PAGE_ORDER}")


def _check_pagetypeinfo(copies: Copies, populated: Zones) -> None:
    if copies.pagetypeinfo is None:
        return
    seen = set()
    for pgdat in copies.pagetypeinfo:
        for told in pgdat.zones:
            _check_types(copies, pgdat, told)
            zone = populated.get((pgdat.node, told.zone))
            if zone is None:
                what = f"zoneinfo has no such zone with pages; {_ONE_MACHINE}"
                raise types_error(copies, pgdat, told, what)
            _check_type_counts(copies, pgdat, told, zone)
            seen.add((pgdat.node, told.zone))
    for key, zone in populated.items():
        if key not in seen:
            raise zone_error(copies, zone, f"pagetypeinfo has no such zone; {_ONE_MACHINE}")


def types_error(
    copies: Copies, pgdat: PagetypeinfoNode, told: PagetypeinfoZone, what: str
) -> BadInput:
    """The error about a zone of pagetypeinfo."""
    where = f"{copies.used['pagetypeinfo']}: line {told.line}: Node {pgdat.node}, zone {told.zone}"
    return BadInput(f"{where}: {what}")


def _check_types(copies: Copies, pgdat: PagetypeinfoNode, told: PagetypeinfoZone) -> None:
    first = (copies.pagetypeinfo or [pgdat])[0]
    if (pgdat.pageblock_order, pgdat.types) != (first.pageblock_order, first.types):
        what = f"pageblock order or types are not those of node {first.node}"
        raise types_error(copies, pgdat, told, what)
    if not 1 <= pgdat.pageblock_order <= MAX_PAGE_ORDER:
        what = f"Page block order: {pgdat.pageblock_order}; memsim has 1 to {MAX_PAGE_ORDER}"
        raise types_error(copies, pgdat, told, what)
    for name in pgdat.types:
        if name not in MIGRATETYPE_NAMES:
            what = f"type {name}: memsim has {', '.join(MIGRATETYPE_NAMES)}"
            raise types_error(copies, pgdat, told, what)
    for name in MIGRATETYPE_NAMES[:3]:
        if name not in pgdat.types:
            raise types_error(copies, pgdat, told, f"type {name} is not there")


def _check_type_counts(
    copies: Copies, pgdat: PagetypeinfoNode, told: PagetypeinfoZone, zone: ZoneinfoZone
) -> None:
    """Free blocks and pageblocks must fit in the zone."""

    def bad(what: str) -> BadInput:
        return types_error(copies, pgdat, told, what)

    pages, start = zone.pages, zone.tail["start_pfn"]
    for row in told.free.values():
        _check_orders(len(row.nr_free), bad)
    rows = [row.nr_free for row in told.free.values()]
    free = sum(blocks << order for row in rows for order, blocks in enumerate(row))
    if free > pages["managed"]:
        managed = f"but {pages['managed']} managed ones in zoneinfo"
        raise bad(f"{free} free pages, {managed}; {_ONE_MACHINE}")
    if sum(map(sum, rows)) > MAX_FREE_BLOCKS:
        raise bad(f"{sum(map(sum, rows))} free blocks; memsim places {MAX_FREE_BLOCKS}")
    size = 1 << pgdat.pageblock_order
    most = -(-pages["spanned"] // size)
    least = -(-(start % size + pages["managed"]) // size)
    nr_blocks = sum(told.blocks.values())
    if not min(least, most) <= nr_blocks <= most:
        what = f"{nr_blocks} pageblocks, but zoneinfo has room for {least} to {most}"
        raise bad(f"{what}; {_ONE_MACHINE}")
