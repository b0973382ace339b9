"""The player's chosen panes: code, zones, predict. In words, and in the browser the same."""

from __future__ import annotations

import inspect
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from memsim import (
    GFP_ATOMIC,
    GFP_HIGHUSER_MOVABLE,
    BadRequest,
    Machine,
    PageAllocationFailure,
    Recording,
)
from memsim.mm.page_alloc import buddy
from memsim.trace.steps import Split, Step
from memsim.views import Player
from memsim.views.lesson05 import Tank
from memsim.views.predict import FAILS, question_of
from memsim.views.scene import Scene
from memsim.views.zones import standing
from tests.test_views_player import TEXT_AT, machines, open_player, random_run, split_and_merge


def fill_up() -> Recording:
    """Requests of order 5 until one is refused, then a free."""
    machine = Machine("16 MiB")
    with machine.recording() as recording:
        first = machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order=5)
        with pytest.raises(PageAllocationFailure):
            ask_forever(machine)
        machine.free_pages(first)
    return recording


def ask_forever(machine: Machine) -> None:
    """Until it is refused."""
    while True:
        machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order=5)


@pytest.mark.parametrize("panes", ["colour", ("code", "")])
def test_a_pane_that_does_not_exist_is_refused_in_one_line(panes: Any) -> None:
    with pytest.raises(BadRequest, match=r"^panes: '.*': should be of code, zones, ") as refused:
        Player(split_and_merge(), panes=panes)
    assert "\n" not in str(refused.value)


# Code


def test_the_code_of_a_step_is_the_running_program_s() -> None:
    recording = split_and_merge()
    player = Player(recording)
    lines, first = inspect.getsourcelines(buddy.expand)
    for number in range(1, player.last_step + 1):
        if not player.narration(number).startswith("expand(): the block"):
            continue
        chain, shown = player.payload["frames"][number - 1][3]
        called = player.payload["code"]["chains"][chain]
        name, file, at, text = player.payload["code"]["functions"][called[2 * shown]]
        assert (name, file, at, text) == (
            "expand", "memsim/mm/page_alloc/buddy.py", first, "".join(lines),
        )  # fmt: skip
        lit = lines[called[2 * shown + 1] - first]
        assert "step(SPLIT" in lit
        assert lit.strip() == player.code(number).splitlines()[1].strip()
        return
    pytest.fail("nothing was split")


def test_the_code_in_words_names_file_line_function_and_callers() -> None:
    told = Player(split_and_merge()).code(2).splitlines()[0]
    assert told.startswith("memsim/mm/page_alloc/buddy.py, line ")
    assert ", in expand < page_del_and_expand < _rmqueue_smallest < " in told
    assert " < get_page_from_freelist < fast_path < alloc_pages < " in told
    assert told.endswith(" < alloc_pages_mpol < alloc_pages_noprof")
    assert Player(split_and_merge()).code(0) == "It is not known which code this step came from."


@pytest.mark.parametrize("which", range(4))
def test_a_sentence_that_names_a_function_stands_beside_that_function(which: int) -> None:
    player = Player(random_run(which, machines()[which]))
    for number in range(1, player.last_step + 1):
        named = player.narration(number).partition("(")[0].lstrip("_")
        shown = player.code(number).partition(", in ")[2].split(" ")[0].lstrip("_")
        if named in {"expand", "prep_new_page", "free_unref_page_commit", "rmqueue_bulk"}:
            assert shown == named


def test_recording_who_emitted_changes_nothing_else_and_ends_with_the_recording() -> None:
    machine = Machine.of_pages(64)
    before = type(machine.vm.trace.journal)
    with machine.recording() as outer:
        first = machine.alloc_pages(GFP_HIGHUSER_MOVABLE)
        with machine.recording() as inner:
            machine.free_pages(first)
    assert type(machine.vm.trace.journal) is before
    assert len(outer.emitters) == len(outer.steps)
    assert outer.emitters[-len(inner.steps) :] == inner.emitters
    machine.undo()
    machine.undo()
    assert machine.nr_free() == Machine.of_pages(64).nr_free()
    with pytest.raises(ZeroDivisionError), machine.recording():
        raise ZeroDivisionError
    assert type(machine.vm.trace.journal) is before


