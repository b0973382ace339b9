"""One cell as HTML for a page without a kernel; what decks and static pages are both made of.

What a maker of pages needs is three things, and the rest follows from them:

    markdown(text, link), source(text), outputs(cell, link)   the parts of a cell, as HTML
    head(body)                                                what goes into the page's <head>
    assets(charts)                                            {file name: text}, beside the pages

`link` is the maker's own: it is given each address as the notebook has it ("03_free_lists.ipynb#x",
"../exercises/08_expand.ipynb") and returns the address on the page; "": no link, words alone.
Colours, light and dark, are variables of shown.css (--text, --back, --line, --code, --accent,
--soft); a page's own style sheet comes after it and may set them. Players and charts are loaded
when they come into view; on paper a player is its picture.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mistune
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from memsim.views.controls import NO_PREDICTION

#: Where an address of a notebook leads on the pages; "": nowhere, its words stay.
Link = Callable[[str], str]

PLOTLY = "plotly.min.js"
_CHART = "application/vnd.plotly.v1+json"
_COLOURED = re.compile(r"\x1b\[[0-9;]*m")


def same(address: str) -> str:
    """The address as the notebook has it."""
    return address


def id_of_jupyterlab(heading: str) -> str:
    """What JupyterLab lets an address name a heading of a notebook by."""
    return heading.replace(" ", "-")


def id_of_github(heading: str) -> str:
    """What GitHub lets an address name a heading of a .md file by."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


class _Renderer(mistune.HTMLRenderer):
    """Markdown with ids of headings, and coloured programs."""

    def __init__(self, link: Link, id_of: Callable[[str], str]) -> None:
        super().__init__(escape=False)
        self._link, self._id_of = link, id_of

    def sanitize_url(self, url: str) -> str:
        return url  # ours: mistune takes a heading with a colon for a scheme of its own

    def link(self, text: str, url: str, title: str | None = None) -> str:
        address = self._link(url)
        return super().link(text, address, title) if address else text

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        words = html.unescape(re.sub(r"<[^>]*>", "", text)).strip()
        return super().heading(text, level, id=self._id_of(words), **attrs)

    def block_code(self, code: str, info: str | None = None) -> str:
        return source(code, (info or "text").split()[0])


def markdown(text: str, link: Link = same, id_of: Callable[[str], str] = id_of_jupyterlab) -> str:
    """Markdown, of a cell or a file, as HTML."""
    renderer = _Renderer(link, id_of)
    made = str(mistune.create_markdown(renderer=renderer, plugins=["table", "strikethrough"])(text))
    return made.replace("<table>", '<div class="table" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )


def source(text: str, language: str = "python") -> str:
    """A program as HTML; its colours are in shown.css."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    inner = highlight(text.strip("\n"), lexer, HtmlFormatter(nowrap=True)).rstrip("\n")
    return f'<pre class="program" tabindex="0"><code>{inner}</code></pre>\n'


def outputs(cell: Any, link: Link = same) -> str:
    """What a cell showed, as HTML: of several forms the one that says most without a kernel."""
    return "".join(_output(output, link) for output in cell.get("outputs", ()))


def _output(output: Any, link: Link) -> str:
    if output["output_type"] == "stream":
        return _words(output["text"])
    if output["output_type"] == "error":
        return _words(f"{output['ename']}: {output['evalue']}")
    data = output["data"]
    if "text/html" in data:
        paper = _on_paper(data) if "<iframe" in data["text/html"] else ""
        return _html(data["text/html"], paper)
    if "text/markdown" in data:
        return markdown(data["text/markdown"], link)
    if _CHART in data:
        return _chart(data[_CHART], data.get("text/plain", ""))
    return _words(data.get("text/plain", ""))


def _words(text: str) -> str:
    plain = html.escape(_COLOURED.sub("", text).rstrip("\n"))
    return f'<pre class="printed" tabindex="0">{plain}</pre>\n' if plain else ""


def _html(text: str, paper: str) -> str:
    """As it is; but nobody predicted anything here, and frames wait until they are seen."""
    lazy = text.replace("<iframe ", '<iframe loading="lazy" ')
    return f'<div class="shown">{lazy.replace(NO_PREDICTION, "")}{paper}</div>\n'


def _on_paper(data: Any) -> str:
    """What is printed in the place of a player: its picture, or else its text."""
    if "image/svg+xml" not in data:
        return f'<pre class="on-paper">{html.escape(data.get("text/plain", ""))}</pre>'
    picture = b64encode(data["image/svg+xml"].encode()).decode()
    return f'<img class="on-paper" alt="" src="data:image/svg+xml;base64,{picture}">'


def _chart(figure: Any, words: str) -> str:
    """The data of a chart, drawn by shown.js; its words follow it on the page."""
    data = json.dumps(figure, separators=(",", ":")).replace("<", "\\u003c")
    height = figure.get("layout", {}).get("height", 360)
    return (
        f'<div class="chart" role="img" aria-label="{html.escape(words)}" '
        f'style="height: {height}px"><script type="application/json">{data}</script></div>\n'
    )


def has_charts(body: str) -> bool:
    """Does this page draw charts?"""
    return '<div class="chart"' in body


def head(body: str, base: str = "") -> str:
    """The elements of <head> that a page with this body needs; the assets are in folder `base`."""
    needs = [f'<link rel="stylesheet" href="{base}shown.css">']
    if has_charts(body):
        needs += [f'<script defer src="{base}{name}"></script>' for name in (PLOTLY, "shown.js")]
    return "\n".join(needs)


def assets(charts: bool = True) -> dict[str, str]:
    """Files that stand beside the pages: {name: text}."""
    files = {"shown.css": _file("shown.css")}
    if charts:
        files |= {"shown.js": _file("shown.js"), PLOTLY: _plotly()}
    return files


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
