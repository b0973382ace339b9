"""A lesson as a deck of slides: one HTML page for reveal.js, which stands beside it.

Without scripts, or in a browser too old for reveal.js, the page is the handout that it is on paper:
slide under slide, each with its notes.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from memsim.publish import shown
from memsim.publish.lecture import Slide, said, slide_type, slides_of, text_of

#: CSS pixels.
WIDTH, HEIGHT = 1280, 720

_HERE = Path(__file__).parent
_REVEAL = ("reveal.js", "reveal.css", "notes.js", "LICENSE")
_OWN = ("deck.css", "deck.js")
#: What is for the notebook alone.
_MARK = re.compile(r"^# NBVAL_CHECK_OUTPUT\n")


def deck(notebook: Any, link: shown.Link = shown.same) -> str:
    """The page of an executed notebook's slides; see files() for what stands beside it."""
    slides = slides_of(notebook)
    body = _body(slides, link)
    title = html.escape(plain(slides[0].heading))
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n'
        '<link rel="stylesheet" href="deck/reveal.css" media="not all" id="reveal">\n'
    )
    scripts = "".join(
        f'<script defer src="deck/{name}"></script>\n'
        for name in ("reveal.js", "notes.js", "deck.js")
    )
    style = '<link rel="stylesheet" href="deck/deck.css">\n'
    return f"{head}{shown.head(body, 'deck/')}\n{style}{scripts}</head>\n{body}</html>\n"


def _body(slides: list[Slide], link: shown.Link) -> str:
    total = sum(slide.minutes for slide in slides)
    sections, at = [], 0.0
    for number, slide in enumerate(slides):
        at += slide.minutes
        clock = f"{slide.minutes:g} min, until {at:g} of {total:g}"
        page = "".join(_cell(cell, link) for cell in slide.cells)
        kind = ' class="title"' if number == 0 else ""
        if kind:
            page = re.sub(r"(</?)h2\b", r"\1h1", page, count=2)
        sections.append(
            f'<section{kind} id="{html.escape(slide.id)}">\n<div class="page">\n{page}</div>\n'
            f'<aside class="notes"><p class="clock">Slide {number + 1} of {len(slides)}: {clock}'
            f"</p>\n{shown.markdown(slide.notes, link)}</aside>\n</section>\n"
        )
    return (
        f'<body data-width="{WIDTH}" data-height="{HEIGHT}">\n<main class="reveal">\n'
        f'<div class="slides">\n{"".join(sections)}</div>\n</main>\n</body>'
    )


def _cell(cell: Any, link: shown.Link) -> str:
    """A cell's part of its slide."""
    inner = shown.markdown(text_of(cell), link)
    if cell["cell_type"] == "code":
        shows = said(cell).get("shows", "output")
        if shows != "output":
            inner += shown.source(_MARK.sub("", "".join(cell["source"])))
        if shows != "source":
            inner += _for_slide(shown.outputs(cell, link))
    classes = "cell fragment" if slide_type(cell) == "fragment" else "cell"
    if "<iframe" in inner:
        classes += " player"
    return f'<div class="{classes}">\n{inner}</div>\n'


def _for_slide(outputs: str) -> str:
    """Players with what makes their own page fit the slide."""
    return outputs.replace("</head>", f"{_in_player()}</head>")


def _in_player() -> str:
    style, script = (_file(f"in_player.{kind}") for kind in ("css", "js"))
    added = f"<style>{style}</style><script>{script}</script>"
    return added.replace("&", "&amp;").replace("'", "&#x27;")


def plain(text: str) -> str:
    """A heading's markdown without its marks."""
    return re.sub(r"[*`]", "", text)


def files(charts: bool) -> dict[str, str]:
    """What stands in the folder `deck` beside the decks: {name: text}."""
    reveal = {name: _file(f"reveal/{name}") for name in _REVEAL}
    return shown.assets(charts) | reveal | {name: _file(name) for name in _OWN}


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
