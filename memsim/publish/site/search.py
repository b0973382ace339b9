"""What can be searched for, as a script: pages opened as files may not fetch."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from memsim.publish.site.places import Place
from memsim.publish.site.reading import Section

TITLE = "Search"


GLOSSARY = "glossary.html"


def index_script(read: Mapping[str, tuple[Place, Sequence[Section]]], glossary: str) -> str:
    """search-index.js: a row [address, title, page's title, words] for each section.

    Of the glossary, whose sections are tables, for each word; `glossary` is that page's body.
    """
    rows = [
        [f"{page}#{section.id}", section.title, place.short, section.text]
        for page, (place, sections) in read.items()
        for section in sections
        if page != GLOSSARY
    ]
    rows += _words(glossary)
    told = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return f"window.memsimIndex = {told};\n"


def _words(glossary: str) -> Iterator[list[str]]:
    for part in re.split(r'(?=<h2 id=")', glossary)[1:]:
        anchor = part.split('"')[1]
        for row in re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL):
            word, *told = [_plain(cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)] or [""]
            if word:
                yield [f"{GLOSSARY}#{anchor}", word, "Glossary", " ".join(told)]


def _plain(cell: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", cell))


def search_body(assets: str) -> str:
    """The page that searches, while one types."""
    return (
        f'<h1 id="{TITLE}">{TITLE}</h1>\n'
        "<noscript><p>Searching needs JavaScript. The "
        '<a href="index.html">start page</a> has a table of questions, the '
        '<a href="glossary.html">glossary</a> the words.</p></noscript>\n'
        '<p class="live">Lessons, exercises and words, and the kernel\'s names in them: '
        "<code>expand()</code>, <code>__rmqueue_smallest</code>, "
        "<code>watermark_boost</code>.</p>\n"
        '<p id="found" role="status"></p>\n<ol id="results"></ol>\n'
        f'<script defer src="{assets}search-index.js"></script>\n'
        f'<script defer src="{assets}search.js"></script>\n'
    )
