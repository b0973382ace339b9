"""A capture folder: meta.json, two snapshots, a trace. Read as data, within bounds."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memsim.words.errors import BadInput

#: Unpacked sizes above which a file is refused, in bytes.
MAX_META = 4 << 20
MAX_SNAPSHOT = 48 << 20
MAX_LINE = 8192


class Capture:
    """One recording: `meta`, `start` and `end` snapshots, and lines() of its trace."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadInput(f"{folder}: not a folder; give the folder of a capture")
        self.folder = folder
        self.meta = _object(folder / "meta.json", MAX_META)
        self.start = _object(folder / "snapshot_start.json.xz", MAX_SNAPSHOT)
        self.end = _object(folder / "snapshot_end.json.xz", MAX_SNAPSHOT)
        self.trace = folder / "trace.txt.xz"

    @property
    def name(self) -> str:
        """The capture's name, or its folder's."""
        return str(self.meta.get("name", self.folder.name))[:80]

    @property
    def kernel(self) -> str:
        """The recorded kernel, as its snapshot names it."""
        return str(self.start.get("kernel", "unknown"))[:80]

    def window(self) -> tuple[list[int], list[int]]:
        """For each CPU, the first line between the snapshots, and the one behind the last."""
        window = self.meta.get("window")
        where = self.folder / "meta.json"
        if not isinstance(window, dict):
            raise BadInput(f"{where}: window: should be an object with first and last")
        return _bounds(where, window, "first"), _bounds(where, window, "last")

    def lines(self) -> Iterator[str]:
        """The lines of the trace, one after the other; a line too long or not text is refused."""
        try:
            with lzma.open(self.trace) as file:
                number = 0
                while line := file.readline(MAX_LINE + 1):
                    number += 1
                    if len(line) > MAX_LINE:
                        raise BadInput(f"{self.trace}: line {number}: over {MAX_LINE} bytes long")
                    yield line.decode("ascii", "replace")
        except (lzma.LZMAError, EOFError, OSError) as error:
            raise _unreadable(self.trace, error) from None


def _bounds(where: Path, window: dict[str, Any], key: str) -> list[int]:
    numbers = window.get(key)
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= 512:
        raise BadInput(f"{where}: window.{key}: should be a list with a number for each CPU")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise BadInput(f"{where}: window.{key}: should hold line numbers")
    return numbers


def _unreadable(path: Path, error: Exception) -> BadInput:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return BadInput(f"{path}: cannot be read: {reason}")


def _object(path: Path, limit: int) -> dict[str, Any]:
    """The JSON object in a file, packed by xz or not, of at most limit bytes."""
    try:
        with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
            text = file.read(limit + 1)
    except (lzma.LZMAError, EOFError, OSError) as error:
        raise _unreadable(path, error) from None
    if len(text) > limit:
        raise BadInput(f"{path}: over {limit >> 20} MiB unpacked")
    return parse_object(path, text)


def parse_object(path: Path, text: bytes) -> dict[str, Any]:
    """The JSON object in text; path is for the error."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadInput(f"{path}: not JSON: {str(error).splitlines()[0][:80]}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path}: should hold a JSON object")
    return data
