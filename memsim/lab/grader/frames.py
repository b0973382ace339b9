"""Frames: what passes between the grader and the process that runs a student's code.

A frame is four bytes, the length, and so many bytes of JSON. The grader reads each as what it is:
a text that a student may have written.
"""

from __future__ import annotations

import json
import os
from typing import Any

_HEAD = 4
#: The largest frame that the grader sends: a notebook of the largest size, escaped.
MAX_SENT = 128 << 20


class BadFrame(Exception):
    """What came is no frame; the text says why."""


def packed(value: Any) -> bytes:
    """The frame of a value. ValueError if it is not plain."""
    body = json.dumps(value, allow_nan=False).encode()
    return len(body).to_bytes(_HEAD, "big") + body


def unpacked(body: bytes) -> Any:
    """The value in a frame's body. BadFrame: no JSON, NaN, too deep, no Unicode."""
    try:
        value = json.loads(body, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadFrame(f"not JSON: {type(error).__name__}") from None
    return value


def _refuse(name: str) -> Any:
    raise ValueError(name)


class Inbox:
    """Bytes as they come; whole frames, of at most so many bytes, out of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def add(self, more: bytes) -> None:
        """Bytes that came."""
        self._bytes += more

    def take(self) -> bytes | None:
        """The body of the next frame, if all of it is there. BadFrame if it is too long."""
        if len(self._bytes) < _HEAD:
            return None
        end = _HEAD + int.from_bytes(self._bytes[:_HEAD], "big")
        if end > _HEAD + self._limit:
            raise BadFrame(f"{end - _HEAD} bytes")
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[_HEAD:end])
        del self._bytes[:end]
        return body


def receive(handle: int) -> Any:
    """Waits for a frame from the grader, which sends one at a time. EOFError when it is gone."""
    inbox = Inbox(MAX_SENT)
    while (body := inbox.take()) is None:
        more = os.read(handle, 64 << 10)
        if not more:
            raise EOFError
        inbox.add(more)
    return json.loads(body)


def send(handle: int, frame: bytes) -> None:
    """All of it."""
    while frame:
        frame = frame[os.write(handle, frame) :]
