"""Filling objects and their surroundings with known bytes, and looking for bytes that changed.

Of an object, from its place in the slab on: left red zone, object, right red zone up to `inuse`,
free pointer (if it is not in the object), tracks, original size, padding.

Kernel: mm/slub.c init_object() to check_slab(), setup_slab_debug()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE
from memsim.mm.slub.debug_report import (
    object_err,
    padding_offset,
    pointer,
    pr_err,
    print_section,
    size_from_object,
    slab_bug,
    slab_err,
    slab_fix,
    warn_slab,
)
from memsim.mm.slub.debug_track import (
    freeptr_outside_object,
    get_orig_size,
    init_tracking,
    slub_debug_orig_size,
)
from memsim.mm.slub.memory import (
    check_valid_pointer,
    make_memory,
    memset,
    obj_offset,
    put,
    section,
    slab_start,
)
from memsim.mm.slub.sizes import order_objects
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.mm.slub.update import set_freepointer
from memsim.trace.events import TP_STEPS
from memsim.words.mmzone import NULL
from memsim.words.slab import (
    OBJECT_POISON,
    POISON_END,
    POISON_FREE,
    POISON_INUSE,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLUB_RED_ACTIVE,
    SLUB_RED_INACTIVE,
)

_UNSIGNED_INT = 0xFFFFFFFF


def setup_slab_debug(s: KmemCache, slab: Slab) -> None:
    """Give a new slab of a cache that debugs its bytes, every object free.

    No step says so: that there is a new slab stands for it. Free pointers are NULL.
    NOT MODELLED: what a constructor writes. Kernel: setup_slab_debug(), setup_object_debug()
    """
    mask, s.vm.trace.mask = s.vm.trace.mask, 0
    make_memory(slab)
    if s.flags & SLAB_POISON:
        memset(slab, 0, POISON_INUSE, PAGE_SIZE << slab.order)
    if s.flags & (SLAB_STORE_USER | SLAB_RED_ZONE | OBJECT_POISON):
        for obj in range(slab.objects):
            init_object(s, slab, obj, SLUB_RED_INACTIVE)
            init_tracking(s, slab, obj)
    for obj in range(slab.objects):
        slab.next_object[obj] = NULL
    s.vm.trace.mask = mask


def clear_memory(s: KmemCache, slab: Slab) -> None:
    """Let the bytes of a slab that goes be those of a new one, so that undo brings them back."""
    if s.vm.trace.mask & TP_STEPS:
        held = slab.memory
        setup_slab_debug(s, slab)
        fresh, slab.memory = slab.memory, held
        assert fresh is not None
        put(slab, 0, fresh)


def init_object(s: KmemCache, slab: Slab, obj: int, val: int) -> None:
    """Fill red zones with val, and poison the object. Kernel: mm/slub.c init_object()."""
    at = obj_offset(slab, obj)
    poison_size = s.object_size
    if s.flags & SLAB_RED_ZONE:
        memset(slab, at - s.red_left_pad, val, s.red_left_pad)
        if slub_debug_orig_size(s) and val == SLUB_RED_ACTIVE:
            poison_size = get_orig_size(s, slab, obj) & _UNSIGNED_INT
    if s.flags & OBJECT_POISON:
        memset(slab, at, POISON_FREE, poison_size - 1)
        memset(slab, at + poison_size - 1, POISON_END, 1)
    if s.flags & SLAB_RED_ZONE:
        memset(slab, at + poison_size, val, s.inuse - poison_size)


def changed(data: bytes, value: int) -> tuple[int, int] | None:
    """The first byte that is not value, and the one behind the last such; None if there is none.

    Kernel: lib/string.c memchr_inv()

    >>> changed(b"ZZaZbZ", 0x5A)
    (2, 5)
    """
    known = bytes([value])
    rest = data.rstrip(known)
    return (len(data) - len(data.lstrip(known)), len(rest)) if rest else None


def restore_bytes(s: KmemCache, slab: Slab, what: str, value: int, span: tuple[int, int]) -> None:
    """Put the known value back, from an offset up to another. Kernel: mm/slub.c restore_bytes()."""
    first, end = (slab_start(slab) + at for at in span)
    slab_fix(s, f"Restoring {what} {pointer(first)}-{pointer(end - 1)}=0x{value:x}")
    memset(slab, span[0], value, span[1] - span[0])


def check_bytes_and_report(
    s: KmemCache, slab: Slab, obj: int, what: str, at: int, value: int, count: int, show: bool
) -> bool:
    """Are all count bytes from an offset on value? If not, say so and put them back.

    show: also print the object. Kernel: mm/slub.c check_bytes_and_report()
    """
    span = changed(section(slab, at, count), value)
    if span is None:
        return True
    fault, end = at + span[0], at + span[1]
    if not s.vm.slab.debug.slab_add_kunit_errors():
        start = slab_start(slab)
        first = section(slab, fault, 1)[0]
        pr_err(
            s,
            f"[{what} overwritten] {pointer(start + fault)}-{pointer(start + end - 1)} "
            f"@offset={fault}. First byte 0x{first:x} instead of 0x{value:x}",
        )
        if show:
            object_err(s, slab, obj, "Object corrupt")
    restore_bytes(s, slab, what, value, (fault, end))
    return False


def check_pad_bytes(s: KmemCache, slab: Slab, obj: int) -> bool:
    """Is the padding behind the object as it was? Kernel: mm/slub.c check_pad_bytes()."""
    pad = padding_offset(s)
    length = size_from_object(s) - pad
    at = obj_offset(slab, obj) + pad
    what = "Object padding"
    return not length or check_bytes_and_report(
        s, slab, obj, what, at, POISON_INUSE, length, show=True
    )


def slab_pad_check(s: KmemCache, slab: Slab) -> None:
    """Look at the end of the slab, which no object uses. Kernel: mm/slub.c slab_pad_check()."""
    length = PAGE_SIZE << slab.order
    remainder = length % s.size
    if not s.flags & SLAB_POISON or not remainder:
        return
    pad = length - remainder
    span = changed(section(slab, pad, remainder), POISON_INUSE)
    if span is None:
        return
    fault, end = pad + span[0], pad + span[1]
    first, last = (pointer(slab_start(slab) + at) for at in (fault, end - 1))
    slab_bug(s, f"Padding overwritten. {first}-{last} @offset={fault}")
    print_section(slab, "Padding ", pad, remainder)
    warn_slab(slab)
    restore_bytes(s, slab, "slab padding", POISON_INUSE, (fault, end))


def check_object(s: KmemCache, slab: Slab, obj: int, val: int) -> bool:
    """Is all as it should be in and around an object? Everything is looked at, and repaired.

    val: SLUB_RED_ACTIVE for an object in use, else SLUB_RED_INACTIVE. Only the first finding shows
    the object. Kernel: mm/slub.c check_object()
    """
    ok = True
    for what, at, value, count in _known(s, slab, obj, val):
        if not check_bytes_and_report(s, slab, obj, what, at, value, count, show=ok):
            ok = False
    if s.flags & SLAB_POISON and not check_pad_bytes(s, slab, obj):
        ok = False
    # The free pointer of an object in use may lie in the object, which its owner writes to.
    if freeptr_outside_object(s) or val != SLUB_RED_ACTIVE:
        if not check_valid_pointer(slab.next_object[obj]):
            object_err(s, slab, obj, "Freepointer corrupt")
            set_freepointer(slab, obj, NULL)
            ok = False
    return ok


#: Name, offset, value and number of bytes whose value is known.
Known = tuple[str, int, int, int]


def _known(s: KmemCache, slab: Slab, obj: int, val: int) -> list[Known]:
    """What is checked around and in the object, in the kernel's order."""
    at = obj_offset(slab, obj)
    behind = ("Right Redzone", at + s.object_size, val, s.inuse - s.object_size)
    known: list[Known] = []
    if s.flags & SLAB_RED_ZONE:
        known = [("Left Redzone", at - s.red_left_pad, val, s.red_left_pad), behind]
        known += _kmalloc_redzone(s, slab, obj, val)
    elif s.flags & SLAB_POISON and s.object_size < s.inuse:
        known = [("Alignment padding", at + s.object_size, POISON_INUSE, behind[3])]
    if s.flags & SLAB_POISON and val != SLUB_RED_ACTIVE and s.flags & OBJECT_POISON:
        if s.object_size > 1:
            known.append(("Poison", at, POISON_FREE, s.object_size - 1))
        known.append(("End Poison", at + s.object_size - 1, POISON_END, 1))
    return known


