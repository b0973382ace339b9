"""The widgets of single lessons in JupyterLab: each does what its text says it does.

Screenshots go to the tests' temporary folders, to be looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lessons import OpenLesson, of_lesson

from memsim.views import Player
from memsim.views.lesson02 import requests_and_frees

pytestmark = pytest.mark.browser


@of_lesson("01_pages")
def test_an_address_goes_to_its_pfn_and_back(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show('frames = Frames("1 GiB")\nframes')
    cell.locator("input[type=text]").nth(0).fill("0x3000")
    lesson.page.keyboard.press("Enter")
    cell.locator("text=byte 0 of pfn 3 (0x3): zone DMA, pageblock 0").wait_for()
    cell.locator("input[type=text]").nth(1).fill("74565")
    lesson.page.keyboard.press("Enter")
    cell.locator("text=Address 0x12345000 is byte 0 of pfn 74565").wait_for()
    cell.locator("input[type=text]").nth(1).fill("<b>7</b>")
    lesson.page.keyboard.press("Enter")
    cell.locator("text='<b>7</b>' is no pfn").wait_for()
    for _ in range(4):  # 2, 4, 8, 16 GiB
        cell.locator("[role=slider]").first.focus()
        lesson.page.keyboard.press("ArrowRight")
    cell.locator("text=zone Normal: pfn 1048576 to 4456447, 13 GiB").wait_for()
    lesson.picture(tmp_path / "frames.png")


@of_lesson("02_buddy")
def test_the_bit_is_flipped_by_button_and_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("buddies = Buddies(64)\nbuddies")
    cell.locator("button", has_text="Flip the bit").click()
    cell.locator("text=Block: pfn 8 = 0b001000, order 2").wait_for()
    order = cell.locator("[role=slider]").nth(1)
    order.focus()
    lesson.page.keyboard.press("ArrowRight")
    cell.locator("text=order 3. Flip bit 3, worth 8: the buddy is pfn 0").wait_for()
    lesson.picture(tmp_path / "buddies.png")


@of_lesson("02_buddy")
def test_the_bench_drives_the_live_machine(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("bench = Bench(Machine.of_pages(64))\nbench")
    order = cell.locator("[role=slider]").first
    order.focus()
    lesson.page.keyboard.press("ArrowRight")
    for button, said in [
        ("alloc_pages", "Allocated: pfn 0, order 1."),
        ("Undo", "Undone: alloc_pages"),
        ("Redo", "Done again: alloc_pages"),
        ("free_pages", "Freed: pfn 0."),
        ("free_pages", "No block is allocated: there is nothing to free."),
        ("alloc_pages", "Allocated: pfn 0, order 1."),
    ]:
        cell.locator(".widget-button", has_text=button).click()
        cell.locator("[role=status]", has_text=said).wait_for()
    player = cell.locator(".memsim-player[data-step='14']")
    player.wait_for()
    assert "prep_new_page(): pfn 0, order 1" in (player.locator(".ms-say").text_content() or "")
    lesson.picture(tmp_path / "bench.png")


SPLIT = "machine = Machine.of_pages(64)\nwith machine.recording() as split:\n"


@of_lesson("02_buddy")
def test_a_film_is_played_and_stopped_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    player = lesson.show(SPLIT).locator(".memsim-player")
    player.focus()
    keyboard = lesson.page.keyboard
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    assert "pfn 0, order 6, is split into" in (player.locator(".ms-say").text_content() or "")
    for _ in range(3):
        keyboard.press("Tab")  # First, Back, Play
    keyboard.press("Enter")
    player.locator("[aria-label=Pause]").wait_for()
    keyboard.press("End")
    assert player.get_attribute("data-step") == "16"
    assert player.locator("[aria-label=Play]").count() == 1
    lesson.picture(tmp_path / "player.png")


@of_lesson("02_buddy")
def test_the_player_and_python_move_each_other(lesson: OpenLesson) -> None:
    player = lesson.show(SPLIT).locator(".memsim-player")
    lesson.in_kernel("import gc; kept = [w for w in gc.get_objects() if isinstance(w, Player)]")
    mine = "next(w for w in kept if w.payload['title'].startswith('order 0 out'))"
    lesson.comes(f"{mine}.step", player.get_attribute("data-step"))  # whoever comes last wins
    lesson.in_kernel(f"{mine}.step = 7")
    lesson.show(SPLIT).locator(".memsim-player[data-step='7']").wait_for()
    player.focus()
    lesson.page.keyboard.press("ArrowLeft")
    player.locator(".ms-chip[data-pfn='32']").click()
    lesson.comes(f"({mine}.step, {mine}.selected)", "(6, 32)")


@of_lesson("02_buddy")
def test_seven_operations_are_predicted_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    player = lesson.show("recording = lesson02.requests_and_frees()\n").locator(".memsim-player")
    questions = Player(requests_and_frees(), panes="predict").payload["questions"]
    assert [choices[right].split()[0] for _, _, choices, right, _ in questions] == [
        "free_area[0]", "free_area[1]", "free_area[2]",  # where they come from
        "free_area[0]", "free_area[2]", "free_area[1]", "free_area[6]",  # and end up
    ]  # fmt: skip
    player.focus()
    lesson.page.keyboard.press("End")
    assert player.get_attribute("data-step") == "0"
    for number, (*_, right, _) in enumerate(questions, 1):
        lesson.page.keyboard.press(str(right + 1))
        player.locator(".ms-score", has_text=f"{number} of {number} right, 7 to predict").wait_for()
        lesson.picture(tmp_path / f"predict_{number}.png")
        lesson.page.keyboard.press("End")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "predict_dark.png")
    lesson.theme("Light")


@of_lesson("03_free_lists")
def test_a_batch_is_chosen_by_keys_and_pcp_lists_are_switched_off(
    lesson: OpenLesson, tmp_path: Path
) -> None:
    cell = lesson.show("batches = Batches(31)\nbatches")
    cell.locator("text=batch 31, take 1,000 pages: 1000 operations, 12 trips").wait_for()
    cell.locator("[role=slider]").focus()
    lesson.page.keyboard.press("Home")
    cell.locator("text=batch 1, take 1,000 pages: 1000 operations, 335 trips").wait_for()
    lesson.picture(tmp_path / "batches.png")
    cell.get_by_label("take a page and give it back, 1,000 times").check()
    cell.locator("text=2000 operations, 1 trip to zone->lock").wait_for()
    cell.locator("input[type=checkbox]").click()
    cell.locator("text=2000 operations, 2000 trips to zone->lock").wait_for()
    cell.locator("input[type=checkbox]").click()
    cell.locator("text=2000 operations, 1 trip to zone->lock").wait_for()


@of_lesson("03_free_lists")
def test_the_player_shows_what_each_cpu_keeps(lesson: OpenLesson, tmp_path: Path) -> None:
    player = lesson.show("machine = lesson03.with_pcp(4, nr_pages=64, cpus=2)\nwith")
    panes = player.locator(".ms-cpu")
    assert panes.count() == 2
    player.locator(".memsim-player").focus()
    lesson.page.keyboard.press("End")
    for number, said in enumerate(["CPU 0: count 3", "CPU 1: count 3"]):
        assert (panes.nth(number).get_attribute("aria-label") or "").startswith(said)
        assert panes.nth(number).locator(".ms-chip").count() == 3
    lesson.picture(tmp_path / "cpus.png")


@of_lesson("04_zones")
def test_a_request_is_sent_by_keys_and_walks(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show('walker = ZoneWalk("two nodes of 8 GiB")\nwalker.full.value = 2\nwalker')
    cell.locator("[role=status]", has_text="Not sent yet.").wait_for()
    button = cell.locator("button", has_text="Send the request")
    button.focus()
    lesson.page.keyboard.press("Enter")
    cell.locator("[role=status]", has_text="7 asked in 2 passes; node 1 Normal gives").wait_for()
    assert cell.locator("td", has_text="✓ pfn").count() == 1
    lesson.picture(tmp_path / "walk.png")
    cell.get_by_label("__GFP_THISNODE").press("Space")
    cell.locator("[role=status]", has_text="Not sent yet.").wait_for()
    button.click()
    cell.locator("[role=status]", has_text=re.compile("3 passes; node 0 Normal")).wait_for()
    cell.get_by_label("__GFP_THISNODE").press("Space")
    cell.get_by_label("__GFP_DMA", exact=True).press("Space")
    cell.get_by_label("__GFP_DMA32").press("Space")
    cell.locator("[role=status]", has_text="exclude each other").wait_for()
    cell.get_by_label("__GFP_DMA32").press("Space")
    cell.get_by_label("__GFP_DMA", exact=True).press("Space")
    cell.locator("select").select_option("four nodes of 4 GiB in a ring")
    cell.locator("th", has_text="node 3 Normal").wait_for()
    button.click()
    cell.locator("[role=status]", has_text="gives pfn").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "walk_dark.png")
    lesson.theme("Light")
    lesson.page.set_viewport_size({"width": 480, "height": 900})
    lesson.page.evaluate("jupyterapp.shell.collapseLeft()")
    lesson.picture(tmp_path / "walk_narrow.png")
    lesson.page.set_viewport_size({"width": 1280, "height": 1000})


@of_lesson("05_watermarks")
def test_a_tank_runs_dry_by_keys_and_one_after_the_other_is_refused(
    lesson: OpenLesson, tmp_path: Path
) -> None:
    cell = lesson.show('tank = TankGauge("1 GiB: zone DMA32")\ntank')
    cell.locator("[role=status]", has_text="Zone DMA32: 1218 pages free, 4.8 MiB.").wait_for()
    level, order = cell.locator("[role=slider]").nth(0), cell.locator("[role=slider]").nth(1)
    level.focus()
    lesson.page.keyboard.press("End")
    served = re.compile("GFP_KERNEL: served, more than low 1218")
    cell.locator("[role=status]", has_text=served).wait_for()
    for _ in range(110):
        lesson.page.keyboard.press("ArrowLeft")
    refused = re.compile("GFP_KERNEL: refused: needs more than 975; .*GFP_ATOMIC: served")
    cell.locator("[role=status]", has_text=refused).wait_for()
    lesson.picture(tmp_path / "tank.png")
    lesson.page.keyboard.press("Home")
    cell.locator("[role=status]", has_text="Zone DMA32: 0 pages free").wait_for()
    lesson.page.keyboard.press("End")
    cell.get_by_label("scattered: no two side by side").press("Space")
    order.focus()
    lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="refused: no free block of order 1").wait_for()
    cell.locator("select").select_option("8 GiB: zone DMA32")
    cell.locator("[role=status]", has_text="Zone DMA32: 1847 pages free").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "tank_dark.png")
    lesson.theme("Light")
    lesson.page.set_viewport_size({"width": 480, "height": 900})
    lesson.page.evaluate("jupyterapp.shell.collapseLeft()")
    lesson.picture(tmp_path / "tank_narrow.png")
    lesson.page.set_viewport_size({"width": 1280, "height": 1000})


@of_lesson("05_watermarks")
def test_the_marks_jump_when_the_interrupt_falls_back(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show('machine = Machine("16 MiB", pcp=False)\nsmall')
    cell.locator(".memsim-player").focus()
    for key, told in (
        ("Home", "127 free, not above low; min 125, low 156, high 187, promo 218"),
        (
            "End",
            "124 free, not above min; min 125, low 156, high 187, promo 218, watermark_boost 512",
        ),
    ):
        lesson.page.keyboard.press(key)
        cell.locator(".ms-zone p", has_text=re.compile(f"^zone DMA: {told}$")).wait_for()
    lesson.picture(tmp_path / "zones.png")


@of_lesson("06_gfp")
def test_a_mask_is_put_together_by_name_text_and_bits(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("gfp_mask = GfpMask()\ngfp_mask")
    cell.locator("[role=status]", has_text="a trace prints as GFP_KERNEL.").wait_for()
    cell.locator("select").first.select_option("GFP_HIGHUSER_MOVABLE")
    cell.locator("[role=status]", has_text="Highest zone: Movable. Migratetype: Mov").wait_for()
    cell.get_by_label("__GFP_RECLAIMABLE").press("Space")
    cell.locator("[role=status]", has_text="Forbidden: both __GFP_MOVABLE").wait_for()
    lesson.picture(tmp_path / "mask.png")
    text = cell.locator("input[type=text]")
    text.fill("GFP_KERNEL | __GFP_HIGHMEM")
    lesson.page.keyboard.press("Enter")
    cell.locator("[role=status]", has_text="0xcc2").wait_for()
    cell.locator("td", has_text="◀ this mask").wait_for()
    cell.get_by_label("x86-32").check()
    cell.locator("[role=status]", has_text="Highest zone: HighMem").wait_for()
    text.fill("<b>7</b>")
    lesson.page.keyboard.press("Enter")
    cell.locator("[role=status]", has_text="'<b>7</b>' is no mask").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "mask_dark.png")
    lesson.theme("Light")


@of_lesson("06_gfp")
def test_sleep_is_judged_by_place_mask_and_level(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("can_i_sleep = CanISleep()\ncan_i_sleep")
    cell.locator("[role=status]", has_text="1600 pages free").wait_for()
    cell.locator("[role=slider]").focus()
    for key in ("Home", "PageUp", "PageUp", "PageUp", "ArrowRight"):
        lesson.page.keyboard.press(key)
    cell.locator("[role=status]", has_text=re.compile("waits. It sleeps while mem")).wait_for()
    cell.locator("select").first.select_option("a driver that writes pages out")
    cell.locator("[role=status]", has_text="deadlock. Reclaim, on").wait_for()
    lesson.picture(tmp_path / "sleep.png")
    cell.locator("select").nth(1).select_option("GFP_ATOMIC")
    cell.locator("[role=status]", has_text="pages out, GFP_ATOMIC: a page").wait_for()
    assert cell.locator("td").count() == 6 * 7
    lesson.theme("Dark")
    lesson.picture(tmp_path / "sleep_dark.png")
    lesson.theme("Light")


@of_lesson("07_mobility")
def test_a_page_poisons_a_block_wherever_it_is(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("poisoned = Poisoned()\npoisoned")
    cell.locator("[role=status]", has_text="In use: pfn 300. Free: 1023 of 1024").wait_for()
    pfn, count = (cell.locator("[role=slider]").nth(number) for number in range(2))
    pfn.focus()
    lesson.page.keyboard.press("Home")
    cell.locator("[role=status]", has_text="In use: pfn 0. Free: 1023").wait_for()
    lesson.picture(tmp_path / "poison.png")
    count.focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="extfrag_index for order 9: 0.947").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "poison_dark.png")
    lesson.theme("Light")


@of_lesson("07_mobility")
def test_both_machines_go_to_their_first_difference(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("sides = SideBySide(")
    cell.locator("button", has_text="Go to the first difference, step 2").press("Enter")
    cell.locator(".ms-badge", has_text="This is the first difference.").wait_for()
    said = cell.locator(".ms-side > .ms-say")
    claims = "grouping off: set_pageblock_migratetype(): the pageblock at pfn 0 was MOVABLE"
    said.filter(has_text=claims).wait_for()
    lesson.picture(tmp_path / "sides.png")
    cell.locator("[aria-label='Follow pfn']").first.fill("1")
    lesson.page.keyboard.press("Enter")
    cell.locator(".ms-side").focus()
    lesson.page.keyboard.press("End")
    owners = cell.locator(".ms-two output")
    for number in range(2):
        owners.nth(number).filter(has_text="is in pfn 1: allocated, order 0").wait_for()


@of_lesson("07_mobility")
def test_two_machines_grow_apart_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("two_machines = TwoMachines()\ntwo_machines")
    cell.locator("[role=status]", has_text="After round 1, 1 of 64 the kernel's.").wait_for()
    rounds, share = (cell.locator("[role=slider]").nth(number) for number in range(2))
    rounds.focus()
    lesson.page.keyboard.press("End")
    said = "84 unmovable pages in 12 of 16 pageblocks; 4 blocks of order 9 left"
    cell.locator("[role=status]", has_text=said).wait_for()
    lesson.picture(tmp_path / "machines.png")
    share.focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="8 of 64 the kernel's. Grouping on").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "machines_dark.png")
    chart = lesson.show("groups = {")
    chart.locator(".js-plotly-plot .trace").first.wait_for()
    lesson.picture(tmp_path / "chart_dark.png")
    lesson.theme("Light")


@of_lesson("08_why_slab")
def test_a_cache_s_geometry_follows_its_sliders(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("cache_geometry = CacheGeometry(100)\ncache_geometry")
    size, align, cpus = (cell.locator("[role=slider]").nth(number) for number in range(3))
    cell.locator("text=object_size 100, align 8: an object takes 104 bytes").wait_for()
    size.focus()
    lesson.page.keyboard.press("End")
    cell.locator("text=order 3, 8 pages: 4 objects, 0 bytes left over").wait_for()
    lesson.page.keyboard.press("Home")
    align.focus()
    lesson.page.keyboard.press("ArrowRight")
    cell.locator("text=object_size 1, align 16: an object takes 16 bytes").wait_for()
    cpus.focus()
    lesson.page.keyboard.press("End")
    cell.locator("text=With 128 CPUs").wait_for()
    cell.get_by_label("a constructor").check()
    cell.locator("text=at byte 8, behind the object").wait_for()
    lesson.picture(tmp_path / "geometry.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "geometry_dark.png")
    lesson.theme("Light")


@of_lesson("09_fast_slow")
def test_slabs_move_as_the_slider_does(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("slab_steps = SlabSteps(all_five_places())\nslab_steps")
    cell.locator("text=A new cache.").wait_for()
    cell.locator("[role=slider]").focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text=re.compile(r"CPU 1 gets 6\.\d: a new slab")).wait_for()
    for _ in range(3):
        lesson.page.keyboard.press("ArrowLeft")
    said = cell.locator("[role=status]", has_text=re.compile(r"CPU 0 gets 3\.\d: the node's"))
    said.wait_for()
    cell.locator("li", has_text="leaves the partial list of node 0").first.wait_for()
    lesson.picture(tmp_path / "slabs.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "slabs_dark.png")
    lesson.theme("Light")


@of_lesson("10_slab_debugging")
def test_a_byte_is_spoilt_by_keys_and_the_report_appears(
    lesson: OpenLesson, tmp_path: Path
) -> None:
    cell = lesson.show("corrupt_byte = CorruptByte()\ncorrupt_byte")
    cell.locator("pre", has_text="[Poison overwritten]").wait_for()
    cell.locator("[role=slider]").focus()
    lesson.page.keyboard.press("Home")
    cell.locator("[role=status]", has_text="Byte -8, left red zone: 0xbb becomes 0xbc").wait_for()
    cell.locator("pre", has_text="[Left Redzone overwritten]").wait_for()
    cell.get_by_label("F: sanity checks").press("Space")
    cell.locator("[role=status]", has_text="Nobody notices").wait_for()
    assert cell.locator("[role=region] pre").count() == 0
    cell.get_by_label("root writes 1 to …/validate").check()
    cell.locator("pre", has_text="FIX mine: Restoring Left Redzone").wait_for()
    cell.locator("select").first.select_option("kmalloc(20), which is an object of kmalloc-32")
    cell.locator("[role=status]", has_text="slab_debug=ZPU,kmalloc-32").wait_for()
    cell.get_by_label("in use").check()
    cell.locator("select").nth(1).select_option("0x00")
    cell.locator("[role=status]", has_text="0xcc becomes 0x00. Noticed").wait_for()
    lesson.picture(tmp_path / "bytes.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "bytes_dark.png")
    lesson.theme("Light")
    lesson.page.set_viewport_size({"width": 700, "height": 1000})
    log = cell.locator("[role=region]")
    wider = "e => e.scrollWidth > e.clientWidth"
    lesson.page.wait_for_function(wider, arg=log.element_handle())
    log.focus()
    lesson.page.keyboard.press("ArrowRight")  # scrolls: JupyterLab does not go to another cell
    lesson.page.wait_for_function("e => e.scrollLeft > 0", arg=log.element_handle())
    lesson.page.set_viewport_size({"width": 1280, "height": 1000})
    for flag in ("Z: red zones", "P: poison", "U: users"):
        cell.get_by_label(flag).press("Space")
    cell.locator("[role=status]", has_text="No flag: the kernel keeps no bytes").wait_for()


@of_lesson("10_slab_debugging")
def test_a_pointer_is_decoded_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("decode_pointer = DecodePointer()\ndecode_pointer")
    cell.locator("[role=status]", has_text="object 1 of the list.").wait_for()
    cell.locator("[role=slider]").focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="NULL: the list ends here.").wait_for()
    cell.get_by_label("swab() of the address (in v5.7)").press("Space")
    cell.locator("[role=slider]").focus()
    lesson.page.keyboard.press("Home")
    said = re.compile("The first [67] bytes in memory are those of random.")
    cell.locator("[role=status]", has_text=said).wait_for()
    cell.get_by_label("somebody writes").press("Space")
    cell.locator("[role=status]", has_text="general protection fault").wait_for()
    lesson.picture(tmp_path / "pointer.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "pointer_dark.png")
    lesson.theme("Light")


@of_lesson("11_vmalloc_addresses")
def test_addresses_are_taken_freed_and_purged_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("address_space = AddressSpace()\naddress_space")
    cell.locator("[role=status]", has_text="Nothing is done yet. Span 0 of 6").wait_for()
    span = cell.locator("[role=slider]").nth(1)
    span.focus()
    for _ in range(2):
        lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="16 KiB busy, 16384 bytes asked for").wait_for()
    lesson.picture(tmp_path / "map.png")
    cell.locator("button", has_text="vfree() this span").press("Enter")
    cell.locator("[role=status]", has_text="20 KiB lazily freed").wait_for()
    cell.locator("button", has_text="vfree() this span").press("Enter")
    cell.locator("[role=status]", has_text="Trying to vfree() nonexistent vm area").wait_for()
    cell.locator("button", has_text="vmalloc()").press("Enter")
    cell.locator("[role=status]", has_text="vmalloc(4,096) gives 0xffffc90000021000").wait_for()
    lesson.picture(tmp_path / "map_lazy.png")
    cell.locator("button", has_text="purge").press("Enter")
    cell.locator("[role=status]", has_text="Purged, with 1 TLB flush").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "map_dark.png")
    lesson.theme("Light")


@of_lesson("11_vmalloc_addresses")
def test_the_search_is_stepped_both_ways_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("tree_search = TreeSearch(")
    step = cell.locator("[role=slider]").nth(2)
    cell.locator("[role=status]", has_text="begins at the root").wait_for()
    step.focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="fits: 4 pages at +0xc000").wait_for()
    lesson.page.keyboard.press("ArrowLeft")
    cell.locator("[role=status]", has_text="goes right").wait_for()
    assert cell.locator("pre span[style*=bold]").count() == 1
    lesson.picture(tmp_path / "search.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "search_dark.png")
    lesson.theme("Light")
    cell.locator("[role=slider]").nth(0).focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="Step 0 of 8").wait_for()


@of_lesson("11_vmalloc_addresses")
def test_footprint_and_fits_follow_their_sliders(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("footprint_slider = lesson11.FootprintSlider()\nfootprint_slider")
    cell.locator("[role=slider]").nth(0).focus()
    lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="4,097 bytes: 2 pages of memory, 3 of").wait_for()
    lesson.picture(tmp_path / "footprint.png")
    cell = lesson.show("four_fits = lesson11.FourFits()\nfour_fits")
    cell.locator("[role=status]", has_text="LE_FIT_TYPE").wait_for()
    cell.locator("[role=slider]").nth(0).focus()
    lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="NE_FIT_TYPE: left over page 0").wait_for()
    lesson.picture(tmp_path / "fits.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "fits_dark.png")
    lesson.theme("Light")


@of_lesson("12_page_tables")
def test_an_address_is_walked_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("walk_address = WalkAddress()\nwalk_address")
    cell.locator("[role=status]", has_text="So it is byte 0 of pfn").wait_for()
    cell.locator("[role=slider]").nth(0).focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="Page fault.").wait_for()
    lesson.picture(tmp_path / "walk.png")
    cell.locator("select").select_option("vmalloc_huge(4 MiB)")
    cell.locator("li", has_text="maps 2 MiB from pfn").wait_for()
    lesson.picture(tmp_path / "walk_huge.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "walk_dark.png")
    lesson.theme("Light")


@of_lesson("12_page_tables")
def test_flushes_are_counted_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("lazy_flushes = lesson12.LazyFlushes()\nlazy_flushes")
    cell.locator("[role=status]", has_text="0 lazily; 5,000 of 8,192 pages wait").wait_for()
    cell.locator("[role=slider]").nth(0).focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="3 lazily; 415 of 8,192 pages wait").wait_for()
    cell.locator("[role=slider]").nth(2).focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="256 CPUs").wait_for()
    lesson.picture(tmp_path / "flushes.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "flushes_dark.png")
    lesson.theme("Light")


@of_lesson("13_who_asks")
def test_rows_and_calls_are_chosen_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("who_answers = WhoAnswers()\nwho_answers")
    cell.locator("[role=status]", has_text="a page of zeros: page allocator").wait_for()
    cell.locator("[role=slider]").focus()
    for _ in range(3):
        lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="its stack, 16 KiB: vmalloc").wait_for()
    lesson.picture(tmp_path / "who.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "who_dark.png")
    cell = lesson.show("chooser = Chooser()\nchooser")
    cell.locator("[role=status]", has_text="kmalloc(65,536): refused").wait_for()
    lesson.picture(tmp_path / "chooser_dark.png")
    lesson.theme("Light")
    cell.locator("[role=slider]").nth(1).focus()
    lesson.page.keyboard.press("Home")
    cell.locator("[role=status]", has_text="kmalloc(65,536): 64 KiB in one piece").wait_for()
    cell.locator("[role=slider]").nth(0).focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="kvmalloc(6,291,456): by vmalloc").wait_for()
    lesson.picture(tmp_path / "chooser.png")


@of_lesson("13_who_asks")
def test_a_mixed_machine_works_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("mixed_machine = mixed.MixedMachine()\nmixed_machine")
    cell.locator("[role=status]", has_text="desktop, 300 steps").wait_for()
    cell.locator("[role=slider]").focus()
    lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="desktop, 400 steps").wait_for()
    cell.locator("select").select_option("phone")
    cell.locator("[role=status]", has_text="phone, 400 steps").wait_for()
    lesson.picture(tmp_path / "mixed.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "mixed_dark.png")
    lesson.theme("Light")


@of_lesson("14_boot")
def test_memblock_is_driven_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("memblock_desk = MemblockDesk()\nmemblock_desk")
    cell.locator("[role=status]", has_text="Two banks of RAM").wait_for()
    cell.locator("button", has_text="memblock_alloc").press("Enter")
    cell.locator("[role=status]", has_text="page 60, the highest that fits").wait_for()
    lesson.picture(tmp_path / "memblock.png")
    cell.get_by_label("bottom_up").press("Space")
    cell.locator("button", has_text="memblock_alloc").press("Enter")
    cell.locator("[role=status]", has_text="page 4, the lowest that fits").wait_for()
    cell.locator("[role=slider]").nth(1).focus()
    lesson.page.keyboard.press("End")
    cell.locator("button", has_text="memblock_add").press("Enter")
    cell.locator("[role=status]", has_text="memblock_add(26, 16): it is RAM.").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "memblock_dark.png")
    lesson.theme("Light")


@of_lesson("15_pressure")
def test_a_late_kswapd_is_driven_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("saw_desk = SawDesk()\nsaw_desk")
    cell.locator("[role=status]", has_text="direct reclaim 0 times").wait_for()
    late, scale = (cell.locator("[role=slider]").nth(number) for number in range(2))
    late.focus()
    for _ in range(3):
        lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="direct reclaim 9 times").wait_for()
    lesson.picture(tmp_path / "saw.png")
    scale.focus()
    for _ in range(3):
        lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="low 203, high 281").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "saw_dark.png")
    lesson.theme("Light")


@of_lesson("15_pressure")
def test_lru_lists_are_driven_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("lru_desk = LruDesk()\nlru_desk")
    read = cell.locator("button", has_text="read(page)")
    for said in ("read(0): from the disk.", "read(0): it is in the page cache."):
        read.press("Enter")
        cell.locator("[role=status]", has_text=said).wait_for()
    cell.locator("[role=slider]").focus()
    lesson.page.keyboard.press("ArrowRight")
    read.press("Enter")
    cell.locator("[role=status]", has_text="inactive, head first: 1r").wait_for()
    lesson.picture(tmp_path / "lru.png")
    cell.locator("button", has_text="shrink_inactive_list()").press("Enter")
    cell.locator("[role=status]", has_text="a shadow is left: 1").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "lru_dark.png")
    lesson.theme("Light")


@of_lesson("15_pressure")
def test_two_scanners_are_scrubbed_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("scanners = Scanners()\nscanners.go(13)\nscanners")
    cell.locator("[role=status]", has_text="Moment 13 of 27").wait_for()
    moment = cell.locator("[role=slider]").nth(1)
    moment.focus()
    lesson.page.keyboard.press("ArrowLeft")
    cell.locator("[role=status]", has_text="Moment 12 of 27").wait_for()
    lesson.picture(tmp_path / "scanners.png")
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="Wholly free: 3.").wait_for()
    cell.locator("select").select_option("a request of order 9")
    cell.locator("[role=status]", has_text="Moment 0 of 12").wait_for()
    moment.focus()
    lesson.page.keyboard.press("End")
    cell.locator("[role=status]", has_text="the request has its block, pfn 4608").wait_for()
    lesson.theme("Dark")
    lesson.picture(tmp_path / "scanners_dark.png")
    lesson.theme("Light")


@of_lesson("16_oom")
def test_a_report_s_lines_are_chosen_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show('report_reader = ReportReader(Path("data/dmesg_highatomic.txt")')
    cell.locator("[role=status]", has_text="line 3: the OOM killer was asked").wait_for()
    lines = cell.get_by_label("line", exact=True)
    lines.focus()
    for _ in range(2):
        lesson.page.keyboard.press("ArrowDown")
    cell.locator("[role=status]", has_text="line 34: from here on: the state of mem").wait_for()
    lines.press("End")
    cell.locator("[role=status]", has_text="the kill. Printed by mm/oom_kill.c").wait_for()
    lines.select_option(cell.locator("option", has_text="Node 0 DMA free").text_content() or "")
    cell.locator("[role=status]", has_text="refused, 18 too few").wait_for()
    cell.locator("td", has_text="NR_FREE_PAGES, mm/page_alloc.c account_freepages()").wait_for()
    lesson.picture(tmp_path / "reader.png")
    cell.get_by_label("the stack and the registers too").press("Space")
    lesson.theme("Dark")
    cell.locator("option", has_text="do_anonymous_page").wait_for(state="attached")
    lesson.picture(tmp_path / "reader_dark.png")
    cell.get_by_label("report", exact=True).select_option(index=1)
    cell.locator("[role=status]", has_text="zone DMA, in kB").wait_for(state="detached")
    lesson.picture(tmp_path / "failure_dark.png")
    lesson.theme("Light")


@of_lesson("16_oom")
def test_a_victim_is_chosen_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("badness_desk = BadnessDesk(")
    cell.locator("[role=status]", has_text="wl (177) is killed").wait_for()
    cell.get_by_label("process", exact=True).select_option("wl (177)")
    cell.locator(".widget-readout", has_text=re.compile("^1000$")).wait_for()
    cell.locator("[role=slider]").focus()
    lesson.page.keyboard.press("Home")
    cell.locator("[role=status]", has_text="sh (173) is killed: 400 rss").wait_for()
    lesson.picture(tmp_path / "badness.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "badness_dark.png")
    lesson.theme("Light")


@of_lesson("16_oom")
def test_remedies_are_tried_by_keys(lesson: OpenLesson, tmp_path: Path) -> None:
    cell = lesson.show("remedy_clinic = clinic.Clinic()\nremedy_clinic")
    cell.locator("[role=status]", has_text="With nothing: refused: 32 of 130 pages").wait_for()
    cell.locator("[role=slider]").focus()
    for _ in range(2):
        lesson.page.keyboard.press("ArrowRight")
    cell.locator("[role=status]", has_text="served: all 130 pages").wait_for()
    cell.get_by_label("request", exact=True).select_option("a driver's table")
    cell.locator("[role=status]", has_text="killed: editor, player").wait_for()
    lesson.picture(tmp_path / "clinic.png")
    lesson.theme("Dark")
    lesson.picture(tmp_path / "clinic_dark.png")
    lesson.theme("Light")
