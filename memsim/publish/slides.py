"""Decks of slides, one a lesson, in a folder that needs no network and no server."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from os import cpu_count
from pathlib import Path
from time import monotonic
from typing import Any

from memsim.files import write_whole
from memsim.publish.deck import deck, files, plain
from memsim.publish.executed import executed, read_notebook
from memsim.publish.lecture import faults, slides_of
from memsim.publish.paper import print_pdf
from memsim.publish.shown import head
from memsim.words.errors import BadInput

#: The folder beside the decks that has what all of them need.
SHARED = "deck"
INDEX = "index.html"


@dataclass(frozen=True)
class Built:
    """A lesson and its deck; no page, slides or minutes where it has none."""

    name: str
    title: str
    slides: int
    minutes: float
    faults: list[str]
    page: str = ""
    pdf: str = ""
    nr_bytes: int = 0
    seconds: float = 0

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """What is built, and where to; `chromium` prints PDFs, None: none are asked for."""

    lessons: Sequence[Path]
    out: Path
    chromium: str | None = None

    def link(self, address: str) -> str:
        """Other decks of this plan, and the web; what is not beside the decks is not linked."""
        if address.startswith(("https:", "http:")):
            return address
        name = address.partition("#")[0].removesuffix(".ipynb")
        return f"{name}.html" if name in {path.stem for path in self.lessons} else ""


def find_lessons(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """The lessons of a folder; of these names or numbers, else all. BadInput: there is none."""
    found = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not found:
        raise BadInput(f"{folder}: there are no lessons in it, NN_name.ipynb")
    return [found[_meant(name, list(found))] for name in names] or list(found.values())


def _meant(name: str, lessons: list[str]) -> str:
    for lesson in lessons:
        if name in (lesson, lesson[:2], lesson[:2].lstrip("0") or "0"):
            return lesson
    raise BadInput(f"{name}: no such lesson; there are {', '.join(lessons)}")


def build(
    plan: Plan, jobs: int = 0, progress: Callable[[str], None] = lambda name: None
) -> list[Built]:
    """Build the decks of a plan, so many at once (0: one a CPU), and the page that lists them.

    A PDF that cannot be printed is a fault of its deck. BadInput: a cell fails, the folder cannot
    be written.
    """
    try:
        (plan.out / SHARED).mkdir(parents=True, exist_ok=True)
        for name, text in files(charts=True).items():
            write_whole(plan.out / SHARED / name, text.encode())
        with ThreadPoolExecutor(jobs or cpu_count() or 1) as pool:
            built = list(pool.map(lambda path: _build(plan, path, progress), plan.lessons))
        write_whole(plan.out / INDEX, _index(built).encode())
    except OSError as error:
        raise BadInput(
            f"{error.filename or plan.out}: {error.strerror}; name another folder with --out"
        ) from None
    return built


def _build(plan: Plan, path: Path, progress: Callable[[str], None]) -> Built:
    """One deck. A lesson without slides is not run."""
    began = monotonic()
    notebook = read_notebook(path)
    slides, wrong = slides_of(notebook), faults(notebook)
    if not slides:
        return Built(path.stem, path.stem, 0, 0, wrong)
    page = plan.out / f"{path.stem}.html"
    text = deck(executed(path), plan.link).encode()
    write_whole(page, text)
    pdf, unprinted = _printed(plan, page)
    progress(path.stem)
    return Built(
        path.stem, plain(slides[0].heading), len(slides), sum(slide.minutes for slide in slides),
        wrong + unprinted, str(page), pdf, len(text), monotonic() - began,
    )  # fmt: skip


def _printed(plan: Plan, page: Path) -> tuple[str, list[str]]:
    """The deck's PDF, "" for none; and why there is none, where one was asked for."""
    if not plan.chromium:
        return "", []
    pdf = page.with_suffix(".pdf")
    try:
        print_pdf(plan.chromium, page, pdf)
    except BadInput as error:
        return "", [str(error)]
    return str(pdf), []


def _index(built: Sequence[Built]) -> str:
    rows = "".join(
        f'<li><a href="{html.escape(one.name)}.html">{html.escape(one.title)}</a> '
        f"<span>{one.slides} slides, {one.minutes:g} minutes"
        f"{_pdf_link(one) if one.pdf else ''}</span></li>\n"
        for one in built
        if one.page
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>memsim: slides</title>\n'
        f'<link rel="icon" href="data:,">\n{head("", f"{SHARED}/")}\n'
        f'<link rel="stylesheet" href="{SHARED}/deck.css"></head>\n'
        f'<body class="index"><main>\n<h1>Slides</h1>\n<ol>\n{rows}</ol>\n'
        "<p>Keys: <kbd>→</kbd> <kbd>←</kbd> or <kbd>Page Down</kbd> <kbd>Page Up</kbd> next and "
        "previous; <kbd>S</kbd> the speaker's window, with notes and clock; <kbd>F</kbd> whole "
        "screen; <kbd>O</kbd> all slides; <kbd>?</kbd> all keys. A player that was clicked has the "
        "keys: <kbd>Esc</kbd> gives them back to the slides. Print a deck for a handout with "
        "notes.</p>\n<p>Text: CC-BY-SA-4.0.</p>\n</main></body></html>\n"
    )


def _pdf_link(one: Built) -> str:
    return f', <a href="{html.escape(one.name)}.pdf">PDF with notes</a>'


def as_text(built: Sequence[Built], out: Path) -> str:
    """For people: what was built, and what is amiss, a line each."""
    lines = [f"{one.name}: {fault}" for one in built for fault in one.faults]
    decks = [one for one in built if one.page]
    size = sum(one.nr_bytes for one in decks) / 2**20
    lines += [f"{one.name}.html: {one.slides} slides, {one.minutes:g} minutes" for one in decks]
    return "\n".join([*lines, f"{out / INDEX}: {len(decks)} decks, {size:.1f} MiB"])
