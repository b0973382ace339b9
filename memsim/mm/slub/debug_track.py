"""What is kept behind an object: who allocated and freed it, and the size kmalloc() was asked for.

Kernel: mm/slub.c struct track, get_track(), set_track(), set_orig_size()
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from memsim.mm.slub.memory import (
    get_word,
    memset,
    obj_offset,
    section,
    set_word,
    slab_start,
    write_bytes,
)
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.words.slab import SIZEOF_POINTER, SIZEOF_TRACK, SLAB_KMALLOC, SLAB_STORE_USER

TRACK_ALLOC, TRACK_FREE = 0, 1

# addr, stack depot handle, cpu, pid, a hole, when.
_LAYOUT = struct.Struct("<QIIi4xQ")


class Track(NamedTuple):
    """struct track: code address, CPU, pid, jiffies."""

    addr: int
    cpu: int
    pid: int
    when: int


def slub_debug_orig_size(s: KmemCache) -> bool:
    """Is the size that kmalloc() was asked for kept? Kernel: mm/slub.c slub_debug_orig_size()."""
    return bool(s.flags & SLAB_STORE_USER and s.flags & SLAB_KMALLOC)


def freeptr_outside_object(s: KmemCache) -> bool:
    """Is the free pointer behind the object? Kernel: mm/slub.c freeptr_outside_object()."""
    return s.offset >= s.inuse


def get_info_end(s: KmemCache) -> int:
    """Where the tracks begin, from the object; bytes. Kernel: mm/slub.c get_info_end()."""
    return s.inuse + (SIZEOF_POINTER if freeptr_outside_object(s) else 0)


def _track_offset(slab: Slab, obj: int, which: int) -> int:
    return obj_offset(slab, obj) + get_info_end(slab.slab_cache) + which * SIZEOF_TRACK


def get_track(slab: Slab, obj: int, which: int) -> Track:
    """What is kept of the last allocation or free. Kernel: mm/slub.c get_track()."""
    kept = section(slab, _track_offset(slab, obj, which), SIZEOF_TRACK).ljust(SIZEOF_TRACK, b"\0")
    addr, _handle, cpu, pid, when = _LAYOUT.unpack(kept)
    return Track(addr, cpu, pid, when)


def set_track(slab: Slab, obj: int, which: int) -> None:
    """Keep who is asking now. Kernel: mm/slub.c set_track_update().

    The call site's address is the number of its name in Trace.names.
    NOT MODELLED: the stack trace in the stack depot; its handle is 0.
    """
    vm = slab.slab_cache.vm
    debug = vm.slab.debug
    packed = _LAYOUT.pack(debug.call_site, 0, vm.cpu, debug.pid, debug.jiffies)
    at = _track_offset(slab, obj, which)
    write_bytes(slab, slab_start(slab) + at, packed)


def called_from(s: KmemCache, call_site: int) -> None:
    """Remember who makes this request, if the cache wants to know. Kernel: _RET_IP_."""
    if s.flags & SLAB_STORE_USER:
        s.vm.slab.debug.call_site = call_site


def init_tracking(s: KmemCache, slab: Slab, obj: int) -> None:
    """Forget who used an object. Kernel: mm/slub.c init_tracking()."""
    if s.flags & SLAB_STORE_USER:
        memset(slab, _track_offset(slab, obj, TRACK_ALLOC), 0, 2 * SIZEOF_TRACK)


def set_orig_size(s: KmemCache, slab: Slab, obj: int, orig_size: int) -> None:
    """Keep the size that was asked for. Kernel: mm/slub.c set_orig_size()."""
    if slub_debug_orig_size(s):
        set_word(slab, _track_offset(slab, obj, 2), orig_size)


def get_orig_size(s: KmemCache, slab: Slab, obj: int) -> int:
    """The size that was asked for, bytes. Kernel: mm/slub.c get_orig_size()."""
    if not slub_debug_orig_size(s):
        return s.object_size
    return get_word(slab, _track_offset(slab, obj, 2))


def skip_orig_size_check(slab: Slab, obj: int) -> None:
    """From now on the whole object may be written. Kernel: mm/slub.c skip_orig_size_check()."""
    set_orig_size(slab.slab_cache, slab, obj, slab.slab_cache.object_size)
