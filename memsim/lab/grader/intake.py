"""Whose work is which file, and for which exercise? One Intake for each student and exercise.

What is read is FOLDER/<student>/NN_name.ipynb, in deeper folders too, as nbgrader collects them
(submitted/<student>/<assignment>/), and FOLDER/<student>_NN_name.ipynb or NN_name_<student>.ipynb.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memsim.lab.grader.handed_in import HandedIn, Unreadable, files_in, read_bounded
from memsim.lab.grader.notebook import Form, cells_of
from memsim.lab.grader.results import MISSING, UNREADABLE, Intake
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: Folders that are nobody's.
_COLLECTED = ("submitted", "submissions")
#: What Jupyter and browsers add to a name that is taken.
_COPY = re.compile(r"(?:-Copy\d+|[ _]?\(\d+\)| - Copy)+$")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
#: Who hands in a single notebook whose name tells nobody.
SOMEBODY = "me"
_NOTHING = "nothing was handed in"


@dataclass(frozen=True)
class Claim:
    """A file and what its name says: whose it is, and of which exercise."""

    student: str
    exercise: str
    file: HandedIn
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sorted:
    """The files by student and exercise. `notes`: what is nobody's, or of no exercise."""

    claims: Mapping[tuple[str, str], Sequence[Claim]]
    notes: tuple[str, ...]

    @property
    def exercises(self) -> list[str]:
        """The exercises that somebody handed in."""
        return sorted({exercise for _, exercise in self.claims})


def sort_files(path: Path, exercises: Collection[str], roster: Collection[str] = ()) -> Sorted:
    """Whose is what, of a notebook, a folder or a zip; nothing is opened yet.

    BadInput where there are no notebooks, or none whose name tells what it is.
    """
    files = _files(path)
    claims: dict[tuple[str, str], list[Claim]] = {}
    notes = []
    for file in _unwrapped(files, roster, path.stem):
        claim = _claim(file, exercises, roster)
        if isinstance(claim, str):
            notes.append(f"{file.place}: {claim}")
        else:
            claims.setdefault((claim.student, claim.exercise), []).append(claim)
    if not claims:
        raise BadInput(f"{path}: {notes[0]}" if len(notes) == 1 else _none(path, notes))
    return Sorted(claims, tuple(notes))


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
                yield Intake(student, exercise, (), (), "", _NOTHING, MISSING)


def _files(path: Path) -> list[HandedIn]:
    if path.suffix != ".ipynb" or path.is_dir():
        return files_in(path)
    if not path.exists() and not path.is_symlink():
        raise BadInput(f"{path}: No such file or directory")
    return [HandedIn((path.name,), lambda: read_bounded(path))]


def _none(path: Path, notes: Sequence[str]) -> str:
    return f"{path}: no notebook in it has the name of an exercise; {len(notes)}: {notes[0]}"


def _unwrapped(files: list[HandedIn], roster: Collection[str], stem: str) -> list[HandedIn]:
    """Without folders that are nobody's: `submitted`, and one around all that is handed in."""
    if any(_is_collected(file, roster) for file in files):
        beside = [file for file in files if _alike(file.parts[0], roster)]
        inner = [_inner(file) for file in files if _is_collected(file, roster)]
        return _unwrapped([*beside, *inner], roster, "")
    top = files[0].parts[0]
    if any(file.parts[0] != top or len(file.parts) < 2 for file in files) or _alike(top, roster):
        return files
    is_around = top == stem or any(file.parts[1] in roster for file in files)
    return [_inner(file) for file in files] if is_around else files


def _is_collected(file: HandedIn, roster: Collection[str]) -> bool:
    top = file.parts[0]
    return len(file.parts) > 1 and top in _COLLECTED and top not in roster


def _inner(file: HandedIn) -> HandedIn:
    return replace(file, parts=file.parts[1:])


def _claim(file: HandedIn, exercises: Collection[str], roster: Collection[str]) -> Claim | str:
    """What a file's path says; a text where it does not say it."""
    if file.problem:
        return file.problem
    stem = file.parts[-1].removesuffix(".ipynb")
    exercise, named, copied = _named_in(stem, exercises)
    if not exercise:
        return "is not the name of an exercise"
    owner = file.parts[0] if len(file.parts) > 1 else named
    if not owner and roster:
        return "its name tells no student"
    student, flags = _student(owner or SOMEBODY, roster)
    if len(file.parts) > 1 and named and named != owner:
        flags += (f"its name says {one_line(named, 60)!r}; the folder counts",)
    if copied:
        flags += (f"its name is {one_line(file.parts[-1], 80)!r}",)
    return Claim(student, exercise, file, flags)


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


def _student(owner: str, roster: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """The student of that name, and what is to be said of it."""
    if owner in roster:
        return owner, ()
    alike = _alike(owner, roster)
    if len(alike) == 1:
        return alike[0], (f"handed in as {one_line(owner, 60)!r}",)
    name = one_line(owner.strip(), 100)
    odd = () if _NAMED.fullmatch(name) else ("the student's name has odd characters",)
    return name, (*(("is not on the roster",) if roster else ()), *odd)


def _alike(owner: str, roster: Collection[str]) -> list[str]:
    """Students whose id it is but for case and spaces around it; no other letters are the same."""
    name = owner.strip().lower()
    return [student for student in roster if owner.isascii() and student.lower() == name]


def _intake(claims: Sequence[Claim], form: Form) -> Intake:
    """What counts of a student's files for one exercise: the one under its own name, then the last.

    One in a folder counts before one that has its student in its name, which anybody may choose.
    The file is read here, and what is wrong with it is said.
    """
    best = max(reversed(claims), key=_weight)
    flags = best.flags
    if len(claims) > 1:
        flags += (f"{len(claims)} files of it; {best.file.place} counts",)
    empty = Intake(best.student, best.exercise, (), flags, "")
    try:
        content = best.file.read()
    except Unreadable as error:
        return _unreadable(empty, error)
    return _read(replace(empty, sha256=hashlib.sha256(content).hexdigest()), content, form)


def _weight(claim: Claim) -> tuple[bool, bool, bool, tuple[str, ...]]:
    parts = claim.file.parts
    return not claim.file.leads_out, not claim.flags, len(parts) > 1, parts


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
