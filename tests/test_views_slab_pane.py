"""The panes of slab and vmalloc: against the Machine, both ways, and in the browser the same."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from memsim import GFP_KERNEL, Machine, Recording
from memsim.lib.rbtree import rb_nodes
from memsim.mm.pgtable import Table
from memsim.mm.slub.snapshot import cache_lists
from memsim.mm.vmalloc.whole import restore_whole_vmalloc, whole_vmalloc
from memsim.trace.steps import Freepointer
from memsim.trace.vmalloc_steps import PteSet
from memsim.views import Player
from memsim.views.cells import Cells
from memsim.views.slab_scene import ShownSlab, SlabScene, objects_from
from memsim.views.slabs import IN_USE, objects_of, place_of
from memsim.views.vmalloc_scene import MAX_ENTRIES, VmallocScene, left_out
from memsim.words.slab import SLAB_STORE_USER
from tests.test_views_player import TEXT_AT, open_player, split_and_merge


def slab_run(seed: int, flags: int = 0) -> tuple[Machine, Recording]:
    """Objects of two caches taken and freed on two CPUs; one cache is new, one goes."""
    chance = random.Random(seed)
    machine = Machine("64 MiB", cpus=2, slab=True)
    old = machine.kmem_cache_create("old", 1000, flags=flags)
    live: list[tuple[Any, int]] = [(old, machine.kmem_cache_alloc(old)) for _ in range(20)]
    with machine.recording() as recording:
        new = machine.kmem_cache_create("new", 2000)
        for _ in range(40):
            cpu = chance.randrange(2)
            if live and chance.random() < 0.55:
                s, address = live.pop(chance.randrange(len(live)))
                machine.kmem_cache_free(s, address, cpu=cpu)
            else:
                s = chance.choice((old, new))
                live.append((s, machine.kmem_cache_alloc(s, cpu=cpu)))
        machine.kmem_cache_shrink(old)
    return machine, recording


def vmalloc_run(seed: int) -> tuple[Machine, Recording]:
    """Areas of many sizes taken, freed, purged; from pools too; seed 1 with 32 bits."""
    chance = random.Random(seed)
    arch = {"arch": "x86-32"} if seed == 1 else {}
    machine = Machine("64 MiB", cpus=2, vmalloc=True, **arch)
    live = [machine.vmalloc(4096 * n) for n in range(1, 6)]
    machine.vfree(live.pop(2))
    with machine.recording() as recording:
        for _ in range(12):
            cpu = chance.randrange(2)
            if live and chance.random() < 0.5:
                machine.vfree(live.pop(chance.randrange(len(live))), cpu=cpu)
            elif chance.random() < 0.2:
                machine.purge_vmap_area_lazy()
            else:
                live.append(machine.vmalloc(chance.choice((100, 9000, 300_000)), cpu=cpu))
        machine.purge_vmap_area_lazy()
    return machine, recording


def shown_slabs(machine: Machine, number: int) -> dict[int, Any]:
    """Each slab of a cache as slabs.py sees it in the machine itself: place, and objects in use."""
    s = machine.vm.slab.caches[number]
    slabs = {slab for slab in machine.vm.slab.by_id.values() if slab.slab_cache is s}
    return {
        slab.pfn: (place_of(s, slab), [obj == IN_USE for obj in objects_of(s, slab)].count(True))
        for slab in slabs
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("flags", [0, SLAB_STORE_USER])
def test_a_slab_scene_is_the_machine_after_each_operation(seed: int, flags: int) -> None:
    machine, recording = slab_run(seed, flags)
    scene = SlabScene(recording.caches)
    for op in reversed(recording.operations):
        seen = {
            number: {pfn: v for (_, n, pfn), v in scene.cells().items() if n == number}
            for number in scene.caches
        }
        for number, slabs in seen.items():
            there = shown_slabs(machine, number)
            assert slabs.keys() == there.keys()
            for pfn, (place, _, objects, _, _, lockless, free) in slabs.items():
                expected, used = there[pfn]
                assert objects - len(lockless) - len(free) == used
                assert place == expected or (place.startswith("full list") and flags)
            lists = cache_lists(machine.vm.slab.caches[number])
            for cpu, kept in enumerate(lists["cpu"]):
                assert [pfn for pfn, v in sorted(slabs.items(), key=lambda i: i[1][1])
                        if v[0] == f"partial list of CPU {cpu}"] == [
                    slab["pfn"] for slab in kept["partial"]]  # fmt: skip
                if kept["slab"]:
                    assert slabs[kept["slab"]["pfn"]][5] == kept["freelist"]
        machine.undo()
        for step in reversed(recording.steps[op.first_step : op.last_step]):
            scene.apply(step, backwards=True)


@pytest.mark.parametrize("seed", range(8))
def test_a_vmalloc_scene_is_the_machine_after_each_operation(seed: int) -> None:
    machine, recording = vmalloc_run(seed)
    scene = VmallocScene(recording.snapshot, recording.vmalloc)
    for op in reversed(recording.operations):
        assert scene.vm is not None
        assert whole_vmalloc(scene.vm.vmalloc) == whole_vmalloc(machine.vm.vmalloc)
        kept = {key[2:]: value for key, value in scene.cells().items() if key[1] == "entry"}
        tables = machine.vm.vmalloc.init_mm.tables
        assert kept.keys() == {(pfn, n) for pfn, table in tables.items() for n in table.entries}
        machine.undo()
        for step in reversed(recording.steps[op.first_step : op.last_step]):
            scene.apply(step, backwards=True)


def test_all_of_vmalloc_comes_back_with_blocks_and_tables() -> None:
    machine, _ = vmalloc_run(2)
    machine.vm_map_ram([machine.alloc_pages(GFP_KERNEL) for _ in range(3)])
    state = machine.vm.vmalloc
    assert state.vmap_blocks
    data = json.loads(json.dumps(whole_vmalloc(state)))
    other = Machine("64 MiB", cpus=2, vmalloc=True)
    again = restore_whole_vmalloc(other.vm, data)
    assert json.loads(json.dumps(whole_vmalloc(again))) == data
    assert [va.va_start for va in rb_nodes(again.free_vmap_area_root)] == [
        va.va_start for va in rb_nodes(state.free_vmap_area_root)
    ]


@pytest.mark.parametrize("pane", ["slab", "vmalloc"])
def test_cells_lead_from_the_first_values_to_the_last_and_back(pane: str) -> None:
    _, recording = slab_run(2) if pane == "slab" else vmalloc_run(2)
    payload = Player(recording, panes=(pane,)).payload
    cells = list(payload["cells"])
    for _, _, steps, *_ in payload["frames"]:
        for kind, *step in steps:
            if kind == 8:
                number, old, new = step
                assert cells[number] == old
                cells[number] = new
    last: Any = SlabScene(recording.caches)
    if pane == "vmalloc":
        last = VmallocScene(recording.snapshot, recording.vmalloc)
    expected = Cells()
    expected.begin(last.cells())
    assert sorted(map(repr, filter(None, cells))) == sorted(map(repr, filter(None, expected.first)))
    assert json.loads(json.dumps(payload)) == payload


@pytest.mark.parametrize(
    ("pane", "said"), [("slab", "no step of a slab"), ("vmalloc", "this machine has no vmalloc")]
)
def test_a_pane_for_what_the_machine_has_not_says_so_in_one_line(pane: str, said: str) -> None:
    assert Player(split_and_merge(), panes=pane).text(0).splitlines()[-1] == f"  {said}"


@pytest.mark.parametrize("flags", [0, SLAB_STORE_USER])
def test_a_free_to_a_partial_slab_names_its_cache_by_the_slab_alone(flags: int) -> None:
    machine = Machine("64 MiB", cpus=2, slab=True)
    cache = machine.kmem_cache_create("shown", 8192, flags=flags)
    first, second, *_ = (machine.kmem_cache_alloc(cache) for _ in range(9))
    machine.kmem_cache_free(cache, first, cpu=1)
    with machine.recording() as recording:
        machine.kmem_cache_free(cache, second, cpu=1)
    player = Player(recording, panes="slab")
    place, objects = ("node 0", 3) if flags else ("CPU 1", 4)
    assert "cache shown: 3 slabs" in player.text(0)
    for step, used in (0, objects - 1), (player.last_step, objects - 2):
        assert f"partial list of {place}; {used} of {objects} in use; free" in player.text(step)


def test_a_wild_free_pointer_ends_the_list_that_is_shown() -> None:
    assert objects_from(ShownSlab(0, [1, -7, 2, 9]), 0) == [0, 1]
    assert objects_from(ShownSlab(0, [1, 0]), 0) == [0, 1]
    assert objects_from(ShownSlab(0, [1, 3]), 0) == [0, 1]
    SlabScene([]).apply(Freepointer(0, 5, 0, -1, 1))


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("0xFFFFC90000000000", "0xffffc90000000000"), ("ffffc90000000123", "0xffffc90000000123"),
     ("nowhere", ""), ("-1", ""), ("f" * 17, ""), ("", ""), (" 0x0 ", "0x0")],
)  # fmt: skip
def test_only_an_address_can_be_walked_to(asked: str, kept: str) -> None:
    player = Player(vmalloc_run(0)[1], panes="vmalloc")
    player.address = asked
    assert player.address == kept
    player.text(0)


def test_the_walk_of_a_mapped_address_ends_at_the_page_that_the_machine_says() -> None:
    machine = Machine("64 MiB", vmalloc=True)
    with machine.recording() as recording:
        address = machine.vmalloc(9000)
    player = Player(recording, panes="vmalloc")
    pfn = machine.vmalloc_to_pfn(address + 4096)
    player.address = hex(address + 4096)
    assert player.text(player.last_step).splitlines()[-1].endswith(f" maps pfn {pfn}")
    assert player.text(0).splitlines()[-1].endswith(" is empty")


def large_run() -> tuple[Recording, int]:
    """A large area is there before the first step: its address; then a small one comes and goes."""
    machine = Machine("64 MiB", vmalloc=True)
    large = machine.vmalloc(12 << 20)
    with machine.recording() as recording:
        machine.vfree(machine.vmalloc(9000))
    return recording, large


def test_entries_over_the_most_are_counted_and_a_walk_to_them_says_so() -> None:
    recording, large = large_run()
    player = Player(recording, panes="vmalloc")
    kept = len(player.payload["vmalloc"]["entry"])
    text = player.text(0)
    more = text.splitlines()[-1]
    assert more == "  … and 1,536 more entries, of 3 page tables, not kept for this picture"
    assert MAX_ENTRIES - 512 < kept <= MAX_ENTRIES
    every = VmallocScene(recording.snapshot, recording.vmalloc)
    tables = every.vm.vmalloc.init_mm.tables.values() if every.vm else ()
    ever = {(t.pfn, index) for t in tables for index in t.entries}
    ever |= {(s.pfn, s.index) for s in recording.steps if isinstance(s, PteSet)}
    assert kept + 1536 == len(ever)
    player.address = hex(large + (12 << 20) - 4096)
    *_, pte, last = player.text(0).splitlines()
    assert pte.endswith(" is not kept for this picture")
    assert "pte: entry " in pte
    assert last == more
    player.address = hex(large)
    assert " maps pfn " in player.text(0).splitlines()[-2]


def test_upper_levels_are_kept_first_and_whole_tables_only() -> None:
    pgd, pud, pte, other = (Table(pfn, level) for pfn, level in ((-1, 3), (5, 2), (6, 0), (7, 0)))
    pgd.entries, pud.entries = {0: 1}, {0: 1}
    pte.entries = dict.fromkeys(range(MAX_ENTRIES - 3), 1)
    assert left_out([other, pte, pud, pgd], [PteSet(0, 7, 3, 0, 1), PteSet(0, 7, 3, 1, 0)]) == {}
    assert left_out([pte, pud, pgd], [PteSet(0, 7, 3, 0, 1), PteSet(0, 7, 4, 0, 1)]) == {7: 2}
    other.entries = {1: 1, 2: 1}
    assert left_out([pgd, pte, other, pud], []) == {7: 2}


def test_only_an_area_in_use_is_for_somebody() -> None:
    machine = Machine("64 MiB", vmalloc=True)
    address = machine.vmalloc(8192)
    with machine.recording() as recording:
        machine.vfree(address)
    player = Player(recording, panes="vmalloc")
    assert "12 KiB: busy, vmap_node 0, for vmalloc, 2 pages\n" in player.text(0)
    assert "12 KiB: lazy, vmap_node 0\n" in player.text(player.last_step)


# The browser


@pytest.mark.browser
def test_the_browser_tells_of_entries_that_are_not_kept(page: Any, tmp_path: Path) -> None:
    recording, large = large_run()
    player = Player(recording, panes="vmalloc")
    open_player(page, player, tmp_path)
    for address in (large, large + (12 << 20) - 4096):
        player.address = hex(address)
        page.locator(".ms-vmalloc input").fill(hex(address))
        page.keyboard.press("Enter")
        for step in (0, player.last_step):
            assert page.evaluate(TEXT_AT, step) == player.text(step).partition("\n")[2]
    assert "not kept" in (page.locator(".ms-walk li").last.text_content() or "")
    assert page.locator(".ms-vmalloc > .ms-small", has_text="… and 1,536 more").count() == 1
    page.screenshot(path=tmp_path / "left_out.png", full_page=True)


@pytest.mark.browser
@pytest.mark.parametrize("pane", ["slab", "vmalloc"])
@pytest.mark.parametrize("seed", range(2))
def test_the_browser_tells_slabs_and_areas_as_python_does_both_ways(
    pane: str, seed: int, page: Any, tmp_path: Path
) -> None:
    _, recording = slab_run(seed) if pane == "slab" else vmalloc_run(seed)
    player = Player(recording, panes=(pane, "code"))
    open_player(page, player, tmp_path)
    stops = [*range(0, player.last_step + 1, 1 + player.last_step // 12), player.last_step]
    texts = {step: player.text(step).partition("\n")[2] for step in stops}
    for step in [*stops, *stops[::-1], stops[3]]:
        assert page.evaluate(TEXT_AT, step) == texts[step], f"step {step}"


@pytest.mark.browser
def test_an_area_is_chosen_by_key_and_walked_to(page: Any, tmp_path: Path) -> None:
    machine = Machine("64 MiB", vmalloc=True)
    with machine.recording() as recording:
        first, second = machine.vmalloc(9000), machine.vmalloc(9000)
    player = Player(recording, panes="vmalloc")
    open_player(page, player, tmp_path)
    page.locator(".memsim-player").focus()
    page.keyboard.press("End")
    walk = page.locator(".ms-walk")
    assert walk.get_attribute("aria-label") == f"walk to {first:#x}"
    page.locator(".ms-area.ms-is-busy").nth(1).focus()
    page.keyboard.press("Enter")
    assert walk.get_attribute("aria-label") == f"walk to {second:#x}"
    assert "ms-is-busy" in page.evaluate("document.activeElement.className")
    last = walk.locator("li").last.text_content() or ""
    assert last.endswith(f" maps pfn {machine.vmalloc_to_pfn(second)}")
    page.locator(".ms-vmalloc input").fill("no address")
    page.keyboard.press("Enter")
    assert page.locator("text=An address has up to 16 hexadecimal digits").count() == 1


@pytest.mark.browser
def test_a_slab_s_button_follows_its_pages(page: Any, tmp_path: Path) -> None:
    _, recording = slab_run(1)
    player = Player(recording, panes="slab")
    open_player(page, player, tmp_path)
    page.evaluate(TEXT_AT, player.last_step)
    button = page.locator(".ms-slab button").first
    pfn = (button.get_attribute("aria-label") or "").split(":")[0].removeprefix("pfn ")
    button.click()
    assert page.locator("[aria-label='Follow pfn']").input_value() == pfn
    assert "allocated" in (page.locator("output").text_content() or "")
