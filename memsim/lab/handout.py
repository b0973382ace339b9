"""Lessons handed out to a reader's own folder, and brought up to date there; nothing is lost.

A file that the reader did not touch follows the course. A notebook counts as touched when the text
of a cell is another, or cells were added or taken away: outputs come again when cells are run. A
touched file stays as it is, and where the course has a newer version, that is put beside it, under
a name that no other file has.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from memsim.files import write_whole
from memsim.words.course import MANIFEST
from memsim.words.errors import BadInput

_MAX_BYTES = 64 << 20
#: What a reader's folder has, side by side, as they link to each other.
PARTS = ("notebooks", "exercises")
_SKIPPED = frozenset({MANIFEST, ".ipynb_checkpoints", "__pycache__"})


class Fate(Enum):
    """What became of a file in the reader's folder."""

    NEW = "new"
    UPDATED = "updated"
    SAME = "the same"
    KEPT = "yours, kept"
    BESIDE = "yours, kept; the new version is beside it"
    GONE = "no more in the course, kept"


#: Fates that are told file by file.
_TOLD = (Fate.KEPT, Fate.BESIDE, Fate.GONE)


def hand_out(source: Path, target: Path) -> dict[str, Fate]:
    """Copy a folder of lessons to a reader's folder: by file, what became of it there.

    BadInput, and nothing is changed, if source has no lessons or target is within it. BadInput too
    where a file cannot be written; those before it are handed out.
    """
    files = sorted(_files(source))
    if not any(name.endswith(".ipynb") for name in files):
        raise BadInput(f"{source}: there are no notebooks in it")
    if target.resolve().is_relative_to(source.resolve()):
        raise BadInput(f"{target}: is where the lessons come from; name another folder")
    handed = _read_manifest(target)
    fates: dict[str, Fate] = {}
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in sorted(handed.keys() - set(files)):
            if (target / name).exists():
                fates[name] = Fate.GONE
        for name in files:
            fates[name] = _hand_out_file(source / name, target / name, handed.get(name, ""))
            handed[name] = _digest(source / name)
            write_whole(target / MANIFEST, json.dumps({"files": handed}, indent=1).encode())
    except OSError as error:
        raise BadInput(f"{error.filename or target}: {error.strerror}") from None
    return fates


def hand_out_course(target: Path) -> dict[str, Fate]:
    """Lessons and exercises that came with memsim, in folders of these names. BadInput as above."""
    fates = {}
    for part in PARTS:
        handed = hand_out(came_with(part), target / part)
        fates.update({f"{part}/{name}": fate for name, fate in handed.items()})
    return fates


def came_with(part: str) -> Path:
    """A folder beside the package, or in it."""
    package = Path(__file__).parents[1]
    beside = package.parent / part
    return beside if beside.is_dir() else package / part


def as_lines(fates: dict[str, Fate], folder: Path) -> str:
    """For people: how many files of each fate, and which ones are the reader's."""
    counts = Counter(fates.values())
    told = ", ".join(f"{counts[fate]} {fate.value}" for fate in Fate if counts[fate])
    own = [f"  {n}: {f.value}" for n, f in fates.items() if f in _TOLD]
    return "\n".join([f"{folder}: {told}", *own])


def _files(source: Path) -> Iterator[str]:
    for path in source.rglob("*"):
        name = path.relative_to(source)
        if path.is_file() and not _SKIPPED & set(name.parts):
            yield name.as_posix()


def _hand_out_file(new: Path, own: Path, handed: str) -> Fate:
    """One file; handed: the digest of what the reader was given last, "" for nothing."""
    if not own.exists():
        _copy(new, own)
        return Fate.NEW
    mine, theirs = _digest(own), _digest(new)
    if mine == theirs:
        return Fate.SAME
    if mine == handed:
        _copy(new, own)
        return Fate.UPDATED
    if theirs == handed:
        return Fate.KEPT
    _copy(new, _beside(own, theirs))
    return Fate.BESIDE


def _beside(own: Path, digest: str) -> Path:
    """Where a newer version goes: "NAME (new)", "NAME (new 2)" and so on, the first not taken."""
    place, number = own.with_stem(f"{own.stem} (new)"), 1
    while place.exists() and _digest(place) != digest:
        number += 1
        place = own.with_stem(f"{own.stem} (new {number})")
    return place


def _digest(path: Path) -> str:
    """A hash of the file; of a notebook, of what its cells say alone."""
    if path.stat().st_size > _MAX_BYTES:
        return "too large to be a lesson"
    content = path.read_bytes()
    if path.suffix == ".ipynb":
        content = _cells(content) or content
    return hashlib.sha256(content).hexdigest()


def _cells(content: bytes) -> bytes | None:
    """Kind and text of each cell; None for what is no notebook."""
    try:
        cells = json.loads(content)["cells"]
        said = [[cell["cell_type"], _joined(cell["source"])] for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return json.dumps(said).encode()


def _joined(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)


def _read_manifest(target: Path) -> dict[str, str]:
    """What was handed out, by file. Unreadable, it is nothing: so all that is there stays."""
    try:
        files = json.loads((target / MANIFEST).read_bytes())["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, source.read_bytes())