def test_a_recording_that_does_not_say_who_emitted_is_shown_all_the_same() -> None:
    recording = split_and_merge()
    recording.emitters = []
    player = Player(recording)
    assert player.code(3) == "It is not known which code this step came from."
    assert {tuple(frame[3]) for frame in player.payload["frames"]} == {(-1, 0)}


# Zones


@pytest.mark.parametrize(
    ("free", "where"),
    [(0, "not above min"), (10, "not above min"), (11, "not above low"), (20, "not above low"),
     (30, "not above high"), (31, "above high")],
)  # fmt: skip
def test_a_watermark_that_is_just_reached_is_not_passed(free: int, where: str) -> None:
    assert standing(free, [("min", 10), ("low", 20), ("high", 30)]) == where


def test_zones_are_told_with_their_watermarks_and_reserves() -> None:
    recording = fill_up()
    player = Player(recording, panes=("zones",))
    zone = recording.snapshot["nodes"][0]["zones"][0]
    marks = ", ".join(f"{name} {mark}" for name, mark in zone["watermark"].items())
    told = [line for line in player.text(0).splitlines() if line.startswith("  zone ")]
    assert told == [f"  zone DMA: {zone['vm_stat']['NR_FREE_PAGES']} free, above high; {marks}"]
    ends = [player.text(step).splitlines()[-1] for step in range(player.last_step + 1)]
    assert any(" free, not above low; " in line for line in ends)
    assert " free, not above high; " in ends[-1]
    assert "Zones" not in Player(recording).text(0)


# Predict


def test_a_refused_request_is_a_question_too() -> None:
    asked = Player(fill_up(), panes="predict").payload["questions"]
    refused = next(q for q in asked if q and q[2][q[3]] == FAILS)
    assert refused[0] == "alloc_pages(GFP_HIGHUSER_MOVABLE, order=5)"
    assert all(question is None or len(set(question[2])) == len(question[2]) for question in asked)


def test_the_choices_hold_the_answer_and_nothing_gives_it_away() -> None:
    player = Player(split_and_merge(), panes=("predict",))
    alloc, free = player.payload["questions"]
    assert alloc[:2] == ["alloc_pages(GFP_HIGHUSER_MOVABLE, order=0)",
                         "Where does the block come from?"]  # fmt: skip
    assert alloc[2][alloc[3]] == "free_area[6] MOVABLE"
    assert free[2][free[3]] == "free_area[6] MOVABLE"
    assert "free_area[0] MOVABLE" in free[2]
    assert "pcp list of CPU 0, order 0 MOVABLE" in free[2]


def test_what_decides_nothing_is_not_asked() -> None:
    recording = split_and_merge()
    scene = Scene(recording.snapshot)
    nothing: list[Step] = [Split(0, 0, 3)]
    assert question_of(scene, "drain_all_pages()", nothing, [""]) is None
    assert question_of(scene, "drain_all_pages()", [], []) is None


def test_the_score_counts_what_was_asked_and_nothing_else() -> None:
    player = Player(split_and_merge(), panes="predict")
    right = player.payload["questions"][0][3]
    assert player.score == (0, 0)
    player.answers = {"0": right, "1": -7, "99": 1, "x": 2}
    assert player.score == (1, 2)
    player.show(split_and_merge())
    assert player.score == (0, 0)
    assert Player(split_and_merge()).score == (0, 0)


# The browser


@pytest.mark.browser
@pytest.mark.parametrize("which", range(4))
def test_the_browser_tells_the_zones_as_python_does(which: int, page: Any, tmp_path: Path) -> None:
    player = Player(random_run(which, machines()[which], 25), panes=("zones",))
    open_player(page, player, tmp_path)
    for step in [*range(0, player.last_step + 1, 9), player.last_step, 0]:
        assert page.evaluate(TEXT_AT, step) == player.text(step).partition("\n")[2]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1000, 360])
