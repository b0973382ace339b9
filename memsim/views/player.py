"""The player: a recording, shown in address order and in list order, stepped both ways.

In JupyterLab it is an anywidget; `step` and `selected` come back when the reader rests. Without a
kernel the same page stands in an <iframe>, and `text()` says the same in words.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from memsim.trace.steps import Step
from memsim.views import zones
from memsim.views.cells import back_to_start
from memsim.views.code import code_text, emitters_of
from memsim.views.payload import (
    DEFAULT_PANES,
    PANES,
    Frame,
    Payload,
    Recording,
    frames_of,
    make_payload,
    scenes_of,
)
from memsim.views.scene import Scene
from memsim.views.text import scene_text
from memsim.words.errors import BadRequest

#: Height of the <iframe>, in CSS pixels: what does not fit scrolls.
FRAME_HEIGHT = 860

#: Nothing is fetched from anywhere, and the page could not if it tried.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"


#: What the ES module and the style sheet are joined from.
MODULES = (
    "scene.js", "strip.js", "pcp.js", "code.js", "zones.js", "predict.js", "slab.js", "vmalloc.js",
    "player.js",
)  # fmt: skip
STYLES = ("player.css", "panes.css")


def _joined(names: Sequence[str]) -> str:
    here = Path(__file__).parent
    return "\n".join((here / name).read_text(encoding="utf-8") for name in names)


@cache
def esm() -> str:
    """The player's one ES module."""
    return _joined(MODULES)


@cache
def css() -> str:
    """The player's style sheet."""
    return _joined(STYLES)


class Player(anywidget.AnyWidget):
    """Shows a recording; step 0 is before the first step.

    `step` is how many steps are done, `selected` the pfn that the reader follows (-1: none).
    Setting them moves the picture; what is out of range moves it as far as it goes. `panes` are
    those beside pages and lists: "code", "zones", "predict", "slab", "vmalloc". With "predict",
    `answers` has what the reader predicted, by the operation's number; with "vmalloc", `address`
    is where the page-table walk leads, "0xffffc90000000000", or "": to the first busy area.
    """

    _esm = esm()
    _css = css()
    payload = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    address = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, recording: Recording, title: str = "", *, panes: Sequence[str] = DEFAULT_PANES
    ) -> None:
        self._panes = _checked(panes)
        self._load(recording, title)
        super().__init__(payload=self._made)

    def show(self, recording: Recording, title: str = "", *, at_end: bool = False) -> None:
        """Another recording in the same place, from its beginning or at its end."""
        self._load(recording, title)
        with self.hold_sync():
            self.payload = self._made
            self.selected = -1
            self.answers = {}
            self.step = self.last_step if at_end else 0

    def _load(self, recording: Recording, title: str) -> None:
        self._recording = recording
        self._frames: list[Frame] = frames_of(recording.steps, recording.operations)
        self._made: Payload = make_payload(recording, title, self._panes)

    @property
    def last_step(self) -> int:
        """How many steps there are."""
        return len(self._frames)

    @traitlets.validate("step")
    def _clamp_step(self, proposal: Any) -> int:
        return min(max(int(proposal["value"]), 0), self.last_step)

    @traitlets.validate("selected")
    def _known_pfn(self, proposal: Any) -> int:
        pfn = int(proposal["value"])
        return pfn if self._made["start"] <= pfn < self._made["end"] else -1

    @traitlets.validate("address")
    def _hexadecimal(self, proposal: Any) -> str:
        digits = re.fullmatch(r"\s*(?:0x)?([0-9a-f]{1,16})\s*", proposal["value"].lower())
        return hex(int(digits[1], 16)) if digits else ""

    def narration(self, step: int | None = None) -> str:
        """What that step (default: the present one) did, in one sentence."""
        number = self._number(step)
        if not number:
            return "Before the first step." if self.last_step else "There is no step to show."
        return str(self._made["frames"][number - 1][0])

    def text(self, step: int | None = None) -> str:
        """The picture after that step (default: the present one) in words; always the same."""
        number = self._number(step)
        scene = Scene(self._recording.snapshot)
        done = self._frames[number - 1].last if number else 0
        steps = list(self._recording.steps)
        scene.apply_all(steps[:done])
        head = f"Step {number} of {self.last_step}: {self.narration(number)}"
        return f"{head}\n{scene_text(scene, self._more(scene, steps[done:]))}"

    def _more(self, scene: Scene, steps: list[Step]) -> dict[str, list[str]]:
        """What the chosen panes say of the moment before the steps: {title: lines}."""
        more = {}
        if "zones" in self._panes:
            more[zones.TITLE] = zones.zone_lines(self._recording.snapshot, scene)
        for pane in scenes_of(self._recording, self._panes, self.address).values():
            back_to_start(pane, steps)
            more[pane.TITLE] = pane.lines()
        return more

    def code(self, step: int | None = None) -> str:
        """Where that step (default: the present one) came from: file, line, function, callers."""
        number, emitters = self._number(step), emitters_of(self._recording)
        main = self._frames[number - 1].main if number else -1
        return code_text(
            emitters[main] if 0 <= main < len(emitters) else (), self.narration(number)
        )

    @property
    def score(self) -> tuple[int, int]:
        """How many predictions were right, and how many were made."""
        asked = self._made.get("questions", [])
        given = {int(n): choice for n, choice in self.answers.items() if str(n).isdigit()}
        made = [(asked[n][3], given[n]) for n in given if n < len(asked) and asked[n]]
        return sum(right == choice for right, choice in made), len(made)

    def _number(self, step: int | None) -> int:
        return min(max(self.step if step is None else step, 0), self.last_step)

    def to_html(self) -> str:
        """A page of its own, complete: for a file, or for readers without a kernel."""
        data = json.dumps(self._made, separators=(",", ":")).replace("<", "\\u003c")
        title = html.escape(self._made["title"] or "memsim player")
        return (
            "<!doctype html>\n"
            '<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{title}</title><style>:root {{ color-scheme: light dark; }} "
            f"body {{ margin: 4px; background: Canvas; }}\n{css()}</style></head>"
            '<body class="memsim-alone"><div id="player"></div>'
            f'<script type="application/json" id="payload">{data}</script>'
            f'<script type="module">\n{esm()}\n'
            'mount(document.getElementById("player"), '
            'JSON.parse(document.getElementById("payload").textContent));\n'
            "</script></body></html>\n"
        )

    def _repr_html_(self) -> str:
        title = html.escape(f"Player: {self._made['title']}" if self._made["title"] else "Player")
        page = html.escape(self.to_html())
        return (
            f'<iframe title="{title}" sandbox="allow-scripts" srcdoc="{page}" '
            f'style="width: 100%; height: {FRAME_HEIGHT}px; border: 0"></iframe>'
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget; for readers without a kernel the <iframe>; for all others the text."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/plain": self.text(), "text/html": self._repr_html_()}, metadata


def _checked(panes: Sequence[str]) -> tuple[str, ...]:
    """Names of panes, each once. BadRequest for another."""
    names = (panes,) if isinstance(panes, str) else tuple(panes)
    for name in names:
        if name not in PANES:
            raise BadRequest(f"panes: {str(name)[:40]!r}: should be of {', '.join(PANES)}")
    return tuple(dict.fromkeys(names))
