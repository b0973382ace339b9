"""What students are handed: exercises with one puzzle each, no solution, hidden case or secret.

With a roster each student has a folder, and puzzles of their own, drawn by the course's secret.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from memsim.files import write_whole
from memsim.lab.cut import Cut, Progress, cut_course, write_exercises
from memsim.lab.handout import Fate, hand_out
from memsim.lab.places import EXERCISES
from memsim.lab.variants import PUBLIC, seed_of
from memsim.words.errors import BadInput

_SHORTEST = 16


def release(
    course: Path, target: Path, progress: Progress = lambda name: None, only: str = ""
) -> dict[str, Fate]:
    """The exercises of a course for anybody: what became of each file in the folder."""
    return _handed(cut_course(course, progress, only), target, lambda name: PUBLIC)


def release_class(
    course: Path, target: Path, students: Iterable[str], secret: bytes,
    progress: Progress = lambda name: None, only: str = "",
) -> dict[str, dict[str, Fate]]:  # fmt: skip
    """The same for each student of a class, in a folder of that name in target."""
    cuts, fates = cut_course(course, progress, only), {}
    for student in students:
        progress(student)

        def number(name: str, student: str = student) -> int:
            return seed_of(secret, student, name)

        fates[student] = _handed(cuts, target / student, number)
    return fates


def cut_exercises(course: Path, progress: Progress = lambda name: None) -> dict[str, Fate]:
    """The folder `exercises` of a course, cut anew; what a reader changed in it stays."""
    return release(course, course / EXERCISES, progress)


def read_secret(path: Path) -> bytes:
    """The secret of a course, at least 16 bytes. BadInput where it cannot be read or is short."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    if len(secret) < _SHORTEST:
        raise BadInput(f"{path}: a secret of {len(secret)} bytes; should be at least {_SHORTEST}")
    return secret


def new_secret(path: Path, random_hex: str) -> None:
    """Write a new secret, for its owner alone. BadInput if there is one already."""
    if path.exists():
        raise BadInput(f"{path}: is there already; with another secret all puzzles change")
    write_whole(path, f"{random_hex}\n".encode())
    path.chmod(0o600)


def _handed(cuts: Sequence[Cut], target: Path, number: Callable[[str], int]) -> dict[str, Fate]:
    for own in (cuts[0].author.parents[1], cuts[0].author.parents[2]):
        if target.resolve() == own.resolve():
            raise BadInput(f"{target}: is where the course's own files are; name another folder")
    with tempfile.TemporaryDirectory(prefix="memsim-") as folder:
        write_exercises(cuts, Path(folder), number)
        return hand_out(Path(folder), target)
