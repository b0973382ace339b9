"""The Machine's own promises: history, recordings, presets, and what it shows."""

from __future__ import annotations

import pytest

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, BadRequest, Machine
from memsim.mm.apply import apply_to_snapshot
from memsim.trace.steps import ListAdd, ListDel, Merge, Split

MOVABLE = GFP_HIGHUSER_MOVABLE


def test_a_split_told_in_steps() -> None:
    """16 pages, order 2 asked: two splits, upper halves to the heads, the block through the pcp."""
    machine = Machine.of_pages(16)
    with machine.recording() as recording:
        pfn = machine.alloc_pages(MOVABLE, 2)
    assert pfn == 0
    splits = [(s.pfn, s.order) for s in recording.steps if isinstance(s, Split)]
    assert splits == [(0, 4), (0, 3)]
    added = [(s.list.where, s.pfn) for s in recording.steps if isinstance(s, ListAdd)]
    assert added == [("free_area", 8), ("free_area", 4), ("pcp", 0)]
    assert [op.name for op in recording.operations] == [
        "alloc_pages(GFP_HIGHUSER_MOVABLE, order=2) = pfn 0"
    ]


def test_a_merge_cascade_told_in_steps() -> None:
    """Freeing the last page of 16 merges four times, each buddy leaving its list first."""
    machine = Machine.of_pages(16)
    pfns = [machine.alloc_pages(MOVABLE) for _ in range(16)]
    for pfn in pfns[:5] + pfns[6:]:
        machine.free_pages(pfn)
    with machine.recording() as recording:
        machine.free_pages(5)
    merges = [(s.pfn, s.buddy_pfn, s.order) for s in recording.steps if isinstance(s, Merge)]
    assert merges == [(5, 4, 0), (4, 6, 1), (4, 0, 2), (0, 8, 3)]
    gone = [s.pfn for s in recording.steps if isinstance(s, ListDel) and s.list.where != "pcp"]
    assert gone == [4, 6, 0, 8]


def test_a_recording_s_steps_lead_from_its_snapshot_to_now() -> None:
    """Also when the recording starts in the middle of a life."""
    machine = Machine("64 MiB")
    machine.alloc_pages(GFP_KERNEL, 3)
    with machine.recording() as recording:
        pfn = machine.alloc_pages(GFP_KERNEL)
        machine.alloc_pages(MOVABLE, 9)
        machine.free_pages(pfn)
        machine.vmstat_update()
    now = machine.snapshot()
    assert apply_to_snapshot(recording.snapshot, recording.steps, backwards=False) == now
    assert apply_to_snapshot(now, recording.steps, backwards=True) == recording.snapshot
    assert recording.operations[-1].last_step == len(recording.steps)


def test_a_new_operation_forgets_what_was_undone() -> None:
    """After undo() and another request, redo() has nothing to do."""
    machine = Machine.of_pages(16)
    machine.alloc_pages(MOVABLE, 2)
    machine.alloc_pages(MOVABLE, 3)
    machine.undo()
    machine.alloc_pages(MOVABLE, 0)
    with pytest.raises(BadRequest, match="nothing to redo"):
        machine.redo()
    assert [op.name.split(",")[1].split(")")[0] for op in machine.history] == [
        " order=2",
        " order=0",
    ]
    machine.undo()
    machine.undo()
    with pytest.raises(BadRequest, match="nothing to undo"):
        machine.undo()


def test_an_undone_free_is_in_use_again() -> None:
    """undo() of free_pages(): the block can be freed once more, and only once."""
    machine = Machine.of_pages(16)
    pfn = machine.alloc_pages(MOVABLE, 1)
    machine.free_pages(pfn)
    machine.undo()
    machine.free_pages(pfn, 1)
    assert machine.nr_free()[4] == 1


def test_without_steps_there_is_no_history() -> None:
    """steps=False: the same pages, no journal, nothing to undo."""
    quick, full = Machine("32 MiB", steps=False), Machine("32 MiB")
    first, second = (m.alloc_pages(GFP_KERNEL, 1) for m in (quick, full))
    assert first == second
    assert quick.steps() == []
    assert quick.history == []
    with pytest.raises(BadRequest, match="nothing to undo"):
        quick.undo()


def test_a_machine_from_a_snapshot_answers_alike() -> None:
    """snapshot() holds all that the allocator's next answers depend on."""
    machine = Machine("64 MiB")
    for order in (0, 3, 0, 5, 1):
        machine.alloc_pages(GFP_KERNEL, order)
    twin = Machine.from_snapshot(machine.snapshot())
    asked = [(GFP_KERNEL, 2), (MOVABLE, 0), (GFP_KERNEL, 9), (MOVABLE, 4)] * 5
    assert [machine.alloc_pages(*a) for a in asked] == [twin.alloc_pages(*a) for a in asked]
    assert machine.snapshot() == twin.snapshot()


def test_zones_of_a_pc() -> None:
    """DMA ends at 16 MiB, DMA32 at 4 GiB; 16 GiB reach into Normal; zonelists start there."""
    machine = Machine("16 GiB", steps=False)
    zones = [zone for zone in machine.vm.zones if zone.spanned_pages]
    assert [(zone.name, zone.zone_start_pfn, zone.zone_end_pfn) for zone in zones] == [
        ("DMA", 1, 4096),
        ("DMA32", 4096, 1048576),
        ("Normal", 1048576, 1048576 + (13 << 18)),
    ]
    assert [z.name for z in machine.vm.nodes[0].node_zonelists[0]] == ["Normal", "DMA32", "DMA"]
    # isqrt(64 * 4,118,430 pages) = 16,235; then once more, less the 12,294 of the high marks
    assert machine.vm.min_free_kbytes == 16210


def test_unusable_and_extfrag_index() -> None:
    """Half of 16 pages in use, every other one: order 1 fails, and not for lack of memory."""
    machine = Machine.of_pages(16)
    pfns = [machine.alloc_pages(MOVABLE) for _ in range(16)]
    for pfn in pfns[::2]:
        machine.free_pages(pfn)
    assert machine.unusable_index(1) == 1000
    # 1000 - (1000 + 8 * 1000 / 2) / 8: mm/vmstat.c __fragmentation_index()
    assert machine.extfrag_index(1) == 375
    assert machine.extfrag_index(0) == -1000
