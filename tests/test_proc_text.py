"""buddyinfo, pagetypeinfo and zoneinfo: read and written, byte for byte, of many kernels."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proc_texts import NAMES, OTHER_KERNELS, captures, other, recorded, texts_of

from memsim import GFP_KERNEL, Machine
from memsim.mm.restore import restore
from memsim.proc.buddyinfo import (
    BuddyinfoZone,
    buddyinfo_of,
    parse_buddyinfo,
    write_buddyinfo,
)
from memsim.proc.pagetypeinfo import (
    COUNTED,
    FreeRow,
    PagetypeinfoNode,
    PagetypeinfoZone,
    pagetypeinfo_of,
    write_pagetypeinfo,
)
from memsim.proc.pagetypeinfo_parse import parse_pagetypeinfo
from memsim.proc.zoneinfo import Pageset, ZoneinfoZone, write_zoneinfo, zoneinfo_of
from memsim.proc.zoneinfo_parse import parse_zoneinfo
from memsim.trace.trace import Trace
from memsim.words.arch import X86_64
from memsim.words.mmzone import MIGRATETYPE_NAMES

SNAPSHOTS = Path(__file__).parent / "data" / "captures"
PARSE: dict[str, Callable[[str], Any]] = {
    "buddyinfo": parse_buddyinfo,
    "pagetypeinfo": parse_pagetypeinfo,
    "zoneinfo": parse_zoneinfo,
}
WRITE: dict[str, Callable[[Any], str]] = {
    "buddyinfo": write_buddyinfo,
    "pagetypeinfo": write_pagetypeinfo,
    "zoneinfo": write_zoneinfo,
}
OF: dict[str, Callable[[Any], Any]] = {
    "buddyinfo": buddyinfo_of,
    "pagetypeinfo": pagetypeinfo_of,
    "zoneinfo": zoneinfo_of,
}


def test_all_captures_are_here() -> None:
    assert len(captures()) == 18
    assert len(recorded()) == 18 * 2 * 4


@pytest.mark.parametrize("name", NAMES)
def test_what_was_recorded_is_written_again_byte_for_byte(name: str) -> None:
    for where, text in texts_of(name):
        assert WRITE[name](PARSE[name](text)) == text, where


@pytest.mark.parametrize("kernel", OTHER_KERNELS)
@pytest.mark.parametrize("name", NAMES)
def test_other_kernels_lose_nothing(kernel: str, name: str) -> None:
    """Every number and every name is there again, in 6.12's layout."""
    text = other(kernel, name)
    told = PARSE[name](text)
    written = WRITE[name](told)
    assert PARSE[name](written) == told
    assert sorted(re.findall(r"\w+", written)) == sorted(re.findall(r"\w+", text))


def test_zoneinfo_of_4_9() -> None:
    """Counters before protection, node_scanned among the sizes, no zone without pages."""
    dma, dma32 = parse_zoneinfo(other("x86_64-4.9", "zoneinfo"))
    assert (dma.zone, dma32.zone) == ("DMA", "DMA32")
    assert dma32.pages == {
        "free": 42363, "min": 552, "low": 690, "high": 828, "node_scanned": 3, "spanned": 61408,
        "present": 61408, "managed": 56984,
    }  # fmt: skip
    assert dma32.protection == (0, 0, 0, 0)
    assert list(dma32.stats)[:2] == ["nr_free_pages", "nr_zone_inactive_anon"]
    assert dma32.stats["nr_kernel_stack"] == 1056
    assert dma32.tail == {"node_unreclaimable": 0, "start_pfn": 4096, "node_inactive_ratio": 1}
    assert dma32.pagesets == [Pageset(0, {"count": 121, "high": 186, "batch": 31}, 6)]
    assert dma.node_stats is not None
    assert dma.node_stats["nr_pages_scanned"] == 3
    assert dma32.node_stats is None


def test_zoneinfo_of_32_bits_without_smp() -> None:
    zones = parse_zoneinfo(other("i686-4.19", "zoneinfo"))
    assert [zone.zone for zone in zones] == ["DMA", "Normal", "HighMem", "Movable"]
    assert [zone.populated for zone in zones] == [True, True, True, False]
    assert zones[2].pagesets == [Pageset(0, {"count": 44, "high": 42, "batch": 7}, None)]
    assert zones[3].stats == zones[3].tail == {}


def test_zoneinfo_after_6_12_tells_pcp_limits() -> None:
    dma32 = parse_zoneinfo(other("x86_64-6.18", "zoneinfo"))[1]
    numbers = {"count": 688, "high": 1211, "batch": 63, "high_min": 1211, "high_max": 7507}
    assert dma32.pagesets[0] == Pageset(0, numbers, 8)


def test_pagetypeinfo_with_cma() -> None:
    [node] = parse_pagetypeinfo(other("aarch64-6.1-cma", "pagetypeinfo"))
    assert node.types == MIGRATETYPE_NAMES
    assert node.zones[0].blocks["CMA"] == 128
    assert node.zones[0].free["CMA"].nr_free[10] == 58


