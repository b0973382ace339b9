"""Objects of caches that debug: one by one from a node's slabs, checked on both ways.

CPUs keep nothing of such caches: a slab is on its node's partial list, or full.

Kernel: mm/slub.c alloc_single_from_partial(), free_to_partial_list(), alloc_debug_processing(),
free_debug_processing(), cache_from_obj()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE
from memsim.mm.slub.debug_check import check_object, check_slab, init_object
from memsim.mm.slub.debug_freelist import on_freelist
from memsim.mm.slub.debug_report import (
    DOUBLE_FREE,
    died,
    object_err,
    oops,
    pointer,
    pr_err,
    print_section,
    print_tracking,
    slab_err,
    slab_fix,
)
from memsim.mm.slub.debug_track import TRACK_FREE, set_orig_size, set_track
from memsim.mm.slub.memory import check_valid_pointer, obj_offset, obj_to_ptr, reachable
from memsim.mm.slub.pages import discard_slab
from memsim.mm.slub.partial import partial_slabs
from memsim.mm.slub.slab import KmemCache, KmemCacheNode, Slab, get_node
from memsim.mm.slub.update import (
    add_full,
    add_partial,
    count_slab,
    remove_full,
    remove_partial,
    set_freepointer,
    slab_update_freelist,
)
from memsim.words.mmzone import NULL
from memsim.words.slab import (
    SLAB_CONSISTENCY_CHECKS,
    SLAB_STORE_USER,
    SLAB_TRACE,
    SLUB_RED_ACTIVE,
    SLUB_RED_INACTIVE,
)


def page_fault(address: int) -> str:
    """How the kernel dies of an access there. Kernel: arch/x86/mm/fault.c.

    NOT MODELLED: registers and call trace.
    """
    address %= 1 << 64
    if address < PAGE_SIZE:
        return f"BUG: kernel NULL pointer dereference, address: {address:016x}"
    if 1 << 47 <= address < (1 << 64) - (1 << 47):
        return f"Oops: general protection fault, probably for non-canonical address 0x{address:x}"
    return f"BUG: unable to handle page fault for address: {address:016x}"


def trace(s: KmemCache, slab: Slab, obj: int, alloc: bool) -> None:
    """Log the request, if the cache is traced. Kernel: mm/slub.c trace().

    NOT MODELLED: the stack that dump_stack() shows below it.
    """
    if not s.flags & SLAB_TRACE:
        return
    what = "alloc" if alloc else "free"
    ptr, fp = pointer(obj_to_ptr(slab, obj)), pointer(obj_to_ptr(slab, slab.freelist))
    pr_err(s, f"TRACE {s.name} {what} {ptr} inuse={slab.inuse} fp={fp}")
    if not alloc:
        print_section(slab, "Object ", obj_offset(slab, obj), s.object_size)


def _alloc_consistency_checks(s: KmemCache, slab: Slab, obj: int) -> bool:
    if not check_slab(s, slab):
        return False
    if not check_valid_pointer(obj):
        object_err(s, slab, obj, "Freelist Pointer check fails")
        return False
    return check_object(s, slab, obj, SLUB_RED_INACTIVE)


def alloc_debug_processing(s: KmemCache, slab: Slab, obj: int, orig_size: int) -> bool:
    """Check an object that is about to be given out, and make it an object in use.

    False: the slab is corrupt. All its objects count as used from now on, so that nobody touches
    it again. Kernel: mm/slub.c alloc_debug_processing()
    """
    checked = s.flags & SLAB_CONSISTENCY_CHECKS
    if checked and not _alloc_consistency_checks(s, slab, obj):
        slab_fix(s, "Marking all objects used")
        slab_update_freelist(slab, NULL, slab.objects, True)
        return False
    trace(s, slab, obj, alloc=True)
    set_orig_size(s, slab, obj, orig_size)
    init_object(s, slab, obj, SLUB_RED_ACTIVE)
    return True


def _take_first(s: KmemCache, slab: Slab) -> int:
    """The first free object, now in use; NULL if the kernel cannot even read its bytes."""
    obj = slab.freelist
    if not reachable(slab, obj):
        oops(s, page_fault(obj_to_ptr(slab, obj) + s.offset))
        return NULL
    slab_update_freelist(slab, slab.next_object[obj], slab.inuse + 1, slab.frozen)
    return obj


def alloc_single_from_partial(s: KmemCache, n: KmemCacheNode, slab: Slab, orig_size: int) -> int:
    """An object of a slab on the node's partial list; NULL if the slab turns out corrupt.

    Kernel: mm/slub.c alloc_single_from_partial()
    """
    obj = _take_first(s, slab)
    if obj == NULL:
        return NULL
    if not alloc_debug_processing(s, slab, obj, orig_size):
        remove_partial(s, n, slab)
        return NULL
    if slab.inuse == slab.objects:
        remove_partial(s, n, slab)
        add_full(s, n, slab)
    return obj


def alloc_single_from_new_slab(s: KmemCache, slab: Slab, orig_size: int) -> int:
    """The first object of a new slab, which goes to its node's list.

    Kernel: mm/slub.c alloc_single_from_new_slab()
    """
    n = get_node(s, slab.nid)
    obj = _take_first(s, slab)
    if not alloc_debug_processing(s, slab, obj, orig_size):
        return NULL
    if slab.inuse == slab.objects:
        add_full(s, n, slab)
    else:
        add_partial(s, n, slab, tail=False)
    count_slab(s, slab, 1)
    return obj


def get_partial_node_debug(
    s: KmemCache, n: KmemCacheNode | None, orig_size: int
) -> tuple[Slab, int] | None:
    """An object of the first partial slab of the node that is sound.

    Kernel: mm/slub.c get_partial_node()
    """
    if n is None or died(s):
        return None
    for slab in partial_slabs(s, n):
        obj = alloc_single_from_partial(s, n, slab, orig_size)
        if obj != NULL:
            return slab, obj
        if died(s):
            break
    return None


def _free_consistency_checks(s: KmemCache, slab: Slab, obj: int) -> bool:
    """Kernel: mm/slub.c free_consistency_checks()."""
    if not check_valid_pointer(obj):
        slab_err(s, slab, f"Invalid object pointer {pointer(obj_to_ptr(slab, obj))}")
        return False
    if on_freelist(s, slab, obj):
        object_err(s, slab, obj, "Object already free")
        return False
    if not check_object(s, slab, obj, SLUB_RED_ACTIVE):
        return False
    if s is not slab.slab_cache:
        object_err(s, slab, obj, "page slab pointer corrupt.")
        return False
    return True


def free_debug_processing(s: KmemCache, slab: Slab, head: int, tail: int, bulk_cnt: int) -> int:
    """Check objects that are chained from head to tail, and make each a free object.

    Returns how many may be freed: 0 if anything is wrong. Kernel: mm/slub.c free_debug_processing()
    """
    obj, cnt = head, 0
    if _may_free(s, slab, bulk_cnt):
        obj, cnt = _free_chain(s, slab, head, tail, bulk_cnt)
    if not cnt:
        slab_fix(s, f"Object at {pointer(obj_to_ptr(slab, obj))} not freed")
    return cnt


def _may_free(s: KmemCache, slab: Slab, bulk_cnt: int) -> bool:
    if s.flags & SLAB_CONSISTENCY_CHECKS and not check_slab(s, slab):
        return False
    if slab.inuse < bulk_cnt:
        text = f"Slab has {slab.inuse} allocated objects but {bulk_cnt} are to be freed\n"
        slab_err(s, slab, text)
        return False
    return True


def _free_chain(s: KmemCache, slab: Slab, head: int, tail: int, bulk_cnt: int) -> tuple[int, int]:
    """(the last object looked at, how many from head to tail if all are sound, else 0)."""
    obj = head
    for cnt in range(1, bulk_cnt + 1):
        if s.flags & SLAB_CONSISTENCY_CHECKS and not _free_consistency_checks(s, slab, obj):
            return obj, 0
        if s.flags & SLAB_STORE_USER:
            set_track(slab, obj, TRACK_FREE)
        trace(s, slab, obj, alloc=False)
        init_object(s, slab, obj, SLUB_RED_INACTIVE)
        if obj == tail:
            if cnt != bulk_cnt:
                slab_err(s, slab, f"Bulk free expected {bulk_cnt} objects but found {cnt}\n")
            return obj, cnt
        obj = slab.next_object[obj]
    found = bulk_cnt + 1
    slab_err(s, slab, f"Bulk free expected {bulk_cnt} objects but found {found}\n")
    return obj, 0


def free_to_partial_list(s: KmemCache, slab: Slab, head: int, tail: int, cnt: int) -> None:
    """Free objects of a cache that debugs, unless something is wrong with them.

    NOT MODELLED: that a slab whose freelist was cleared while it was on the partial list is put
    there twice, which destroys the list. Kernel: mm/slub.c free_to_partial_list()
    """
    cnt = free_debug_processing(s, slab, head, tail, cnt)
    if not cnt:
        return
    n = get_node(s, slab.nid)
    prior = slab.freelist
    if tail == prior:
        oops(s, DOUBLE_FREE)
        return
    set_freepointer(slab, tail, prior)
    slab_update_freelist(slab, head, slab.inuse - cnt, slab.frozen)
    discard = not slab.inuse and n.nr_partial >= s.min_partial
    if slab.on_node_partial:
        if discard:
            remove_partial(s, n, slab)
    else:
        remove_full(s, n, slab)
        if not discard:
            add_partial(s, n, slab, tail=True)
    if discard:
        discard_slab(s, slab)


def cache_from_obj(s: KmemCache, slab: Slab, obj: int) -> KmemCache:
    """The cache that an object really is of; says so if it is another than s.

    NOT MODELLED: the block of WARN() around the line. Kernel: mm/slub.c cache_from_obj()
    """
    cachep = slab.slab_cache
    if cachep is not s:
        text = f"Wrong slab cache. {s.name} but object is from {cachep.name}"
        pr_err(s, f"cache_from_obj: {text}")
        if slab.memory is not None:
            print_tracking(cachep, slab, obj)
    return cachep
