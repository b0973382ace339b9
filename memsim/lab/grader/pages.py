"""What the grader's pages have in common: one file, light and dark, nothing from elsewhere."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence

from memsim.lab.grader.results import MAX_SHOWN, shown
from memsim.lib.text import one_line

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1b; --soft: #5a5a5a; --line: #c4c4c4;
  --box: #f4f4f4; --right: #0b6e3d; --wrong: #a8321e; --jp-ui-font-color1: #1b1b1b; }
@media (prefers-color-scheme: dark) { :root { --paper: #161616; --ink: #eaeaea; --soft: #b0b0b0;
  --line: #4c4c4c; --box: #242424; --right: #6fd39c; --wrong: #ff9b85;
  --jp-ui-font-color1: #eaeaea; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 72rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h2 { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1rem; }
table { border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left;
  vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: var(--box); margin: 0; padding: .2rem .4rem; white-space: pre-wrap;
  font: .9em/1.4 ui-monospace, monospace; }
code { background: var(--box); padding: 0 .2em; font: .9em/1.4 ui-monospace, monospace; }
.right { color: var(--right); font-weight: 600; } .wrong { color: var(--wrong); font-weight: 600; }
details { margin: 1rem 0; } summary { cursor: pointer; } details pre { margin-top: .4rem; }
.soft { color: var(--soft); } .said { border-left: 4px solid var(--wrong); padding-left: .8rem; }
.scrolls { overflow-x: auto; overflow-wrap: normal; } .chart { min-width: 30rem; }
"""
_CODE = re.compile(r"`([^`\n]+)`")
#: Nothing is loaded from anywhere; a page without charts runs no script either.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:"
_SCRIPTS = "; script-src 'unsafe-inline'"


def page(title: str, parts: Iterable[str], *, scripts: bool = False) -> str:
    """A whole page of HTML; `parts` is HTML, the title is text."""
    policy = _POLICY + (_SCRIPTS if scripts else "")
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
            f"<h1>{text(title)}</h1>",
            *parts,
            "</main>\n</body>\n</html>\n",
        ]
    )


def text(value: object, limit: int = MAX_SHOWN) -> str:
    """Anybody's text as HTML that is text: escaped, without control characters, cut."""
    return html.escape(shown(value, limit))


def prose(value: object, limit: int = MAX_SHOWN) -> str:
    """An author's text as HTML: what is in `backticks` is code, and all of it is escaped."""
    return _CODE.sub(r"<code>\1</code>", text(value, limit))


def value_of(value: object) -> str:
    """Plain data as Python writes it, as HTML."""
    return f"<pre>{text(repr(value))}</pre>"


def paragraph(said: str, kind: str = "", as_html: Callable[[str], str] = text) -> str:
    """A text as a paragraph of that class; an author's as prose()."""
    told = as_html(said)
    return f'<p class="{kind}">{told}</p>' if kind else f"<p>{told}</p>"


def items(lines: Iterable[str]) -> str:
    """Texts as a list, each on one line."""
    return f"<ul>{''.join(f'<li>{text(one_line(line, 500))}</li>' for line in lines)}</ul>"


def table(name: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a name; the cells are HTML. A cell that is a number stands to the right."""
    top = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    around = f'<div class="scrolls" tabindex="0" role="region" aria-label="{text(name)}">'
    return f"{around}<table><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table></div>"


def folded(summary: str, inner: str) -> str:
    """HTML that is shown when its summary is clicked."""
    return f"<details><summary>{text(summary)}</summary>{inner}</details>"


def _cell(inner: str) -> str:
    is_number = inner.rstrip("%").replace(".", "", 1).replace(" of ", "").isdecimal()
    return f'<td class="number">{inner}</td>' if is_number else f"<td>{inner}</td>"


def points_of(score: float | None, of: int) -> str:
    """Points in words: "6.5 of 8 points", or that there is no grade."""
    return (
        "no grade" if score is None else f"{score:.2f}".rstrip("0").rstrip(".") + f" of {of} points"
    )
