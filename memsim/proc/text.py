"""A /proc text as untrusted lines. Whatever is wrong is said with file, line and field."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: What to do about a text that is not what the kernel printed.
COPY_AGAIN = "copy the file again as the kernel prints it, with cp and not from a screen"
#: Numbers are at most those of an unsigned long; nodes as many as a kernel can have.
MAX_NUMBER = (1 << 64) - 1
MAX_NODE = 1023
#: Numbers, or names of types, that a line can have.
MAX_WORDS = 32

_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)


class Line:
    """One line of a /proc text, without blanks around it; `number` counts from 1."""

    __slots__ = ("name", "number", "text")

    def __init__(self, name: str, number: int, text: str) -> None:
        self.name = name
        self.number = number
        self.text = text

    def bad(self, what: str) -> BadInput:
        """The error that names this line."""
        return BadInput(f"{self.name}: line {self.number}: {what}")

    def unknown(self, expected: str) -> BadInput:
        """The error for a line that is no line of this file."""
        shown = one_line(self.text, 50)
        return self.bad(f"should be {expected}, is '{shown}'; {COPY_AGAIN}")

    def integer(self, text: str, field: str, maximum: int = MAX_NUMBER) -> int:
        """A whole number from 0 to maximum that stands in this line."""
        if not _NUMBER.fullmatch(text):
            shown = one_line(text, 40)
            raise self.bad(f"{field}: '{shown}' is not a number of 1 to 20 digits; {COPY_AGAIN}")
        if int(text) > maximum:
            raise self.bad(f"{field}: {int(text)} is over {maximum}; {COPY_AGAIN}")
        return int(text)

    def integers(self, text: str, field: str) -> tuple[int, ...]:
        """The numbers in text, which blanks separate; a line has few."""
        words = text.split(maxsplit=MAX_WORDS)
        if len(words) > MAX_WORDS:
            raise self.bad(f"{field}: over {MAX_WORDS} numbers; {COPY_AGAIN}")
        return tuple(self.integer(word, field) for word in words)


def lines_of(text: str, name: str) -> Iterator[Line]:
    """The lines that are not blank. The last must have an end: else the text is cut off."""
    *whole, rest = text.split("\n")
    for number, line in enumerate(whole, 1):
        if line.strip():
            yield Line(name, number, line.strip())
    if rest.strip():
        raise Line(name, len(whole) + 1, rest).bad(f"cut off, it has no end; {COPY_AGAIN}")
