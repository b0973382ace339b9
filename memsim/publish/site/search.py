"""What can be searched for, as a script: pages opened as files may not fetch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from memsim.publish.site.places import Place
from memsim.publish.site.reading import Section

TITLE = "Search"


def index_script(read: Mapping[str, tuple[Place, Sequence[Section]]]) -> str:
    """search-index.js: a row [address, section's title, page's title, words] for each section."""
    rows = [
        [f"{page}#{section.id}", section.title, place.short, section.text]
        for page, (place, sections) in read.items()
        for section in sections
    ]
    told = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return f"window.memsimIndex = {told};\n"


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
