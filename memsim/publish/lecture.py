"""What a lesson's cells say of a lecture: its slides, their minutes and notes, and what is amiss.

The metadata of a cell: `slideshow.slide_type` is "slide", "fragment", "-" or "skip", as in
Jupyter; `memsim` has `slide` (what stands on the slide instead of the text), `shows` ("output",
"source", "both"), and on cells that begin a slide `minutes` and `notes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: How many slides a lecture has, how many minutes it takes, and one slide of it.
SLIDES = range(15, 21)
MINUTES = range(40, 51)
SLIDE_MINUTES = range(1, 7)
HEADING = 60
TYPES = ("slide", "fragment", "-", "skip", "")
SHOWS = ("output", "source", "both")
#: What notes are made of; the others are for slides on which something is asked.
LABELS = ("**Say**", "**Move on**")
ON_FIRST_CELLS = ("minutes", "notes")


def slide_type(cell: Any) -> str:
    """How a cell takes part in the deck; "" if it says nothing of it."""
    return str(cell["metadata"].get("slideshow", {}).get("slide_type", ""))


def said(cell: Any) -> dict[str, Any]:
    """What a cell says of its part in the lecture."""
    return dict(cell["metadata"].get("memsim", {}))


def text_of(cell: Any) -> str:
    """The markdown that a cell brings to its slide; of a code cell, what stands above it."""
    own = "" if cell["cell_type"] == "code" else "".join(cell["source"])
    return str(said(cell).get("slide", own))


@dataclass(frozen=True)
class Slide:
    """One slide: its cells; the first of them has its heading, minutes and notes."""

    cells: tuple[Any, ...]

    @property
    def id(self) -> str:
        """The id of its first cell."""
        return str(self.cells[0].get("id", "?"))

    @property
    def heading(self) -> str:
        """The first heading of its text, as markdown without #; "" if there is none."""
        found = re.match(r"\s*##? +(.+)", text_of(self.cells[0]))
        return found[1].strip() if found else ""

    @property
    def minutes(self) -> float:
        """How long it takes; 0 if it does not say."""
        minutes = said(self.cells[0]).get("minutes", 0)
        return minutes if isinstance(minutes, int | float) else 0

    @property
    def notes(self) -> str:
        """The speaker's notes, as markdown."""
        return str(said(self.cells[0]).get("notes", ""))


def slides_of(notebook: Any) -> list[Slide]:
    """The slides of a lesson. Cells in front of the first of them are on none."""
    found: list[list[Any]] = []
    for cell in notebook["cells"]:
        if slide_type(cell) == "slide":
            found.append([cell])
        elif found and slide_type(cell) in ("fragment", "-"):
            found[-1].append(cell)
    return [Slide(tuple(cells)) for cells in found]


def faults(notebook: Any) -> list[str]:
    """What keeps a lesson from being a lecture: a line each, with the cell and what to do."""
    slides = slides_of(notebook)
    if not slides:
        return ['has no slides: give cells the slide type "slide" (metadata, slideshow)']
    return [
        *(f"cell {cell.get('id', '?')}: {fault}" for cell in notebook["cells"]
          for fault in _cell_faults(cell)),
        *_lost(notebook),
        *(f"cell {slide.id}: {fault}" for slide in slides for fault in _slide_faults(slide)),
        *_length_faults(slides),
    ]  # fmt: skip


def _lost(notebook: Any) -> Iterator[str]:
    for cell in notebook["cells"]:
        if slide_type(cell) == "slide":
            return
        if slide_type(cell) in ("fragment", "-"):
            yield f"cell {cell.get('id', '?')}: is on no slide: there is none before it"


def _length_faults(slides: list[Slide]) -> Iterator[str]:
    if len(slides) not in SLIDES:
        yield f"{len(slides)} slides; should be {SLIDES[0]} to {SLIDES[-1]}"
    minutes = sum(slide.minutes for slide in slides)
    if not MINUTES[0] <= minutes <= MINUTES[-1]:
        yield f"{minutes:g} minutes; should be {MINUTES[0]} to {MINUTES[-1]}"


def _slide_faults(slide: Slide) -> Iterator[str]:
    if not slide.heading:
        yield "its slide has no heading; begin `slide` with ## and a few words"
    elif len(slide.heading) > HEADING:
        yield f"a heading of {len(slide.heading)} characters; should be {HEADING} at most"
    if not SLIDE_MINUTES[0] <= slide.minutes <= SLIDE_MINUTES[-1]:
        yield f"its slide has no `minutes`, or not {SLIDE_MINUTES[0]} to {SLIDE_MINUTES[-1]}"
    if not slide.notes.strip():
        yield "its slide has no `notes`; write what the speaker says"
    else:
        yield from (f"its notes have no {one}" for one in LABELS if one not in slide.notes)


def _cell_faults(cell: Any) -> Iterator[str]:
    kind, says = slide_type(cell), said(cell)
    if kind not in TYPES:
        yield f"the slide type {kind!r}; should be one of {', '.join(TYPES[:-1])}"
    if says.get("shows", "output") not in SHOWS:
        yield f"shows {says['shows']!r}; should be one of {', '.join(SHOWS)}"
    if says.get("shows") == "source" and "".join(cell["source"]).startswith("source("):
        yield "shows the call of source(), not what it quotes: leave out `shows`"
    if kind != "slide":
        yield from (f"`{one}` goes with a slide" for one in ON_FIRST_CELLS if one in says)
