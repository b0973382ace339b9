"""The boot option slab_debug=: which caches debug what.

"FZ" is for all caches, "FZ,kmalloc-64,dentry*" for some; blocks are parted by ";". Letters: F
checks, Z red zones, P poison, U users, T trace, O none where slabs would get larger, - nothing.

Kernel: mm/slub.c parse_slub_debug_flags(), setup_slub_debug(), kmem_cache_flags()
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.mm.slub.debug_state import SlabDebug
from memsim.words.slab import (
    DEBUG_DEFAULT_FLAGS,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_NO_USER_FLAGS,
    SLAB_NOLEAKTRACE,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLAB_TRACE,
)

# A is for failing requests on purpose, which the reference kernel is built without.
_LETTERS = (
    ("f", SLAB_CONSISTENCY_CHECKS), ("z", SLAB_RED_ZONE), ("p", SLAB_POISON),
    ("u", SLAB_STORE_USER), ("t", SLAB_TRACE), ("a", 0), ("o", 0),
)  # fmt: skip


class _Block(NamedTuple):
    """One block: flags and their letters, where its names begin, where the next block begins.

    -1: there are none.
    """

    flags: int
    letters: str
    names: int
    following: int


def _end_of(text: str, chars: str, start: int) -> int:
    """Where the first of these characters is, or the text's end."""
    found = [place for char in chars if (place := text.find(char, start)) >= 0]
    return min(found, default=len(text))


def _parse_block(text: str, start: int) -> _Block:
    """Kernel: mm/slub.c parse_slub_debug_flags()."""
    while text.startswith(";", start):
        start += 1
    end = _end_of(text, ",;", start)
    letters = text[start:end].lower()
    flags = DEBUG_DEFAULT_FLAGS if text.startswith(",", start) else _flags_of(letters)
    names = end + 1 if text.startswith(",", end) else -1
    following = _end_of(text, ";", end)
    while text.startswith(";", following):
        following += 1
    return _Block(flags, letters, names, following if following < len(text) else -1)


def _flags_of(letters: str) -> int:
    flags = 0
    for letter in letters:
        flags = 0 if letter == "-" else flags | dict(_LETTERS).get(letter, 0)
    return flags


def setup_slub_debug(debug: SlabDebug, value: str) -> list[str]:
    """Take what stands behind slab_debug= ("": full debugging of all caches); lines to be logged.

    Kernel: mm/slub.c setup_slub_debug()
    """
    log: list[str] = []
    debug.slub_debug = DEBUG_DEFAULT_FLAGS
    global_flags, start = -1, 0 if value else -1
    while start >= 0:
        block = _parse_block(value, start)
        known = "-" + "".join(letter for letter, _ in _LETTERS)
        log += [
            f"slab_debug option '{letter}' unknown. skipped"
            for letter in block.letters
            if letter not in known
        ]
        debug.disable_higher_order_debug |= "o" in block.letters
        if block.names < 0:
            global_flags = block.flags
        else:
            debug.slub_debug_string = value
        start = block.following
    if value:
        debug.slub_debug = max(global_flags, 0)
    return log


def kmem_cache_flags(debug: SlabDebug, flags: int, name: str) -> int:
    """The flags of a cache of this name, with what slab_debug= adds. Kernel: kmem_cache_flags()."""
    if flags & SLAB_NO_USER_FLAGS:
        return flags
    text, start = debug.slub_debug_string, 0 if debug.slub_debug_string else -1
    while start >= 0:
        block = _parse_block(text, start)
        if block.names >= 0 and _is_named(text, block, name):
            return flags | block.flags
        start = block.following
    # A cache of a debugger itself tracks its users only if it was named.
    without = SLAB_STORE_USER if flags & SLAB_NOLEAKTRACE else 0
    return flags | debug.slub_debug & ~without


def _is_named(text: str, block: _Block, name: str) -> bool:
    """Is the name one of the block's, or does it begin as one that ends in "*"?"""
    start = block.names
    while start < len(text):
        end = _end_of(text, ",", start)
        if 0 <= block.following < end:
            end = block.following - 1
        star = text.find("*", start, end)
        count = star - start if star >= 0 else max(len(name), end - start)
        if f"{name}\0"[:count] == f"{text[start:]}\0"[:count]:
            return True
        if text[end : end + 1] in ("", ";"):
            return False
        start = end + 1
    return False
