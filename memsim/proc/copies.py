"""The three files, from a folder of copies or from this machine's own /proc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memsim.lib.text import one_line
from memsim.proc.buddyinfo import BuddyinfoZone, parse_buddyinfo
from memsim.proc.pagetypeinfo import PagetypeinfoNode
from memsim.proc.pagetypeinfo_parse import parse_pagetypeinfo
from memsim.proc.zoneinfo import ZoneinfoZone
from memsim.proc.zoneinfo_parse import parse_zoneinfo
from memsim.words.errors import BadInput

#: A copy may have so many bytes; 512 CPUs and 8 nodes need about half of it.
MAX_FILE = 4 << 20


@dataclass
class Copies:
    """What was read. `used`: the path of each file; `missing`: why a file was not used."""

    folder: Path
    zoneinfo: list[ZoneinfoZone]
    buddyinfo: list[BuddyinfoZone]
    pagetypeinfo: list[PagetypeinfoNode] | None
    used: dict[str, str]
    missing: dict[str, str]


def read_copies(folder: str | Path | None) -> Copies:
    """The files of a folder, None meaning /proc. BadInput names file, line and field.

    Names are the kernel's own, with or without `.txt`, or with `start_` before them. Without
    pagetypeinfo, which only root can copy, the rest is used.
    """
    if not isinstance(folder, str | Path | None):
        raise BadInput(f"{one_line(folder, 200)}: should be the path of a folder")
    place = Path("/proc" if folder is None else folder)
    _check_folder(place)
    used: dict[str, str] = {}
    missing: dict[str, str] = {}
    zoneinfo = parse_zoneinfo(_read(place, "zoneinfo", used), used["zoneinfo"])
    buddyinfo = parse_buddyinfo(_read(place, "buddyinfo", used), used["buddyinfo"])
    pagetypeinfo = None
    text = _read_if_possible(place, "pagetypeinfo", used, missing)
    if text is not None:
        pagetypeinfo = parse_pagetypeinfo(text, used["pagetypeinfo"])
    return Copies(place, zoneinfo, buddyinfo, pagetypeinfo, used, missing)


def read_end_buddyinfo(folder: str | Path) -> tuple[list[BuddyinfoZone], str]:
    """The rows of a copy of buddyinfo made later, and its path; none if there is no such.

    It is end_buddyinfo or end_buddyinfo.txt.
    """
    used: dict[str, str] = {}
    text = _read_if_possible(Path(folder), "end_buddyinfo", used, {})
    if text is None:
        return [], ""
    return parse_buddyinfo(text, used["end_buddyinfo"]), used["end_buddyinfo"]


def _check_folder(folder: Path) -> None:
    try:
        is_folder = folder.is_dir()
    except PermissionError as error:
        raise _closed(folder, error) from None
    except (OSError, ValueError):
        is_folder = False
    if not is_folder:
        raise BadInput(
            f"{one_line(folder, 200)}: not a folder; give one with copies of /proc/zoneinfo and "
            "/proc/buddyinfo, and of /proc/pagetypeinfo if you are root"
        )


def _find(folder: Path, name: str) -> Path | None:
    names = (name, f"{name}.txt", f"start_{name}", f"start_{name}.txt")
    try:
        return next((folder / n for n in names if (folder / n).exists()), None)
    except OSError as error:
        raise _closed(folder, error) from None


def _closed(folder: Path, error: OSError) -> BadInput:
    """The error for a folder whose files may not be looked for."""
    what = "give yourself the right to read it, or copy the files to a folder of your own"
    return BadInput(f"{one_line(folder, 200)}: cannot be read: {_reason(error)}; {what}")


def _read(folder: Path, name: str, used: dict[str, str]) -> str:
    """The text of a file that must be there."""
    path = _find(folder, name)
    if path is None:
        raise BadInput(
            f"{one_line(folder, 200)}: no {name}, {name}.txt or start_{name}.txt in it; "
            f"copy /proc/{name} there"
        )
    used[name] = one_line(path, 200)
    try:
        return _contents(path)
    except OSError as error:
        raise BadInput(f"{used[name]}: cannot be read: {_reason(error)}") from None


def _read_if_possible(
    folder: Path, name: str, used: dict[str, str], missing: dict[str, str]
) -> str | None:
    path = _find(folder, name)
    if path is None:
        missing[name] = "not there"
        return None
    try:
        text = _contents(path)
    except OSError as error:
        missing[name] = _reason(error)
        return None
    used[name] = one_line(path, 200)
    return text


def _contents(path: Path) -> str:
    """A file's text, of at most MAX_FILE bytes. OSError when it cannot be read."""
    if not path.is_file():
        raise BadInput(f"{one_line(path, 200)}: not a file")
    with open(path, "rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise BadInput(
            f"{one_line(path, 200)}: over {MAX_FILE >> 20} MiB; no /proc file of this name is"
        )
    return content.decode("utf-8", "replace")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
