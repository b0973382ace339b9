"""Files packed by xz, or plain, in chunks: bounded memory whatever they hold."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path

from memsim.words.errors import BadInput

_CHUNK = 1 << 16
#: What unpacking itself may take, in bytes: `xz -9` needs 65 MiB.
_MEMLIMIT = 96 << 20
#: A line of a trace is at most this long, in bytes: the kernel's trace_seq is 8 KiB.
MAX_LINE = 8192


def unreadable(path: Path, error: Exception) -> BadInput:
    """The error for a file that cannot be opened or unpacked."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return BadInput(f"{path}: cannot be read: {reason or type(error).__name__}")


def chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, unpacked if its name ends in .xz. BadInput says why it cannot be read."""
    try:
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: not a file")
        with open(path, "rb") as file:
            if path.suffix == ".xz":
                yield from _unpack(iter(lambda: file.read(_CHUNK), b""))
            else:
                yield from iter(lambda: file.read(_CHUNK), b"")
    except (lzma.LZMAError, EOFError, OSError) as error:
        raise unreadable(path, error) from None


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


def contents(path: Path, limit: int) -> bytes:
    """The whole file, of at most limit bytes."""
    text = bytearray()
    for chunk in chunks(path):
        text += chunk
        if len(text) > limit:
            raise BadInput(f"{path}: over {limit >> 20} MiB unpacked")
    return bytes(text)


def lines(path: Path) -> Iterator[str]:
    """The file's lines, each with its end. The last must have one: else the file is cut off."""
    rest, number = b"", 0
    for chunk in chunks(path):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if len(line) > MAX_LINE:
                raise BadInput(f"{path}: line {number}: over {MAX_LINE} bytes long")
            yield line.decode("ascii", "replace") + "\n"
        if len(rest) > MAX_LINE:
            raise BadInput(f"{path}: line {number + 1}: over {MAX_LINE} bytes long")
    if rest:
        raise BadInput(f"{path}: line {number + 1}: cut off, it has no end")
