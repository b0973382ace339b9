"""The player: steps both ways in Python and in the browser, narration, the text form, the page."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine, MemsimError, Operation, Recording
from memsim.trace.steps import Field, ListAdd, ListDel, ListName, Merge, Pageblock, Pages, Split
from memsim.views import Player
from memsim.views.narrate import Context, narrate, narrate_all
from memsim.views.payload import frames_of, make_payload
from memsim.views.scene import Names, Scene
from memsim.views.text import scene_text

ROOT = Path(__file__).parents[1]


def random_run(seed: int, machine: Machine, length: int = 40) -> Recording:
    """A recording of requests of both types, frees, and a drain at the end."""
    chance = random.Random(seed)
    live: list[int] = []
    with machine.recording() as recording:
        for _ in range(length):
            if live and chance.random() < 0.45:
                machine.free_pages(live.pop(chance.randrange(len(live))))
            else:
                gfp_mask = chance.choice((GFP_KERNEL, GFP_HIGHUSER_MOVABLE))
                try:
                    live.append(machine.alloc_pages(gfp_mask, chance.choice((0, 0, 1, 2, 3, 5))))
                except MemsimError:
                    continue
        machine.drain_all_pages()
    return recording


def machines() -> list[Machine]:
    return [
        Machine.of_pages(64),
        Machine.of_pages(1000, start_pfn=24),
        Machine.of_pages(2048, pcp=True),
        Machine("32 MiB", cpus=2),
    ]


def split_and_merge() -> Recording:
    machine = Machine.of_pages(64)
    with machine.recording() as recording:
        pfn = machine.alloc_pages(GFP_HIGHUSER_MOVABLE)
        machine.free_pages(pfn)
    return recording


def lists_of(snapshot: dict[str, Any]) -> dict[ListName, list[int]]:
    return {name: pages for name, pages in Scene(snapshot).lists.items() if pages}


# Steps


@given(st.integers(0, 2**32), st.integers(0, 3))
@settings(max_examples=20)
def test_a_scene_follows_the_machine_forwards_and_comes_back(seed: int, which: int) -> None:
    machine = machines()[which]
    recording = random_run(seed, machine)
    scene, end = Scene(recording.snapshot), Scene(machine.snapshot())
    before = scene_text(scene)
    scene.apply_all(recording.steps)
    assert (scene.lists, scene.states) == (end.lists, end.states)
    assert (scene.pageblocks, scene.fields.items() >= end.fields.items()) == (end.pageblocks, True)
    for step in reversed(recording.steps):
        scene.undo(step)
    assert scene_text(scene) == before


@pytest.mark.parametrize("which", range(4))
def test_blocks_cover_every_page_once_after_every_step(which: int) -> None:
    recording = random_run(5, machines()[which])
    scene = Scene(recording.snapshot)
    for step in recording.steps[:60]:
        scene.apply(step)
        at = scene.start
        for block in scene.blocks():
            assert block.pfn == at
            at += block.nr_pages
        assert at == scene.end


def test_frames_hold_every_step_once_and_end_with_their_operation() -> None:
    recording = random_run(3, Machine.of_pages(512))
    frames = frames_of(recording.steps, recording.operations)
    assert [frame.first for frame in frames[1:]] == [frame.last for frame in frames[:-1]]
    assert (frames[0].first, frames[-1].last) == (0, len(recording.steps))
    starts = {frame.first for frame in frames} | {len(recording.steps)}
    assert all({op.first_step, op.last_step} <= starts for op in recording.operations)
    assert all(frame.first <= frame.main < frame.last for frame in frames)


def test_a_payload_is_json_and_a_recording_without_steps_has_no_frames() -> None:
    machine = Machine.of_pages(16)
    with machine.recording() as recording:
        pass
    payload = make_payload(recording)
    assert json.loads(json.dumps(payload)) == payload
    assert payload["frames"] == []
    assert Player(recording).text().splitlines()[0] == "Step 0 of 0: There is no step to show."


def test_operations_name_pfns_as_the_player_does() -> None:
    names = [name for name, _, _ in make_payload(split_and_merge())["operations"]]
    assert names == [
        "alloc_pages(GFP_HIGHUSER_MOVABLE, order=0) = pfn 0",
        "free_pages(pfn 0, order=0)",
    ]


# Narration

FREE3, FREE3_U = ListName(0, "free_area", 3, 1), ListName(0, "free_area", 3, 0)
PCP = ListName(0, "pcp", 0, 1)


@pytest.fixture(scope="module")
def names() -> Names:
    snapshot = Machine.of_pages(1024).snapshot()
    normal = next(n for n in Names(snapshot).zones)
    found = Names(snapshot)
    found.zones = {0: found.zones[normal]}
    return found


def add(name: ListName, pfn: int, after: int = -1) -> ListAdd:
    return ListAdd(0, name, pfn, after, 0, 0x13)


def delete(name: ListName, pfn: int) -> ListDel:
    return ListDel(0, name, pfn, -1, 0x13, 0)


@pytest.mark.parametrize(
    ("step", "context", "sentence"),
    [
        (
            Split(0, 0, 4),
            Context(),
            "expand(): the block at pfn 0, order 4, is split into pfn 0 and pfn 8, order 3",
        ),
        (
            add(FREE3, 8),
            Context(previous=Split(0, 0, 4)),
            "expand(): the upper half, pfn 8, order 3, goes to the head of free_area[3] MOVABLE",
        ),
        (
            add(FREE3, 8),
            Context(),
            "__free_one_page(): pfn 8, order 3, goes to the head of free_area[3] MOVABLE",
        ),
        (
            add(FREE3, 8),
            Context(is_empty=True),
            "__free_one_page(): pfn 8, order 3, goes to free_area[3] MOVABLE, which was empty",
        ),
        (
            add(FREE3, 8, after=40),
            Context(higher_buddy=16),
            "__free_one_page(): pfn 8, order 3, goes to the tail of free_area[3] MOVABLE, "
            "because buddy_merge_likely() found pfn 16, order 4, free",
        ),
        (
            add(FREE3, 8, after=40),
            Context(previous=delete(FREE3_U, 8)),
            "move_to_free_list(): pfn 8, order 3, goes to the tail of free_area[3] MOVABLE",
        ),
        (
            add(PCP, 8),
            Context(taken=8),
            "rmqueue_bulk(): pfn 8, order 0, goes to the tail of the pcp list of CPU 0, "
            "order 0 MOVABLE",
        ),
        (
            add(PCP, 8),
            Context(),
            "free_unref_page_commit(): pfn 8, order 0, goes to the head of the pcp list of CPU 0, "
            "order 0 MOVABLE",
        ),
        (
            delete(FREE3, 8),
            Context(following=Split(0, 8, 3)),
            "page_del_and_expand(): pfn 8, order 3, is taken from free_area[3] MOVABLE",
        ),
        (
            delete(FREE3, 8),
            Context(following=Merge(0, 0, 8, 3)),
            "__free_one_page(): the buddy, pfn 8, order 3, is free: it leaves free_area[3] MOVABLE",
        ),
        (
            delete(FREE3_U, 8),
            Context(following=add(FREE3, 8)),
            "move_to_free_list(): pfn 8, order 3, leaves free_area[3] UNMOVABLE",
        ),
        (delete(FREE3, 8), Context(), "pfn 8, order 3, leaves free_area[3] MOVABLE"),
        (
            delete(PCP, 8),
            Context(following=Pages(0, 8, 1, 0, 0x20)),
            "__rmqueue_pcplist(): pfn 8, order 0, is taken from the pcp list of CPU 0, "
            "order 0 MOVABLE",
        ),
        (
            delete(PCP, 8),
            Context(following=delete(FREE3, 0)),
            "free_pcppages_bulk(): pfn 8, order 0, leaves the pcp list of CPU 0, order 0 MOVABLE "
            "for the free lists",
        ),
        (
            Merge(0, 8, 0, 3),
            Context(),
            "__free_one_page(): pfn 8 and its buddy, pfn 0, order 3, merge into pfn 0, order 4",
        ),
        (Pages(0, 4, 1, 0, 0x22), Context(), "prep_new_page(): pfn 4, order 2, is allocated"),
        (
            Pages(0, 4, 1, 0x22, 0),
            Context(),
            "free_pages_prepare(): pfn 4, order 2, is no longer allocated",
        ),
        (Pages(0, 4, 2, 0x20, 0xA0), Context(), "pfn 4 to 5: now on an LRU list"),
        (Pages(0, 4, 1, 0x22, 0x20), Context(), "pfn 4, order 2: state 0x22 becomes 0x20"),
        (
            Pageblock(0, 512, 1, 0),
            Context(),
            "set_pageblock_migratetype(): the pageblock at pfn 512 was MOVABLE and is UNMOVABLE "
            "now",
        ),
        (
            Field(0, 0, -1, "NR_FREE_PAGES", 64, 63),
            Context(),
            "NR_FREE_PAGES of zone Normal: 64 becomes 63",
        ),
        (
            Field(0, 0, 0, "pcp.count", 0, 1),
            Context(),
            "pcp.count of CPU 0 of zone Normal: 0 becomes 1",
        ),
    ],
)
def test_each_kind_of_step_has_its_sentence(
    step: Any, context: Context, sentence: str, names: Names
) -> None:
    assert narrate(step, names, context) == sentence


def test_a_split_and_a_merge_are_told_in_the_kernel_s_words() -> None:
    player = Player(split_and_merge())
    told = [player.narration(n).partition(":")[0] for n in range(1, player.last_step + 1)]
    halves = ["expand()"] * 12
    assert told[:16] == [
        "page_del_and_expand()", *halves, "rmqueue_bulk()", "__rmqueue_pcplist()",
        "prep_new_page()",
    ]  # fmt: skip
    merges = ["__free_one_page()"] * 13
    assert told[16:] == [
        "free_pages_prepare()", "free_unref_page_commit()", "free_pcppages_bulk()", *merges,
    ]  # fmt: skip


@pytest.mark.parametrize("which", range(4))
def test_every_step_of_any_run_is_told(which: int) -> None:
    recording = random_run(11, machines()[which])
    sentences = narrate_all(recording.snapshot, recording.steps)
    assert len(sentences) == len(recording.steps)
    assert all(sentence and "\n" not in sentence for sentence in sentences)


def test_the_tail_rule_is_told_with_the_buddy_that_caused_it() -> None:
    machine = Machine.of_pages(64)
    pages = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(8)]
    machine.free_pages(pages[4])  # something for the tail to stand behind
    machine.free_pages(pages[2])
    machine.free_pages(pages[3])
    with machine.recording() as recording:
        machine.free_pages(pages[0])
    player = Player(recording)
    assert player.narration(player.last_step) == (
        "__free_one_page(): pfn 0, order 0, goes to the tail of free_area[0] MOVABLE, "
        "because buddy_merge_likely() found pfn 2, order 1, free"
    )


# Text

AFTER_FIRST_SPLIT = """\
Step 3 of 32: expand(): the upper half, pfn 32, order 5, goes to the head of free_area[5] MOVABLE
Address order
  pfn 0 to 31: on no list
  pfn 32 to 63: free, order 5, MOVABLE
