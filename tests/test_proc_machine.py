"""A Machine from copies of /proc: what they tell is so, what they do not tell is drawn by seed."""

from __future__ import annotations

import json
import lzma
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proc_texts import DATA, NAMES, OTHER_KERNELS, captures, copies_of, put, recorded

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine, PageAllocationFailure
from memsim.mm.mmzone import populated_zones
from memsim.mm.page_alloc.setup import setup_per_zone_wmarks
from memsim.mm.vmstat import fold_zone_diffs
from memsim.proc.buddyinfo import buddyinfo_of, parse_buddyinfo, write_buddyinfo
from memsim.proc.machine import machine_from_proc
from memsim.proc.origin import Origin
from memsim.proc.pagetypeinfo import pagetypeinfo_of, write_pagetypeinfo
from memsim.proc.pagetypeinfo_parse import parse_pagetypeinfo
from memsim.proc.zoneinfo import ZoneinfoZone, write_zoneinfo, zoneinfo_of
from memsim.proc.zoneinfo_parse import parse_zoneinfo

SNAPSHOTS = Path(__file__).parent / "data" / "captures"
MOMENTS = ("start", "end")


def texts_of(machine: Machine) -> dict[str, str | bytes]:
    """What the machine's own /proc says."""
    return {
        "buddyinfo": write_buddyinfo(buddyinfo_of(machine.vm)),
        "pagetypeinfo": write_pagetypeinfo(pagetypeinfo_of(machine.vm)),
        "zoneinfo": write_zoneinfo(zoneinfo_of(machine.vm)),
    }


def without_free(zones: list[ZoneinfoZone]) -> list[ZoneinfoZone]:
    """Without the numbers of free pages, which other files tell, and what is not modelled."""
    for zone in zones:
        del zone.pages["free"]
        zone.node_stats = None
        zone.tail.pop("node_unreclaimable", None)
        zone.stats.pop("nr_free_pages", None)
    return zones


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("capture", captures())
@pytest.mark.parametrize("seed", [0, 1])
def test_what_was_recorded_is_so(capture: str, moment: str, seed: int, tmp_path: Path) -> None:
    """Every invariant holds; counts of blocks and pages, limits and counters are those told."""
    copies = copies_of(capture, moment)
    machine, origin = machine_from_proc(put(tmp_path / "p", copies), seed=seed)
    machine.validate()
    assert texts_of(machine)["pagetypeinfo"] == copies["pagetypeinfo"]
    told = parse_zoneinfo(str(copies["zoneinfo"]))
    assert without_free(zoneinfo_of(machine.vm)) == without_free(told)
    assert list(origin.used) == ["zoneinfo", "buddyinfo", "pagetypeinfo"]
    assert origin.notes[0] == (
        f"Positions of blocks and pages are drawn by seed {seed}: no file tells them."
    )


@pytest.mark.parametrize("capture", captures())
def test_without_pagetypeinfo_types_are_drawn(capture: str, tmp_path: Path) -> None:
    copies = copies_of(capture)
    del copies["pagetypeinfo"]
    machine, origin = machine_from_proc(put(tmp_path / "p", copies), seed=7)
    machine.validate()
    assert texts_of(machine)["buddyinfo"] == copies["buddyinfo"]
    assert origin.missing == {"pagetypeinfo": "not there"}
    assert "Migratetypes are drawn too: pagetypeinfo would tell them." in origin.notes
    rows = pagetypeinfo_of(machine.vm)[-1].zones[-1]
    assert sum(1 for blocks in rows.blocks.values() if blocks) >= 2


