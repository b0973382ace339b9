"""Lesson 02 as a reader has it: JupyterLab in Chromium, every control, by keys alone too.

Screenshots go to the tests' temporary folders, to be looked at.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
LESSON = ROOT / "notebooks" / "02_buddy.ipynb"
#: What JupyterLab itself may say on the console.
HARMLESS = re.compile(r"favicon|ResizeObserver loop|Download the React DevTools")

CURRENT = "jupyterapp.shell.currentWidget"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(LESSON.read_text())["cells"]
    return found


# What is committed


def test_only_checked_cells_keep_their_output() -> None:
    notebook = json.loads(LESSON.read_text())
    assert "widgets" not in notebook["metadata"]
    assert LESSON.stat().st_size < 200_000
    for cell in cells():
        if cell["cell_type"] == "code":
            checked = "".join(cell["source"]).startswith("# NBVAL_CHECK_OUTPUT")
            assert bool(cell["outputs"]) == checked
            assert (cell["execution_count"] is not None) == checked


def test_cells_are_short_and_answers_are_folded_away() -> None:
    for cell in cells():
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            continue
        assert len(source.splitlines()) <= 15, source
        if ".reveal(" in source or "Question(\n" in source:
            assert cell["metadata"]["jupyter"] == {"source_hidden": True}


def test_every_prediction_is_asked_before_it_is_revealed() -> None:
    text = "\n".join("".join(cell["source"]) for cell in cells())
    asked = [(m[1], m.start()) for m in re.finditer(r'\.ask\(\n\s+"(\w+)"', text)]
    revealed = [(m[1], m.start()) for m in re.finditer(r'\.reveal\(\s*"(\w+)"', text)]
    assert [name for name, _ in asked] == [name for name, _ in revealed]
    assert len(asked) == 5
    assert all(one < other for (_, one), (_, other) in zip(asked, revealed, strict=True))


def test_cells_run_backwards_and_twice() -> None:
    notebook = nbformat.read(LESSON, as_version=4)
    first, *others = (cell for cell in notebook.cells if cell.cell_type == "code")
    notebook.cells = [first, *reversed(copy.deepcopy(others)), *others, first]
    resources = {"metadata": {"path": str(LESSON.parent)}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()


# In the browser


@pytest.fixture(scope="module")
def lesson(jupyterlab: Any, browser: Any) -> Iterator[Any]:
    """The lesson with every cell run, for all tests; what its page complains about is a failure."""
    said: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("request", lambda r: said.append(r.url) if is_outside(r.url) else None)
    open_lesson(page, jupyterlab)
    yield page
    context.close()
    assert [line for line in said if not HARMLESS.search(line)] == []


def is_outside(url: str) -> bool:
    return url.startswith("http") and not url.startswith("http://127.0.0.1:")


def open_lesson(page: Any, lab: Any) -> None:
    """Opens the lesson and runs it; it is not saved, so the file stays as it is."""
    page.goto(f"{lab.url}/lab/tree/{LESSON.name}?token={lab.token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.evaluate(
        "jupyterapp.commands.isToggled('docmanager:toggle-autosave')"
        " && jupyterapp.commands.execute('docmanager:toggle-autosave')"
    )
    page.evaluate(
        f"async () => {{ const s = {CURRENT}.sessionContext;"
        " await s.ready; await s.session.kernel.info; }"
    )
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")


def show_cell(page: Any, text: str) -> Any:
    """Scrolls to the cell whose source starts with this; its element."""
    index = next(i for i, cell in enumerate(cells()) if "".join(cell["source"]).startswith(text))
    page.evaluate(f"{CURRENT}.content.activeCellIndex = {index}")
    page.evaluate(f"{CURRENT}.content.scrollToItem({index}, 'start')")
    cell = page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{index}']")
    cell.wait_for()
    return cell


def in_kernel(page: Any, code: str) -> str:
    """What the notebook's kernel prints for this."""
    printed = page.evaluate(
        f"""async code => {{
            const future = {CURRENT}.sessionContext.session.kernel.requestExecute({{ code }});
            let text = '';
            future.onIOPub = message => {{ text += message.content.text ?? ''; }};
            await future.done;
            return text;
        }}""",
        code,
    )
    return str(printed).strip()


def run_cell(page: Any, text: str) -> Any:
    """Runs the cell that starts with this, as Ctrl+Enter does."""
    cell = show_cell(page, text)
    page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")
    return cell


CHART = "scattered, together = free_some(range(0, 1024, 2)), free_some(range(512))\npages = {"
SPLIT = "machine = Machine.of_pages(64)\nwith machine.recording() as split:\n"


@pytest.mark.browser
def test_all_cells_run_in_order_and_none_fails(lesson: Any) -> None:
    counts = lesson.evaluate(
        f"{CURRENT}.content.widgets.filter(cell => cell.model.type === 'code')"
        ".map(cell => cell.model.executionCount)"
    )
    assert counts == list(range(1, len(counts) + 1))
    errors = lesson.evaluate(
        f"{CURRENT}.content.widgets.flatMap(cell => cell.model.outputs ?"
        " cell.model.outputs.toJSON().filter(o => o.output_type === 'error') : [])"
    )
    assert errors == []


@pytest.mark.browser
def test_a_prediction_is_kept_and_compared(lesson: Any, tmp_path: Path) -> None:
    cell = run_cell(lesson, 'predictions.ask(\n    "split"')
    cell.get_by_label("63 blocks of order 0").check()
    cell.locator("text=Noted. Run the next cell to see.").wait_for()
    cell = run_cell(lesson, "# What happened, and why\nmachine = Machine.of_pages(64)\nassert")
    cell.locator("text=You predicted: 63 blocks of order 0. It is: one block each").wait_for()
    lesson.screenshot(path=tmp_path / "prediction.png")


