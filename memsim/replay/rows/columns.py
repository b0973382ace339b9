"""Columns beside the file: a trace's rows, kept so that it is parsed once.

The file is a magic line, a line of JSON, and the columns packed by zlib. The JSON names the trace
by a digest of its bytes, the question that was asked of it, and the digest of what follows. A file
that is wrong in anything is as good as none: the trace is parsed again. What its digest vouches
for is still no more than what a trace could say, and the replay checks it like that.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zlib
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memsim.files import write_whole
from memsim.replay.rows.inputs import ARGUMENTS, LAST_TRACED, MAX_ROWS, Facts, Rows
from memsim.replay.rows.interrupts import MAX_INTERRUPTS, NUMBERS
from memsim.replay.rows.reader import MAX_CONTEXTS, MAX_CPUS, MAX_LINES, MAX_TIME

#: The name of the file is the trace's, and this.
SUFFIX = ".columns"
#: To be raised whenever the same trace would give other rows.
VERSION = 8

_MAGIC = b"memsim columns\n"
_MAX_HEADER = 4096
_CHUNK = 1 << 20
#: Bytes of a row in all columns, and so an upper bound for what is unpacked.
_ROW = 1 + 2 + 3 * 4 + 8 + 8 * ARGUMENTS
_MAX_BYTES = MAX_ROWS * _ROW + MAX_INTERRUPTS * NUMBERS * 4


def beside(trace: Path) -> Path:
    """Where the columns of a trace are kept."""
    return trace.with_name(trace.name + SUFFIX)


def key_of(trace: Path, question: object) -> str:
    """What the columns are of: the trace's bytes, what is asked of them, and this program.

    question: whatever else the rows depend on. OSError if the trace cannot be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    with open(trace, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    digest.update(json.dumps([VERSION, sys.byteorder, question]).encode())
    return digest.hexdigest()


def load(trace: Path, key: str) -> Rows | None:
    """The rows kept beside the trace, if they are there and nothing is wrong with them."""
    path = beside(trace)
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            if file.readline(len(_MAGIC)) != _MAGIC:
                return None
            header = json.loads(file.readline(_MAX_HEADER))
            if header["key"] != key:
                return None
            packed = file.read(_MAX_BYTES)
        if hashlib.blake2b(packed, digest_size=32).hexdigest() != header["digest"]:
            return None
        rows = _unpack(packed, header)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, EOFError, zlib.error):
        return None
    return rows if _is_sound(rows) else None


def _unpack(packed: bytes, header: dict[str, Any]) -> Rows:
    """The rows; ValueError or EOFError when there are more or fewer bytes than they take."""
    nr_rows = header["rows"]
    if type(nr_rows) is not int or not 0 <= nr_rows <= MAX_ROWS:
        raise ValueError("rows")
    rows = Rows()
    rows.facts = _facts(header["facts"])
    if rows.facts.interrupts > MAX_INTERRUPTS:
        raise ValueError("interrupts")
    unpacker = _Unpacker(packed)
    for column, itemsize, nr in _columns(rows, nr_rows):
        for start in range(0, nr * itemsize, _CHUNK):
            some = unpacker.take(min(_CHUNK, nr * itemsize - start))
            column.extend(some) if isinstance(column, bytearray) else column.frombytes(some)
    unpacker.end()
    return rows


class _Unpacker:
    """What is packed, a known number of bytes at a time."""

    def __init__(self, packed: bytes) -> None:
        self._rest = packed
        self._unpacker = zlib.decompressobj()

    def take(self, nr: int) -> bytes:
        """The next nr bytes; EOFError if there are fewer."""
        taken = bytearray()
        while len(taken) < nr:
            some = self._unpacker.decompress(self._rest, nr - len(taken))
            self._rest = self._unpacker.unconsumed_tail
            if not some:
                raise EOFError
            taken += some
        return bytes(taken)

    def end(self) -> None:
        """ValueError if anything is left."""
        left = self._unpacker.decompress(self._rest, 1) or self._unpacker.unused_data
        if left or not self._unpacker.eof:
            raise ValueError("more bytes than rows")


def _columns(rows: Rows, nr_rows: int) -> Iterator[tuple[bytearray | array[Any], int, int]]:
    """Each column of the rows, the size of its entries, and how many nr_rows rows have of them."""
    yield rows.kind, 1, nr_rows
    for column in (rows.cpu, rows.context, rows.task, rows.line):
        yield column, column.itemsize, nr_rows
    yield rows.arguments, rows.arguments.itemsize, nr_rows * ARGUMENTS
    yield rows.interrupts, rows.interrupts.itemsize, rows.facts.interrupts * NUMBERS
    yield rows.time, rows.time.itemsize, nr_rows


def _facts(told: Any) -> Facts:
    """Facts of the right names and types, none below 0."""
    defaults = asdict(Facts())
    if not isinstance(told, dict) or told.keys() != defaults.keys():
        raise ValueError("facts")
    for name, default in defaults.items():
        if type(told[name]) is not type(default) or not 0 <= told[name] < MAX_TIME:
            raise ValueError(name)
    return Facts(**told)


def _is_sound(rows: Rows) -> bool:
    """Could these rows have come out of a trace?"""
    return (
        max(rows.kind, default=0) <= LAST_TRACED
        and max(rows.cpu, default=0) < MAX_CPUS
        and _within(rows.context, 0, MAX_CONTEXTS)
        and _within(rows.task, 0, MAX_CONTEXTS)
        and _within(rows.line, 1, MAX_LINES)
        and all(0 <= time < MAX_TIME for time in rows.time)
        and _are_sound(rows.interrupts, len(rows))
    )


def _are_sound(interrupts: array[int], nr_rows: int) -> bool:
    """Do interrupts speak of rows that there are?"""
    before, first, last, until = (interrupts[field::NUMBERS] for field in range(4))
    return all(
        _within(rows, least, nr_rows - 1)
        for rows, least in ((before, -1), (first, 0), (last, 0), (until, -1))
    )


def _within(column: array[int], first: int, last: int) -> bool:
    return first <= min(column, default=first) and max(column, default=last) <= last


def save(trace: Path, key: str, rows: Rows) -> None:
    """Keep the rows beside the trace, whole or not at all; where that cannot be, do nothing."""
    if not _may_write(trace.parent):
        return
    packer = zlib.compressobj(1)
    packed = bytearray()
    for column, _, _ in _columns(rows, len(rows)):
        view = memoryview(column).cast("B")
        for start in range(0, len(view), _CHUNK):
            packed += packer.compress(view[start : start + _CHUNK])
    packed += packer.flush()
    digest = hashlib.blake2b(packed, digest_size=32).hexdigest()
    header = {"key": key, "digest": digest, "rows": len(rows), "facts": asdict(rows.facts)}
    with suppress(OSError):
        write_whole(beside(trace), _MAGIC + json.dumps(header).encode() + b"\n", packed)


def _may_write(folder: Path) -> bool:
    """Is the folder meant to be written to? Root could write to one that is marked read-only."""
    with suppress(OSError):
        return bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)
    return False
