"""Freelists that may be corrupt: walked, checked, and searched for an object.

Kernel: mm/slub.c __fill_map(), on_freelist(), list_slab_objects()
"""

from __future__ import annotations

from memsim.mm.slub.debug_report import (
    object_err,
    pointer,
    pr_err,
    print_tracking,
    slab_bug,
    slab_err,
    slab_fix,
    warn_slab,
)
from memsim.mm.slub.memory import check_valid_pointer, obj_offset, obj_to_ptr
from memsim.mm.slub.sizes import order_objects
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.mm.slub.update import set_freepointer, slab_update_freelist
from memsim.words.mmzone import NULL
from memsim.words.slab import MAX_OBJS_PER_PAGE

# struct slab keeps inuse in 16 bits.
_INUSE_MASK = 0xFFFF


def _fill_map(slab: Slab) -> set[int]:
    """The objects on the slab's freelist. Kernel: mm/slub.c __fill_map().

    NOT MODELLED: that the kernel never ends on a list that has become a ring.
    """
    free: set[int] = set()
    obj = slab.freelist
    while obj > NULL and obj not in free:
        free.add(obj)
        obj = slab.next_object[obj]
    return free


def on_freelist(s: KmemCache, slab: Slab, search: int) -> bool:
    """Is the object on the freelist? Of NULL: is the list sound? Repairs list and counts.

    Kernel: mm/slub.c on_freelist()
    """
    nr, before, obj = 0, NULL, slab.freelist
    while obj != NULL and nr <= slab.objects:
        if obj == search:
            return True
        if not check_valid_pointer(obj):
            if before == NULL:
                _clear_freelist(s, slab)
                return False
            object_err(s, slab, before, "Freechain corrupt")
            set_freepointer(slab, before, NULL)
            break
        before, obj = obj, slab.next_object[obj]
        nr += 1
    _correct_counts(s, slab, nr)
    return search == NULL


def _clear_freelist(s: KmemCache, slab: Slab) -> None:
    slab_err(s, slab, "Freepointer corrupt")
    slab_update_freelist(slab, NULL, slab.objects, slab.frozen)
    slab_fix(s, "Freelist cleared")


def _correct_counts(s: KmemCache, slab: Slab, nr: int) -> None:
    """Make the slab's counts agree with its order, and with nr free objects."""
    max_objects = min(order_objects(slab.order, s.size), MAX_OBJS_PER_PAGE)
    if slab.objects != max_objects:
        text = f"Wrong number of objects. Found {slab.objects} but should be {max_objects}"
        slab_err(s, slab, text)
        slab.objects = max_objects
        slab_fix(s, "Number of objects adjusted")
    counted = slab.objects - nr
    if slab.inuse != counted:
        text = f"Wrong object count. Counter is {slab.inuse} but counted were {counted}"
        slab_err(s, slab, text)
        slab_update_freelist(slab, slab.freelist, counted & _INUSE_MASK, slab.frozen)
        slab_fix(s, "Object count adjusted")


def list_slab_objects(s: KmemCache, slab: Slab) -> None:
    """List the objects that are in use though their cache is to go.

    Kernel: mm/slub.c list_slab_objects()
    """
    debug = s.vm.slab.debug
    if not debug.slab_add_kunit_errors():
        slab_bug(s, "Objects remaining on __kmem_cache_shutdown()")
    free = _fill_map(slab)
    for obj in range(slab.objects):
        if obj in free or debug.slab_add_kunit_errors():
            continue
        at = obj_offset(slab, obj)
        pr_err(s, f"Object {pointer(obj_to_ptr(slab, obj))} @offset={at}")
        print_tracking(s, slab, obj)
    warn_slab(slab)
