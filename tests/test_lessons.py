"""What every lesson promises: its form, its cells in any order, every control, keys alone, themes.

Screenshots go to the tests' temporary folders, to be looked at.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lessons import CURRENT, LESSONS, NOTEBOOKS, OpenLesson, notebook_of, path_of, sources
from nbclient import NotebookClient

each_lesson = pytest.mark.parametrize("name", LESSONS)
#: How many predictions a lesson has at least, where it is fewer than four.
FEWER = {"00_start": 2}

PLAYERS = r"^(player|bench|sides)$|^Player\(|^Bench\("


# What is committed


@each_lesson
def test_only_checked_cells_keep_their_output(name: str) -> None:
    notebook = notebook_of(name)
    assert "widgets" not in notebook["metadata"]
    assert path_of(name).stat().st_size < 200_000
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            checked = "".join(cell["source"]).startswith("# NBVAL_CHECK_OUTPUT")
            assert bool(cell["outputs"]) == checked
            assert (cell["execution_count"] is not None) == checked


@each_lesson
def test_cells_are_short_and_answers_are_folded_away(name: str) -> None:
    for cell in notebook_of(name)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            continue
        hidden = cell["metadata"].get("jupyter") == {"source_hidden": True}
        assert len(source.splitlines()) <= (17 if hidden else 14), source
        if ".reveal(" in source or "Question(\n" in source:
            assert hidden


@each_lesson
def test_every_prediction_is_asked_before_it_is_revealed(name: str) -> None:
    text = "\n".join(sources(name))
    asked = [(m[1], m.start()) for m in re.finditer(r'\.ask\(\n\s+"(\w+)"', text)]
    revealed = [(m[1], m.start()) for m in re.finditer(r'\.reveal\(\s*"(\w+)"', text)]
    assert [name for name, _ in asked] == [name for name, _ in revealed]
    assert len(asked) >= FEWER.get(name, 4)
    assert all(one < other for (_, one), (_, other) in zip(asked, revealed, strict=True))


@each_lesson
def test_a_lesson_has_all_its_parts(name: str) -> None:
    title, *_ = sources(name, "markdown")
    text, code = "\n".join(sources(name, "markdown")), "\n".join(sources(name, "code"))
    assert re.match(r"# \d\d [^\n]+\n\n> [^\n]+", title), "a question somebody asked comes first"
    assert f"# {name[:2]} " in title
    for heading in ("## Since the book", "## Check yourself", "## What to take away"):
        assert heading in text
    assert len(re.findall(r"Question\(\n", code)) == 3
    assert "source(" in code
    assert "Player(" in code
    assert "data/" in code, "a real machine's own text"
    assert len(re.findall(r"^# NBVAL_CHECK_OUTPUT", code, re.MULTILINE)) >= 3
    assert len(re.findall(r"^ *assert ", code, re.MULTILINE)) >= 8


def test_no_script_of_ours_can_say_what_is_harmless_of_jupyterlab() -> None:
    for script in (NOTEBOOKS.parent / "memsim" / "views").glob("*.js"):
        assert "removeChild" not in script.read_text(encoding="utf-8"), script.name


@pytest.mark.alone
@each_lesson
def test_cells_run_backwards(name: str) -> None:
    run_backwards(name, times=1)


@pytest.mark.long
@each_lesson
def test_cells_run_backwards_and_again(name: str) -> None:
    run_backwards(name, times=2)


def run_backwards(name: str, times: int) -> None:
    """Run the first cell, which imports, then all others from the last, so many times."""
    notebook = nbformat.read(path_of(name), as_version=4)
    first, *others = (cell for cell in notebook.cells if cell.cell_type == "code")
    backwards = [first, *reversed(others)]
    notebook.cells = [copy.deepcopy(cell) for _ in range(times) for cell in backwards]
    resources = {"metadata": {"path": str(path_of(name).parent)}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()


# In the browser


@pytest.mark.browser
def test_all_cells_run_in_order_and_none_fails(lesson: OpenLesson) -> None:
    counts = lesson.page.evaluate(
        f"{CURRENT}.content.widgets.filter(cell => cell.model.type === 'code')"
        ".map(cell => cell.model.executionCount)"
    )
    assert counts == list(range(1, len(counts) + 1))
    assert lesson.errors() == []


@pytest.mark.browser
@pytest.mark.parametrize("most", [1, pytest.param(99, marks=pytest.mark.long)], ids=["one", "all"])
def test_a_prediction_is_kept_and_compared(lesson: OpenLesson, most: int) -> None:
    for asks in lesson.indexes(r"^predictions\.ask\(")[:most]:
        cell = lesson.run(asks)
        cell.locator("input[type=radio]:not(:disabled)").first.wait_for()
        chosen = cell.locator(".widget-radio-box label").first
        words = (chosen.text_content() or "").strip()
        chosen.click()
        cell.locator("text=Noted. Run the next cell to see.").wait_for()
        reveals = min(i for i in lesson.indexes(r"^predictions\.reveal\(") if i > asks)
        said = lesson.run(reveals).locator("[role=status]")
        said.filter(has_text=re.compile(f"^(As you|You) predicted: {re.escape(words)}")).wait_for()


@pytest.mark.browser
def test_each_answer_is_given_its_reason(lesson: OpenLesson) -> None:
    for index in lesson.indexes(r"^question = Question\("):
        cell = lesson.show(index)
        radios = cell.locator("input[type=radio]")
        verdicts = []
        for number in range(radios.count()):
            radios.nth(number).check()
            said = cell.locator("[role=alert]")
            said.wait_for()
            lesson.page.wait_for_function(
                "([e, old]) => e.isConnected === false || e.textContent !== old",
                arg=[said.element_handle(), verdicts[-1] if verdicts else ""],
            )
            verdicts.append(cell.locator("[role=alert]").text_content() or "")
        assert len([v for v in verdicts if v.startswith("Right: ")]) == 1
        assert len({v for v in verdicts if v.startswith("Not so: ")}) == len(verdicts) - 1


@pytest.mark.browser
def test_every_slider_moves_by_keys_alone(lesson: OpenLesson, tmp_path: Path) -> None:
    for index in range(len(lesson.sources)):
        if not re.search(
            r"^(frames|buddies|bench|batches|cache_geometry|slab_steps|corrupt_byte|decode_pointer"
            r"|footprint_slider|address_space|tree_search|four_fits|walk_address|lazy_flushes"
            r"|who_answers|chooser|mixed_machine|can_i_sleep|poisoned|two_machines|walker|tank"
            r"|memblock_desk|saw_desk|lru_desk|scanners|badness_desk|remedy_clinic)$",
            lesson.sources[index],
            re.M,
        ):
            continue
        cell = lesson.show(index)
        handles = cell.locator("[role=slider]")
        assert handles.count()
        for number in range(handles.count()):
            handle = handles.nth(number)
            handle.focus()
            at = handle.get_attribute("aria-valuenow")
            lesson.page.keyboard.press("ArrowRight")
            if handle.get_attribute("aria-valuenow") == at:  # it stood at its end
                lesson.page.keyboard.press("ArrowLeft")
            assert handle.get_attribute("aria-valuenow") != at
        lesson.picture(tmp_path / f"cell_{index}.png")
    assert lesson.in_kernel("print('still there')") == "still there"
    assert lesson.errors() == []


def players(lesson: OpenLesson) -> Iterator[Any]:
    """Each player of the lesson, scrolled to."""
    for index in lesson.indexes(PLAYERS):
        if not lesson.sources[index].startswith("# NBVAL_CHECK_OUTPUT"):
            player = lesson.show(index).locator(".memsim-player").first  # both sides have their own
            player.wait_for()
            yield player


@pytest.mark.browser
def test_each_player_by_keys_alone(lesson: OpenLesson) -> None:
    seen = 0
    for player in players(lesson):
        player.focus()
        lesson.page.keyboard.press("End")
        last = int(player.get_attribute("data-step") or 0)
        for key, step in [("Home", 0), ("ArrowRight", min(1, last)), ("ArrowLeft", 0)]:
            lesson.page.keyboard.press(key)
            assert player.get_attribute("data-step") == str(step)
        seen += 1
    assert seen
    # No key got through to the notebook: same cells.
    assert lesson.page.evaluate(f"{CURRENT}.content.widgets.length") == len(lesson.sources)


@pytest.mark.browser
def test_charts_are_drawn_and_said_in_words(lesson: OpenLesson) -> None:
    for index in lesson.indexes(r"^charts\.show\("):
        cell = lesson.show(index)
        cell.locator(".js-plotly-plot .trace").first.wait_for()
        assert len(cell.locator(".memsim-alt").text_content() or "") > 20
        assert cell.locator(".modebar-btn").count() == 0


@pytest.mark.browser
def test_the_lesson_follows_the_dark_theme(lesson: OpenLesson, tmp_path: Path) -> None:
    lesson.theme("Dark")
    style = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
    for number, player in enumerate(players(lesson)):
        dark, light = (
            sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in player.evaluate(style)
        )
        assert dark < 120 < 600 < light
        lesson.picture(tmp_path / f"player_{number}_dark.png")
    for index in lesson.indexes(r"^charts\.show\("):
        chart = lesson.show(index)
        chart.locator(".js-plotly-plot .trace").first.wait_for()
        paper = chart.locator(".main-svg").first
        assert paper.evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"
        assert chart.locator(".js-plotly-plot").evaluate("e => e.offsetHeight") > 300
    lesson.theme("Light")


@pytest.mark.browser
def test_nothing_is_cut_off_in_a_narrow_window(lesson: OpenLesson, tmp_path: Path) -> None:
    lesson.page.set_viewport_size({"width": 480, "height": 900})
    lesson.page.evaluate("jupyterapp.shell.collapseLeft(); jupyterapp.shell.collapseRight()")
    for number, player in enumerate(players(lesson)):
        assert player.evaluate("e => e.scrollWidth <= e.clientWidth")
        lesson.picture(tmp_path / f"narrow_{number}.png")
    lesson.page.set_viewport_size({"width": 1280, "height": 1000})
