"""Whose work is which file, and for which exercise? One Intake for each student and exercise.

What is read is FOLDER/<student>/NN_name.ipynb, in deeper folders too, as nbgrader collects them
(submitted/<student>/<assignment>/), FOLDER/<student>_NN_name.ipynb or NN_name_<student>.ipynb, and
what Canvas and Moodle pack, see downloads. A notebook with a name of its own is of the exercise
that is named in it. Every other file is told in a line, and no student with one that cannot be
read as a notebook is given 0 for what it may be.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memsim.lab.grader.downloads import Packed, People, packed, people_of, why_nobody
from memsim.lab.grader.handed_in import HandedIn, Unreadable, files_in, read_bounded
from memsim.lab.grader.notebook import Form, cells_of, is_notebook
from memsim.lab.grader.results import ASIDE, MISSING, NOTHING, UNREADABLE, UNSURE, Intake
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: Folders that are nobody's.
_COLLECTED = ("submitted", "submissions")
#: What nbgrader has beside `submitted`: nothing that is handed in.
_NBGRADER_S = ("source", "release", "autograded", "feedback", "downloaded")
#: What a notebook that was handed out says of itself, in JSON.
_SAYS = re.compile(rb"""Exercise\(\\?["'](\w{1,80})\\?["']""")
#: What Jupyter, browsers and Canvas add to a name that is taken.
_COPY = re.compile(r"(?:-Copy\d+|[ _]?\(\d+\)| - Copy|-\d+)+$")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
#: Who hands in a single notebook whose name tells nobody.
SOMEBODY = "me"
_MOST_OTHERS = 5
#: Of one student no more files are told of.
_MOST_NOTES = 50
_RENAME = "if it is an answer, rename it to"
_NO_EXERCISE = f"is not the name of an exercise; {_RENAME} 05_name.ipynb, as it was handed out"
_NO_STUDENT = f"its name tells no student; {_RENAME} ID_05_name.ipynb"
_MEND = "mend that, or ask for the .ipynb"
_NO_NOTEBOOK = "is no notebook that can be read, and its name tells no exercise; ask for the .ipynb"


@dataclass(frozen=True)
class Claim:
    """A file and what its name says: whose it is, and of which exercise."""

    student: str
    exercise: str
    file: HandedIn
    flags: tuple[str, ...] = ()
    #: Of two files that a site packed, the larger is newer.
    number: int = 0


@dataclass(frozen=True)
class Sorted:
    """The files by student and exercise. `notes`: what is nobody's, or of no exercise.

    `others`: of students, the files that are of no exercise; of "", those that are nobody's.
    `unsure`: whose work may be among those. `unread`: who has some that cannot be read.
    """

    claims: Mapping[tuple[str, str], Sequence[Claim]]
    notes: tuple[str, ...]
    others: Mapping[str, Sequence[str]]
    unsure: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()

    @property
    def exercises(self) -> list[str]:
        """The exercises that somebody handed in."""
        return sorted({exercise for _, exercise in self.claims})


def sort_files(path: Path, exercises: Collection[str], roster: Collection[str] = ()) -> Sorted:
    """Whose is what, of a notebook, a folder or a zip; nothing is opened yet.

    BadInput where there are no notebooks, or none whose name tells what it is.
    """
    files, aside = _unwrapped(_files(path), roster, path.stem)
    claims: dict[tuple[str, str], list[Claim]] = {}
    others: dict[str, list[str]] = {}
    unsure: set[str] = set()
    unread: set[str] = set()
    people = people_of(roster)
    for file in files:
        claim = _claim(file, exercises, roster, people)
        if isinstance(claim, Claim):
            claims.setdefault((claim.student, claim.exercise), []).append(claim)
        else:
            others.setdefault(claim.student, []).append(f"{file.place}: {claim.why}")
            unsure.update(claim.perhaps)
            unread.update({claim.student} if claim.is_unread else ())
    notes = (*_notes(others), *aside)
    if not claims:
        raise BadInput(f"{path}: {notes[0]}" if len(notes) == 1 else _none(path, notes))
    return Sorted(claims, notes, others, frozenset(unsure), frozenset(unread))


def _notes(others: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A line for each file, those that are nobody's first; of one student not too many."""
    yield from others.get("", ())
    for student, told in others.items():
        if student:
            yield from told[:_MOST_NOTES]
        if student and len(told) > _MOST_NOTES:
            yield f"{one_line(student, 60)}: {len(told) - _MOST_NOTES} files more that are not read"


def intakes(
    found: Sorted, forms: Mapping[str, Form], roster: Collection[str] = ()
) -> Iterator[Intake]:
    """One for each student and exercise of `forms`, read one by one.

    With a roster also for those who handed in nothing: MISSING.
    """
    students = sorted({student for student, _ in found.claims} | set(roster))
    for student in students:
        for exercise in sorted(forms):
            claims = found.claims.get((student, exercise), ())
            if claims:
                yield _intake(claims, forms[exercise])
            elif roster:
                yield _nothing(student, exercise, found)


def _nothing(student: str, exercise: str, found: Sorted) -> Intake:
    """Of a student who handed in nothing of it: 0, but no grade where files may be that."""
    others = found.others.get(student, ())
    empty = Intake(student, exercise, (), tuple(others[:_MOST_OTHERS]), "")
    if student not in found.unsure | found.unread:
        return replace(empty, problem=NOTHING, outcome=MISSING)
    problem = UNSURE if student in found.unsure else ASIDE
    digest = hashlib.sha256("\n".join([problem, *others]).encode()).hexdigest()
    return replace(empty, sha256=digest, problem=problem, outcome=UNREADABLE)


def _files(path: Path) -> list[HandedIn]:
    if path.suffix != ".ipynb" or path.is_dir():
        return files_in(path)
    if not path.exists() and not path.is_symlink():
        raise BadInput(f"{path}: No such file or directory")
    return [HandedIn((path.name,), lambda: read_bounded(path))]


def _none(path: Path, notes: Sequence[str]) -> str:
    return f"{path}: no notebook in it has the name of an exercise; {len(notes)}: {notes[0]}"


def _unwrapped(
    files: list[HandedIn], roster: Collection[str], stem: str
) -> tuple[list[HandedIn], tuple[str, ...]]:
    """Without folders that are nobody's: `submitted`, and one around all that is handed in.

    And what is to be said of files that are left out for where they are.
    """
    if any(_is_collected(file, roster) for file in files):
        left_out = [file for file in files if _is_nbgrader_s(file, roster)]
        kept = [file for file in files if not _is_nbgrader_s(file, roster)]
        inner = [_inner(file) if _is_collected(file, roster) else file for file in kept]
        files, aside = _unwrapped(inner, roster, "")
        return files, (*_left_out(left_out), *aside)
    if not _is_around(files, roster, stem):
        return files, ()
    return _unwrapped([_inner(f) if len(f.parts) > 1 else f for f in files], roster, "")


def _is_around(files: Sequence[HandedIn], roster: Collection[str], stem: str) -> bool:
    """Whether all notebooks are in one folder that is no student's."""
    inside = [file for file in files if len(file.parts) > 1]
    tops = {file.parts[0] for file in files if len(file.parts) > 1 or file.is_notebook}
    if len(tops) != 1 or not inside or _alike(top := tops.pop(), roster):
        return False
    return top == stem or any(file.parts[1] in roster for file in inside)


def _left_out(files: Sequence[HandedIn]) -> Iterator[str]:
    """A line for each folder of nbgrader's."""
    for top, count in sorted(Counter(file.parts[0] for file in files).items()):
        yield f"{top}: nbgrader's folder beside {_COLLECTED[0]}, {count} files, not handed in"


def _is_nbgrader_s(file: HandedIn, roster: Collection[str]) -> bool:
    top = file.parts[0]
    return len(file.parts) > 1 and top in _NBGRADER_S and not _alike(top, roster)


def _is_collected(file: HandedIn, roster: Collection[str]) -> bool:
    top = file.parts[0]
    return len(file.parts) > 1 and top in _COLLECTED and top not in roster


def _inner(file: HandedIn) -> HandedIn:
    return replace(file, parts=file.parts[1:])


@dataclass(frozen=True)
class _Owner:
    """Whose a file is, and its own name without what tells that. `why`: it is not taken.

    `perhaps`: several whose it may be. `is_unread`: nobody can tell what is in it.
    """

    student: str
    name: str
    flags: tuple[str, ...] = ()
    why: str = ""
    perhaps: tuple[str, ...] = ()
    number: int = 0
    is_unread: bool = False


def _claim(
    file: HandedIn, exercises: Collection[str], roster: Collection[str], people: People
) -> Claim | _Owner:
    """What a file's path says; where it does not say it, whose it is and why it is not taken."""
    owner = _owner(file, exercises, roster, people)
    if owner.why:
        return replace(owner, why=f"{file.problem}; {owner.why}" if file.problem else owner.why)
    exercise, named, copied = _named_in(owner.name, exercises)
    found = exercise or _named_inside(file, exercises)
    if not found:
        return _of_no_exercise(owner, file)
    flags = owner.flags
    if len(file.parts) > 1 and named and named not in (owner.student, file.parts[0]):
        flags += (f"its name says {one_line(named, 60)!r}; the folder counts",)
    if not exercise or (copied and not owner.number) or not file.is_notebook:
        flags += (f"its name is {one_line(file.parts[-1], 80)!r}",)
    return Claim(owner.student, found, file, flags, owner.number)


def _of_no_exercise(owner: _Owner, file: HandedIn) -> _Owner:
    """The owner, and why the file is not taken: it cannot be read, or is another notebook."""
    if file.problem:
        return replace(owner, why=f"{file.problem}; {_MEND}", is_unread=True)
    if file.is_notebook and _is_readable(file):
        return replace(owner, why=_NO_EXERCISE)
    return replace(owner, why=_NO_NOTEBOOK, is_unread=True)


def _is_readable(file: HandedIn) -> bool:
    try:
        return is_notebook(file.read())
    except Unreadable:
        return False


def _owner(
    file: HandedIn, exercises: Collection[str], roster: Collection[str], people: People
) -> _Owner:
    """Folders count before names, the outermost first: what is in mine is mine."""
    folders = file.parts[:-1]
    for folder in folders:
        if _on_roster(folder, roster):
            return _student(folder, file.stem, roster)
        if site := packed(folder):
            return _of_site(site, file.stem, roster, people)
    named, site = _named_in(file.stem, exercises)[1], packed(file.stem)
    if site and not _on_roster(named, roster):
        return _of_site(site, site.file, roster, people)
    if folders and not _on_roster(named, roster):
        return _student(folders[0], file.stem, roster)
    if roster and not named:
        named = next((n for n in (file.parts[-1], file.stem) if _on_roster(n, roster)), "")
        if not named:
            return _Owner("", file.stem, why=_NO_STUDENT)
    return _student(named or SOMEBODY, file.stem, roster)


def _of_site(site: Packed, name: str, roster: Collection[str], people: People) -> _Owner:
    students = people.find(site) if roster else [site.who]
    if len(students) != 1:
        return _Owner("", name, why=why_nobody(site, students), perhaps=tuple(students))
    return _Owner(students[0], name, site.flags, number=site.newness)


def _named_inside(file: HandedIn, exercises: Collection[str]) -> str:
    """The one exercise that a notebook asks memsim for; "": none, or several."""
    if not file.is_notebook:
        return ""
    try:
        said = {name.decode() for name in _SAYS.findall(file.read())}
    except Unreadable:
        return ""
    named = said.intersection(exercises)
    return named.pop() if len(named) == 1 else ""


def _named_in(stem: str, exercises: Collection[str]) -> tuple[str, str, bool]:
    """Exercise and student of a name, and whether it says that it is a copy."""
    plain = _COPY.sub("", stem)
    for exercise in sorted(exercises, key=len, reverse=True):
        if plain == exercise:
            return exercise, "", plain != stem
        if plain.endswith(f"_{exercise}"):
            return exercise, plain.removesuffix(f"_{exercise}"), plain != stem
        if plain.startswith(f"{exercise}_"):
            return exercise, plain.removeprefix(f"{exercise}_"), plain != stem
    return "", "", False


def _on_roster(owner: str, roster: Collection[str]) -> str:
    """The student of the roster whose id that is, in any case; "": none."""
    if owner in roster:
        return owner
    alike = _alike(owner, roster)
    return alike[0] if len(alike) == 1 else ""


def _student(owner: str, file_name: str, roster: Collection[str]) -> _Owner:
    """The student of that id, and what is to be said of it."""
    student = _on_roster(owner, roster)
    if student:
        flags = () if student == owner else (f"handed in as {one_line(owner, 60)!r}",)
        return _Owner(student, file_name, flags)
    name = one_line(owner.strip(), 100)
    odd = () if _NAMED.fullmatch(name) else ("the student's name has odd characters",)
    stranger = ("is not on the roster",) if roster else ()
    return _Owner(name, file_name, (*stranger, *odd))


def _alike(owner: str, roster: Collection[str]) -> list[str]:
    """Students whose id it is but for case and spaces around it; no other letters are the same."""
    name = owner.strip().lower()
    return [student for student in roster if owner.isascii() and student.lower() == name]


def _intake(claims: Sequence[Claim], form: Form) -> Intake:
    """What counts of a student's files for one exercise: the newest, its own name's, the last.

    One in a folder counts before one that has its student in its name, which anybody may choose.
    The file is read here, and what is wrong with it is said.
    """
    best = max(reversed(claims), key=_rank)
    flags = best.flags
    if len(claims) > 1:
        flags += (f"{len(claims)} files of it; {best.file.place} counts",)
    empty = Intake(best.student, best.exercise, (), flags, "")
    try:
        content = best.file.read()
    except Unreadable as error:
        return _unreadable(empty, error)
    return _read(replace(empty, sha256=hashlib.sha256(content).hexdigest()), content, form)


def _rank(claim: Claim) -> tuple[bool, bool, bool, int, bool, tuple[str, ...]]:
    file = claim.file
    in_folder = len(file.parts) > 1
    return (
        not file.leads_out, in_folder, file.is_notebook, claim.number, not claim.flags, file.parts
    )  # fmt: skip


def _read(empty: Intake, content: bytes, form: Form) -> Intake:
    try:
        cells = cells_of(content, form)
    except Unreadable as error:
        return _unreadable(empty, error)
    flags = empty.flags + cells.flags
    outcome = MISSING if cells.problem else ""
    return replace(empty, cells=cells.sources, flags=flags, problem=cells.problem, outcome=outcome)


def _unreadable(empty: Intake, why: Unreadable) -> Intake:
    return replace(empty, problem=f"the file {one_line(why, 200)}", outcome=UNREADABLE)
