"""A widget that is a page too: an anywidget in JupyterLab, an <iframe> or a file elsewhere."""

from __future__ import annotations

import gzip
import html
import json
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

#: Height of the <iframe>, in CSS pixels: what does not fit scrolls.
FRAME_HEIGHT = 860

#: Nothing is fetched from anywhere, and the page could not if it tried.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"

#: Tells the page that the <iframe> is on how tall the player is, for it to make room.
_TALL = (
    "new ResizeObserver(() => parent.postMessage({ memsimHeight: "
    'Math.ceil(document.body.getBoundingClientRect().bottom) + 4 }, "*")).observe(document.body);\n'
)

#: What the ES module and the style sheet are joined from.
MODULES = (
    "scene.js", "strip.js", "pcp.js", "code.js", "zones.js", "predict.js", "slab.js", "vmalloc.js",
    "controls.js", "steps.js", "side.js", "player.js",
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


def packed(payload: dict[str, Any]) -> str:
    """A payload as text for a page: JSON, gzip, base64; the same for the same payload."""
    data = json.dumps(payload, separators=(",", ":")).encode()
    return b64encode(gzip.compress(data, mtime=0)).decode()


class Page(anywidget.AnyWidget):
    """What shows a payload, and the present step of it.

    `here` is where the reader is, as one message for both ways: the traits of HERE, and which
    payload they are of. A busy kernel hears of the old one when it has shown the next.
    """

    HERE: tuple[str, ...] = ("step",)

    _esm = esm()
    _css = css()
    payload = traitlets.Dict().tag(sync=True)
    here = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0)
    _made: dict[str, Any]

    def __init__(self, made: dict[str, Any]) -> None:
        self._made = made
        self._number_shown = 0
        super().__init__(payload=made | {"number": 0}, here=self._where())
        self.observe(self._tell, names=list(self.HERE))

    def _show(self, made: dict[str, Any], **here: Any) -> None:
        """Another payload, and where the reader is in it."""
        self._made = made
        self._number_shown += 1
        with self.hold_sync():
            self.payload = made | {"number": self._number_shown}
            with self.hold_trait_notifications():
                self._place(here)
            self._tell()

    def _place(self, here: dict[str, Any]) -> None:
        for name, value in here.items():
            setattr(self, name, value)

    def _where(self) -> dict[str, Any]:
        return {"number": self._number_shown} | {name: getattr(self, name) for name in self.HERE}

    def _tell(self, _: Any = None) -> None:
        self.here = self._where()

    @traitlets.observe("here")
    def _hear(self, _: Any) -> None:
        here = self.here
        if here["number"] == self._number_shown:
            with self.hold_trait_notifications():
                self._place({name: here[name] for name in self.HERE if name in here})
        else:
            self._tell()
            self.send_state("here")

    @property
    def last_step(self) -> int:
        """How many steps there are."""
        raise NotImplementedError

    def text(self, step: int | None = None) -> str:
        """The picture after that step (default: the present one) in words; always the same."""
        raise NotImplementedError

    @traitlets.validate("step")
    def _clamp_step(self, proposal: Any) -> int:
        return min(max(int(proposal["value"]), 0), self.last_step)

    def _number(self, step: int | None) -> int:
        return min(max(self.step if step is None else step, 0), self.last_step)

    def to_html(self) -> str:
        """A page of its own, complete: for a file, or for readers without a kernel.

        Where a browser is too old for it, or runs no scripts, the text form stands there.
        """
        data, words = packed(self._made), html.escape(self.text())
        title = html.escape(self._made["title"] or "memsim player")
        return (
            "<!doctype html>\n"
            '<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{title}</title><style>:root {{ color-scheme: light dark; }} "
            f"body {{ margin: 4px; background: Canvas; }}\n{css()}</style></head>"
            f'<body class="memsim-alone"><main id="player"><pre>{words}</pre></main>'
            f'<script type="text/plain" id="payload">{data}</script>'
            f'<script type="module">\n{esm()}\n'
            'if (document.createElement("canvas").getContext?.("2d")) '
            'mount(document.getElementById("player"), '
            'await unpacked(document.getElementById("payload").textContent));\n'
            f"{_TALL}"
            "</script></body></html>\n"
        )

    def _repr_html_(self) -> str:
        title = html.escape(f"Player: {self._made['title']}" if self._made["title"] else "Player")
        page = self.to_html().replace("&", "&amp;").replace("'", "&#x27;")
        return (
            f'<iframe title="{title}" sandbox="allow-scripts" '
            f'style="width: 100%; height: {FRAME_HEIGHT}px; border: 0" '
            f"srcdoc='{page}'></iframe>"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget; for readers without a kernel the <iframe>, on paper the picture; the text."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        still = {"text/plain": self.text(), "text/html": self._repr_html_(), **self._on_paper()}
        return {**data, **still}, metadata

    def _on_paper(self) -> dict[str, str]:
        """A picture for paper, by its type; {}: the text has to do."""
        return {}
