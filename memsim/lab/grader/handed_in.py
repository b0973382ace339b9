"""The files that were handed in, in a folder or a zip: found and read within bounds, none run.

Whoever made them may have meant harm: a link, a pipe or a bomb is a problem in words, nothing more.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from memsim.lab.places import CASES
from memsim.lib.text import one_line
from memsim.words.course import MANIFEST, PROGRESS
from memsim.words.errors import BadInput

#: A notebook is not larger.
MAX_BYTES = 20 << 20
_MAX_DEPTH = 8
_MAX_FILES = 200_000
#: In a zip in a zip, which a student made.
_MAX_INSIDE = 2_000
_MAX_ZIP = 4 << 30
#: What a zip may become, and how many times its size; notebooks reach 50 at most.
_MAX_UNPACKED = 8 << 30
_MAX_RATIO = 200
_SMALL = 1 << 20
_ENCRYPTED = 1
_NOTEBOOK = ".ipynb"
#: What browsers and mail put behind a notebook's name.
_BEHIND = (".txt", ".json")
_ZIP = ".zip"
#: What tells the kind of a file that is no notebook.
_KIND = re.compile(r"(?:\.tar|\.ipynb)?\.[A-Za-z0-9]{1,8}$")
_ARCHIVES = (".rar", ".7z", ".gz", ".tgz", ".tar", ".bz2", ".xz", _ZIP)
#: What systems, nbgrader, Jupyter and memsim put beside the files of people.
_SKIPPED = frozenset({
    ".ipynb_checkpoints", "__MACOSX", "__pycache__", CASES, MANIFEST, PROGRESS, ".DS_Store",
    "Thumbs.db", "desktop.ini", "timestamp.txt", ".git", ".gitignore", ".venv",
})  # fmt: skip
#: What systems and word processors put before the names of files of their own.
_OWN = ("._", "~$", ".~lock.")


class Unreadable(Exception):
    """A file that is not read; the text says in words why."""


@dataclass(frozen=True)
class HandedIn:
    """A file, whatever it is. `read` returns the bytes of a notebook, else it is Unreadable."""

    parts: tuple[str, ...]
    read: Callable[[], bytes]
    #: Why nobody knows what is there, a folder or a link to one; "": it is a file.
    problem: str = ""
    #: In a zip it has a path that leads out of it: any other file counts before it.
    leads_out: bool = False

    @property
    def place(self) -> str:
        """Where it is, for people: the path in the folder or zip."""
        return one_line("/".join(self.parts), 200)

    @property
    def stem(self) -> str:
        """Its name without what tells the kind."""
        return _stem(self.parts[-1])

    @property
    def is_notebook(self) -> bool:
        """Whether its name says so."""
        return _without_more(self.parts[-1]).endswith(_NOTEBOOK)


def _without_more(name: str) -> str:
    return next((name.removesuffix(b) for b in _BEHIND if name.endswith(_NOTEBOOK + b)), name)


def _stem(name: str) -> str:
    plain = _without_more(name)
    return plain.removesuffix(_NOTEBOOK) if plain.endswith(_NOTEBOOK) else _KIND.sub("", plain)


def files_in(path: Path) -> list[HandedIn]:
    """What is in a folder or zip, or in the zips in it, by path: a notebook or not.

    BadInput if it is neither, or nothing is in it.
    """
    if path.is_dir():
        found = sorted(islice(_walk(path, ()), _MAX_FILES + 1), key=lambda file: file.parts)
    else:
        found = _in_zip(path)
    if not found:
        raise BadInput(f"{path}: there are no notebooks in it")
    if len(found) > _MAX_FILES:
        raise BadInput(f"{path}: more than {_MAX_FILES} files in it; grade them in parts")
    return found


def read_bounded(path: Path, limit: int = MAX_BYTES, within: int | None = None) -> bytes:
    """The bytes of a regular file; Unreadable if it is a link, a pipe, a device, or too large.

    `within`: the open folder that the path begins in.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_kind(os.stat(path, dir_fd=within, follow_symlinks=False).st_mode)
        with open(os.open(path, flags, dir_fd=within), "rb") as file:
            return _read(file.fileno(), file.read, limit)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def _read_below(top: Path, parts: Sequence[str]) -> bytes:
    """A file in folders below top, none of them a link: they may have changed since found."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        with ExitStack() as opened:
            within = os.open(top, flags)
            opened.callback(os.close, within)
            for part in parts[:-1]:
                within = os.open(part, flags | os.O_NOFOLLOW, dir_fd=within)
                opened.callback(os.close, within)
            return read_bounded(Path(parts[-1]), within=within)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def _read(handle: int, read: Callable[[int], bytes], limit: int) -> bytes:
    about = os.fstat(handle)
    _check_kind(about.st_mode)
    content = read(limit + 1) if about.st_size <= limit else b""
    if about.st_size > limit or len(content) > limit:
        raise Unreadable(f"is larger than {limit >> 20} MiB")
    return content


def _check_kind(mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise Unreadable("is a symbolic link, which is not followed")
    if not stat.S_ISREG(mode):
        raise Unreadable("is no regular file")


def _walk(top: Path, parts: tuple[str, ...]) -> Iterator[HandedIn]:
    """Files below a folder, and what is there that cannot be looked into."""
    if len(parts) > _MAX_DEPTH:
        yield _refused(parts, f"is deeper than {_MAX_DEPTH} folders")
        return
    try:
        with os.scandir(top.joinpath(*parts)) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if not parts:
            raise BadInput(f"{top}: {error.strerror}") from None
        yield _refused(parts, f"cannot be read: {error.strerror}")
        return
    for entry in entries:
        if not _is_skipped(entry.name):
            yield from _found(entry, top, (*parts, entry.name))


def _found(entry: os.DirEntry[str], top: Path, parts: tuple[str, ...]) -> Iterator[HandedIn]:
    if entry.is_dir(follow_symlinks=False):
        yield from _walk(top, parts)
    elif entry.is_symlink() and not entry.name.endswith(_NOTEBOOK):
        yield _refused(parts, "is a symbolic link, which is not followed")
    elif not entry.name.lower().endswith(_ZIP):
        yield _file(parts, lambda: _read_below(top, parts))
    elif len(parts) == 1:
        yield from _zip_of_site(Path(entry.path), parts)
    else:
        yield from _zip_of_student(parts, lambda: _read_below(top, parts), [_MAX_UNPACKED])


def _zip_of_site(path: Path, parts: tuple[str, ...]) -> Iterator[HandedIn]:
    """What is in a zip that nobody's folder has: a site's, with the work of many."""
    try:
        inner = _in_zip(path)
    except BadInput as error:
        yield _refused(parts, str(error).removeprefix(f"{path}: "))
        return
    folder = (*parts[:-1], parts[-1][: -len(_ZIP)])
    yield from (replace(file, parts=(*folder, *file.parts)) for file in inner)


def _file(parts: tuple[str, ...], read: Callable[[], bytes]) -> HandedIn:
    """The file; it is read only if its name says that it is a notebook."""
    name = _without_more(parts[-1]).lower()
    if name.endswith(_NOTEBOOK):
        return HandedIn(parts, read)
    return HandedIn(parts, _no_archive if name.endswith(_ARCHIVES) else _no_notebook)


def _no_notebook() -> bytes:
    raise Unreadable("is no notebook; it should end in .ipynb")


def _no_archive() -> bytes:
    raise Unreadable("is an archive that is not opened; unpack it there")


def _is_skipped(name: str) -> bool:
    return name in _SKIPPED or name.startswith(_OWN)


def _refused(parts: tuple[str, ...], why: str) -> HandedIn:
    def read() -> bytes:
        raise Unreadable(why)

    return HandedIn(parts, read, why)


def _in_zip(path: Path) -> list[HandedIn]:
    """The files of a zip. It stays open as long as one of them may be read."""
    try:
        content = path.stat()
        if not stat.S_ISREG(content.st_mode):
            raise BadInput(f"{path}: should be a notebook, a folder, or a zip of submissions")
        if content.st_size > _MAX_ZIP:
            raise BadInput(f"{path}: larger than {_MAX_ZIP >> 30} GiB; grade it in parts")
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadInput(f"{path}: is neither a notebook nor a folder nor a zip: {error}") from None
    return _entries(archive, archive.infolist())


def _entries(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> list[HandedIn]:
    found: list[HandedIn] = []
    left = [_MAX_UNPACKED]
    for entry in entries:
        parts = _parts(entry)
        if not parts:
            continue
        read, inside = _unpacker(archive, entry, left), _inside(parts)
        is_zip = parts[-1].lower().endswith(_ZIP)
        files = _zip_of_student(inside, read, left) if is_zip else [_file(inside, read)]
        found += [replace(file, leads_out=_leads_out(entry)) for file in files]
    return sorted(found, key=lambda file: file.parts)


def _zip_of_student(
    parts: tuple[str, ...], read: Callable[[], bytes], left: list[int]
) -> Iterator[HandedIn]:
    """The files of a zip that a student handed in; it is unpacked again for each notebook."""
    folder = (*parts[:-1], parts[-1][: -len(_ZIP)])
    try:
        with zipfile.ZipFile(io.BytesIO(read())) as archive:
            entries = archive.infolist()
    except Unreadable as error:
        yield _refused(parts, str(error))
        return
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        yield _refused(parts, f"is no zip: {one_line(error, 100)}")
        return
    if len(entries) > _MAX_INSIDE:
        yield _refused(parts, f"has more than {_MAX_INSIDE} files in it")
        return
    for entry in entries:
        inner = _parts(entry)
        if inner:
            yield _file((*folder, *_inside(inner)), _twice(read, entry, left))


def _twice(
    read: Callable[[], bytes], entry: zipfile.ZipInfo, left: list[int]
) -> Callable[[], bytes]:
    def unpacked() -> bytes:
        with zipfile.ZipFile(io.BytesIO(read())) as archive:
            return _unpacker(archive, entry, left)()

    return unpacked


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    """The path of a file in a zip; of what is nobody's work none."""
    parts = tuple(part for part in entry.filename.replace("\\", "/").split("/") if part)
    is_nobody_s = entry.is_dir() or any(map(_is_skipped, parts)) or not _inside(parts)
    return () if is_nobody_s else parts