List order, head first
  free_area[5] MOVABLE: 32"""


def test_the_text_form_is_always_the_same() -> None:
    assert Player(split_and_merge()).text(3) == AFTER_FIRST_SPLIT
    assert Player(split_and_merge()).text(3) == AFTER_FIRST_SPLIT


def test_the_text_form_of_a_large_machine_is_cut_and_says_so() -> None:
    machine = Machine.of_pages(4096)
    pages = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(1024)]
    for pfn in pages[::2]:
        machine.free_pages(pfn)
    with machine.recording() as recording:
        machine.free_pages(pages[1])
    text = Player(recording).text(0)
    assert "  and 825 more lines\n" in text
    assert " and 448 more\n" in text + "\n"


@pytest.mark.parametrize(("asked", "given"), [(-5, 0), (7, 7), (10**9, 32)])
def test_a_step_out_of_range_goes_as_far_as_it_can(asked: int, given: int) -> None:
    player = Player(split_and_merge())
    player.step = asked
    assert player.step == given
    assert player.text(asked) == player.text(given)


def test_only_a_page_of_the_machine_can_be_selected() -> None:
    player = Player(split_and_merge())
    player.selected = 63
    assert player.selected == 63
    player.selected = 64
    assert player.selected == -1


def test_show_starts_another_recording_from_its_beginning() -> None:
    player = Player(split_and_merge())
    player.step = 9
    machine = Machine.of_pages(16)
    with machine.recording() as recording:
        machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order=4)
    player.show(recording)
    assert (player.step, player.last_step, player.payload["end"]) == (0, 2, 16)


# The page

HOSTILE = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\u2028" + "x" * 3000


def hostile() -> Recording:
    recording = split_and_merge()
    recording.operations = [
        Operation(HOSTILE, op.first_step, op.last_step) for op in recording.operations
    ]
    return recording


class References(HTMLParser):
    """Whatever a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        fetched = ("src", "href", "srcset", "data", "action")
        self.found += [value or "" for name, value in attrs if name in fetched]


