"""What every test may use: hypothesis' profiles, a Chromium, a page in it, a JupyterLab to open."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import settings

from memsim.doctor.tools import find_chromium
from tests.lessons import LESSONS, LabPage, OpenLesson, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


ROOT = Path(__file__).parent

# No deadline: slowness is no fault. In CI always the same examples: what fails is the change.
settings.register_profile("home", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Skip what drives a browser where there is none; say what stays on one worker, and when.

    What drives a browser comes last, lesson by lesson: Playwright's event loop runs from its first
    use to the end, and notebooks cannot run beside it.
    """
    skip = pytest.mark.skip(reason="no Chromium found: install one, or name it in MEMSIM_CHROMIUM")
    has_browser = find_chromium()
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
        if "browser" in item.keywords and not has_browser:
            item.add_marker(skip)
    yield
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[bool, str, str]:
    """Its place: of a lesson's tests those of its own widgets first, while these stand as made."""
    lesson = _lesson(item)
    return "browser" in item.keywords, lesson or "~", str(item.path) if lesson else ""


def _group(item: pytest.Item) -> str:
    """What stays on one worker, in order: a file, for it may share what it made; an open lesson."""
    if item.get_closest_marker("alone"):
        return item.nodeid
    is_browser = "browser" in item.keywords
    return f"{'browser ' * is_browser}{_lesson(item) or item.nodeid.partition('::')[0]}"


def _lesson(item: pytest.Item) -> str | None:
    """The lesson it needs open, if any."""
    call = getattr(item, "callspec", None)
    return str(call.params["lesson"]) if call and "lesson" in call.params else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium that knows no other host's address. For tests marked `browser`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(),
            args=[
                "--no-sandbox",  # root, as in most CI machines
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page, forgotten after the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


class Lab(NamedTuple):
    """A running JupyterLab."""

    url: str  # without a / at its end
    token: str
    said: str  # what it printed until it was ready


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on notebooks/, started as `make lab` starts it, with a home of its own."""
    if os.name == "nt":
        pytest.skip("`make lab` is for systems that have make")
    home = tmp_path_factory.mktemp("home")
    said = home / "said"
    outside = ("DISPLAY", "WAYLAND", "JUPYTER")
    env = {key: value for key, value in os.environ.items() if not key.startswith(outside)}
    command = [ROOT / "tools" / "lab", sys.prefix, "--ServerApp.port=0", "--ip=127.0.0.1"]
    command += ["--LabApp.expose_app_in_browser=True"]
    with said.open("w") as output:
        server = subprocess.Popen(
            command,
            env=env | {"HOME": str(home), "COURSE": "notebooks"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _wait_for_address(server, said)
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture(scope="session")
def lab_page(jupyterlab: Lab, browser: Browser) -> LabPage:
    """JupyterLab in Chromium, for lesson after lesson."""
    return LabPage(browser, jupyterlab)


@pytest.fixture(scope="session", params=LESSONS)
def lesson(request: pytest.FixtureRequest, lab_page: LabPage) -> Iterator[OpenLesson]:
    """A lesson in JupyterLab, every cell run: every lesson in turn, but for tests of_lesson()."""
    with opened(lab_page, request.param) as lesson:
        yield lesson


def _wait_for_address(server: subprocess.Popen[bytes], said: Path) -> Lab:
    from time import monotonic, sleep

    end = monotonic() + 120
    while monotonic() < end and server.poll() is None:
        text = said.read_text()
        match = re.search(r"http://127\.0\.0\.1:(\d+)/lab\?token=(\w+)", text)
        # Jupyter Server prints its address before it listens: that waits for its event loop.
        if match and _is_listening(int(match[1])):
            return Lab(f"http://127.0.0.1:{match[1]}", match[2], text)
        sleep(0.1)
    pytest.fail(f"JupyterLab did not come up; it said:\n{said.read_text()}")


def _is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
