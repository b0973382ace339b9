"""`memsim slides` and `site`: the lessons where no kernel runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from memsim.cli.stderr import show_nothing
from memsim.cli.told import check_jobs, named, shown_names
from memsim.lab.handout import came_with
from memsim.words.errors import BadInput


def add(commands: Any) -> None:
    """These commands."""
    _add_slides(commands)
    _add_site(commands)


def _add_slides(commands: Any) -> None:
    """The command that makes what a lecturer shows."""
    slides = commands.add_parser(
        "slides", help="a deck of slides for each lesson, with speaker's notes; needs no network"
    )
    slides.add_argument("lessons", metavar="LESSON", nargs="*", help="02 or 02_buddy; else all")
    slides.add_argument(
        "--out", type=named, default=Path("slides"), metavar="DIR", help="where to; else slides"
    )
    slides.add_argument(
        "--course", type=named, metavar="DIR", help="has notebooks/; else memsim's own"
    )
    slides.add_argument("--pdf", action="store_true", help="handouts with notes too; by Chromium")
    slides.add_argument("--jobs", type=int, default=0, metavar="N", help="at once; else one a CPU")
    slides.add_argument("--json", action="store_true", help="print what was built as JSON")
    slides.set_defaults(run=_slides)


def _add_site(commands: Any) -> None:
    """The command that makes pages."""
    site = commands.add_parser(
        "site", help="the course as static pages: they need no kernel, no server and no network"
    )
    site.add_argument(
        "--out", type=named, default=Path("site"), metavar="DIR", help="where to; else site"
    )
    site.add_argument("--jobs", type=int, default=0, metavar="N", help="at once; else one a CPU")
    site.add_argument("--json", action="store_true", help="print the files and their sizes")
    site.set_defaults(run=_site)


def _slides(options: argparse.Namespace) -> int:
    """`memsim slides`: status 1 if a lesson is not fit to be a lecture, or not printed."""
    try:
        from memsim.publish import paper, slides
    except ImportError as error:
        raise _no_course("slides", error) from None
    check_jobs(options.jobs)
    folder = options.course / "notebooks" if options.course else came_with("notebooks")
    lessons = slides.find_lessons(folder, options.lessons)
    chromium = paper.need_chromium() if options.pdf else None
    plan = slides.Plan(lessons, options.out, chromium)
    built = slides.build(plan, options.jobs, shown_names(options))
    show_nothing(options.json or not sys.stderr.isatty())
    told = [one.as_json() for one in built]
    print(json.dumps(told) if options.json else slides.as_text(built, options.out))
    return 1 if any(one.faults for one in built) else 0


def _site(options: argparse.Namespace) -> int:
    """`memsim site`."""
    try:
        from memsim.publish.site.build import build_site
    except ImportError as error:
        raise _no_course("site", error) from None
    check_jobs(options.jobs)
    quiet = options.json or not sys.stderr.isatty()
    made = build_site(options.out, jobs=options.jobs, progress=None if quiet else _show_pages)
    show_nothing(quiet)
    pages = sum(name.endswith(".html") for name in made)
    told = f"{options.out / 'index.html'}: {pages} pages, {sum(made.values()) / 1e6:.1f} MB"
    print(json.dumps(made) if options.json else told)
    return 0


def _no_course(command: str, error: ImportError) -> BadInput:
    return BadInput(
        f"{command}: {error.name} is missing, which the course needs: make setup, or "
        'pip install "memsim[course]"'
    )


def _show_pages(done: int, pages: int) -> None:
    """The same for the site."""
    print(f"\rmaking: {done} of {pages} pages", end="", file=sys.stderr, flush=True)
