"""Kernel events from their one-line text, the other way of `Event.text()`.

Kernel: include/trace/events/kmem.h TP_printk
"""

from __future__ import annotations

from memsim.trace.events import EVENT_CLASSES, Event, MmPageFreeBatched
from memsim.words.gfp import parse_gfp_flags

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
    words = parse_fields(text)
    try:
        return cls(*(_number(cls, key, words) for key in cls.__slots__))
    except KeyError as missing:
        raise ValueError(f"{name}: no field {missing}") from None


def _number(cls: type[Event], key: str, words: dict[str, str]) -> int:
    if key == "gfp_flags":
        return parse_gfp_flags(words[key])
    if key == "pfn" and cls is not MmPageFreeBatched and _is_null(words["page"]):
        return -1
    return int(words[key], 0)


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
