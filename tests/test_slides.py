"""Every lesson is a lecture; its deck fits, works from local files, and everybody can use it."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memsim import cli
from memsim.doctor.tools import find_chromium
from memsim.publish import shown, slides
from memsim.publish.deck import HEIGHT, WIDTH, deck
from memsim.publish.lecture import faults, slides_of
from tests.lessons import LESSONS, NOTEBOOKS, notebook_of
from tests.test_views_access import faults as axe_faults

browser = pytest.mark.browser


@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_is_a_lecture(name: str) -> None:
    assert faults(notebook_of(name)) == []


NOTES = "**Say** This.\n\n**Move on** Now."


def cell(number: int, kind: str = "slide", **says: Any) -> dict[str, Any]:
    """A markdown cell that is a slide, unless it says otherwise."""
    first = {"minutes": 3, "notes": NOTES} if kind == "slide" else {}
    metadata = {"slideshow": {"slide_type": kind}, "memsim": first | says}
    text = f"## Slide {number}\n\nWords."
    return {"cell_type": "markdown", "id": f"c{number}", "metadata": metadata, "source": text}


def lecture(count: int = 15) -> dict[str, Any]:
    """A notebook that is fit."""
    return {"cells": [cell(number) for number in range(count)], "metadata": {}}


def amiss(change: Callable[[list[dict[str, Any]]], Any]) -> list[str]:
    """What is amiss in a fit lecture after this change of its cells."""
    notebook = copy.deepcopy(lecture())
    change(notebook["cells"])
    return faults(notebook)


def test_a_fit_lecture_has_no_fault() -> None:
    assert faults(lecture()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda cells: cells.clear(), "has no slides: give cells"),
        (lambda cells: cells.pop(), "14 slides; should be 15 to 20"),
        (lambda cells: cells[0]["metadata"]["memsim"].update(minutes=6), ""),
        (lambda cells: [c["metadata"]["memsim"].update(minutes=4) for c in cells], "60 minutes; s"),
        (lambda cells: cells[1]["metadata"]["memsim"].update(minutes="3"), "c1: its slide has no"),
        (lambda cells: cells[1]["metadata"]["memsim"].update(notes=" "), "c1: its slide has no"),
        (lambda cells: cells[1]["metadata"]["memsim"].update(notes="x"), "no **Say**"),
        (lambda cells: cells[2].update(source="no heading"), "cell c2: its slide has no heading"),
        (lambda cells: cells[2].update(source="## " + "x" * 61), "a heading of 61 characters"),
        (lambda cells: cells[2]["metadata"]["memsim"].update(shows="all"), "cell c2: shows 'all'"),
        (lambda cells: cells[2].update(metadata={"slideshow": {"slide_type": "s"}}), "type 's'"),
        (lambda cells: cells.append(cell(99, "-", notes=NOTES)), "cell c99: `notes` goes with"),
        (lambda cells: cells.insert(0, cell(99, "fragment")), "cell c99: is on no slide"),
    ],
)  # fmt: skip
def test_what_is_amiss_is_told_in_one_line(change: Any, told: str) -> None:
    found = amiss(change)
    assert told in "\n".join(found)
    assert bool(found) == bool(told)
    assert all("\n" not in line for line in found)


def test_cells_without_a_slide_type_are_in_no_deck() -> None:
    notebook = lecture()
    notebook["cells"].append({**cell(99), "metadata": {}})
    notebook["cells"].append(cell(100, "skip"))
    assert len(slides_of(notebook)) == 15
    assert "Slide 99" not in deck(notebook)
    assert "Slide 100" not in deck(notebook)


def code_cell(shows: str, kind: str = "slide") -> dict[str, Any]:
    printed = {"output_type": "stream", "name": "stdout", "text": "x" * 100}
    return {**cell(0, kind, slide="## Code", shows=shows), "cell_type": "code", "id": "c",
            "source": "# NBVAL_CHECK_OUTPUT\nprint('x' * 100)", "outputs": [printed]}  # fmt: skip


@pytest.mark.parametrize("shows", ["output", "source", "both"])
def test_a_code_cell_shows_what_it_says(shows: str) -> None:
    page = deck({"cells": [code_cell(shows)]})
    assert ("xxx" in page, ">print<" in page) == (shows != "source", shows != "output")
    assert "NBVAL" not in page
    assert "<h1" in page  # it is the first slide


def test_a_cell_that_quotes_a_function_shows_the_function() -> None:
    page = deck({"cells": [{**code_cell("source"), "source": "source(buddy.expand)"}]})
    assert ("xxx" in page, "buddy" in page) == (True, False)


def test_links_lead_to_decks_that_are_there_or_nowhere() -> None:
    plan = slides.Plan([Path("02_buddy.ipynb")], Path("out"))
    text = (
        "[a](02_buddy.ipynb#x) [b](03_free_lists.ipynb) [c](../exercises/x.ipynb) [d](https://e.x)"
    )
    assert re.findall(r'href="([^"]*)"', shown.markdown(text, plan.link)) == [
        "02_buddy.html",
        "https://e.x",
    ]


def refused(*arguments: str | Path, capsys: Any) -> str:
    """What `memsim slides` says to bad input."""
    assert cli.main(["slides", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.count("\n") == 1
    return str(said.err)


def test_bad_input_is_refused_in_one_line(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.touch()
    (tmp_path / "notebooks").mkdir()
    assert "no such lesson; there are 00" in refused("77", capsys=capsys)
    assert "no lessons in it" in refused("--course", tmp_path, capsys=capsys)
    assert "--jobs: -1" in refused("--jobs", "-1", capsys=capsys)
    assert "with --out" in refused("2", "--out", there, capsys=capsys)
    (tmp_path / "notebooks" / "01_x.ipynb").write_text("no JSON")
    assert "is no notebook" in refused("--course", tmp_path, "--out", tmp_path / "o", capsys=capsys)
    monkeypatch.setattr("memsim.publish.paper.find_chromium", lambda: None)
    assert "MEMSIM_CHROMIUM" in refused("2", "--pdf", capsys=capsys)
    for name in [name for name in sys.modules if name.startswith("memsim.publish")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nbclient", None)
    assert "nbclient is missing" in refused("2", capsys=capsys)


def test_a_lesson_without_slides_is_told_and_fails_the_command(tmp_path: Path, capsys: Any) -> None:
    lessons = tmp_path / "notebooks"
    lessons.mkdir()
    bare = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (lessons / "01_bare.ipynb").write_text(json.dumps(bare))
    out = tmp_path / "out"
    assert cli.main(["slides", "--course", str(tmp_path), "--out", str(out), "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert told["faults"][0].startswith("has no slides")
    assert not (out / "01_bare.html").exists()


def test_a_deck_that_is_not_printed_is_told_and_the_others_are_listed(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    notebook = lecture() | {"nbformat": 4, "nbformat_minor": 5}
    for name in ("01_one", "02_two"):
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook))
    chromium, out = tmp_path / "chromium", tmp_path / "out"
    chromium.write_text(
        '#!/bin/sh\ncase "$*" in *02_two*) exit 3;; esac\n'
        'for a; do case $a in --print-to-pdf=*) echo > "${a#*=}";; esac; done\n'
    )
    chromium.chmod(0o755)
    monkeypatch.setenv("MEMSIM_CHROMIUM", str(chromium))
    assert cli.main(["slides", "--course", str(tmp_path), "--out", str(out), "--pdf"]) == 1
    told = capsys.readouterr().out.splitlines()[0]
    assert told.startswith(f"02_two: no PDF: {chromium}: ended with status 3; print {out}")
    links = re.findall(r'href="(\d[^"]*)"', (out / "index.html").read_text())
    assert links == ["01_one.html", "01_one.pdf", "02_two.html"]


# -- in a browser


@pytest.fixture(scope="session")
def decks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the decks of all lessons; its name has a space. CI has built them already."""
    out = tmp_path_factory.mktemp("slides") / "my decks"
    if built := os.environ.get("MEMSIM_SLIDES"):
        shutil.copytree(NOTEBOOKS.parent / built, out)
    else:
        slides.build(slides.Plan(slides.find_lessons(NOTEBOOKS), out))
    return out