def test_pagetypeinfo_with_mixed_blocks_and_lists_too_long_to_count() -> None:
    text = recorded()["holes/start_pagetypeinfo.txt"]
    mixed = text[text.index("\nNumber of blocks type") :].replace("blocks type ", "mixed blocks")
    text = re.sub(r"(DMA32, type      Movable +)[0-9]+", r"\1 >100000", text) + mixed
    [node] = parse_pagetypeinfo(text)
    row = node.zones[1].free["Movable"]
    assert (row.nr_free[0], row.at_least) == (100000, {0})
    assert node.zones[1].mixed == node.zones[1].blocks
    assert " >100000 " in write_pagetypeinfo([node])
    assert parse_pagetypeinfo(write_pagetypeinfo([node])) == [node]


# Whatever numbers there are

NUMBERS = st.integers(0, (1 << 64) - 1)
WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True)
ZONES = st.lists(
    st.tuples(st.integers(0, 1023), st.sampled_from([*X86_64.zone_names, "HighMem"])),
    min_size=1,
    max_size=4,
    unique=True,
)


def counters(prefix: str, at_least: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, int]]:
    """Some counters whose names begin so, and these."""
    more = st.dictionaries(WORDS.map(lambda word: prefix + word), NUMBERS, max_size=4)
    return st.tuples(st.fixed_dictionaries(dict.fromkeys(at_least, NUMBERS)), more).map(
        lambda both: both[0] | both[1]
    )


SIZES = ("free", "boost", "min", "low", "high", "promo", "spanned", "present", "managed", "cma")


@st.composite
def zoneinfo_zones(draw: st.DrawFn) -> list[ZoneinfoZone]:
    zones = []
    for node, name in draw(ZONES):
        zone = ZoneinfoZone(node, name)
        zone.pages = draw(st.fixed_dictionaries(dict.fromkeys(SIZES, NUMBERS)))
        zone.protection = tuple(draw(st.lists(NUMBERS, min_size=1, max_size=6)))
        zone.node_stats = draw(st.none() | counters("nr_", ("nr_mapped",)))
        if zone.pages["present"]:
            zone.stats = draw(counters("nr_", ("nr_free_pages",)))
            pcp = dict.fromkeys(("count", "high", "batch"), NUMBERS)
            for cpu in sorted(draw(st.sets(st.integers(0, 600), min_size=1, max_size=3))):
                numbers = draw(st.fixed_dictionaries(pcp))
                zone.pagesets.append(Pageset(cpu, numbers, draw(st.none() | NUMBERS)))
            zone.tail = draw(st.fixed_dictionaries({"node_unreclaimable": NUMBERS}))
            zone.tail |= draw(counters("x_", ("start_pfn",)))
        zones.append(zone)
    return zones


@st.composite
def pagetypeinfo_nodes(draw: st.DrawFn) -> list[PagetypeinfoNode]:
    types = draw(st.sampled_from([MIGRATETYPE_NAMES, MIGRATETYPE_NAMES[:3], ("Movable",)]))
    orders = draw(st.integers(1, 14))
    nodes = []
    for nid in draw(st.lists(st.integers(0, 1023), min_size=1, max_size=3, unique=True)):
        names = draw(
            st.lists(st.sampled_from(X86_64.zone_names), min_size=1, max_size=3, unique=True)
        )
        with_mixed = draw(st.booleans())
        zones = [PagetypeinfoZone(name) for name in names]
        for zone in zones:
            for name in types:
                counts = draw(st.lists(NUMBERS, min_size=orders, max_size=orders))
                at_least = draw(st.frozensets(st.integers(0, orders - 1)))
                for order in at_least:
                    counts[order] = COUNTED
                zone.free[name] = FreeRow(tuple(counts), at_least)
            zone.blocks = {name: draw(NUMBERS) for name in types}
            zone.mixed = {name: draw(NUMBERS) for name in types} if with_mixed else None
        nodes.append(PagetypeinfoNode(nid, draw(st.integers(0, 14)), types, zones))
    return nodes


@given(st.integers(1, 14), ZONES, st.data())
def test_any_buddyinfo(orders: int, zones: list[tuple[int, str]], data: st.DataObject) -> None:
    counts = st.lists(NUMBERS, min_size=orders, max_size=orders).map(tuple)
    rows = [BuddyinfoZone(node, name, data.draw(counts)) for node, name in zones]
    assert parse_buddyinfo(write_buddyinfo(rows)) == rows


@given(zoneinfo_zones())
def test_any_zoneinfo(zones: list[ZoneinfoZone]) -> None:
    assert parse_zoneinfo(write_zoneinfo(zones)) == zones


