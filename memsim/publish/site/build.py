"""The site: lessons are run, pages made and their links followed; then all of it is written."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from memsim.files import write_whole
from memsim.lab.handout import came_with
from memsim.publish.executed import executed
from memsim.publish.shown import assets, id_of_github, markdown
from memsim.publish.site.exercise import exercise_body, list_body
from memsim.publish.site.lesson import lesson_body
from memsim.publish.site.page import ASSETS, EXERCISES, SEARCH, page_html
from memsim.publish.site.places import Course, Place, find_course
from memsim.publish.site.reading import Reading
from memsim.publish.site.search import GLOSSARY, TITLE, index_script, search_body
from memsim.words.errors import BadInput

_OWN = ("site.css", "site.js", "search.js")

#: Runs a notebook; what tests share is put in its place.
Run = Callable[[Path], Any]
#: Is told after each page how many are made, and of how many.
Progress = Callable[[int, int], None]


def build_site(
    out: Path,
    root: Path | None = None,
    jobs: int = 0,
    progress: Progress | None = None,
    run: Run = executed,
) -> dict[str, int]:
    """Make the site of the course in root (else this one) in a folder: {file: bytes}.

    BadInput, and nothing is written: a lesson fails, or a link leads nowhere. BadInput too where a
    file cannot be written.
    """
    course = find_course(root or came_with("notebooks").parent)
    bodies = _bodies(
        course, jobs or os.cpu_count() or 1, progress or (lambda done, total: None), run
    )
    files = _files(course, bodies)
    check_links(files)
    return _write(out, files)


def _bodies(course: Course, jobs: int, progress: Progress, run: Run) -> dict[Place, str]:
    """What each page says; lessons are run side by side."""
    bodies: dict[Place, str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for place, body in zip(
            course.all, pool.map(partial(_body, course, run), course.all), strict=True
        ):
            bodies[place] = body
            progress(len(bodies), len(course.all))
    bodies[Place(course.root, EXERCISES, "Exercises")] = list_body(course)
    bodies[Place(course.root, SEARCH, TITLE)] = search_body(f"{ASSETS}/")
    return bodies


def _body(course: Course, run: Run, place: Place) -> str:
    link = partial(course.link, place)
    if place.source.suffix == ".md":
        return markdown(place.source.read_text(encoding="utf-8"), link, id_of_github)
    if place in course.exercises:
        return exercise_body(place, link)
    return lesson_body(run(place.source), place.source.name, link)


def _files(course: Course, bodies: dict[Place, str]) -> dict[str, bytes]:
    """All files of the site, by their address."""
    read = {place.page: (place, Reading(body).sections) for place, body in bodies.items()}
    glossary = next((body for place, body in bodies.items() if place.page == GLOSSARY), "")
    pages = {
        place.page: page_html(course, place, body, read[place.page][1])
        for place, body in bodies.items()
    }
    read.pop(SEARCH)
    here = Path(__file__).parent
    beside = {name: (here / name).read_text(encoding="utf-8") for name in _OWN}
    beside |= assets() | {"search-index.js": index_script(read, glossary)}
    texts = pages | {f"{ASSETS}/{name}": text for name, text in beside.items()}
    files = {name: text.encode() for name, text in texts.items()}
    return files | {name: path.read_bytes() for name, path in course.files().items()}


def check_links(files: dict[str, bytes]) -> None:
    """Follow every link, and all that pages fetch. BadInput: the first that leads nowhere."""
    pages = {name: Reading(data.decode()) for name, data in files.items() if name.endswith(".html")}
    ids = {name: set(reading.ids) for name, reading in pages.items()}
    for page, reading in pages.items():
        for address in (*reading.links, *reading.fetched):
            if not _is_there(page, address, files, ids):
                raise BadInput(f"{page}: links to {address}, which is not there")


def _is_there(page: str, address: str, files: dict[str, bytes], ids: dict[str, set[str]]) -> bool:
    """Is what a page names on the site? What is elsewhere is not asked about."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    way = posixpath.join(posixpath.dirname(page), unquote(parts.path))
    there = posixpath.normpath(way) if parts.path else page
    return there in files and (not parts.fragment or unquote(parts.fragment) in ids.get(there, ()))


def _write(out: Path, files: dict[str, bytes]) -> dict[str, int]:
    try:
        for name, data in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
    except OSError as error:
        raise BadInput(
            f"{error.filename or out}: {error.strerror}; name a folder with --out"
        ) from None
    return {name: len(data) for name, data in files.items()}
