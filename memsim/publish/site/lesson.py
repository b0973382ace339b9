"""A lesson that was run, as the body of a page: a reader predicts before anything is given away."""

from __future__ import annotations

from typing import Any

from memsim.publish.shown import Link, markdown, outputs, source

#: The tag of cells that make sense with a kernel only: how far you are, can the course run here.
KERNEL_ONLY = "kernel-only"

_LIVE = (
    '<p class="live">This stands still here. In JupyterLab it has sliders and buttons: '
    "<code>make lab</code>, then <code>{name}</code>.</p>\n"
)


def lesson_body(notebook: Any, name: str, link: Link) -> str:
    """The cells of a notebook that was run, as HTML; `name` is that of its file."""
    parts, asked, told_live = [], False, False
    for number, cell in enumerate(notebook.cells):
        kind = kind_of(cell, is_second=number == 1)
        if kind == "live" and not told_live:
            parts.append(_LIVE.format(name=name))
            told_live = True
        parts.append(_MAKERS[kind](cell, link, asked))
        asked = kind == "asked" or (asked and kind != "revealed")
    return "".join(parts)


def kind_of(cell: Any, is_second: bool = False) -> str:
    """What a cell is for; only a cell with code that is shown keeps its code."""
    if KERNEL_ONLY in cell.metadata.get("tags", ()):
        return "left out"
    if cell.cell_type != "code":
        return "text" if cell.cell_type == "markdown" else "left out"
    if cell.metadata.get("jupyter", {}).get("source_hidden"):
        if ".ask(" in cell.source:
            return "asked"
        return "revealed" if ".reveal(" in cell.source else "question"
    if is_second and "except ImportError" in cell.source:
        return "set-up"
    return "live" if "memsim-still" in _html_of(cell) else "run"


def _html_of(cell: Any) -> str:
    return "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)


def _text(cell: Any, link: Link, asked: bool) -> str:
    return markdown(cell.source, link)


def _nothing(cell: Any, link: Link, asked: bool) -> str:
    return ""


def _set_up(cell: Any, link: Link, asked: bool) -> str:
    return _folded("set-up", "What the programs of this page begin with", source(cell.source))


def _asked(cell: Any, link: Link, asked: bool) -> str:
    return f'<div class="asked"><p class="kind">Predict</p>{outputs(cell, link)}</div>\n'


def _revealed(cell: Any, link: Link, asked: bool) -> str:
    return _folded("revealed", "What happened, and why", outputs(cell, link))


def _question(cell: Any, link: Link, asked: bool) -> str:
    return f'<div class="question">{outputs(cell, link)}</div>\n'


def _run(cell: Any, link: Link, asked: bool) -> str:
    """Between a prediction and its answer what a cell shows is folded: it would give it away."""
    shown = outputs(cell, link)
    if asked and shown:
        shown = _folded("outcome", "Run it", shown)
    return source(_program(cell.source)) + shown


def _program(text: str) -> str:
    """Without the line that speaks to nbval."""
    return text.removeprefix("# NBVAL_CHECK_OUTPUT\n")


def _folded(kind: str, summary: str, inner: str) -> str:
    return f'<details class="{kind}"><summary>{summary}</summary>{inner}</details>\n'


_MAKERS = {
    "text": _text,
    "left out": _nothing,
    "set-up": _set_up,
    "asked": _asked,
    "revealed": _revealed,
    "question": _question,
    "live": _run,
    "run": _run,
}
