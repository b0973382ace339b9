"""Slab events' fields from text: numbers of a row, words of names and call sites.

Kernel: include/trace/events/kmem.h; the probes are those that captures describe.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from memsim.replay.rows.inputs import ARGUMENTS, FIRST_SLAB, LAST_SLAB, Kind
from memsim.words.gfp import parse_gfp_flags
from memsim.words.mmzone import SIZEOF_STRUCT_PAGE

#: Names of events that are not their kind's.
_OTHER_NAMES = {
    **dict.fromkeys(("bfree8", "bfree64", "bfree320", "bfree512"), Kind.bulk_free),
    **dict.fromkeys(("balloc8", "balloc64"), Kind.bulk_alloc),
}
_OWN_NAMES = (
    Kind.kmem_cache_alloc, Kind.kmem_cache_free, Kind.kmalloc, Kind.kfree, Kind.newslab,
    Kind.newslab_ret, Kind.rnd, Kind.shrink, Kind.flushcpu, Kind.putcpup, Kind.putpart, Kind.deact,
)  # fmt: skip
#: The slab events that are read, by name.
SLAB_EVENTS = _OTHER_NAMES | {kind.name: kind for kind in _OWN_NAMES}
_OF_ONE_SLAB = frozenset({Kind.putcpup, Kind.putpart, Kind.deact})
#: An event of several objects has up to this many characters of fields; others fewer.
MAX_SLAB_TEXT = 8192
_IN_FIRST, _ARRAYS_OF_REST = 320, 3

_HEX = r"(?:0x)?([0-9a-f]{1,16})"
_ALLOC = re.compile(
    r"call_site=(\S+) ptr=" + _HEX + r" bytes_req=(\d{1,19}) bytes_alloc=(\d{1,19}) "
    r"gfp_flags=(\S+)(?: node=(-?\d{1,9}))?(?: accounted=(true|false))?$",
    re.ASCII,
)
_FREE = re.compile(r"call_site=(\S+) ptr=" + _HEX + r"(?: name=(.+))?$", re.ASCII)
_NULL = re.compile(r"ptr=\((?:null|nil)\)", re.ASCII)
_NEWSLAB = re.compile(r".* s=0x(\w+) name=\S+ gfp=0x(\w+) node=(-?\d{1,9})$", re.ASCII)
_NEWSLAB_RET = re.compile(r".* slab=0x(\w+)$", re.ASCII)
_RND = re.compile(r"\((\S+) .* ceil=(\d{1,10}) ret=(\d{1,10})$", re.ASCII)
_SHRINK = re.compile(r".* s=0x(\w+)$", re.ASCII)
_OF_SLAB = re.compile(r".* s=0x(\w+) slab=0x(\w+)(?: (?:drain=|freelist=0x)(\w+))?$", re.ASCII)
_BULK_FREE = re.compile(r".* s=0x(\w+) size=(\d{1,19}) (\w=\{.*)$", re.ASCII)
_BULK_ALLOC = re.compile(
    r".* s=0x(\w+) gfp=0x(\w+) size=(\d{1,19}) ret=(-?\d{1,9}) (\w=\{.*)$", re.ASCII
)
_POINTER = re.compile(r"0x([0-9a-f]{1,16})\b", re.ASCII)


def is_slab(kind: int) -> bool:
    """Is it a row of the slab allocator?"""
    return FIRST_SLAB <= kind <= LAST_SLAB


def word_of(text: str) -> int:
    """A number for a name or a call site: rows hold no text.

    >>> word_of("dentry") == word_of("dentry"), word_of("dentry") == word_of("filp")
    (True, False)
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")


def slab_values(kind: Kind, text: str, vmemmap_base: int) -> list[int] | None:
    """The event's numbers; None without its fields. ValueError says which cannot be.

    kmem_cache_alloc, kmalloc: pointer, call site, bytes_req, bytes_alloc, gfp_mask, node * 2 + 1
    if accounted. kmem_cache_free, kfree: pointer, call site, cache's name (0 if there is
    none), 1 if it is a purge of lazily freed areas that frees.
    newslab: cache, gfp_mask, node. newslab_ret: pfn, or -1. rnd: 1 if it is a slab's, ceil, ret.
    putcpup, putpart, deact: cache, slab's pfn; putcpup: drain, that is, is it of a free.
    shrink: cache. bulk_free: cache, size, which of the pointers is the first shown. bulk_alloc:
    cache, gfp_mask, size, returned. Behind those of several objects are rows of pointers.
    """
    if kind in (Kind.kmem_cache_alloc, Kind.kmalloc):
        return _alloc(_NULL.sub("ptr=0", text, 1))
    if kind in (Kind.kmem_cache_free, Kind.kfree):
        return _free(_NULL.sub("ptr=0", text, 1))
    if kind in (Kind.bulk_free, Kind.bulk_alloc):
        return _bulk(kind, text)
    return _probe(kind, text, vmemmap_base)


def _alloc(text: str) -> list[int] | None:
    match = _ALLOC.match(text)
    if match is None:
        return None
    site, ptr, bytes_req, bytes_alloc, flags, node, accounted = match.groups()
    where = 2 * int(node or -1) + (accounted == "true")
    sizes = int(bytes_req), int(bytes_alloc)
    return [int(ptr, 16), word_of(site), *sizes, parse_gfp_flags(flags), where]


def _free(text: str) -> list[int] | None:
    match = _FREE.match(text)
    if match is None:
        return None
    site, ptr, name = match.groups()
    reclaims = site.startswith("reclaim_list_global")
    return [int(ptr, 16), word_of(site), word_of(name) if name else 0, int(reclaims)]


def _bulk(kind: Kind, text: str) -> list[int] | None:
    """Numbers of a row, then the pointers that the event shows, at most as many as there are."""
    match = (_BULK_FREE if kind == Kind.bulk_free else _BULK_ALLOC).match(text)
    if match is None:
        return None
    *numbers, pointers = match.groups()
    if kind == Kind.bulk_free:
        size = int(numbers[1])
        # more than the first 320 are in an event of their own, three arrays of 64
        start = _IN_FIRST if pointers.count("{") == _ARRAYS_OF_REST else 0
        values, count = [int(numbers[0], 16), size, start], max(0, size - start)
    else:
        values = [int(numbers[0], 16), int(numbers[1], 16), int(numbers[2]), int(numbers[3])]
        count = max(0, values[3])
    values += [0] * (ARGUMENTS - len(values))
    return values + [int(pointer, 16) for pointer in _POINTER.findall(pointers)[:count]]


def _probe(kind: Kind, text: str, vmemmap_base: int) -> list[int] | None:
    if kind == Kind.flushcpu:
        return []
    if kind == Kind.newslab and (match := _NEWSLAB.match(text)):
        return [int(match[1], 16), int(match[2], 16), int(match[3])]
    if kind == Kind.newslab_ret and (match := _NEWSLAB_RET.match(text)):
        page = int(match[1], 16)
        return [(page - vmemmap_base) // SIZEOF_STRUCT_PAGE if page else -1]
    if kind == Kind.rnd and (match := _RND.match(text)):
        ours = match[1].startswith("allocate_slab+")
        return [int(ours), int(match[2]), int(match[3])]
    if kind in _OF_ONE_SLAB and (match := _OF_SLAB.match(text)):
        pfn = (int(match[2], 16) - vmemmap_base) // SIZEOF_STRUCT_PAGE
        return [int(match[1], 16), pfn, int(match[3] or "0", 16)]
    if kind == Kind.shrink and (match := _SHRINK.match(text)):
        return [int(match[1], 16)]
    return None
