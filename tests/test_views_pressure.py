"""Lesson 15's widgets and helpers: a late kswapd, LRU lists under buttons, two scanners."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memsim import GFP_KERNEL, Machine
from memsim.views import lesson15
from memsim.views.lesson14 import ask_until_refused
from memsim.views.lru_desk import LruDesk
from memsim.views.saw_desk import HEIGHT, SawDesk
from memsim.views.scanners import (
    FIRST_PFN,
    FREE_PAGE,
    GIVEN,
    MOVABLE,
    MOVING,
    PAGEBLOCK,
    STAYS,
    TARGET,
    WAYS,
    Scanners,
)

DATA = Path(__file__).parents[1] / "notebooks/data"


def test_a_saw_goes_from_below_low_to_above_high() -> None:
    saw = lesson15.film()
    assert not saw.direct
    for at in saw.kswapd:
        assert saw.free[at] > saw.marks["high"]
        assert saw.free[at - 1] < saw.marks["low"] + 64


@pytest.mark.parametrize(("factor", "stalls"), [(10, True), (200, False)])
def test_a_late_kswapd_leaves_work_unless_it_is_woken_earlier(factor: int, stalls: bool) -> None:
    saw = lesson15.film(late=60, watermark_scale_factor=factor)
    assert bool(saw.direct) == stalls
    assert all(pages >= 32 for pages in saw.direct.values())
    assert ("direct reclaim 0 times" in str(saw)) != stalls


def test_the_saw_s_sliders_read_the_film_again() -> None:
    widget = SawDesk()
    assert "direct reclaim 0 times" in widget.text()
    assert "✕" in widget.picture.value
    assert "#d55e00" not in widget.picture.value
    widget.late.value = 60
    assert "direct reclaim 9 times" in widget.text()
    assert "#d55e00" in widget.picture.value
    widget.scale.value = 200
    assert widget.text().startswith("min 125, low 203, high 281. ")
    widget.scale.value = 500
    y = re.search(r'y="([-.\d]+)"[^>]*>min 125', widget.picture.value)
    assert y
    assert 0 <= float(y[1]) <= HEIGHT + 8


def test_a_chart_marks_who_reclaimed() -> None:
    chart = lesson15.saw_chart(lesson15.film(late=60), 3700, "title")
    names = [trace.name for trace in chart.data]
    assert names == ["free", "high", "low", "min", "kswapd", "direct reclaim"]
    assert len(chart.data[5].x) == 9


def test_vmstat_and_trace_of_the_recorded_kernel_agree() -> None:
    counters = lesson15.vmstat((DATA / "vmstat_anon_pressure.txt").read_text())
    found = lesson15.recorded_reclaims((DATA / "vmscan_anon_pressure.txt").read_text())
    assert counters["pageoutrun"] == found["mm_vmscan_kswapd_wake"] == 43
    assert counters["allocstall_movable"] == found["mm_vmscan_direct_reclaim_begin"] == 42
    # the rest came out of slabs
    assert found["pages"] - counters["pgsteal_direct"] == 66


def test_a_page_goes_from_list_to_list_and_comes_back_as_a_refault() -> None:
    desk = LruDesk()
    assert "shrink_active_list(): 0 scanned" in desk.press("shrink_active")
    desk.press("read", 0, 1, 2, 3, 4, 5)
    assert "inactive, head first: 5r 4r 3r 2r" in desk.press("read", 0, 1)
    assert "3 evicted" in desk.press("shrink_inactive_list")
    assert desk.text().endswith("a shadow is left: 2 3 4")
    # evicted last: no more evictions since than the active list is long
    assert "active, head first: 4r 1 0" in desk.press("read", 4)
    # evicted long ago
    assert "a refault" in desk.press("read", 2)
    assert "inactive, head first: 2r 5r" in desk.text()
    assert "active, head first: empty" in desk.press("shrink_active_list")
    desk.machine.validate()
    assert "from the disk" in desk.press("read", 9)
    assert desk.press("start over").endswith("left: none")


def test_a_boost_wakes_kswapd_of_a_balanced_node() -> None:
    boost = lesson15.first_boost()
    assert boost.free > boost.high_after
    assert boost.high == boost.high_after + 512
    assert boost.free_after > boost.high


def test_a_film_pays_for_itself_until_it_comes_back() -> None:
    once, often = (lesson15.heap_and_film(200, passes) for passes in (1, 4))
    assert lesson15.swapped(once) == 0
    assert lesson15.swapped(often) > 500
    assert lesson15.lists(once)["inactive_anon"] == 1536
    spared = lesson15.node_stat(often, "WORKINGSET_REFAULT_FILE")
    assert spared < lesson15.node_stat(lesson15.heap_and_film(0, 4), "WORKINGSET_REFAULT_FILE")


def test_of_half_a_machine_no_block_can_be_had_and_compaction_is_put_off() -> None:
    machine = lesson15.half_free("64 MiB", steps=True)
    refused = ask_until_refused(machine, GFP_KERNEL, order=4)
    assert refused.free > 6000
    told = lesson15.shortened(machine.why())
    assert told[2] == " 3 get_page_from_freelist(): an attempt at min: nothing"
    assert lesson15.compactions(machine, 40) == [1, 3, 7, 15, 31]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stays", [0, 6])
def test_each_moment_can_be_reached_from_both_sides(way: str, stays: int) -> None:
    widget = Scanners(way, stays)
    forwards = [widget.go(moment) for moment in range(widget.moment.max + 1)]
    assert [widget.go(moment) for moment in reversed(range(len(forwards)))] == forwards[::-1]
    assert len(set(forwards)) == len(forwards)


def test_the_scanners_go_against_each_other_and_meet() -> None:
    widget = Scanners()
    first, *others = widget.done.moments[1:]
    assert (first.migrate_pfn, first.free_pfn) == (FIRST_PFN, FIRST_PFN + 5 * PAGEBLOCK)
    places = [moment.migrate_pfn for moment in others]
    assert places == sorted(places)
    pageblocks = [(moment.free_pfn - FIRST_PFN) // PAGEBLOCK for moment in others]
    assert pageblocks == sorted(pageblocks, reverse=True)
    assert widget.go(99).endswith("512, 512, 512, 352, 32, 0. Wholly free: 3.")


def test_pages_change_their_kind_as_they_move() -> None:
    widget = Scanners()
    widget.go(3)
    kinds = [kind for row in widget.rows() for kind in row]
    assert (kinds.count(MOVING), kinds.count(TARGET), kinds.count(STAYS)) == (32, 32, 0)
    widget.go(4)
    assert widget.rows()[0].count(FREE_PAGE) == 352
    assert {MOVABLE, FREE_PAGE} <= set(widget.rows()[5])


def test_a_request_has_its_block_or_one_page_in_each_spoils_them() -> None:
    widget = Scanners("a request of order 9")
    assert "the request has its block, pfn 4608" in widget.go(99)
    assert widget.rows()[1] == [GIVEN] * PAGEBLOCK
    widget.stays.value = 6
    assert "it is over" in widget.go(99)
    assert widget.text().endswith("Wholly free: 0.")
    assert sum(row.count(STAYS) for row in widget.rows()) == 6
    assert "migration" in widget.picture.value


def test_a_recording_of_lists_is_undone() -> None:
    desk = LruDesk()
    desk.press("read", 0, 1, 2)
    before = desk._named("inactive")
    desk.press("shrink_inactive_list")
    assert isinstance(desk.machine, Machine)
    desk.machine.undo()
    assert desk._named("inactive") == before