class Deck:
    """A deck in a page that reaches local files only; what went wrong in it."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.wrong = page, list[str]()
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.context.route(re.compile("^(https?|wss?):"), lambda route: route.abort())
        page.on("requestfailed", lambda request: self.wrong.append(request.url))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda m: self.wrong.append(m.text) if m.type == "error" else None)
        page.goto(path.as_uri())
        page.wait_for_function("window.Reveal && Reveal.isReady()")

    def turn_all(self) -> Iterator[int]:
        """Each slide from the first to the last, with every fragment of it shown."""
        for number in range(self.page.evaluate("Reveal.getTotalSlides()")):
            assert self.page.evaluate("Reveal.getState().indexh") == number
            self.page.evaluate("while (Reveal.availableFragments().next) Reveal.nextFragment()")
            yield number + 1
            self.page.evaluate("Reveal.next()")

    def show(self, selector: str) -> Any:
        """Turns to the first slide that has this; the element."""
        found = self.page.locator(f".slides > section {selector}").first
        found.evaluate("e => Reveal.slide(Reveal.getIndices(e.closest('section')).h)")
        return found

    def player(self) -> Any:
        """The page of the first player, once it is there."""
        frame = self.show(".player iframe").element_handle().content_frame()
        frame.wait_for_selector(".memsim-player[data-frame]")
        return frame

    @property
    def slide(self) -> int:
        return int(self.page.evaluate("Reveal.getState().indexh"))


#: What is wider or higher than where it stands, on the present slide.
TOO_LARGE = """() => {
  const page = Reveal.getCurrentSlide().querySelector('.page');
  const place = page.getBoundingClientRect();
  const inside = [...page.querySelectorAll('*')].filter((e) => e.checkVisibility());
  const out = inside.filter((e) => {
    const { right, bottom, left, top } = e.getBoundingClientRect();
    return Math.max(right - place.right, bottom - place.bottom, place.left - left, -top) > 1;
  });
  const cut = [page, ...inside].filter((e) => e.matches('.page, .page pre, .table, .cell') &&
    (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1));
  return [...out, ...cut].map((e) => e.outerHTML.slice(0, 80));
}"""
PLAYER_TOO_LARGE = """() => {
  const { scrollWidth, scrollHeight } = document.documentElement;
  const lost = ['.ms-controls', '.ms-say', 'canvas'].some((selector) =>
    document.querySelector(selector).getBoundingClientRect().top > innerHeight - 60);
  return scrollWidth > innerWidth || scrollHeight > innerHeight || lost;
}"""


@browser
@pytest.mark.parametrize("name", LESSONS)
def test_every_slide_fits_and_nothing_is_asked_of_anybody(
    name: str, decks: Path, page: Any
) -> None:
    deck = Deck(page, decks / f"{name}.html")
    too_large = []
    for number in deck.turn_all():
        too_large += [f"slide {number}: {what}" for what in page.evaluate(TOO_LARGE)]
        for frame in page.query_selector_all("section.present .player iframe"):
            inner = frame.content_frame()
            inner.wait_for_selector(".memsim-player[data-frame], .memsim-player[data-step]")
            if inner.evaluate(PLAYER_TOO_LARGE):
                too_large.append(f"slide {number}: the player")
    assert (too_large, deck.wrong) == ([], [])


#: Which of what is lit at the player's last step is not wholly within each part that scrolls.
CUT_OFF = """() => {
  const { memsim } = document.querySelector('#player > .memsim-player');
  memsim.go(memsim.last);
  const lit = [...document.querySelectorAll('[aria-current], .ms-line-lit')];
  return lit.length ? lit.filter((e) => {
    const { top, bottom } = e.getBoundingClientRect();
    for (let at = e.parentElement; at; at = at.parentElement) {
      const place = at.getBoundingClientRect();
      if (top < place.top || bottom > Math.min(place.bottom, innerHeight)) return true;
      if (at.id === 'player') return false;
    }
  }).map((e) => e.textContent) : ['nothing is lit'];
}"""


@browser
@pytest.mark.parametrize("name", ["08_why_slab", "15_pressure", "16_oom"])
def test_a_large_player_shows_the_last_step_and_its_code(name: str, decks: Path, page: Any) -> None:
    player = Deck(page, decks / f"{name}.html").player()
    player.wait_for_function("document.getElementById('player').style.getPropertyValue('--zoom')")
    assert player.evaluate(CUT_OFF) == []


@browser
def test_the_size_test_is_shown_what_it_must_find(decks: Path, page: Any) -> None:
    deck = Deck(page, decks / "02_buddy.html")
    place = "Reveal.getCurrentSlide().querySelector('.page .cell').insertAdjacentHTML"
    for more in ("<p style='height: 700px'>", "<p style='width: 1300px'>", "<pre>" + "x\\n" * 60):
        page.evaluate(f'{place}("beforeend", "{more}")')
        assert page.evaluate(TOO_LARGE)
        page.evaluate("document.querySelector('.page .cell').lastElementChild.remove()")
    assert page.evaluate(TOO_LARGE) == []
    page.evaluate("fetch('https://example.org').catch(() => 0)")
    assert "https://example.org/" in deck.wrong


@browser
def test_a_player_is_scrubbed_with_mouse_and_keys_and_keeps_them(decks: Path, page: Any) -> None:
    deck = Deck(page, decks / "02_buddy.html")
    player = deck.player()
    slide, step = deck.slide, lambda: int(player.get_attribute(".memsim-player", "data-frame"))
    player.click("button[aria-label^='Next'], .ms-controls button >> nth=3")
    assert step() == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert (step(), deck.slide) == (3, slide)
    scrubber = player.query_selector("input[type=range]").bounding_box()
    page.mouse.click(scrubber["x"] + scrubber["width"] - 2, scrubber["y"] + scrubber["height"] / 2)
    last = player.evaluate("document.querySelector('.memsim-player').memsim.last")
    assert (step(), deck.slide) == (last, slide)
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement === document.body")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"Reveal.getState().indexh === {slide + 1}")
    assert step() == last


@browser
def test_a_presenter_s_keys_turn_slides_from_within_a_player(decks: Path, page: Any) -> None:
    deck = Deck(page, decks / "02_buddy.html")
    player = deck.player()
    slide = deck.slide
    player.click(".ms-say")
    page.keyboard.press("PageDown")
    page.wait_for_function(f"Reveal.getState().indexh === {slide + 1}")
    assert deck.wrong == []


@browser
def test_the_speaker_s_window_has_notes_and_slides(decks: Path, page: Any) -> None:
    deck = Deck(page, decks / "02_buddy.html")
    page.evaluate("Reveal.slide(1)")
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    speaker = opened.value
    said = page.locator("section.present aside.notes").text_content().split()
    notes = speaker.locator(".speaker-controls-notes .value")
    speaker.wait_for_function("document.querySelector('.speaker-controls-notes .value').innerText")
    assert notes.text_content().split() == said
    for frame in ("#current-slide iframe", "#upcoming-slide iframe"):
        shown = speaker.wait_for_selector(frame).content_frame()
        shown.wait_for_selector("section.present h2, section.present h1")
    page.evaluate("Reveal.next()")
    speaker.wait_for_function(
        "document.querySelector('.speaker-controls-notes .value').innerText.includes('Slide 3 of')"
    )
    assert deck.wrong == []


@browser
@pytest.mark.parametrize(("name", "scheme"), [("02_buddy", "light"), ("12_page_tables", "dark")])
def test_axe_finds_no_serious_fault(name: str, scheme: str, decks: Path, page: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    deck = Deck(page, decks / f"{name}.html")
    for selector in ("h1", ".player", ".memsim-still", "table", "pre", ".chart"):
        if page.locator(f".slides > section {selector}").count():
            deck.show(selector)
            assert axe_faults(page) == []
    page.route("**/reveal.js", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("aside.notes")
    assert axe_faults(page) == []
    page.goto((decks / "index.html").as_uri())
    assert axe_faults(page) == []


@pytest.mark.long
@browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LESSONS)
def test_axe_finds_no_serious_fault_on_any_slide(
    name: str, scheme: str, decks: Path, page: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    deck, found = Deck(page, decks / f"{name}.html"), []
    page.wait_for_selector(".pause-overlay", state="hidden")  # reveal.js fades it out at first
    for number in deck.turn_all():
        for frame in page.query_selector_all("section.present .player iframe"):
            frame.content_frame().wait_for_selector("[data-frame], [data-step]")
        found += [f"slide {number}: {fault}" for fault in axe_faults(page)]
    assert found == []


@browser
def test_without_scripts_a_deck_is_a_handout(decks: Path, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((decks / "02_buddy.html").as_uri())
    sections = page.locator(".slides > section")
    assert sections.count() >= 15
    for place in (".page", "aside.notes"):
        assert all(part.is_visible() for part in page.locator(place).all())
    frame = page.locator(".player iframe").first
    assert frame.is_visible()
    alone = context.new_page()
    alone.set_content(frame.get_attribute("srcdoc"))
    assert "Address order" in alone.locator("#player > pre").inner_text()
    context.close()


@browser
def test_without_a_canvas_a_player_is_its_text(decks: Path, page: Any) -> None:
    without = "<script>HTMLCanvasElement.prototype.getContext = () => null</script></head><body"
    old = decks / "02_without_canvas.html"
    old.write_text((decks / "02_buddy.html").read_text().replace("</head><body", without))
    deck = Deck(page, old)
    frame = deck.show(".player iframe").element_handle().content_frame()
    assert "Address order" in frame.wait_for_selector("#player > pre").text_content()
    assert deck.wrong == []


@browser
def test_on_paper_each_slide_has_its_notes_and_players_their_picture(
    decks: Path, page: Any
) -> None:
    deck = Deck(page, decks / "02_buddy.html")
    page.emulate_media(media="print", color_scheme="dark")
    for section in page.query_selector_all(".slides > section"):
        for part in (".page", "aside.notes"):
            assert section.query_selector(part).is_visible()
    for player in page.query_selector_all(".player"):
        assert not player.query_selector("iframe").is_visible()
        assert player.query_selector(".on-paper").bounding_box()["height"] > 100
    back = "getComputedStyle(document.querySelector('.page')).backgroundColor"
    assert page.evaluate(back) == "rgb(255, 255, 255)"
    assert deck.wrong == []


@browser
def test_a_handout_is_printed(decks: Path, tmp_path: Path) -> None:
    from memsim.publish.paper import print_pdf

    pdf = tmp_path / "a handout.pdf"
    print_pdf(str(find_chromium()), decks / "02_buddy.html", pdf)
    data = pdf.read_bytes()
    assert data.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", data)) >= 15
