"""The frame around a page's body: head, menu, the ways on, and the foot."""

from __future__ import annotations

import html
from collections.abc import Sequence

from memsim.publish.shown import head
from memsim.publish.site.places import Course, Place
from memsim.publish.site.reading import Section

ASSETS = "assets"
SEARCH = "search.html"
EXERCISES = "exercises.html"

#: From nowhere but the site's own folder; "file:" is that folder where there is no server.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' file:; "
    "style-src 'self' 'unsafe-inline' file:; img-src 'self' data: file:; "
    "form-action 'self' file:; base-uri 'none'"
)

#: In the head, so that no page is light first and dark then.
_CHOSEN = (
    "<script>try { document.documentElement.dataset.theme = "
    'localStorage.getItem("memsim-theme") || ""; } catch { /* nothing is kept here */ }</script>'
)


def page_html(course: Course, place: Place, body: str, sections: Sequence[Section]) -> str:
    """A whole page."""
    assets = f"{place.base}{ASSETS}/"
    title = html.escape(place.title)
    whole = title if place.page == "index.html" else f"{title} · memsim"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{whole}</title>\n{_CHOSEN}\n{head(body, assets)}\n"
        f'<link rel="stylesheet" href="{assets}site.css">\n'
        f'<script defer src="{assets}site.js"></script>\n</head>\n<body>\n'
        f'<a class="skip" href="#content">Skip to the text</a>\n{_top(place)}'
        f'<div class="columns">\n{_menu(course, place, sections)}'
        f'<main id="content" tabindex="-1">\n<article>\n{body}</article>\n'
        f"{_ways_on(course, place)}</main>\n</div>\n{_foot(place)}</body>\n</html>\n"
    )


def _top(place: Place) -> str:
    base = place.base
    return (
        f'<header>\n<a class="home" href="{base}index.html">memsim</a>\n'
        '<a class="to-menu" href="#menu">Contents</a>\n'
        f'<form role="search" action="{base}{SEARCH}"><input type="search" name="q" '
        'aria-label="Search the course" placeholder="Search ( / )"></form>\n'
        '<button class="theme" type="button" hidden>Dark</button>\n</header>\n'
    )


def _menu(course: Course, place: Place, sections: Sequence[Section]) -> str:
    lessons = "".join(_entry(place, one, sections) for one in course.lessons)
    more = [Place(course.root, EXERCISES, "Exercises"), *course.others[1:]]
    others = "".join(_entry(place, one, sections) for one in more)
    start = _entry(place, course.others[0], (), "Start")
    return (
        f'<nav id="menu" aria-label="The course">\n<ul>{start}</ul>\n'
        f'<p class="kind">Lessons</p>\n<ul>{lessons}</ul>\n'
        f'<p class="kind">More</p>\n<ul>{others}</ul>\n</nav>\n'
    )


def _entry(here: Place, there: Place, sections: Sequence[Section], name: str = "") -> str:
    is_here = here.page == there.page
    current = ' aria-current="page"' if is_here else ""
    link = (
        f'<a href="{here.base}{there.page}"{current}>{html.escape(name or plain(there.short))}</a>'
    )
    return f"<li>{link}{_sections(sections) if is_here else ''}</li>\n"


def _sections(sections: Sequence[Section]) -> str:
    items = "".join(
        f'<li><a href="#{html.escape(section.id)}">{html.escape(section.title)}</a></li>\n'
        for section in sections
        if section.level == 2
    )
    return f'\n<ul class="sections">{items}</ul>' if items else ""


def plain(text: str) -> str:
    """A heading without its marks of code."""
    return text.replace("`", "")


def _ways_on(course: Course, place: Place) -> str:
    """To the page before and the page after, of the lessons or of the exercises."""
    for row in (course.lessons, course.exercises):
        if place in row:
            at = list(row).index(place)
            before = _way(place, row[at - 1], "Previous", "prev") if at else ""
            after = _way(place, row[at + 1], "Next", "next") if at + 1 < len(row) else ""
            return f'<nav class="ways" aria-label="Before and after">{before}{after}</nav>\n'
    return ""


def _way(here: Place, there: Place, kind: str, rel: str) -> str:
    return (
        f'<a rel="{rel}" href="{here.base}{there.page}"><span class="kind">{kind}</span> '
        f"{html.escape(plain(there.short))}</a>"
    )


def _foot(place: Place) -> str:
    return (
        f'<footer><p>memsim models Linux 6.12. Text: <a href="{place.base}licence.html">'
        "CC-BY-SA-4.0</a>. These pages fetch nothing from anywhere.</p></footer>\n"
    )
