"""Files packed by xz or gzip, or plain, in chunks: bounded memory whatever they hold."""

from __future__ import annotations

import lzma
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from memsim.words.errors import BadInput

_CHUNK = 1 << 16
#: What unpacking itself may take, in bytes: `xz -9` needs 65 MiB.
_MEMLIMIT = 96 << 20
#: A line of a trace is at most this long, in bytes: the kernel's trace_seq is 8 KiB.
MAX_LINE = 8192
#: The path that stands for standard input.
STDIN = Path("-")

_MAGIC_XZ = b"\xfd7zXZ\0"
_MAGIC_GZIP = b"\x1f\x8b"


def unreadable(path: Path, error: Exception) -> BadInput:
    """The error for a file that cannot be opened or unpacked."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return BadInput(f"{path}: cannot be read: {reason or type(error).__name__}")


def chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, unpacked if it is packed. BadInput says why it cannot be read.

    Packed is what its name ends in (.xz, .gz), or what its first bytes say. Path("-") is
    standard input.
    """
    try:
        if path == STDIN:
            yield from _plain(path, sys.stdin.buffer)
            return
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: not a file")
        with open(path, "rb") as file:
            yield from _plain(path, file)
    except (lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise unreadable(path, error) from None


def _plain(path: Path, file: BinaryIO) -> Iterator[bytes]:
    first = file.read(_CHUNK)
    packed = _from(first, file)
    if path.suffix == ".xz" or first.startswith(_MAGIC_XZ):
        return _unpack(packed)
    if path.suffix == ".gz" or first.startswith(_MAGIC_GZIP):
        return _gunzip(packed)
    return packed


def _from(first: bytes, file: BinaryIO) -> Iterator[bytes]:
    yield first
    yield from iter(lambda: file.read(_CHUNK), b"")


def _unpack(packed: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMLIMIT)
    for chunk in packed:
        if unpacker.eof:
            raise EOFError("there is something behind its end")
        yield unpacker.decompress(chunk, _CHUNK)
        while not unpacker.eof and not unpacker.needs_input:
            yield unpacker.decompress(b"", _CHUNK)
    if not unpacker.eof or unpacker.unused_data:
        raise EOFError("there is something behind its end" if unpacker.eof else "it is cut off")


def _gunzip(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Members one after the other, as `cat a.gz b.gz` leaves them."""
    unpacker = zlib.decompressobj(31)
    for chunk in packed:
        rest, some = chunk, b""
        while rest or len(some) == _CHUNK:
            if unpacker.eof:
                unpacker = zlib.decompressobj(31)
            some = unpacker.decompress(rest, _CHUNK)
            yield some
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    if not unpacker.eof:
        raise EOFError("it is cut off")


def contents(path: Path, limit: int) -> bytes:
    """The whole file, of at most limit bytes."""
    text = bytearray()
    for chunk in chunks(path):
        text += chunk
        if len(text) > limit:
            raise BadInput(f"{path}: over {limit >> 20} MiB unpacked")
    return bytes(text)


def line_lists(path: Path) -> Iterator[list[str]]:
    """The file's lines, without their ends, some thousand characters at a time.

    What is no ASCII is replaced. The last line must have an end: else the file is cut off.
    """
    rest, number = b"", 0
    for chunk in chunks(path):
        whole, end, rest = (rest + chunk).rpartition(b"\n")
        if end:
            found = whole.decode("ascii", "replace").split("\n")
            if len(max(found, key=len)) > MAX_LINE:
                raise _too_long(path, number, found)
            number += len(found)
            yield found
        if len(rest) > MAX_LINE:
            raise _too_long(path, number, [" " * len(rest)])
    if rest:
        raise BadInput(
            f"{path}: line {number + 1}: cut off, it has no end: delete that line or record again"
        )


def _too_long(path: Path, number: int, found: list[str]) -> BadInput:
    index = next(index for index, line in enumerate(found) if len(line) > MAX_LINE)
    return BadInput(
        f"{path}: line {number + index + 1}: over {MAX_LINE} bytes long: no line of a trace is"
    )


def lines(path: Path) -> Iterator[str]:
    """The file's lines, each with its end."""
    return (line + "\n" for found in line_lists(path) for line in found)