@pytest.mark.browser
def test_the_bit_is_flipped_by_button_and_by_keys(lesson: Any, tmp_path: Path) -> None:
    cell = show_cell(lesson, "buddies = Buddies(64)\nbuddies")
    cell.locator("button", has_text="Flip the bit").click()
    cell.locator("text=Block: pfn 8 = 0b001000, order 2").wait_for()
    order = cell.locator("[role=slider]").nth(1)
    order.focus()
    lesson.keyboard.press("ArrowRight")
    cell.locator("text=order 3. Flip bit 3, worth 8: the buddy is pfn 0").wait_for()
    lesson.screenshot(path=tmp_path / "buddies.png")


@pytest.mark.browser
def test_the_bench_drives_the_live_machine(lesson: Any, tmp_path: Path) -> None:
    cell = show_cell(lesson, "bench = Bench(Machine.of_pages(64))\nbench")
    order = cell.locator("[role=slider]").first
    order.focus()
    lesson.keyboard.press("ArrowRight")
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
    lesson.screenshot(path=tmp_path / "bench.png")


@pytest.mark.browser
def test_each_answer_is_given_its_reason(lesson: Any) -> None:
    cell = show_cell(lesson, 'question = Question(\n    "3.')
    cell.get_by_label("15").check()
    cell.locator("text=Not so: The order is an exponent").wait_for()
    cell.get_by_label("40").check()
    cell.locator("text=Right: 5 blocks").wait_for()


@pytest.mark.browser
def test_the_player_by_keys_alone(lesson: Any, tmp_path: Path) -> None:
    player = show_cell(lesson, SPLIT).locator(".memsim-player")
    player.focus()
    for key, step in [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2)]:
        lesson.keyboard.press(key)
        assert player.get_attribute("data-step") == str(step)
    assert "pfn 0, order 6, is split into" in (player.locator(".ms-say").text_content() or "")
    for _ in range(3):
        lesson.keyboard.press("Tab")  # First, Back, Play
    lesson.keyboard.press("Enter")
    player.locator("[aria-label=Pause]").wait_for()
    lesson.keyboard.press("End")
    assert player.get_attribute("data-step") == "16"
    assert player.locator("[aria-label=Play]").count() == 1
    # No key got through to the notebook: same cells, still in command mode.
    assert lesson.evaluate(f"{CURRENT}.content.widgets.length") == len(cells())
    lesson.keyboard.press("Home")
    for _ in range(9):
        lesson.keyboard.press("ArrowRight")
    lesson.screenshot(path=tmp_path / "player_light.png")


@pytest.mark.browser
def test_the_player_and_python_move_each_other(lesson: Any) -> None:
    player = show_cell(lesson, SPLIT).locator(".memsim-player")
    in_kernel(lesson, "import gc; kept = [w for w in gc.get_objects() if isinstance(w, Player)]")
    mine = "next(w for w in kept if w.payload['title'].startswith('order 0 out'))"
    in_kernel(lesson, f"{mine}.step = 7")
    show_cell(lesson, SPLIT).locator(".memsim-player[data-step='7']").wait_for()
    player.focus()
    lesson.keyboard.press("ArrowLeft")
    player.locator(".ms-chip[data-pfn='32']").click()
    for _ in range(50):
        came_back = in_kernel(lesson, f"print({mine}.step, {mine}.selected)")
        if came_back == "6 32":
            break
        lesson.wait_for_timeout(100)
    assert came_back == "6 32"


@pytest.mark.browser
def test_the_chart_is_drawn_and_said_in_words(lesson: Any, tmp_path: Path) -> None:
    cell = show_cell(lesson, CHART)
    cell.locator(".js-plotly-plot .bars").first.wait_for()
    assert "all 512 in one block of order 9" in (cell.locator(".memsim-alt").text_content() or "")
    assert cell.locator(".modebar-btn").count() == 0
    lesson.screenshot(path=tmp_path / "chart_light.png")


@pytest.mark.browser
def test_the_lesson_follows_the_dark_theme(lesson: Any, tmp_path: Path) -> None:
    change = "jupyterapp.commands.execute('apputils:change-theme', {{ theme: 'JupyterLab {}' }})"
    lesson.evaluate(change.format("Dark"))
    lesson.wait_for_selector("body[data-jp-theme-light='false']", state="attached")
    player = show_cell(lesson, SPLIT).locator(".memsim-player")
    style = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
    dark, light = (
        sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in player.evaluate(style)
    )
    assert dark < 120 < 600 < light
    lesson.screenshot(path=tmp_path / "player_dark.png")
    chart = show_cell(lesson, CHART)
    chart.locator(".js-plotly-plot .bars").first.wait_for()
    paper = chart.locator(".main-svg").first.evaluate("e => getComputedStyle(e).backgroundColor")
    assert paper == "rgba(0, 0, 0, 0)"
    assert chart.locator(".js-plotly-plot").evaluate("e => e.offsetHeight") > 300
    lesson.screenshot(path=tmp_path / "chart_dark.png")
    lesson.evaluate(change.format("Light"))
    lesson.wait_for_selector("body[data-jp-theme-light='true']", state="attached")


@pytest.mark.browser
def test_nothing_is_cut_off_in_a_narrow_window(lesson: Any, tmp_path: Path) -> None:
    lesson.set_viewport_size({"width": 480, "height": 900})
    lesson.evaluate("jupyterapp.shell.collapseLeft(); jupyterapp.shell.collapseRight()")
    player = show_cell(lesson, SPLIT).locator(".memsim-player")
    assert player.evaluate("e => e.scrollWidth <= e.clientWidth")
    lesson.screenshot(path=tmp_path / "narrow.png")
