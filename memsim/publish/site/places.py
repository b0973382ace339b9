"""What the site has pages of, and where the addresses in a notebook lead there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from memsim.publish.executed import read_notebook
from memsim.words.errors import BadInput

#: Pages made from a file each, besides lessons and exercises: where the file is, and the page.
_SINGLE = {
    "notebooks/index.ipynb": "index.html",
    "notebooks/glossary.ipynb": "glossary.html",
    "notebooks/INSTRUCTORS.md": "instructors.html",
    "docs/EXERCISES.md": "writing-exercises.html",
    "notebooks/LICENSE.md": "licence.html",
}
#: What is no page, but linked to.
_FILES = {"LICENSE": "LICENSE.txt", "notebooks/demo.ipynb": "demo.ipynb"}


@dataclass(frozen=True)
class Place:
    """A page of the site: what it is made from, its address from the site's top, its title."""

    source: Path
    page: str
    title: str

    @property
    def base(self) -> str:
        """The way from the page up to the site's top."""
        return "../" * self.page.count("/")

    @property
    def short(self) -> str:
        """The title as a menu has room for it."""
        return re.split(r": | \(", self.title)[0]


@dataclass(frozen=True)
class Course:
    """All places of a course, and the files that are copied along."""

    root: Path
    lessons: Sequence[Place]
    exercises: Sequence[Place]
    others: Sequence[Place]

    @property
    def all(self) -> list[Place]:
        """Every place that is made from a file."""
        return [*self.others, *self.lessons, *self.exercises]

    def files(self) -> dict[str, Path]:
        """What is copied: {address: file}."""
        copied = {page: self.root / name for name, page in _FILES.items()}
        for exercise in self.exercises:
            copied[posixpath.splitext(exercise.page)[0] + ".ipynb"] = exercise.source
        return {page: path for page, path in copied.items() if path.is_file()}

    def link(self, place: Place, address: str) -> str:
        """Where an address in the source of that place leads. BadInput: nowhere."""
        parts = urlsplit(address)
        if parts.scheme or parts.netloc or not parts.path:
            return address
        wanted = posixpath.normpath(f"{place.source.parent.as_posix()}/{unquote(parts.path)}")
        page = self._addresses().get(wanted)
        if page is None:
            raise BadInput(f"{place.source}: links to {address}, which is no page of the site")
        way = posixpath.relpath(page, posixpath.dirname(place.page) or ".")
        return f"{way}#{parts.fragment}" if parts.fragment else way

    def _addresses(self) -> dict[str, str]:
        pages = {place.source.as_posix(): place.page for place in self.all}
        files = {(self.root / name).as_posix(): page for name, page in _FILES.items()}
        return files | pages


def find_course(root: Path) -> Course:
    """The course in that folder. BadInput: there is none, or a notebook cannot be read."""
    root = root.resolve()
    lessons = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    if not lessons:
        raise BadInput(f"{root}: there are no lessons in its folder notebooks")
    exercises = sorted((root / "exercises").glob("*.ipynb"))
    return Course(
        root,
        [_place(path, f"{path.stem}.html") for path in lessons],
        [_place(path, f"exercises/{path.stem}.html") for path in exercises],
        [_place(root / name, page) for name, page in _SINGLE.items() if (root / name).is_file()],
    )


def _place(path: Path, page: str) -> Place:
    text = path.read_text(encoding="utf-8") if path.suffix == ".md" else _first_cell(path)
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    if not title:
        raise BadInput(f"{path}: has no title; begin it with a line # TITLE")
    return Place(path, page, title[1])


def _first_cell(path: Path) -> str:
    cells = read_notebook(path).cells
    return str(cells[0].source) if cells else ""
