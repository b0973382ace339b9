"""The site: whole, offline, searchable, for everybody; built once for all tests of this file."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from memsim.cli import main
from memsim.publish.executed import read_notebook
from memsim.publish.site.build import build_site
from memsim.publish.site.lesson import lesson_body
from memsim.publish.site.places import find_course
from memsim.publish.site.reading import Reading
from memsim.words.errors import BadInput
from tests.lessons import LESSONS
from tests.test_views_access import faults

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, in a folder with a space; CI names one that it has built already."""
    folder = tmp_path_factory.mktemp("a site")
    if built := os.environ.get("MEMSIM_SITE"):
        shutil.copytree(ROOT / built, folder, dirs_exist_ok=True)
    else:
        build_site(folder)
    return folder


def pages_of(site: Path) -> Iterator[tuple[str, str]]:
    """Each page's address and text."""
    for path in sorted(site.rglob("*.html")):
        yield path.relative_to(site).as_posix(), path.read_text(encoding="utf-8")


# What is made


def test_the_site_is_whole(tmp_path: Path) -> None:
    """Every link is followed as it is built; here lessons are not run."""
    made = build_site(tmp_path / "out", run=read_notebook)
    course = find_course(ROOT)
    assert [place.source.stem for place in course.lessons] == LESSONS
    assert {place.page for place in course.all} | {"search.html", "exercises.html"} == {
        name for name in made if name.endswith(".html")
    }
    for path in (ROOT / "exercises").glob("*.ipynb"):
        assert (tmp_path / "out" / "exercises" / path.name).read_bytes() == path.read_bytes()
    assert sum(made.values()) < 15_000_000


@pytest.mark.browser
def test_no_page_names_anything_outside_that_a_browser_would_fetch(site: Path) -> None:
    for page, text in pages_of(site):
        fetched = [one for one in Reading(text).fetched if not one.startswith("data:")]
        assert [one for one in fetched if ":" in one or one.startswith("//")] == [], page
        assert 'http-equiv="Content-Security-Policy"' in text
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.search(r"@import|url\(", styles)


@pytest.mark.browser
def test_nothing_of_this_machine_and_no_solution_is_on_a_page(site: Path) -> None:
    for page, text in pages_of(site):
        assert str(ROOT) not in text, page
        assert "### BEGIN SOLUTION" not in text or page == "writing-exercises.html", page
    assert "The course can run here" not in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.browser
def test_what_gives_a_prediction_away_is_folded_and_answers_have_no_code(site: Path) -> None:
    text = (site / "02_buddy.html").read_text(encoding="utf-8")
    assert text.count('<details class="revealed">') == text.count('<div class="asked">') == 5
    assert text.count('<details class="outcome">') >= 5
    assert "You predicted nothing" not in text
    assert "predictions.reveal" not in re.sub(r"<[^>]+>", "", text)
    assert text.count('<p class="live">') == 1
    assert text.count('class="on-paper"') == text.count("<iframe")


def lesson_of(*sources: str) -> Any:
    """A notebook with code cells of that source; each has printed "seven"."""
    made = nbformat.v4.new_output("stream", text="seven")
    cells = [nbformat.v4.new_code_cell(source, outputs=[made]) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


def test_a_cell_s_outcome_is_folded_from_the_prediction_to_its_answer_only() -> None:
    notebook = lesson_of(
        "first()", "predictions.ask(1)", "second()", "predictions.reveal(1)", "third()"
    )
    for at in (1, 3):
        notebook.cells[at].metadata["jupyter"] = {"source_hidden": True}
    body = lesson_body(notebook, "02.ipynb", str)
    assert re.findall(r"first|second|third|asked|revealed|outcome|seven", body) == [
        "first", "seven", "asked", "seven", "second", "outcome", "seven", "revealed", "seven",
        "third", "seven",
    ]  # fmt: skip


def test_a_cell_that_needs_a_kernel_is_left_out() -> None:
    notebook = lesson_of("first()", "second()")
    notebook.cells[1].metadata["tags"] = ["kernel-only"]
    assert "second" not in lesson_body(notebook, "02.ipynb", str)


# What is refused


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A course of one lesson."""
    (tmp_path / "notebooks").mkdir()
    for name, text in {
        "index": "# A course",
        "glossary": "# Words",
        "01_one": "# 01 One\n\n## A part",
    }.items():
        write_lesson(tmp_path, name, text)
    # the foot of each page leads to it
    (tmp_path / "notebooks" / "LICENSE.md").write_text("# Licence\n")
    return tmp_path


def write_lesson(root: Path, name: str, text: str) -> None:
    """A notebook with one cell of text."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")