@given(pagetypeinfo_nodes())
def test_any_pagetypeinfo(nodes: list[PagetypeinfoNode]) -> None:
    assert parse_pagetypeinfo(write_pagetypeinfo(nodes)) == nodes


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_blanks_at_the_ends_of_lines_mean_nothing(name: str, data: st.DataObject) -> None:
    """Editors take them away, and mail makes \\r\\n of line ends."""
    _, text = data.draw(st.sampled_from(texts_of(name)))
    end = data.draw(st.sampled_from(["\n", "\r\n", " \n", "\t\n"]))
    spoilt = "".join(line.rstrip() + end for line in text.split("\n")[:-1])
    assert PARSE[name](spoilt) == PARSE[name](text)


# From the model


def recorded_vm(capture: str) -> Any:
    with lzma.open(SNAPSHOTS / capture / "snapshot_end.json.xz") as file:
        return restore(json.load(file), Trace(mask=0, capacity=1))


def shape(text: str) -> str:
    """The text with every number as #, and the columns that it took."""
    return re.sub(r" *[0-9]+", lambda number: "#" * len(number[0]), text)


@pytest.mark.parametrize("capture", sorted(path.name for path in SNAPSHOTS.iterdir()))
@pytest.mark.parametrize("name", ["buddyinfo", "pagetypeinfo"])
def test_the_model_writes_the_recorded_table(capture: str, name: str) -> None:
    """The text was read just after the snapshot: free blocks differ, columns do not."""
    text = WRITE[name](OF[name](recorded_vm(capture)))
    told = recorded()[f"{capture}/end_{name}.txt"]
    assert shape(text) == shape(told)
    assert text.split("\n\n")[2:] == told.split("\n\n")[2:]


def without_counts(zones: list[ZoneinfoZone]) -> list[ZoneinfoZone]:
    """Without what changes at any time: counters, of which only the names are kept, and pcps.

    NOT MODELLED: kswapd that has given up, as in the capture highatomic.
    """
    for zone in zones:
        del zone.pages["free"]
        zone.tail.pop("node_unreclaimable", None)
        zone.stats = dict.fromkeys(zone.stats, 0)
        zone.node_stats = zone.node_stats and dict.fromkeys(zone.node_stats, 0)
        for pageset in zone.pagesets:
            pageset.numbers |= {"count": 0, "high": 0}
    return zones


@pytest.mark.parametrize("capture", sorted(path.name for path in SNAPSHOTS.iterdir()))
def test_the_model_writes_the_recorded_zoneinfo(capture: str) -> None:
    text = write_zoneinfo(zoneinfo_of(recorded_vm(capture)))
    told = recorded()[f"{capture}/end_zoneinfo.txt"]
    assert without_counts(parse_zoneinfo(text)) == without_counts(parse_zoneinfo(told))
    assert len(text.split("\n")) == len(told.split("\n"))


def test_pagetypeinfo_leaves_holes_out() -> None:
    """16 GiB of a PC: 3 GiB below the hole for devices, 13 GiB above."""
    machine = Machine("16 GiB")
    [node] = pagetypeinfo_of(machine.vm)
    assert [sum(zone.blocks.values()) for zone in node.zones] == [8, 1528, 6656]


def test_free_rows_are_counted_to_100000() -> None:
    machine = Machine("1 GiB", pcp=False, steps=False)
    pfns = machine.alloc_pages_bulk(GFP_KERNEL, 200_002)
    for pfn in pfns[::2]:
        machine.free_pages(pfn)
    [node] = pagetypeinfo_of(machine.vm)
    rows = [row for zone in node.zones for row in zone.free.values()]
    assert any(row.at_least == {0} and row.nr_free[0] == 100000 for row in rows)
    assert max(row.nr_free[0] for row in buddyinfo_of(machine.vm)) > 100000


def test_the_model_counts_cma() -> None:
    machine = Machine("64 MiB", cma="8 MiB")
    [node] = pagetypeinfo_of(machine.vm)
    assert node.types == MIGRATETYPE_NAMES
    assert sum(zone.blocks["CMA"] for zone in node.zones) == 4
    assert sum(zone.pages["cma"] for zone in zoneinfo_of(machine.vm)) == 2048


def test_the_model_counts_where_pages_came_from() -> None:
    machine = Machine(["512 MiB", "512 MiB"], cpus=2)
    machine.alloc_pages_bulk(GFP_KERNEL, 5, cpu=0, nid=1)
    zones = {(zone.node, zone.zone): zone for zone in zoneinfo_of(machine.vm)}
    stats = zones[1, "DMA32"].stats
    assert (stats["numa_hit"], stats["numa_local"], stats["numa_other"]) == (5, 0, 5)


def test_the_model_of_32_bits() -> None:
    """No NUMA there, no DMA32, no Device."""
    machine = Machine.preset("pc32")
    zones = zoneinfo_of(machine.vm)
    assert [zone.zone for zone in zones] == ["DMA", "Normal", "HighMem", "Movable"]
    assert {len(zone.protection) for zone in zones} == {4}
    assert not any(name.startswith("numa") for name in zones[0].stats)
    assert pagetypeinfo_of(machine.vm)[0].pageblock_order == 10
    assert parse_zoneinfo(write_zoneinfo(zones)) == zones