def test_names_of_close_marks_do_not_cover_each_other(
    width: int, page: Any, tmp_path: Path
) -> None:
    machine = Machine("16 MiB", pcp=False)
    tank = Tank(machine, "DMA")
    tank.set_free(130)
    with machine.recording() as recording:
        machine.alloc_pages(GFP_ATOMIC)  # a fallback: the boost moves the marks far to the right
    page.set_viewport_size({"width": width, "height": 900})
    player = Player(recording, panes="zones")
    open_player(page, player, tmp_path)
    page.evaluate(TEXT_AT, player.last_step)
    boxes = page.locator(".ms-mark i").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect())"
        ".map(b => [b.left, b.right, b.top, b.bottom])"
    )
    assert len(boxes) == 4
    for one, other in combinations(boxes, 2):
        beside = one[1] <= other[0] or other[1] <= one[0]
        assert beside or one[3] <= other[2] or other[3] <= one[2]
    page.screenshot(path=tmp_path / f"marks_{width}.png", full_page=True)


@pytest.mark.browser
def test_the_code_pane_lights_the_line_and_goes_to_callers(page: Any, tmp_path: Path) -> None:
    player = Player(split_and_merge())
    open_player(page, player, tmp_path)
    page.evaluate(TEXT_AT, 2)
    lit = page.locator(".ms-line-lit")
    assert (lit.text_content() or "").strip() == player.code(2).splitlines()[1].strip()
    label = page.locator(".ms-lines").get_attribute("aria-label")
    assert label.startswith("Source of expand(), memsim/mm/page_alloc/buddy.py; line ")
    caller = page.locator(".ms-trail button", has_text="rmqueue_bulk()")
    caller.focus()
    page.keyboard.press("Enter")
    assert "rmqueue_bulk()" in page.evaluate("document.activeElement.textContent")
    assert "_rmqueue(" in (lit.text_content() or "")
    page.keyboard.press("ArrowRight")
    assert "expand()" in page.evaluate("document.activeElement.textContent")
    for step in range(player.last_step + 1):
        page.evaluate(TEXT_AT, step)
        top, bottom, inside = page.evaluate(
            "[...document.querySelectorAll('.ms-line-lit')].map(e => { const b ="
            " e.getBoundingClientRect(), p = e.parentElement.getBoundingClientRect();"
            " return [b.top - p.top, p.bottom - b.bottom, 1]; })[0] ?? [0, 0, 0]"
        )
        assert not inside or (top >= 0 and bottom >= 0), f"step {step}: the lit line is out of view"


@pytest.mark.browser
def test_a_prediction_is_asked_before_the_outcome_shows(page: Any, tmp_path: Path) -> None:
    player = Player(split_and_merge(), panes=("code", "predict"))
    open_player(page, player, tmp_path)
    root = page.locator(".memsim-player")
    root.focus()
    page.keyboard.press("End")
    assert root.get_attribute("data-step") == "0"
    assert "= pfn 0" not in (root.text_content() or "")
    right = player.payload["questions"][0][3]
    page.keyboard.press(str(right + 1))
    verdict = page.locator(".ms-verdict")
    assert (verdict.text_content() or "").startswith("Right. It is: free_area[6] MOVABLE. ")
    page.keyboard.press("End")
    assert root.get_attribute("data-step") == "16"
    wrong = page.locator(".ms-choices button").nth(int(player.payload["questions"][1][3] == 0))
    wrong.click()
    assert (verdict.text_content() or "").startswith("Not so: you predicted ")
    assert page.locator(".ms-score").text_content() == "1 of 2 right, 2 to predict"
    page.keyboard.press("End")
    assert root.get_attribute("data-step") == "32"


@pytest.mark.browser
def test_predicting_can_be_turned_off(page: Any, tmp_path: Path) -> None:
    open_player(page, Player(split_and_merge(), panes="predict"), tmp_path)
    page.locator(".ms-predict > button").click()
    page.keyboard.press("End")
    assert page.locator(".memsim-player").get_attribute("data-step") == "32"


def test_a_payload_with_every_pane_is_json() -> None:
    payload = Player(fill_up(), panes=("code", "zones", "predict")).payload
    assert json.loads(json.dumps(payload)) == payload
