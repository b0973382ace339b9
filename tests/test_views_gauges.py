"""Lesson 05: what a zone says when asked is what a request gets, and the tank shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from memsim import GFP_ATOMIC, GFP_KERNEL, Machine, PageAllocationFailure
from memsim.mm.mmzone import page_zone
from memsim.mm.page_alloc.zone_walk import gfp_to_alloc_flags
from memsim.mm.show_mem import allocation_failure_report
from memsim.views.gauges import SCALE_FACTORS, TANKS, TankGauge
from memsim.views.lesson05 import (
    REQUESTERS,
    Tank,
    ask,
    freed_pages,
    marks,
    min_free_curve,
    reported_zones,
    request_each,
)

DATA = Path(__file__).parents[1] / "notebooks/data"


def one_zone() -> Tank:
    """A machine whose only zone is DMA: no other zone helps out."""
    return Tank(Machine("16 MiB", pcp=False), "DMA")


@pytest.mark.parametrize("name", REQUESTERS)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_zone_that_says_served_serves_and_one_that_refuses_does_not(
    name: str, order: int
) -> None:
    tank = one_zone()
    for pages in (0, 1, 46, 47, 62, 63, 64, 124, 125, 126, 127, 156, 157, 200):
        tank.set_free(pages)
        said = ask(tank.zone, REQUESTERS[name], order)
        try:
            pfn = tank.machine.alloc_pages(REQUESTERS[name], order)
        except PageAllocationFailure:
            assert not said.served, (pages, str(said))
        else:
            assert said.served, (pages, str(said))
            tank.machine.free_pages(pfn)
    tank.machine.validate()


def test_asking_changes_nothing() -> None:
    tank = one_zone()
    tank.set_free(100)
    before = tank.machine.snapshot()
    for gfp_mask in REQUESTERS.values():
        ask(tank.zone, gfp_mask, 2)
    assert tank.machine.snapshot() == before


def test_a_zone_above_the_highest_is_never_asked() -> None:
    machine = Machine("1 GiB")
    answer = ask(machine.zone("DMA32"), REQUESTERS["GFP_KERNEL | __GFP_DMA"])
    assert (answer.served, str(answer)) == (False, "never asks this zone")


@pytest.mark.parametrize("kind", TANKS)
def test_a_tank_is_filled_to_the_page_and_emptied(kind: str) -> None:
    ram, zone = TANKS[kind]
    tank = Tank(Machine(ram, pcp=False, steps=False), zone)
    for pages in (3000, 17, 0, 1234, 1233, 3000):
        assert tank.set_free(pages) == pages
    assert tank.zone.watermark_boost == 0  # taken as movable: no pageblock was claimed
    blocks = tank._blocks
    assert all(page_zone(tank.machine.vm, pfn) is tank.zone for pfn, _ in blocks)
    tank.machine.validate()


def test_no_two_scattered_pages_are_neighbours() -> None:
    tank = one_zone()
    assert tank.scatter(500) == 500
    assert tank.machine.nr_free() == [500] + [0] * 10
    tank.machine.validate()
    assert tank.scatter(40) == 40
    assert tank.set_free(300) == 300


def test_more_than_a_zone_has_is_all_of_it() -> None:
    tank = one_zone()
    everything = tank.free
    tank.set_free(10)
    assert tank.set_free(1 << 30) == everything


def test_the_gauge_says_who_is_served() -> None:
    gauge = TankGauge("1 GiB: zone DMA")
    low, reserve = marks(gauge.tank.zone)["low"], gauge.tank.zone.lowmem_reserve[1]
    gauge.level.value = low + reserve
    assert gauge.answers()["GFP_KERNEL"].attempts[-1].mark == "min"
    gauge.level.value = low + reserve + 1
    assert gauge.answers()["GFP_KERNEL"].attempts[-1].mark == "low"
    gauge.level.value = 0
    assert gauge.served() == []
    assert gauge.picture.value.count("✗") == len(REQUESTERS)


@pytest.mark.parametrize("kind", TANKS)
def test_every_control_of_the_gauge_moves(kind: str) -> None:
    gauge = TankGauge()
    gauge.kind.value = kind
    for factor in SCALE_FACTORS[-1], SCALE_FACTORS[0]:
        gauge.scale.value = factor
        gauge.level.value = gauge.level.max
        gauge.scattered.value = not gauge.scattered.value
        gauge.order.value = 10
        assert f"Order 10: GFP_HIGHUSER_MOVABLE: {gauge.answers()['GFP_HIGHUSER_MOVABLE']}" in (
            gauge.text()
        )
        gauge.order.value = 0
    gauge.tank.machine.validate()


def test_min_free_kbytes_grows_with_the_square_root_up_to_its_bound() -> None:
    assert min_free_curve([1, 4, 16, 4096, 8192]) == [4, 8, 16, 256, 256]


def test_a_recorded_report_is_read_and_so_is_the_model_s() -> None:
    dma32, normal = reported_zones((DATA / "report_dcache_3787.txt").read_text())
    assert (dma32.name, dma32.free, dma32.min) == ("DMA32", 62607, 481)
    assert dma32.lowmem_reserve == (0, 0, 62446, 62446, 62446)
    vm = Machine("8 GiB").vm
    assert normal.needed(gfp_to_alloc_flags(vm, GFP_ATOMIC, 0), 2) == 6154
    zones = reported_zones(allocation_failure_report(vm, GFP_KERNEL, 0, "test"))
    real = [zone for zone in vm.zones if zone.present_pages]
    assert [zone.name for zone in zones] == [zone.name for zone in real]
    for reported, zone in zip(zones, real, strict=True):
        assert reported.lowmem_reserve == tuple(zone.lowmem_reserve)
        assert reported.min == marks(zone)["min"]
        answer = ask(zone, GFP_KERNEL)
        assert reported.free == answer.usable
    assert reported_zones("no report at all") == []


def test_requests_at_the_min_mark_are_served_by_their_rights() -> None:
    tank = one_zone()
    tank.set_free(marks(tank.zone)["min"] + 2)
    masks = [GFP_KERNEL | 8] * 3 + [GFP_ATOMIC]  # movable: no pageblock is claimed, no boost
    pfns = request_each(tank.machine, masks)
    assert [pfn >= 0 for pfn in pfns] == [True, True, False, True]


def test_pages_freed_late_are_those_of_the_boot_log() -> None:
    log = "[1] Freeing SMP alternatives memory: 40K\n[2] Freeing initrd memory: 4688K\n"
    assert freed_pages(log) == 1172
    assert freed_pages(log + "[4] Freeing unused kernel image (initmem) memory: 3940K\n") == 2157
    assert freed_pages("Freeing initrd memory: many") == 0
