"""Whose is a file that Canvas or Moodle packed? Their names for it, and the roster's.

Canvas: `exampleann_LATE_5001_90017_05_name.ipynb`, the number being the roster's canvas_id. Moodle:
`Ann Example_70001_assignsubmission_file_/05_name.ipynb`, or the same in one name; its number is
another for each assignment and tells nobody.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from memsim.lab.roster import Student
from memsim.lib.text import one_line

_CANVAS = re.compile(
    r"(?P<who>.+?)_(?P<late>LATE_)?(?P<number>\d{1,18})_(?P<newness>\d{1,18})_(?P<file>.+)",
    re.DOTALL,
)
_MOODLE = re.compile(r"(?P<who>.+?)_\d+_assignsubmission_[a-z]+_(?P<file>.*)", re.DOTALL)
_LONGEST = 400
LATE = "late, as Canvas says"


@dataclass(frozen=True)
class Packed:
    """What such a name says: who, Canvas's number of them, and the file's own name.

    `newness`: of Canvas's files the larger is newer; of Moodle's it is 0.
    """

    who: str
    number: str
    file: str
    newness: int = 0
    flags: tuple[str, ...] = ()


def packed(name: str) -> Packed | None:
    """What the name of a folder or file says, if Canvas or Moodle made it."""
    if len(name) > _LONGEST:
        return None
    if found := _MOODLE.fullmatch(name):
        return Packed(found["who"], "", found["file"])
    if found := _CANVAS.fullmatch(name):
        flags = (LATE,) if found["late"] else ()
        return Packed(found["who"], found["number"], found["file"], int(found["newness"]), flags)
    return None


@dataclass(frozen=True)
class People:
    """A roster's students by what sites call them."""

    by_number: dict[str, str] = field(default_factory=dict)
    by_name: dict[str, set[str]] = field(default_factory=dict)

    def find(self, file: Packed) -> list[str]:
        """The students who may have made it: one, none, or several of the same name."""
        if file.number in self.by_number:
            return [self.by_number[file.number]]
        return sorted(self.by_name.get(_plain(file.who), ()))


def why_nobody(file: Packed, students: Sequence[str]) -> str:
    """Why it is not known whose that is, and what to do."""
    who = one_line(file.who, 60)
    if not students:
        return f"{who!r} is no name on the roster: mend it there, or rename the file to ID_05_name"
    what = "give the roster a column canvas_id" if file.number else "rename the folder to the id"
    return f"{who!r} is the name of {', '.join(students)}: {what}"


def people_of(roster: Collection[str] | Mapping[str, Student]) -> People:
    """The students of a roster, which has no names if it is of ids alone."""
    people = People({}, defaultdict(set))
    for student, about in roster.items() if isinstance(roster, Mapping) else ():
        if about.get("canvas_id"):
            people.by_number[about["canvas_id"]] = student
        for name in _names(about):
            people.by_name[name].add(student)
    return people


def _names(about: Student) -> set[str]:
    """Full names of a student: the first name first, the last name first; or any word first."""
    first, last = about.get("first_name", ""), about.get("last_name", "")
    words = about.get("name", "").split()
    turned = [words[at:] + words[:at] for at in range(len(words))]
    return {_plain(name) for name in (first + last, last + first, *map("".join, turned))} - {""}


def _plain(name: str) -> str:
    """Letters and digits of a name, small: Canvas keeps no more."""
    composed = unicodedata.normalize("NFC", name).casefold()
    return "".join(c for c in composed if c.isalnum() or unicodedata.combining(c))
