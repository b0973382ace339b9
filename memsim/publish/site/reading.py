"""A page, read as a browser and a reader do: its sections, its links, and what it would fetch."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_HEADINGS = frozenset({"h1", "h2", "h3"})
_SKIPPED = frozenset({"script", "style"})
_FETCHING = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


@dataclass
class Section:
    """A heading, where it is, and the words until the next heading."""

    level: int
    id: str
    title: str = ""
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The words, each space one."""
        return " ".join("".join(self.words).split())


class Reading(HTMLParser):
    """Reads a page. What comes before its first heading is in no section."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sections: list[Section] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self._skipped = 0
        self._in_heading = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens a section at a heading, notes ids and addresses."""
        told = {name: value or "" for name, value in attrs}
        if "id" in told:
            self.ids.append(told["id"])
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        if told.get(_FETCHING.get(tag, "")):
            self.fetched.append(told[_FETCHING[tag]])
        self._skipped += tag in _SKIPPED
        if tag in _HEADINGS and "id" in told:
            self.sections.append(Section(int(tag[1]), told["id"]))
            self._in_heading = True

    def handle_endtag(self, tag: str) -> None:
        """Words of different elements are different words, but for what is within a line."""
        self._skipped -= tag in _SKIPPED
        self._in_heading = self._in_heading and tag not in _HEADINGS
        if tag in {"p", "li", "td", "th", "pre", "summary", "div", "blockquote"}:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        """Adds words to the present heading or section."""
        if self._skipped or not self.sections:
            return
        section = self.sections[-1]
        if self._in_heading:
            section.title += data
        else:
            section.words.append(data)
