"""Lesson 07: what one page costs, two machines with the same life, claims and steals counted."""

from __future__ import annotations

import pytest

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine
from memsim.views import SideBySide, lesson07
from memsim.views.poison import MAX_USED, NR_PAGES, Poisoned, poisoned, runs_of, used_pages
from memsim.views.two_machines import NAMES, SHARES, TwoMachines


def test_just_the_chosen_pages_are_in_use() -> None:
    for used in ([0], [1023], [300, 812], used_pages(7, 8)):
        machine = poisoned(used)
        machine.validate()
        assert [run.pfn for run in runs_of(machine) if run.order < 0] == used
        assert sum(run.nr_pages for run in runs_of(machine)) == NR_PAGES


@pytest.mark.parametrize("first", [0, 1, 511, 1023])
def test_pages_lie_at_even_distances(first: int) -> None:
    for count in range(1, MAX_USED + 1):
        used = used_pages(first, count)
        assert len(set(used)) == count
        assert first in used


def test_any_page_leaves_one_block_of_each_order() -> None:
    view = Poisoned(0)
    for pfn in (0, 17, 512, 1023):
        view.pfn.value = pfn
        assert view.machine.nr_free() == [1] * 10 + [0]
    assert "-1.000, there is such a block" in view.text()
    view.count.value = 2
    assert "it would fail by fragmentation" in view.text()
    view.pfn.value = 99_999
    assert view.pfn.value == 1023
    assert view.picture.value.count("▼") == 1  # the legend's: pages are drawn


def test_a_life_gives_everything_back_but_the_kernel_s_own() -> None:
    story = lesson07.life(4)
    assert story == lesson07.life(4)
    assert story != lesson07.life(4, seed=8)
    alive: dict[int, bool] = {}
    for requests in story:
        for number, is_free, unmovable in requests:
            if is_free:
                del alive[number]
            else:
                assert number not in alive
                alive[number] = unmovable
        assert alive
        assert all(alive.values())


def test_both_machines_hold_the_same_pages_and_are_sound() -> None:
    lived = [lesson07.Lived(group) for group in (True, False)]
    for requests in lesson07.life(8, rounds=2):
        for machine in lived:
            machine.run(requests)
    on, off = lived
    assert on.unmovable.keys() == off.unmovable.keys() == on.pfns.keys() == off.pfns.keys()
    for machine in lived:
        machine.machine.validate()
        after = machine.now()
        pages = sum(block.unmovable for block in after.blocks)
        assert sum(block.free for block in after.blocks) == lesson07.NR_PAGES - pages
        assert pages == len(machine.unmovable) << lesson07.ORDER
        whole = sum(block.unmovable == 0 for block in after.blocks)
        assert after.huge_pages == whole
    assert on.now().huge_pages > off.now().huge_pages


def test_two_machines_follow_their_sliders() -> None:
    view = TwoMachines(SHARES[-1])
    for number in (1, lesson07.ROUNDS):
        view.round.value = number
        assert f"After round {number}, 8 of 64" in view.text()
        for name in NAMES.values():
            assert name.capitalize() in view.text()
    assert view.picture.value.count("pageblock 15:") == 2
    view.round.value = 0
    assert view.round.value == 1


def test_grouping_parts_two_machines_at_once_and_shows_in_the_kernel_s_first_page() -> None:
    (grouped, on), (mixed, off) = (lesson07.in_turn(group) for group in (True, False))
    pages = [[op.name.rpartition(" ")[2] for op in recording.operations] for recording in (on, off)]
    assert pages == [["0", "1024", "1", "1025", "2", "1026"], list("012345")]
    types = [[block.migratetype[0] for block in lesson07.blocks_of(machine, set())]
             for machine in (grouped, mixed)]  # fmt: skip
    assert types == [list("MMUU"), list("UUMM")]
    sides = SideBySide(on, off)
    assert sides.first == 2  # the program's own request claims, where it counts as Unmovable
    assert "at pfn 0 was MOVABLE and is UNMOVABLE now" in sides.text(2)


def test_a_fresh_machine_s_pageblocks_are_all_free() -> None:
    blocks = lesson07.blocks_of(Machine.of_pages(lesson07.NR_PAGES), set())
    assert blocks == [lesson07.Block("Movable", 512, 0)] * 16


@pytest.mark.parametrize("free", [0, 1, 255, 256, 300, 512])
def test_a_crowded_machine_has_so_many_pages_free(free: int) -> None:
    machine = lesson07.crowded(free)
    assert lesson07.blocks_of(machine, set())[0].free == free
    assert lesson07.blocks_of(machine, set())[1].free == 0
    machine.validate()


def test_half_of_a_pageblock_decides_between_claim_and_steal() -> None:
    for nr_free, owned in ((1, 0), (2, 1)):
        machine = lesson07.half_full(nr_free)
        assert lesson07.usable(machine, 7) == nr_free
        machine.alloc_pages(GFP_KERNEL)
        assert [event.change_ownership for event in lesson07.extfrags(machine)][-1] == owned


def test_indexes_of_a_line_are_those_of_a_machine() -> None:
    machine = Machine.of_pages(1024)
    for order in (0, 3, 5):
        machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order)
    for order in range(11):
        expected = (machine.extfrag_index(order), machine.unusable_index(order))
        assert lesson07.indexes(machine.nr_free(), order) == expected


def test_recorded_fallbacks_are_added_by_type() -> None:
    text = (
        "  3 alloc_migratetype=0 fallback_migratetype=1 fragmenting=1 change_ownership=1\n"
        "  4 alloc_migratetype=0 fallback_migratetype=2 fragmenting=1 change_ownership=0\n"
        "  5 alloc_migratetype=0 fallback_migratetype=1 fragmenting=1 change_ownership=0\n"
    )
    assert lesson07.recorded_extfrags(text) == {"Unmovable": (3, 9)}
