"""A capture folder: meta.json, two snapshots, a trace. Read as data, within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memsim.lib.text import one_line
from memsim.replay.rows.unxz import contents, line_lists
from memsim.words.errors import BadInput

#: What a capture's folder has.
FILES = ("meta.json", "snapshot_start.json.xz", "snapshot_end.json.xz", "trace.txt.xz")
#: Unpacked sizes above which a file is refused, in bytes. Recorded snapshots have under 1 MiB.
MAX_META = 1 << 20
MAX_SNAPSHOT = 16 << 20
#: What the objects of one JSON text may take in memory, in bytes; see _memory_of().
MAX_OBJECTS = 80 << 20


class Capture:
    """One recording: `meta`, `start` and `end` snapshots, and lines() of its trace."""

    def __init__(self, folder: Path) -> None:
        if not _is_folder(folder):
            raise BadInput(f"{folder}: not a folder; give the folder of a capture")
        self.folder = folder
        meta, start, end, self.trace = (folder / name for name in FILES)
        self.meta = _object(meta, MAX_META)
        self.start = _object(start, MAX_SNAPSHOT)
        self.end = _object(end, MAX_SNAPSHOT)

    @property
    def name(self) -> str:
        """The capture's name, or its folder's."""
        return one_line(self.meta.get("name", self.folder.name), 80)

    @property
    def kernel(self) -> str:
        """The recorded kernel, as its snapshot names it."""
        return one_line(self.start.get("kernel", "unknown"), 80)

    def window(self) -> tuple[list[int], list[int]]:
        """For each CPU, the first line between the snapshots, and the one behind the last."""
        window = self.meta.get("window")
        where = self.folder / "meta.json"
        if not isinstance(window, dict):
            raise BadInput(f"{where}: window: should be an object with first and last")
        first, last = _bounds(where, window, "first"), _bounds(where, window, "last")
        if len(first) != len(last):
            raise BadInput(f"{where}: window: first has {len(first)} CPUs, last {len(last)}")
        return first, last

    def lines_per_cpu(self) -> dict[str, Any]:
        """How many trace lines each CPU has, by its number as text; empty if that is not told."""
        counts = self.meta.get("trace_lines_per_cpu", {})
        if not isinstance(counts, dict):
            raise BadInput(f"{self.folder / 'meta.json'}: trace_lines_per_cpu: not an object")
        return counts

    def lines(self) -> Iterator[list[str]]:
        """The lines of the trace, some at a time; a line too long or cut off is refused."""
        return line_lists(self.trace)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _bounds(where: Path, window: dict[str, Any], key: str) -> list[int]:
    numbers = window.get(key)
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= 512:
        raise BadInput(f"{where}: window.{key}: should be a list with a number for each CPU")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise BadInput(f"{where}: window.{key}: should hold line numbers")
    return numbers


def _object(path: Path, limit: int) -> dict[str, Any]:
    """The JSON object in a file, packed by xz or not, of at most limit bytes."""
    return parse_object(path, contents(path, limit))


def parse_object(path: Path, text: bytes) -> dict[str, Any]:
    """The JSON object in text; path is for the error."""
    if _memory_of(text) > MAX_OBJECTS:
        raise BadInput(f"{path}: would fill over {MAX_OBJECTS >> 20} MiB of memory")
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadInput(f"{path}: not JSON: {one_line(error, 80)}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path}: should hold a JSON object")
    return data


def _memory_of(text: bytes) -> int:
    """An upper bound for the bytes that the parsed text takes, from its punctuation."""
    members = 40 * text.count(b",") + 32 * text.count(b'"')
    return 64 * text.count(b"[") + 240 * text.count(b"{") + members + len(text)