def refused(root: Path, out: Path) -> str:
    """What is said; nothing is written."""
    with pytest.raises(BadInput) as error:
        build_site(out, root, run=read_notebook)
    assert not out.exists()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("02_two.ipynb", "01_one.ipynb: links to 02_two.ipynb, which is no page of the site"),
        ("#Another-part", "01_one.html: links to #Another-part, which is not there"),
        ("index.ipynb#Parts", "01_one.html: links to index.html#Parts, which is not there"),
    ],
)
def test_a_link_that_leads_nowhere_is_told_with_its_page(
    small: Path, tmp_path: Path, link: str, said: str
) -> None:
    write_lesson(small, "01_one", f"# 01 One\n\n## A part\n\n[there]({link})")
    assert refused(small, tmp_path / "out").endswith(said)


def test_links_to_pages_and_parts_are_followed(small: Path, tmp_path: Path) -> None:
    write_lesson(small, "index", "# A course\n\n[one](01_one.ipynb#A-part) <https://example.org>")
    write_lesson(small, "01_one", "# 01 One\n\n## A part\n\n[top](index.ipynb), [here](#A-part)")
    made = build_site(tmp_path / "out", small, run=read_notebook)
    assert 'href="01_one.html#A-part"' in (tmp_path / "out" / "index.html").read_text()
    assert made["index.html"] == (tmp_path / "out" / "index.html").stat().st_size


def test_a_folder_without_lessons_is_refused(tmp_path: Path) -> None:
    assert "there are no lessons" in refused(tmp_path, tmp_path / "out")


def test_a_lesson_without_a_title_is_refused(small: Path, tmp_path: Path) -> None:
    write_lesson(small, "01_one", "no title")
    assert "01_one.ipynb: has no title" in refused(small, tmp_path / "out")


def test_a_place_that_cannot_be_written_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], small: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(BadInput, match=r"taken.*name a folder with --out"):
        build_site(tmp_path / "taken", small, run=read_notebook)
    assert main(["site", "--jobs", "-1"]) == 2
    assert capsys.readouterr().err == "memsim: --jobs: -1; should be 0, one a CPU, or more\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_course_that_cannot_be_written_to_is_read(small: Path, tmp_path: Path) -> None:
    (small / "notebooks").chmod(stat.S_IRUSR | stat.S_IXUSR)
    before = sorted(small.rglob("*"))
    build_site(tmp_path / "out", small, run=read_notebook)
    (small / "notebooks").chmod(0o755)
    assert sorted(p for p in small.rglob("*") if not p.is_relative_to(tmp_path / "out")) == before


# In a browser


@pytest.fixture
def offline(page: Any) -> Iterator[Any]:
    """A page that has no network; what fails, or is asked for outside, is told at the end."""
    wrong: list[str] = []
    page.context.route(re.compile(r"^(?!file:|data:|blob:|about:)"), lambda route: wrong.append(
        route.request.url) or route.abort())  # fmt: skip
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    yield page
    assert wrong == []


def open_page(page: Any, site: Path, name: str) -> None:
    page.goto((site / name).as_uri())


def until(page: Any, holds: Callable[[], bool]) -> None:
    """Waits; a page's policy forbids Playwright's own wait_for_function()."""
    for _ in range(200):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail("does not come to hold")


@pytest.mark.browser
def test_every_page_opens_without_a_network_and_is_not_too_wide(offline: Any, site: Path) -> None:
    for name, _ in pages_of(site):
        open_page(offline, site, name)
        for width in (360, 1280):
            offline.set_viewport_size({"width": width, "height": 800})
            assert offline.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.browser