def _inside(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The path without what would lead out of the zip's folder; nothing is written there anyway."""
    return tuple(part for part in parts if part not in ("..", ".") and not part.endswith(":"))


def _unpacker(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: list[int]
) -> Callable[[], bytes]:
    def read() -> bytes:
        why = _refusal(entry, left[0])
        if why:
            raise Unreadable(why)
        try:
            with archive.open(entry) as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, zipfile.BadZipFile, ValueError, EOFError, RuntimeError) as error:
            raise Unreadable(f"cannot be unpacked: {one_line(error, 100)}") from None
        except Exception as error:  # zlib, lzma and bz2 have errors of their own
            raise Unreadable(f"cannot be unpacked: {type(error).__name__}") from None
        left[0] -= len(content)
        if len(content) > MAX_BYTES:
            raise Unreadable("is larger unpacked than the zip says")
        return content

    return read


def _leads_out(entry: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    return name.is_absolute() or ".." in name.parts or name.parts[0].endswith(":")


def _refusal(entry: zipfile.ZipInfo, left: int) -> str:
    """Why an entry of a zip is not unpacked; "": it is."""
    if _leads_out(entry):
        return "its path leads out of the zip"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "is a link or no regular file"
    if entry.file_size > MAX_BYTES:
        return f"is larger than {MAX_BYTES >> 20} MiB"
    is_bomb = entry.file_size > max(_SMALL, entry.compress_size * _MAX_RATIO)
    return "is a zip bomb" if is_bomb or entry.file_size > left else ""
