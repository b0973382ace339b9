"""The in-browser edition: built from the lock, and run in Chromium with no other host to reach."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from memsim.doctor import doctor
from memsim.lab import Exercise
from memsim.lab.guard import NO_ALARM
from tests.lessons import CURRENT, DESKTOP, OpenLesson, complaints_of
from tests.test_lessons_access import OURS
from tests.test_views_access import faults
from tools.jupyterlite import build, pyodide

ROOT = Path(__file__).parents[1]


def test_a_pyodide_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / f"pyodide-{pyodide.VERSION}.tgz"
    archive.write_bytes(b"another")
    with pytest.raises(SystemExit, match="is not the Pyodide"):
        pyodide.fetch_core(tmp_path, tmp_path)
    assert not archive.exists()


def test_the_lock_has_all_that_the_browser_loads_and_no_conditions() -> None:
    names = pyodide.closure(pyodide.ROOTS)
    assert {"traitlets", "narwhals", "psygnal"} <= names
    lines = list(pyodide.lines_of((ROOT / "requirements.lock").read_text(), names))
    assert len(lines) == len(names)
    assert all("--hash=sha256:" in line and ";" not in line for line in lines)


def test_a_package_that_the_lock_lacks_is_named() -> None:
    with pytest.raises(SystemExit, match=r"not in requirements\.lock: absent"):
        list(pyodide.lines_of("here==1 \\\n    --hash=sha256:0\n", {"here", "absent"}))


def test_the_list_of_packages_has_what_lies_there_and_no_other(tmp_path: Path) -> None:
    (tmp_path / pyodide.LOCK).write_text('{"info": 1, "packages": {"numpy": {}}}')
    _wheel(tmp_path / "a-1-py3-none-any.whl", "a", "b; extra == 'course'", "missing")
    _wheel(tmp_path / "b-1-py3-none-any.whl", "b", "a; sys_platform == 'win32'")
    pyodide.write_lock(tmp_path)
    packages = json.loads((tmp_path / pyodide.LOCK).read_text())["packages"]
    assert {name: p["depends"] for name, p in packages.items()} == {"a": ["b"], "b": []}
    assert packages["a"]["imports"] == ["a"]
    assert len(packages["a"]["sha256"]) == 64


def test_a_folder_that_is_something_else_is_not_built_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(SystemExit, match="is no JupyterLite"):
        build.main(tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def _wheel(path: Path, name: str, *needs: str) -> None:
    about = "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(f"{name}-1.dist-info/METADATA", f"Name: {name}\nVersion: 1\n{about}")


def test_the_doctor_asks_a_browser_for_no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert "jupyterlab" not in [check.name for check in doctor().checks]
    assert doctor().can_run


def test_check_says_where_nothing_stops_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "emscripten")
    exercise = Exercise("05_buddy_of_a_pfn", folder=ROOT / "exercises")
    exercise.check(answers)
    assert capsys.readouterr().out.splitlines() == [NO_ALARM]


def answers(given: Any) -> list[Any]:
    return []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site built as `make lite` builds it, served as it tells the reader to."""
    _skip_where_npm_reaches_nothing()
    output = tmp_path_factory.mktemp("lite")
    subprocess.run([ROOT / "tools" / "lite", sys.prefix, output], check=True)
    server = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [*server, "--directory", output],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield re.findall(r"http://\S+:\d+", process.stdout.readline())[0]
        process.terminate()


def _skip_where_npm_reaches_nothing() -> None:
    if os.name == "nt" or not shutil.which("npm"):
        pytest.skip("no npm here, which brings Pyodide")
    view = ["npm", "view", f"pyodide@{pyodide.VERSION}", "dist.integrity"]
    done = subprocess.run(view, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm does not reach its index: {done.stderr[:100]!r}")
    assert done.stdout.strip() == pyodide.INTEGRITY


@pytest.fixture
def told(site: str, page: Any, request: pytest.FixtureRequest) -> Iterator[OpenLesson]:
    """A lesson in the in-browser edition; what its page complains about is a failure."""
    name = request.param
    page.set_viewport_size(DESKTOP)
    said = complaints_of(page)
    page.on("requestfailed", lambda r: said.append(f"failed: {r.url}"))
    page.on("response", lambda r: said.append(f"{r.status}: {r.url}") if r.status > 399 else None)
    page.goto(f"{site}/lab/index.html?path=notebooks/{name}.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function(f"{CURRENT}.sessionContext")
    yield OpenLesson(page, name)
    assert said == []


#: The kernel starts, then all cells run; meanwhile window.has tells how far it is.
RUN_ALL = f"""async () => {{
  const panel = {CURRENT};
  window.has = {{}};
  window.counts = () => panel.content.widgets.filter((cell) => cell.model.type === 'code')
    .map((cell) => cell.model.executionCount);
  const started = async () => {{
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
    const all = jupyterapp.commands.execute('notebook:run-all-cells');
    const watch = setInterval(() => {{ window.has.first ||= window.counts()[0] !== null; }}, 50);
    await all;
    clearInterval(watch);
    window.has = {{ first: true, ended: true }};
  }};
  started();
}}"""


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.parametrize("told", ["02_buddy", "08_why_slab"], indirect=True)
def test_a_lesson_runs_to_its_end_and_its_player_steps(told: OpenLesson) -> None:
    start = monotonic()
    told.page.evaluate(RUN_ALL)
    told.page.wait_for_function("window.has.first", timeout=300_000)
    first = monotonic() - start
    told.page.wait_for_function("window.has.ended", timeout=300_000)
    end = monotonic() - start
    print(f"{told.name}: first cell after {first:.0f} s, the last after {end:.0f} s")
    assert told.errors() == []
    assert told.page.evaluate("window.counts()").count(None) == 0

    player = told.show(told.indexes(r"^player$|^Player\(")[0]).locator(".memsim-player")
    player.focus()
    for key, step in (("ArrowRight", "1"), ("ArrowRight", "2"), ("ArrowLeft", "1"), ("Home", "0")):
        told.page.keyboard.press(key)
        assert player.get_attribute("data-step") == step
    assert faults(told.page, {"include": [[part] for part in OURS]}) == []
