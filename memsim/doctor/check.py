"""One thing that was looked for: whether it is there, and what to do if not."""

from __future__ import annotations

from typing import NamedTuple

#: What a thing is there for: without COURSE things no lesson runs, the others can be missing.
COURSE, TESTS, YOUR_MACHINE = "the course", "its tests", "looking at this machine"


class Check(NamedTuple):
    """`found` says what there is; `to_do` is for people, and empty when nothing is to be done."""

    purpose: str
    name: str
    is_ok: bool
    found: str
    to_do: str = ""

    @property
    def blocks(self) -> bool:
        """Does the course not run without it?"""
        return self.purpose == COURSE and not self.is_ok

    def text(self) -> str:
        """One line."""
        line = f"{'ok' if self.is_ok else 'missing':8} {self.name}: {self.found}"
        return f"{line}. {self.to_do}" if self.to_do else line
