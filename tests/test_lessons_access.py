"""Whole lessons for everybody, in JupyterLab: axe-core, 400 % zoom, keys alone.

A lesson of each allocator stands for all, and 05, whose tank is made of boxes side by side.
JupyterLab's own parts are not looked at.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.lessons import CURRENT, DESKTOP, OpenLesson
from tests.test_views_access import faults

pytestmark = pytest.mark.browser

LESSONS = ("02_buddy", "05_watermarks", "09_fast_slow", "12_page_tables")
each = pytest.mark.parametrize("lesson", LESSONS, indirect=True)
OURS = ".jp-Notebook .jp-OutputArea-output", ".jp-Notebook .jp-RenderedMarkdown"

#: What is wider than the place it is in, or so narrow that each line has a letter. Tables, programs
#: and what keys can scroll may be wide.
CROWDED = """selector => {
  const right = (e) => e.getBoundingClientRect().right;
  const tells = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim().length > 9);
  return [...document.querySelectorAll(selector)].flatMap((area) => {
    const MAY = 'table, pre, [tabindex="0"]';
    const inside = [...area.querySelectorAll('*')].filter((e) => e.checkVisibility());
    const scrolls = (e) => getComputedStyle(e).overflowX !== 'visible';
    const places = [area, ...inside.filter(scrolls)].filter((e) => e.clientWidth > 1);
    const wide = places.filter((place) => place.scrollWidth > place.clientWidth + 1)
      .flatMap((place) => [...place.querySelectorAll('*')].filter((e) =>
        right(e) > right(place) + 1 && !e.closest(MAY) && !e.querySelector(MAY)));
    const narrow = inside.filter((e) => tells(e) && e.offsetWidth < 40 && e.offsetHeight > 60);
    return [...wide, ...narrow].map((e) => e.outerHTML.slice(0, 200));
  });
}"""


@pytest.fixture
def whole(lesson: OpenLesson) -> OpenLesson:
    """A lesson with all its cells in the page at once."""
    lesson.page.evaluate(
        f"const notebook = {CURRENT}.content; jupyterapp.shell.collapseLeft();"
        "notebook.notebookConfig = { ...notebook.notebookConfig, windowingMode: 'none' }"
    )
    last = len(lesson.sources) - 1
    lesson.page.wait_for_selector(f".jp-Cell[data-windowed-list-index='{last}']")
    return lesson


@each
@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_axe_finds_no_serious_fault(whole: OpenLesson, theme: str) -> None:
    whole.theme(theme)
    assert faults(whole.page, {"include": [[part] for part in OURS]}) == []


@each
def test_sliders_tell_their_names_and_words(whole: OpenLesson) -> None:
    told = whole.page.evaluate(
        """() => [...document.querySelectorAll('.jp-Notebook .widget-slider')].map((row) => {
          const [handle, name, shown] = ['.noUi-handle', '.widget-label', '.widget-readout']
            .map((part) => row.querySelector(part));
          return [handle.ariaLabel, handle.ariaValueText, name.textContent, shown.textContent];
        })"""
    )
    assert told
    for name, words, *shown in told:
        assert [name, words] == shown


@each
def test_at_400_percent_zoom_only_tables_and_programs_scroll(
    whole: OpenLesson, tmp_path: Path
) -> None:
    whole.page.set_viewport_size({"width": 320, "height": 900})  # 1280 pixels at 400 %
    whole.page.wait_for_function("document.querySelector('.jp-Notebook').clientWidth < 320")
    for _ in range(100):  # charts take their new width a moment later
        crowded = whole.page.evaluate(CROWDED, ", ".join(OURS))
        if not crowded:
            break
        whole.page.wait_for_timeout(100)
    whole.picture(tmp_path / "zoomed.png")
    assert crowded == []
    whole.page.set_viewport_size(DESKTOP)


def test_the_zoom_test_is_shown_what_it_must_find(page: Any) -> None:
    long = "a_name_that_is_far_too_long_for_this_place" * 2
    page.set_content(
        f"<div class=x style='width: 200px; overflow: auto'><p><b>{long}</b></p>"
        f"<table><tr><td><i>{long}</i></table><u style='display: block; width: 2em;"
        f"overflow-wrap: anywhere'>{long}</u></div>"
    )
    found = [html[:3] for html in page.evaluate(CROWDED, ".x")]
    assert found == ["<b>", "<u "]


class Keys:
    """A reader who has keys and nothing else."""

    def __init__(self, lesson: OpenLesson, cell: int) -> None:
        self.page = lesson.page
        lesson.show(cell)
        self.page.evaluate("jupyterapp.commands.execute('notebook:enter-command-mode')")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def cell(self) -> int:
        """The number of the cell that has the focus."""
        return int(
            self.page.evaluate(
                "document.activeElement.closest('.jp-Cell')?.dataset.windowedListIndex ?? -1"
            )
        )

    def go(self, key: str, selector: str, cell: int) -> Any:
        """Press a key until what has the focus is such an element of that cell."""
        for _ in range(60):
            self.press(key)
            focused = self.page.evaluate("s => document.activeElement.matches(s)", selector)
            if focused and self.cell() == cell:
                return self.page.locator(f".jp-Cell[data-windowed-list-index='{cell}']")
        pytest.fail(f"{key} does not lead to {selector} of cell {cell}, but to {self.cell()}")


@each
def test_keys_alone_predict_play_and_answer(whole: OpenLesson) -> None:
    lesson = whole
    asks, reveals = (lesson.indexes(rf"^predictions\.{do}\(")[0] for do in ("ask", "reveal"))
    keys = Keys(lesson, asks - 1)
    keys.press("Shift+Enter", "Shift+Enter")  # the text above, then the question
    cell = f".jp-Cell[data-windowed-list-index='{asks}']"
    lesson.page.locator(f"{cell} input[type=radio]:not(:disabled)").first.wait_for()
    asked = keys.go("Shift+Tab", "input[type=radio]", asks)
    keys.press("Space")
    asked.locator("text=Noted. Run the next cell to see.").wait_for()
    keys.press("Escape", "ArrowDown", *["Shift+Enter"] * (reveals - asks))
    said = lesson.page.locator(f".jp-Cell[data-windowed-list-index='{reveals}'] [role=status]")
    said.filter(has_text=re.compile("^(As you|You) predicted: ")).wait_for()

    plays = lesson.indexes(r"^player$")[0]
    keys = Keys(lesson, plays)
    player = keys.go("Tab", ".memsim-player", plays).locator(".memsim-player")
    keys.press("End", "ArrowLeft", "ArrowRight", "Home", "ArrowRight")
    assert player.get_attribute("data-step") == "1"

    question = lesson.indexes(r"^question = Question\(")[0]
    keys = Keys(lesson, question - 1)
    asked = keys.go("Tab", "input[type=radio]", question)
    keys.press("Space")
    asked.locator("[role=alert]", has_text=re.compile("^(Right|Not so): ")).wait_for()
    keys.press("Escape", "ArrowDown")
    assert keys.cell() > question, "the focus does not come out again"
    assert lesson.errors() == []
