"""Lesson 03's counts: trips to zone->lock, splits and merges, with pcp lists and without."""

from __future__ import annotations

import pytest

from memsim import GFP_HIGHUSER_MOVABLE, BadRequest, Machine
from memsim.trace.events import MmPageAllocZoneLocked, MmPagePcpuDrain
from memsim.views import charts
from memsim.views.batches import RUNS, Batches
from memsim.views.lesson03 import (
    pcp_history,
    ping_pong,
    take,
    take_and_give,
    with_pcp,
    without_pcp,
    work_of,
)


@pytest.mark.parametrize("batch", [1, 4, 31, 63])
def test_blocks_moved_are_those_of_the_kernel_s_own_events(batch: int) -> None:
    """Counted twice: from steps, and from the events that fire under zone->lock."""
    machine = with_pcp(batch)
    work = work_of(machine, lambda m: take_and_give(m, 1000))
    events = [traced.event for traced in machine.events()]
    under_lock = [e for e in events if isinstance(e, MmPageAllocZoneLocked | MmPagePcpuDrain)]
    assert sum(trip.blocks for trip in work.trips) == len(under_lock)
    machine.validate()


def test_without_pcp_lists_every_operation_is_a_trip() -> None:
    work = work_of(without_pcp(1024), lambda m: ping_pong(m, 50))
    assert [trip.operation for trip in work.trips] == list(range(100))
    assert {trip.blocks for trip in work.trips} == {1}
    assert (work.splits, work.merges) == (500, 500)


def test_a_refill_serves_until_the_list_is_empty() -> None:
    work = work_of(with_pcp(8), lambda m: take(m, 100))
    served = 0
    for trip in work.trips:
        assert trip.operation == served
        served += trip.blocks
    assert served >= 100


def test_where_every_third_operation_is_a_trip_two_thirds_of_the_picture_are_empty() -> None:
    batches = Batches(31)
    assert 'stroke-width="2" vector-effect="non-scaling-stroke"' in batches.picture.value
    batches.batch.value = 1
    assert batches.picture.value.count("V10") == 335
    assert 'stroke-width="1"/>' in batches.picture.value


def test_the_widget_measures_what_is_chosen() -> None:
    batches = Batches(31)
    assert batches.text() == (
        "batch 31, take 1,000 pages: 1000 operations, 12 trips to zone->lock, 1023 splits, "
        "0 merges. Blocks moved by each trip: 31, 62, 93, 93, 93, 93, …"
    )
    assert batches.text() in batches.picture.value.replace("&gt;", ">")
    batches.run.value = list(RUNS)[2]
    assert "2000 operations, 1 trip to zone->lock" in batches.text()
    batches.pcp.value = False
    assert batches.batch.disabled
    assert "no pcp lists" in batches.text()
    batches.batch.value = -5
    assert batches.batch.value == 1


def test_high_follows_use_and_rest() -> None:
    history = pcp_history(Machine("1 GiB"), "DMA32")
    count, high = history["count"], history["high"]
    assert len(count) == len(high) == 1 + 8 + 8 + 12
    assert high[8] > high[0]
    assert count[16] == max(count)
    assert high[17:] == sorted(high[17:], reverse=True)
    assert all(kept <= limit for kept, limit in zip(count[17:], high[17:], strict=True))


def test_lines_are_told_apart_without_colour() -> None:
    figure = charts.lines({"count": [1, 2], "high": [3, 4]}, "title", "x", "y")
    chart = charts.bundle(figure, "In words.")["application/vnd.plotly.v1+json"]
    assert len({trace["line"]["dash"] for trace in chart["data"]}) == 2


# Machine.pageset_update()


def test_limits_of_a_pcp_can_be_set_and_taken_back() -> None:
    machine = Machine.of_pages(64, pcp=True, cpus=2)
    before = machine.snapshot()
    machine.pageset_update(4, 8, 12)
    for pcp in machine.zone().per_cpu_pageset:
        assert (pcp.batch, pcp.high_min, pcp.high_max) == (4, 8, 12)
    machine.alloc_pages(GFP_HIGHUSER_MOVABLE)
    machine.validate()
    machine.undo()
    machine.undo()
    assert machine.snapshot() == before


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ((0, 8, 12), "batch=0: should be 1 to"),
        ((4, -1, 12), "high_min=-1: should be 0 to"),
        ((4, 8, 7), "high_max=7: should be 8 to"),
        ((4, 8, 1 << 60), "high_max="),
        (("4", 8, 12), "batch='4': should be a whole number"),
    ],
)
def test_limits_that_no_pcp_can_have_are_refused_and_change_nothing(
    limits: tuple[int, int, int], said: str
) -> None:
    machine = Machine.of_pages(64, pcp=True)
    before = machine.snapshot()
    with pytest.raises(BadRequest, match=said):
        machine.pageset_update(*limits)
    assert machine.snapshot() == before
