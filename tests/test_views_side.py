"""Two machines side by side, and the player's picture as SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from memsim import GFP_HIGHUSER_MOVABLE, BadRequest, Machine, Recording
from memsim.views import Player, SideBySide
from memsim.views.side import first_difference, stops_of
from tests.test_views_player import HOSTILE, hostile, machines, open_player, random_run

SVG = "{http://www.w3.org/2000/svg}"


def ping_pong(batch: int, last: int = 2) -> Recording:
    """The same requests; a pcp refills `batch` pages at a time."""
    machine = Machine.of_pages(64, pcp=True)
    machine.pageset_update(batch, 16, 16)
    with machine.recording() as recording:
        pages = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(2)]
        for pfn in pages[:last]:
            machine.free_pages(pfn)
    return recording


def test_stops_take_every_frame_of_both_in_order_and_meet_between_operations() -> None:
    sides = SideBySide(ping_pong(1), ping_pong(4))
    one, two = sides.payload["machines"]
    stops = [tuple(stop) for stop in sides.payload["stops"]]
    for n, payload in enumerate((one, two)):
        assert sorted({stop[n] for stop in stops}) == list(range(len(payload["frames"]) + 1))
    assert all(a <= c and b <= d and (a, b) != (c, d) for (a, b), (c, d) in pairwise(stops))
    ends = zip(one["operations"], two["operations"], strict=True)
    assert {(a[2], b[2]) for a, b in ends} <= set(stops)


def test_the_first_difference_is_the_first_step_that_is_not_the_same() -> None:
    sides = SideBySide(ping_pong(1), ping_pong(4), names=("one by one", "by fours"))
    told = [[film["frames"][stop[n] - 1][0] if stop[n] else "" for stop in sides.payload["stops"]]
            for n, film in enumerate(sides.payload["machines"])]  # fmt: skip
    assert told[0][: sides.first] == told[1][: sides.first]
    assert told[0][sides.first] != told[1][sides.first]
    text = sides.text(sides.first)
    assert text.startswith(f"Step {sides.first} of {sides.last_step}; the first difference is here")
    assert "\none by one\nStep " in text
    assert f"; the first difference is at step {sides.first}\n" in sides.text(0)


def test_two_that_do_the_same_do_not_differ() -> None:
    sides = SideBySide(ping_pong(4), ping_pong(4))
    assert sides.first == -1
    assert sides.text(0).startswith(f"Step 0 of {sides.last_step}; no step differs\n")


def test_one_that_does_less_waits_at_its_end() -> None:
    sides = SideBySide(ping_pong(4), ping_pong(4, last=1))
    less = sides.payload["machines"][1]
    assert sides.payload["stops"][-1][1] == len(less["frames"])
    assert sides.payload["stops"][sides.first - 1][1] == len(less["frames"])


def test_nothing_beside_something_is_shown_too() -> None:
    machine = Machine.of_pages(64)
    with machine.recording() as nothing:
        pass
    sides = SideBySide(nothing, ping_pong(4))
    assert (sides.first, sides.last_step) == (1, len(sides.payload["machines"][1]["frames"]))
    assert SideBySide(nothing, nothing).last_step == 0
    assert first_difference(*sides.payload["machines"], stops_of(*sides.payload["machines"])) == 1


@pytest.mark.parametrize(("asked", "given"), [(-1, 0), (10**9, None), (3, 3)])
def test_a_step_out_of_range_goes_as_far_as_both_can(asked: int, given: int | None) -> None:
    sides = SideBySide(ping_pong(1), ping_pong(4))
    sides.step = asked
    assert sides.step == (sides.last_step if given is None else given)


@pytest.mark.parametrize("names", [(), ("one",), ("one", "two", "three")])
def test_two_machines_have_two_names(names: Any) -> None:
    with pytest.raises(BadRequest, match=r"^names: \d of them; should be two$"):
        SideBySide(ping_pong(1), ping_pong(4), names=names)


def test_two_players_and_two_sides_of_one_machine_do_not_disturb_each_other() -> None:
    machine = Machine.of_pages(64)
    with machine.recording() as first:
        pfn = machine.alloc_pages(GFP_HIGHUSER_MOVABLE)
    one = Player(first)
    before = one.text(3)
    with machine.recording() as second:
        machine.free_pages(pfn)
    two, both = Player(second), SideBySide(first, second)
    machine.undo()
    two.step = 5
    both.step = 2
    assert (one.step, one.text(3)) == (0, before)
    assert two.text(5) == Player(second).text(5)


# SVG


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


@pytest.mark.parametrize("which", range(4))
def test_an_svg_is_always_the_same_and_stands_alone(which: int) -> None:
    recording = random_run(which, machines()[which], 20)
    player = Player(recording, "pages")
    svg = player.svg(player.last_step // 2)
    assert svg == Player(recording, "pages").svg(player.last_step // 2)
    root = parsed(svg)
    assert root.findtext(f"{SVG}title") == "pages"
    assert root.findtext(f"{SVG}desc") == player.text(player.last_step // 2)
    for banned in ("href", "<script", "url(http", "@import", "<foreignObject", "<style"):
        assert banned not in svg


def test_an_svg_shows_every_page_once() -> None:
    player = Player(random_run(4, Machine.of_pages(1024)))
    root = parsed(player.svg(player.last_step))
    drawn = "".join(shape.attrib["d"] for shape in root.findall(f"{SVG}path"))
    pages = re.findall(r"h([0-9.]+)v([0-9.]+)h-", drawn)
    cell = 876 / 64 * (300 // 16)
    assert round(sum(float(width) * float(height) for width, height in pages) / cell) == 1024


def test_an_svg_of_a_large_machine_is_condensed_and_small() -> None:
    with Machine("1 GiB").recording() as recording:
        pass
    assert len(Player(recording).svg()) < 100_000


@pytest.mark.parametrize(("size", "order"), [(4096, 0), (2**18, 5)])
def test_an_svg_has_few_elements_however_many_blocks_it_shows(size: int, order: int) -> None:
    """Of those that are hatched Chromium prints each as a bitmap: 4,000 made 300 MB of PDF."""
    machine = Machine.of_pages(size)
    pages = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order) for _ in range(4000)]
    for pfn in pages[::2]:
        machine.free_pages(pfn)
    with machine.recording() as recording:
        pass
    root = parsed(Player(recording).svg())
    shapes = root.findall(f"{SVG}path")
    assert "".join(shape.attrib["d"] for shape in shapes).count("M") >= 2000
    assert len(shapes) == len({shape.attrib["fill"] for shape in shapes}) <= 5
    assert sum(1 for _ in root.iter()) < 120


def test_hostile_names_stay_text_in_an_svg() -> None:
    svg = Player(hostile(), title=HOSTILE).svg(1)
    assert parsed(svg).findtext(f"{SVG}title") == HOSTILE
    assert "<script" not in svg
    assert "<img" not in svg


@pytest.mark.parametrize(("asked", "given"), [(-3, 0), (10**9, 32)])
def test_an_svg_of_a_step_out_of_range_goes_as_far_as_it_can(asked: int, given: int) -> None:
    player = Player(hostile())
    assert player.svg(asked) == player.svg(given)


# The browser


@pytest.mark.browser
def test_two_machines_are_stepped_together_by_keys(page: Any, tmp_path: Path) -> None:
    sides = SideBySide(ping_pong(1), ping_pong(4), "refills", names=("one by one", "by fours"))
    open_player(page, sides, tmp_path)
    both = page.locator(".ms-side")
    page.locator("button", has_text="Go to the first difference").click()
    assert both.get_attribute("data-step") == str(sides.first)
    assert page.locator(".ms-badge").text_content() == "This is the first difference."
    assert "ms-differs" in (both.get_attribute("class") or "")
    for key, step in [("ArrowRight", sides.first + 1), ("End", sides.last_step), ("Home", 0)]:
        page.keyboard.press(key)
        shown = [
            inner.get_attribute("data-step") for inner in page.locator(".ms-two section").all()
        ]
        assert shown == [str(frame) for frame in sides.payload["stops"][step]]
    page.locator(".ms-two section").nth(1).locator(".ms-operation").nth(2).click()
    told = page.locator(".ms-side > .ms-say").text_content() or ""
    assert "one by one: free_pages_prepare()" in told
    assert "by fours: free_pages_prepare()" in told


@pytest.mark.browser
def test_what_is_followed_in_one_machine_is_followed_in_the_other(
    page: Any, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    open_player(page, SideBySide(ping_pong(1), ping_pong(4)), tmp_path)
    inputs = page.locator("[aria-label='Follow pfn']")
    inputs.nth(0).fill("5")
    page.keyboard.press("Enter")
    expect(inputs.nth(1)).to_have_value("5")
