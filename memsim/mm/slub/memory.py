"""The bytes of a slab whose cache debugs, its objects' addresses, and free pointers in them.

In the model an object is its index. Corruption makes pointers that are no object's: such a wild
pointer gets a number below NULL when it is first met (SlabDebug.wild).

Kernel: mm/slub.c get_freepointer(), set_freepointer(), fixup_red_left(), check_valid_pointer()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE, align_down, align_up
from memsim.mm.slub.freelist import freelist_ptr_encode
from memsim.mm.slub.slab import Slab, slab_address
from memsim.trace.events import TP_STEPS
from memsim.trace.steps import SLAB_BYTES
from memsim.words.mmzone import NULL
from memsim.words.slab import PAGE_OFFSET, SIZEOF_POINTER, SLAB_RED_ZONE

_FIRST_WILD = NULL - 1
_WORD = 4


def left_pad(slab: Slab) -> int:
    """Bytes between an object's place in the slab and the object. Kernel: fixup_red_left()."""
    s = slab.slab_cache
    return s.red_left_pad if s.flags & SLAB_RED_ZONE else 0


def slab_start(slab: Slab) -> int:
    """Address of the slab's first byte."""
    return slab_address(slab, PAGE_OFFSET)


def obj_to_ptr(slab: Slab, obj: int) -> int:
    """The address of an object; 0 of NULL.

    Kernel: mm/slub.c for_each_object()
    """
    if obj == NULL:
        return 0
    if obj < NULL:
        return slab.slab_cache.vm.slab.debug.wild[_FIRST_WILD - obj]
    return slab_start(slab) + left_pad(slab) + obj * slab.slab_cache.size


def ptr_to_obj(slab: Slab, ptr: int) -> int:
    """The object at an address; NULL for 0; below NULL if no object of the slab begins there."""
    if not ptr:
        return NULL
    offset = ptr - slab_start(slab) - left_pad(slab)
    obj, rest = divmod(offset, slab.slab_cache.size)
    if not rest and 0 <= obj < slab.objects:
        return obj
    debug = slab.slab_cache.vm.slab.debug
    if ptr not in debug.wild_code:
        debug.wild_code[ptr] = _FIRST_WILD - len(debug.wild)
        debug.wild.append(ptr)
    return debug.wild_code[ptr]


def check_valid_pointer(obj: int) -> bool:
    """Is it an object of its slab, or NULL? Kernel: mm/slub.c check_valid_pointer()."""
    return obj >= NULL


def obj_offset(slab: Slab, obj: int) -> int:
    """Where in the slab an object begins, or any other pointer points to; bytes."""
    return obj_to_ptr(slab, obj) - slab_start(slab)


def make_memory(slab: Slab) -> None:
    """Give a slab real bytes, and keep its free pointers in them.

    NOT MODELLED: what the pages held before; they hold zeros.
    """
    slab.memory = bytearray(PAGE_SIZE << slab.order)
    slab.next_object = FreePointers(slab)


def read_bytes(slab: Slab, address: int, count: int) -> bytes | None:
    """What any code would read there, freed or not; None if it is not all in a slab with bytes.

    Reading says nothing to anyone: a freed object shows its poison, 0x6b.
    """
    at = _within(slab, address, count)
    if at is None or slab.memory is None:
        return None
    return bytes(slab.memory[at : at + count])


def write_bytes(slab: Slab, address: int, data: bytes) -> bool:
    """Write as any code could, over whatever is there; False if it is not all in such a slab."""
    at = _within(slab, address, len(data))
    if at is None or slab.memory is None:
        return False
    put(slab, at, data)
    return True


def put(slab: Slab, at: int, data: bytes | bytearray) -> None:
    """Write to the slab from an offset on; the steps have the words of four bytes that change."""
    assert slab.memory is not None
    trace = slab.slab_cache.vm.trace
    if not trace.mask & TP_STEPS:
        slab.memory[at : at + len(data)] = data
        return
    first, end = align_down(at, _WORD), align_up(at + len(data), _WORD)
    before = slab.memory[first:end]
    slab.memory[at : at + len(data)] = data
    for place in range(first, end, _WORD):
        old, new = before[place - first :][:_WORD], slab.memory[place : place + _WORD]
        if old != new:
            words = (int.from_bytes(old, "little"), int.from_bytes(new, "little"))
            trace.step(SLAB_BYTES, slab.pfn, place, *words)


def _within(slab: Slab, address: int, count: int) -> int | None:
    at = address - slab_start(slab)
    size = PAGE_SIZE << slab.order
    return at if count >= 0 and 0 <= at <= size - count else None


def memset(slab: Slab, at: int, value: int, count: int) -> None:
    """Fill bytes of the slab, from an offset on; what lies outside of it stays as it is.

    NOT MODELLED: that a pointer gone wrong makes the kernel write to other memory too.
    """
    assert slab.memory is not None
    first = max(at, 0)
    end = min(at + count, len(slab.memory))
    if end > first:
        put(slab, first, bytes([value]) * (end - first))


def section(slab: Slab, at: int, count: int) -> bytes:
    """Bytes of the slab, from an offset on, as far as they lie in it."""
    assert slab.memory is not None
    return bytes(slab.memory[max(at, 0) : max(at + count, 0)])


def get_word(slab: Slab, at: int) -> int:
    """A number of 64 bits at an offset; 0 outside of the slab."""
    return int.from_bytes(section(slab, at, SIZEOF_POINTER), "little")


def set_word(slab: Slab, at: int, value: int) -> None:
    """Put a number of 64 bits at an offset, if all of it lies in the slab."""
    write_bytes(slab, slab_start(slab) + at, value.to_bytes(SIZEOF_POINTER, "little"))


def reachable(slab: Slab, obj: int) -> bool:
    """Can the free pointer of what obj points to be read, or would the kernel oops?

    NOT MODELLED: pointers that by chance point to other memory.
    """
    at = obj_to_ptr(slab, obj) + slab.slab_cache.offset
    return _within(slab, at, SIZEOF_POINTER) is not None


class FreePointers:
    """next_object of a slab with bytes: each free pointer encoded, where the cache keeps it.

    What corrupt bytes decode to is an object, NULL, or a pointer below NULL. What cannot be reached
    reads as NULL and is not written: callers ask reachable() first where the kernel would oops.
    """

    __slots__ = ("slab",)

    def __init__(self, slab: Slab) -> None:
        self.slab = slab

    def __len__(self) -> int:
        return self.slab.objects

    def __getitem__(self, obj: int) -> int:
        slab = self.slab
        if not reachable(slab, obj):
            return NULL
        address = obj_to_ptr(slab, obj) + slab.slab_cache.offset
        kept = get_word(slab, address - slab_start(slab))
        return ptr_to_obj(slab, freelist_ptr_encode(slab.slab_cache.random, kept, address))

    def __setitem__(self, obj: int, fp: int) -> None:
        slab = self.slab
        if not reachable(slab, obj):
            return
        address = obj_to_ptr(slab, obj) + slab.slab_cache.offset
        ptr = obj_to_ptr(slab, fp)
        kept = freelist_ptr_encode(slab.slab_cache.random, ptr, address)
        at = address - slab_start(slab)
        # No step: set_freepointer() has said it.
        assert slab.memory is not None
        slab.memory[at : at + SIZEOF_POINTER] = kept.to_bytes(SIZEOF_POINTER, "little")