@pytest.mark.parametrize("kernel", OTHER_KERNELS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_other_kernels(kernel: str, seed: int) -> None:
    """32 bits with HIGHMEM, CMA, no SMP, 4 zones: what memsim has of them is as told."""
    machine, _ = machine_from_proc(DATA / kernel, seed=seed)
    machine.validate()
    texts = {name: (DATA / kernel / name).read_text() for name in NAMES}
    assert texts_of(machine)["buddyinfo"] == texts["buddyinfo"]
    assert texts_of(machine)["pagetypeinfo"] == texts["pagetypeinfo"]
    told = {zone.zone: zone for zone in parse_zoneinfo(texts["zoneinfo"])}
    for zone in zoneinfo_of(machine.vm):
        if zone.zone in told and zone.populated:
            pages = {k: v for k, v in told[zone.zone].pages.items() if k != "node_scanned"}
            assert zone.pages | pages == zone.pages
            numbers = [pageset.numbers["count"] for pageset in told[zone.zone].pagesets]
            assert [pageset.numbers["count"] for pageset in zone.pagesets] == numbers


def test_pcp_limits_that_later_kernels_tell_are_kept() -> None:
    machine, _ = machine_from_proc(DATA / "x86_64-6.18")
    pcp = machine.zone("DMA32").per_cpu_pageset[0]
    assert (pcp.count, pcp.high, pcp.batch, pcp.high_min, pcp.high_max) == (
        688, 1211, 63, 1211, 7507,
    )  # fmt: skip


def test_the_same_seed_draws_the_same_machine() -> None:
    def snapshot(seed: int) -> Any:
        return machine_from_proc(DATA / "x86_64-4.9", seed=seed)[0].snapshot()

    assert snapshot(5) == snapshot(5)
    assert (
        snapshot(5)["nodes"][0]["zones"][1]["free_area"]
        != snapshot(6)["nodes"][0]["zones"][1]["free_area"]
    )


def test_a_drawn_machine_can_be_used_and_undone() -> None:
    machine, _ = machine_from_proc(DATA / "x86_64-4.9", seed=3)
    before = machine.snapshot()
    pfns = [machine.alloc_pages(GFP_KERNEL, order) for order in (0, 3, 9)]
    for pfn in pfns:
        machine.free_pages(pfn)
    machine.validate()
    while machine.history:
        machine.undo()
    assert machine.snapshot() == before


def test_without_steps_nothing_is_journalled() -> None:
    machine, _ = machine_from_proc(DATA / "x86_64-4.9", steps=False)
    machine.alloc_pages(GFP_KERNEL)
    assert machine.history == []


def test_positions_are_spread(tmp_path: Path) -> None:
    """Over many seeds every pageblock of the zone is once free: nothing favours an end."""
    copies = copies_of("net_loopback")
    folder = put(tmp_path / "p", copies)
    seen: set[int] = set()
    for seed in range(20):
        machine, _ = machine_from_proc(folder, seed=seed, steps=False)
        zone = machine.zone("DMA32")
        states = zone.page_state[zone.zone_start_pfn : zone.zone_end_pfn : 1024]
        seen |= {i for i, state in enumerate(states) if state == 0x1A}
    assert len(seen) > 0.9 * (zone.spanned_pages >> 10)


# What the copies do not tell


def recorded_start(capture: str) -> Any:
    with lzma.open(SNAPSHOTS / capture / "snapshot_start.json.xz") as file:
        return json.load(file)


@pytest.mark.parametrize("capture", sorted(path.name for path in SNAPSHOTS.iterdir()))
def test_what_is_deduced_is_what_the_kernel_had(capture: str, tmp_path: Path) -> None:
    """pcp limits, drift marks, totalreserve_pages, zonelists, min_free_kbytes to 3 KiB."""
    machine, _ = machine_from_proc(put(tmp_path / "p", copies_of(capture)))
    told = recorded_start(capture)
    told_vars, vm = told["vars"], machine.vm
    assert 0 <= told_vars["min_free_kbytes"] - vm.min_free_kbytes <= 3
    assert vm.watermark_scale_factor == told_vars["watermark_scale_factor"]
    assert vm.totalreserve_pages == told_vars["totalreserve_pages"]
    for zone in populated_zones(vm):
        told_zone = told["nodes"][zone.node]["zones"][zone.idx]
        assert zone.percpu_drift_mark == told_zone["percpu_drift_mark"]
        for pcp, told_pcp in zip(zone.per_cpu_pageset, told_zone["pcp"], strict=True):
            assert (pcp.high_min, pcp.high_max) == (told_pcp["high_min"], told_pcp["high_max"])
    assert machine.snapshot()["nodes"][0]["zonelists"] == told["nodes"][0]["zonelists"]


#: percpu_drift_mark of recorded machines with two CPUs, by node and zone.
RECORDED_MARKS = {
    "mixed_smp": {(0, "DMA"): 29, (0, "DMA32"): 16},
    "mixed_numa": {(0, "DMA"): 20, (0, "DMA32"): 16, (1, "DMA32"): 24, (1, "Normal"): 16},
}


@pytest.mark.parametrize("capture", RECORDED_MARKS)
def test_drift_marks_are_those_of_boot(capture: str, tmp_path: Path) -> None:
    """They are from before there were watermarks, or all of the memory."""
    machine, _ = machine_from_proc(put(tmp_path / "p", copies_of(capture)))
    zones = populated_zones(machine.vm)
    marks = {(zone.node, zone.name): zone.percpu_drift_mark for zone in zones}
    assert marks == RECORDED_MARKS[capture]


@pytest.mark.parametrize("capture", captures())
def test_deduced_tunables_make_the_recorded_watermarks(capture: str, tmp_path: Path) -> None:
    machine, _ = machine_from_proc(put(tmp_path / "p", copies_of(capture)))
    told = [list(zone._watermark) for zone in machine.vm.zones]
    setup_per_zone_wmarks(machine.vm)
    assert [list(zone._watermark) for zone in machine.vm.zones] == told


def test_lru_pages_are_in_movable_pageblocks(tmp_path: Path) -> None:
    machine, _ = machine_from_proc(put(tmp_path / "p", copies_of("pagecache_stream")))
    zone = machine.zone("DMA32")
    blocks = {pfn >> 9 for pfn, state in enumerate(zone.page_state) if state & 0x80}
    assert {zone.pageblock[block] for block in blocks} == {1}
    nr_lru = sum(1 for state in zone.page_state if state & 0x80)
    assert 0 < nr_lru <= sum(zone.vm_stat[1:6])


# Files that were read at different moments


def edited(capture: str, name: str, old: str, new: str) -> dict[str, str | bytes]:
    copies = copies_of(capture)
    text = str(copies[name])
    assert old in text
    return copies | {name: text.replace(old, new, 1)}


def notes_about(origin: Origin, zone: str) -> list[str]:
    head = f"Node 0, zone {zone}: "
    return [note.removeprefix(head) for note in origin.notes if note.startswith(head)]


def test_what_the_files_tell_differently_is_said(tmp_path: Path) -> None:
    copies = copies_of("net_loopback", "end") | {"zoneinfo": copies_of("net_loopback")["zoneinfo"]}
    machine, origin = machine_from_proc(put(tmp_path / "p", copies))
    machine.validate()
    pages = parse_buddyinfo(str(copies["buddyinfo"]))[1].free_pages
    told = parse_zoneinfo(str(copies["zoneinfo"]))[1].stats["nr_free_pages"]
    assert pages != told
    word = "more" if pages > told else "fewer"
    assert (
        f"pagetypeinfo has {abs(pages - told)} free pages {word} than zoneinfo: they were "
        in (notes_about(origin, "DMA32")[0])
    )


def test_lists_too_long_to_count_take_what_buddyinfo_has(tmp_path: Path) -> None:
    machine = Machine("2 GiB", pcp=False, steps=False)
    for pfn in machine.alloc_pages_bulk(GFP_HIGHUSER_MOVABLE, 300_000)[::2]:
        machine.free_pages(pfn)
    fold_zone_diffs(machine.zone("DMA32"), 0)
    copies = texts_of(machine)
    assert ">100000" in str(copies["pagetypeinfo"])
    again, _ = machine_from_proc(put(tmp_path / "p", copies), steps=False)
    again.validate()
    assert texts_of(again) == copies


def test_pcp_pages_that_have_no_room_are_left_out(tmp_path: Path) -> None:
    machine = Machine("64 MiB")
    copies = texts_of(machine)
    text = str(copies["zoneinfo"])
    copies["zoneinfo"] = text.replace("count: 0", "count: 9")
    again, origin = machine_from_proc(put(tmp_path / "p", copies))
    again.validate()
    assert "of 9 pages on pcp lists there is room for 0." in notes_about(origin, "DMA32")


def test_pageblocks_change_their_type_where_free_blocks_would_not_fit(tmp_path: Path) -> None:
    """Free blocks were counted first: by the end there were fewer reclaimable pageblocks."""
    copies = edited(
        "mixed_smp", "pagetypeinfo", "           87          413            4 ",
        "           87          417            0 ",
    )  # fmt: skip
    told = parse_pagetypeinfo(str(copies["pagetypeinfo"]))
    machine, origin = machine_from_proc(put(tmp_path / "p", copies))
    machine.validate()
    assert [z.free for z in pagetypeinfo_of(machine.vm)[0].zones] == [z.free for z in told[0].zones]
    assert any("another type than pagetypeinfo says" in note for note in origin.notes)


# Any machine of memsim


MACHINES: tuple[dict[str, Any], ...] = (
    {"ram": "16 MiB"},
    {"ram": "40 MiB", "cpus": 3},
    {"ram": "64 MiB", "cma": "12 MiB"},
    {"ram": "1 GiB", "arch": "x86-32"},
    {"ram": ["48 MiB", "80 MiB"], "cpus": 2},
    {"ram": "4 GiB"},
)


@pytest.mark.parametrize("description", MACHINES, ids=str)
@settings(max_examples=8)
@given(data=st.data())
def test_the_copies_of_a_machine_make_one_with_the_same_copies(
    description: dict[str, Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine = Machine(**description, steps=False)
    use(machine, data)
    copies = texts_of(machine)
    folder = put(tmp_path_factory.mktemp("p"), copies)
    again, _ = machine_from_proc(folder, seed=data.draw(st.integers(0, 99)), steps=False)
    again.validate()
    assert texts_of(again) == copies


def use(machine: Machine, data: st.DataObject) -> None:
    """Allocate a good part of it in blocks of a few orders, and free some of those again."""
    orders = data.draw(st.lists(st.sampled_from([0, 0, 0, 1, 3, 4, 9]), min_size=1, max_size=20))
    mask = st.sampled_from([GFP_KERNEL, GFP_HIGHUSER_MOVABLE])
    pfns = []
    for order in orders:
        flags, nr = data.draw(mask), data.draw(st.integers(1, 200))
        with suppress(PageAllocationFailure):
            for _ in range(nr >> order // 2):
                pfns.append(machine.alloc_pages(flags, order))
    keep = data.draw(st.integers(1, 5))
    for i, pfn in enumerate(pfns):
        if i % keep:
            machine.free_pages(pfn)
    for zone in machine.vm.zones:
        for cpu in range(machine.vm.nr_cpus):
            fold_zone_diffs(zone, cpu)


def test_recorded_texts_are_all_used() -> None:
    texts = [name for name in recorded() if "slabinfo" not in name]
    assert len(captures()) * len(MOMENTS) * len(NAMES) == len(texts)
