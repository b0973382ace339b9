"""A lesson as a reader has it: its cells, and JupyterLab in Chromium with every cell run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
#: Every lesson, by its file's name without .ipynb.
LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
#: Every notebook of the course: the index and the glossary too.
ALL = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
#: What JupyterLab itself may say on the console.
HARMLESS = re.compile(
    r"favicon|ResizeObserver loop|Download the React DevTools"
    # of a notebook that was closed: jupyterlab issue 15415, NotebookWindowedLayout.detachWidget()
    r"|Failed to execute 'removeChild' on 'Node': The node to be removed is not a child of this"
)

DESKTOP = {"width": 1280, "height": 1000}
CURRENT = "jupyterapp.shell.currentWidget"


def of_lesson(name: str) -> pytest.MarkDecorator:
    """A test that needs one lesson open; it is opened once, for all its tests in all files."""
    return pytest.mark.parametrize("lesson", [name], indirect=True)


def path_of(name: str) -> Path:
    return NOTEBOOKS / f"{name}.ipynb"


def notebook_of(name: str) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path_of(name).read_text(encoding="utf-8"))
    return notebook


def sources(name: str, kind: str | None = None) -> list[str]:
    """The text of each cell; with a kind, of the cells of that kind."""
    cells = notebook_of(name)["cells"]
    return ["".join(c["source"]) for c in cells if kind in (None, c["cell_type"])]


class OpenLesson:
    """A lesson in a page, run from its first cell to its last."""

    def __init__(self, page: Any, name: str) -> None:
        self.page = page
        self.name = name
        self.sources = sources(name)

    def indexes(self, pattern: str) -> list[int]:
        """Numbers of the cells in whose text this is found."""
        return [i for i, text in enumerate(self.sources) if re.search(pattern, text, re.M)]

    def show(self, cell: int | str) -> Any:
        """Scrolls to a cell, by number or by how its text starts; its element."""
        if isinstance(cell, str):
            cell = next(i for i, text in enumerate(self.sources) if text.startswith(cell))
        self.page.evaluate(f"{CURRENT}.content.activeCellIndex = {cell}")
        self.page.evaluate(f"{CURRENT}.content.scrollToItem({cell}, 'start')")
        shown = self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{cell}']")
        shown.wait_for()
        return shown

    def run(self, cell: int | str) -> Any:
        """Runs a cell, as Ctrl+Enter does."""
        shown = self.show(cell)
        self.page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")
        return shown

    def picture(self, path: Path) -> None:
        """A screenshot, to be looked at; none in CI, where nobody looks and all take a minute."""
        if not os.environ.get("CI"):
            self.page.screenshot(path=path)

    def in_kernel(self, code: str) -> str:
        """What the notebook's kernel prints for this."""
        printed = self.page.evaluate(
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

    def comes(self, expression: str, expected: str) -> None:
        """In Python it is so, sooner or later: where a reader rests is told a moment later."""
        for _ in range(50):
            said = self.in_kernel(f"print({expression})")
            if said == expected:
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"{expression} is {said}, should be {expected}")

    def errors(self) -> list[Any]:
        """Outputs of all cells that are errors."""
        found: list[Any] = self.page.evaluate(
            f"{CURRENT}.content.widgets.flatMap(cell => cell.model.outputs ?"
            " cell.model.outputs.toJSON().filter(o => o.output_type === 'error'"
            " || o.name === 'stderr') : [])"
        )
        return found

    def theme(self, name: str) -> None:
        """JupyterLab's own theme, Dark or Light."""
        light = str(name == "Light").lower()
        self.page.evaluate(
            f"jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {name}'}})"
        )
        self.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")


def complaints_of(page: Any) -> list[str]:
    """What the page complains about from now on: errors, and requests to any other machine."""
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("request", lambda r: said.append(r.url) if _is_outside(r.url) else None)
    return said


class LabPage:
    """JupyterLab in a page of its own, and what that page has complained about."""

    def __init__(self, browser: Any, lab: Any) -> None:
        context = browser.new_context(viewport=DESKTOP)
        context.set_default_timeout(60_000)
        self.page = context.new_page()
        self.said = complaints_of(self.page)
        self.page.goto(f"{lab.url}/lab?token={lab.token}&reset")
        self.page.wait_for_selector(".jp-DirListing-item")
        self.page.evaluate("jupyterapp.restored")
        self.page.evaluate(
            "jupyterapp.commands.isToggled('docmanager:toggle-autosave')"
            " && jupyterapp.commands.execute('docmanager:toggle-autosave')"
        )


@contextmanager
def opened(lab_page: LabPage, name: str) -> Iterator[OpenLesson]:
    """The lesson, every cell run; what its page complains about meanwhile is a failure."""
    lesson = OpenLesson(lab_page.page, name)
    lesson.page.set_viewport_size(DESKTOP)
    lesson.theme("Light")
    lab_page.said.clear()  # what closing another lesson left behind
    _run_all(lesson.page, name)
    yield lesson
    complaints = [line for line in lab_page.said if not HARMLESS.search(line)]
    _close(lesson.page)
    assert not complaints, f"{name}: {complaints}"


def _is_outside(url: str) -> bool:
    return url.startswith("http") and not url.startswith("http://127.0.0.1:")


def _run_all(page: Any, name: str) -> None:
    """Opens the lesson and runs it; it is not saved, so the file stays as it is."""
    page.evaluate(
        """async path => {
            const panel = await jupyterapp.commands.execute('docmanager:open', { path });
            await panel.revealed;
            await panel.sessionContext.ready;
            await panel.sessionContext.session.kernel.info;
        }""",
        f"{name}.ipynb",
    )
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")


def _close(page: Any) -> None:
    """Closes the lesson, unsaved, and stops its kernel."""
    page.evaluate(
        f"""async () => {{
            const panel = {CURRENT};
            const id = panel.sessionContext.session.id;
            panel.dispose();
            await jupyterapp.serviceManager.sessions.shutdown(id);
        }}"""
    )