def test_the_page_refers_to_nothing_outside_itself() -> None:
    page = Player(hostile(), title=HOSTILE).to_html()
    parser = References()
    parser.feed(page)
    assert parser.found == []
    assert "img" not in parser.tags
    assert parser.tags.count("script") == 2
    for reference in ("http://", "https://", "@import", "url(", "fetch(", "import("):
        assert reference not in page


def test_the_iframe_holds_the_page_escaped() -> None:
    parser = References()
    parser.feed(Player(hostile(), title=HOSTILE)._repr_html_())
    assert parser.tags == ["iframe"]


def test_a_player_has_a_form_for_every_front_end() -> None:
    data, _ = Player(split_and_merge())._repr_mimebundle_()
    assert data["text/plain"].startswith("Step 0 of 32: Before the first step.\n")
    assert data["text/html"].startswith("<iframe title=")
    assert "application/vnd.jupyter.widget-view+json" in data


def test_without_the_course_s_packages_views_says_what_to_install() -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import memsim, memsim.views"
    done = subprocess.run(
        [sys.executable, "-IS", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: memsim.views needs anywidget, ipywidgets, plotly: "
        "python -m pip install 'memsim[course]'"
    )


# The browser


def open_player(page: Any, player: Player, folder: Path) -> None:
    """The player's own page, from a file; whatever the page complains about fails the test."""
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on("console", lambda message: pytest.fail(message.text))
    page.on("request", lambda request: request.url.startswith("file:") or pytest.fail(request.url))
    path = folder / "player.html"
    path.write_text(player.to_html(), encoding="utf-8")
    page.goto(path.as_uri())
    page.wait_for_selector(".memsim-player")


SCENE = "document.querySelector('.memsim-player').memsim.scene"
TEXT_AT = """step => {
  const player = document.querySelector('.memsim-player').memsim;
  player.text.open = true;
  player.go(step);
  player.showText();
  return player.pre.textContent;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("which", range(4))
def test_the_browser_s_state_is_python_s_at_every_step_both_ways(
    which: int, page: Any, tmp_path: Path
) -> None:
    player = Player(random_run(which, machines()[which], 25))
    open_player(page, player, tmp_path)
    steps = list(range(player.last_step + 1))
    chance = random.Random(which)
    jumps = [chance.choice(steps) for _ in range(15)]
    texts = {step: player.text(step).partition("\n")[2] for step in [*steps[::3], *jumps]}
    for step in [*steps[::3], *steps[::-3], *jumps]:
        shown = page.evaluate(TEXT_AT, step)
        expected = texts.get(step) or player.text(step).partition("\n")[2]
        assert shown == expected, f"step {step}"


@pytest.mark.browser
def test_keys_move_the_player_both_ways(page: Any, tmp_path: Path) -> None:
    player = Player(split_and_merge())
    open_player(page, player, tmp_path)
    root = page.locator(".memsim-player")
    root.focus()
    for key, step in [
        ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 32), ("ArrowRight", 32),
        ("ArrowLeft", 31), ("Home", 0), ("ArrowLeft", 0),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert root.get_attribute("data-step") == str(step)
    page.locator("[aria-label=Step]").focus()
    page.keyboard.press("ArrowRight")
    assert root.get_attribute("data-step") == "1"  # once, though slider and player both listen
    page.locator("[aria-label^=Speed]").select_option("8")
    root.focus()
    page.keyboard.press(" ")
    page.wait_for_selector(".memsim-player:not([data-step='1'])")  # it plays on
    page.keyboard.press(" ")
    assert page.locator("button[aria-label=Play]").count() == 1


@pytest.mark.browser
def test_a_block_is_lit_in_address_order_and_in_list_order(page: Any, tmp_path: Path) -> None:
    player = Player(split_and_merge())
    open_player(page, player, tmp_path)
    page.evaluate(f"{SCENE.removesuffix('.scene')}.go(16)")
    chip = page.locator(".ms-chip[data-pfn='8']")
    canvas = page.locator("canvas")
    x, y, width, height = page.evaluate(
        "document.querySelector('.memsim-player').memsim.strip.rect(8, 8)"
    )
    canvas.hover(position={"x": x + width / 2, "y": y + height / 2})
    assert "ms-lit" in (chip.get_attribute("class") or "")
    assert canvas.get_attribute("title") == "pfn 8 to 15: free, order 3, MOVABLE"
    chip.click()
    place = page.locator("output").text_content()
    assert place == (
        "is in pfn 8 to 15: free, order 3, MOVABLE, number 1 of 1 on free_area[3] MOVABLE; "
        "its buddy, pfn 0, is not one block of order 3"
    )
    page.keyboard.press("End")
    assert "is in pfn 0 to 63: free, order 6" in (page.locator("output").text_content() or "")
    page.locator("[aria-label='Follow pfn']").fill("999")
    page.keyboard.press("Enter")
    assert page.locator("output").text_content() == "pfn 0 to 63 can be followed"


def two_cpus() -> Recording:
    """Both CPUs refill, of different orders; then CPU 0 gets its own page back."""
    machine = Machine.of_pages(64, cpus=2, pcp=True)
    machine.pageset_update(4, 16, 16)
    with machine.recording() as recording:
        pfn = machine.alloc_pages(GFP_HIGHUSER_MOVABLE, cpu=0)
        machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order=1, cpu=1)
        machine.free_pages(pfn, cpu=0)
    return recording


KEPT = """\
Lists of each CPU, head first
  CPU 0: count 4, high 16, batch 4
    order 0 MOVABLE: 0 1 2 3
  CPU 1: count 2, high 16, batch 4
    order 1 MOVABLE: 6"""


def test_the_text_form_says_what_each_cpu_keeps_and_where_it_lies() -> None:
    player = Player(two_cpus())
    text = player.text(player.last_step)
    assert text.endswith(KEPT)
    assert "\n  pfn 0 to 3: on a pcp list of CPU 0, order 0, MOVABLE (4 blocks)\n" in text
    assert "Lists of each CPU" not in player.text(0)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1000, 360])
def test_each_cpu_has_a_pane_that_keys_reach(width: int, page: Any, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 1200})
    open_player(page, Player(two_cpus()), tmp_path)
    page.locator(".memsim-player").focus()
    page.keyboard.press("End")
    panes = page.locator(".ms-cpu")
    labels = [pane.get_attribute("aria-label") for pane in panes.all()]
    assert labels == ["CPU 0: count 4, high 16, batch 4", "CPU 1: count 2, high 16, batch 4"]
    lists = panes.nth(0).locator("button.ms-list")
    assert lists.get_attribute("aria-label") == "pcp list of CPU 0, order 0 MOVABLE"
    lists.focus()
    page.keyboard.press("Enter")  # shows the list's order in the pages, and keeps the focus
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "is in pfn 0: on a pcp list of CPU 0, order 0" in (
        page.locator("output").text_content() or ""
    )
    # Told apart without colour: the pages of CPU 0 and CPU 1 differ in hatching.
    images = {
        panes.nth(n).locator(".ms-chip").first.evaluate("e => getComputedStyle(e).backgroundImage")
        for n in range(2)
    }
    assert len(images) == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / f"cpus_{width}.png")


@pytest.mark.browser
def test_a_step_can_be_chosen_from_the_list(page: Any, tmp_path: Path) -> None:
    player = Player(split_and_merge())
    open_player(page, player, tmp_path)
    page.locator(".ms-operation", has_text="free_pages").click()
    assert page.locator(".memsim-player").get_attribute("data-step") == "17"
    page.locator(".ms-steps li button", has_text="merge into pfn 0, order 4").click()
    said = page.locator(".ms-say").text_content() or ""
    assert "merge into pfn 0, order 4" in said
    assert page.locator(".ms-steps [aria-current=step]").count() == 1


@pytest.mark.browser
def test_everything_in_the_player_has_a_name_and_nothing_is_too_wide(
    page: Any, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    open_player(page, Player(random_run(1, Machine.of_pages(1024))), tmp_path)
    page.keyboard.press("Tab")
    for item in page.locator("button, input, select, canvas, section, pre").all():
        named = item.get_attribute("aria-label") or item.text_content()
        assert named, item.evaluate("element => element.outerHTML")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.browser
def test_hostile_names_stay_text(page: Any, tmp_path: Path) -> None:
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    open_player(page, Player(hostile(), title=HOSTILE), tmp_path)
    page.locator(".memsim-player").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("img").count() == 0
    assert HOSTILE[:60] in (page.locator(".ms-title").text_content() or "")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.browser
def test_lists_that_stay_empty_share_a_line_and_no_other_does(page: Any, tmp_path: Path) -> None:
    machine = Machine(["8 GiB", "8 GiB"], cpus=2)
    with machine.recording() as recording:
        machine.alloc_pages(GFP_KERNEL)
    player = Player(recording, "a server")
    idle = {n for n, entry in enumerate(player.payload["lists"]) if entry["idle"]}
    moved = {step[1] for frame in player.payload["frames"] for step in frame[2] if step[0] < 2}
    assert idle
    assert not idle & moved
    assert all(not player.payload["lists"][n]["pages"] for n in idle)
    open_player(page, player, tmp_path)
    lines = page.locator(".ms-lists > .ms-empty").all_text_contents()
    assert lines == ["Orders 9 to 0: 10 empty lists", "Orders 9 to 1: 9 empty lists",
                     "Orders 9 to 0: 10 empty lists"]  # fmt: skip
    free = [entry for entry in player.payload["lists"] if not entry["pcp"]]
    rows = page.locator(".ms-lists > .ms-row")
    assert rows.count() + 29 == len(free)
    page.locator(".memsim-player").focus()
    page.keyboard.press("End")
    assert page.locator(".ms-lists > .ms-empty").all_text_contents() == lines
    page.screenshot(path=tmp_path / "server.png", full_page=True)


@pytest.mark.browser
def test_many_pages_are_condensed_and_open_up(page: Any, tmp_path: Path) -> None:
    player = Player(random_run(2, Machine("64 MiB")))
    open_player(page, player, tmp_path)
    note = page.locator(".ms-note")
    assert "too many to draw one by one (at most 4096)" in (note.text_content() or "")
    page.locator("canvas").click(position={"x": 300, "y": 150})
    assert (note.text_content() or "").startswith("Shown: pfn ")
    page.locator("text=Show all pages").click()
    assert "too many" in (note.text_content() or "")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_iframe_plays_without_a_kernel_in_the_reader_s_colours(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.context.set_offline(True)
    page.set_content(Player(split_and_merge(), "without a kernel")._repr_html_())
    inside = page.frame_locator("iframe")
    inside.locator(".memsim-player").focus()
    page.keyboard.press("End")
    assert inside.locator(".memsim-player").get_attribute("data-step") == "32"
    back = inside.locator(".memsim-player").evaluate("e => getComputedStyle(e).backgroundColor")
    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 20, 20)"}[scheme]


@pytest.mark.browser
def test_without_scripts_a_page_of_its_own_shows_the_text_form(
    browser: Any, tmp_path: Path
) -> None:
    player = Player(split_and_merge())
    (tmp_path / "player.html").write_text(player.to_html(), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "player.html").as_uri())
    assert page.locator("main").inner_text().strip() == player.text().strip()
    context.close()
