"""The numbers of a machine as a snapshot without pages: what mm/restore.py makes a Vm of."""

from __future__ import annotations

from typing import Any

from memsim.mm.snapshot import PCP_FIELDS, ZONE_FIELDS, Snapshot
from memsim.proc.copies import Copies
from memsim.proc.deduce import min_free_kbytes, watermark_scale_factor, watermarks
from memsim.proc.fit import zone_error
from memsim.proc.zoneinfo import NUMA_STAT_NAMES, ZONE_STAT_NAMES, Pageset, ZoneinfoZone
from memsim.words.arch import Arch
from memsim.words.mmzone import (
    NR_PAGE_ORDERS,
    NR_PCP_LISTS,
    NUMA_STAT_ITEMS,
    WMARK_NAMES,
    ZONE_STAT_ITEMS,
)


def pageblock_order_of(copies: Copies, arch: Arch) -> int:
    """As pagetypeinfo tells it, else as the configuration has it."""
    return copies.pagetypeinfo[0].pageblock_order if copies.pagetypeinfo else arch.pageblock_order


def has_cma(copies: Copies) -> bool:
    """Has the kernel a type CMA? Only pagetypeinfo tells."""
    return any("CMA" in pgdat.types for pgdat in copies.pagetypeinfo or [])


def numbers_of(copies: Copies, arch: Arch) -> Snapshot:
    """A snapshot with sizes, watermarks, counters and limits, but no page on any list."""
    populated = [zone for zone in copies.zoneinfo if zone.populated]
    told = {(zone.node, zone.zone): zone for zone in copies.zoneinfo}
    nids = sorted({zone.node for zone in copies.zoneinfo})
    nr_types = 5 + has_cma(copies)
    nodes = []
    for nid in nids:
        zones = []
        for idx, name in enumerate(arch.zone_names):
            zone = told.get((nid, name)) or ZoneinfoZone(nid, name)
            zones.append(_zone(copies, arch, idx, zone, nr_types))
        nodes.append({"nid": nid, "zonelists": [[], []], "zones": zones})
    return {
        "nr_cpus": len(populated[0].pagesets),
        "pageblock_order": pageblock_order_of(copies, arch),
        "config": {"arch": arch.name, "cma": has_cma(copies)},
        "vars": {
            "min_free_kbytes": min_free_kbytes(populated),
            "user_min_free_kbytes": -1,
            "watermark_scale_factor": watermark_scale_factor(populated),
            "watermark_boost_factor": 15000,
        },
        "nodes": nodes,
        "pageblocks": {"blocks": []},
        "page_kinds": {"runs": []},
    }


def _zone(copies: Copies, arch: Arch, idx: int, zone: ZoneinfoZone, nr_types: int) -> Snapshot:
    numbers: Snapshot = dict.fromkeys(ZONE_FIELDS, 0)
    numbers |= {
        "idx": idx,
        "watermark": dict.fromkeys(WMARK_NAMES, 0),
        "lowmem_reserve": [0] * arch.MAX_NR_ZONES,
        "vm_stat": {},
    }
    if not zone.pages:
        return numbers
    numbers["watermark"] = watermarks(zone)
    numbers["lowmem_reserve"] = _lowmem_reserve(copies, arch, zone)
    return numbers | _populated(copies, zone, nr_types) if zone.populated else numbers


def _populated(copies: Copies, zone: ZoneinfoZone, nr_types: int) -> dict[str, Any]:
    stats = dict(zip(ZONE_STAT_ITEMS, (zone.stats.get(n, 0) for n in ZONE_STAT_NAMES), strict=True))
    events = (zone.stats.get(name, 0) for name in NUMA_STAT_NAMES)
    return {
        "zone_start_pfn": zone.tail["start_pfn"],
        "watermark_boost": zone.pages.get("boost", 0),
        **{f"{name}_pages": zone.pages[name] for name in ("spanned", "present", "managed")},
        "nr_reserved_highatomic": _highatomic_pages(copies, zone),
        "vm_stat": stats | {"NR_FREE_PAGES": 0, "NR_FREE_CMA_PAGES": 0},
        "vm_numa_event": dict(zip(NUMA_STAT_ITEMS, events, strict=True)),
        "percpu_stat": [
            {"stat_threshold": pageset.stat_threshold or 0, "diff": {}} for pageset in zone.pagesets
        ],
        "free_area": [[[] for _ in range(nr_types)] for _ in range(NR_PAGE_ORDERS)],
        "pcp": [_pcp(pageset) for pageset in zone.pagesets],
    }


def _pcp(pageset: Pageset) -> Snapshot:
    """high_min and high_max are told by kernels after 6.12; 0 otherwise."""
    numbers: Snapshot = {name: pageset.numbers.get(name, 0) for name in PCP_FIELDS}
    return numbers | {"count": 0, "lists": [[] for _ in range(NR_PCP_LISTS)]}


def _highatomic_pages(copies: Copies, zone: ZoneinfoZone) -> int:
    for pgdat in copies.pagetypeinfo or []:
        for told in pgdat.zones:
            if (pgdat.node, told.zone) == (zone.node, zone.zone):
                return told.blocks.get("HighAtomic", 0) << pgdat.pageblock_order
    return 0


def _lowmem_reserve(copies: Copies, arch: Arch, zone: ZoneinfoZone) -> list[int]:
    """`protection` by the zones of the configuration; one that the text leaves out is empty.

    An empty zone needs no more protection from than the one below it.
    """
    names = [other.zone for other in copies.zoneinfo if other.node == zone.node]
    if len(names) != len(zone.protection):
        names = list(arch.zone_names[: len(zone.protection)])
    if len(names) != len(zone.protection):
        what = f"protection has {len(zone.protection)} entries, for {arch.MAX_NR_ZONES} zones"
        raise zone_error(copies, zone, what)
    told = dict(zip(names, zone.protection, strict=True))
    reserves: list[int] = []
    for name in arch.zone_names:
        reserves.append(told.get(name, reserves[-1] if reserves else 0))
    return reserves
