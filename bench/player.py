"""The player in a Chromium: frames a second, beside a Plotly heatmap of the same pages.

    python -m bench.player

Every animation frame takes one step, forwards to the end, then back. The heatmap is drawn by the
Plotly that a FigureWidget would use, with Plotly.restyle(); the way from a kernel to the browser,
which a FigureWidget has to go besides, is left out in its favour. Other work on this machine shows
in the figures: its load is printed beside them.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.figures import tell
from bench.report import table
from memsim import GFP_HIGHUSER_MOVABLE, Machine, MemsimError, Recording
from memsim.doctor.tools import find_chromium
from memsim.views import Player

#: Steps that the heatmap is given: it takes seconds for what the player does in one.
PLOTLY_STEPS = 30
#: Steps that are timed, there and back.
STEPS = 400

RUN = """async ([steps, move]) => {
  const step = eval(move);
  const spent = [];
  const frame = () => new Promise(requestAnimationFrame);
  await frame(); await frame();
  const started = performance.now();
  for (let n = 0; n < steps; n++) {
    const before = performance.now();
    await step(n);
    spent.push(performance.now() - before);
    await frame();
  }
  const elapsed = performance.now() - started;
  spent.sort((a, b) => a - b);
  const late = spent[Math.floor(steps * 0.95)];
  return { fps: 1000 * steps / elapsed, median: spent[steps >> 1], late };
}"""

PLAYER_MOVE = """(() => {
  const player = document.querySelector('.memsim-player').memsim;
  const last = player.last;
  return n => player.move(n <= last ? n : 2 * last - n);
})()"""

PLOTLY_MOVE = """n => Plotly.restyle('plot', { z: [window.rows[n % window.rows.length]] })"""


class Case(NamedTuple):
    """A machine's name, its pages, and its recording."""

    name: str
    pages: int
    recording: Recording


class Figures(NamedTuple):
    """Frames a second; ms that a step takes: the median, and what one in twenty exceeds."""

    fps: float
    median: float
    late: float


def recording_of(machine: Machine, nr_operations: int) -> Recording:
    """Requests of small orders and frees, some of them from before the recording."""
    chance = random.Random(1)
    live = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE, chance.choice((0, 1, 2))) for _ in range(300)]
    with machine.recording() as recording:
        for _ in range(nr_operations):
            if live and chance.random() < 0.5:
                machine.free_pages(live.pop(chance.randrange(len(live))))
                continue
            try:
                live.append(machine.alloc_pages(GFP_HIGHUSER_MOVABLE, chance.choice((0, 0, 1, 3))))
            except MemsimError:
                continue
    return recording


def cases() -> list[Case]:
    """The three sizes that a lesson may show, each with a thousand steps or more."""
    made = []
    for name, machine in (
        ("4,096 pages", Machine.of_pages(4096)),
        ("16,384 pages", Machine.of_pages(16384)),
        ("16 GiB, condensed", Machine("16 GiB")),
    ):
        tell(f"player: recording {name}")
        recording = recording_of(machine, 400)
        pages = sum(zone.spanned_pages for zone in machine.vm.zones)
        made.append(Case(name, pages, recording))
    return made


def measured(page: Any, steps: int, move: str) -> Figures:
    """What RUN says of so many steps."""
    return Figures(**page.evaluate(RUN, [steps, move]))


def measure_player(page: Any, player: Player, path: Path) -> Figures:
    """The stand-alone page, opened from a file."""
    path.write_text(player.to_html(), encoding="utf-8")
    page.goto(path.as_uri())
    page.wait_for_selector(".memsim-player")
    return measured(page, min(STEPS, 2 * player.last_step), PLAYER_MOVE)


def measure_plotly(page: Any, case: Case) -> Figures:
    """A heatmap with a cell for each page, up to 262,144 of them."""
    from plotly.offline import get_plotlyjs

    page.set_content('<div id="plot" style="width: 1200px; height: 400px"></div>')
    page.add_script_tag(content=get_plotlyjs())
    cells = min(case.pages, 1 << 18)
    page.evaluate(
        """cells => {
          const row = 128, make = seed => Array.from({ length: cells / row }, (_, y) =>
            Array.from({ length: row }, (_, x) => (x * 7 + y * 13 + seed) % 5));
          window.rows = [0, 1, 2, 3].map(make);
          return Plotly.newPlot('plot', [{ type: 'heatmap', z: window.rows[0], xgap: 1, ygap: 1 }]);
        }""",
        cells // 128 * 128,
    )
    return measured(page, PLOTLY_STEPS, PLOTLY_MOVE)


def heap_bytes(browser: Any, pages: list[str]) -> int:
    """JavaScript memory of one page that shows all of these, after a collection."""
    page = browser.new_page()
    frames = "".join(f'<iframe srcdoc="{html}"></iframe>' for html in pages)
    page.set_content(f"<body>{frames}</body>")
    page.wait_for_timeout(1500)
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = int(session.send("Runtime.getHeapUsage")["usedSize"])
    page.close()
    return used


def notebook_bytes(players: list[Player]) -> int:
    """A saved notebook with these players as outputs, as Jupyter writes it."""
    outputs = [
        {"output_type": "execute_result", "execution_count": n, "data": p._repr_mimebundle_()[0]}
        for n, p in enumerate(players, 1)
    ]
    cells = [{"cell_type": "code", "source": "player", "outputs": [output]} for output in outputs]
    return len(json.dumps({"nbformat": 4, "cells": cells}, indent=1).encode())


def main() -> int:
    """Measure, and print a table."""
    from html import escape

    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if not chromium:
        print("bench.player: no Chromium found: name it in MEMSIM_CHROMIUM", file=sys.stderr)
        return 2
    rows = []
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
        players = []
        for case in cases():
            tell(f"player: {case.name}")
            player = Player(case.recording, case.name)
            players.append(player)
            ours = measure_player(page, player, Path(folder) / "player.html")
            tell(f"plotly: {case.name}")
            theirs = measure_plotly(page, case)
            rows.append([
                case.name, f"{case.pages:,}", f"{player.last_step:,}", f"{ours.fps:.0f}",
                f"{ours.median:.1f}", f"{ours.late:.1f}", f"{theirs.fps:.1f}",
                f"{theirs.median:.0f}", f"{ours.fps / theirs.fps:.0f}",
                f"{len(player.to_html()) >> 10:,}",
            ])  # fmt: skip
        pages = [escape(player.to_html()) for player in players]
        heap = heap_bytes(browser, pages) - heap_bytes(browser, [])
        browser.close()
    head = [
        "machine", "pages", "steps", "fps", "ms a step", "95 %", "Plotly fps", "ms", "ratio",
        "HTML, KiB",
    ]  # fmt: skip
    tell("")
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(table(head, rows))
    print(f"\nthree players in one page: {heap / 1e6:.1f} MB of JavaScript memory")
    print(f"a saved notebook with the three: {notebook_bytes(players) / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