def _kmalloc_redzone(s: KmemCache, slab: Slab, obj: int, val: int) -> list[Known]:
    """What kmalloc() gave beyond what it was asked for."""
    if val != SLUB_RED_ACTIVE or not slub_debug_orig_size(s):
        return []
    orig_size = get_orig_size(s, slab, obj) & _UNSIGNED_INT
    if s.object_size <= orig_size:
        return []
    at = obj_offset(slab, obj) + orig_size
    return [("kmalloc Redzone", at, val, s.object_size - orig_size)]


def check_slab(s: KmemCache, slab: Slab) -> bool:
    """Do the slab's own numbers make sense? Its last bytes are looked at too.

    Kernel: mm/slub.c check_slab()
    """
    maxobj = order_objects(slab.order, s.size)
    text = ""
    if slab.objects > maxobj:
        text = f"objects {slab.objects} > max {maxobj}"
    elif slab.inuse > slab.objects:
        text = f"inuse {slab.inuse} > max {slab.objects}"
    elif slab.frozen:
        text = "Slab disabled since SLUB metadata consistency check failed"
    if text:
        slab_err(s, slab, text)
        return False
    slab_pad_check(s, slab)
    return True


def check_all_objects(s: KmemCache, slab: Slab) -> None:
    """Look at an empty slab once more before its pages go. Kernel: mm/slub.c free_slab()."""
    slab_pad_check(s, slab)
    for obj in range(slab.objects):
        check_object(s, slab, obj, SLUB_RED_INACTIVE)
