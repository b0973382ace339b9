"""Kernel events from their one-line text, the other way of `Event.text()`.

Kernel: include/trace/events/kmem.h TP_printk
"""

from __future__ import annotations

import re
from typing import Any

from memsim.trace.events import EVENT_CLASSES, SLAB_EVENT_CLASSES, Event, MmPageFreeBatched
from memsim.trace.pressure_events import PressureEvent, pressure_event_of
from memsim.words.gfp import parse_gfp_flags

_POINTER = re.compile("[0-9a-f]{1,16}", re.ASCII)
_BY_NAME = {cls.NAME: cls for cls in EVENT_CLASSES}


def parse_fields(text: str) -> dict[str, str]:
    """`a=1 b=2` as a dictionary. Words without = are left out."""
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def parse_event(name: str, text: str) -> Event:
    """The event behind `name: text`. ValueError says which event or field is wrong.

    >>> parse_event("mm_page_free", "page=ffffea0000488800 pfn=0x12220 order=0")
    MmPageFree(pfn=74272, order=0)
    """
    cls = _BY_NAME.get(name)
    if cls is None:
        raise ValueError(f"unknown event {name[:40]!r}")
    # the one event that writes a colon
    words = parse_fields(text.replace("va_start: ", "va_start=", 1))
    if cls in SLAB_EVENT_CLASSES:
        words |= _texts(text)
    try:
        if issubclass(cls, PressureEvent):
            return pressure_event_of(cls, words)
        return cls(*(_field(cls, key, words) for key in cls.__slots__))
    except KeyError as missing:
        raise ValueError(f"{name}: no field {missing}") from None


def _texts(text: str) -> dict[str, str]:
    """call_site and a cache's name, which may have blanks in them."""
    call_site, _, behind = text.removeprefix("call_site=").partition(" ptr=")
    _, named, name = behind.partition(" name=")
    return {"call_site": call_site} | ({"name": name} if named else {})


def _field(cls: type[Event], key: str, words: dict[str, str]) -> Any:
    word = words[key]
    if key in ("call_site", "name"):
        return word
    if key == "gfp_flags":
        return parse_gfp_flags(word)
    if key == "ptr":
        return 0 if _is_null(word) else _pointer(word)
    if key == "accounted":
        return _boolean(word)
    if key == "pfn" and cls is not MmPageFreeBatched and _is_null(words["page"]):
        return -1
    return int(word, 0)


def _pointer(word: str) -> int:
    """An address in hex, as %p prints it."""
    if not _POINTER.fullmatch(word):
        raise ValueError(f"ptr: {word[:20]!r} is no pointer")
    return int(word, 16)


def _boolean(word: str) -> bool:
    if word not in ("true", "false"):
        raise ValueError(f"accounted: {word[:20]!r} is neither true nor false")
    return word == "true"


def _is_null(pointer: str) -> bool:
    return not pointer.strip("(nul)0x")


def event_text(event: Event) -> str:
    """`name: fields`, as in a trace line."""
    return f"{event.NAME}: {event.text()}"


def parse_line_event(text: str) -> Event:
    """The event behind event_text()."""
    name, _, fields = text.partition(": ")
    return parse_event(name, fields)


__all__ = ["event_text", "parse_event", "parse_fields", "parse_line_event"]
