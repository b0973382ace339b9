"""The demonstration: its controls in Python, then the page that Voila makes of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from memsim.views.demo import RECORDED, Demo
from tests.lessons import complaints_of
from tests.test_views_access import faults

ROOT = Path(__file__).parents[1]


def test_undo_takes_operations_back_and_redo_does_them_again() -> None:
    demo = Demo()
    nr_operations, before = len(demo.machine.history), demo.proc()
    for _ in range(30):
        demo.undo.click()
    assert len(demo.machine.history) == nr_operations - 30
    assert demo.proc() != before
    demo.machine.validate()
    for _ in range(30):
        demo.redo.click()
    assert demo.proc() == before
    assert demo.player.step == demo.player.last_step > 0


def test_what_cannot_be_done_is_said_and_changes_nothing() -> None:
    demo = Demo()
    shown = demo.player.text()
    demo.redo.click()
    assert demo.text().startswith("Refused: nothing to redo\n")
    assert demo.player.text() == shown


@pytest.mark.parametrize("workload", ["desktop", "web server", "build machine", "phone"])
def test_the_same_choice_gives_the_same_run(workload: str) -> None:
    told = set()
    for _ in range(2):
        demo = Demo(steps=RECORDED)
        demo.preset.value, demo.ram.value, demo.cpus.value = workload, "128 MiB", 4
        demo.seed.value, demo.steps.value = 7, 50
        demo.run.click()
        told.add(demo.text())
    assert len(told) == 1
    assert told.pop().startswith(f"{workload}, 128 MiB: 50 steps, ")


@pytest.fixture(scope="module")
def demo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demonstration, started as `make demo` starts it."""
    pytest.importorskip("voila")
    if os.name == "nt":
        pytest.skip("`make demo` is for systems that have make")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outside = ("DISPLAY", "WAYLAND", "JUPYTER")
    env = {key: value for key, value in os.environ.items() if not key.startswith(outside)}
    said = tmp_path_factory.mktemp("voila") / "said"
    command = [ROOT / "tools" / "demo", sys.prefix, f"--port={port}", "--Voila.ip=127.0.0.1"]
    with said.open("w") as output:
        server = subprocess.Popen(
            command,
            env=env | {"HOME": str(said.parent)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_it_listens(server, port, said)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(timeout=60)


def _wait_until_it_listens(server: subprocess.Popen[bytes], port: int, said: Path) -> None:
    end = monotonic() + 120
    while monotonic() < end and server.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.1)
    pytest.fail(f"Voila did not come up; it said:\n{said.read_text()}")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_voila_s_page_runs_a_workload_and_needs_no_other_machine(
    theme: str, demo_url: str, page: Any, tmp_path: Path
) -> None:
    said = complaints_of(page)
    page.on("requestfailed", lambda r: said.append(f"failed: {r.url}"))
    page.on("response", lambda r: said.append(f"{r.status}: {r.url}") if r.status > 399 else None)
    page.goto(f"{demo_url}?theme={theme}")
    player = page.locator(".memsim-player")
    player.focus()
    page.keyboard.press("ArrowRight")
    assert player.get_attribute("data-step") == "1"

    page.get_by_label("workload").select_option("web server")
    page.get_by_role("button", name="Run").click()
    page.locator("[role=status]", has_text="web server, 64 MiB: 200 steps").wait_for()
    page.locator(".memsim-player:not([data-step='0']):not([data-step='1'])").wait_for()
    page.keyboard.press("Tab")
    player.focus()
    page.keyboard.press("Home")
    assert player.get_attribute("data-step") == "0"
    page.get_by_role("button", name="Undo").click()
    page.locator("[role=status]", has_text="Undone: ").wait_for()

    dark = "e => getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3).every(c => c < 120)"
    assert page.locator("body").evaluate(dark) == (theme == "dark")
    assert player.evaluate(dark) == (theme == "dark")
    page.screenshot(path=tmp_path / f"demo_{theme}.png", full_page=True)
    assert faults(page) == []
    assert said == []