def test_players_scrub_and_follow_the_page_s_light_and_dark(offline: Any, site: Path) -> None:
    # not Playwright's own light, which it would hold to in frames too
    offline.emulate_media(color_scheme="null")
    open_page(offline, site, "02_buddy.html")
    offline.locator("iframe").first.scroll_into_view_if_needed()
    player = offline.locator("iframe").first.element_handle().content_frame()
    slider = player.get_by_role("slider").first
    slider.press("End")
    assert slider.evaluate("slider => slider.value === slider.max && Number(slider.max) > 5")
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    assert not player.evaluate(dark)
    offline.get_by_role("button", name="Dark").click()
    until(offline, lambda: player.evaluate(dark))
    assert offline.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 20, 20)"
    fits = "Math.abs(document.body.offsetHeight - innerHeight) < 20"
    until(offline, lambda: player.evaluate(fits))
    offline.reload()
    assert offline.get_by_role("button", name="Light").is_visible(), "the choice is kept"


@pytest.mark.browser
def test_charts_are_drawn(offline: Any, site: Path) -> None:
    open_page(offline, site, "02_buddy.html")
    offline.locator(".chart").first.scroll_into_view_if_needed()
    offline.locator(".chart svg .bars").first.wait_for()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("expand()", "Write expand()"),
        ("__rmqueue_smallest", "The split, step by step"),
        ("watermark_boost", "05"),
        ("pageblock", "pageblock in Glossary"),
    ],
)
def test_search_finds_names_of_the_kernel(offline: Any, site: Path, asked: str, first: str) -> None:
    open_page(offline, site, "exercises/08_expand.html")
    offline.keyboard.press("/")
    offline.keyboard.type(asked)
    offline.keyboard.press("Enter")
    offline.wait_for_url("**/search.html?q=*")
    found = offline.locator("#results li").all_inner_texts()
    assert any(first in one for one in found[:5]), found
    assert re.match(r"\d+ sections?", offline.get_by_role("status").inner_text())
    name = asked.removesuffix("()")
    assert offline.locator("#results mark").first.inner_text().lower() == name
    offline.locator("#results a").first.click()
    offline.wait_for_url("**/*.html#*")  # and until that page has loaded
    anchor = "document.getElementById(decodeURIComponent(location.hash.slice(1))) !== null"
    assert offline.evaluate(anchor)


@pytest.mark.browser
def test_search_says_when_nothing_is_found(offline: Any, site: Path) -> None:
    offline.goto((site / "search.html").as_uri() + "?q=zyzzyva")
    assert offline.get_by_role("status").inner_text() == "Nothing was found."


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "05_watermarks", "exercises/08_expand", "search"])
def test_axe_finds_no_serious_fault(page: Any, site: Path, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    open_page(page, site, f"{name}.html")
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert faults(page, {"exclude": [["iframe"]]}) == []  # of players: test_views_access.py


@pytest.mark.browser
def test_the_menu_of_a_narrow_window_opens_by_key(offline: Any, site: Path) -> None:
    offline.set_viewport_size({"width": 360, "height": 800})
    open_page(offline, site, "02_buddy.html")
    menu, button = offline.locator("#menu"), offline.get_by_role("button", name="Contents")
    assert not menu.is_visible()
    button.press("Enter")
    assert menu.is_visible()
    assert button.get_attribute("aria-expanded") == "true"


@pytest.mark.browser
def test_without_scripts_everything_can_be_read(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 800})
    page = context.new_page()
    open_page(page, site, "02_buddy.html")
    assert page.locator("#menu").is_visible()
    assert "<pre>Step 0 of" in page.locator("iframe").first.get_attribute("srcdoc")
    open_page(page, site, "search.html")
    assert "Searching needs JavaScript" in page.locator("article").inner_text()
    context.close()


@pytest.mark.browser
def test_on_paper_players_are_words_and_everything_is_open(offline: Any, site: Path) -> None:
    open_page(offline, site, "02_buddy.html")
    offline.emulate_media(media="print", color_scheme="dark")
    offline.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert offline.locator("details:not([open])").count() == 0
    assert not offline.locator("iframe").first.is_visible()
    assert offline.locator(".on-paper").first.is_visible()
    assert (
        offline.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
