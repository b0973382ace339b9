"""Grouping by mobility off: worked by hand from gfp_migratetype() and its three relatives."""

from __future__ import annotations

import pytest

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, BadDescription, BadRequest, Machine
from memsim.mm.mmzone import get_pageblock_migratetype
from memsim.trace.events import MmPageAlloc, MmPageAllocExtfrag
from memsim.words.mmzone import MIGRATE_MOVABLE, MIGRATE_UNMOVABLE


def pageblocks(machine: Machine) -> list[int]:
    zone = machine.zone()
    return [get_pageblock_migratetype(zone, pfn) for pfn in range(0, zone.zone_end_pfn, 512)]


def extfrags(machine: Machine) -> list[MmPageAllocExtfrag]:
    events = (traced.event for traced in machine.events())
    return [event for event in events if isinstance(event, MmPageAllocExtfrag)]


def test_pageblocks_begin_movable_and_every_request_is_unmovable() -> None:
    machine = Machine.of_pages(4096, group_by_mobility=False)
    assert set(pageblocks(machine)) == {MIGRATE_MOVABLE}
    machine.alloc_pages(GFP_HIGHUSER_MOVABLE)
    event = machine.events()[-1].event
    assert isinstance(event, MmPageAlloc)
    assert event.migratetype == MIGRATE_UNMOVABLE
    # The block of order 10 that served it was claimed, both of its pageblocks.
    assert pageblocks(machine)[:2] == [MIGRATE_UNMOVABLE] * 2
    assert pageblocks(machine)[2:] == [MIGRATE_MOVABLE] * 6
    assert [(e.fallback_order, e.change_ownership) for e in extfrags(machine)] == [(10, 1)]
    machine.validate()


def test_kernel_and_user_pages_lie_side_by_side_only_without_grouping() -> None:
    for group, blocks in ((True, {0, 2}), (False, {0})):
        machine = Machine.of_pages(4096, group_by_mobility=group)
        pfns = [machine.alloc_pages(gfp) for gfp in (GFP_HIGHUSER_MOVABLE, GFP_KERNEL) * 4]
        assert {pfn // 512 for pfn in pfns} == blocks


@pytest.mark.parametrize(("group", "owned"), [(True, 0), (False, 1)])
def test_a_crowded_pageblock_is_claimed_only_without_grouping(group: bool, owned: int) -> None:
    machine = Machine.of_pages(1024)
    pfns = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(1024)]
    for pfn in pfns:
        machine.lru_add(pfn)
    for pfn in range(8):
        machine.free_pages(pfn)
    machine.vm.page_group_by_mobility_disabled = not group
    # 8 pages free and none alike: fewer than the 256 that a claim needs
    assert machine.alloc_pages(GFP_KERNEL) == 0
    assert [event.change_ownership for event in extfrags(machine)] == [owned]
    assert pageblocks(machine)[0] == (MIGRATE_MOVABLE if group else MIGRATE_UNMOVABLE)
    machine.validate()


def test_undo_gives_claimed_pageblocks_their_type_back() -> None:
    machine = Machine.of_pages(1024, group_by_mobility=False)
    machine.alloc_pages(GFP_KERNEL)
    machine.undo()
    assert pageblocks(machine) == [MIGRATE_MOVABLE] * 2
    assert machine.nr_free()[10] == 1


def test_an_isolated_pageblock_comes_back_unmovable_or_not_at_all() -> None:
    machine = Machine.of_pages(1024, group_by_mobility=False)
    machine.isolate_pageblock(0)
    with pytest.raises(BadRequest, match="should be 0, grouping is off"):
        machine.unisolate_pageblock(0)
    assert pageblocks(machine)[0] == machine.vm.MIGRATE_ISOLATE
    machine.unisolate_pageblock(0, MIGRATE_UNMOVABLE)
    assert pageblocks(machine)[0] == MIGRATE_UNMOVABLE
    machine.validate()


@pytest.mark.parametrize("value", [0, None, "no"])
def test_what_is_no_switch_is_refused(value: object) -> None:
    with pytest.raises(BadDescription, match=r"group_by_mobility='.*': should be True or False"):
        Machine.of_pages(64, group_by_mobility=value)  # type: ignore[arg-type]
